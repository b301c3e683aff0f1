\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- DDL: entries die with what they were made from, and only they
--

CREATE SCHEMA first;
CREATE SCHEMA second;
CREATE TABLE t (id integer, v text);
INSERT INTO t VALUES (1, 'one'), (2, 'two');
CREATE TABLE u (id integer);
INSERT INTO u VALUES (1);
CREATE VIEW v AS SELECT id, v FROM t;
CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM t;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE pair AS (a integer, b integer);
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TABLE typed (m mood, p pair, d positive);
INSERT INTO typed VALUES ('sad', (1, 2), 3);
CREATE FUNCTION f() RETURNS integer STABLE LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION fp() RETURNS integer STABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION count_t() RETURNS bigint STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM t); END $$;
CREATE TABLE part (id integer, v text) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part2 (id integer, v text);
INSERT INTO part1 VALUES (1, 'p1');
INSERT INTO part2 VALUES (11, 'p2');
CREATE TABLE parent (a integer);
CREATE TABLE child (a integer);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (2);

-- Make the entries, run the statement, tell which are dead.  For those that
-- are alive the answer must still be right.
CREATE TABLE queries (n serial, key text, query text);
INSERT INTO queries (key, query) VALUES
	('t', 'SELECT * FROM t ORDER BY id'), ('u', 'SELECT * FROM u'), ('v', 'SELECT * FROM v ORDER BY id'), ('m', 'SELECT * FROM m'), ('typed', 'SELECT * FROM typed'),
	('f', 'SELECT f()'), ('fp', 'SELECT fp()'), ('tf', 'SELECT count_t()'), ('part', 'SELECT * FROM part ORDER BY id'), ('part1', 'SELECT * FROM part1'), ('part2', 'SELECT * FROM part2'),
	('parent', 'SELECT * FROM parent ORDER BY 1'), ('child', 'SELECT * FROM child ORDER BY 1'), ('const', 'SELECT 1 AS one');
CREATE FUNCTION fill() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	q record;
BEGIN
	FOR q IN SELECT * FROM queries ORDER BY n LOOP
		BEGIN
			PERFORM cached_json(q.key, q.query, 300);
		EXCEPTION WHEN OTHERS THEN
			NULL;
		END;
	END LOOP;
END
$$;
CREATE FUNCTION dead() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r text;
	q record;
	hit text;
	fresh text;
BEGIN
	SELECT string_agg(key, ', ' ORDER BY n) INTO r FROM queries
	WHERE NOT EXISTS (SELECT FROM cache_entries e WHERE e.key = queries.key AND alive);
	FOR q IN SELECT * FROM queries ORDER BY n LOOP
		hit := err(format('SELECT cached_json(%L, %L, 300)', q.key, q.query));
		IF hit = 'no error' THEN
			hit := cached_json(q.key, q.query, 300);
		END IF;
		BEGIN
			EXECUTE format('SELECT coalesce(jsonb_agg(s), ''[]'') FROM (%s) s', q.query) INTO fresh;
		EXCEPTION WHEN OTHERS THEN
			fresh := SQLSTATE || ' ' || SQLERRM;
		END;
		IF hit NOT LIKE fresh || '%' THEN
			r := concat(r, format(' WRONG: %s: %s instead of %s', q.key, hit, fresh));
		END IF;
	END LOOP;
	RETURN coalesce(r, 'nothing');
END
$$;
CREATE PROCEDURE try(VARIADIC statements text[]) LANGUAGE plpgsql AS $$
DECLARE
	s text;
BEGIN
	PERFORM fill();
	COMMIT;
	FOREACH s IN ARRAY statements LOOP
		EXECUTE s;
	END LOOP;
	COMMIT;
	RAISE INFO '%: %', array_to_string(statements, '; '), dead();
END
$$;

CALL try('SELECT 1');

-- The same where more may die than must: tell whether these are dead, and all
-- answers right.
CREATE PROCEDURE right(keys text, VARIADIC statements text[]) LANGUAGE plpgsql AS $$
DECLARE
	s text;
	died text;
