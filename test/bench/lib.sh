# test/bench/lib.sh - what test/bench/run and the parts of the benchmark share
#
# Sourced by test/bench/run after test/lib.sh.  A part is a file
# parts/NAME.sh with these functions, of which only the first must be there:
#
#	NAME()			measure; the server is up, $HOST its socket directory
#	NAME_tables()	write what was measured, by calls of "table"
#	NAME_goals()	compare with what is to be reached, by calls of "goal"
#
# and, if it needs tables of its own, a script parts/NAME.sql, which is run just
# before NAME().  All SQL runs as postgres in the database bench.

WARM=5						# calls of a session before its clock starts
PIN=						# what starts pgbench on the right processors
HOST= PORT=5432				# the server to ask, by its socket
VIA=						# what of runs.via a session has
wrong=0

# q [psql options]: on the server at $HOST.
q()
{
	PGHOST=$HOST PGPORT=$PORT PGUSER=postgres PGDATABASE=bench "$BINDIR/psql" -XAtq -v ON_ERROR_STOP=1 "$@" </dev/null
}

# Run a script from standard input.
script()
{
	cat >"$WORK/script.sql"
	run_job q -o /dev/null -f "$WORK/script.sql" || die "a script failed"
}

# pgb [pgbench options]
pgb()
{
	(cd "$WORK" && PGHOST=$HOST PGPORT=$PORT PGUSER=postgres exec $PIN "$BINDIR/pgbench" "$@" bench) \
		</dev/null >"$WORK/pgbench.log" 2>&1 || { tail -5 "$WORK/pgbench.log"; die "pgbench failed"; }
}

wants()
{
	case " ${PARTS//$'\n'/ } " in *" $1 "*) ;; *) return 1 ;; esac
}

complain()
{
	say "WRONG: $*" | tee -a "$WORK/wrong"
	wrong=$((wrong + 1))
}

# start_server DIR [preload]
start_server()
{
	HOST=$1
	as_user mkdir "$HOST"
	as_user "$BINDIR/initdb" -D "$HOST/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 \
		--no-sync >"$WORK/initdb.log" 2>&1 || { cat "$WORK/initdb.log"; die "initdb failed"; }
	{
		local_conf
		[ -z "${2:-}" ] || printf "shared_preload_libraries = 'cache_ext'\ncache_ext.memory = %s\n" $MEMORY
		cat <<-END
			unix_socket_directories = '$HOST'
			listen_addresses = ''
			shared_buffers = 512MB
			# nothing that runs now and then, and one process for a query
			autovacuum = off
			bgwriter_lru_maxpages = 0
			checkpoint_timeout = 1d
			max_wal_size = 8GB
			jit = off
			max_parallel_workers_per_gather = 0
			synchronous_commit = off
			# only because the data is thrown away
			fsync = off
			wal_level = minimal
			max_wal_senders = 0
		END
	} | as_user tee -a "$HOST/data/postgresql.conf" >/dev/null
	as_user "$BINDIR/pg_ctl" -D "$HOST/data" -l "$HOST/log" -w start >/dev/null ||
		{ tail -20 "$HOST/log"; die "the server does not start"; }
	PGHOST=$HOST PGUSER=postgres "$BINDIR/psql" -Xq -d postgres -c 'CREATE DATABASE bench' || exit 1
	q -f "$BENCH/runs.sql" || exit 1
}

# Stop and start the server at $HOST.
restart_server()
{
	as_user "$BINDIR/pg_ctl" -D "$HOST/data" -l "$HOST/log" -w restart >/dev/null ||
		{ tail -20 "$HOST/log"; die "the server does not start again"; }
}

# ---------------------------------------------------------------------------
# Measuring
# ---------------------------------------------------------------------------

# pin LIST: let clients and backends to come run on these processors.  One
# client and its backend share one: they never run at the same time, and waking
# a processor that sleeps takes longer than a hit, and never the same.  The same
# goes for the peers.
pin()
{
	local pid

	PIN=
	[ -n "$ALL_CPUS" ] || return 0
	for pid in $(head -1 "$HOST/data/postmaster.pid") $(peer_pids); do
		taskset -acp "$1" "$pid" >/dev/null || return
	done
	PIN="taskset -c $1"
}

