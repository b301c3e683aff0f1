\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- Triggers that invalidate
--

CREATE TABLE students (id integer PRIMARY KEY, name text);
INSERT INTO students SELECT g, 'student ' || g FROM generate_series(1, 9) g;
CREATE TABLE enrollments (
	student_id integer REFERENCES students ON UPDATE CASCADE ON DELETE CASCADE,
	course_id integer,
	grade text,
	at date DEFAULT '2026-03-01',
	PRIMARY KEY (student_id, course_id));
INSERT INTO enrollments SELECT g, g * 10 FROM generate_series(1, 9) g;

-- Make an entry of each key, run the statement, tell which keys it dropped.
CREATE PROCEDURE try(statement text, VARIADIC keys text[]) LANGUAGE plpgsql AS $$
DECLARE
	died text[];
BEGIN
	FOR i IN 1 .. cardinality(keys) LOOP
		PERFORM public.cached_json(keys[i], 'SELECT 1 AS a', 300);
	END LOOP;
	COMMIT;
	EXECUTE statement;
	COMMIT;
	SELECT array_agg(k ORDER BY n) INTO died FROM unnest(keys) WITH ORDINALITY AS u(k, n)
	WHERE NOT EXISTS (SELECT FROM public.cache_entries WHERE key = k AND alive);
	RAISE INFO '%: %', statement, coalesce(died::text, 'nothing');
END
$$;
\set try 'CALL try('
\set keys ', \'student:1\', \'student:2\', \'student:20\', \'course:10:list\', \'course:10:stats\', \'course:20:list\', \'course:99:list\', \'revenue:all\', \'other\')'

--
-- A trigger of one's own: for each row
--
CREATE TRIGGER inval AFTER INSERT OR UPDATE OR DELETE ON enrollments FOR EACH ROW
	EXECUTE FUNCTION cache_invalidate_trigger('student:{student_id}', 'course:{course_id}:*', 'revenue:*');
:try 'SELECT 1' :keys;
:try 'INSERT INTO enrollments VALUES (1, 20)' :keys;
:try 'UPDATE enrollments SET grade = ''A'' WHERE student_id = 1 AND course_id = 20' :keys;
-- old and new values both
:try 'UPDATE enrollments SET course_id = 99 WHERE student_id = 1 AND course_id = 20' :keys;
:try 'DELETE FROM enrollments WHERE course_id = 99' :keys;
:try 'UPDATE enrollments SET grade = ''A'' WHERE false' :keys;
:try 'DELETE FROM enrollments WHERE student_id = 1000' :keys;
-- by a foreign key
:try 'UPDATE students SET id = 20 WHERE id = 2' :keys;
:try 'UPDATE students SET id = 2 WHERE id = 20' :keys;
:try 'DELETE FROM students WHERE id = 2' :keys;
INSERT INTO students VALUES (2, 'again');
INSERT INTO enrollments VALUES (2, 20);
-- rolled back
:try 'DO $x$ BEGIN INSERT INTO enrollments VALUES (1, 20); RAISE EXCEPTION ''no''; EXCEPTION WHEN OTHERS THEN END $x$' :keys;
DROP TRIGGER inval ON enrollments;
:try 'UPDATE enrollments SET grade = ''A''' :keys;

-- for each statement, without transition tables: any value
CREATE TRIGGER inval AFTER UPDATE ON enrollments FOR EACH STATEMENT
	EXECUTE FUNCTION cache_invalidate_trigger('student:{student_id}', 'course:{course_id}:list');
:try 'UPDATE enrollments SET grade = ''A'' WHERE student_id = 1' :keys;
:try 'INSERT INTO enrollments VALUES (1, 20)' :keys;
DROP TRIGGER inval ON enrollments;
DELETE FROM enrollments WHERE student_id = 1 AND course_id = 20;
-- with them: the rows
CREATE TRIGGER inval AFTER UPDATE ON enrollments REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT
	EXECUTE FUNCTION cache_invalidate_trigger('student:{student_id}', 'course:{course_id}:list');
:try 'UPDATE enrollments SET grade = ''A'' WHERE student_id = 1' :keys;
:try 'UPDATE enrollments SET course_id = 99 WHERE student_id = 1' :keys;
:try 'UPDATE enrollments SET course_id = 10 WHERE student_id = 1' :keys;
:try 'UPDATE enrollments SET grade = ''A'' WHERE false' :keys;
DROP TRIGGER inval ON enrollments;
-- with one of them only
CREATE TRIGGER inval AFTER UPDATE ON enrollments REFERENCING NEW TABLE AS n FOR EACH STATEMENT
	EXECUTE FUNCTION cache_invalidate_trigger('course:{course_id}:list');
