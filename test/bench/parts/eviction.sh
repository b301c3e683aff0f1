# test/bench/parts/eviction.sh - which entries stay when memory is short
#
# A server of its own, with little memory, makes the accesses of several traces;
# eviction.pl makes the traces, and simulates other policies with the memory
# that this server has.

eviction()
{
	local main=$HOST trace limit n=$((QUICK ? 6000 : 40000)) size sizes=()

	MEMORY=$((QUICK ? 1 : 2))MB start_server "$WORK/small" preload
	pin_to_one
	as_user tee -a "$HOST/data/postgresql.conf" <<<'cache_ext.save_entries = off' >/dev/null
	q -c 'CREATE EXTENSION cache_ext' -f "$BENCH/parts/eviction.sql" || exit 1
	restart_server

	# what an entry of each size takes
	limit=$(q -c 'SELECT memory_limit / 256 FROM cache_stats')
	for size in 200 1000 4000; do
		q -o /dev/null -c "INSERT INTO traces VALUES ('$size', 1, 0, $size, 0, 0)" -c "CALL replay('$size')"
		sizes+=("$size=$(q -c "SELECT (size + 255) / 256 FROM cache_entries WHERE key LIKE 'trace:%' ORDER BY size DESC LIMIT 1")")
	done
	[ "$(q -c 'SELECT memory_used / 256 FROM cache_stats')" = $((${sizes[0]#*=} + ${sizes[1]#*=} + ${sizes[2]#*=})) ] ||
		complain "eviction: entries do not take as many chunks as they are long"

	"$BENCH/parts/eviction.pl" traces $limit $n "${sizes[@]}" >"$WORK/traces" || die "no traces"
	q -c 'TRUNCATE traces' -c "\\copy traces (trace, nth, key, size, chunks, cost) FROM '$WORK/traces'" \
		-c 'VACUUM ANALYZE traces' || exit 1
	while IFS= read -r trace; do
		say "    $trace, after $((SECONDS - t0)) s"
		restart_server
		run_job q -c "CALL replay('$trace')" || die "the trace $trace failed"
	done < <(cut -f1 "$WORK/traces" | uniq)
	q -c "\\copy (SELECT * FROM traces ORDER BY trace, nth) TO '$WORK/traces'" || exit 1
	HOST=$main
	"$BENCH/parts/eviction.pl" simulate $limit <"$WORK/traces" >"$WORK/evicted" || die "no simulation"
	q -c "\\copy eviction FROM '$WORK/evicted'"
	[ "$(q -c "SELECT count(*) FROM eviction WHERE hits > 0")" = 24 ] || complain "eviction: a policy had no hits"
}

eviction_tables()
{
	local policy cells=

	for policy in cache_ext LRU Belady bound; do
		cells+=", max(round(100 * hits::numeric, 1)) FILTER (WHERE policy = '$policy') AS \"hits, %: $policy\""
	done
	for policy in cache_ext LRU Belady bound; do
		cells+=", max(round(100 * saved::numeric, 1)) FILTER (WHERE policy = '$policy') AS \"time saved, %: $policy\""
	done
	table eviction "A cache too small, from empty" "
		SELECT trace $cells FROM eviction GROUP BY trace ORDER BY trace"
	for policy in hits saved; do
		chart eviction-$policy "A cache too small: $([ $policy = hits ] && say hits || say 'computing time saved')" '%' linear "
			SELECT trace, policy, 100 * $policy, 100 * $policy, 100 * $policy
			FROM eviction ORDER BY trace, array_position('{cache_ext,LRU,Belady,bound}', policy)"
	done
}
