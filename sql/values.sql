\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- Plain values
--

SELECT cache_get('v:1') IS NULL AS absent;
SELECT status();
SELECT cache_set('v:1', '{"a": [1, null, "x"]}');
SELECT cache_get('v:1');
SELECT status();
SELECT cache_set('v:1', '"replaced"');
SELECT cache_get('v:1');
SELECT cache_delete('v:1');
SELECT cache_get('v:1') IS NULL AS absent;
SELECT cache_delete('v:1');

-- every kind of value
SELECT cache_set('v:' || v, v::jsonb), cache_get('v:' || v) FROM unnest(ARRAY['null', 'true', '0', '-1.50', '""', '"null"', '[]', '{}', '[[]]', '{"a": {"b": null}}']) v;
SELECT key, value, value::text = substr(key, 3) AS same FROM cache_get_many(ARRAY['v:null', 'v:true', 'v:0', 'v:-1.50', 'v:""', 'v:"null"', 'v:[]', 'v:{}', 'v:[[]]', 'v:{"a": {"b": null}}']);
SELECT cache_set('v:big', to_jsonb(repeat('x', 1000000)));
SELECT length(cache_get('v:big') #>> '{}');
SELECT cache_set('v:wide', (SELECT jsonb_object_agg('k' || g, g) FROM generate_series(1, 10000) g));
SELECT cache_get('v:wide') -> 'k9999', (SELECT count(*) FROM jsonb_object_keys(cache_get('v:wide')));
-- too large: not stored, and what was there does not stay
SET cache_ext.max_entry_size = '10kB';
SELECT cache_set('v:big', to_jsonb(repeat('y', 1000000)));
RESET cache_ext.max_entry_size;
SELECT cache_get('v:big') IS NULL AS absent;

-- many at once
SELECT cache_set_many('{"m:1": 1, "m:2": {"a": 2}, "m:3": null}');
SELECT * FROM cache_get_many(ARRAY['m:3', 'm:1', 'm:none', 'm:2', 'm:1']);
SELECT * FROM cache_get_many('{}');
SELECT cache_set_many('{}');
SELECT cache_set_many('{"m:1": 10}', 60), cache_set_many('{"m:2": 20}', '1 min'::interval), cache_set_many('{"m:3": 30}', 'short'), cache_set_many('{"m:4": 40}', NULL);
SELECT jsonb_object_agg(key, value) FROM cache_get_many('{m:1,m:2,m:3,m:4}');
SELECT m.value, g FROM generate_series(1, 3) g, cache_get_many(ARRAY['m:' || g]) m ORDER BY g;

-- times to live
SELECT cache_set('t:60', '1', 60), cache_set('t:int', '1', '1 min'::interval), cache_set('t:short', '1', 'short'), cache_set('t:text', '1', '60'), cache_set('t:null', '1', NULL), cache_set('t:none', '1'), cache_set('t:day', '1', 'day'), cache_set('t:float', '1', 60.0::float8);
SELECT key, date_trunc('second', expires - created + '0.5 s') AS ttl FROM cache_entries WHERE key LIKE 't:%' AND alive ORDER BY key COLLATE "C";
SELECT cache_set('t:gone', '1', 0.000001);
SELECT cache_get('t:gone') IS NULL AS expired;
SELECT cache_delete('t:gone');
SELECT err(format('SELECT cache_set(''e'', ''1'', %s)', ttl)) FROM unnest(ARRAY['0', '-1', '''NaN''::float8', '''soon''', 'interval ''0''']) ttl;

-- errors
SELECT err('SELECT cache_get(NULL)');
SELECT err('SELECT cache_set(NULL, ''1'')');
SELECT err('SELECT cache_set(''e'', NULL)');
SELECT err('SELECT cache_set(''e'', NULL, 60)');
SELECT err('SELECT cache_delete(NULL)');
SELECT err('SELECT cache_get('''')');
SELECT err('SELECT cache_set(repeat(''x'', 1025), ''1'')');
SELECT err('SELECT cache_delete(repeat(''x'', 1025))');
SELECT err('SELECT * FROM cache_get_many(NULL)');
SELECT err('SELECT * FROM cache_get_many(''{a,NULL}'')');
SELECT err('SELECT * FROM cache_get_many(''{a,""}'')');
SELECT err('SELECT cache_set_many(NULL)');
SELECT err('SELECT cache_set_many(''[1]'')');
SELECT err('SELECT cache_set_many(''1'')');
SELECT err('SELECT cache_set_many(''{"": 1}'')');
SELECT err('SELECT cache_set_many(''{"e:1": 1, "": 1}'')');
SELECT err('SELECT cache_set(''e'', ''not json'')');
SELECT cache_get('e:1') IS NULL AS "nothing of it";

--
-- With the transaction
--
SELECT cache_set('x', '"before"');
BEGIN;
SELECT cache_set('x', '"mine"');
SELECT cache_get('x'), status();
SELECT cache_set('x', '"mine again"');
SELECT cache_get('x');
ROLLBACK;
SELECT cache_get('x');
BEGIN;
SELECT cache_delete('x'), cache_delete('x'), cache_get('x') IS NULL AS absent;
ROLLBACK;
SELECT cache_get('x');
BEGIN;
SELECT cache_delete('x');
SELECT cache_set('x', '"after"');
COMMIT;
SELECT cache_get('x');
BEGIN;
SELECT cache_set('x', '"gone"'), cache_delete('x');
COMMIT;
SELECT cache_get('x') IS NULL AS absent;
-- savepoints
SELECT cache_set('x', '"before"');
BEGIN;
SAVEPOINT a;
SELECT cache_set('x', '"a"'), cache_set('y', '"a"');
SAVEPOINT b;
SELECT cache_set('x', '"b"'), cache_delete('y');
SELECT cache_get('x'), cache_get('y');
ROLLBACK TO b;
SELECT cache_get('x'), cache_get('y');
RELEASE a;
SAVEPOINT c;
SELECT cache_set('x', '"c"');
ROLLBACK TO c;
ROLLBACK;
SELECT cache_get('x'), cache_get('y');
BEGIN;
SAVEPOINT a;
SELECT cache_set('x', '"a"'), cache_set('y', '"a"');
SAVEPOINT b;
SELECT cache_set('x', '"b"'), cache_delete('y');
ROLLBACK TO b;
RELEASE a;
SAVEPOINT c;
SELECT cache_set('x', '"c"');
RELEASE c;
SAVEPOINT d;
SELECT cache_set('x', '"d"');
ROLLBACK TO d;
SELECT cache_get('x'), cache_get('y');
COMMIT;
SELECT cache_get('x'), cache_get('y');
-- PL/pgSQL's exception blocks
DO $$
BEGIN
	PERFORM cache_set('x', '1');
	BEGIN
		PERFORM cache_set('x', '2'), cache_set('y', '2');
		RAISE EXCEPTION 'no';
	EXCEPTION WHEN OTHERS THEN
		RAISE INFO '%, %', cache_get('x'), cache_get('y');
	END;
END
$$;
SELECT cache_get('x'), cache_get('y');
-- an error takes all along
BEGIN;
SELECT cache_set('x', '"no"');
SELECT 1 / 0;
COMMIT;
SELECT cache_get('x');

-- invalidated, then set: set; set, then invalidated: gone
BEGIN;
SELECT cache_invalidate('x');
SELECT cache_get('x') IS NULL AS absent;
SELECT cache_set('x', '"set"');
SELECT cache_get('x');
COMMIT;
SELECT cache_get('x');
BEGIN;
SELECT cache_set('x', '"set"');
SELECT cache_invalidate('x');
SELECT cache_get('x') IS NULL AS absent;
COMMIT;
SELECT cache_get('x') IS NULL AS absent;
-- by prefix, glob and everything
SELECT cache_set_many('{"p:1": 1, "p:2": 2, "q:1": 3}');
BEGIN;
SELECT cache_set('p:1', '10'), cache_set('q:1', '30'), cache_set('r', '40');
SELECT cache_invalidate('p:*');
SELECT cache_set('p:3', '50');
SELECT * FROM cache_get_many('{p:1,p:2,p:3,q:1,r}');
SELECT cache_invalidate('*:1');
SELECT cache_set('p:1', '60');
SELECT * FROM cache_get_many('{p:1,p:2,p:3,q:1,r}');
COMMIT;
SELECT * FROM cache_get_many('{p:1,p:2,p:3,q:1,r}');
BEGIN;
SELECT cache_set('p:1', '70');
SELECT cache_clear() > 0 AS some;
SELECT cache_set('p:2', '80');
COMMIT;
SELECT * FROM cache_get_many('{p:1,p:2,p:3,q:1,r}');
-- and undone by a savepoint
BEGIN;
SELECT cache_set('p:1', '90');
SAVEPOINT a;
SELECT cache_invalidate('p:*');
SELECT cache_get('p:1') IS NULL AS absent;
ROLLBACK TO a;
SELECT cache_get('p:1');
COMMIT;
SELECT * FROM cache_get_many('{p:1,p:2}');
-- the invalidation of one transaction after the set of another
SELECT cache_set('p:1', '1');
SELECT cache_invalidate('p:1');
SELECT cache_get('p:1') IS NULL AS absent;
-- a trigger does it, too
CREATE TABLE t (id integer);
SELECT cache_attach('t', 'p:{id}');
SELECT cache_set('p:1', '1'), cache_set('p:2', '2');
INSERT INTO t VALUES (1);
SELECT * FROM cache_get_many('{p:1,p:2}');
BEGIN;
INSERT INTO t VALUES (1);
SELECT cache_set('p:1', '11');
COMMIT;
SELECT cache_get('p:1');
DROP TABLE t;
-- many in one transaction
BEGIN;
SELECT count(cache_set('many:' || g, to_jsonb(g))) FROM generate_series(1, 1000) g;
SELECT count(cache_delete('many:' || g)) FROM generate_series(1, 1000, 2) g;
COMMIT;
SELECT count(value), sum(value::integer) FROM cache_get_many((SELECT array_agg('many:' || g) FROM generate_series(1, 1000) g));

-- and all of them arrive
BEGIN;
SELECT count(cache_set('all:' || g, to_jsonb(g))) FROM generate_series(1, 20000) g;
SELECT count(value), sum(value::integer) FROM cache_get_many((SELECT array_agg('all:' || g) FROM generate_series(1, 20000) g));
COMMIT;
SELECT count(value), sum(value::integer) FROM cache_get_many((SELECT array_agg('all:' || g) FROM generate_series(1, 20000) g));
SELECT cache_invalidate('all:*');

-- under the other isolation levels
SELECT cache_set('rr', '1');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT 1 AS snapshot;
SELECT cache_set('rr', '2');
SELECT cache_get('rr');
COMMIT;
SELECT cache_get('rr');
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT cache_get('rr') IS NULL AS bypassed, status();
SELECT cache_set('rr', '3');
SELECT cache_get('rr');
COMMIT;
SELECT cache_get('rr');
-- read only does not mind: no table is written
BEGIN READ ONLY;
SELECT cache_set('rr', '4');
COMMIT;
SELECT cache_get('rr');

-- whose it is: of the role, not of the key
CREATE ROLE regress_val;
SELECT cache_set('mine', '"postgres"');
SET ROLE regress_val;
SELECT cache_get('mine') IS NULL AS absent;
SELECT cache_set('mine', '"regress_val"');
SELECT cache_get('mine');
RESET ROLE;
SELECT cache_get('mine');
SET ROLE regress_val;
SELECT cache_delete('mine');
RESET ROLE;
SELECT cache_get('mine');
SET ROLE regress_val;
SELECT cache_set('mine', '"regress_val"');
RESET ROLE;
SELECT cache_invalidate('mine');
SET ROLE regress_val;
SELECT cache_get('mine') IS NULL AS absent;
RESET ROLE;
-- in one transaction under two roles
BEGIN;
SELECT cache_set('two', '1');
SET LOCAL ROLE regress_val;
SELECT cache_get('two') IS NULL AS absent;
SELECT cache_set('two', '2');
RESET ROLE;
SELECT cache_get('two');
COMMIT;
SELECT cache_get('two');
SET ROLE regress_val;
SELECT cache_get('two');
RESET ROLE;
DROP ROLE regress_val;
-- the settings of a query do not matter to a value
SET search_path = pg_catalog;
SELECT public.cache_set('path', '1');
SET TimeZone = 'Asia/Tokyo';
RESET search_path;
SELECT cache_get('path');
RESET TimeZone;
-- a value is no result, and the reverse
SELECT cache_set('kind', '"value"');
SELECT cached_json('kind', 'SELECT 1 AS a', 60);
SELECT cache_get('kind'), cached_json('kind', 'SELECT 1 AS a', 60);
SELECT kind, rows FROM cache_entries WHERE key = 'kind' AND alive ORDER BY kind;
SELECT cache_invalidate('kind');
SELECT cache_get('kind') IS NULL AS absent;

-- switched off
SELECT cache_set('off', '1');
SET cache_ext.enabled = off;
SELECT cache_get('off') IS NULL AS absent, status();
SELECT cache_set('off', '2');
RESET cache_ext.enabled;
SELECT cache_get('off') IS NULL AS "not the old one";
SELECT cache_set('off', '1');
SET cache_ext.enable_reads = off;
SELECT cache_get('off') IS NULL AS absent, status();
RESET cache_ext.enable_reads;
SET cache_ext.enable_writes = off;
SELECT cache_get('off');
SELECT cache_set('off', '2');
RESET cache_ext.enable_writes;
SELECT cache_get('off') IS NULL AS "not the old one";
-- DDL on tables is no matter of theirs
SELECT cache_set('ddl', '1');
CREATE TABLE ddl_test (a integer);
DROP TABLE ddl_test;
SELECT cache_get('ddl');
