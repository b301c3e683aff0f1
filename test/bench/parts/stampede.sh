# test/bench/parts/stampede.sh - many clients ask at once for what is not there

executions()
{
	grep -c 'the slow query runs' "$HOST/log"
}

stampede()
{
	local loops round what sql before

	cat >"$WORK/script.sql" <<-END
		SELECT slow(100000) \\g /dev/null
		SELECT extract(epoch FROM clock_timestamp()) AS t \\gset
		SELECT slow(1000000) \\g /dev/null
		SELECT floor(0.3 * 1000000 / (extract(epoch FROM clock_timestamp()) - :t));
	END
	loops=$(q -f "$WORK/script.sql") || exit 1
	pin "$ALL_CPUS"
	for ((round = 1; round <= (QUICK ? 1 : 3); round++)); do
		for what in cached_json 'PL/pgSQL get or compute'; do
			case $what in
			cached_json) sql="SELECT cached_json('stampede/$round', 'SELECT slow($loops)', 3600);" ;;
			*) sql="SELECT get_or_compute('stampede/$round', 'SELECT slow($loops)', '1 day');" ;;
			esac
			say "$sql" >"$WORK/session.sql"
			before=$(executions)
			rm -f "$WORK"/st.*
			pgb -n -c 50 -j 2 -t 1 -l --log-prefix=st -f "$WORK/session.sql"
			cat "$WORK"/st.* | awk -v what="$what" -v round=$round -v runs=$(($(executions) - before)) '
				NR == 1 { base = $5 }
				{ e = ($5 - base) * 1000 + $6 / 1000; s = e - $3 / 1000
				  if (NR == 1 || s < first) first = s
				  if (NR == 1 || e > last) last = e
				  if ($3 > slowest) slowest = $3 }
				END { printf "INSERT INTO stampede VALUES (\047%s\047, %d, %d, %.3f, %.3f);\n",
					what, round, runs, last - first, slowest / 1000 }' | script
		done
	done
	[ "$(q -c "SELECT max(executions) FROM stampede WHERE what = 'cached_json'")" = 1 ] ||
		complain "stampede: the query ran more than once"
	pin_to_one
}

stampede_tables()
{
	table stampede "50 clients ask at once for what takes 300 ms of CPU" "
		SELECT what, count(*) AS rounds, max(executions) AS \"executions of the query\",
			round(percentile_cont(0.5) WITHIN GROUP (ORDER BY total_ms)::numeric) AS \"until all are served, ms\"
		FROM stampede GROUP BY what ORDER BY what DESC"
}