BEGIN
	PERFORM fill();
	COMMIT;
	FOREACH s IN ARRAY statements LOOP
		EXECUTE s;
	END LOOP;
	COMMIT;
	SELECT string_agg(k, ', ') INTO died FROM unnest(string_to_array(keys, ', ')) k
	WHERE NOT EXISTS (SELECT FROM cache_entries e WHERE e.key = k AND alive);
	RAISE INFO '%: %', array_to_string(statements, '; '), coalesce(nullif(concat_ws(' ', died, substring(dead() from 'WRONG.*')), ''), 'right');
END
$$;

-- a table's columns
CALL try('ALTER TABLE t ADD extra integer');
CALL try('ALTER TABLE t ALTER extra SET DEFAULT 7');
CALL try('ALTER TABLE t RENAME extra TO more');
CALL try('ALTER TABLE t ALTER more TYPE text');
CALL try('ALTER TABLE t DROP more');
DROP VIEW v;
DROP MATERIALIZED VIEW m;
CALL try('ALTER TABLE t ALTER id TYPE bigint');
CREATE VIEW v AS SELECT id, v FROM t;
CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM t;
-- rows, without any trigger
CALL try('TRUNCATE u');
CALL try('INSERT INTO u VALUES (1)', 'SELECT cache_invalidate_table(''u'')');
CALL try('ALTER TABLE u RENAME TO uu');
CALL try('ALTER TABLE uu RENAME TO u');
CALL try('ALTER TABLE u SET SCHEMA first');
CALL try('ALTER TABLE first.u SET SCHEMA public');
CALL try('DROP TABLE u');
CALL try('CREATE TABLE u AS SELECT 5 AS id');
CALL try('DROP TABLE u', 'CREATE TABLE u (id text)', 'INSERT INTO u VALUES (''text'')');
CALL try('ALTER TABLE u ENABLE ROW LEVEL SECURITY');
CALL try('ALTER TABLE u SET (fillfactor = 50)');
CALL try('ALTER TABLE u OWNER TO CURRENT_USER');
CALL try('ALTER TABLE u SET UNLOGGED');

-- views, materialized views, functions
CALL try('CREATE OR REPLACE VIEW v AS SELECT id, upper(v) AS v FROM t');
CALL try('ALTER VIEW v RENAME TO w');
CALL try('ALTER VIEW w RENAME TO v');
CALL try('ALTER VIEW v ALTER id SET DEFAULT 1');
CALL try('INSERT INTO t VALUES (3, ''three'')', 'SELECT cache_invalidate_table(''t'')');
CALL try('REFRESH MATERIALIZED VIEW m');
CREATE UNIQUE INDEX ON m (n);
CALL try('REFRESH MATERIALIZED VIEW CONCURRENTLY m');
CALL right('f', 'CREATE OR REPLACE FUNCTION f() RETURNS integer STABLE LANGUAGE sql AS ''SELECT 2''');
CALL right('fp', 'CREATE OR REPLACE FUNCTION fp() RETURNS integer STABLE LANGUAGE plpgsql AS ''BEGIN RETURN 2; END''');
CALL right('', 'CREATE FUNCTION first.f() RETURNS integer STABLE LANGUAGE sql AS ''SELECT 3''');
CALL right('v', 'CREATE OR REPLACE RULE "_RETURN" AS ON SELECT TO v DO INSTEAD SELECT id, lower(v) AS v FROM t');

-- types
CALL right('typed', 'ALTER TYPE mood RENAME VALUE ''sad'' TO ''blue''');
CALL right('', 'ALTER TYPE mood ADD VALUE ''ok''');
CALL right('typed', 'ALTER TYPE pair ADD ATTRIBUTE c integer CASCADE');
CALL right('typed', 'ALTER TYPE pair RENAME ATTRIBUTE c TO d CASCADE');
CALL right('', 'ALTER DOMAIN positive DROP CONSTRAINT positive_check');
CALL right('', 'ALTER TYPE pair RENAME TO couple');
CALL try('ALTER TABLE typed DROP p');

