\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- Plans of statements that come again: kept at the second time, used from the
-- third, with other constants too, and never for what is another statement
--
CREATE TABLE item (id integer, name text);
INSERT INTO item VALUES (1, 'one'), (2, 'two');
CREATE VIEW plans AS SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'cache_ext plan';

SELECT * FROM cached_query('item', 'SELECT * FROM item', 60) AS t(id integer, name text);
TABLE plans;
SELECT * FROM cached_query('item', 'SELECT * FROM item', 60) AS t(id integer, name text);
TABLE plans;
SELECT * FROM cached_query('item', 'SELECT * FROM item', 60) AS t(id integer, name text);
SELECT * FROM cached_query('item', 'SELECT * FROM item', 60) AS t(id integer, name text);
TABLE plans;
SELECT status();
-- the answer is another one, the plan is not
UPDATE item SET name = 'eins' WHERE id = 1;
SELECT cache_invalidate('item') > 0 AS invalidated;
SELECT * FROM cached_query('item', 'SELECT * FROM item', 60) AS t(id integer, name text);

-- the others of the family, two in one message, and what is not only a call
SELECT cached_json('item', 'SELECT * FROM item', '1 min')\;SELECT cached_json('item', 'SELECT * FROM item', '1 min')\;SELECT 1;
SELECT cached_json('item', 'SELECT * FROM item', '1 min');
SELECT cached_json('item', 'SELECT * FROM item', '1 min');
SELECT name FROM cached_rows(NULL::item, 'item', 'SELECT * FROM item WHERE id = $1', interval '1 min', 1) t;
SELECT name FROM cached_rows(NULL::item, 'item', 'SELECT * FROM item WHERE id = $1', interval '1 min', 1) t;
SELECT name FROM cached_rows(NULL::item, 'item', 'SELECT * FROM item WHERE id = $1', interval '1 min', 1) t;
TABLE plans;
SELECT name FROM cached_rows(NULL::item, 'item', 'TABLE item', 60) t WHERE id = 1 \g /dev/null
SELECT name FROM cached_rows(NULL::item, 'item', 'TABLE item', 60) t WHERE id = 1 \g /dev/null
SELECT upper(name) FROM cached_rows(NULL::item, 'item', 'TABLE item', 60) t \g /dev/null
SELECT upper(name) FROM cached_rows(NULL::item, 'item', 'TABLE item', 60) t \g /dev/null
SELECT name FROM cached_rows(NULL::item, 'item', 'TABLE item', 60) t ORDER BY 1 LIMIT 1 \g /dev/null
SELECT name FROM cached_rows(NULL::item, 'item', 'TABLE item', 60) t ORDER BY 1 LIMIT 1 \g /dev/null
SELECT cached_json('item', 'TABLE item', 60 + random()) IS NULL \g /dev/null
SELECT cached_json('item', 'TABLE item', 60 + random()) IS NULL \g /dev/null
TABLE plans;

-- other constants, of the same types and of others
SELECT * FROM cached_query('plan:other', 'SELECT name FROM item WHERE id = $1', 60, 1) AS t(name text);
SELECT * FROM cached_query('plan:other', 'SELECT name FROM item WHERE id = $1', 60, 1) AS t(name text);
SELECT * FROM cached_query('plan:other', 'SELECT name FROM item WHERE id = $1', 60, 2) AS t(name text);
SELECT * FROM cached_query('plan:other', 'SELECT name FROM item WHERE id = $1', 60, 3) AS t(name text);
SELECT * FROM cached_query('plan:other', 'SELECT name FROM item WHERE id = $1', 60, NULL::integer) AS t(name text);
TABLE plans;
SELECT * FROM cached_query('plan:another', 'SELECT name FROM item WHERE id + 1 = $1', 61, 2) AS t(name text);
SELECT * FROM cached_query('plan:another', 'SELECT name FROM item WHERE id + 1 = $1', 61.5, 2) AS t(name text);
SELECT * FROM cached_query('plan:another', 'SELECT name FROM item WHERE id + 1 = $1', 62, 2.0) AS t(name text);
SELECT * FROM cached_query('plan:another', 'SELECT name FROM item WHERE id + 1 = $1', 63, '2') AS t(name text);
SELECT * FROM cached_query('plan:another', 'SELECT name FROM item WHERE id + 1 = $1', 64, '3') AS t(name text);
SELECT key, extract(epoch FROM expires - created)::numeric(4, 1) AS life, count(*) FROM cache_entries
	WHERE key LIKE 'plan:%other' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT cached_json('plan:other', 'SELECT name FROM item WHERE id = $1', '1 min', 1);
SELECT cached_json('plan:other', 'SELECT name FROM item WHERE id = $1', '1 min', 1);
SELECT cached_json('plan:other', 'SELECT name FROM item WHERE id = $1', '2 min', 2);
SELECT cached_json('plan:other', 'SELECT id, name FROM item WHERE id = $1', '2 min', 2) AS named;
SELECT cached_json('plan:other', 'SELECT name FROM item WHERE id = $1', '-1 min', 2);
SELECT cached_json(NULL, 'SELECT name FROM item WHERE id = $1', '1 min', 2);
TABLE plans;

