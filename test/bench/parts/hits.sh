# test/bench/parts/hits.sh - what a hit costs, here and elsewhere

SHAPES='2 10 100 1000 0'	# numbers in table shapes
ORDER="ARRAY['SELECT 1', 'constant rows', 'constant jsonb', 'cached_query', 'cached_query, an argument', 'cached_rows', 'cached_json',
	'cached_json, an argument', 'cache_get', 'pgpool-II', 'UNLOGGED table, text', 'UNLOGGED table, jsonb',
	'PL/pgSQL get or compute', 'pgmemcache', 'PL/Python, Redis', 'Redis GET, without SQL', 'materialized view', 'table scan',
	'the query itself']"

# Print those of shape $1, a line WHAT|TIMES|SESSION|ANSWER|COUNTER|SQL each.
# TIMES is how many calls make a block; SESSION is where they run: direct, by
# themselves (alone), or through pgpool; ANSWER is what it must be; COUNTER
# must count the calls as hits.
candidates()
{
	local n=$1 query columns as_text cols="id, title, n, total" mv=mv times=40

	IFS=$'\x1f' read -r query columns as_text < <(q -F $'\x1f' -c "SELECT query, columns, as_text FROM shapes WHERE n = $n")
	case $n in
	100) times=20 ;;
	1000) times=6 ;;
	0) cols=doc mv=mv_doc ;;
	esac
	say "SELECT 1|40|direct|||SELECT 1;"
	say "constant rows|$times|direct|rows||SELECT * FROM const_rows_$n();"
	say "constant jsonb|$times|direct|value||SELECT const_json_$n();"
	say "cached_query|$times|direct|rows|cache_ext|SELECT * FROM cached_query('dashboard:$n', \$q\$$query\$q\$, 3600) AS t($columns);"
	[ $n != 10 ] || say "cached_query, an argument|$times|direct|rows|cache_ext|SELECT * FROM cached_query('dashboard:$n', \$q\$${query%10}\$1\$q\$, 3600, 10) AS t($columns);"
	say "cached_rows|$times|direct|rows|cache_ext|SELECT * FROM cached_rows(NULL::rows_$n, 'dashboard:$n', \$q\$$query\$q\$, 3600);"
	say "cached_json|$times|direct|json|cache_ext|SELECT cached_json('dashboard:$n', \$q\$$query\$q\$, 3600);"
	[ $n != 10 ] || say "cached_json, an argument|$times|direct|json|cache_ext|SELECT cached_json('dashboard:$n', \$q\$${query%10}\$1\$q\$, 3600, 10);"
	[ $n != 0 ] || say "cache_get|$times|direct|value|cache_ext|SELECT cache_get('doc:$n');"
	say "UNLOGGED table, text|$times|direct|value||SELECT value FROM kv WHERE key = 'dashboard:$n' AND expires > now();"
	say "UNLOGGED table, jsonb|$times|direct|value||SELECT value FROM kvj WHERE key = 'dashboard:$n' AND expires > now();"
	say "PL/pgSQL get or compute|$times|direct|value||SELECT get_or_compute('dashboard:$n', \$q\$$as_text\$q\$, '1 day');"
	say "materialized view|$times|direct|rows||SELECT $cols FROM $mv WHERE pos <= $((n ? n : 1)) ORDER BY pos;"
	say "table scan|$times|direct|rows||SELECT * FROM rows_$n;"
	! has_peer memcached ||
		say "pgmemcache|$times|direct|value|memcached|SELECT memcache_get('dashboard:$n');"
	! has_peer redis_get ||
		say "PL/Python, Redis|$(((times + 3) / 4))|direct|value|redis|SELECT redis_get('dashboard:$n');"
	! has_peer pgpool ||
		say "pgpool-II|$times|pgpool|rows|pgpool|$([ $n = 0 ] && say 'SELECT doc FROM rows_0' || say "$query");"
	say "the query itself|1|alone|rows||$query;"
}

has_peer()
{
	case " $have " in *" $1 "*) ;; *) return 1 ;; esac
}

# How many hits COUNTER has counted so far.
hits_of()
{
	case $1 in
	cache_ext) q -c 'SELECT hits FROM cache_stats' ;;
	memcached) q -c "SELECT (regexp_match(memcache_stats(), 'get_hits: ([0-9]+)'))[1]" ;;
	redis) redis_cli INFO stats | sed -n 's/^keyspace_hits:\([0-9]*\).*/\1/p' ;;
	pgpool) pool_sql 'SHOW pool_cache' | cut -d'|' -f1 ;;
	esac
}