-- values of a row type that has changed since
CREATE TABLE shape (id integer, x text);
CREATE FUNCTION shapes() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r text;
BEGIN
	-- planned anew: a plan of its own would keep the type's number
	EXECUTE $q$SELECT concat_ws(' ', (SELECT t::text FROM cached_query('shape', 'SELECT ROW(1, ''abc'')::shape', 300) AS t(r shape)), status(),
		(SELECT t::text FROM cached_query('shapes', 'SELECT ARRAY[ROW(1, ''abc'')::shape]', 300) AS t(r shape[])), status())$q$ INTO r;
	RETURN r;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT shapes();
SELECT shapes();
ALTER TABLE shape ALTER id TYPE text;
SELECT shapes();
ALTER TABLE shape DROP id;
SELECT shapes();
DROP TABLE shape CASCADE;
CREATE TYPE shape AS (a integer, b text);
SELECT shapes();
ALTER TYPE shape ALTER ATTRIBUTE a TYPE text;
SELECT shapes();
ALTER TYPE shape ADD ATTRIBUTE c integer;
SELECT shapes();
DROP TYPE shape CASCADE;
SELECT shapes();
DROP FUNCTION shapes();

-- partitions and inheritance
CALL try('ALTER TABLE part ATTACH PARTITION part2 FOR VALUES FROM (10) TO (20)');
CALL try('INSERT INTO part VALUES (12, ''p2'')', 'SELECT cache_invalidate_table(''part2'')');
CALL try('ALTER TABLE part DETACH PARTITION part2');
CALL try('CREATE TABLE part3 PARTITION OF part DEFAULT');
CALL try('DROP TABLE part3');
CALL try('TRUNCATE part1');
CALL try('ALTER TABLE part2 ADD more integer');
CALL try('ALTER TABLE child INHERIT parent');
CALL try('TRUNCATE child');
CALL try('ALTER TABLE child NO INHERIT parent');
CALL try('DROP TABLE part');
DELETE FROM queries WHERE key IN ('part', 'part1');

-- in other schemas: what is created may capture a name
SET search_path = first, public;
CALL public.try('CREATE TABLE first.t (id integer, v text)', 'INSERT INTO first.t VALUES (9, ''captured'')');
CALL public.try('DROP TABLE first.t');
CALL public.try('CREATE VIEW first.t AS SELECT 8 AS id, ''a view'' AS v');
CALL public.try('DROP VIEW first.t');
CALL public.try('CREATE TABLE first.other (id integer)');
CALL public.try('ALTER TABLE first.other RENAME TO t');
CALL public.try('ALTER TABLE first.t SET SCHEMA second');
CALL public.try('ALTER TABLE second.t SET SCHEMA first');
CALL public.right('t', 'DROP SCHEMA first CASCADE');
CALL public.try('CREATE SCHEMA first CREATE TABLE t (id integer, v text)');
CALL public.right('t', 'ALTER SCHEMA first RENAME TO third');
CALL public.right('t', 'ALTER SCHEMA third RENAME TO first');
CALL public.try('DROP TABLE first.t');
RESET search_path;

-- names of relations that a query looks up as it runs, and a type that a table's hides
CREATE TABLE others AS SELECT * FROM queries;
TRUNCATE queries;
CREATE TABLE named (a integer);
CREATE TABLE names AS SELECT 'named'::regclass::oid AS o, 'named'::text AS n;
CREATE DOMAIN hidden AS integer;
INSERT INTO queries (n, key, query) VALUES
	(1, 'out', 'SELECT o::regclass::text FROM names'), (2, 'json', 'SELECT o::regclass FROM names'), (3, 'array', 'SELECT ARRAY[o]::regclass[] FROM names'),
	(4, 'type', 'SELECT ''7''::hidden::text'), (5, 'none', 'SELECT n FROM names');
