# test/bench/parts/memory.sh - what an entry takes besides its value

memory()
{
	local size

	for size in 8 100 1000 10000; do
		script <<-END
			SELECT memory_used AS used FROM cache_stats \\gset
			SELECT count(*) AS n, sum(pg_column_size(cached_json('memory:$size:' || g,
				'SELECT repeat(''x'', $size) AS v', 3600))) AS payload
			FROM generate_series(1, 2000) g \\gset
			INSERT INTO entry_memory
			SELECT :payload / :n, :n, avg(length(key)), (sum(size) - :payload) / :n - avg(length(key)),
				((SELECT memory_used FROM cache_stats) - :used) / :n::float8
			FROM cache_entries WHERE alive AND key LIKE 'memory:$size:%' HAVING count(*) = :n;
		END
	done
	[ "$(q -c 'SELECT count(*) FROM entry_memory')" = 4 ] || complain "memory: not all entries were there"
}

memory_tables()
{
	table memory "Memory of an entry, bytes (average of 2,000)" "
		SELECT payload, round(key::numeric) AS key, round(bookkeeping::numeric) AS bookkeeping,
			round((in_store - payload - key - bookkeeping)::numeric) AS \"rounded up to chunks\",
			round(in_store::numeric) AS \"in all\"
		FROM entry_memory ORDER BY payload"
}

memory_goals()
{
	goal 'bookkeeping of an entry beyond its value and its key, bytes' '<=' 200 \
		"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY bookkeeping), min(bookkeeping), max(bookkeeping) FROM entry_memory"
}
