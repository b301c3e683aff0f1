\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- First use: hits and misses, time to live, errors
--

CREATE TABLE courses (id integer PRIMARY KEY, title text, price numeric(10,2));
INSERT INTO courses SELECT g, 'Course ' || g, g * 1.5 FROM generate_series(1, 5) g;

-- a miss, then a hit
SELECT * FROM cached_query('course:list', 'SELECT id, title FROM courses ORDER BY id', 60)
	AS t(id integer, title text);
SELECT status, reason, tier, stored, age IS NULL AS no_age, elapsed_ms > 0 AS timed
FROM cache_last_status();
SELECT * FROM cached_query('course:list', 'SELECT id, title FROM courses ORDER BY id', 60)
	AS t(id integer, title text);
SELECT status, reason, tier, stored, age >= '0' AND age < '60 s' AS age,
	ttl_left > '0' AND ttl_left <= '60 s' AS ttl_left, elapsed_ms >= 0 AS timed
FROM cache_last_status();

-- a hit does not see a change that nothing invalidates
UPDATE courses SET title = 'Changed' WHERE id = 1;
SELECT * FROM cached_query('course:list', 'SELECT id, title FROM courses ORDER BY id', 60)
	AS t(id integer, title text) LIMIT 1;
SELECT cache_invalidate('course:list');
SELECT * FROM cached_query('course:list', 'SELECT id, title FROM courses ORDER BY id', 60)
	AS t(id integer, title text) LIMIT 1;
SELECT status();

-- with a row type, no column list is needed
SELECT * FROM cached_rows(NULL::courses, 'course:2', 'SELECT * FROM courses WHERE id = $1', 60, 2);
SELECT status();
SELECT * FROM cached_rows(NULL::courses, 'course:2', 'SELECT * FROM courses WHERE id = $1', 60, 2);
SELECT status();

-- a document for an API route
SELECT cached_json('course:api', 'SELECT * FROM courses WHERE id <= $1 ORDER BY id', 60, 2);
SELECT status();
SELECT cached_json('course:api', 'SELECT * FROM courses WHERE id <= $1 ORDER BY id', 60, 2);
SELECT status();
SELECT cached_json('course:none', 'SELECT * FROM courses WHERE id > 100', 60);
SELECT cached_json('course:none', 'SELECT * FROM courses WHERE id > 100', 60);
SELECT status();

-- every form of a read
SELECT * FROM probe('form', 'SELECT 1 AS a');
SELECT * FROM probe('form', 'WITH w AS (SELECT 2 AS a) SELECT * FROM w');
SELECT * FROM probe('form', 'VALUES (3), (4)');
SELECT jsonb_array_length(result), status FROM probe('form', 'TABLE courses');
SELECT * FROM probe('form', '(SELECT 1 AS a) UNION ALL (SELECT 2) ORDER BY a DESC');
SELECT * FROM probe('form', 'SELECT 1 AS a;');
SELECT * FROM probe('form', '/* a comment */ SELECT 1 AS a -- and another');
SELECT * FROM probe('form', 'WITH RECURSIVE w AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM w WHERE a < 3) SELECT * FROM w');

-- documents have the query's names, whatever the plan
SELECT * FROM probe('name', 'SELECT id AS x, title AS y, price AS z FROM courses WHERE id = 2');
SELECT * FROM probe('name', 'SELECT column1 AS z FROM (VALUES (1), (3)) v');
SELECT * FROM probe('name', 'SELECT a AS b FROM generate_series(1, 2) a');
SELECT * FROM probe('name', 'SELECT a AS b FROM (SELECT x + 0 AS a FROM unnest(ARRAY[1, 2]) x LIMIT 5) s');
SELECT * FROM probe('name', 'WITH w AS MATERIALIZED (SELECT id AS q FROM courses WHERE id = 2) SELECT q AS r FROM w');
SELECT * FROM probe('name', 'SELECT count(*) FROM courses');
SELECT * FROM probe('name', 'SELECT 1 AS a, 2 AS a, 3 AS "B c"');
SELECT * FROM probe('name', 'SELECT 1, ''two''');
SELECT * FROM probe('name', 'SELECT FROM courses LIMIT 2');

--
-- Time to live
--

CREATE FUNCTION ttl_of(k text) RETURNS interval LANGUAGE sql VOLATILE
AS $$ SELECT date_trunc('second', expires - created + '0.5 s') FROM cache_entries WHERE key = k AND alive $$;

