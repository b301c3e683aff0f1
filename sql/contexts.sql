\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- Where a cached query may be used
--

CREATE TABLE t (id integer PRIMARY KEY, v text);
INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 5) g;
CREATE TABLE u (id integer, t_id integer);
INSERT INTO u SELECT g, g % 3 + 1 FROM generate_series(1, 6) g;

-- PL/pgSQL: assignment, FOR, INTO, RETURN QUERY, PERFORM, dynamic
CREATE FUNCTION in_plpgsql(n integer) RETURNS TABLE (what text, value text) LANGUAGE plpgsql AS $$
DECLARE
	j jsonb := cached_json('pl:json', 'SELECT id FROM t WHERE id <= $1 ORDER BY id', 300, n);
	r record;
	total integer := 0;
	row t;
BEGIN
	RETURN QUERY SELECT 'json', j::text;
	FOR r IN SELECT * FROM cached_query('pl:query', 'SELECT id, v FROM t WHERE id <= $1 ORDER BY id', 300, n) AS q(id integer, v text) LOOP
		total := total + r.id;
	END LOOP;
	RETURN QUERY SELECT 'loop', total::text;
	SELECT * INTO row FROM cached_rows(NULL::t, 'pl:rows', 'SELECT * FROM t WHERE id = $1', 300, n);
	RETURN QUERY SELECT 'row', row::text;
	RETURN QUERY SELECT 'rows', q.v FROM cached_rows(NULL::t, 'pl:query', 'SELECT id, v FROM t WHERE id <= $1 ORDER BY id', 300, n) q;
	EXECUTE 'SELECT count(*) FROM cached_rows(NULL::t, $1, $2, $3)' INTO total USING 'pl:dynamic', 'TABLE t', '300';
	RETURN QUERY SELECT 'dynamic', total::text;
	PERFORM cached_json('pl:perform', 'SELECT 1', 300);
	IF cached_json('pl:if', 'SELECT true AS b', 300) @> '[{"b": true}]' THEN
		RETURN QUERY SELECT 'if', 'true';
	END IF;
	RETURN QUERY SELECT 'status', public.status();
END
$$;
SELECT * FROM in_plpgsql(2);
SELECT * FROM in_plpgsql(2);
SELECT what, value FROM in_plpgsql(3) WHERE what = 'loop';
SELECT entries('pl:%');
-- SQL functions, inlined or not, with parameters
CREATE FUNCTION in_sql(n integer) RETURNS SETOF t LANGUAGE sql AS $$
	SELECT * FROM cached_rows(NULL::t, 'sql:' || n, 'SELECT * FROM t WHERE id = $1', 300, n)
$$;
SELECT * FROM in_sql(2);
SELECT * FROM in_sql(2);
SELECT status();
SELECT * FROM u, in_sql(u.t_id) ORDER BY u.id;

-- prepared statements, generic and custom plans
PREPARE p(integer) AS SELECT v, status() FROM cached_query('prep:' || $1, 'SELECT v FROM t WHERE id = $1', 300, $1) AS q(v text);
SET plan_cache_mode = force_generic_plan;
EXECUTE p(1);
EXECUTE p(1);
EXECUTE p(2);
SET plan_cache_mode = force_custom_plan;
EXECUTE p(1);
EXECUTE p(3);
RESET plan_cache_mode;
UPDATE t SET v = 'new' WHERE id = 1;
SELECT cache_invalidate('prep:*');
EXECUTE p(1);
EXECUTE p(1);
DEALLOCATE p;

-- cursors: fetched in part, backwards, held
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM cached_query('cursor', 'SELECT id FROM t ORDER BY id', 300) AS q(id integer);
FETCH 2 FROM c;
SELECT status();
FETCH ALL FROM c;
CLOSE c;
DECLARE c SCROLL CURSOR FOR SELECT * FROM cached_query('cursor', 'SELECT id FROM t ORDER BY id', 300) AS q(id integer);
FETCH LAST FROM c;
FETCH BACKWARD 2 FROM c;
FETCH ABSOLUTE 1 FROM c;
FETCH RELATIVE 2 FROM c;
MOVE BACKWARD ALL IN c;
FETCH NEXT FROM c;
SELECT status();
DECLARE h CURSOR WITH HOLD FOR SELECT * FROM cached_query('cursor', 'SELECT id FROM t ORDER BY id', 300) AS q(id integer);
DECLARE open CURSOR FOR SELECT * FROM cached_query('cursor', 'SELECT id FROM t ORDER BY id', 300) AS q(id integer);
FETCH 1 FROM open;
SELECT cache_invalidate('cursor');
FETCH 1 FROM open;
COMMIT;
FETCH 2 FROM h;
CLOSE h;
SELECT entries('cursor');
-- closed before its end: the entry is whole
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM cached_query('cursor:part', 'SELECT id FROM t ORDER BY id', 300) AS q(id integer);
FETCH 1 FROM c;
ROLLBACK;
SELECT * FROM cached_query('cursor:part', 'SELECT id FROM t ORDER BY id', 300) AS q(id integer);
SELECT status();
SELECT * FROM cached_query('limit', 'SELECT id FROM t ORDER BY id', 300) AS q(id integer) LIMIT 2;
SELECT count(*), status() FROM cached_query('limit', 'SELECT id FROM t ORDER BY id', 300) AS q(id integer);