# Start what can be had, and give it the answers.  Sets have.
start_hits_peers()
{
	local n peer

	have=
	for peer in memcached redis pgpool; do
		start_$peer && have+=" $peer" || absent $peer
	done
	! has_peer redis || { make_redis_get && have+=' redis_get'; } || absent redis_get
	for n in $SHAPES; do
		! has_peer memcached ||
			q -o /dev/null -c "SELECT memcache_set('dashboard:$n', (SELECT value FROM kv WHERE key = 'dashboard:$n'))" || exit 1
		! has_peer redis ||
			printf '%s' "$(q -c "SELECT value FROM kv WHERE key = 'dashboard:$n'")" |
				redis_cli -x SET "dashboard:$n" >/dev/null || exit 1
	done
	q -o /dev/null -c "SELECT cache_set('doc:0', (SELECT value::jsonb FROM kv WHERE key = 'dashboard:0'), 3600)"
	pin_to_one
}

absent()
{
	local what

	case $1 in
	memcached) what=pgmemcache ;;
	pgpool) what=pgpool-II ;;
	*) what='PL/Python, Redis' ;;
	esac
	say "    without $what: $WHY"
	q -c "INSERT INTO absent VALUES ('$what', '${WHY//\'/\'\'}')"
}

# Run what follows as a session through SESSION, direct, alone or pgpool.
through()
{
	local HOST=$HOST PORT=$PORT CLOCK=$CLOCK VIA= session=$1

	shift
	case $session in
	alone) VIA=alone ;;
	pgpool)
		# the time of pgpool's processes counts as well; each client sees all
		HOST=$POOL PORT=$POOL_PORT VIA=pgpool
		CLOCK="SELECT $(cpu_time "'self'") + (SELECT sum($(cpu_time p)) FROM unnest('{${POOL_CHILDREN//$'\n'/,}}'::int[]) p)::bigint / $clients AS c,"
		CLOCK+=' extract(epoch FROM clock_timestamp()) AS t'
		;;
	esac
	"$@"
}

# In the extended protocol pgpool has other entries.
fill_pgpool()
{
	local mode clients=1

	has_peer pgpool || return 0
	awk -F'|' '$3 == "pgpool" { print $6 }' "$WORK/candidates.$1" >"$WORK/session.sql"
	for mode in extended prepared; do
		through pgpool pgb -n -M $mode -t 1 -f "$WORK/session.sql"
	done
}

# verify N [fill]: compare the candidates' answers with the query's.
verify()
{
	local n=$1 what times session kind counter sql before answer clients=1
	local -A truth

	for kind in rows json value; do
		q -c "SELECT CASE '$kind' WHEN 'rows' THEN query WHEN 'value' THEN as_text
			ELSE 'SELECT jsonb_agg(to_jsonb(t)) FROM (' || query || ') t' END || ';' FROM shapes WHERE n = $n" >"$WORK/verify.sql"
		truth[$kind]=$(q -f "$WORK/verify.sql" | md5sum)
	done
	while IFS='|' read -r what times session kind counter sql; do
		[ -n "$kind" ] || continue
		say "$sql" >"$WORK/verify.sql"
		before=$(hits_of "$counter")
		answer=$(through $session q -f "$WORK/verify.sql" | md5sum)
		[ "$answer" = "${truth[$kind]}" ] || complain "$what, shape $n: not what the query returns"
		[ -z "$counter" ] || [ -n "${2:-}" ] || [ $(($(hits_of "$counter") - before)) = 1 ] ||
			complain "$what, shape $n: not a hit"
	done <"$WORK/candidates.$n"
	! has_peer redis || [ "$(redis_cli GET "dashboard:$n" | md5sum)" = "${truth[value]}" ] ||
		complain "Redis GET, shape $n: not what the query returns"
}

count_before()
{
	local c

	before=()
	for c in cache_ext $have; do
		before[$c]=$(hits_of $c)
	done
}

