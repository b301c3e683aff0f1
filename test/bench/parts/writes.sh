# test/bench/parts/writes.sh - what an update costs, by what tells the cache

writes()
{
	local round t id='\set id random(1, 10000)'

	for ((round = 1; round <= ROUNDS; round++)); do
		while IFS='|' read -r t what; do
			say "$what|40|UPDATE $t SET v = v + 1 WHERE id = :id;|$id"
		done <<-END | passes writes '' prepared $round
			w_none|no trigger
			w_attach|cache_attach
			w_attach3|cache_attach, three templates
			w_row|row trigger
			w_nothing|PL/pgSQL row trigger that does nothing
			w_delete|PL/pgSQL, DELETE from UNLOGGED
			w_notify|PL/pgSQL, NOTIFY
		END
	done
}

writes_tables()
{
	table writes "UPDATE of one row, synchronous_commit = off, prepared, 1 client" "
		SELECT $FIGURES FROM results WHERE part = 'writes' ORDER BY what <> 'no trigger', ratio DESC"
}