-- views
CREATE VIEW cached_view AS SELECT q.id, upper(q.v) AS v FROM cached_query('view', 'SELECT id, v FROM public.t ORDER BY id', 300) AS q(id integer, v text);
SELECT * FROM cached_view WHERE id < 3;
SELECT * FROM cached_view WHERE id > 3;
SELECT status();
CREATE VIEW cached_view2 AS SELECT * FROM cached_rows(NULL::t, 'view', 'SELECT id, v FROM public.t ORDER BY id', '5 minutes');
SELECT count(*) FROM cached_view2;
SELECT status();
CREATE MATERIALIZED VIEW cached_matview AS SELECT * FROM cached_view;
SELECT count(*) FROM cached_matview;

-- LATERAL, joins, subqueries, set operations, aggregates
SELECT u.id, q.v FROM u, LATERAL cached_query('lateral:' || u.t_id, 'SELECT v FROM t WHERE id = $1', 300, u.t_id) AS q(v text) ORDER BY u.id;
SELECT entries('lateral%');
SELECT u.id, q.v FROM u LEFT JOIN LATERAL cached_query('lateral:none', 'SELECT v FROM t WHERE id = $1', 300, u.t_id + 3) AS q(v text) ON true ORDER BY u.id;
SELECT u.id, q.v FROM u JOIN cached_query('join', 'SELECT id, v FROM t', 300) AS q(id integer, v text) ON q.id = u.t_id ORDER BY u.id;
SELECT count(*) FROM u WHERE t_id IN (SELECT id FROM cached_query('in', 'SELECT id FROM t WHERE id < 3', 300) AS q(id integer));
SELECT count(*) FROM u WHERE EXISTS (SELECT FROM cached_query('exists', 'SELECT id FROM t', 300) AS q(id integer) WHERE q.id = u.t_id);
SELECT (SELECT max(id) FROM cached_query('scalar', 'SELECT id FROM t', 300) AS q(id integer));
SELECT id FROM cached_query('union', 'SELECT id FROM t', 300) AS q(id integer) UNION SELECT id FROM u ORDER BY id;
WITH w AS MATERIALIZED (SELECT * FROM cached_query('cte', 'SELECT id FROM t', 300) AS q(id integer)) SELECT count(*) FROM w a, w b;
SELECT a.id FROM cached_query('self', 'SELECT id FROM t', 300) AS a(id integer) JOIN cached_query('self', 'SELECT id FROM t', 300) AS b(id integer) USING (id) ORDER BY 1;
-- in an INSERT ... SELECT, which has not yet written when it reads
INSERT INTO u SELECT id, 0 FROM cached_query('self', 'SELECT id FROM t', 300) AS q(id integer);
SELECT status();
INSERT INTO u SELECT id, 0 FROM cached_query('insert', 'SELECT id FROM t', 300) AS q(id integer);
SELECT status();
DELETE FROM u WHERE t_id = 0;
-- in the target list
SELECT cached_rows(NULL::t, 'target', 'SELECT * FROM t ORDER BY id LIMIT 2', 300);
SELECT (cached_rows(NULL::t, 'target', 'SELECT * FROM t ORDER BY id LIMIT 2', 300)).v;
SELECT g, cached_rows(NULL::integer, 'target:int', 'SELECT id FROM t ORDER BY id LIMIT 2', 300) FROM generate_series(1, 2) g;
SELECT status();
SELECT CASE WHEN true THEN cached_rows(NULL::integer, 'target:case', 'SELECT 1', 300) END;
SELECT id FROM t WHERE id = cached_rows(NULL::integer, 'target:where', 'SELECT 1', 300);
SELECT jsonb_array_length(cached_json('target:json', 'TABLE t', 300)) AS n, count(*) FROM u GROUP BY 1;
SELECT v FROM t WHERE cached_json('target:filter', 'SELECT 2 AS id', 300) @> jsonb_build_array(jsonb_build_object('id', id));

-- in a DEFAULT, a CHECK, an index: allowed only where a volatile function is
CREATE TABLE d (a jsonb DEFAULT cached_json('default', 'SELECT 1 AS a', 300));
INSERT INTO d DEFAULT VALUES;
SELECT * FROM d;
DROP TABLE d;
SELECT err('CREATE INDEX ON t (cached_json(''x'', ''SELECT 1'', 300))');
SELECT err('CREATE TABLE g (a integer, b jsonb GENERATED ALWAYS AS (cached_json(''x'', ''SELECT 1'', 300)) STORED)');