pin_to_one()
{
	pin "${ALL_CPUS##*[,-]}"
}

# cpu_time PID: SQL for the CPU time of a process, in ns.  The kernel tells it to
# the nanosecond, as of the last time that the process went to sleep, or else in
# ticks.
cpu_time()
{
	if grep -q '^[1-9]' /proc/$$/schedstat 2>/dev/null; then
		say "split_part(pg_read_file(concat('/proc/', $1, '/schedstat')), ' ', 1)::bigint"
	else
		say "(SELECT (f[12]::bigint + f[13]::bigint) * $((1000000000 / $(getconf CLK_TCK))) FROM string_to_array(
			regexp_replace(pg_read_file(concat('/proc/', $1, '/stat')), '.*[)] ', ''), ' ') f)" | tr '\n\t' '  '
	fi
}

# Sets CLOCK, an SQL query for the backend's CPU time and the time of day.
set_clock()
{
	CLOCK="SELECT $(cpu_time "'self'") AS c, extract(epoch FROM clock_timestamp()) AS t"
}

# The calls of one block: times SQL [SETS]; bundled, they are one message in
# the simple protocol, one pipeline in the other.
block()
{
	local i times=$1 sql=$2 sets=${3:-}

	if [ "$bundled" = 1 ] && [ $times -gt 1 ]; then
		if [ $protocol = simple ]; then
			for ((i = 1; i < times; i++)); do
				printf '%s \\;\n' "${sql%;}"
			done
			say "$sql"
		else
			say '\startpipeline'
			for ((i = 0; i < times; i++)); do
				say "$sql"
			done
			say '\endpipeline'
		fi
	else
		for ((i = 0; i < times; i++)); do
			[ -z "$sets" ] || say "$sets"
			say "$sql"
		done
	fi
}

# passes PART SHAPE MODE ROUND: one client, one session, which goes through the
# candidates in standard input again and again, in blocks of some calls, and
# reads its clocks between them.  Lines are WHAT|TIMES|SQL|SETS.  What a block
# without calls takes is noted, too, to be subtracted.  The first pass does not
# count.
passes()
{
	local part=$1 shape=$2 mode=$3 round=$4 protocol=${3%-bundled} bundled=0 n=1 values what times sql sets

	[ "$mode" = "$protocol" ] || bundled=1
	{
		printf '%s\n' '\set p :p + 1' "$CLOCK \\gset a0_" "$CLOCK \\gset a1_"
		values="note('$part', 'nothing', '$shape', '$mode', 1, $round, :p, 0, :a0_t::numeric, :a1_t::numeric, :a1_c::bigint - :a0_c::bigint, '$VIA')"
		while IFS='|' read -r what times sql sets; do
			block "$times" "$sql" "$sets"
			say "$CLOCK \\gset a$((n + 1))_"
			values+=", note('$part', '$what', '$shape', '$mode', 1, $round, :p, $times,"
			values+=" :a${n}_t::numeric, :a$((n + 1))_t::numeric, :a$((n + 1))_c::bigint - :a${n}_c::bigint, '$VIA')"
			n=$((n + 1))
		done
		printf '%s\n' '\if :p > 0' "SELECT $values;" '\endif'
	} >"$WORK/session.sql"
	pgb -n -M "$protocol" -c 1 -t $((PASSES + 1)) -D p=-1 -D k="${FIRST_KEY:-0}" -f "$WORK/session.sql"
}

