# test/bench/parts/idle.sh - what the library costs where it is not used

# pgbench -S on three servers that are alike, in turns: two without the library,
# which show what differs for no reason, and one with it.
idle()
{
	local round main=$HOST i servers=("$WORK/plain" "$WORK/other" "$WORK/idle") sets='\set aid random(1, 100000)'
	local what=('not preloaded' 'not preloaded, another' preloaded)
	local sql='SELECT abalance FROM pgbench_accounts WHERE aid = :aid;'

	for i in 0 1 2; do
		start_server "${servers[i]}" $([ $i != 2 ] || say preload)
		pin_to_one
		pgb -q -i -s 1
	done
	for ((round = 0; round <= ROUNDS * 3; round++)); do
		for i in 0 1 2; do
			HOST=${servers[i]}
			measure idle "${what[i]}" '' prepared 1 $round "$sql" "$sets"
		done
	done
	for i in 0 1 2; do
		HOST=${servers[i]}
		q -c 'COPY runs TO STDOUT' >"$WORK/runs.copy"
		HOST=$main
		q -c "\\copy runs FROM '$WORK/runs.copy'"
	done
}

idle_tables()
{
	table idle "pgbench -S, prepared, 1 client: the library loaded, but not used" "
		SELECT $FIGURES FROM results WHERE part = 'idle' ORDER BY what"
}

idle_goals()
{
	goal 'preloaded and idle: pgbench -S, prepared, against not preloaded' '>=' 0.99 \
		"SELECT * FROM versus('idle', 'preloaded', 'not preloaded', '', 'prepared', 1)"
}
