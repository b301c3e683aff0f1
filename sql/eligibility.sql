\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- What is answered past the cache, and why
--

CREATE TABLE t (id integer PRIMARY KEY, v text);
INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 3) g;
CREATE SEQUENCE seq;
CREATE TABLE log (n integer);
CREATE FUNCTION vol() RETURNS integer VOLATILE LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION vol_plpgsql() RETURNS integer VOLATILE LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;
CREATE FUNCTION stable_reads() RETURNS bigint STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM t); END $$;
CREATE FUNCTION stable_catalog() RETURNS boolean STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN EXISTS (SELECT FROM pg_class); END $$;
CREATE FUNCTION stable_temp() RETURNS bigint STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM temporary); END $$;
CREATE FUNCTION writes() RETURNS integer VOLATILE LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1); RETURN 1; END $$;
CREATE FUNCTION lies_and_writes() RETURNS integer VOLATILE LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1); RETURN 1; END $$;
CREATE FUNCTION session_f() RETURNS text STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN pg_backend_pid() > 0; END $$;
CREATE FUNCTION session_sql() RETURNS text STABLE LANGUAGE sql AS $$ SELECT (inet_client_addr() IS NULL)::text $$;
CREATE FUNCTION snapshot_f() RETURNS boolean STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN pg_current_snapshot() IS NOT NULL; END $$;
CREATE VIEW v_vol AS SELECT vol() AS a, id FROM t;
CREATE VIEW v_stats AS SELECT count(*) >= 0 AS a FROM pg_stat_user_tables;
CREATE FUNCTION twice(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	s1 text; s2 text;
BEGIN
	PERFORM cached_json('twice', query, 300);
	s1 := status();
	PERFORM cached_json('twice', query, 300);
	s2 := status();
	RETURN CASE WHEN s1 = s2 THEN s1 ELSE s1 || '; ' || s2 END;
END
$$;
SELECT cache_stats_reset();

-- by what the query calls
SELECT query, twice(query) FROM unnest(ARRAY[
	'SELECT 1', 'SELECT id FROM t', 'SELECT stable_reads()', 'SELECT now() IS NOT NULL', 'SELECT current_date IS NOT NULL', 'SELECT lower(v) FROM t',
	'SELECT count(*) FROM t, generate_series(1, 10)', 'SELECT sum(id) OVER () FROM t', 'SELECT pg_typeof(1)', 'SELECT version() <> ''''', 'SELECT current_schema()', 'SELECT ''t''::regclass::text', 'SELECT 1::oid']) query;
SELECT query, twice(query) FROM unnest(ARRAY[
	'SELECT random() < 2', 'SELECT clock_timestamp() IS NULL', 'SELECT gen_random_uuid() IS NULL', 'SELECT vol()', 'SELECT vol_plpgsql()', 'SELECT a FROM v_vol',
	'SELECT id FROM t WHERE vol() = 1', 'SELECT id FROM t ORDER BY random()', 'SELECT (SELECT vol())', 'SELECT * FROM vol()', 'WITH w AS (SELECT vol()) SELECT * FROM w',
	'SELECT CASE WHEN false THEN random() END', 'SELECT pg_sleep(0)', 'SELECT count(random()) FROM t', 'SELECT timeofday() IS NULL', 'SELECT set_config(''app.x'', ''y'', false)',
	'SELECT pg_relation_size(''t'') >= 0',
	'SELECT cache_get(''x'')', 'SELECT cache_invalidate(''x'')', 'SELECT count(*) >= 0 FROM pg_locks',
	'SELECT id FROM t TABLESAMPLE BERNOULLI (100)']) query;
SELECT twice('SELECT nextval(''seq'')');
SELECT twice('SELECT currval(''seq'')');
SELECT twice('SELECT lastval()');
SELECT twice('SELECT setval(''seq'', 7)');
SELECT query, twice(query) FROM unnest(ARRAY[
	'SELECT session_user', 'SELECT pg_backend_pid() > 0', 'SELECT inet_client_addr()', 'SELECT inet_server_port()', 'SELECT pg_current_snapshot() IS NULL', 'SELECT txid_current_snapshot() IS NULL',
	'SELECT pg_my_temp_schema()', 'SELECT current_schemas(true) IS NULL', 'SELECT pg_trigger_depth()', 'SELECT pg_listening_channels()', 'SELECT pg_current_xact_id_if_assigned()', 'SELECT pg_conf_load_time() IS NULL',
	'SELECT session_f()', 'SELECT session_sql()', 'SELECT snapshot_f()', 'SELECT id FROM t WHERE session_f() = ''true''', 'SELECT database_to_xml(false, false, '''') IS NULL']) query;

-- by the defaults of arguments that a call leaves out
CREATE FUNCTION jitter(a integer DEFAULT 1, r float8 DEFAULT random(), b integer DEFAULT 2) RETURNS integer IMMUTABLE LANGUAGE sql RETURN a + b + r::integer * 0;
CREATE FUNCTION whose(a integer, s name DEFAULT session_user) RETURNS text IMMUTABLE LANGUAGE sql RETURN s;
SELECT query, twice(query) FROM unnest(ARRAY['SELECT jitter()', 'SELECT jitter(1)', 'SELECT jitter(1, 0.5)', 'SELECT jitter(1, 0.5, 3)', 'SELECT jitter(r => 0.5)', 'SELECT jitter(b => 3)', 'SELECT * FROM jitter(3)',
	'SELECT id FROM t WHERE id = jitter()', 'SELECT whose(1) IS NOT NULL', 'SELECT whose(1, ''me'')']) query;
DROP FUNCTION jitter(integer, float8, integer), whose(integer, name);

-- by what it reads
SELECT query, twice(query) FROM unnest(ARRAY[
	'SELECT count(*) > 0 FROM pg_class', 'SELECT relname FROM pg_class WHERE oid = ''t''::regclass', 'SELECT count(*) > 0 FROM pg_settings', 'SELECT count(*) > 0 FROM pg_roles', 'SELECT count(*) > 0 FROM information_schema.tables',
	'SELECT count(*) >= 0 FROM pg_stat_user_tables', 'SELECT a FROM v_stats', 'SELECT count(*) > 0 FROM pg_stat_activity', 'SELECT pg_stat_get_numscans(''t''::regclass) IS NULL', 'SELECT pg_stat_get_backend_idset() IS NULL',
	'SELECT has_table_privilege(''t'', ''SELECT'')', 'SELECT row_security_active(''t'')', 'SELECT ''t''::text::regclass = ''t''::regclass',
	'SELECT last_value FROM seq', 'SELECT count(*) FROM t JOIN pg_class ON oid = id', 'SELECT count(*) >= 0 FROM cache_entries']) query;
SELECT twice('SELECT stable_catalog()');
-- row locks, VACUUM FULL and CLUSTER change system columns, and invalidate nothing that shows a row's place
CREATE VIEW v_ctid AS SELECT ctid AS place, id FROM t;
CREATE FUNCTION whereabouts() RETURNS SETOF tid STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT ctid FROM t; END $$;
CREATE FUNCTION locked() RETURNS boolean STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN EXISTS (SELECT FROM t WHERE xmax <> 0); END $$;
CREATE FUNCTION other_rows() RETURNS bigint STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM t a JOIN t b ON a.ctid < b.ctid); END $$;
SELECT query, twice(query) FROM unnest(ARRAY['SELECT ctid FROM t', 'SELECT xmin, xmax FROM t', 'SELECT id FROM t WHERE ctid = ''(0,1)''', 'SELECT id FROM t WHERE ctid > ''(0,1)''',
	'SELECT count(*) FROM t a JOIN t b ON a.ctid < b.ctid', 'SELECT * FROM (SELECT cmin FROM t) s', 'SELECT (SELECT a.xmax FROM t b LIMIT 1) FROM t a', 'SELECT id FROM v_ctid ORDER BY place',
	'SELECT place FROM v_ctid', 'SELECT whereabouts()', 'SELECT locked()', 'SELECT other_rows()',
	'SELECT tableoid = ''t''::regclass FROM t', 'SELECT t FROM t', 'SELECT id FROM v_ctid']) query;
DROP VIEW v_ctid;
DROP FUNCTION whereabouts(), locked(), other_rows();
-- and if that is no longer to be seen, as PL/pgSQL initializes an expression once a transaction
CREATE FUNCTION stable_lookup() RETURNS boolean STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN to_regclass('t') IS NOT NULL; END $$;
BEGIN;
SELECT stable_lookup();
SELECT twice('SELECT stable_lookup()');
COMMIT;
SELECT twice('SELECT stable_reads()');
DROP FUNCTION stable_lookup();
-- a function of this session alone
CREATE FUNCTION pg_temp.own() RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION pg_temp.own_plpgsql() RETURNS integer STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;
CREATE FUNCTION calls_own() RETURNS integer STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN pg_temp.own_plpgsql(); END $$;
SELECT query, twice(query) FROM unnest(ARRAY['SELECT pg_temp.own()', 'SELECT pg_temp.own_plpgsql()']) query;
SELECT twice('SELECT calls_own()');
BEGIN;
SELECT calls_own();
SELECT twice('SELECT calls_own()');
COMMIT;
DROP FUNCTION calls_own(), pg_temp.own(), pg_temp.own_plpgsql();
CREATE TEMP TABLE temporary (a integer);
SELECT query, twice(query) FROM unnest(ARRAY['SELECT * FROM temporary', 'SELECT count(*) FROM t, temporary', 'SELECT stable_temp()', 'SELECT (SELECT max(a) FROM temporary)',
	'SELECT ''temporary''::regclass::oid', 'SELECT ''temporary''::regtype::oid', 'SELECT * FROM (SELECT ''temporary''::regtype::oid AS a) s', 'SELECT ''t''::regclass::oid', 'SELECT id FROM t']) query;
CREATE TEMP VIEW temp_view AS SELECT id FROM t;
SELECT twice('SELECT * FROM temp_view');
DROP VIEW temp_view;
DROP TABLE temporary;
-- a temporary type may be meant by any name in a query
CREATE DOMAIN public.code AS text;
CREATE FUNCTION as_code() RETURNS text STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN '7'::code; END $$;
SELECT query, twice(query) FROM unnest(ARRAY['SELECT ''7''::code', 'SELECT as_code()']) query;
BEGIN;
CREATE DOMAIN pg_temp.code AS integer CHECK (VALUE > 7);
SELECT err($$SELECT cached_json('twice', 'SELECT ''7''::code', 300)$$);
SELECT outcome, reason FROM cache_explain('twice', 'SELECT id FROM t', 300);
ROLLBACK;
SELECT twice('SELECT ''7''::code');
CREATE TYPE pg_temp.unlike AS ENUM ('a');
SELECT twice('SELECT id FROM t');
DROP TYPE pg_temp.unlike;
SELECT query, twice(query) FROM unnest(ARRAY['SELECT id FROM t', 'SELECT ''7''::code']) query;
-- also one that came by its name later, or gets it back
CREATE DOMAIN public.later AS text;
CREATE DOMAIN public.latest AS text;
CREATE TYPE pg_temp.other AS ENUM ('9', '7');
ALTER TYPE pg_temp.other RENAME TO later;
SELECT twice('SELECT ''7''::later');
BEGIN;
DROP TYPE pg_temp.later;
SELECT twice('SELECT ''7''::later');
ROLLBACK;
SELECT twice('SELECT ''7''::later');
ALTER TYPE pg_temp.later RENAME TO other;
DROP TYPE pg_temp.other;
SELECT twice('SELECT ''7''::later');
CREATE TEMP TABLE other (a integer);
ALTER TABLE other RENAME TO latest;
SELECT twice('SELECT id FROM t');
DROP TABLE pg_temp.latest;
DROP DOMAIN later, latest;
-- so does a function of the session's own, wherever it is called
CREATE FUNCTION pg_temp.mine() RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT 1';
CREATE OR REPLACE FUNCTION pg_temp.mine() RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT 2';
CREATE FUNCTION calls_mine() RETURNS integer STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN pg_temp.mine(); END $$;
SELECT query, twice(query) FROM unnest(ARRAY['SELECT pg_temp.mine()', 'SELECT calls_mine()']) query;
BEGIN;
DROP FUNCTION pg_temp.mine();
CREATE OPERATOR pg_temp.=== (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4ne);
SELECT twice('SELECT id FROM t');
ROLLBACK;
SELECT twice('SELECT calls_mine()');
DROP FUNCTION pg_temp.mine();
CREATE OPERATOR pg_temp.=== (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4ne);
SELECT twice('SELECT 1 OPERATOR(pg_temp.===) 1');
DROP OPERATOR pg_temp.=== (integer, integer);
CREATE COLLATION pg_temp.mine FROM "C";
SELECT twice('SELECT ''a'' < ''B'' COLLATE pg_temp.mine');
DROP COLLATION pg_temp.mine;
SELECT twice('SELECT id FROM t');
DROP FUNCTION calls_mine();
-- names that are gone are forgotten
SELECT used_bytes AS before FROM pg_backend_memory_contexts WHERE name = 'TopMemoryContext' \gset
DO $$
BEGIN
	FOR i IN 1..2000 LOOP
		EXECUTE format('CREATE TEMP TABLE a_temporary_table_with_a_long_name_%s () ON COMMIT DROP', i);
		COMMIT;
	END LOOP;
END
$$;
SELECT used_bytes - :before < 100000 AS forgotten FROM pg_backend_memory_contexts WHERE name = 'TopMemoryContext';
-- so may the row type of a temporary table
CREATE TEMP TABLE unlike (a integer);
SELECT twice('SELECT id FROM t');
CREATE TEMP TABLE code (a integer);
SELECT twice('SELECT id FROM t');
DROP TABLE code, unlike;
SELECT twice('SELECT id FROM t');
-- which may hide what only a function's own search path has
CREATE SCHEMA aside;
CREATE DOMAIN aside.hidden AS text;
CREATE FUNCTION as_hidden() RETURNS text STABLE LANGUAGE plpgsql SET search_path = aside AS $$ BEGIN RETURN '(7)'::hidden; END $$;
SELECT twice('SELECT as_hidden()');
CREATE TEMP TABLE hidden (a float);
SELECT twice('SELECT as_hidden()');
DROP TABLE hidden;
DROP FUNCTION as_hidden();
DROP SCHEMA aside CASCADE;
-- or the row type of a table that is only named as a type
CREATE TABLE shape (a integer);
SELECT probe('shape', query) FROM unnest(ARRAY[$$SELECT row_to_json(jsonb_populate_record(NULL::shape, '{"a":1,"b":2}'))$$,
	$$SELECT row_to_json('(1)'::shape)$$, $$SELECT 'shape'::regtype::oid = 'public.shape'::regtype::oid AS same$$, $$SELECT '4000000000'::regtype::oid$$, $$SELECT row_to_json(ROW(1)::shape)$$, $$SELECT json_agg(x) FROM unnest(NULL::shape[]) x$$]) query;
CREATE TEMP TABLE shape (a integer, b integer);
SELECT probe('shape', $$SELECT 'shape'::regtype::oid = 'public.shape'::regtype::oid AS same$$);
SELECT probe('shape', $$SELECT row_to_json(jsonb_populate_record(NULL::shape, '{"a":1,"b":2}'))$$);
DROP TABLE pg_temp.shape;
ALTER TABLE shape ADD b integer;
SELECT probe('shape', query) FROM unnest(ARRAY[$$SELECT row_to_json(jsonb_populate_record(NULL::shape, '{"a":1,"b":2}'))$$,
	$$SELECT row_to_json('(1,2)'::shape)$$, $$SELECT row_to_json(ROW(1,2)::shape)$$, $$SELECT json_agg(x) FROM unnest(NULL::shape[]) x$$]) query;
DROP TABLE shape CASCADE;
DROP FUNCTION as_code();
DROP DOMAIN code;
-- a subquery that is never executed counts, too: it could be
SELECT twice('SELECT 1 WHERE false AND EXISTS (SELECT FROM pg_class)');

-- by what it does: a function that writes
SET cache_ext.volatile_functions = cache;
SELECT twice('SELECT writes()');
SELECT twice('SELECT vol()');
SELECT (probe('volatile', 'SELECT random() AS r')).result = (probe('volatile', 'SELECT random() AS r')).result AS same, status();
SELECT twice('SELECT nextval(''seq'')');
SELECT twice('SELECT session_user');
SELECT twice('SELECT 1 FROM pg_class LIMIT 1');
RESET cache_ext.volatile_functions;
ALTER FUNCTION writes() STABLE;
SELECT err($$SELECT cached_json('lie', 'SELECT writes()', 300)$$);
ALTER FUNCTION writes() VOLATILE;
SELECT twice('SELECT writes()');
SELECT count(*) FROM log;

-- by the result
SELECT * FROM cached_query('shape', 'SELECT 1, NULL', 300) AS t(a integer, b text);
SELECT status();
SELECT count(*) FROM cached_rows((1, 2), 'shape', 'SELECT 1, 2', 300) AS t(a integer, b integer);
SELECT status();
SELECT cached_json('shape', 'SELECT $1 = $1 AS a', 300, ROW(1));
SELECT status();
SET cache_ext.max_entry_size = '1kB';
SELECT twice('SELECT repeat(''x'', 2000)');
RESET cache_ext.max_entry_size;

-- an entry that depends on what current_setting() reads is explained as such
SELECT * FROM probe('varies', 'SELECT current_setting(''app.explained'', true) AS a');
SELECT outcome FROM cache_explain('varies', 'SELECT current_setting(''app.explained'', true) AS a', 300);
SET app.explained = 'otherwise';
SELECT outcome FROM cache_explain('varies', 'SELECT current_setting(''app.explained'', true) AS a', 300);
RESET app.explained;

-- of more tables than an entry has room to name
DO $$ BEGIN FOR i IN 1 .. 1100 LOOP EXECUTE format('CREATE TABLE many_%s (a integer)', i); END LOOP; END $$;
SELECT string_agg('SELECT a FROM many_' || g, ' UNION ALL ') AS many FROM generate_series(1, 1100) g \gset
SELECT twice(:'many');
DO $$ BEGIN FOR i IN 1 .. 1100 LOOP EXECUTE format('DROP TABLE many_%s', i); END LOOP; END $$;

-- by the session's settings
SELECT * FROM probe('switch', 'SELECT 1 AS a');
SET cache_ext.enabled = off;
SELECT * FROM probe('switch', 'SELECT 1 AS a');
RESET cache_ext.enabled;
SELECT * FROM probe('switch', 'SELECT 1 AS a');
-- a hard refresh: reads off recomputes and refills
UPDATE t SET v = 'changed' WHERE id = 1;
SELECT * FROM probe('refresh', 'SELECT v FROM t WHERE id = 1');
UPDATE t SET v = 'changed again' WHERE id = 1;
SELECT * FROM probe('refresh', 'SELECT v FROM t WHERE id = 1');
SET cache_ext.enable_reads = off;
SELECT * FROM probe('refresh', 'SELECT v FROM t WHERE id = 1');
RESET cache_ext.enable_reads;
SELECT * FROM probe('refresh', 'SELECT v FROM t WHERE id = 1');
-- writes off: what is there is used, nothing is added
SET cache_ext.enable_writes = off;
SELECT * FROM probe('refresh', 'SELECT v FROM t WHERE id = 1');
SELECT * FROM probe('no writes', 'SELECT v FROM t WHERE id = 1');
SELECT * FROM probe('no writes', 'SELECT v FROM t WHERE id = 1');
SET cache_ext.enable_reads = off;
SELECT * FROM probe('refresh', 'SELECT v FROM t WHERE id = 1');
RESET cache_ext.enable_reads;
RESET cache_ext.enable_writes;
SELECT entries('no writes');

-- by the transaction
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT * FROM probe('refresh', 'SELECT v FROM t WHERE id = 1');
SELECT * FROM probe('serializable', 'SELECT 1 AS a');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;
SELECT * FROM probe('refresh', 'SELECT v FROM t WHERE id = 1');
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM probe('refresh', 'SELECT v FROM t WHERE id = 1');
SELECT * FROM probe('repeatable', 'SELECT 1 AS a');
SELECT * FROM probe('repeatable', 'SELECT 1 AS a');
COMMIT;
SELECT entries('repeatable');
-- read uncommitted is read committed, and read only is no obstacle
BEGIN ISOLATION LEVEL READ UNCOMMITTED READ ONLY;
SELECT * FROM probe('uncommitted', 'SELECT 1 AS a');
SELECT * FROM probe('uncommitted', 'SELECT 1 AS a');
COMMIT;
-- one that has written fills nothing, and has no hit on what it wrote to
SELECT * FROM probe('log', 'SELECT count(*) FROM log');
SELECT * FROM probe('other', 'SELECT 1 AS a');
BEGIN;
INSERT INTO log VALUES (2);
SELECT * FROM probe('log', 'SELECT count(*) FROM log');
SELECT * FROM probe('other', 'SELECT 1 AS a');
SELECT * FROM probe('third', 'SELECT 1 AS a');
SELECT * FROM probe('third', 'SELECT 1 AS a');
ROLLBACK;
SELECT * FROM probe('log', 'SELECT count(*) FROM log');
SELECT entries('third');
-- also where the writing was undone by a savepoint
BEGIN;
SAVEPOINT s;
INSERT INTO log VALUES (2);
ROLLBACK TO s;
SELECT * FROM probe('third', 'SELECT 1 AS a');
COMMIT;
-- a lock that writers take is not yet a write, but a transaction id is
BEGIN;
LOCK TABLE log IN ROW EXCLUSIVE MODE;
SELECT * FROM probe('fourth', 'SELECT 1 AS a');
SELECT pg_current_xact_id() IS NOT NULL AS xid;
SELECT * FROM probe('log', 'SELECT count(*) FROM log');
SELECT * FROM probe('fifth', 'SELECT 1 AS a');
ROLLBACK;
BEGIN;
SELECT count(*) FROM (SELECT FROM t FOR UPDATE) s;
SELECT * FROM probe('sixth', 'SELECT 1 AS a');
ROLLBACK;
-- its own invalidation
SELECT * FROM probe('own:1', 'SELECT count(*) FROM t');
BEGIN;
SELECT cache_invalidate('own:1');
SELECT * FROM probe('own:1', 'SELECT count(*) FROM t');
SELECT * FROM probe('own:2', 'SELECT count(*) FROM t');
ROLLBACK;
SELECT * FROM probe('own:1', 'SELECT count(*) FROM t');
BEGIN;
SELECT cache_invalidate_table('t');
SELECT * FROM probe('own:1', 'SELECT count(*) FROM t');
ROLLBACK;
SELECT * FROM probe('own:1', 'SELECT count(*) FROM t');

-- all are counted by reason
SELECT reason, count > 0 AS counted, description FROM cache_bypass_reasons ORDER BY reason COLLATE "C";

DROP VIEW v_vol, v_stats;
DROP FUNCTION vol(), vol_plpgsql(), stable_reads(), stable_catalog(), stable_temp(), writes(), lies_and_writes(), session_f(), session_sql(), snapshot_f(), twice(text);
DROP TABLE t, log;
DROP SEQUENCE seq;