-- names that mean something else
CREATE SCHEMA far;
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TYPE far.mood AS ENUM ('far', 'sad');
SELECT pg_typeof(m) FROM cached_query('mood', 'SELECT ''sad''::public.mood', 60) AS t(m mood);
SELECT m FROM cached_query('mood', 'SELECT ''sad''::mood', 60) AS t(m mood);
SELECT m FROM cached_query('mood', 'SELECT ''sad''::mood', 60) AS t(m mood);
SELECT m FROM cached_query('mood', 'SELECT ''sad''::mood', 60) AS t(m mood);
SET search_path = far, public;
SELECT m FROM cached_query('mood', 'SELECT ''sad''::mood', 60) AS t(m mood);
SELECT m FROM cached_query('mood', 'SELECT ''far''::mood', 60) AS t(m mood);
SELECT m FROM cached_query('mood', 'SELECT ''far''::mood', 60) AS t(m mood);
SELECT m FROM cached_query('mood', 'SELECT ''far''::mood', 60) AS t(m mood);
SET search_path = public;
SELECT m FROM cached_query('mood', 'SELECT ''far''::mood', 60) AS t(m mood);
RESET search_path;

-- a row type gets other columns
SELECT name FROM cached_rows(NULL::item, 'item', 'SELECT * FROM item WHERE id = $1', interval '1 min', 1) t;
SELECT name FROM cached_rows(NULL::item, 'item', 'SELECT * FROM item WHERE id = $1', interval '1 min', 1) t;
SELECT name FROM cached_rows(NULL::item, 'item', 'SELECT * FROM item WHERE id = $1', interval '1 min', 1) t;
ALTER TABLE item ADD COLUMN v integer DEFAULT 7;
SELECT name FROM cached_rows(NULL::item, 'item', 'SELECT * FROM item WHERE id = $1', interval '1 min', 1) t;
ALTER TABLE item DROP COLUMN id;
SELECT name FROM cached_rows(NULL::item, 'item', 'SELECT * FROM item WHERE id = $1', interval '1 min', 1) t;
ALTER TABLE item ADD COLUMN id integer;
UPDATE item SET id = v WHERE name = 'two';
SELECT name FROM cached_rows(NULL::item, 'item', 'SELECT name, v, id FROM item WHERE id = $1', interval '1 min', 7) t;
SELECT name FROM cached_rows(NULL::item, 'item', 'SELECT name, v, id FROM item WHERE id = $1', interval '1 min', 7) t;
SELECT name FROM cached_rows(NULL::item, 'item', 'SELECT name, v, id FROM item WHERE id = $1', interval '1 min', 7) t;

-- parameters: one plan for all values
PREPARE asked(text, integer) AS SELECT * FROM cached_query($1, 'SELECT $1 * 2', 60, $2) AS t(twice integer);
SET plan_cache_mode = force_custom_plan;
EXECUTE asked('a', 1);
EXECUTE asked('a', 2);
EXECUTE asked('a', 3);
EXECUTE asked('b', 1);
EXECUTE asked('a', 2);
EXECUTE asked(NULL, 2);
EXPLAIN (VERBOSE, COSTS OFF) EXECUTE asked('a', 2);
RESET plan_cache_mode;
DEALLOCATE asked;

-- a privilege that is taken back, a function that goes
CREATE ROLE regress_planner;
GRANT SELECT ON item TO regress_planner;
SET ROLE regress_planner;
SELECT cached_json('granted', 'SELECT name FROM item ORDER BY 1', 60);
SELECT cached_json('granted', 'SELECT name FROM item ORDER BY 1', 60);
SELECT cached_json('granted', 'SELECT name FROM item ORDER BY 1', 60);
RESET ROLE;
BEGIN;
REVOKE EXECUTE ON FUNCTION cached_json(text, text, double precision) FROM PUBLIC;
SET LOCAL ROLE regress_planner;
SELECT cached_json('granted', 'SELECT name FROM item ORDER BY 1', 60);
ROLLBACK;
SELECT cached_json('granted', 'SELECT name FROM item ORDER BY 1', 60);
TABLE plans;
BEGIN;
CREATE FUNCTION other() RETURNS integer LANGUAGE sql AS 'SELECT 1';
TABLE plans;
ROLLBACK;
DROP OWNED BY regress_planner;
DROP ROLE regress_planner;

-- forgotten while it runs, by what it runs
CREATE FUNCTION restless() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	CREATE OR REPLACE FUNCTION other() RETURNS integer LANGUAGE sql AS 'SELECT 1';
	RETURN 1;
END $$;
SELECT * FROM cached_query('restless', 'SELECT restless() FROM generate_series(1, 3)', 60) AS t(n integer);
SELECT * FROM cached_query('restless', 'SELECT restless() FROM generate_series(1, 3)', 60) AS t(n integer);
SELECT * FROM cached_query('restless', 'SELECT restless() FROM generate_series(1, 3)', 60) AS t(n integer);
TABLE plans;

-- as many as there is room for, and none with a constant that is all too long
SET client_min_messages = warning;
DO $$
BEGIN
	FOR i IN 1 .. 200 LOOP
		FOR j IN 1 .. 3 LOOP
			EXECUTE format('SELECT * FROM cached_query(''many'', ''SELECT 1'', 60) AS t(%I integer)', 'c' || i);
		END LOOP;
	END LOOP;
END $$;
TABLE plans;
CREATE FUNCTION other2() RETURNS integer LANGUAGE sql AS 'SELECT 1';
TABLE plans;
DO $$
BEGIN
	FOR j IN 1 .. 3 LOOP
		EXECUTE format('SELECT cached_json(''long'', %L, 60)', 'SELECT 1 -- ' || repeat('x', 20000));
	END LOOP;
END $$;
TABLE plans;

DROP VIEW plans;
DROP FUNCTION restless(), other(), other2();
DROP TYPE mood, far.mood;
DROP SCHEMA far;
DROP TABLE item;