:try 'UPDATE enrollments SET course_id = 99 WHERE student_id = 1' :keys;
:try 'UPDATE enrollments SET course_id = 10 WHERE student_id = 1' :keys;
DROP TRIGGER inval ON enrollments;
-- on TRUNCATE
CREATE TRIGGER inval AFTER TRUNCATE ON enrollments
	EXECUTE FUNCTION cache_invalidate_trigger('student:{student_id}', 'course:{course_id}:*', 'revenue:all');
BEGIN;
TRUNCATE enrollments;
ROLLBACK;
:try 'TRUNCATE enrollments' :keys;
DROP TRIGGER inval ON enrollments;
INSERT INTO enrollments SELECT g, g * 10 FROM generate_series(1, 9) g;
-- for certain columns, under a condition
CREATE TRIGGER inval AFTER UPDATE OF grade ON enrollments FOR EACH ROW WHEN (NEW.grade = 'F')
	EXECUTE FUNCTION cache_invalidate_trigger('student:{student_id}');
:try 'UPDATE enrollments SET grade = ''A'' WHERE student_id = 1' :keys;
:try 'UPDATE enrollments SET at = ''2026-03-02'' WHERE student_id = 1' :keys;
:try 'UPDATE enrollments SET grade = ''F'' WHERE student_id = 1' :keys;
DROP TRIGGER inval ON enrollments;
-- deferred
CREATE CONSTRAINT TRIGGER inval AFTER UPDATE ON enrollments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	EXECUTE FUNCTION cache_invalidate_trigger('student:{student_id}');
:try 'UPDATE enrollments SET grade = ''A'' WHERE student_id = 1' :keys;
DROP TRIGGER inval ON enrollments;
-- no template: whatever reads the table
CREATE TRIGGER inval AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON enrollments FOR EACH STATEMENT EXECUTE FUNCTION cache_invalidate_trigger();
SELECT (probe('reads:e', 'SELECT count(*) FROM enrollments')).status, (probe('reads:s', 'SELECT count(*) FROM students')).status,
	(probe('reads:both', 'SELECT count(*) FROM students JOIN enrollments ON id = student_id')).status;
UPDATE enrollments SET grade = 'B';
SELECT entries('reads%');
DROP TRIGGER inval ON enrollments;

-- what is wrong with a trigger is an error when it fires
CREATE TABLE wrong (id integer, "Odd {name}" text, gone integer);
INSERT INTO wrong VALUES (1, 'x', 2);
ALTER TABLE wrong DROP gone;
CREATE FUNCTION try_template(template text, how text DEFAULT 'AFTER UPDATE ON wrong FOR EACH ROW') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r text;
BEGIN
	EXECUTE format('CREATE TRIGGER inval %s EXECUTE FUNCTION public.cache_invalidate_trigger(%L)', how, template);
	r := err('UPDATE public.wrong SET id = 1');
	DROP TRIGGER inval ON public.wrong;
	RETURN r;
END
$$;
SELECT template, try_template(template) FROM unnest(ARRAY['x:{id}', 'x:{nothing}', 'x:{gone}', 'x:{........pg.dropped.3........}', 'x:{ctid}', 'x:{xmin}', 'x:{ID}', 'x:{ id }', '', 'x:{', 'x:{id', 'x:{}', 'x:}', '{id}', 'x:\{id\}', 'x:{Odd {name}}']) template;
SELECT try_template('x', 'BEFORE UPDATE ON wrong FOR EACH ROW');
SELECT try_template('x', 'BEFORE UPDATE ON wrong FOR EACH STATEMENT');
SELECT cache_invalidate_trigger();
SELECT cache_policy_changed();
DROP FUNCTION try_template(text, text);
DROP TABLE wrong;

-- values: data cannot widen a pattern, nor a key
CREATE TABLE vals (v text, n numeric, d date, ts timestamptz, b boolean, a text[], j jsonb, i interval, by bytea, f double precision);
CREATE TRIGGER inval AFTER INSERT OR DELETE ON vals FOR EACH ROW
	EXECUTE FUNCTION cache_invalidate_trigger('key:{v}', 'glob:{v}:*');