-- in a read-only transaction
BEGIN READ ONLY;
SELECT * FROM probe('read only', 'SELECT count(*) FROM t');
SELECT * FROM probe('read only', 'SELECT count(*) FROM t');
SELECT cache_invalidate('read only');
COMMIT;
SELECT entries('read only');
SET default_transaction_read_only = on;
SELECT * FROM probe('read only', 'SELECT count(*) FROM t');
RESET default_transaction_read_only;

-- recursion: a function that calls cached queries within a cached query
CREATE FUNCTION inner_call(n integer) RETURNS text VOLATILE LANGUAGE plpgsql AS $$
BEGIN
	RETURN cached_json('inner:' || n, 'SELECT v FROM t WHERE id = $1', 300, n)->0->>'v';
END
$$;
CREATE FUNCTION inner_stable(n integer) RETURNS text STABLE LANGUAGE sql AS $$
	SELECT cached_json('inner:' || n, 'SELECT v FROM t WHERE id = $1', 300, n)->0->>'v'
$$;
SELECT * FROM probe('outer:1', 'SELECT inner_stable(1) AS v');
SELECT * FROM probe('outer:1', 'SELECT inner_stable(1) AS v');
SELECT entries('inner:%'), entries('outer:%');
-- the outer one dies with the inner one: by key
SELECT cache_invalidate('inner:1');
SELECT entries('inner:%'), entries('outer:%');
-- with an inner hit as well
SELECT inner_stable(1);
SELECT * FROM probe('outer:1', 'SELECT inner_stable(1) AS v');
SELECT * FROM probe('outer:1', 'SELECT inner_stable(1) AS v');
SELECT cache_invalidate('inner:1');
SELECT entries('outer:%');
-- by prefix
SELECT status FROM probe('outer:1', 'SELECT inner_stable(1) AS v');
SELECT cache_invalidate('inner:*');
SELECT entries('outer:%');
-- by a glob
SELECT status FROM probe('outer:1', 'SELECT inner_stable(1) AS v');
SELECT cache_invalidate('*ner:?');
SELECT entries('outer:%');
SELECT inner_stable(1);
SELECT status FROM probe('outer:1', 'SELECT inner_stable(1) AS v');
SELECT cache_invalidate('*ner:?');
SELECT entries('outer:%');
-- by a table
SELECT status FROM probe('outer:1', 'SELECT inner_stable(1) AS v');
SELECT cache_invalidate_table('t') > 0 AS some;
SELECT entries('outer:%');
-- and not the inner with the outer
SELECT status FROM probe('outer:1', 'SELECT inner_stable(1) AS v');
SELECT cache_invalidate('outer:1');
SELECT entries('inner:1');
-- in the same transaction: the outer sees what was invalidated
SELECT status FROM probe('outer:1', 'SELECT inner_stable(1) AS v');
BEGIN;
SELECT cache_invalidate('inner:1');
SELECT * FROM probe('outer:1', 'SELECT inner_stable(1) AS v');
ROLLBACK;
SELECT status FROM probe('outer:1', 'SELECT inner_stable(1) AS v');
-- directly nested, three deep, and by itself
SELECT * FROM probe('nest:a', $$SELECT cached_json('nest:b', 'SELECT cached_json(''nest:c'', ''SELECT count(*) FROM u'', 300) AS c', 300) AS b$$);
SELECT * FROM probe('nest:a', $$SELECT cached_json('nest:b', 'SELECT cached_json(''nest:c'', ''SELECT count(*) FROM u'', 300) AS c', 300) AS b$$);
SELECT cache_invalidate('nest:c');
SELECT entries('nest:%');
SELECT * FROM probe('same', $$SELECT cached_json('same', 'SELECT 1 AS a', 300) AS outer$$);
SELECT * FROM probe('same', $$SELECT cached_json('same', 'SELECT 1 AS a', 300) AS outer$$);
SELECT entries('same');
-- the shorter time of the two counts
SELECT status FROM probe('short outer', $$SELECT cached_json('short inner', 'SELECT 1 AS a', 100) AS a$$, '300');
SELECT expires - created < '101 s' AS shorter FROM cache_entries WHERE key = 'short outer' AND alive;
-- an inner one that is not cacheable makes the outer one so
SELECT * FROM probe('inner random', $$SELECT cached_json('inner random 2', 'SELECT pg_backend_pid() > 0 AS a', 300) AS a$$);
-- a function that is VOLATILE stays so, whatever it calls
SELECT * FROM probe('outer:volatile', 'SELECT inner_call(1) AS v');
-- endless recursion is PostgreSQL's own error, and nothing is left of it
CREATE FUNCTION endless() RETURNS jsonb STABLE LANGUAGE sql AS $$ SELECT cached_json('endless', 'SELECT endless()', 300) $$;
DO $$ BEGIN PERFORM endless(); EXCEPTION WHEN statement_too_complex THEN RAISE INFO '%', SQLERRM; END $$;
SELECT entries('endless');
SELECT status FROM probe('after', 'SELECT count(*) FROM t');
SELECT status FROM probe('after', 'SELECT count(*) FROM t');

