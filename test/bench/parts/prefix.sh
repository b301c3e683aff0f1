# test/bench/parts/prefix.sh - dropping 10,000 keys by their prefix, here and in Redis
#
# Of many keys, 10,000 begin with course:7:.  Each way is timed at its client.

PREFIXED=10000

# prefix_latency TIMES SQL: of one transaction, the last of so many in a
# session; its :id is 7.
prefix_latency()
{
	cat >"$WORK/session.sql" <<-END
		\\set i :i + 1
		\\set id CASE WHEN :i = $1 THEN 7 ELSE 100 + :i END
		$2
	END
	rm -f "$WORK"/prefix.*
	pgb -n -M prepared -c 1 -t $1 -D i=0 -l --log-prefix=prefix -f "$WORK/session.sql"
	awk 'END { print $3 }' "$WORK"/prefix.*
}

# Make the entries anew.  All must have been dropped: each is a miss.
prefix_fill()
{
	local before

	before=$(q -c 'SELECT misses FROM cache_stats')
	q -o /dev/null -c "SELECT count(cached_json('course:7:' || i, 'SELECT 1 AS one', 86400)) FROM generate_series(1, $PREFIXED) i"
	before=$(($(q -c 'SELECT misses FROM cache_stats') - before))
	[ $before = $PREFIXED ] || complain "prefix: after ${1:-nothing}, $before of $PREFIXED keys had been dropped"
}

# prefix_redis COURSE KEYS: all of one course, or spread over a thousand from there
prefix_redis()
{
	awk -v course=$1 -v n=$2 'BEGIN {
		v = "[{\"one\": 1}]"
		for (i = 1; i <= n; i++) {
			k = "course:" (course + (course == 7 ? 0 : i % 1000)) ":" i
			printf "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", length(k), k, length(v), v
		}
	}' | redis_cli --pipe >/dev/null || die "could not fill Redis"
}

prefix()
{
	local round us n many=${ENTRIES##* }

	# shellcheck disable=SC2046
	as_user "${CC:-gcc}" -O2 -o "$WORK/unlink" "$WORK/src/test/bench/unlink.c" $(pkg-config --cflags --libs hiredis) ||
		die "could not build unlink.c"
	start_redis || { say "    without Redis: $WHY"; return; }
	run_job q -o /dev/null -c 'SELECT cache_clear()' -c "SELECT count(cached_json('course:' || 1000 + i % 1000 || ':' || i,
		'SELECT 1 AS one', 86400)) FROM generate_series(1, $((many - PREFIXED))) i" || die "no entries"
	prefix_redis 1000 $((many - PREFIXED))
	for ((round = 1; round <= (QUICK ? 2 : 5); round++)); do
		prefix_fill
		us=$(prefix_latency 20 'UPDATE course SET v = v + 1 WHERE id = :id;')
		q -c "INSERT INTO prefix VALUES ('cache_attach, UPDATE of one row', $round, $us)"
		prefix_fill 'an update'
		us=$(prefix_latency 3 "SELECT cache_invalidate('course:' || :id || ':*');")
		q -c "INSERT INTO prefix VALUES ('cache_invalidate(), with its count', $round, $us)"
		prefix_fill 'cache_invalidate()'
		[ "$(q -c "SELECT cache_invalidate('course:7:*')")" = $PREFIXED ] || complain 'prefix: cache_invalidate() does not count them'

		prefix_redis 7 $PREFIXED
		read -r us n < <(as_user "$WORK/unlink" "$REDIS_SOCK" course:7:)
		[ "$n" = $PREFIXED ] || die "Redis dropped $n keys"
		q -c "INSERT INTO prefix VALUES ('Redis, SCAN and UNLINK', $round, $us)"

		us=$(prefix_latency 20 'UPDATE course_none SET v = v + 1 WHERE id = :id;')
		q -c "INSERT INTO prefix VALUES ('no trigger, UPDATE of one row', $round, $us)"
	done
	n=$(q -c "SELECT count(*) FROM cache_entries WHERE alive AND key LIKE 'course:%'")
	[ $n = $((many - PREFIXED)) ] || say "    of the other $((many - PREFIXED)) entries, $((many - PREFIXED - n)) went by chance"
	stop_peers
	q -o /dev/null -c 'SELECT cache_clear()'
}

prefix_tables()
{
	table prefix "Dropping $PREFIXED keys by their prefix, of ${ENTRIES##* }, as the client sees it, µs" "
		SELECT what, count(*) AS rounds, spread(percentile_cont(0.5) WITHIN GROUP (ORDER BY us), min(us), max(us)) AS \"µs\",
			digits(percentile_cont(0.5) WITHIN GROUP (ORDER BY redis / us)) AS \"times as fast as Redis\"
		FROM (SELECT *, max(us) FILTER (WHERE what LIKE 'Redis%') OVER (PARTITION BY round) AS redis FROM prefix) p
		GROUP BY what ORDER BY percentile_cont(0.5) WITHIN GROUP (ORDER BY us)"
	chart prefix "Dropping $PREFIXED keys by their prefix, of ${ENTRIES##* }" 'µs' log "
		SELECT '', what, percentile_cont(0.5) WITHIN GROUP (ORDER BY us) AS m, min(us), max(us) FROM prefix GROUP BY what ORDER BY m"
}

prefix_goals()
{
	goal "dropping a prefix of $PREFIXED among ${ENTRIES##* } keys by trigger, against SCAN and UNLINK in Redis" '>=' 1000 \
		"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY r.us / t.us), min(r.us / t.us), max(r.us / t.us)
		FROM prefix r JOIN prefix t USING (round) WHERE r.what LIKE 'Redis%' AND t.what LIKE 'cache_attach%'"
}
