# test/bench/parts/fills.sh - what a miss costs

fills()
{
	local round before k='\set k :k + 1'
	local query="SELECT id, title FROM groups WHERE id = ANY (''{1,2,3,4,5,6,7,8,9,10}'')"

	before=$(q -c 'SELECT fills FROM cache_stats')
	for ((round = 1; round <= ROUNDS; round++)); do
		FIRST_KEY=$((round * 1000000)) passes fills '' prepared $round <<-END
			the query itself|40|${query//\'\'/\'};
			cached_query|40|SELECT * FROM cached_query(concat('fill-', :k::int), '$query', 3600) AS t(id int, title text);|$k
			cached_json|40|SELECT cached_json(concat('fill-', :k::int), '$query', 3600);|$k
			PL/pgSQL get or compute|40|SELECT get_or_compute(concat('fill-', :k::int), 'SELECT jsonb_agg(to_jsonb(t))::text FROM ($query) t', '1 day');|$k
		END
	done
	before=$(($(q -c 'SELECT fills FROM cache_stats') - before))
	[ $before = $((80 * (PASSES + 1) * ROUNDS)) ] || complain "fills: $before, not $((80 * (PASSES + 1) * ROUNDS))"
}

fills_tables()
{
	table fills "Misses: 10 rows by primary key, a new cache key for each call, prepared" "
		SELECT $FIGURES FROM results WHERE part = 'fills' ORDER BY what <> 'the query itself', ratio DESC"
}
