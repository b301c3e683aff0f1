# test/bench/parts/writes.sh - what an update costs, by what tells the cache
#
# Three times: with synchronous_commit off, so that the trigger shows; on, with
# fsync, as in service; and off, with as many entries in the cache as it is
# meant for.

# write_round SHAPE ROUND BLOCK [table...]: all, or only some, besides no trigger
write_round()
{
	local shape=$1 round=$2 block=$3 t what
	shift 3

	while IFS='|' read -r t what; do
		case " w_none ${*:-$t} " in *" $t "*) ;; *) continue ;; esac
		say "$what|$block|UPDATE $t SET v = v + 1 WHERE id = :id;|\\set id random(1, 10000)"
	done <<-END | passes writes "$shape" prepared $round
		w_none|no trigger
		w_attach|cache_attach
		w_attach3|cache_attach, three templates
		w_row|row trigger
		w_nothing|PL/pgSQL row trigger that does nothing
		w_delete|PL/pgSQL, DELETE from UNLOGGED
		w_notify|PL/pgSQL, NOTIFY
	END
}

set_fsync()
{
	q -c "ALTER SYSTEM SET fsync = $1" -c 'SELECT pg_reload_conf()' -o /dev/null || exit 1
	until [ "$(q -c 'SHOW fsync')" = $1 ]; do sleep 0.1; done
}

writes()
{
	local round many=${ENTRIES##* }
	local entries="FROM (SELECT split_part(key, ':', 2)::int AS id, alive FROM cache_entries WHERE key LIKE 'student:%') e"

	for ((round = 1; round <= ROUNDS; round++)); do
		write_round off $round 40
	done

	set_fsync on
	for ((round = 1; round <= (QUICK ? 2 : 5); round++)); do
		PASSES=$((QUICK ? 6 : 15)) PGOPTIONS='-c synchronous_commit=on' write_round on $round 10
	done
	set_fsync off

	say "    with $many entries, after $((SECONDS - t0)) s"
	run_job q -o /dev/null -c 'SELECT cache_clear()' -c "CREATE TABLE w_before AS SELECT id, a.v + b.v + c.v AS v
			FROM w_attach a JOIN w_attach3 b USING (id) JOIN w_row c USING (id)" \
		-c "SELECT count(cached_json('student:' || i, 'SELECT 1 AS one', 86400)) FROM generate_series(1, $many) i" || die "no entries"
	[ "$(q -c "SELECT count(*) $entries WHERE alive")" = $many ] || complain "writes: there are no $many entries"
	for ((round = 1; round <= ROUNDS; round++)); do
		write_round many $round 40 w_attach w_attach3 w_row
	done
	[ "$(q -c "SELECT count(*) $entries JOIN w_before USING (id) JOIN w_attach a USING (id) JOIN w_attach3 b USING (id)
		JOIN w_row c USING (id) WHERE alive AND w_before.v < a.v + b.v + c.v")" = 0 ] ||
		complain "writes: entries whose rows were written are alive"
	q -o /dev/null -c 'SELECT cache_clear()'
}

writes_tables()
{
	local shape title

	for shape in off on many; do
		case $shape in
		off) title="synchronous_commit = off" ;;
		on) title="synchronous_commit = on, with fsync" ;;
		many) title="synchronous_commit = off, ${ENTRIES##* } entries in the cache" ;;
		esac
		table writes-$shape "UPDATE of one row, $title, prepared, 1 client" "
			SELECT $FIGURES FROM results WHERE (part, shape) = ('writes', '$shape') ORDER BY what <> 'no trigger', ratio DESC"
	done
	chart writes 'UPDATE of one row, prepared, 1 client' 'Transactions per second, as a ratio to no trigger' linear "
		SELECT CASE shape WHEN 'off' THEN 'synchronous_commit = off' WHEN 'on' THEN 'on, with fsync' ELSE 'off, ${ENTRIES##* } entries' END,
			what, ratio, ratio_min, ratio_max
		FROM results WHERE part = 'writes' AND what <> 'no trigger' ORDER BY shape = 'on', shape = 'many', ratio DESC"
}

writes_goals()
{
	goal 'UPDATE of one row with cache_attach, synchronous_commit = off, against no trigger' '>=' 0.93 \
		"SELECT * FROM versus('writes', 'cache_attach', 'no trigger', 'off', 'prepared', 1)"
	goal "the same with ${ENTRIES##* } entries in the cache" '>=' 0.93 \
		"SELECT * FROM versus('writes', 'cache_attach', 'no trigger', 'many', 'prepared', 1)"
}