# session PART WHAT SHAPE MODE CLIENTS ROUND CALLS SQL [SETS]: a session, or
# several, for one candidate alone.
session()
{
	local last=$(($7 + WARM - 1))

	cat >"$WORK/session.sql" <<-END
		\\set i :i + 1
		\\if :i <= $WARM
		$CLOCK \\gset a_
		\\endif
		${9:-}
		$8
		\\if :i = $last
		$CLOCK \\gset b_
		SELECT note('$1', '$2', '$3', '$4', $5, $6, 0, $7, :a_t::numeric, :b_t::numeric, :b_c::bigint - :a_c::bigint, '$VIA');
		\\endif
	END
	pgb -n -M "$4" -c "$5" -j $((($5 + 1) / 2)) -t $last -D i=0 -f "$WORK/session.sql"
}

declare -A CALLS

# measure PART WHAT SHAPE MODE CLIENTS ROUND SQL [SETS]: the same for
# $SESSION_MS; round 0 finds out how many calls that is, from $FIRST_CALLS on.
measure()
{
	local n=${FIRST_CALLS:-3} id="$1/$2/$3/$4/$5"

	if [ "$6" != 0 ]; then
		session "${@:1:6}" ${CALLS[$id]} "${@:7}"
		return
	fi
	while :; do
		session "${@:1:6}" $n "${@:7}"
		CALLS[$id]=$(q -c "SELECT greatest(3, floor($SESSION_MS / 1000.0 * max(calls) / greatest(max(t1) - min(t0), 0.000001)))
			FROM runs WHERE (part, what, shape, mode, clients, round, calls) = ('$1', '$2', '$3', '$4', $5, 0, $n)")
		[ ${CALLS[$id]} -gt $((n * 10)) ] && [ $n -lt 1000 ] || break
		n=$((n * 10))
	done
}

# ---------------------------------------------------------------------------
# Tables
# ---------------------------------------------------------------------------

# table NAME TITLE QUERY: as CSV and, with a title, as Markdown
table()
{
	q --csv -P tuples_only=off -c "$3" >"$RESULTS/$1.csv" || exit 1
	[ -n "$2" ] || return 0
	{
		printf '### %s\n\n' "$2"
		q -P tuples_only=off -P footer=off -P fieldsep=' | ' -c "$3" |
			awk -F ' [|] ' '{ print "| " $0 " |" }
				NR == 1 { printf "|"; for (i = 1; i <= NF; i++) printf (i == 1 ? "---|" : "---:|"); print "" }'
		say
	} >>"$RESULTS/results.md"
}

# chart NAME TITLE UNIT AXIS QUERY: bars as SVG.  AXIS is linear or log; the
# query returns panel, row, value, and the lowest and highest round's.
chart()
{
	q -F $'\t' -c "$5" | awk -v title="$2" -v unit="$3" -v axis="$4" -v source="$SOURCE" -f "$BENCH/chart.awk" \
		>"$RESULTS/$1.svg" || exit 1
	[ -s "$RESULTS/$1.svg" ] || { rm -f "$RESULTS/$1.svg"; return 0; }
	printf '![%s](%s.svg)\n\n' "$2" "$1" >>"$RESULTS/results.md"
}

# Columns of results, for a table.
FIGURES="what, round(rate::numeric) AS \"per second\", spread(ratio, ratio_min, ratio_max) AS ratio,
	spread(cpu, cpu_min, cpu_max) AS \"server CPU, µs\", digits(more) AS \"above the first, µs\""

# goal WHAT OPERATOR FIGURE QUERY: what is to be reached, as ">= 0.85", and a
# query for what was: a row of median, lowest and highest, or none.
goal()
{
	q -c "INSERT INTO goals (what, operator, figure, m, lo, hi)
		SELECT '$1', '$2', $3, m, lo, hi FROM ($4) x(m, lo, hi) WHERE m IS NOT NULL" || exit 1
}

goals_table()
{
	[ "$(q -c 'SELECT count(*) FROM goals')" != 0 ] || return 0
	table goals "Goals" "
		SELECT what AS goal, operator || ' ' || figure AS \"to reach\", concat(three(m), ' (', three(lo), '–', three(hi), ')') AS measured,
			CASE WHEN CASE operator WHEN '>=' THEN m >= figure ELSE m <= figure END THEN 'yes' ELSE 'no' END AS reached
		FROM goals ORDER BY nth"
}