CALL try('SELECT 1');
CALL try('ALTER TABLE named RENAME TO renamed');
CALL try('CREATE TABLE named (b integer)');
CALL try('DROP TABLE named', 'ALTER TABLE renamed RENAME TO named');
SET search_path = first, public;
CALL try('CREATE TABLE first.named ()');
CALL try('DROP TABLE first.named');
CALL try('CREATE TABLE first.hidden (a integer)');
CALL try('DROP TABLE first.hidden');
RESET search_path;
DROP TABLE named, names;
DROP DOMAIN hidden;
TRUNCATE queries;
INSERT INTO queries SELECT * FROM others;
DROP TABLE others;

-- a temporary table hides one: only for its session, only while it lasts
SELECT fill();
SELECT status FROM probe('u2', 'SELECT * FROM u');
SELECT status FROM probe('uf', 'SELECT count_t()');
CREATE TEMP TABLE t (id integer, v text);
SELECT * FROM probe('t', 'SELECT * FROM t ORDER BY id');
SELECT * FROM probe('uf', 'SELECT count_t()');
SELECT * FROM probe('u2', 'SELECT * FROM u');
DROP TABLE pg_temp.t;
SELECT * FROM probe('t', 'SELECT * FROM t ORDER BY id');
BEGIN;
CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 77 AS id;
SELECT (probe('t', 'SELECT * FROM t ORDER BY id')).result;
COMMIT;
SELECT (probe('t', 'SELECT * FROM t ORDER BY id')).status;
CREATE TEMP VIEW u AS SELECT 'temporary' AS id;
SELECT (probe('u2', 'SELECT * FROM u')).result;
DROP VIEW pg_temp.u;
SELECT (probe('u2', 'SELECT * FROM u')).status;

-- rolled back: nothing has happened
SELECT fill();
BEGIN;
ALTER TABLE t ADD extra integer;
DROP TABLE u;
SELECT result FROM probe('t', 'SELECT * FROM t ORDER BY id LIMIT 1');
SELECT err($$SELECT cached_json('u', 'SELECT * FROM u', 300)$$);
ROLLBACK;
SELECT dead();
-- in a transaction: its own sees it at once, the others after the commit
SELECT fill();
BEGIN;
DROP VIEW v;
SELECT err($$SELECT cached_json('v', 'SELECT * FROM v ORDER BY id', 300)$$);
CREATE VIEW v AS SELECT 5 AS id, 'new' AS v;
SELECT * FROM probe('v', 'SELECT * FROM v ORDER BY id');
COMMIT;
SELECT * FROM probe('v', 'SELECT * FROM v ORDER BY id');
SELECT * FROM probe('v', 'SELECT * FROM v ORDER BY id');

-- and what leaves all of them alone
CALL try('CREATE INDEX t_v ON t (v)');
CALL try('REINDEX INDEX t_v');
CALL try('ALTER INDEX t_v RENAME TO t_vv');
CALL try('DROP INDEX t_vv');
CALL try('ANALYZE t');
CALL try('ANALYZE');
CALL try('COMMENT ON TABLE t IS ''a comment''');
CALL try('CREATE TABLE brand_new (a integer PRIMARY KEY, b serial)');
CALL try('ALTER TABLE brand_new ADD c text');
CALL try('CREATE VIEW brand_new_view AS SELECT * FROM brand_new');
CALL try('CREATE MATERIALIZED VIEW brand_new_matview AS SELECT * FROM brand_new');
CALL try('REFRESH MATERIALIZED VIEW brand_new_matview');
CALL try('TRUNCATE brand_new');
CALL try('DROP TABLE brand_new CASCADE');
CALL try('CREATE SEQUENCE brand_new_seq');
CALL try('ALTER SEQUENCE brand_new_seq RESTART');
CALL try('DROP SEQUENCE brand_new_seq');
CALL try('CREATE TEMP TABLE brand_new (a integer)', 'INSERT INTO brand_new VALUES (1)', 'TRUNCATE brand_new', 'ALTER TABLE brand_new ADD b integer', 'DROP TABLE brand_new');
CALL try('CREATE STATISTICS brand_new_stats ON id, v FROM t');
CALL try('DROP STATISTICS brand_new_stats');
CALL try('LOCK TABLE t');
CALL try('SET work_mem = ''5MB''');
CALL try('DO $x$ BEGIN END $x$');
CALL try('CREATE ROLE regress_ddl');
CALL try('NOTIFY something');
SELECT fill();
VACUUM t;
VACUUM ANALYZE;
CHECKPOINT;
SELECT dead();
SELECT fill();
CREATE INDEX CONCURRENTLY t_c ON t (v);
REINDEX TABLE CONCURRENTLY t;
DROP INDEX CONCURRENTLY t_c;
SELECT dead();
-- grants
CALL right('u', 'GRANT SELECT ON u TO regress_ddl');
CALL right('u', 'REVOKE SELECT ON u FROM regress_ddl');
CALL right('', 'DROP ROLE regress_ddl');

