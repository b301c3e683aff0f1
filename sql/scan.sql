\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- FROM cached_query(...): rows from where they are stored
--

CREATE TABLE points (id integer PRIMARY KEY, name text, at date);
INSERT INTO points SELECT i, 'point ' || i, date '2026-01-01' + i FROM generate_series(1, 5) i;

-- up to 16, an InitPlan says what it returns
CREATE FUNCTION plan(statement text, options text DEFAULT 'COSTS OFF') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (' || options || ') ' || statement LOOP
		-- from 18 on, rows have decimals; from 19 on, an InitPlan has another name, and a Result tells what it replaces
		CONTINUE WHEN line ~ '^ *Replaces: ';
		line := regexp_replace(line, 'InitPlan expr_(\d+)', 'InitPlan \1');
		RETURN NEXT regexp_replace(regexp_replace(line, ' \(returns \$\d+\)', ''), '(rows=\d+)\.00', '\1');
	END LOOP;
END
$$;
-- hits by now
CREATE FUNCTION hits() RETURNS bigint LANGUAGE sql AS 'SELECT hits FROM cache_stats';

--
-- Plans
--

SELECT plan($$SELECT * FROM cached_query('p', 'TABLE points', 60) AS t(id integer, name text, at date)$$);
SELECT plan($$SELECT t.id FROM cached_rows(NULL::points, 'p', 'TABLE points', 60) t WHERE t.id > 3$$);
SELECT plan($$SELECT * FROM cached_rows(NULL::integer, 'p', 'SELECT 1', 60)$$);
-- what needs more than the columns
SELECT plan($$SELECT * FROM ROWS FROM (cached_query('p', 'TABLE points', 60) AS (id integer, name text, at date)) WITH ORDINALITY$$);
SELECT plan($$SELECT * FROM ROWS FROM (cached_rows(NULL::points, 'p', 'TABLE points', 60)) WITH ORDINALITY$$);
SELECT plan($$SELECT * FROM ROWS FROM (cached_rows(NULL::integer, 'p', 'SELECT 1', 60), generate_series(1, 2))$$);
SELECT plan($$SELECT t FROM cached_rows(NULL::points, 'p', 'TABLE points', 60) t$$);
SELECT plan($$SELECT id FROM cached_rows(NULL::points, 'p', 'TABLE points', 60) t WHERE t IS NOT NULL$$);
SELECT plan($$SELECT id FROM cached_rows(NULL::points, 'p', 'TABLE points', 60) t ORDER BY t$$);
SELECT plan($$SELECT * FROM cached_rows(NULL::integer, (SELECT 'p' || count(*) FROM points), 'SELECT 1', 60)$$);
SELECT plan($$SELECT points.id FROM points, cached_rows(NULL::integer, 'p', 'SELECT 1', 60) c WHERE id = c FOR UPDATE OF points$$);
CREATE DOMAIN some_point AS points CHECK ((VALUE).id > 0);
SELECT plan($$SELECT * FROM cached_rows(NULL::some_point, 'p', 'TABLE points', 60)$$);
DROP DOMAIN some_point;
-- an outer row to take arguments from; a scan that is never needed
SELECT plan($$SELECT * FROM points p, cached_rows(NULL::integer, 'p' || p.id, 'SELECT $1', 60, p.id) c$$);
SELECT plan($$SELECT * FROM cached_rows(NULL::integer, 'p', 'SELECT 1', 60) WHERE false$$);
-- functions that come with settings of their own are called in full
BEGIN;
ALTER FUNCTION cached_rows(anyelement, text, text, double precision) SET work_mem = '1MB';
SELECT plan($$SELECT * FROM cached_rows(NULL::integer, 'p', 'SELECT 1', 60)$$);
SELECT * FROM cached_rows(NULL::integer, 'p', 'SELECT 1', 60);
ROLLBACK;
SELECT plan($$SELECT * FROM cached_rows(NULL::integer, 'p', 'SELECT 1', 60)$$);
-- ANALYZE tells which it was
SELECT plan($$SELECT id + 1 FROM cached_rows(NULL::points, 'analyzed', 'TABLE points', 60) p WHERE id < 4$$,
	'ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF');
