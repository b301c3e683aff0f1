# test/bench/parts/hot.sh - what callers of a slow key see: cold, hot, after a restart
#
# Cold: 50 clients ask at once for a key that takes 300 ms; undisturbed, and
# when the one who computes it is canceled or terminated after 100 ms.  (A
# backend that is killed with -9 takes all sessions with it, as the postmaster's
# rule is; whoever connects again meets a cold key.)
#
# Hot: 8 clients ask for ten times its life for a key that takes 20 ms.
#
# Restart: of 1,000 keys in use, how many answer in the first second after?

# hot_pgb SQL [pgbench options]: latencies of all calls, in ms, to $WORK/times;
# clients may fail.  (Without a \set, pgbench reads the clock once for what it
# does without having to wait, and calls may seem to take no time.)
hot_pgb()
{
	local sql=$1
	shift
	rm -f "$WORK"/hot.*
	printf '%s\n' '\set clock 0' "$sql" >"$WORK/session.sql"
	(cd "$WORK" && PGHOST=$HOST PGUSER=postgres exec $PIN "$BINDIR/pgbench" -n -l --log-prefix=hot -f session.sql "$@" bench) \
		</dev/null >"$WORK/pgbench.log" 2>&1
	cat "$WORK"/hot.* 2>/dev/null | awk '{ print $3 / 1000 }' | sort -n >"$WORK/times"
	MEDIAN=$(awk '{ t[NR] = $1 } END { print t[int((NR + 1) / 2)] + 0 }' "$WORK/times")
	SLOWEST=$(tail -1 "$WORK/times")
}

# cold WHAT [function to call on the one who computes]
cold()
{
	local killer= i pid completed

	q -o /dev/null -c 'SELECT pg_stat_reset()'
	if [ -n "${2:-}" ]; then
		(
			for i in $(seq 200); do
				pid=$(q -c "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' LIMIT 1")
				[ -n "$pid" ] && sleep 0.1 && q -o /dev/null -c "SELECT $2($pid)" && break
			done
		) &
		killer=$!
	fi
	hot_pgb "SELECT cached_json('cold:$1', 'SELECT takes(300)', 600);" -c 50 -j 2 -t 1
	[ -z "$killer" ] || wait $killer
	until [ "$(q -c "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'")" = 0 ]; do sleep 0.1; done
	completed=$(q -c "SELECT calls FROM pg_stat_user_functions WHERE funcname = 'takes'")
	q -c "INSERT INTO cold VALUES ('$1', $(wc -l <"$WORK/times"), ${completed:-0}, $MEDIAN, ${SLOWEST:-NULL})"
	[ -n "${2:-}" ] || [ "$completed" = 1 ] || complain "cold: the query ran $completed times"
}

hot()
{
	local policy before main=$HOST life=$((QUICK ? 100 : 800)) keys t

	MEMORY=16MB start_server "$WORK/hotter" preload
	pin "$ALL_CPUS"
	as_user tee -a "$HOST/data/postgresql.conf" <<<'track_functions = all' >/dev/null
	restart_server
	q -c 'CREATE EXTENSION cache_ext' -f "$BENCH/parts/hot.sql" \
		-c "INSERT INTO cache_policy (name, key_pattern, ttl, refresh_ahead, stale_while_revalidate) VALUES
			('none', 'none:*', '$life ms', NULL, NULL), ('refresh_ahead', 'refresh_ahead:*', '$life ms', 1, NULL),
			('stale_while_revalidate', 'stale_while_revalidate:*', '$life ms', NULL, '1 min'), ('both', 'both:*', '$life ms', 1, '1 min')" || exit 1

	cold undisturbed
	cold 'the first is canceled' pg_cancel_backend
	cold 'the first is terminated' pg_terminate_backend

	for policy in none refresh_ahead stale_while_revalidate both; do
		q -o /dev/null -c "SELECT cached_json('$policy:1', 'SELECT takes(20)', NULL)" -c 'SELECT cache_stats_reset()'
		hot_pgb "SELECT cached_json('$policy:1', 'SELECT takes(20)', NULL);" -c 8 -j 1 -T $((life / 100))
		q -c "INSERT INTO hot SELECT '$policy', hits + misses, misses, coalesced, stale_hits, refreshes, $MEDIAN, $SLOWEST FROM cache_stats"
	done

	q -o /dev/null -c "SELECT cached_json('key:' || i, 'SELECT \$1', '1 hour', i) FROM generate_series(1, 1000) i"
	keys='\set i random(1, 1000)
SELECT cached_json('\''key:'\'' || :i, '\''SELECT $1'\'', '\''1 hour'\'', :i);'
	for t in before after; do
		q -o /dev/null -c 'SELECT cache_stats_reset()'
		hot_pgb "$keys" -c 4 -T 1
		before+="${before:+, }$(q -c 'SELECT hit_ratio FROM cache_stats')"
		[ $t = after ] || restart_server
	done
	q -c "INSERT INTO restarted VALUES ($before)"

	for t in cold hot restarted; do
		q -c "COPY $t TO STDOUT" >"$WORK/$t.copy" || exit 1
		HOST=$main q -c "\\copy $t FROM '$WORK/$t.copy'" || exit 1
	done
	HOST=$main
	pin_to_one
}

hot_tables()
{
	table cold "50 clients at once for a missing key that takes 300 ms" "
		SELECT what, answered, completed AS \"executions completed\", digits(median_ms) AS \"median, ms\", digits(slowest_ms) AS \"slowest, ms\"
		FROM cold"
	table hot "8 clients for ten times its life on a key that takes 20 ms and lives $((QUICK ? 100 : 800)) ms" "
		SELECT policy, calls, misses, waited AS \"waited for another\", stale, refreshes AS \"in the background\",
			digits(median_ms) AS \"median, ms\", digits(slowest_ms) AS \"slowest, ms\"
		FROM hot"
	table restarted "1,000 keys in use, and a restart" "
		SELECT round(100 * before::numeric, 2) AS \"hits before, %\", round(100 * after::numeric, 2) AS \"hits in the first second after, %\"
		FROM restarted"
}
