\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- Invalidating by key, prefix, pattern and table; with the transaction
--

CREATE TABLE t (id integer, v text);
INSERT INTO t VALUES (1, 'one');
CREATE TABLE u (id integer);
CREATE VIEW vt AS SELECT * FROM t;
CREATE VIEW vvt AS SELECT id FROM vt;
CREATE TABLE part (id integer, v text) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);
CREATE TABLE part2a PARTITION OF part2 FOR VALUES FROM (10) TO (15);
CREATE TABLE parent (a integer);
CREATE TABLE child (b integer) INHERITS (parent);
CREATE FUNCTION reads_t() RETURNS bigint STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM t); END $$;

-- makes an entry of each key
CREATE FUNCTION fill(VARIADIC keys text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. cardinality(keys) LOOP
		PERFORM public.cached_json(keys[i], 'SELECT 1 AS a', 300);
	END LOOP;
END
$$;

-- a key, of all queries, arguments and roles
SELECT fill('a:1', 'a:2', 'a:10', 'a', 'a:1:x', 'b:1');
SELECT cached_json('a:1', 'SELECT 2 AS a', 300);
SELECT cached_json('a:1', 'SELECT $1 AS a', 300, 3);
SELECT * FROM cached_query('a:1', 'SELECT 1', 300) AS t(a integer);
SELECT cache_set('a:1', '1');
SELECT cache_invalidate('a:1');
SELECT entries();
SELECT cache_get('a:1');
-- of which there is none
SELECT cache_invalidate('a:1');
SELECT cache_invalidate('no such key');
-- a prefix
SELECT fill('a:1', 'a:2', 'a:10', 'a', 'a:', 'a:1:x', 'a:1:y', 'aa:1', 'b:1', 'A:1');
SELECT cache_invalidate('a:1:*');
SELECT entries();
SELECT cache_invalidate('a:*');
SELECT entries();

-- every form of glob, and what it leaves alone
CREATE TABLE globs (n serial, pattern text, keys text[]);
INSERT INTO globs (pattern, keys) VALUES
	('g:?', '{g:1,g:-,g:12,g:,xg:1}'),
	('g:*:x', '{g:1:x,g:1:2:x,g::x,g:1:xy,g:x,h:1:x}'),
	('*:42', '{g:42,h:42,:42,g:142,g:42:,42}'),
	('user:*:profile', '{user:1:profile,user:1:2:profile,user::profile,user:profile,user:1:profiles}'),
	('g:[abc]', '{g:a,g:b,g:c,g:d,g:ab,g:[abc]}'),
	('g:[a-c]', '{g:a,g:b,g:c,g:d,g:-,g:}'),
	('g:[c-a]', '{g:a,g:b,g:c,g:d}'),
	('g:[^a-c]', '{g:a,g:b,g:d,g:^,g:,g:dd}'),
	('g:[^abc]x', '{g:ax,g:dx,g:x,g:^x}'),
	('g:[a-]', '{g:a,g:-,g:b,g:a-}'),
	('g:[]', '{g:,g:],g:a}'),
	('g:[]a]', '{"g:]",g:a,"g:a]","g:]a]"}'),
	('g:[\]]', '{"g:]","g:\\\\",g:a}'),
	('g:[\^a]', '{g:^,g:a,g:b}'),
	('g:[a', '{g:a,"g:[a",g:b}'),
	('g:\*', '{g:*,g:1,"g:\\*"}'),
	('g:\?', '{g:?,g:1}'),
	('g:\[a]', '{"g:[a]",g:a}'),
	('g:\\', '{"g:\\",g:,"g:\\\\"}'),
	('g:\a', '{g:a,"g:\\a"}'),
	('g:\', '{"g:\\",g:}'),
	('g:**', '{g:,g:1,g:1:2,h:1}'),
	('g:*?*', '{g:,g:1,g:12}'),
	('g:*1*2*3', '{g:123,g:1a2b3,g:132,g:1233,g:12}'),
	('g?:1', '{ga:1,gb:1,g:1,gab:1}'),
	('g*', '{g,g:1,gg,h}'),
	('g:a*', '{g:a,g:ab,g:a:b,g:b}'),
	('G:*', '{g:1,G:1}'),
	('g:%', '{g:%,g:1}'),
	('g:_', '{g:_,g:1}'),
	('g:.*', '{g:.,g:.x,g:1}'),
	('g: *', '{"g: ","g: x",g:x}'),
	('g:{1}', '{"g:{1}",g:1}'),
	('?', '{a,ab,b}'),
	('[g]:1', '{g:1,h:1}');
CREATE PROCEDURE try_globs() LANGUAGE plpgsql AS $$
DECLARE
	g globs;
	n bigint;
	died text[];
BEGIN
	FOR g IN SELECT * FROM globs ORDER BY n LOOP
		PERFORM cache_clear();
		COMMIT;
		PERFORM fill(VARIADIC g.keys);
		n := cache_invalidate(g.pattern);
		COMMIT;
		SELECT array_agg(k ORDER BY pos) INTO died FROM unnest(g.keys) WITH ORDINALITY AS u(k, pos) WHERE NOT EXISTS (SELECT FROM cache_entries WHERE key = k AND alive);
		RAISE INFO '% (%): %', g.pattern, n, died;
		-- what is filled from now on is not concerned
		PERFORM fill(VARIADIC g.keys);
		IF EXISTS (SELECT FROM unnest(g.keys) k WHERE NOT EXISTS (SELECT FROM cache_entries WHERE key = k AND alive)) THEN
			RAISE INFO 'not refilled';
		END IF;
	END LOOP;
END
$$;
CALL try_globs();
DROP PROCEDURE try_globs();
DROP TABLE globs;
-- a ? stands for a character, of however many bytes
SELECT fill('c:' || chr(228), 'c:' || chr(228) || chr(228));
SELECT cache_invalidate('c:?'), cache_invalidate('c:??'), cache_invalidate('c:[' || chr(227) || '-' || chr(229) || ']');
-- everything
SELECT fill('a', 'b:1', 'c:d:e');
SELECT entries();
SELECT cache_invalidate('*');
SELECT entries();
SELECT fill('a', 'b:1', 'c:d:e');
SELECT cache_invalidate('**');
SELECT entries();
SELECT fill('a', 'b:1', 'c:d:e');
SELECT cache_clear();
SELECT entries();
SELECT cache_clear();

-- several at once
SELECT fill('m:1', 'm:2', 'm:3', 'n:1', 'o:1', 'o:2');
SELECT cache_invalidate_many('{m:1,m:3,n:*,"*:2"}');
SELECT entries();
SELECT cache_invalidate_many('{}');
SELECT cache_invalidate_many(ARRAY['m:*', 'm:*', 'o:1', 'x']);
SELECT entries();
SELECT err($$SELECT cache_invalidate_many('{a,NULL}')$$);
SELECT err($$SELECT cache_invalidate_many('{a,""}')$$);
SELECT err($$SELECT cache_invalidate(NULL)$$);
SELECT err($$SELECT cache_invalidate(repeat('x', 4097))$$);
SELECT err($$SELECT cache_invalidate_table(NULL)$$);
SELECT err($$SELECT cache_invalidate_table(4294967295)$$);
SELECT err($$SELECT cache_invalidate_table('nowhere')$$);

-- long patterns and deep prefixes are right, or wider, never narrower
SELECT fill('p1:p2:p3:p4:p5:p6:p7:p8:p9:p10:x', 'p1:p2:p3:p4:p5:p6:p7:p8:p9:p11:x', 'p1:p2:p3:p4:p5:p6:p7:p8:y', 'p1:z');
SELECT cache_invalidate('p1:p2:p3:p4:p5:p6:p7:p8:p9:p10:*');
SELECT entries();
SELECT cache_invalidate('p1:p2:p3:p4:p5:p6:p7:p8:*');
SELECT entries();
SELECT fill('long:' || repeat('x', 1000), 'long:' || repeat('x', 999) || 'y', 'long:z', 'other');
SELECT cache_invalidate('long:' || repeat('x', 990) || '*');
SELECT entries('long:x%');
SELECT fill('other');
SELECT probe('other', 'SELECT 1 AS a');
SELECT fill('long:' || repeat('x', 1000));
SELECT cache_invalidate('long:' || repeat('x', 1000));
SELECT entries('long:x%');
SELECT fill('long:a');
SELECT cache_invalidate(repeat('long', 1000) || '*');
SELECT cache_invalidate('long:' || repeat('*?', 2000));
SELECT entries('long:%');

-- more patterns than one transaction keeps apart, and than the log holds
SELECT fill('q:1:x', 'q:1:y', 'r:1');
BEGIN;
SELECT count(cache_invalidate('q:' || g || '?:z')) FROM generate_series(1, 400) g;
SELECT cache_invalidate('q:*:x');
SELECT status FROM probe('q:1:x', 'SELECT 1 AS a');
COMMIT;
SELECT entries('q:1:x');
SELECT entries('r:1');
SELECT fill('q:1:x', 'q:1:y', 'r:1');
DO $$
BEGIN
	FOR i IN 1 .. 1500 LOOP
		PERFORM cache_invalidate('q:*:nothing' || i);
		COMMIT;
	END LOOP;
	PERFORM cache_invalidate('*:x');
	COMMIT;
END
$$;
SELECT entries('q:1:x');
SELECT fill('q:1:x', 'q:1:y', 'r:1');
SELECT entries('q:%');
SELECT (probe('q:1:x', 'SELECT 1 AS a')).status;

-- a table, through whatever reads it
CREATE FUNCTION fill_reads() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM cached_json('t', 'SELECT * FROM t', 300);
	PERFORM cached_json('u', 'SELECT * FROM u', 300);
	PERFORM cached_json('vt', 'SELECT * FROM vt', 300);
	PERFORM cached_json('vvt', 'SELECT * FROM vvt', 300);
	PERFORM cached_json('t u', 'SELECT * FROM u WHERE id IN (SELECT id FROM t)', 300);
	PERFORM cached_json('t never', 'SELECT * FROM u WHERE false AND id IN (SELECT id FROM t)', 300);
	PERFORM cached_json('t cte', 'WITH w AS MATERIALIZED (SELECT * FROM t) SELECT count(*) FROM w', 300);
	PERFORM cached_json('t function', 'SELECT reads_t()', 300);
	PERFORM cached_json('t union', 'SELECT id FROM u UNION ALL SELECT id FROM t', 300);
	PERFORM cached_json('part', 'SELECT * FROM part', 300);
	PERFORM cached_json('part pruned', 'SELECT * FROM part WHERE id = 3', 300);
	PERFORM cached_json('part1', 'SELECT * FROM part1', 300);
	PERFORM cached_json('part2', 'SELECT * FROM part2', 300);
	PERFORM cached_json('part2a', 'SELECT * FROM part2a', 300);
	PERFORM cached_json('parent', 'SELECT * FROM parent', 300);
	PERFORM cached_json('only parent', 'SELECT * FROM ONLY parent', 300);
	PERFORM cached_json('child', 'SELECT * FROM child', 300);
	PERFORM cached_json('constant', 'SELECT 1', 300);
END
$$;
SELECT cache_clear() >= 0 AS cleared;
SELECT fill_reads();
SELECT entries();
SELECT cache_invalidate_table('t');
SELECT entries();
SELECT fill_reads();
SELECT cache_invalidate_table('vt');
SELECT entries('v%');
SELECT fill_reads();
SELECT cache_invalidate_table('part') > 0 AS some;
SELECT entries('p%');
SELECT fill_reads();
SELECT cache_invalidate_table('part2') > 0 AS some;
SELECT entries('p%');
SELECT fill_reads();
SELECT cache_invalidate_table('part2a') > 0 AS some;
SELECT entries('p%');
SELECT fill_reads();
SELECT cache_invalidate_table('part1') > 0 AS some;
SELECT entries('p%');
SELECT fill_reads();
SELECT cache_invalidate_table('parent') > 0 AS some;
SELECT entries('%parent%'), entries('child');
SELECT fill_reads();
SELECT cache_invalidate_table('child') > 0 AS some;
SELECT entries('parent%'), entries('child');
SELECT cache_invalidate_table('pg_class');
SELECT entries('constant');

-- counts: of what is alive, in this database, whoever it belongs to
SELECT cache_clear() >= 0 AS cleared;
SELECT fill('n:1', 'n:2', 'n:3');
SELECT status FROM probe('n:4', 'SELECT 1 AS a', '0.000001');
SELECT cache_invalidate('n:*');
SELECT cache_invalidate('n:*');
SELECT fill('n:1');
BEGIN;
SELECT cache_invalidate('n:*');
SELECT cache_invalidate('n:1');
ROLLBACK;

--
-- With the transaction
--
SELECT fill('x:1', 'x:2', 'x:3', 'y');
-- rollback
BEGIN;
SELECT cache_invalidate('x:1'), cache_invalidate('x:?'), cache_invalidate('x:*');
SELECT cache_invalidate_table('t');
SELECT cache_clear() > 0 AS some;
ROLLBACK;
SELECT entries();
-- a failed transaction
BEGIN;
SELECT cache_invalidate('x:*');
SELECT 1 / 0;
COMMIT;
SELECT entries();
-- savepoints
BEGIN;
SAVEPOINT a;
SELECT cache_invalidate('x:1');
SAVEPOINT b;
SELECT cache_invalidate('x:2');
ROLLBACK TO b;
SELECT cache_invalidate('x:[3]');
SAVEPOINT c;
SELECT cache_invalidate('[y]');
ROLLBACK TO c;
RELEASE a;
COMMIT;
SELECT entries();
-- the same key before and within a savepoint that is rolled back
SELECT fill('x:1', 'x:2', 'x:3', 'y');
BEGIN;
SELECT cache_invalidate('x:1'), cache_invalidate('?:2');
SAVEPOINT a;
SELECT cache_invalidate('x:1'), cache_invalidate('?:2');
ROLLBACK TO a;
COMMIT;
SELECT entries();
-- released into one that is rolled back, and into one that is not
SELECT fill('x:1', 'x:2', 'x:3', 'y');
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
SELECT cache_invalidate('x:1'), cache_invalidate('[x]:2');
RELEASE b;
ROLLBACK TO a;
SAVEPOINT c;
SAVEPOINT d;
SELECT cache_invalidate('x:3'), cache_invalidate('[y]');
RELEASE d;
RELEASE c;
COMMIT;
SELECT entries();
-- PL/pgSQL's exception blocks
SELECT fill('x:1', 'x:2', 'x:3', 'y');
DO $$
BEGIN
	PERFORM cache_invalidate('x:1');
	BEGIN
		PERFORM cache_invalidate('x:2');
		PERFORM cache_invalidate('[y]');
		RAISE EXCEPTION 'oops';
	EXCEPTION WHEN OTHERS THEN
		NULL;
	END;
	BEGIN
		PERFORM cache_invalidate('x:3');
	EXCEPTION WHEN OTHERS THEN
		NULL;
	END;
END
$$;
SELECT entries();
-- a transaction sees its own, others after the commit
SELECT fill('x:1', 'x:2', 'x:3', 'y');
BEGIN;
SELECT cache_invalidate('x:1');
SELECT status FROM probe('x:1', 'SELECT 1 AS a');
SELECT status FROM probe('x:2', 'SELECT 1 AS a');
SAVEPOINT a;
SELECT cache_invalidate('x:[2-3]');
SELECT status FROM probe('x:2', 'SELECT 1 AS a');
ROLLBACK TO a;
SELECT status FROM probe('x:2', 'SELECT 1 AS a');
SELECT status FROM probe('x:1', 'SELECT 1 AS a');
COMMIT;
SELECT entries();
-- fresh rows for the transaction that changed them
CREATE FUNCTION count_t() RETURNS text LANGUAGE sql AS $$ SELECT (cached_json('count', 'SELECT count(*) AS n FROM t', 300)->0->>'n') || ', ' || status() $$;
SELECT count_t();
SELECT count_t();
BEGIN;
INSERT INTO t VALUES (2, 'two');
SELECT cache_invalidate('count');
SELECT count_t();
ROLLBACK;
SELECT count_t();
BEGIN;
INSERT INTO t VALUES (2, 'two');
SELECT cache_invalidate('count');
COMMIT;
SELECT count_t();
SELECT count_t();
-- in a procedure that commits
DO $$
BEGIN
	INSERT INTO t VALUES (3, 'three');
	PERFORM cache_invalidate('count');
	COMMIT;
	RAISE INFO '%', count_t();
	RAISE INFO '%', count_t();
	INSERT INTO t VALUES (4, 'four');
	PERFORM cache_invalidate('count');
	RAISE INFO '%', count_t();
	ROLLBACK;
	RAISE INFO '%', count_t();
END
$$;

-- two-phase commit
SELECT fill('z:1', 'z:2', 'z:3');
BEGIN;
SELECT cache_invalidate('z:1');
SELECT cache_invalidate('z:[2]');
PREPARE TRANSACTION 'regress_inval';
SELECT entries('z%');
SELECT status FROM probe('z:3', 'SELECT 1 AS a');
ROLLBACK PREPARED 'regress_inval';
SELECT status FROM probe('z:1', 'SELECT 1 AS a');
SELECT status FROM probe('z:1', 'SELECT 1 AS a');
SELECT fill('z:1', 'z:2', 'z:3');
BEGIN;
INSERT INTO t VALUES (5, 'five');
SELECT cache_invalidate('z:1');
SELECT cache_invalidate_table('t') >= 0 AS some;
PREPARE TRANSACTION 'regress_inval';
SELECT count_t();
SELECT status FROM probe('z:1', 'SELECT 1 AS a');
COMMIT PREPARED 'regress_inval';
SELECT count_t();
SELECT count_t();
SELECT status FROM probe('z:1', 'SELECT 1 AS a');
SELECT status FROM probe('z:3', 'SELECT 1 AS a');
-- one that cannot be prepared after all is not left in flight, and invalidates nothing
SELECT fill('z:1');
BEGIN;
SELECT cache_invalidate('z:2');
PREPARE TRANSACTION 'regress_inval';
BEGIN;
SELECT cache_invalidate('z:1');
PREPARE TRANSACTION 'regress_inval';
SELECT status FROM probe('z:1', 'SELECT 1 AS a');
ROLLBACK PREPARED 'regress_inval';
-- with more than the table of prepared transactions can note down
SELECT fill('z:1', 'z:2', 'z:3');
BEGIN;
SELECT count(cache_invalidate('zz:' || g)) FROM generate_series(1, 500) g;
SELECT cache_invalidate('z:3');
PREPARE TRANSACTION 'regress_inval';
COMMIT PREPARED 'regress_inval';
SELECT entries('z:3');
-- many, one after the other
DO $$ BEGIN PERFORM public.cached_json('z:1', 'SELECT 1 AS a', 300); END $$;
BEGIN; SELECT cache_invalidate('p:1'); PREPARE TRANSACTION 'regress_1';
BEGIN; SELECT cache_invalidate('p:2'); PREPARE TRANSACTION 'regress_2';
BEGIN; SELECT cache_invalidate('p:3'); PREPARE TRANSACTION 'regress_3';
BEGIN; SELECT cache_invalidate('z:1'); PREPARE TRANSACTION 'regress_4';
SELECT status FROM probe('z:1', 'SELECT 1 AS a');
COMMIT PREPARED 'regress_4';
SELECT status FROM probe('z:1', 'SELECT 1 AS a');
ROLLBACK PREPARED 'regress_1';
COMMIT PREPARED 'regress_3';
COMMIT PREPARED 'regress_2';
SELECT status FROM probe('z:1', 'SELECT 1 AS a');
-- one without any invalidation
BEGIN; INSERT INTO u VALUES (1); PREPARE TRANSACTION 'regress_5'; COMMIT PREPARED 'regress_5';
-- values cannot be prepared
BEGIN;
SELECT cache_set('v', '1');
PREPARE TRANSACTION 'regress_6';
SELECT cache_get('v');

-- more keys than a transaction remembers: then it is the whole database
SELECT fill('most:1', 'rest:1');
CREATE TABLE many (id integer);
SELECT cache_attach('many', 'many:{id}') \g /dev/null
BEGIN;
INSERT INTO many SELECT generate_series(1, 150000);
SELECT cache_invalidate('most:1');
SELECT * FROM probe('most:1', 'SELECT 1 AS a');
COMMIT;
SELECT * FROM probe('most:1', 'SELECT 1 AS a');
SELECT * FROM probe('rest:1', 'SELECT 1 AS a');

-- not in a parallel worker, whose transaction is not the one that commits
CREATE FUNCTION lies_parallel(i integer) RETURNS integer LANGUAGE plpgsql PARALLEL SAFE AS $$ BEGIN PERFORM cache_invalidate('parallel'); RETURN i; END $$;
CREATE FUNCTION sets_parallel(i integer) RETURNS integer LANGUAGE plpgsql PARALLEL SAFE AS $$ BEGIN PERFORM cache_set('parallel', '1'); RETURN i; END $$;
INSERT INTO u SELECT generate_series(1, 1000);
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET parallel_leader_participation = off;
SELECT err($$SELECT sum(lies_parallel(id)) FROM u$$);
SELECT err($$SELECT sum(sets_parallel(id)) FROM u$$);
-- a policy's name is understood although a plan runs parallel, and not read before
\c -
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET parallel_leader_participation = off;
SELECT count(cached_json('parallel', 'SELECT 1 AS a', 'medium')) FROM u;
SELECT status();
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET parallel_leader_participation;
DROP FUNCTION lies_parallel(integer), sets_parallel(integer);

SELECT cache_clear() >= 0 AS cleared;
DROP FUNCTION fill(text[]), fill_reads(), reads_t(), count_t();
DROP VIEW vvt, vt;
DROP TABLE t, u, part, parent, child, many;