SELECT plan($$SELECT id + 1 FROM cached_rows(NULL::points, 'analyzed', 'TABLE points', 60) p WHERE id < 4$$,
	'ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF');

--
-- Rows
--

SELECT * FROM cached_query('rows', 'TABLE points', 60) AS t(id integer, name text, at date);
SELECT status();
SELECT * FROM cached_query('rows', 'TABLE points', 60) AS t(id integer, name text, at date);
SELECT status();
SELECT at, name || '!' FROM cached_query('rows', 'TABLE points', 60) AS t(id integer, name text, at date) WHERE id % 2 = 0;
SELECT count(*) FROM cached_query('rows', 'TABLE points', 60) AS t(id integer, name text, at date);
SELECT status();
SELECT * FROM cached_query('rows', 'TABLE points', 60) AS t(id integer, name text, at date) LIMIT 2;
SELECT status();
SELECT * FROM cached_query('none', 'TABLE points LIMIT 0', 60) AS t(id integer, name text, at date);
SELECT * FROM cached_query('none', 'TABLE points LIMIT 0', 60) AS t(id integer, name text, at date);
SELECT status();
-- NULLs, and rows longer than a piece of the cache's memory
SELECT a, length(b), c, length(d) FROM cached_query('long', $$SELECT i, repeat('x', i * 1000), NULLIF(i, 2), repeat('y', 100 - i)
	FROM generate_series(1, 3) i$$, 60) AS t(a integer, b text, c integer, d text);
SELECT a, length(b), c, length(d) FROM cached_query('long', $$SELECT i, repeat('x', i * 1000), NULLIF(i, 2), repeat('y', 100 - i)
	FROM generate_series(1, 3) i$$, 60) AS t(a integer, b text, c integer, d text);
SELECT status();
SELECT count(*), sum(length(b)), max(b) = repeat('x', 3000) AS same FROM cached_query('long', $$SELECT i, repeat('x', i * 1000), NULLIF(i, 2), repeat('y', 100 - i)
	FROM generate_series(1, 3) i$$, 60) AS t(a integer, b text, c integer, d text);

-- arguments are evaluated once, from hit to hit
CREATE SEQUENCE calls;
SELECT count(*) FROM cached_rows(NULL::points, 'rows:2', 'TABLE points', 60);
SELECT id FROM cached_rows(NULL::points, CASE WHEN nextval('calls') > 0 THEN 'rows:2' END, 'TABLE points', 60);
SELECT id FROM cached_rows(NULL::points, CASE WHEN nextval('calls') > 0 THEN 'rows:2' END, 'TABLE points', 60);
SELECT status();
SELECT last_value FROM calls;
SELECT * FROM cached_rows(NULL::points, NULL, 'TABLE points', 60);

-- joined: each argument has its answer, without one there is one for all
SELECT hits() AS before \gset
SELECT p.id, c FROM points p CROSS JOIN LATERAL cached_rows(NULL::text, 'lateral:' || p.id % 2, 'SELECT $1::text', 60, p.id % 2) c ORDER BY p.id;
SELECT hits() - :before AS hits;
SELECT hits() AS before \gset
BEGIN;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_material = off;
SELECT plan($$SELECT p.id, c.name FROM points p LEFT JOIN cached_rows(NULL::points, 'rows:2', 'TABLE points', 60) c ON c.id = p.id + 2$$);
SELECT p.id, c.name FROM points p LEFT JOIN cached_rows(NULL::points, 'rows:2', 'TABLE points', 60) c ON c.id = p.id + 2 ORDER BY 1;
SELECT p.id, c.name FROM points p LEFT JOIN cached_rows(NULL::points, 'rescan', 'TABLE points', 60) c ON c.id = p.id + 2 ORDER BY 1;
COMMIT;
SELECT hits() - :before AS hits;
-- a filter on the outer row is no new call, the parameter of a prepared statement no outer row
SELECT hits() AS before \gset
PREPARE filtered(integer) AS
	SELECT p.id, (SELECT count(*) FROM cached_rows(NULL::points, 'rows:2', 'SELECT * FROM points WHERE $1 > 0', 60, $1) c
		WHERE c.id <= p.id AND c.id <= $1) AS n FROM points p ORDER BY 1;
