\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- Hits that are recomputed and compared
--
-- What is logged about it is in test/t/032_log.pl.

CREATE TABLE t (id integer, v integer);
INSERT INTO t SELECT g, g FROM generate_series(1, 3) g;
CREATE FUNCTION guarded() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN cached_json('vf:error', 'SELECT 1 / v AS a FROM t WHERE id = 1', 300);
EXCEPTION WHEN OTHERS THEN
	RETURN SQLERRM;
END
$$;
CREATE VIEW counts AS SELECT hits, misses, errors, verified, divergences FROM cache_stats;
SELECT cache_clear() >= 0 AS cleared, cache_stats_reset();

-- off
SELECT status FROM probe('vf', 'SELECT * FROM t');
UPDATE t SET v = 10 WHERE id = 1;
SELECT result->0->>'v' AS v, status FROM probe('vf', 'SELECT * FROM t WHERE id = 1');
UPDATE t SET v = 11 WHERE id = 1;
SELECT result->0->>'v' AS v, status FROM probe('vf', 'SELECT * FROM t WHERE id = 1');
SELECT * FROM counts;

-- each: what differs is a miss
SET cache_ext.verify_fraction = 1;
SELECT result->0->>'v' AS v, status FROM probe('vf', 'SELECT * FROM t WHERE id = 1');
SELECT result->0->>'v' AS v, status FROM probe('vf', 'SELECT * FROM t WHERE id = 1');
SELECT * FROM counts;
-- rows, arguments
SELECT v FROM cached_query('vf:rows', 'SELECT id, v FROM t WHERE id > $1', 60, 0) AS q(id integer, v integer) ORDER BY id;
SELECT v FROM cached_query('vf:rows', 'SELECT id, v FROM t WHERE id > $1', 60, 0) AS q(id integer, v integer) ORDER BY id;
SELECT status();
UPDATE t SET v = 12 WHERE id = 2;
SELECT v FROM cached_query('vf:rows', 'SELECT id, v FROM t WHERE id > $1', 60, 0) AS q(id integer, v integer) ORDER BY id;
SELECT status();
SELECT cached_query FROM (SELECT cached_rows(NULL::t, 'vf:rows', 'SELECT * FROM t', 60)) AS x(cached_query) ORDER BY 1;
SELECT cached_query FROM (SELECT cached_rows(NULL::t, 'vf:rows', 'SELECT * FROM t', 60)) AS x(cached_query) ORDER BY 1;
SELECT status();
SELECT * FROM counts;
-- in another order they are the same: an update moves a row to the end
SELECT result AS before, status FROM probe('vf:order', 'SELECT v FROM t');
UPDATE t SET id = -1 WHERE id = 3;
UPDATE t SET id = -2 WHERE id = 1;
SELECT result = (SELECT jsonb_agg(jsonb_build_object('v', v)) FROM t) AS as_stored, status FROM probe('vf:order', 'SELECT v FROM t');
SELECT count(*) FROM cached_query('vf:order', 'SELECT v FROM t', 60) AS q(v integer);
UPDATE t SET id = -4 WHERE id = 2;
SELECT count(*) FROM cached_query('vf:order', 'SELECT v FROM t', 60) AS q(v integer);
SELECT status();
-- but not more of the same
DELETE FROM t;
INSERT INTO t VALUES (1, 1), (2, 1);
SELECT result, status FROM probe('vf:more', 'SELECT v FROM t');
INSERT INTO t VALUES (3, 1);
SELECT result, status FROM probe('vf:more', 'SELECT v FROM t');
SELECT * FROM counts;

-- a query that fails now does not fail the call
SELECT result, status FROM probe('vf:error', 'SELECT 1 / v AS a FROM t WHERE id = 1');
UPDATE t SET v = 0 WHERE id = 1;
SELECT result, status FROM probe('vf:error', 'SELECT 1 / v AS a FROM t WHERE id = 1');
SELECT * FROM counts;
-- in a function with an exception block, in a cursor
SELECT guarded();
BEGIN;
DECLARE c CURSOR FOR SELECT cached_json('vf:error', 'SELECT 1 / v AS a FROM t WHERE id = 1', 300) FROM generate_series(1, 3);
FETCH 2 FROM c;
FETCH 2 FROM c;
COMMIT;
-- settings are part of it
SET app.x = '1';
SELECT result, status FROM probe('vf:varies', 'SELECT current_setting(''app.x'') AS x, v FROM t WHERE id = 2');
UPDATE t SET v = 5 WHERE id = 2;
SELECT result, status FROM probe('vf:varies', 'SELECT current_setting(''app.x'') AS x, v FROM t WHERE id = 2');
SELECT result, status FROM probe('vf:varies', 'SELECT current_setting(''app.x'') AS x, v FROM t WHERE id = 2');
RESET app.x;

-- where nothing could be stored, nothing is verified
SELECT result, status FROM probe('vf:no', 'SELECT v FROM t WHERE id = 2');
UPDATE t SET v = 6 WHERE id = 2;
SELECT verified AS before FROM counts \gset
BEGIN;
CREATE TABLE written ();
SELECT result, status FROM probe('vf:no', 'SELECT v FROM t WHERE id = 2');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT result, status FROM probe('vf:no', 'SELECT v FROM t WHERE id = 2');
COMMIT;
SET cache_ext.enable_writes = off;
SELECT verified - :before AS verified FROM counts;
SELECT result, status FROM probe('vf:no', 'SELECT v FROM t WHERE id = 2');
RESET cache_ext.enable_writes;
-- what was found outdated is gone, though nothing took its place
SET cache_ext.verify_fraction = 0;
SELECT result, status FROM probe('vf:no', 'SELECT v FROM t WHERE id = 2');
SET cache_ext.verify_fraction = 1;
-- nor with a timeout of less than four times what the query took
CREATE FUNCTION naps() RETURNS integer STABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(2); RETURN 1; END $$;
SET statement_timeout = '8s';
SELECT * FROM cached_query('vf:slow', 'SELECT naps()', 60) AS q(n integer);
SELECT verified AS before FROM counts \gset
SELECT * FROM cached_query('vf:slow', 'SELECT naps()', 60) AS q(n integer);
SELECT status();
RESET statement_timeout;
SELECT verified - :before AS verified FROM counts;

-- a share
SET cache_ext.verify_fraction = 0.25;
SELECT status FROM probe('vf:share', 'SELECT 1 AS a');
SELECT verified AS before FROM counts \gset
DO $$ BEGIN FOR i IN 1 .. 2000 LOOP PERFORM cached_json('vf:share', 'SELECT 1 AS a', '300'); END LOOP; END $$;
SELECT verified - :before BETWEEN 300 AND 700 AS a_quarter FROM counts;
RESET cache_ext.verify_fraction;

-- only a superuser may ask for it
SELECT name, context, min_val, max_val FROM pg_settings WHERE name IN ('cache_ext.verify_fraction', 'cache_ext.log_operations') ORDER BY name;
SET cache_ext.log_operations = 'hit, miss';
SET cache_ext.log_operations = 'all';
SELECT err('SET cache_ext.log_operations = ''hit, nonsense''');
RESET cache_ext.log_operations;

DROP FUNCTION guarded, naps;
DROP VIEW counts;
DROP TABLE t;
