# test/bench/parts/invalidation.sh - what dropping a prefix costs, by the number of entries

invalidation()
{
	local n block times alive="SELECT count(*) FROM cache_entries WHERE alive AND key LIKE 'dashboard:%'"

	for n in $ENTRIES; do
		say "    $n entries, after $((SECONDS - t0)) s"
		times=$((n > 10000 ? 1 : 3))
		script <<-END
			SELECT cache_clear();
			INSERT INTO kv_many SELECT 'dashboard:' || i, '[]', now() + interval '1 day'
				FROM generate_series((SELECT count(*) FROM kv_many) + 1, $n) i;
			VACUUM ANALYZE kv_many;
			SELECT extract(epoch FROM clock_timestamp()) AS t \\gset
			SELECT count(cached_json('dashboard:' || i, 'SELECT 1 AS one', 86400)) FROM generate_series(1, $n) i;
			INSERT INTO fills_in_one_statement SELECT $n, (extract(epoch FROM clock_timestamp()) - :t) * 1e6 / $n;
		END
		[ "$(q -c "$alive")" = $n ] || complain "invalidation: $(q -c "$alive") entries, not $n"
		{
			say "CALL time_commits(0, 'warm', 0, 100, 'UPDATE inv_none SET v = v + 1 WHERE id = 1');"
			say "CALL time_commits(0, 'warm', 0, 100, 'UPDATE inv_key SET v = v + 1 WHERE id = 1');"
			# its trigger sees no row: drops nothing
			say "CALL time_commits(0, 'warm', 0, 100, 'UPDATE inv_prefix SET v = v + 1 WHERE id = 0');"
			say "CALL time_commits($n, 'all alive', 1, 1, 'UPDATE inv_prefix SET v = v + 1 WHERE id = 1');"
			for ((block = 1; block <= BLOCKS; block++)); do
				say "CALL time_commits($n, 'no trigger', $block, 50, 'UPDATE inv_none SET v = v + 1 WHERE id = 1');"
				say "CALL time_commits($n, 'prefix', $block, 50, 'UPDATE inv_prefix SET v = v + 1 WHERE id = 1');"
				say "CALL time_commits($n, 'key', $block, 50, 'UPDATE inv_key SET v = v + 1 WHERE id = 1');"
			done
			say "CALL time_commits($n, 'delete', 1, $times, 'DELETE FROM kv_many WHERE key LIKE ''dashboard:%''', true);"
		} | script
		[ "$(q -c "$alive")" = 0 ] || complain "invalidation: $(q -c "$alive") of $n entries were left"
	done
}

invalidation_tables()
{
	table fills-many "Fills in one statement: SELECT 1 through cached_json" "
		SELECT entries, digits(us) AS \"µs per fill\", round((1e6 / us)::numeric) AS \"fills per second\"
		FROM fills_in_one_statement ORDER BY entries"
	table invalidation "A transaction that updates one row, µs in the session (5 %–95 %)" "
		SELECT entries, max(v) FILTER (WHERE what = 'no trigger') AS \"no trigger\",
			max(v) FILTER (WHERE what = 'key') AS \"trigger, one key\",
			max(v) FILTER (WHERE what = 'prefix') AS \"trigger, dashboard:*\",
			max(digits(m)) FILTER (WHERE what = 'all alive') AS \"the first one, which drops all\",
			max(digits(m)) FILTER (WHERE what = 'delete') AS \"DELETE … LIKE, UNLOGGED table\"
		FROM (SELECT entries, what, percentile_cont(0.5) WITHIN GROUP (ORDER BY us) AS m,
				spread(percentile_cont(0.5) WITHIN GROUP (ORDER BY us), percentile_cont(0.05) WITHIN GROUP (ORDER BY us),
					percentile_cont(0.95) WITHIN GROUP (ORDER BY us)) AS v
			FROM commits WHERE entries > 0 GROUP BY 1, 2) x
		GROUP BY 1 ORDER BY 1"
	chart invalidation 'A transaction that updates one row, by the number of entries' 'µs' log "
		SELECT entries || ' entries', CASE what WHEN 'key' THEN 'cache_attach, one key' WHEN 'prefix' THEN 'cache_attach, dashboard:*'
				WHEN 'delete' THEN 'DELETE … LIKE' ELSE what END,
			percentile_cont(0.5) WITHIN GROUP (ORDER BY us), min(us), max(us)
		FROM (SELECT entries, what, percentile_cont(0.5) WITHIN GROUP (ORDER BY us) AS us
			FROM commits WHERE entries > 0 AND what <> 'all alive' GROUP BY entries, what, block) b
		GROUP BY entries, what ORDER BY entries, array_position('{no trigger,key,prefix,delete}', what)"
}
