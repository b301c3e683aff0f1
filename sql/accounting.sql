\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- What is counted, in all and by namespace
--
-- Runs first: there is room for 127 namespaces, which last as long as the server.
--

CREATE TABLE t (id integer PRIMARY KEY, v text);

-- the counters of a known course of events
SELECT cache_stats_reset();
SELECT hits, misses, hit_ratio, bypasses, fills, fills_discarded, errors, time_saved, hit_time_mean_ms, fill_time_p99_ms, stats_reset <= now() AS reset FROM cache_stats;
SELECT count(*) FROM cache_bypass_reasons;
SELECT status FROM probe('n1:a', 'SELECT 1 AS a');
SELECT status FROM probe('n1:a', 'SELECT 1 AS a');
SELECT status FROM probe('n1:a', 'SELECT 1 AS a');
SELECT status FROM probe('n1:b', 'SELECT 1 AS a');
SELECT status FROM probe('n2:a', 'SELECT random() < 2 AS a');
SELECT status FROM probe('n2:a', 'SELECT random() < 2 AS a');
SELECT status FROM probe('n2:a', 'SELECT count(*) > 0 AS a FROM pg_class');
SELECT status FROM probe('alone', 'SELECT count(*) FROM t');
SELECT hits, misses, hit_ratio, bypasses, fills, fills_discarded FROM cache_stats;
SELECT hit_time_mean_ms > 0 AND hit_time_p50_ms > 0 AND hit_time_p95_ms >= hit_time_p50_ms AND hit_time_p99_ms >= hit_time_p95_ms AS hit_times,
	fill_time_mean_ms > 0 AND fill_time_p50_ms > 0 AND fill_time_p95_ms >= fill_time_p50_ms AND fill_time_p99_ms >= fill_time_p95_ms AS fill_times,
	time_saved >= '0' AND time_saved < '1 min' AS time_saved,
	memory_used > 0 AND memory_used < memory_limit AS memory, entries >= 3 AS entries
FROM cache_stats;
-- the mean lies between the fastest and the slowest
SELECT hit_time_mean_ms <= hit_time_p99_ms * 1.3 AS hit, fill_time_mean_ms <= fill_time_p99_ms * 1.3 AS fill FROM cache_stats;
SELECT namespace, hits, misses, hit_ratio, bypasses, fills FROM cache_stats_by_namespace ORDER BY namespace COLLATE "C";
SELECT reason, count FROM cache_bypass_reasons ORDER BY reason COLLATE "C";
-- an error of the query
SELECT err($$SELECT cached_json('n1:error', 'SELECT 1 / 0', 60)$$);
SELECT misses, fills, errors FROM cache_stats;
-- values count, too
SELECT cache_set('n3:v', '1');
SELECT cache_get('n3:v'), cache_get('n3:none');
SELECT namespace, hits, misses FROM cache_stats_by_namespace WHERE namespace = 'n3';
-- invalidations, when they take effect
SELECT invalidations AS before FROM cache_stats \gset
BEGIN;
SELECT cache_invalidate('n1:a');
ROLLBACK;
SELECT invalidations = :before AS rolled_back FROM cache_stats;
SELECT cache_invalidate('n1:a');
SELECT invalidations > :before AS committed FROM cache_stats;
-- expired
SELECT status FROM probe('n4:x', 'SELECT 1 AS a', '0.000001');
-- the empty first segment, a long one, one without a colon
SELECT status FROM probe(':x', 'SELECT 1 AS a');
SELECT status FROM probe(repeat('long', 50) || ':x', 'SELECT 1 AS a');
SELECT namespace, length(namespace), misses FROM cache_stats_by_namespace WHERE namespace = '' OR namespace LIKE 'long%' OR namespace = 'alone' ORDER BY namespace COLLATE "C";
-- what becomes of the counters with a rollback: it has happened
SELECT misses AS before FROM cache_stats \gset
BEGIN;
SELECT status FROM probe('n1:rollback', 'SELECT 1 AS a');
ROLLBACK;
SELECT misses - :before AS more FROM cache_stats;
SELECT cache_stats_reset();
SELECT hits, misses, hit_ratio, bypasses, fills, errors FROM cache_stats;
SELECT count(*) FROM cache_stats_by_namespace;
SELECT entries > 0 AS "entries stay" FROM cache_stats;

DROP TABLE t;
