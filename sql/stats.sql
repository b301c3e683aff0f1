\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- Entries, the last call, explanations
--

CREATE TABLE t (id integer PRIMARY KEY, v text);
INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 5) g;
CREATE VIEW vt AS SELECT id FROM t;
SELECT cache_clear() >= 0 AS cleared;

--
-- Entries
--
SELECT cache_clear() >= 0 AS cleared;
SELECT count(*) FROM cached_query('e:rows', 'SELECT id FROM t', 60) AS q(id integer);
SELECT count(*) FROM cached_query('e:rows', 'SELECT id FROM t', 60) AS q(id integer);
SELECT count(*) FROM cached_query('e:rows', 'SELECT id FROM t', 60) AS q(id integer);
SELECT status FROM probe('e:json', 'SELECT id FROM t WHERE id < 3');
SELECT cache_set('e:value', '1');
SELECT status FROM probe('e:view:deep', 'SELECT * FROM vt');
SELECT status FROM probe('none', 'SELECT 1 AS a');
SELECT key, kind, role, rows, hits, tags, alive FROM cache_entries WHERE alive ORDER BY key COLLATE "C";
SELECT bool_and(created <= now() AND expires > created AND size > 0 AND size < 10000 AND fill_ms >= 0) AS sensible FROM cache_entries WHERE alive;
SELECT cache_invalidate('e:json');
SELECT key, alive FROM cache_entries WHERE key = 'e:json' AND alive;
-- marks of queries that vary are no entries
SET app.x = '1';
SELECT status FROM probe('vary', 'SELECT current_setting(''app.x'') AS x');
SELECT count(*) FROM cache_entries WHERE key = 'vary' AND alive;
SET app.x = '2';
SELECT status FROM probe('vary', 'SELECT current_setting(''app.x'') AS x');
SELECT count(*) FROM cache_entries WHERE key = 'vary' AND alive;
RESET app.x;
-- an expired one is not alive
SELECT status FROM probe('e:expired', 'SELECT 1 AS a', '0.000001');
SELECT count(*) FROM cache_entries WHERE key = 'e:expired' AND alive;

--
-- The last call
--
SELECT cached_json('last', 'SELECT 1', 60);
SELECT status, reason, tier, age, ttl_left, stored, elapsed_ms > 0 AS elapsed FROM cache_last_status();
SELECT cached_json('last', 'SELECT 1', 60);
SELECT status, reason, tier, age < '1 min' AS age, ttl_left <= '1 min' AS ttl_left, stored FROM cache_last_status();
SELECT cached_json('last', 'SELECT random() > 2', 60);
SELECT status, reason, tier, age, ttl_left, stored FROM cache_last_status();
-- a call that fails does not count as one
SELECT err($$SELECT cached_json('last', 'SELECT 1 / 0', 60)$$);
SELECT status, reason FROM cache_last_status();
-- none yet
\c -
SELECT * FROM cache_last_status();

--
-- Explaining
--
SELECT cache_clear() >= 0 AS cleared;
SELECT outcome, cacheable, reason, effective_ttl, relations, tags, entry_state FROM cache_explain('x:y:z', 'SELECT * FROM vt', 60);
SELECT status FROM probe('x:y:z', 'SELECT * FROM vt');
SELECT outcome, cacheable, reason, relations, tags, entry_state, entry_age < '1 min' AS age, entry_ttl_left <= '5 min' AS ttl_left FROM cache_explain('x:y:z', 'SELECT * FROM vt', 300);
SELECT outcome, entry_state FROM cache_explain('x:y:z', 'SELECT  * FROM vt', 300);
SELECT cache_invalidate('x:*');
SELECT outcome, entry_state FROM cache_explain('x:y:z', 'SELECT * FROM vt', 300);
SELECT status FROM probe('x:e', 'SELECT 1 AS a', '0.000001');
SELECT outcome, entry_state FROM cache_explain('x:e', 'SELECT 1 AS a', 300);
-- with arguments, in every form
SELECT outcome FROM cache_explain('x:a', 'SELECT * FROM t WHERE id = $1', 300, 1);
SELECT count(*) FROM cached_rows(NULL::t, 'x:a', 'SELECT * FROM t WHERE id = $1', 300, 1);
SELECT outcome FROM cache_explain('x:a', 'SELECT * FROM t WHERE id = $1', 300, 1);
SELECT outcome FROM cache_explain('x:a', 'SELECT * FROM t WHERE id = $1', '5 minutes', 1);
SELECT outcome FROM cache_explain('x:a', 'SELECT * FROM t WHERE id = $1', interval '5 min', 2);
SELECT outcome FROM cache_explain('x:a', 'SELECT * FROM t WHERE id = $1', NULL, '1');
SELECT outcome FROM cache_explain('x:a', 'SELECT * FROM t WHERE id = $1', 300, VARIADIC ARRAY[1]);
-- the reasons
SELECT query, e.outcome, e.cacheable, e.reason, e.detail IS NOT NULL AS detail
FROM unnest(ARRAY['SELECT random()', 'SELECT * FROM pg_class', 'SELECT session_user', 'SELECT ROW(1, 2)', 'SELECT * FROM cache_stats', 'SELECT 1']) query,
	LATERAL cache_explain('x:r', query, 60) e;