DO $$
BEGIN
	PERFORM cached_json('ttl:literal', 'SELECT 1', 60);
	PERFORM cached_json('ttl:smallint', 'SELECT 1', 61::smallint);
	PERFORM cached_json('ttl:integer', 'SELECT 1', 62::integer);
	PERFORM cached_json('ttl:bigint', 'SELECT 1', 63::bigint);
	PERFORM cached_json('ttl:numeric', 'SELECT 1', 64.0);
	PERFORM cached_json('ttl:real', 'SELECT 1', 65::real);
	PERFORM cached_json('ttl:float', 'SELECT 1', 66::double precision);
	PERFORM cached_json('ttl:interval', 'SELECT 1', interval '67 s');
	PERFORM cached_json('ttl:policy', 'SELECT 1', 'medium');
	PERFORM cached_json('ttl:policy text', 'SELECT 1', 'long'::text);
	PERFORM cached_json('ttl:text interval', 'SELECT 1', '5 minutes 1 second');
	PERFORM cached_json('ttl:text ISO interval', 'SELECT 1', 'PT70S');
	PERFORM cached_json('ttl:text number', 'SELECT 1', '71');
	PERFORM cached_json('ttl:text fraction', 'SELECT 1', ' 72.0 ');
	PERFORM cached_json('ttl:varchar', 'SELECT 1', '73'::varchar);
	PERFORM cached_json('ttl:null', 'SELECT 1', NULL);
	PERFORM cached_json('ttl:null integer', 'SELECT 1', NULL::integer);
	PERFORM cached_json('ttl:null interval', 'SELECT 1', NULL::interval);
	PERFORM cached_json('ttl:null text', 'SELECT 1', NULL::text);
	PERFORM cached_json('ttl:day', 'SELECT 1', 'day');
	PERFORM cached_json('ttl:a century and more', 'SELECT 1', 1e300);
	PERFORM cached_json('ttl:months', 'SELECT 1', interval '1 mon 1 day');
END
$$;
SELECT key, ttl_of(key) FROM cache_entries WHERE key LIKE 'ttl:%' AND key NOT LIKE '%century%' AND alive
ORDER BY key COLLATE "C";
SELECT ttl_of('ttl:a century and more') > '90 years' AS capped;

-- all three functions have all of them
SELECT count(*) FROM cached_query('ttl:q1', 'SELECT 1', 60) AS t(a integer);
SELECT count(*) FROM cached_query('ttl:q2', 'SELECT 1', '1 min'::interval) AS t(a integer);
SELECT count(*) FROM cached_query('ttl:q3', 'SELECT 1', 'short') AS t(a integer);
SELECT count(*) FROM cached_query('ttl:q4', 'SELECT 1', NULL) AS t(a integer);
SELECT count(*) FROM cached_rows(NULL::integer, 'ttl:r1', 'SELECT 1', 60);
SELECT count(*) FROM cached_rows(NULL::integer, 'ttl:r2', 'SELECT 1', '1 min'::interval);
SELECT count(*) FROM cached_rows(NULL::integer, 'ttl:r3', 'SELECT 1', 'short');
SELECT count(*) FROM cached_rows(NULL::integer, 'ttl:r4', 'SELECT 1', NULL);
SELECT key, ttl_of(key) FROM cache_entries WHERE key ~ 'ttl:[qr]' AND alive ORDER BY key COLLATE "C";

-- the default can be set
SET cache_ext.default_ttl = '2 min';
SELECT status FROM probe('ttl:default', 'SELECT 1', NULL);
SELECT ttl_of('ttl:default');
RESET cache_ext.default_ttl;

-- a time that has passed; a shorter one given now counts for what is there
SELECT status FROM probe('ttl:short', 'SELECT 1', '0.001');
SELECT status FROM probe('ttl:short', 'SELECT 1', '0.000001');
SELECT status FROM probe('ttl:shorter', 'SELECT 1', '300');
SELECT status FROM probe('ttl:shorter', 'SELECT 1', '0.000001');
SELECT status FROM probe('ttl:shorter', 'SELECT 1', '300');

-- what is no time to live
SELECT err(format('SELECT cached_json(''e'', ''SELECT 1'', %s)', ttl))
FROM unnest(ARRAY['0', '-1', '0.0', '''NaN''::float8', '''Infinity''::float8', '''-Infinity''::float8',
	'''0''', '''-5''', '''infinity''', '''nan''', '''-1 minute''', '''0 minutes''',
	'interval ''0''', 'interval ''-1 hour''', 'interval ''1 mon -40 days''',
	'''''', ''' ''', '''soon''', '''Medium''', '''5 fortnights''', '''0x''', '''1e''', '''1e999''',
	'''99999999999999999999 years''']) AS ttl;
