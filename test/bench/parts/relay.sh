# test/bench/parts/relay.sh - what passing invalidations on to Redis costs, and how fast it is
#
# On a server of its own, to which Redis is known for this only.

relay_switch()
{
	q -o /dev/null -c "ALTER SYSTEM SET cache_ext.redis_relay = $1" -c 'SELECT pg_reload_conf()' || exit 1
	until [ "$(q -c 'SELECT state, queue_length FROM cache_relay')" = "$1|0" ]; do sleep 0.1; done
}

# relay_drain WHAT ROUND TABLE TIMES ROWS INVALIDATIONS: the relay is
# stopped, so many transactions commit, and it goes on.
relay_drain()
{
	local pid flushes got subscriber

	flushes=$(q -c 'SELECT flushes FROM cache_relay')
	awk 'BEGIN { for (i = 1; i <= 10000; i++) print "SET student:" i " copy\nSET other:" i " copy" }' | redis_cli >/dev/null
	: >"$WORK/messages"
	redis-cli -s "$REDIS_SOCK" subscribe cache_ext:invalidate:bench >"$WORK/messages" &
	subscriber=$!
	until [ -s "$WORK/messages" ]; do sleep 0.1; done

	pid=$(q -c 'SELECT pid FROM cache_relay')
	kill -STOP $pid
	q -c "CALL updates('$3', $4, $5)"
	cat >"$WORK/script.sql" <<-END
		SELECT clock_timestamp() AS since, queue_length FROM cache_relay \\gset
		\\! kill -CONT $pid
		INSERT INTO relayed SELECT '$1', $2, $6, :queue_length, drained(:'since');
	END
	q -f "$WORK/script.sql" || die "the relay is not through"

	# each commit is one message, and keys are gone before it
	[ "$(redis_cli --scan --pattern 'student:*' | wc -l)" = 0 ] || complain "relay, $1: keys are left in Redis"
	[ "$(q -c 'SELECT flushes FROM cache_relay')" = $flushes ] || complain "relay, $1: the queue was too short"
	redis_cli publish cache_ext:invalidate:bench end >/dev/null
	until grep -q '^end' "$WORK/messages"; do sleep 0.1; done
	kill $subscriber
	wait $subscriber 2>/dev/null
	got=$(grep -c '^{' "$WORK/messages")
	[ $got = $4 ] || complain "relay, $1: $got messages of $4"
}

relay()
{
	local round on main=$HOST id='\set id random(1, 10000)' n=$((QUICK ? 20000 : 50000))

	start_redis || { say "    without Redis: $WHY"; return; }
	start_server "$WORK/relay" preload
	printf '%s\n' "cache_ext.redis_url = 'unix://$REDIS_SOCK'" 'cache_ext.storage = shared_memory' \
		'cache_ext.redis_relay_queue = 64MB' | as_user tee -a "$HOST/data/postgresql.conf" >/dev/null
	restart_server
	q -c 'CREATE EXTENSION cache_ext' -f "$BENCH/parts/writes.sql" -f "$BENCH/parts/relay.sql" \
		-c 'CREATE TABLE w_pattern (LIKE w_none INCLUDING ALL) WITH (fillfactor = 50)' \
		-c 'INSERT INTO w_pattern TABLE w_none' -c "SELECT cache_attach('w_pattern', 'student:*')" -o /dev/null || exit 1
	pin_to_one

	for ((round = 1; round <= ROUNDS; round++)); do
		for on in off on; do
			relay_switch $on
			passes relay $on prepared $round <<-END
				no trigger|40|UPDATE w_none SET v = v + 1 WHERE id = :id;|$id
				cache_attach|40|UPDATE w_attach SET v = v + 1 WHERE id = :id;|$id
			END
		done
	done

	relay_switch on
	pin "$ALL_CPUS"
	for ((round = 1; round <= (QUICK ? 1 : 3); round++)); do
		relay_drain 'one key each' $round w_attach $n 1 1
		relay_drain '100 keys each' $round w_attach $((n / 100)) 100 100
		relay_drain 'a pattern each, 10,000 other keys in Redis' $round w_pattern $((n / 100)) 1 1
	done

	q -c 'COPY runs TO STDOUT' >"$WORK/runs.copy" && q -c 'COPY relayed TO STDOUT' >"$WORK/relayed.copy" || exit 1
	HOST=$main
	q -c "\\copy runs FROM '$WORK/runs.copy'" -c "\\copy relayed FROM '$WORK/relayed.copy'"
	stop_peers
	pin_to_one
}

relay_tables()
{
	local on cells=

	for on in off on; do
		cells+=", round(max(rate) FILTER (WHERE shape = '$on')::numeric) AS \"relay $on: per second\",
			max(spread(ratio, ratio_min, ratio_max)) FILTER (WHERE shape = '$on') AS \"$on: ratio\",
			max(spread(cpu, cpu_min, cpu_max)) FILTER (WHERE shape = '$on') AS \"$on: server CPU, µs\""
	done
	table relay-commit "UPDATE of one row, synchronous_commit = off, prepared, 1 client, with and without the relay" "
		SELECT what $cells FROM results WHERE part = 'relay' GROUP BY what ORDER BY what <> 'no trigger'"
	table relay "What the relay sends, from a queue that is full" "
		SELECT what AS \"transactions of\", max(transactions) AS transactions,
			spread(percentile_cont(0.5) WITHIN GROUP (ORDER BY rate), min(rate), max(rate)) AS \"transactions per second\",
			round((percentile_cont(0.5) WITHIN GROUP (ORDER BY rate) * max(invalidations))::numeric) AS \"keys or patterns per second\"
		FROM (SELECT *, transactions / seconds AS rate FROM relayed) r GROUP BY what ORDER BY what DESC"
}