-- an inner error that is caught: the outer answer is stored if it may be
CREATE FUNCTION catches() RETURNS text STABLE LANGUAGE plpgsql AS $$
BEGIN
	PERFORM cached_json('catch:inner', 'SELECT 1 / 0', 300);
	RETURN 'no error';
EXCEPTION WHEN division_by_zero THEN
	RETURN 'caught, ' || (SELECT count(*) FROM u);
END
$$;
SELECT * FROM probe('catch:outer', 'SELECT catches() AS c');
SELECT * FROM probe('catch:outer', 'SELECT catches() AS c');
SELECT cache_invalidate_table('u') > 0 AS some;
SELECT entries('catch:%');
-- errors above a cached query do not disturb what follows
DO $$
BEGIN
	FOR i IN 1 .. 20 LOOP
		BEGIN
			PERFORM cached_json('loop', 'SELECT 1 / ($1 % 2)', 300, i);
		EXCEPTION WHEN division_by_zero THEN
			NULL;
		END;
	END LOOP;
END
$$;
SELECT entries('loop');

-- from a trigger
CREATE FUNCTION trigger_reads() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE INFO 'in the trigger: %', cached_json('in trigger', 'SELECT count(*) FROM u', 300);
	RETURN NULL;
END
$$;
SELECT * FROM probe('in trigger', 'SELECT count(*) FROM u');
CREATE TRIGGER reads AFTER INSERT ON u FOR EACH ROW EXECUTE FUNCTION trigger_reads();
INSERT INTO u VALUES (7, 1);
DROP TRIGGER reads ON u;
SELECT (probe('in trigger', 'SELECT count(*) FROM u')).status;

-- parallel plans: around a cached query, and of the query itself
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
CREATE TABLE big AS SELECT g AS id FROM generate_series(1, 20000) g;
ANALYZE big;
SELECT count(*) FROM cached_query('parallel', 'SELECT count(*) FROM big', 300) AS q(n bigint), big WHERE id <= n;
SELECT count(*), sum(jsonb_array_length(cached_json('parallel:json', 'SELECT 1 AS a', 300))) FROM big WHERE id % 2 = 0;
SELECT * FROM probe('parallel', 'SELECT sum(id), count(DISTINCT id % 10) FROM big');
SELECT * FROM probe('parallel', 'SELECT sum(id), count(DISTINCT id % 10) FROM big');
EXPLAIN (COSTS off) SELECT * FROM cached_query('parallel', 'SELECT count(*) FROM big', 300) AS q(n bigint);
SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT * FROM probe('forced', 'SELECT count(*) FROM big');
SELECT * FROM probe('forced', 'SELECT count(*) FROM big');
SELECT n, status() FROM cached_query('forced rows', 'SELECT count(*) FROM big', 300) AS q(n bigint);
SELECT n, status() FROM cached_query('forced rows', 'SELECT count(*) FROM big', 300) AS q(n bigint);
RESET ALL;
DROP TABLE big;

-- EXPLAIN runs nothing, EXPLAIN ANALYZE does
EXPLAIN (COSTS off) SELECT * FROM cached_query('explained', 'SELECT id FROM t', 300) AS q(id integer);
SELECT entries('explained');
DO $$BEGIN
	EXECUTE 'EXPLAIN (ANALYZE) SELECT * FROM cached_query(''explained'', ''SELECT id FROM t'', 300) AS q(id integer)';
END$$;
SELECT entries('explained');

-- with work_mem too small for the rows
SET work_mem = '64kB';
SELECT count(*), sum(length(v)) FROM cached_query('spill', 'SELECT g, repeat(''x'', 100) FROM generate_series(1, 20000) g', 300) AS q(id integer, v text);
SELECT count(*), sum(length(v)) FROM cached_query('spill', 'SELECT g, repeat(''x'', 100) FROM generate_series(1, 20000) g', 300) AS q(id integer, v text);
SELECT status();
RESET work_mem;

DROP VIEW cached_view2;
DROP VIEW cached_view CASCADE;
DROP FUNCTION in_plpgsql(integer), in_sql(integer), inner_call(integer), inner_stable(integer), endless(), catches();
DROP TABLE t, u;
DROP FUNCTION trigger_reads();
