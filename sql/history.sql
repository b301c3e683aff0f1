\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- The last 24 hours, and what caching pays
--

-- as if so many hours had passed
CREATE FUNCTION history_age(hours integer) RETURNS void AS 'cache_ext', 'cache_history_age' LANGUAGE c STRICT;
CREATE FUNCTION history() RETURNS TABLE (hours_ago integer, hits bigint, misses bigint, hit_ratio double precision, bypasses bigint, fills bigint, invalidations bigint, errors bigint, times boolean)
LANGUAGE sql AS $$
	SELECT (extract(epoch FROM max(h.hour) OVER () - h.hour) / 3600)::integer, h.hits, h.misses, h.hit_ratio, h.bypasses, h.fills, h.invalidations, h.errors,
		h.hit_time_mean_ms > 0 AND h.hit_time_p50_ms > 0 AND h.hit_time_p50_ms <= h.hit_time_p95_ms AND h.hit_time_p95_ms <= h.hit_time_p99_ms AND h.fill_time_p95_ms > 0
	FROM cache_stats_hourly h ORDER BY h.hour DESC
$$;

-- an hour that is about to end would divide what belongs together
DO $$ BEGIN WHILE to_char(clock_timestamp() AT TIME ZONE 'UTC', 'MI') = '59' LOOP PERFORM pg_sleep(1); END LOOP; END $$;
SELECT cache_clear() >= 0 AS cleared;
SELECT cache_stats_reset();
SELECT * FROM history();
SELECT hour <= now() AND hour > now() - interval '1 hour' AND extract(minute FROM hour AT TIME ZONE 'UTC') = 0 AS current FROM cache_stats_hourly;
SELECT cached_json('hist:1', 'SELECT 1', 60), cached_json('hist:1', 'SELECT 1', 60), cached_json('hist:1', 'SELECT 1', 60);
SELECT cached_json('hist:2', 'SELECT random() > 2', 60);
SELECT err($$SELECT cached_json('hist:3', 'SELECT 1 / 0', 60)$$);
SELECT cache_invalidate('hist:9');
SELECT * FROM history();
-- an hour ends; what comes after belongs to the next one
SELECT history_age(1);
SELECT cached_json('hist:1', 'SELECT 1', 60);
SELECT * FROM history();
SELECT history_age(1);
SELECT cached_json('hist:2', 'SELECT random() > 2', 60);
SELECT * FROM history();
-- a commit that invalidates is the first to notice
SELECT history_age(1);
SELECT cache_invalidate('hist:1');
SELECT hours_ago, hits, misses, invalidations FROM history();
SELECT cached_json('hist:1', 'SELECT 1', 60);
-- a new session has its own idea of the hour, and the same history
SELECT history_age(1);
\c -
SELECT cached_json('hist:1', 'SELECT 1', 60);
SELECT hours_ago, hits, misses, bypasses, invalidations FROM history();
-- hours without calls are zeros; after 24, nothing is left but these
SELECT history_age(3);
SELECT hours_ago, hits, misses, hit_ratio FROM history();
SELECT history_age(17);
SELECT count(*), sum(hits) AS hits, sum(misses) AS misses FROM history();
SELECT history_age(30);
SELECT count(*), sum(hits) AS hits, sum(misses) AS misses FROM history();
-- the totals are others
SELECT hits, misses FROM cache_stats;
SELECT cache_stats_reset();
SELECT count(*), sum(hits) AS hits FROM history();

--
-- Advice
--
CREATE TABLE t (id integer PRIMARY KEY, v integer);
INSERT INTO t SELECT g, 0 FROM generate_series(1, 1000) g;
CREATE VIEW advice AS
	SELECT namespace, calls, hit_ratio, worthwhile, refills_identical AS same, refills_changed AS changed,
		query_ms > 0 AND miss_ms >= query_ms AND (hit_ms > 0) IS NOT FALSE AND break_even_hit_ratio BETWEEN 0 AND 1 AS sensible,
		round(extract(epoch FROM suggested_ttl) / extract(epoch FROM refill_age), 1) AS longer, suggested_ttl_saves > '0' AS saves
	FROM cache_advice;
