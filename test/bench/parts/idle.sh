# test/bench/parts/idle.sh - what the library costs where it is not used

# pgbench -S on this server and on one without the library, in turns; and
# twice on this one, to show what differs for no reason.
idle()
{
	local round main=$HOST other=$WORK/plain what sets='\set aid random(1, 100000)'
	local sql='SELECT abalance FROM pgbench_accounts WHERE aid = :aid;'

	pgb -q -i -s 1
	start_server "$other"
	pin_to_one
	pgb -q -i -s 1
	for ((round = 0; round <= ROUNDS * 3; round++)); do
		for what in 'not preloaded' preloaded 'preloaded, again'; do
			HOST=$main
			[ "$what" != 'not preloaded' ] || HOST=$other
			measure idle "$what" '' prepared 1 $round "$sql" "$sets"
		done
	done
	HOST=$other
	q -c 'COPY runs TO STDOUT' >"$WORK/runs.copy"
	HOST=$main
	q -c "\\copy runs FROM '$WORK/runs.copy'"
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