-- a foreign table brings rows to what it becomes a part of
CREATE FOREIGN DATA WRAPPER regress_wrapper;
CREATE SERVER regress_server FOREIGN DATA WRAPPER regress_wrapper;
CREATE TABLE above (id integer) PARTITION BY RANGE (id);
CREATE TABLE above1 PARTITION OF above FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id);
CREATE TABLE heirs (id integer);
CREATE PROCEDURE fill_above() LANGUAGE plpgsql AS $$
BEGIN
	PERFORM cached_json('above', 'SELECT count(*) FROM above', 300);
	PERFORM cached_json('above1', 'SELECT count(*) FROM above1', 300);
	PERFORM cached_json('above heirs', 'SELECT count(*) FROM heirs', 300);
END
$$;
CALL fill_above();
CREATE FOREIGN TABLE above2 PARTITION OF above FOR VALUES FROM (10) TO (20) SERVER regress_server;
SELECT entries('above%');
DROP FOREIGN TABLE above2;
CALL fill_above();
CREATE FOREIGN TABLE above2 PARTITION OF above1 FOR VALUES FROM (0) TO (5) SERVER regress_server;
SELECT entries('above%');
DROP FOREIGN TABLE above2;
CALL fill_above();
CREATE FOREIGN TABLE above2 () INHERITS (heirs) SERVER regress_server;
SELECT entries('above%');
DROP FOREIGN TABLE above2;
CALL fill_above();
CREATE FOREIGN TABLE above2 (id integer) SERVER regress_server;
SELECT entries('above%');
ALTER TABLE above ATTACH PARTITION above2 FOR VALUES FROM (10) TO (20);
SELECT entries('above%');
SET client_min_messages = warning;
DROP PROCEDURE fill_above();
DROP FOREIGN DATA WRAPPER regress_wrapper CASCADE;
DROP TABLE above, heirs;
RESET client_min_messages;

DROP PROCEDURE try(text[]);
DROP PROCEDURE right(text, text[]);
DROP FUNCTION fill(), dead(), f(), fp(), count_t();
SET client_min_messages = warning;
DROP TABLE t, u, typed, part2, parent, child, queries CASCADE;
DROP VIEW v;
DROP TYPE mood, couple CASCADE;
DROP DOMAIN positive;
DROP SCHEMA first, second CASCADE;
RESET client_min_messages;

-- a function that can do without a table notices when there is one, and so does
-- what stands on its answer
CREATE FUNCTION perhaps() RETURNS bigint STABLE LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT count(*) FROM not_yet);
EXCEPTION WHEN undefined_table THEN
	RETURN -1;
END
$$;
SELECT * FROM probe('outer', $q$SELECT cached_json('perhaps', 'SELECT perhaps() AS n', 300) AS n$q$);
SELECT * FROM probe('outer', $q$SELECT cached_json('perhaps', 'SELECT perhaps() AS n', 300) AS n$q$);
SELECT * FROM probe('perhaps', 'SELECT perhaps() AS n');
CREATE TABLE not_yet AS SELECT 1 AS a;
SELECT * FROM probe('outer', $q$SELECT cached_json('perhaps', 'SELECT perhaps() AS n', 300) AS n$q$);
SELECT * FROM probe('perhaps', 'SELECT perhaps() AS n');
DROP TABLE not_yet;
DROP FUNCTION perhaps();