CALL try($$INSERT INTO vals VALUES ('*')$$, 'key:*', 'key:a', 'glob:*:1', 'glob:a:1', 'glob::1');
CALL try($$INSERT INTO vals VALUES ('?')$$, 'key:?', 'key:a', 'glob:?:1', 'glob:a:1');
CALL try($$INSERT INTO vals VALUES ('[a-z]')$$, 'key:[a-z]', 'key:a', 'glob:[a-z]:1', 'glob:a:1');
CALL try($$INSERT INTO vals VALUES ('[^a]')$$, 'key:[^a]', 'key:b', 'glob:[^a]:1', 'glob:b:1', 'glob:a:1');
CALL try($$INSERT INTO vals VALUES ('\')$$, 'key:\', 'key:*', 'glob:\:1', 'glob::1', 'glob:*:1');
CALL try($$INSERT INTO vals VALUES ('\*')$$, 'key:\*', 'key:*', 'key:a', 'glob:\*:1', 'glob:*:1', 'glob:a:1');
CALL try($$INSERT INTO vals VALUES ('{v}')$$, 'key:{v}', 'key:v', 'glob:{v}:1', 'glob:v:1');
CALL try($$INSERT INTO vals VALUES ('a:b')$$, 'key:a:b', 'key:a', 'glob:a:b:1', 'glob:a:1');
CALL try($$INSERT INTO vals VALUES ('')$$, 'key:', 'key:a', 'glob::1', 'glob:a:1');
CALL try($$INSERT INTO vals VALUES (' a ')$$, 'key: a ', 'key:a', 'glob: a :1', 'glob:a:1');
CALL try($$INSERT INTO vals VALUES (NULL)$$, 'key:', 'key:a', 'key:NULL', 'glob::1', 'glob:NULL:1', 'glob:a:1');
CALL try($$INSERT INTO vals VALUES (repeat('x', 2000))$$, 'key:' || repeat('x', 1020), 'key:x');
DROP TRIGGER inval ON vals;
-- one template's NULL does not stop the others
CREATE TRIGGER inval AFTER INSERT ON vals FOR EACH ROW EXECUTE FUNCTION cache_invalidate_trigger('key:{v}', 'n:{n}', 'both:{v}:{n}', 'fixed');
CALL try($$INSERT INTO vals (v, n) VALUES ('a', 1)$$, 'key:a', 'n:1', 'both:a:1', 'fixed');
CALL try($$INSERT INTO vals (v, n) VALUES (NULL, 1)$$, 'key:a', 'n:1', 'both:a:1', 'both::1', 'fixed');
CALL try($$INSERT INTO vals (v, n) VALUES ('a', NULL)$$, 'key:a', 'n:1', 'both:a:1', 'both:a:', 'fixed');
DROP TRIGGER inval ON vals;
-- a template may have braces, escapes, wildcards and columns anywhere
CREATE TRIGGER inval AFTER INSERT ON vals FOR EACH ROW EXECUTE FUNCTION cache_invalidate_trigger('\{v\}:{v}', 'star\*:{v}', '{v}', '{v}{n}', '*:{v}:end', '{v}:[ab]', 'q:{v}?');
CALL try($$INSERT INTO vals (v, n) VALUES ('x', 1)$$, '{v}:x', '\{v\}:x', 'x:x', 'star*:x', 'star\*:x', 'start:x', 'x', 'x1', 'x2', 'any:x:end', 'any:y:end', 'x:a', 'x:c', 'q:x1', 'q:x');
DROP TRIGGER inval ON vals;
-- every type as ISO and all writers write alike, whatever they have set
CREATE TRIGGER inval AFTER INSERT ON vals FOR EACH ROW EXECUTE FUNCTION cache_invalidate_trigger('d:{d}', 'ts:{ts}', 'b:{b}', 'a:{a}', 'j:{j}', 'n:{n}', 'i:{i}', 'by:{by}', 'f:{f}');
CREATE FUNCTION insert_vals() RETURNS void LANGUAGE sql AS $$
	INSERT INTO vals VALUES ('x', 1.50, '2026-02-01', '2026-02-01 12:00+00', true, '{a,"b c"}', '{"k": 1}', '1 day 2 hours', '\x00ff', 0.1::float8 + 0.2::float8)
$$;
SET TimeZone = 'UTC';
CALL try('SELECT insert_vals()', 'd:2026-02-01', 'd:01.02.2026', 'd:02-01-2026', 'ts:2026-02-01 12:00:00+00', 'b:t', 'b:true', 'a:{a,"b c"}', 'j:{"k": 1}', 'n:1.50', 'n:1.5', 'i:1 day 02:00:00', 'by:\x00ff', 'f:0.30000000000000004', 'f:0.3');
SET DateStyle = 'German, DMY';
SET IntervalStyle = 'iso_8601';
SET bytea_output = 'escape';
SET extra_float_digits = -2;
CALL try('SELECT insert_vals()', 'd:2026-02-01', 'd:01.02.2026', 'd:02-01-2026', 'ts:2026-02-01 12:00:00+00', 'b:t', 'a:{a,"b c"}', 'n:1.50', 'i:1 day 02:00:00', 'by:\x00ff', 'f:0.30000000000000004', 'f:0.3');
SHOW DateStyle;
SHOW IntervalStyle;
-- also where the trigger fails
CREATE TABLE bad (d date);
CREATE TRIGGER inval AFTER INSERT ON bad FOR EACH ROW EXECUTE FUNCTION cache_invalidate_trigger('d:{nothing}');
SELECT err($$INSERT INTO bad VALUES ('2026-02-01')$$);
SHOW DateStyle;
DROP TABLE bad;
RESET ALL;
DROP FUNCTION insert_vals();
DROP TABLE vals;

--
-- cache_attach
--
CREATE TABLE plain_table (id integer PRIMARY KEY, k text, n integer);
SELECT cache_attach('plain_table', 'id:{id}', 'k:{k}:*');
SELECT relation, trigger_name, events, level, templates, enabled FROM cache_triggers ORDER BY trigger_name COLLATE "C";
\set keys ', \'id:1\', \'id:2\', \'id:3\', \'k:a:x\', \'k:b:x\', \'other\')'
:try 'INSERT INTO plain_table VALUES (1, ''a''), (2, ''b'')' :keys;
:try 'UPDATE plain_table SET n = 1 WHERE id = 1' :keys;
:try 'UPDATE plain_table SET k = ''b'' WHERE id = 1' :keys;
:try 'UPDATE plain_table SET id = 3, k = ''a'' WHERE id = 1' :keys;
:try 'DELETE FROM plain_table WHERE id = 3' :keys;
:try 'INSERT INTO plain_table VALUES (2, ''b'') ON CONFLICT DO NOTHING' :keys;
:try 'INSERT INTO plain_table VALUES (2, ''x'') ON CONFLICT (id) DO UPDATE SET k = ''a''' :keys;
:try 'INSERT INTO plain_table VALUES (1, ''b''), (2, ''x'') ON CONFLICT (id) DO UPDATE SET n = 5' :keys;
:try 'MERGE INTO plain_table p USING (VALUES (2), (3)) v(id) ON p.id = v.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.id, ''c'')' :keys;
:try 'MERGE INTO plain_table p USING (VALUES (1)) v(id) ON p.id = v.id WHEN MATCHED THEN UPDATE SET k = ''a''' :keys;
:try 'MERGE INTO plain_table p USING (VALUES (1)) v(id) ON p.id = v.id WHEN MATCHED THEN DO NOTHING' :keys;
:try 'WITH w AS (UPDATE plain_table SET n = 9 WHERE id = 1 RETURNING *), x AS (DELETE FROM plain_table WHERE id = 3) SELECT count(*) FROM w' :keys;
:try 'EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) UPDATE plain_table SET n = 8 WHERE id = 1' :keys;
:try 'TRUNCATE plain_table' :keys;
SELECT status FROM unnest(ARRAY['id:1', 'id:2', 'k:a:x']) k, LATERAL probe(k, 'SELECT 1 AS a');
COPY plain_table FROM stdin;
1	a	\N
2	\N	\N
\.
SELECT entries('id%'), entries('k:%');
CREATE FUNCTION writer() RETURNS void LANGUAGE plpgsql AS $$ BEGIN UPDATE plain_table SET n = n + 1; END $$;
:try 'SELECT writer()' :keys;
CREATE RULE r AS ON DELETE TO plain_table DO INSTEAD UPDATE plain_table SET n = 0 WHERE id = OLD.id;
:try 'DELETE FROM plain_table WHERE id = 1' :keys;
DROP RULE r ON plain_table;
CREATE VIEW updatable AS SELECT * FROM plain_table WHERE id < 3;
:try 'UPDATE updatable SET n = 3 WHERE id = 2' :keys;
DROP VIEW updatable;
DROP FUNCTION writer();
-- many rows at once
SELECT count(*) FROM unnest(ARRAY['id:50', 'id:500', 'id:501']) k, LATERAL probe(k, 'SELECT 1 AS a');
INSERT INTO plain_table SELECT g, 'bulk' FROM generate_series(3, 500) g;
SELECT entries('id:%');
-- rolled back
SELECT count(*) FROM unnest(ARRAY['id:1', 'id:50']) k, LATERAL probe(k, 'SELECT 1 AS a');
BEGIN;
SAVEPOINT a;
UPDATE plain_table SET n = 1 WHERE id = 1;
ROLLBACK TO a;
UPDATE plain_table SET n = 1 WHERE id = 50;
COMMIT;
SELECT entries('id:%');
-- once more: replaces
SELECT cache_attach('plain_table', VARIADIC ARRAY['new:{id}']);
SELECT count(*), array_agg(DISTINCT templates) FROM cache_triggers WHERE relation = 'plain_table'::regclass;
CALL try('UPDATE plain_table SET n = 4 WHERE id = 1', 'id:1', 'new:1', 'new:2');
-- a replica applies by the row trigger alone
SET session_replication_role = replica;
CALL try('UPDATE plain_table SET n = 4 WHERE id = 1', 'id:1', 'new:1', 'new:2');
CALL try('TRUNCATE plain_table', 'new:1', 'new:2', 'other');
CALL try('INSERT INTO plain_table VALUES (1)', 'new:1', 'new:2');
RESET session_replication_role;
-- without a template: the table
SELECT cache_attach('plain_table');
SELECT trigger_name, templates, enabled FROM cache_triggers WHERE relation = 'plain_table'::regclass ORDER BY trigger_name COLLATE "C";
SELECT (probe('reads:plain', 'SELECT count(*) FROM plain_table')).status, (probe('reads:students', 'SELECT count(*) FROM students')).status;
INSERT INTO plain_table VALUES (2);
SELECT entries('reads%');
SELECT (probe('reads:plain', 'SELECT count(*) FROM plain_table'));
TRUNCATE plain_table;
SELECT (probe('reads:plain', 'SELECT count(*) FROM plain_table'));
-- it goes on after a column is renamed that a template does not name
SELECT cache_attach('plain_table', 'id:{id}');
ALTER TABLE plain_table RENAME k TO kk;
ALTER TABLE plain_table DROP n;
CALL try('INSERT INTO plain_table VALUES (1)', 'id:1', 'id:2');
ALTER TABLE plain_table RENAME id TO id2;
SELECT err('INSERT INTO plain_table VALUES (2)');
-- detach: none is left, and a trigger of one's own stays
CREATE TRIGGER own AFTER INSERT ON plain_table FOR EACH ROW EXECUTE FUNCTION cache_invalidate_trigger('own:{id2}');
SELECT cache_detach('plain_table');
SELECT cache_detach('plain_table');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'plain_table'::regclass AND NOT tgisinternal ORDER BY tgname;
-- errors
SELECT cache_attach('plain_table', 'x:{nothing}');
SELECT err($$SELECT cache_attach('plain_table', '')$$);
SELECT err($$SELECT cache_attach('plain_table', NULL)$$);
SELECT err($$SELECT cache_attach('plain_table', VARIADIC NULL)$$);
SELECT err($$SELECT cache_attach('plain_table', 'x:{id2')$$);
SELECT err($$SELECT cache_attach(NULL, 'x')$$);
SELECT err($$SELECT cache_attach('nowhere', 'x')$$);
SELECT err($$SELECT cache_attach('plain_table_pkey', 'x')$$);
SELECT err($$SELECT cache_attach('pg_class', 'x')$$);
CREATE VIEW a_view AS SELECT 1 AS a;
SELECT err($$SELECT cache_attach('a_view', 'x')$$);
CREATE MATERIALIZED VIEW a_matview AS SELECT 1 AS a;
SELECT err($$SELECT cache_attach('a_matview', 'x')$$);
CREATE SEQUENCE a_sequence;
SELECT err($$SELECT cache_attach('a_sequence', 'x')$$);
SELECT err($$SELECT cache_detach(NULL)$$);
SELECT err($$SELECT cache_detach('nowhere')$$);
DROP VIEW a_view;
DROP MATERIALIZED VIEW a_matview;
DROP SEQUENCE a_sequence;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'plain_table'::regclass AND NOT tgisinternal ORDER BY tgname;
CREATE ROLE regress_tr;
SET ROLE regress_tr;
SELECT err($$SELECT cache_attach('plain_table', 'x')$$);
SELECT err($$SELECT cache_detach('plain_table')$$);
RESET ROLE;
ALTER TABLE plain_table OWNER TO regress_tr;
GRANT CREATE ON SCHEMA public TO regress_tr;
SET ROLE regress_tr;
SELECT cache_attach('plain_table', 'x:{id2}');
SELECT cache_detach('plain_table');
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM regress_tr;
DROP TABLE plain_table;
DROP ROLE regress_tr;
-- names that need quoting, templates that do
CREATE SCHEMA "A schema";
CREATE TABLE "A schema"."A 'table'" ("The ""id""" integer);
SELECT cache_attach('"A schema"."A ''table''"', 'q:{The "id"}', 'it''s:\\x');
SELECT DISTINCT relation, templates FROM cache_triggers;
CALL try($$INSERT INTO "A schema"."A 'table'" VALUES (1)$$, 'q:1', 'it''s:\x', 'it''s:\\x', 'q:2');
SELECT cache_detach('"A schema"."A ''table''"');
DROP SCHEMA "A schema" CASCADE;
-- a temporary table
CREATE TEMP TABLE tmp (id integer);
SELECT cache_attach('tmp', 'tmp:{id}');
CALL try('INSERT INTO tmp VALUES (1)', 'tmp:1', 'tmp:2');
DROP TABLE tmp;

--
-- Partitioned tables
--
CREATE TABLE pay (id integer, region text, amount integer) PARTITION BY LIST (region);
CREATE TABLE pay_eu PARTITION OF pay FOR VALUES IN ('eu') PARTITION BY RANGE (id);
CREATE TABLE pay_eu1 PARTITION OF pay_eu FOR VALUES FROM (0) TO (100);
CREATE TABLE pay_us PARTITION OF pay FOR VALUES IN ('us');
SELECT cache_attach('pay', 'pay:{id}', 'region:{region}:*');
SELECT relation, trigger_name, events, level, enabled FROM cache_triggers ORDER BY relation::text COLLATE "C", trigger_name COLLATE "C";
\set keys ', \'pay:1\', \'pay:2\', \'pay:200\', \'region:eu:x\', \'region:us:x\', \'other\')'
:try 'INSERT INTO pay VALUES (1, ''eu'', 10)' :keys;
:try 'INSERT INTO pay_us VALUES (2, ''us'', 10)' :keys;
:try 'UPDATE pay SET amount = 11 WHERE id = 1' :keys;
:try 'UPDATE pay_eu1 SET amount = 11 WHERE id = 1' :keys;
-- from one partition into another
:try 'UPDATE pay SET region = ''us'' WHERE id = 1' :keys;
:try 'UPDATE pay SET region = ''eu'' WHERE id = 1' :keys;
:try 'DELETE FROM pay_eu WHERE id = 1' :keys;
COPY pay FROM stdin;
1	eu	5
\.
:try 'MERGE INTO pay p USING (VALUES (1)) v(id) ON p.id = v.id WHEN MATCHED THEN UPDATE SET amount = 0' :keys;
-- TRUNCATE of the root, of a partition
:try 'TRUNCATE pay' :keys;
:try 'TRUNCATE pay_eu1' :keys;
:try 'TRUNCATE ONLY pay_us' :keys;
-- new partitions, created and attached
CREATE TABLE pay_eu2 PARTITION OF pay_eu FOR VALUES FROM (100) TO (1000);
:try 'INSERT INTO pay VALUES (200, ''eu'', 10)' :keys;
:try 'INSERT INTO pay_eu2 VALUES (200, ''eu'', 10)' :keys;
:try 'TRUNCATE pay_eu2' :keys;
CREATE TABLE pay_asia (id integer, region text, amount integer);
INSERT INTO pay_asia VALUES (2, 'asia', 1);
ALTER TABLE pay ATTACH PARTITION pay_asia FOR VALUES IN ('asia');
:try 'UPDATE pay SET amount = 3 WHERE region = ''asia''' :keys;
:try 'UPDATE pay_asia SET amount = 4' :keys;
:try 'TRUNCATE pay_asia' :keys;
INSERT INTO pay_asia VALUES (2, 'asia', 1);
ALTER TABLE pay DETACH PARTITION pay_asia;
:try 'UPDATE pay_asia SET amount = 5' :keys;
SET session_replication_role = replica;
:try 'UPDATE pay SET amount = 11 WHERE id = 200' :keys;
:try 'INSERT INTO pay_us VALUES (2, ''us'', 11)' :keys;
:try 'UPDATE pay_us SET amount = 12' :keys;
:try 'INSERT INTO pay VALUES (1, ''eu'', 10)' :keys;
RESET session_replication_role;
-- again, and without a template
SELECT cache_attach('pay');
SELECT (probe('reads:pay', 'SELECT count(*) FROM pay')).status, (probe('reads:eu', 'SELECT count(*) FROM pay_eu')).status, (probe('reads:us', 'SELECT count(*) FROM pay_us')).status;
INSERT INTO pay VALUES (2, 'us', 1);
SELECT entries('reads%');
SELECT (probe('reads:pay', 'SELECT count(*) FROM pay')).status, (probe('reads:us', 'SELECT count(*) FROM pay_us')).status;
DELETE FROM pay_eu1;
SELECT entries('reads%');
SELECT (probe('reads:pay', 'SELECT count(*) FROM pay')).status, (probe('reads:eu', 'SELECT count(*) FROM pay_eu')).status;
TRUNCATE pay;
SELECT entries('reads%');
SELECT cache_detach('pay');
SELECT count(*) FROM pg_trigger WHERE tgrelid IN (SELECT relid FROM pg_partition_tree('pay'));
-- one partition only
SELECT cache_attach('pay_us', 'us:{id}');
CALL try('INSERT INTO pay VALUES (1, ''eu'', 10), (2, ''us'', 3)', 'us:1', 'us:2');
CALL try('INSERT INTO pay_us VALUES (1, ''us'', 10)', 'us:1', 'us:2');
DROP TABLE pay, pay_asia;

--
-- Inheritance
--
CREATE TABLE base (id integer, a text);
CREATE TABLE derived (b text) INHERITS (base);
SELECT cache_attach('base', 'base:{id}');
CALL try('INSERT INTO base VALUES (1)', 'base:1', 'base:2');
CALL try('INSERT INTO derived VALUES (2)', 'base:1', 'base:2');
CALL try('UPDATE base SET a = ''x''', 'base:1', 'base:2', 'base:3');
CALL try('DELETE FROM ONLY base', 'base:1', 'base:2');
CALL try('TRUNCATE base', 'base:1', 'base:2', 'other');
CALL try('TRUNCATE derived', 'base:1', 'base:2', 'other');
SELECT cache_attach('base');
SELECT (probe('reads:base', 'SELECT count(*) FROM base')).status, (probe('reads:derived', 'SELECT count(*) FROM derived')).status;
INSERT INTO derived VALUES (2);
SELECT entries('reads%');
SELECT (probe('reads:base', 'SELECT count(*) FROM base')).status, (probe('reads:derived', 'SELECT count(*) FROM derived')).status;
INSERT INTO base VALUES (2);
SELECT entries('reads:base');
-- the child on its own
SELECT cache_detach('base');
SELECT count(*) FROM cache_triggers;
SELECT cache_attach('derived', 'derived:{id}:{b}');
CALL try('UPDATE base SET a = ''y''', 'derived:2:', 'derived:2:x');
CALL try('INSERT INTO derived VALUES (2, ''a'', ''x'')', 'derived:2:', 'derived:2:x');
DROP TABLE base CASCADE;

--
-- Foreign keys
--
SELECT cache_attach('enrollments', 'student:{student_id}', 'course:{course_id}:*');
\set keys ', \'student:3\', \'student:4\', \'student:40\', \'course:30:x\', \'course:40:x\', \'other\')'
:try 'DELETE FROM students WHERE id = 3' :keys;
:try 'UPDATE students SET id = 40 WHERE id = 4' :keys;
:try 'UPDATE students SET name = ''x'' WHERE id = 40' :keys;
:try 'TRUNCATE students CASCADE' :keys;
SELECT cache_detach('enrollments');

DROP PROCEDURE try(text, text[]);
DROP TABLE enrollments, students;
SELECT cache_clear() >= 0 AS cleared;

-- transition rows that no longer fit in memory
CREATE TABLE wide (id integer, pad text);
INSERT INTO wide SELECT g, repeat('x', 200) FROM generate_series(1, 5000) g;
SELECT cache_attach('wide', 'wide:{id}');
SELECT result FROM probe('wide:4999', 'SELECT 1 AS a');
SET work_mem = '64kB';
UPDATE wide SET pad = repeat('y', 200);
RESET work_mem;
SELECT entries('wide:%');
DROP TABLE wide;

--
-- What is known of a trigger's templates follows the table
--

CREATE TABLE changing (id integer, name text, "when" date);
INSERT INTO changing VALUES (1, 'one', '2026-01-02'), (2, 'two', '2026-01-03');
CREATE TRIGGER t AFTER INSERT OR UPDATE OR DELETE ON changing FOR EACH ROW
	EXECUTE FUNCTION cache_invalidate_trigger('changing:{id}');
CREATE PROCEDURE change(statement text) LANGUAGE plpgsql AS $$
DECLARE
	gone text;
BEGIN
	PERFORM cache_set(k, '1', 60) FROM unnest(ARRAY['changing:1', 'changing:2', 'changing:one', 'changing:two',
		'changing:2026-01-02', 'changing:2026-01-03', 'changing:x:1']) k;
	COMMIT;
	EXECUTE statement;
	COMMIT;
	SELECT string_agg(k, ', ') INTO gone FROM unnest(ARRAY['changing:1', 'changing:2', 'changing:one', 'changing:two',
		'changing:2026-01-02', 'changing:2026-01-03', 'changing:x:1']) k WHERE cache_get(k) IS NULL;
	RAISE NOTICE '%', gone;
END
$$;
CALL change('UPDATE changing SET name = name WHERE id = 1');
CALL change('UPDATE changing SET name = name WHERE id = 1');
-- the name means another column
ALTER TABLE changing RENAME id TO old;
ALTER TABLE changing RENAME name TO id;
CALL change('UPDATE changing SET old = old WHERE old = 1');
-- of another type
ALTER TABLE changing RENAME id TO name;
ALTER TABLE changing RENAME "when" TO id;
CALL change('UPDATE changing SET old = old WHERE old = 1');
SET DateStyle = 'German';
CALL change('UPDATE changing SET old = old WHERE old = 1');
RESET DateStyle;
ALTER TABLE changing ALTER id TYPE text USING 'x:1';
CALL change('UPDATE changing SET old = old WHERE old = 1');
-- or no longer one
ALTER TABLE changing DROP id;
CALL change('UPDATE changing SET old = old WHERE old = 1');
ALTER TABLE changing RENAME old TO id;
CALL change('UPDATE changing SET id = id WHERE id = 1');
-- another template under the same trigger; one that is not to be
CREATE OR REPLACE TRIGGER t AFTER INSERT OR UPDATE OR DELETE ON changing FOR EACH ROW
	EXECUTE FUNCTION cache_invalidate_trigger('changing:{name}');
CALL change('UPDATE changing SET id = id WHERE id = 1');
BEGIN;
CREATE OR REPLACE TRIGGER t AFTER INSERT OR UPDATE OR DELETE ON changing FOR EACH ROW
	EXECUTE FUNCTION cache_invalidate_trigger('changing:x:{id}');
UPDATE changing SET id = id WHERE id = 1;
ROLLBACK;
CALL change('UPDATE changing SET id = id WHERE id = 1');
-- a trigger that updates the same table
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.id = 1 AND pg_trigger_depth() = 1 THEN
		EXECUTE 'ANALYZE changing';
		UPDATE changing SET id = id WHERE id = 2;
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER a AFTER UPDATE ON changing FOR EACH ROW EXECUTE FUNCTION again();
CALL change('UPDATE changing SET id = id WHERE id = 1');
DROP TRIGGER a ON changing;
-- several rows at once, more than are kept without memory
SELECT cache_attach('changing', 'changing:{id}', 'changing:{name}');
INSERT INTO changing SELECT i, 'row ' || i FROM generate_series(3, 100) i;
CALL change('UPDATE changing SET id = id WHERE id <> 1');
CALL change('DELETE FROM changing WHERE id > 1');
DROP PROCEDURE change(text);
DROP FUNCTION again() CASCADE;
DROP TABLE changing;