SELECT cache_clear() >= 0 AS cleared, cache_stats_reset();
SELECT count(*) FROM advice;
DO $$
BEGIN
	FOR i IN 1 .. 1000 LOOP
		PERFORM cached_json('a1:' || i % 10, 'SELECT count(*) FROM t, t AS t2 WHERE t.id > $1', 6000, i % 10);
	END LOOP;
END
$$;
SELECT * FROM advice;
-- never hit: not worth it
SELECT cached_json('a2:' || g, 'SELECT count(*) FROM t, t AS t2 WHERE t.id > $1', 60, g) IS NULL AS x FROM generate_series(1, 3) g;
SELECT * FROM advice WHERE namespace = 'a2';
-- recomputed after it expired: the same, or another
SELECT cached_json('a3', 'SELECT sum(v) FROM t', 0.001), pg_sleep(0.002) FROM generate_series(1, 3);
SELECT namespace, calls, same, changed, longer FROM advice WHERE namespace = 'a3';
UPDATE t SET v = 1 WHERE id = 1;
SELECT cached_json('a3', 'SELECT sum(v) FROM t', 0.001), pg_sleep(0.002);
SELECT namespace, calls, same, changed, longer FROM advice WHERE namespace = 'a3';
-- ten comparisons are enough for a conclusion
DO $$ BEGIN FOR i IN 1 .. 7 LOOP PERFORM cached_json('a3', 'SELECT sum(v) FROM t', 0.001), pg_sleep(0.002); END LOOP; END $$;
SELECT namespace, calls, same, changed, longer FROM advice WHERE namespace = 'a3';
-- one change in ten: half as long, for one in twenty
DO $$ BEGIN FOR i IN 1 .. 400 LOOP PERFORM cached_json('a3', 'SELECT sum(v) FROM t', 0.001), pg_sleep(0.002); END LOOP; END $$;
-- so that misses cost more than hits on any machine
CREATE FUNCTION naps() RETURNS integer STABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(2); RETURN 1; END $$;
SELECT cached_json('a3:slow', 'SELECT naps()', 60);
SELECT namespace, same, changed, longer > 3 AS longer, saves FROM advice WHERE namespace = 'a3';
-- a hard refresh is compared, too; an invalidated one is not, nor is another query
SELECT cached_json('a4', 'SELECT sum(v) FROM t', 60);
SET cache_ext.enable_reads = off;
SELECT cached_json('a4', 'SELECT sum(v) FROM t', 60);
RESET cache_ext.enable_reads;
SELECT cache_invalidate('a4');
SELECT cached_json('a4', 'SELECT sum(v) FROM t', 60);
SELECT cached_json('a4', 'SELECT count(v) FROM t', 60);
SELECT calls, same, changed FROM advice WHERE namespace = 'a4';
-- rows, too
SELECT count(*) FROM cached_query('a5', 'SELECT id FROM t WHERE id < 3', 60) AS q(id integer);
SET cache_ext.enable_reads = off;
SELECT count(*) FROM cached_query('a5', 'SELECT id FROM t WHERE id < 3', 60) AS q(id integer);
UPDATE t SET id = -id WHERE id = 1;
SELECT count(*) FROM cached_query('a5', 'SELECT id FROM t WHERE id < 3', 60) AS q(id integer);
RESET cache_ext.enable_reads;
SELECT calls, same, changed FROM advice WHERE namespace = 'a5';
-- plain values are no queries
SELECT cache_set('a6', '1'), cache_get('a6');
SELECT count(*) FROM advice WHERE namespace = 'a6';

DROP VIEW advice;
DROP TABLE t;
DROP FUNCTION history, history_age, naps;
