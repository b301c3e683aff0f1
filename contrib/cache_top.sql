-- A live view of the cache, for psql: \i cache_top.sql
--
-- Needs pg_monitor, or pg_read_all_stats.  Ends with Ctrl-C.  Rates are those
-- since the last time; the session remembers that in settings of its own.

\pset format unaligned
\pset tuples_only on
\pset footer off

WITH now AS MATERIALIZED (
	SELECT s.*, extract(epoch FROM clock_timestamp()) AS at
	FROM cache_stats AS s
), before AS MATERIALIZED (
	SELECT nullif(current_setting('cache_top.at', true), '')::numeric AS at,
		   nullif(current_setting('cache_top.hits', true), '')::bigint AS hits,
		   nullif(current_setting('cache_top.misses', true), '')::bigint AS misses,
		   nullif(current_setting('cache_top.bypasses', true), '')::bigint AS bypasses
), remembered AS MATERIALIZED (
	SELECT set_config('cache_top.at', n.at::text, false),
		   set_config('cache_top.hits', n.hits::text, false),
		   set_config('cache_top.misses', n.misses::text, false),
		   set_config('cache_top.bypasses', n.bypasses::text, false)
	FROM before AS b, now AS n
), lines AS (
	SELECT 1 AS part, 0::bigint AS n,
		   format('%s, %s %% hits; a second: %s hits, %s misses, %s bypasses',
				  upper(h.status), coalesce(round((100 * s.hit_ratio)::numeric, 1)::text, '-'),
				  coalesce(round((s.hits - b.hits) / nullif(s.at - b.at, 0), 1)::text, '-'),
				  coalesce(round((s.misses - b.misses) / nullif(s.at - b.at, 0), 1)::text, '-'),
				  coalesce(round((s.bypasses - b.bypasses) / nullif(s.at - b.at, 0), 1)::text, '-')) AS line
	FROM cache_health AS h, now AS s, before AS b, remembered
	UNION ALL
	SELECT 2, 0, format('%s entries in %s of %s; 95 %% of hits below %s ms, of queries below %s ms; saved %s',
						s.entries, pg_size_pretty(s.memory_used), pg_size_pretty(s.memory_limit),
						coalesce(round(s.hit_time_p95_ms::numeric, 4)::text, '-'),
						coalesce(round(s.fill_time_p95_ms::numeric, 2)::text, '-'),
						date_trunc('second', s.time_saved))
	FROM now AS s
	UNION ALL
	SELECT 3, row_number() OVER (), '! ' || r.topic || coalesce(' of ' || r.namespace, '') || ': ' || r.figure
	FROM cache_recommendations AS r
	UNION ALL
	SELECT 4, 0, E'\n' || rpad('KEY', 48) || lpad('HITS', 10) || lpad('QUERY MS', 12) || lpad('SAVED S', 12) || lpad('BYTES', 10) || lpad('TTL', 10)
	UNION ALL
	SELECT 5, row_number() OVER (ORDER BY e.hits DESC, e.key),
		   rpad(regexp_replace(e.key, '[^[:print:]]', '?', 'g'), 48)
		   || lpad(e.hits::text, 10) || lpad(round(e.fill_ms::numeric, 2)::text, 12)
		   || lpad(round((e.hits * e.fill_ms / 1000)::numeric, 2)::text, 12) || lpad(e.size::text, 10)
		   || lpad(date_trunc('second', e.expires - clock_timestamp())::text, 10)
	FROM (SELECT * FROM cache_entries WHERE alive ORDER BY hits DESC, key LIMIT 20) AS e
)
SELECT line FROM lines ORDER BY part, n
\watch 2