# expect_hits CALLS TITLE: of each counter, "NAME=N" in CALLS, since $before
expect_hits()
{
	local c got

	for c in $1; do
		got=$(($(hits_of ${c%=*}) - before[${c%=*}]))
		[ $got = ${c#*=} ] || complain "$2: ${c#*=} calls that should be hits of ${c%=*}, $got hits"
	done
}

# one_client MODE ROUND: for each shape first what runs in one session, then the
# others.  Bundled, those are left out, and PL/Python, which is slow to start.
one_client()
{
	local mode=$1 round=$2 n session clients=1 passes sum
	local -A before=()

	count_before
	for n in $SHAPES; do
		for session in direct pgpool alone; do
			passes=$PASSES
			case $session/$mode in
			pgpool/*-bundled | alone/*-bundled | alone/extended) continue ;;
			alone/*) passes=2 ;;
			esac
			awk -F'|' -v s=$session -v mode=$mode '$3 == s && !($5 == "redis" && mode ~ /-bundled/) { print $1 "|" $2 "|" $6 }' \
				"$WORK/candidates.$n" >"$WORK/list"
			[ ! -s "$WORK/list" ] || PASSES=$passes through $session passes hits $n $mode $round <"$WORK/list"
		done
		case $mode in *-bundled) ;; *) redis_benchmark $n $mode 1 $round ;; esac
	done
	# redis-benchmark counts, too
	sum=$(for n in $SHAPES; do cat "$WORK/candidates.$n"; done | awk -F'|' -v p=$((PASSES + 1)) -v mode=$mode \
		-v redis=$((5 * BENCHMARK_CALLS)) -v times=$(times_counted $mode) '
		$5 != "" && !($5 ~ /pgpool|redis/ && mode ~ /-bundled/) { n[$5] += $2 * p * ($5 == "pgpool" ? times : 1) }
		END { if ("redis" in n) n["redis"] += redis; for (c in n) print c "=" n[c] }')
	expect_hits "$sum" "round $round, $mode"
}

# In the extended protocol pgpool counts a hit twice.
times_counted()
{
	[ $1 = simple ] && say 1 || say 2
}

# What of Redis is not SQL: its own client.
redis_benchmark()
{
	local rate calls=$BENCHMARK_CALLS

	has_peer redis || return 0
	rate=$($PIN redis-benchmark -s "$REDIS_SOCK" -c $3 -n $calls --csv GET "dashboard:$1" 2>/dev/null |
		awk -F'"' '$2 ~ /^GET/ { print $4 }')
	q -c "INSERT INTO runs VALUES ('hits', 'Redis GET, without SQL', '$1', '$2', $3, $4, 1, $calls, 0, $calls / ${rate:-NULL}::numeric, NULL, 'redis')"
}

# eight_clients MODE ROUND N: each in sessions of its own; round 0 finds out how
# many calls they are to do.
eight_clients()
{
	local mode=$1 round=$2 n=$3 what times session kind counter sql clients=8 SESSION_MS=250 FIRST_CALLS=100
	local -A before=()

	while IFS='|' read -r what times session kind counter sql; do
		case $what in constant* | *argument | *jsonb | cached_rows | 'the query itself') continue ;; esac
		count_before
		[ $session != direct ] || session=alone
		through $session measure hits "$what" $n $mode 8 $round "$sql"
		[ $round = 0 ] || [ -z "$counter" ] ||
			expect_hits $counter=$((8 * (CALLS[hits/$what/$n/$mode/8] + WARM - 1) *
				$([ $counter = pgpool ] && times_counted $mode || say 1))) "$what, shape $n, $mode, 8 clients"
	done <"$WORK/candidates.$n"
	[ $round = 0 ] || redis_benchmark $n $mode 8 $round
}

hits()
{
	local n mode round have BENCHMARK_CALLS=$((QUICK ? 2000 : 5000))

	start_hits_peers
	for n in $SHAPES; do
		candidates $n >"$WORK/candidates.$n"
		verify $n fill
		verify $n
		fill_pgpool $n
	done
	for ((round = 1; round <= ROUNDS; round++)); do
		for mode in $MODES; do
			say "    round $round, $mode, after $((SECONDS - t0)) s"
			one_client $mode $round
		done
	done
	pin "$ALL_CPUS"
	for mode in $MODES_8; do
		for ((round = 0; round <= (ROUNDS < 5 ? ROUNDS : 5); round++)); do
			say "    round $round, $mode, 8 clients, after $((SECONDS - t0)) s"
			for n in $SHAPES; do
				eight_clients $mode $round $n
			done
		done
	done
	pin_to_one
	for n in $SHAPES; do
		verify $n
	done
	stop_peers
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
		from="FROM (SELECT part, what, shape, mode, clients, ratio, ratio_min, ratio_max, cpu, cpu_min, cpu_max FROM results
			UNION ALL SELECT 'hits', format('%s: %s', what, why), '', '$mode', $clients, NULL, NULL, NULL, NULL, NULL, NULL FROM absent) x
			WHERE (part, mode, clients) = ('hits', '$mode', $clients) GROUP BY what ORDER BY array_position($ORDER, what), what"
		case $mode in
		simple-bundled) name="simple protocol, all calls of a block in one message" ;;
		prepared-bundled) name="prepared, all calls of a block in one pipeline" ;;
		*) name="$mode, $clients client$([ $clients = 1 ] || say s)" ;;
		esac
		table hits-$mode-$clients-ratio "Hits, $name: calls per second, ratio to SELECT 1 (min–max)" \
			"SELECT what AS \"$mode\" ${cells//CELL/spread(ratio, ratio_min, ratio_max)} $from"
		table hits-$mode-$clients-cpu "Hits, $name: server CPU per call, µs (min–max)" \
			"SELECT what AS \"$mode\" ${cells//CELL/spread(cpu, cpu_min, cpu_max)} $from"
		case $mode in *-bundled) continue ;; esac
		chart hits-$mode-$clients "Hits per second: $name" 'As a ratio to SELECT 1, more is better' log "
			SELECT shape, what, ratio, ratio_min, ratio_max FROM results JOIN shapes USING (shape)
			WHERE (part, mode, clients) = ('hits', '$mode', $clients) AND what NOT IN ('cached_query, an argument',
				'cached_json, an argument', 'the query itself')
			ORDER BY array_position($ORDER, what), n = 0, n"
	done
}

# against OTHER SHAPE MODE [WHAT [CLIENTS]]
against()
{
	say "SELECT * FROM versus('hits', '${4:-cached_query}', '$1', '$2', '$3', ${5:-1})"
}

hits_goals()
{
	local shape mode what

	goal '1 KB, cached_query against SELECT 1, prepared' '>=' 0.85 "$(against 'SELECT 1' '1 KB' prepared)"
	goal '1 KB, cached_query against SELECT 1, simple' '>=' 0.65 "$(against 'SELECT 1' '1 KB' simple)"
	goal '1 KB, cached_json against SELECT 1, prepared' '>=' 0.93 "$(against 'SELECT 1' '1 KB' prepared cached_json)"
	goal '1 KB, cached_json against SELECT 1, simple' '>=' 0.80 "$(against 'SELECT 1' '1 KB' simple cached_json)"
	goal '100 KB, cached_query against pgpool-II, simple' '>=' 1.5 "$(against pgpool-II '100 KB' simple)"
	goal '100 KB, cached_query against a scan of the rows, prepared' '>=' 2.0 "$(against 'table scan' '100 KB' prepared)"
	goal '10 KB, cached_query against pgpool-II, simple' '>=' 1.1 "$(against pgpool-II '10 KB' simple)"
	goal '1 KB, cached_query against pgpool-II, simple, 8 clients' '>=' 1.2 "$(against pgpool-II '1 KB' simple cached_query 8)"
	goal '1 KB, cached_json against pgpool-II, simple, 8 clients' '>=' 1.7 "$(against pgpool-II '1 KB' simple cached_json 8)"
	goal '1 KB, cached_json against an UNLOGGED table, simple' '>=' 1.8 "$(against 'UNLOGGED table, text' '1 KB' simple cached_json)"
	goal '1 KB, cached_json against an UNLOGGED table, prepared' '>=' 1.25 "$(against 'UNLOGGED table, text' '1 KB' prepared cached_json)"
	for mode in simple prepared; do
		goal "100 KB, cached_json against an UNLOGGED table, $mode" '>=' 1.5 "$(against 'UNLOGGED table, text' '100 KB' $mode cached_json)"
	done
	for shape in '200 B' '1 KB' '10 KB' '100 KB' 'JSON value'; do
		goal "$shape, cached_query against pgpool-II, prepared" '>=' $([ "$shape" = '1 KB' ] && say 5 || say 3) \
			"$(against pgpool-II "$shape" prepared)"
	done
	for what in cached_query cached_json; do
		for mode in simple prepared; do
			goal "1 KB, $what, $mode: ratio to SELECT 1 with 8 clients, against that with 1" '>=' 0.95 "
				SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY b.ratio / a.ratio), min(b.ratio / a.ratio), max(b.ratio / a.ratio)
				FROM rounds a JOIN rounds b USING (part, what, shape, mode, round)
				WHERE (part, what, shape, mode, a.clients, b.clients) = ('hits', '$what', '1 KB', '$mode', 1, 8)"
		done
	done
}