SELECT err($$SELECT cached_json('e', 'SELECT 1', true)$$) ~ '^42883' AS "no such function";
SELECT entries('e');

--
-- Errors
--

\set VERBOSITY default
-- null
SELECT cached_json(NULL, 'SELECT 1', 60);
\echo :SQLSTATE
SELECT cached_json('e', NULL, 60);
\echo :SQLSTATE
SELECT * FROM cached_query(NULL, 'SELECT 1', 60) AS t(a integer);
\echo :SQLSTATE
SELECT * FROM cached_rows(NULL::courses, 'e', NULL, 60);
\echo :SQLSTATE
SELECT cached_json(NULL, NULL, NULL);
\echo :SQLSTATE

-- length of the key, in bytes
SELECT cached_json('', 'SELECT 1', 60);
\echo :SQLSTATE
SELECT cached_json(repeat('x', 1025), 'SELECT 1', 60);
\echo :SQLSTATE
SELECT status FROM probe(repeat('x', 1024), 'SELECT 1');
SELECT status FROM probe(repeat('x', 1024), 'SELECT 1');
SELECT status FROM probe(repeat('x', 1023) || 'y', 'SELECT 1');

-- not exactly one statement
SELECT cached_json('e', '', 60);
\echo :SQLSTATE
SELECT err($$SELECT cached_json('e', ';', 60)$$);
SELECT err($$SELECT cached_json('e', '-- nothing', 60)$$);
SELECT cached_json('e', 'SELECT 1; SELECT 2', 60);
\echo :SQLSTATE
SELECT err($$SELECT cached_json('e', 'SELECT 1; DROP TABLE courses', 60)$$);

-- not a read
SELECT err(format('SELECT cached_json(''e'', %L, 60)', statement))
FROM unnest(ARRAY[
	'INSERT INTO courses VALUES (6, ''six'', 1)',
	'INSERT INTO courses VALUES (6, ''six'', 1) RETURNING *',
	'UPDATE courses SET price = 0',
	'DELETE FROM courses',
	'MERGE INTO courses USING (VALUES (1)) v(i) ON id = i WHEN MATCHED THEN DELETE',
	'TRUNCATE courses',
	'DROP TABLE courses',
	'CREATE TABLE evil AS SELECT 1',
	'COPY courses TO STDOUT',
	'EXPLAIN SELECT 1',
	'EXPLAIN ANALYZE DELETE FROM courses',
	'SHOW search_path',
	'SET search_path = evil',
	'BEGIN', 'COMMIT', 'ROLLBACK',
	'PREPARE p AS SELECT 1',
	'EXECUTE p',
	'DECLARE c CURSOR FOR SELECT 1',
	'FETCH c',
	'CALL evil()',
	'DO $x$ BEGIN END $x$',
	'LISTEN evil',
	'LOCK courses',
	'SELECT * INTO evil FROM courses',
	'WITH w AS (SELECT 1) SELECT * INTO evil FROM w',
	'SELECT * FROM courses FOR UPDATE',
	'SELECT * FROM courses FOR NO KEY UPDATE NOWAIT',
	'SELECT * FROM courses FOR SHARE SKIP LOCKED',
	'SELECT * FROM courses FOR KEY SHARE OF courses',
	'SELECT * FROM (SELECT * FROM courses FOR UPDATE) s',
	'SELECT (SELECT id FROM courses LIMIT 1 FOR UPDATE)',
	'WITH w AS (SELECT * FROM courses FOR UPDATE) SELECT * FROM w',
	'WITH w AS (DELETE FROM courses RETURNING *) SELECT * FROM w',
	'WITH w AS (UPDATE courses SET price = 0 RETURNING *) SELECT count(*) FROM w',
	'WITH w AS (INSERT INTO courses VALUES (6, ''six'', 1)) SELECT 1']) AS statement;
SELECT count(*), sum(price) FROM courses;
SELECT to_regclass('evil');
SELECT entries('e');

