# test/bench/parts/mixed.sh - reads and writes at once, every answer compared

# read_sql METHOD: how it answers for the row m of mix, and the check.
read_sql()
{
	local answer query="SELECT m.id, m.v, (SELECT sum(n) FROM mix_items WHERE thing = m.id) AS total FROM mix m WHERE m.id = "

	case $1 in
	'no cache') answer="(SELECT jsonb_agg(to_jsonb(t)) FROM (${query} :id) t)" ;;
	cached_json) answer="cached_json('mix:' || m.id, '$query \$1', 86400, m.id)" ;;
	*) answer="get_or_compute('mix:' || m.id, 'SELECT jsonb_agg(to_jsonb(t))::text FROM ($query' || m.id || ') t', '1 day')::jsonb" ;;
	esac
	printf '%s\n' '\set id 1 + permute(random_zipfian(1, 1000, 1.1) - 1, 1000)' \
		"SELECT mix_check('$1', m.id, m.v, $answer) FROM mix m WHERE m.id = :id;"
}

# How many answers were computed since the statistics' reset.
computed()
{
	until [ "$(q -c "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'")" = 0 ]; do
		sleep 0.1
	done
	case $1 in
	'no cache') say "$2" ;;
	cached_json) q -c "SELECT $2 - hits FROM cache_stats" ;;
	*) q -c "SELECT n_tup_ins + n_tup_upd FROM pg_stat_user_tables WHERE relname = 'kv'" ;;
	esac
}

# mixture WRITES METHOD ROUND: beginning with all in the cache.
mixture()
{
	local writes=$1 method=$2 round=$3 clients=8 rate reads

	cat >"$WORK/script.sql" <<-END
		SET client_min_messages = warning;
		SELECT cache_detach('mix'), cache_clear();
		DROP TRIGGER IF EXISTS cache ON mix;
		DELETE FROM kv WHERE key LIKE 'mix:%';
		VACUUM kv;
		TRUNCATE mix_wrong;
	END
	case $method in
	cached_json) say "SELECT cache_attach('mix', 'mix:{id}');" ;;
	PL*) say "CREATE TRIGGER cache AFTER UPDATE ON mix FOR EACH ROW EXECUTE FUNCTION mix_delete();" ;;
	esac >>"$WORK/script.sql"
	read_sql "$method" >"$WORK/read.sql"
	[ "$method" = 'no cache' ] || sed -n 's/ WHERE m.id = :id;/;/; 2p' "$WORK/read.sql" >>"$WORK/script.sql"
	printf 'SELECT %s();\n' pg_stat_force_next_flush pg_stat_reset cache_stats_reset >>"$WORK/script.sql"
	run_job q -o /dev/null -f "$WORK/script.sql" || die "could not prepare $method"

	printf '%s\n' '\set id 1 + permute(random_zipfian(1, 1000, 1.1) - 1, 1000)' 'SELECT mix_write(:id);' >"$WORK/write.sql"
	pgb -n -M prepared -c $clients -j 2 -T $((QUICK ? 1 : 4)) --random-seed=$round \
		-f "$WORK/read.sql@$((100 - writes))" -f "$WORK/write.sql@$writes"
	rate=$(sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$WORK/pgbench.log" | tail -1)
	reads=$(sed -n 's/^ - \([0-9]*\) transactions.*/\1/p' "$WORK/pgbench.log" | head -1)
	q -c "INSERT INTO mixed SELECT $writes, '$method', $round, $clients, $rate, $reads, $(computed "$method" $reads),
			(SELECT count(*) FROM mix_wrong)" || exit 1
}

mixed()
{
	local round writes method

	pin "$ALL_CPUS"
	for ((round = 1; round <= (QUICK ? 1 : 2); round++)); do
		for writes in $([ -n "$QUICK" ] && say 20 || say 5 20 50); do
			say "    round $round, $writes % writes, after $((SECONDS - t0)) s"
			for method in 'no cache' cached_json 'PL/pgSQL get or compute'; do
				mixture $writes "$method" $round
			done
		done
	done
	pin_to_one
	q -o /dev/null -c "DELETE FROM kv WHERE key LIKE 'mix:%'"
	[ "$(q -c "SELECT sum(wrong) FROM mixed WHERE method NOT LIKE 'PL%'")" = 0 ] ||
		complain "mixed load: $(q -c "SELECT string_agg(format('%s, %s %% writes: %s of %s', method, writes, wrong, reads), '; ')
			FROM mixed WHERE method NOT LIKE 'PL%' AND wrong > 0") answers wrong"
	[ "$(q -c "SELECT count(*) FROM mixed WHERE method <> 'no cache' AND computed >= reads")" = 0 ] ||
		complain "mixed load: nothing was answered from a cache"
}

mixed_tables()
{
	table mixed "Reads and writes at once, $(q -c 'SELECT max(clients) FROM mixed') clients, keys by Zipf; every answer compared" "
		SELECT writes AS \"writes, %\", method, round(percentile_cont(0.5) WITHIN GROUP (ORDER BY rate)::numeric) AS \"per second\",
			spread(percentile_cont(0.5) WITHIN GROUP (ORDER BY ratio), min(ratio), max(ratio)) AS \"against no cache\",
			round(100 - 100.0 * sum(computed) / sum(reads), 1) AS \"hits, %\", sum(reads) AS answers, sum(wrong) AS wrong
		FROM mixed_ratio GROUP BY 1, 2 ORDER BY 1, method <> 'no cache', method"
	chart mixed 'Reads and writes at once' 'Transactions per second, as a ratio to no cache' linear "
		SELECT writes || ' % writes', method, percentile_cont(0.5) WITHIN GROUP (ORDER BY ratio), min(ratio), max(ratio)
		FROM mixed_ratio WHERE method <> 'no cache' GROUP BY writes, method ORDER BY writes, method"
}

mixed_goals()
{
	goal 'mixed load: wrong answers' '<=' 0 "SELECT sum(wrong), min(wrong), max(wrong) FROM mixed WHERE method = 'cached_json'"
}