SET plan_cache_mode = force_generic_plan;
EXECUTE filtered(3);
EXECUTE filtered(3);
RESET plan_cache_mode;
SELECT hits() - :before AS hits;

-- in every place that takes rows
CREATE TABLE copied AS SELECT * FROM cached_rows(NULL::points, 'rows:2', 'TABLE points', 60);
SELECT status();
INSERT INTO copied SELECT id + 10, name FROM cached_rows(NULL::points, 'rows:2', 'TABLE points', 60);
COPY (SELECT id, name FROM cached_rows(NULL::points, 'rows:2', 'TABLE points', 60)) TO STDOUT;
UPDATE copied SET name = c.name || ', updated' FROM cached_rows(NULL::points, 'rows:2', 'TABLE points', 60) c WHERE c.id = copied.id AND c.id > 4;
DELETE FROM copied USING cached_rows(NULL::points, 'rows:2', 'TABLE points', 60) c WHERE c.id = copied.id AND c.id < 3;
SELECT id, name FROM copied ORDER BY id;
SELECT array_agg(c.id ORDER BY c.id) FROM points JOIN cached_rows(NULL::points, 'rows:2', 'TABLE points', 60) c USING (id);
SELECT id IN (SELECT id FROM cached_rows(NULL::points, 'rows:2', 'TABLE points', 60) WHERE id > 3) FROM points ORDER BY id;
WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT c.id + 1 FROM r, cached_rows(NULL::points, 'rows:2', 'TABLE points', 60) c WHERE c.id = n)
	SELECT max(n) FROM r;
DO $$
DECLARE
	r record;
	ids text = '';
BEGIN
	FOR r IN SELECT * FROM cached_rows(NULL::points, 'rows:2', 'TABLE points', 60) LOOP
		ids := ids || ' ' || r.id;
	END LOOP;
	RAISE NOTICE '%, %', ids, status();
END
$$;
CREATE FUNCTION through_sql() RETURNS SETOF points LANGUAGE sql AS $$ SELECT * FROM cached_rows(NULL::points, 'rows:2', 'TABLE points', 60) $$;
SELECT id FROM through_sql();
SELECT through_sql() LIMIT 1;

--
-- Cursors
--

BEGIN;
DECLARE plain CURSOR FOR SELECT id FROM cached_rows(NULL::points, 'rows:2', 'TABLE points', 60);
DECLARE scroll SCROLL CURSOR FOR SELECT id FROM cached_rows(NULL::points, 'rows:2', 'TABLE points', 60);
DECLARE forth NO SCROLL CURSOR FOR SELECT id FROM cached_rows(NULL::points, 'rows:2', 'TABLE points', 60);
DECLARE held SCROLL CURSOR WITH HOLD FOR SELECT id FROM cached_rows(NULL::points, 'rows:2', 'TABLE points', 60);
FETCH 2 FROM plain;
FETCH BACKWARD 1 FROM plain;
FETCH ALL FROM plain;
FETCH BACKWARD 2 FROM plain;
FETCH ALL FROM scroll;
FETCH FIRST FROM scroll;
FETCH 2 FROM forth;
FETCH ALL FROM forth;
FETCH ALL FROM forth;
FETCH 2 FROM held;
MOVE 1 FROM held;
SAVEPOINT s;
FETCH BACKWARD 1 FROM forth;
ROLLBACK TO s;
-- dropped from under them
SELECT cache_invalidate('rows:2');
FETCH LAST FROM scroll;
COMMIT;
FETCH ALL FROM held;
FETCH FIRST FROM held;
CLOSE held;

--
-- Pins
--