-- the column list does not fit
SELECT * FROM cached_query('e', 'SELECT 1, 2', 60) AS t(a integer);
\echo :SQLSTATE
SELECT * FROM cached_query('e', 'SELECT 1', 60) AS t(a integer, b integer);
\echo :SQLSTATE
SELECT * FROM cached_query('e', 'SELECT 1, 2', 60) AS t(a integer, b text);
\echo :SQLSTATE
SELECT * FROM cached_query('e', 'SELECT id FROM courses', 60) AS t(a bigint);
\echo :SQLSTATE
SELECT * FROM cached_rows(NULL::courses, 'e', 'SELECT id, title FROM courses', 60);
\echo :SQLSTATE
SELECT * FROM cached_rows(NULL::courses, 'e', 'SELECT title, id, price FROM courses', 60);
\echo :SQLSTATE
SELECT entries('e');
-- the same against what is stored
SELECT * FROM cached_query('fits', 'SELECT 1, 2', 60) AS t(a integer, b integer);
SELECT * FROM cached_query('fits', 'SELECT 1, 2', 60) AS t(a integer);
\echo :SQLSTATE
SELECT * FROM cached_query('fits', 'SELECT 1, 2', 60) AS t(a integer, b integer, c integer);
\echo :SQLSTATE
SELECT * FROM cached_query('fits', 'SELECT 1, 2', 60) AS t(a integer, b text);
\echo :SQLSTATE
SELECT * FROM cached_query('fits', 'SELECT 1, 2', 60) AS t(a integer, b integer);
SELECT status();
-- names are the list's; types that are the same bits will do
SELECT * FROM cached_query('fits2', 'SELECT ''x''::varchar, 1::oid', 60) AS t(one text, two regclass);
SELECT * FROM cached_query('fits2', 'SELECT ''x''::varchar, 1::oid', 60) AS t(three varchar, four oid);
SELECT status();
-- a length that the query does not promise does not fit
SELECT * FROM cached_query('e', 'SELECT ''abcdef''::varchar', 60) AS t(a varchar(2));
\echo :SQLSTATE
SELECT * FROM cached_query('e', 'SELECT 1.239', 60) AS t(a numeric(10,2));
\echo :SQLSTATE
SELECT * FROM cached_query('e2', 'SELECT 1.239::numeric(10,2)', 60) AS t(a numeric(10,2));
SELECT * FROM cached_query('e2', 'SELECT 1.239::numeric(10,2)', 60) AS t(a numeric);
SELECT status();
SELECT entries('e');

-- no column list at all
SELECT * FROM cached_query('e', 'SELECT 1', 60);
\echo :SQLSTATE
SELECT cached_query('e', 'SELECT 1', 60);
\echo :SQLSTATE
SELECT err($$SELECT cached_rows(NULL, 'e', 'SELECT 1', 60)$$) ~ '^42' AS "needs a type";
SELECT err($$SELECT * FROM cached_rows(NULL::record, 'e', 'SELECT 1', 60)$$);

-- an argument is missing
SELECT cached_json('e', 'SELECT $1::integer', 60);
\echo :SQLSTATE
SELECT cached_json('e', 'SELECT $1::integer + $2', 60, 1);
\echo :SQLSTATE
SELECT err($$SELECT cached_json('e', 'SELECT $3::integer', 60, 1, 2)$$);
SELECT err($$SELECT cached_json('e', 'SELECT $2::integer', 60)$$);
SELECT err($$SELECT cached_json('e', 'SELECT $0', 60)$$);
SELECT err($$SELECT cached_json('e', 'SELECT $99999999', 60)$$);

-- the query's own error
SELECT cached_json('e', 'SELECT 1 / 0', 60);
\echo :SQLSTATE
SELECT cached_json('e', 'SELECT 1 / (id - 3) FROM courses ORDER BY id', 60);
\echo :SQLSTATE
SELECT * FROM cached_query('e', 'SELECT 1 / (id - 3) FROM courses ORDER BY id', 60) AS t(a integer);
\echo :SQLSTATE
SELECT cached_json('e', 'SELECT * FROM nowhere', 60);
\echo :SQLSTATE
SELECT cached_json('e', 'SELECT nothing FROM courses', 60);
\echo :SQLSTATE
SELECT cached_json('e', 'SELEC 1', 60);
\echo :SQLSTATE
SELECT cached_json('e', 'SELECT $1::integer', 60, 'x');
\echo :SQLSTATE
SELECT cached_json('e%s%n', 'SELECT 1 / 0', 60);
\echo :SQLSTATE
SELECT entries('e%');

-- and after all of these the cache works on
SELECT cached_json('e', 'SELECT 1 AS fine', 60);
SELECT cached_json('e', 'SELECT 1 AS fine', 60);
SELECT status();

-- an error in the middle of a transaction leaves nothing behind
BEGIN;
SELECT cached_json('e3', 'SELECT 1 / 0', 60);
ROLLBACK;
SELECT entries('e3');
-- while a fill of a transaction that fails later is good: it wrote nothing
BEGIN;
SELECT cached_json('e4', 'SELECT 4 AS four', 60);
SELECT 1 / 0;
ROLLBACK;
SELECT * FROM probe('e4', 'SELECT 4 AS four');

DROP FUNCTION ttl_of(text);
DROP TABLE courses;
