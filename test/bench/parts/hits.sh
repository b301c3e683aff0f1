# test/bench/parts/hits.sh - what a hit costs, here and elsewhere

# Print those of shape $1, a line WHAT|TIMES|KIND|SQL each.  TIMES is how many
# calls make a block.  KIND says what the answer must be, and whether it must
# be a hit.
candidates()
{
	local n=$1 query columns as_text cols="id, title, n, total" mv=mv times=40

	IFS=$'\x1f' read -r query columns as_text < <(q -F $'\x1f' -c "SELECT query, columns, as_text FROM shapes WHERE n = $n")
	case $n in
	100) times=20 ;;
	1000) times=6 ;;
	0) cols=doc mv=mv_doc ;;
	esac
	say "SELECT 1|40|none|SELECT 1;"
	say "constant rows|$times|rows|SELECT * FROM const_rows_$n();"
	say "constant jsonb|$times|value|SELECT const_json_$n();"
	say "cached_query|$times|rows-hit|SELECT * FROM cached_query('dashboard:$n', \$q\$$query\$q\$, 3600) AS t($columns);"
	[ $n != 10 ] || say "cached_query, an argument|$times|rows-hit|SELECT * FROM cached_query('dashboard:$n', \$q\$${query%10}\$1\$q\$, 3600, 10) AS t($columns);"
	say "cached_json|$times|json-hit|SELECT cached_json('dashboard:$n', \$q\$$query\$q\$, 3600);"
	[ $n != 10 ] || say "cached_json, an argument|$times|json-hit|SELECT cached_json('dashboard:$n', \$q\$${query%10}\$1\$q\$, 3600, 10);"
	[ $n != 0 ] || say "cache_get|$times|value-hit|SELECT cache_get('doc:$n');"
	say "UNLOGGED table, text|$times|value|SELECT value FROM kv WHERE key = 'dashboard:$n' AND expires > now();"
	say "UNLOGGED table, jsonb|$times|value|SELECT value FROM kvj WHERE key = 'dashboard:$n' AND expires > now();"
	say "PL/pgSQL get or compute|$times|value|SELECT get_or_compute('dashboard:$n', \$q\$$as_text\$q\$, '1 day');"
	say "materialized view|$times|rows|SELECT $cols FROM $mv WHERE pos <= $((n ? n : 1)) ORDER BY pos;"
	say "the query itself|1|rows|$query;"
}

# verify N [fill]: compare the candidates' answers with the query's.
verify()
{
	local n=$1 what times kind sql status answer
	local -A truth

	for kind in rows json value; do
		q -c "SELECT CASE '$kind' WHEN 'rows' THEN query WHEN 'value' THEN as_text
			ELSE 'SELECT jsonb_agg(to_jsonb(t)) FROM (' || query || ') t' END || ';' FROM shapes WHERE n = $n" >"$WORK/verify.sql"
		truth[$kind]=$(q -f "$WORK/verify.sql" | md5sum)
	done
	while IFS='|' read -r what times kind sql; do
		[ $kind != none ] || continue
		say "$sql" >"$WORK/verify.sql"
		[ ${kind#*-} != hit ] ||
			printf '%s\n' "\\o $WORK/status" 'SELECT status FROM cache_last_status();' >>"$WORK/verify.sql"
		answer=$(q -f "$WORK/verify.sql" | md5sum)
		[ "$answer" = "${truth[${kind%-*}]}" ] || complain "$what, shape $n: not what the query returns"
		[ ${kind#*-} != hit ] || [ -n "${2:-}" ] || [ "$(cat "$WORK/status")" = hit ] ||
			complain "$what, shape $n: not a hit"
	done <"$WORK/candidates.$n"
}

# expect_hits N TITLE: since $before
expect_hits()
{
	local got=$(($(q -c 'SELECT hits FROM cache_stats') - before))

	[ $got = "$1" ] || complain "$2: $1 calls that should be hits, $got hits"
}

hits()
{
	local n mode round what times kind sql before calls

	q -o /dev/null -c "SELECT cache_set('doc:0', (SELECT value::jsonb FROM kv WHERE key = 'dashboard:0'), 3600)"
	for n in $SHAPES; do
		candidates $n >"$WORK/candidates.$n"
		awk -F'|' '{ print $1 "|" $2 "|" $4 }' "$WORK/candidates.$n" >"$WORK/list.$n"
		verify $n fill
		verify $n
	done
	for ((round = 1; round <= ROUNDS; round++)); do
		for mode in $MODES; do
			say "    round $round, $mode, after $((SECONDS - t0)) s"
			for n in $SHAPES; do
				before=$(q -c 'SELECT hits FROM cache_stats')
				passes hits $n $mode $round <"$WORK/list.$n"
				expect_hits $(awk -F'|' -v p=$((PASSES + 1)) '$3 ~ /-hit$/ { n += $2 } END { print n * p }' "$WORK/candidates.$n") \
					"shape $n, $mode"
			done
		done
	done
	pin "$ALL_CPUS"
	for mode in $MODES_8; do
		for ((round = 0; round <= ROUNDS; round++)); do
			say "    round $round, $mode, 8 clients, after $((SECONDS - t0)) s"
			for n in $SHAPES; do
				while IFS='|' read -r what times kind sql; do
					before=$(q -c 'SELECT hits FROM cache_stats')
					measure hits "$what" $n $mode 8 $round "$sql"
					[ $round = 0 ] || [ ${kind#*-} != hit ] ||
						expect_hits $((8 * (CALLS[hits/$what/$n/$mode/8] + WARM - 1))) "$what, shape $n, $mode, 8 clients"
				done <"$WORK/candidates.$n"
			done
		done
	done
	pin_to_one
	for n in $SHAPES; do
		verify $n
	done
	q -c "UPDATE runs SET shape = (SELECT shape FROM shapes WHERE n::text = runs.shape) WHERE part = 'hits'"
}

hits_tables()
{
	local mode clients name shape cells from

	table answers "Size of the answers, bytes" "
		SELECT shape, rows_bytes AS \"rows, their columns as text\", json_bytes AS \"one value\" FROM shapes ORDER BY n = 0, n"
	for mode in $MODES ${MODES_8:+${MODES_8// //8 }/8}; do
		clients=1
		[ "${mode%/8}" = $mode ] || clients=8 mode=${mode%/8}
		cells=
		for shape in '200 B' '1 KB' '10 KB' '100 KB' 'JSON value'; do
			cells+=", coalesce(max(CELL) FILTER (WHERE shape = '$shape'), '') AS \"$shape\""
		done
		from="FROM results WHERE (part, mode, clients) = ('hits', '$mode', $clients) GROUP BY what ORDER BY
			array_position(ARRAY['SELECT 1', 'constant rows', 'constant jsonb', 'cached_query', 'cached_query, an argument',
			'cached_json', 'cached_json, an argument', 'cache_get'], what), what = 'the query itself', what DESC"
		case $mode in
		simple-bundled) name="simple protocol, all calls of a block in one message" ;;
		prepared-bundled) name="prepared, all calls of a block in one pipeline" ;;
		*) name="$mode, $clients client$([ $clients = 1 ] || say s)" ;;
		esac
		table hits-$mode-$clients-ratio "Hits, $name: calls per second, ratio to SELECT 1 (min–max)" \
			"SELECT what AS \"$mode\" ${cells//CELL/spread(ratio, ratio_min, ratio_max)} $from"
		table hits-$mode-$clients-cpu "Hits, $name: server CPU per call, µs (min–max)" \
			"SELECT what AS \"$mode\" ${cells//CELL/spread(cpu, cpu_min, cpu_max)} $from"
	done
}