SELECT count(*) FROM cached_rows(NULL::integer, 'pins', 'SELECT generate_series(1, 3)', 60);
-- given back after any error
DO $$
BEGIN
	FOR i IN 1 .. 200 LOOP
		BEGIN
			PERFORM 1 / (c - 2) FROM cached_rows(NULL::integer, 'pins', 'SELECT generate_series(1, 3)', 60) c;
		EXCEPTION WHEN division_by_zero THEN
			NULL;
		END;
	END LOOP;
	RAISE NOTICE '%', status();
END
$$;
-- and not more of them than there are
SELECT hits() AS before \gset
\set ECHO none
SELECT format('SELECT sum(c) FROM (%s) u', string_agg($$SELECT * FROM cached_rows(NULL::integer, 'pins', 'SELECT generate_series(1, 3)', 60) c$$, ' UNION ALL '))
FROM generate_series(1, 100) \gexec
\set ECHO all
SELECT hits() - :before AS hits;
-- one by another, and one in another
SELECT hits() AS before \gset
SELECT string_agg(format($$cached_rows(NULL::integer, 'pin', 'SELECT 1', 60) c%s$$, i), ', ') AS many FROM generate_series(1, 70) i \gset
SET join_collapse_limit = 1;
SET from_collapse_limit = 1;
SELECT count(*) FROM :many;
RESET join_collapse_limit;
RESET from_collapse_limit;
SELECT hits() - :before AS hits;

--
-- Row types that change
--

PREPARE changing AS SELECT id, name FROM cached_rows(NULL::points, 'changing', 'TABLE points', 60) WHERE id < 3;
PREPARE unused AS SELECT id FROM cached_rows(NULL::points, 'changing', 'TABLE points', 60) WHERE id < 3;
PREPARE everything AS SELECT * FROM cached_rows(NULL::points, 'changing', 'TABLE points', 60) WHERE id < 3;
EXECUTE changing;
EXECUTE unused;
EXECUTE everything;
ALTER TABLE points ADD COLUMN more integer DEFAULT 7;
EXECUTE changing;
EXECUTE changing;
SELECT status();
EXECUTE everything;
SELECT * FROM cached_rows(NULL::points, 'changing', 'TABLE points', 60) WHERE id < 3;
ALTER TABLE points DROP COLUMN at;
EXECUTE changing;
EXECUTE unused;
SELECT status();
SELECT * FROM cached_rows(NULL::points, 'changing', 'TABLE points', 60) WHERE id < 3;
SELECT status();
ALTER TABLE points ALTER COLUMN name TYPE varchar(20);
EXECUTE changing;
EXECUTE unused;
SELECT status();
DEALLOCATE ALL;

--
-- Privileges
--

CREATE ROLE cext_scan_reader;
GRANT SELECT ON points TO cext_scan_reader;
PREPARE granted AS SELECT count(*) FROM cached_rows(NULL::points, 'granted', 'TABLE points', 60);
SET ROLE cext_scan_reader;
EXECUTE granted;
RESET ROLE;
REVOKE EXECUTE ON FUNCTION cached_rows(anyelement, text, text, double precision) FROM PUBLIC;
SET ROLE cext_scan_reader;
EXECUTE granted;
SELECT count(*) FROM cached_rows(NULL::points, 'granted', 'TABLE points', 60);
EXPLAIN (COSTS OFF) EXECUTE granted;
RESET ROLE;
GRANT EXECUTE ON FUNCTION cached_rows(anyelement, text, text, double precision) TO PUBLIC;
SET ROLE cext_scan_reader;
EXECUTE granted;
RESET ROLE;
REVOKE SELECT ON points FROM cext_scan_reader;
SET ROLE cext_scan_reader;
EXECUTE granted;
RESET ROLE;
DEALLOCATE granted;
DROP ROLE cext_scan_reader;

-- counted like any other function
SET track_functions = 'all';
SELECT count(*) FROM cached_rows(NULL::integer, 'pins', 'SELECT generate_series(1, 3)', 60);
SELECT calls FROM pg_stat_xact_user_functions WHERE funcname = 'cached_rows';
RESET track_functions;

DROP FUNCTION through_sql(), hits(), plan(text, text);
DROP TABLE copied, points;
DROP SEQUENCE calls;