CREATE TEMP TABLE tmp (a integer);
SELECT outcome, reason FROM cache_explain('x:r', 'SELECT * FROM tmp', 60);
DROP TABLE tmp;
BEGIN;
SELECT cache_invalidate('x:a');
SELECT outcome, reason FROM cache_explain('x:a', 'SELECT * FROM t WHERE id = $1', 300, 1);
INSERT INTO t VALUES (6);
SELECT outcome, reason FROM cache_explain('x:b', 'SELECT * FROM t WHERE id = $1', 300, 1);
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT outcome, reason FROM cache_explain('x:a', 'SELECT * FROM t WHERE id = $1', 300, 1);
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT outcome, reason FROM cache_explain('x:a', 'SELECT * FROM t WHERE id = $1', 300, 1);
SELECT outcome, reason FROM cache_explain('x:a', 'SELECT * FROM t WHERE id = $1', 300, 2);
COMMIT;
SET cache_ext.enabled = off;
SELECT outcome, reason FROM cache_explain('x:a', 'SELECT 1', 300);
RESET cache_ext.enabled;
SET cache_ext.enable_reads = off;
SELECT outcome, reason FROM cache_explain('x:a', 'SELECT * FROM t WHERE id = $1', 300, 1);
RESET cache_ext.enable_reads;
-- it runs nothing, and counts nothing
CREATE FUNCTION says() RETURNS integer STABLE LANGUAGE plpgsql AS $$ BEGIN RAISE INFO 'executed'; RETURN 1; END $$;
SELECT hits AS h, misses AS m, bypasses AS b FROM cache_stats \gset
SELECT outcome FROM cache_explain('x:f', 'SELECT says(), id FROM t WHERE id > $1', 300, 1);
SELECT hits - :h AS h, misses - :m AS m, bypasses - :b AS b FROM cache_stats;
DROP FUNCTION says();
-- errors are those of the call
SELECT err($$SELECT cache_explain('x', 'DELETE FROM t', 60)$$);
SELECT err($$SELECT cache_explain('x', 'SELECT * FROM nowhere', 60)$$);
SELECT err($$SELECT cache_explain('x', 'SELECT 1; SELECT 2', 60)$$);
SELECT err($$SELECT cache_explain('x', 'SELECT $1::integer', 60)$$);
SELECT err($$SELECT cache_explain(NULL, 'SELECT 1', 60)$$);
SELECT err($$SELECT cache_explain('x', 'SELECT 1', 0)$$);
SELECT err($$SELECT cache_explain('x', 'SELECT * FROM t FOR UPDATE', 0)$$);

-- every object of the extension is described
SELECT count(*) AS undescribed
FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'cache_ext' AND d.deptype = 'e' AND d.classid IN ('pg_proc'::regclass, 'pg_class'::regclass)
	AND obj_description(d.objid, d.classid::regclass::name) IS NULL AND pg_describe_object(d.classid, d.objid, 0) !~ 'cache_policy_changed|cache_policies_list|index';

DROP VIEW vt;
DROP TABLE t;
