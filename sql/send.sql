\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- Rows sent to the client as they were sent before: the text is always that
-- which PostgreSQL would write
--

-- answered: computed, stored, stored and kept as text, sent as kept
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE DOMAIN label AS text;
CREATE TABLE kinds (a integer, b text, c numeric(10,2), d timestamptz, e timestamp, f date, g interval, h bytea, i float8,
	j jsonb, k boolean, l integer[], m text[], n label, o money, p inet, q cidr, r uuid, s bpchar(5), t "char");
INSERT INTO kinds VALUES
	(1, E'a\tb\\', 1.5, '2026-01-02 03:04:05+00', '2026-01-02 03:04:05', '2026-01-02', '1 day 02:00', '\x0102', 0.1,
	 '{"a": [1, null]}', true, '{1,NULL,3}', '{"x y",NULL,"\""}', 'l', 12.5, '10.0.0.1/8', '10.0.0.0/8',
	 '00000000-0000-0000-0000-000000000001', 'ab', 'c'),
	(2, '', 'NaN', 'infinity', '-infinity', 'epoch', '-1 mon', '', '-0', 'null', false, '{}', '{}', '', -1, '::1', '::1/128', NULL, '', ''),
	(3, repeat('long ', 100), NULL, NULL, NULL, NULL, NULL, repeat('x', 700)::bytea, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
\pset null NULL
\x
SELECT * FROM cached_rows(NULL::kinds, 'kinds', 'TABLE kinds', 60);
SELECT md5(string_agg(k::text, '' ORDER BY a)) AS is FROM cached_rows(NULL::kinds, 'kinds', 'TABLE kinds', 60) k \gset
SELECT memory_used AS before FROM cache_stats \gset
SELECT * FROM cached_rows(NULL::kinds, 'kinds', 'TABLE kinds', 60) \g /dev/null
SELECT memory_used > :before AS kept FROM cache_stats;
SELECT status();
SELECT * FROM cached_rows(NULL::kinds, 'kinds', 'TABLE kinds', 60);
SELECT status();
SELECT memory_used AS before FROM cache_stats \gset
SELECT * FROM cached_rows(NULL::kinds, 'kinds', 'TABLE kinds', 60) \g /dev/null
SELECT memory_used = :before AS "kept once" FROM cache_stats;
-- functions that read it get values
SELECT md5(string_agg(k::text, '' ORDER BY a)) = :'is' AS same FROM cached_rows(NULL::kinds, 'kinds', 'TABLE kinds', 60) k;
SELECT status();
\x
SELECT b, a + 1 FROM cached_rows(NULL::kinds, 'kinds', 'TABLE kinds', 60) WHERE a < 3;
CREATE TABLE copied AS SELECT * FROM cached_rows(NULL::kinds, 'kinds', 'TABLE kinds', 60);
SELECT count(*) FROM copied x, kinds y WHERE x::text = y::text;
SELECT entries('kinds');

-- what changes the text makes it another entry
PREPARE looking AS SELECT * FROM cached_query('looks', 'SELECT d, f, g, h, i FROM kinds WHERE a = 1', 60)
	AS t(d timestamptz, f date, g interval, h bytea, i float8);
EXECUTE looking;
SELECT * FROM cached_query('looks', 'SELECT d, f, g, h, i FROM kinds WHERE a = 1', 60) AS t(d timestamptz, f date, g interval, h bytea, i float8);
SELECT * FROM cached_query('looks', 'SELECT d, f, g, h, i FROM kinds WHERE a = 1', 60) AS t(d timestamptz, f date, g interval, h bytea, i float8);
SELECT * FROM cached_query('looks', 'SELECT d, f, g, h, i FROM kinds WHERE a = 1', 60) AS t(d timestamptz, f date, g interval, h bytea, i float8);
SET TimeZone = 'UTC';
SET DateStyle = 'German';
SET IntervalStyle = 'iso_8601';
SET bytea_output = 'escape';
SET extra_float_digits = -15;
SELECT * FROM cached_query('looks', 'SELECT d, f, g, h, i FROM kinds WHERE a = 1', 60) AS t(d timestamptz, f date, g interval, h bytea, i float8);
SELECT status();
SELECT * FROM cached_query('looks', 'SELECT d, f, g, h, i FROM kinds WHERE a = 1', 60) AS t(d timestamptz, f date, g interval, h bytea, i float8);
SELECT * FROM cached_query('looks', 'SELECT d, f, g, h, i FROM kinds WHERE a = 1', 60) AS t(d timestamptz, f date, g interval, h bytea, i float8);
SELECT * FROM cached_query('looks', 'SELECT d, f, g, h, i FROM kinds WHERE a = 1', 60) AS t(d timestamptz, f date, g interval, h bytea, i float8);
SELECT status();
RESET TimeZone;
RESET DateStyle;
RESET IntervalStyle;
RESET bytea_output;
RESET extra_float_digits;
SELECT * FROM cached_query('looks', 'SELECT d, f, g, h, i FROM kinds WHERE a = 1', 60) AS t(d timestamptz, f date, g interval, h bytea, i float8);
SELECT status();

-- a type that the column list gives writes its own text
SELECT * FROM cached_query('listed', 'SELECT 25::oid, ''x''::varchar, ''10.0.0.0/8''::cidr', 60) AS t(a oid, b varchar, c cidr);
SELECT * FROM cached_query('listed', 'SELECT 25::oid, ''x''::varchar, ''10.0.0.0/8''::cidr', 60) AS t(a oid, b varchar, c cidr);
SELECT * FROM cached_query('listed', 'SELECT 25::oid, ''x''::varchar, ''10.0.0.0/8''::cidr', 60) AS t(a oid, b varchar, c cidr);
SELECT * FROM cached_query('listed', 'SELECT 25::oid, ''x''::varchar, ''10.0.0.0/8''::cidr', 60) AS t(a regtype, b text, c inet);
SELECT * FROM cached_query('listed', 'SELECT 25::oid, ''x''::varchar, ''10.0.0.0/8''::cidr', 60) AS t(a integer, b text, c inet);
SELECT * FROM cached_query('listed', 'SELECT 25::oid, ''x''::varchar, ''10.0.0.0/8''::cidr', 60) AS t(x oid, y varchar, z cidr);
SELECT status();

-- names of objects can change under the value, not unnoticed those of an enum's
CREATE TABLE named (a integer);
SELECT * FROM cached_query('names', $$SELECT 'named'::regclass::oid$$, 60) AS t(a regclass);
SELECT * FROM cached_query('names', $$SELECT 'named'::regclass::oid$$, 60) AS t(a regclass);
SELECT * FROM cached_query('names', $$SELECT 25::oid::regtype, repeat('x', 999)::varchar$$, 60) AS t(a regtype, b varchar) \g /dev/null
SELECT * FROM cached_query('names', $$SELECT 25::oid::regtype, repeat('x', 999)::varchar$$, 60) AS t(a regtype, b varchar) \g /dev/null
SELECT memory_used AS before FROM cache_stats \gset
SELECT * FROM cached_query('names', $$SELECT 25::oid::regtype, repeat('x', 999)::varchar$$, 60) AS t(a regtype, b varchar) \g /dev/null
SELECT status(), memory_used - :before AS kept FROM cache_stats;
CREATE TABLE moods AS SELECT 'glad'::mood AS m;
SELECT * FROM cached_query('moods', 'TABLE moods', 60) AS t(m mood);
SELECT * FROM cached_query('moods', 'TABLE moods', 60) AS t(m mood);
SELECT * FROM cached_query('moods', 'TABLE moods', 60) AS t(m mood);
SELECT * FROM cached_query('moods', 'TABLE moods', 60) AS t(m mood);
ALTER TYPE mood RENAME VALUE 'glad' TO 'happy';
SELECT * FROM cached_query('moods', 'TABLE moods', 60) AS t(m mood);
DROP TABLE moods;

-- what is invalidated, expired, or another's is not sent
SELECT * FROM cached_query('gone', 'SELECT max(a) FROM kinds', 60) AS t(a integer);
SELECT * FROM cached_query('gone', 'SELECT max(a) FROM kinds', 60) AS t(a integer);
SELECT * FROM cached_query('gone', 'SELECT max(a) FROM kinds', 60) AS t(a integer);
SELECT * FROM cached_query('gone', 'SELECT max(a) FROM kinds', 60) AS t(a integer);
DELETE FROM kinds WHERE a = 3;
SELECT cache_invalidate('gone');
SELECT * FROM cached_query('gone', 'SELECT max(a) FROM kinds', 60) AS t(a integer);
SELECT status();
BEGIN;
SELECT * FROM cached_query('gone', 'SELECT max(a) FROM kinds', 60) AS t(a integer);
SELECT status();
INSERT INTO kinds (a) VALUES (4);
SELECT * FROM cached_query('gone', 'SELECT max(a) FROM kinds', 60) AS t(a integer);
SELECT status();
ROLLBACK;

-- documents
SELECT cached_json('doc', 'SELECT a, b, g, repeat(b, 50) AS r FROM kinds ORDER BY a', 60);
SELECT cached_json('doc', 'SELECT a, b, g, repeat(b, 50) AS r FROM kinds ORDER BY a', 60);
SELECT memory_used AS before FROM cache_stats \gset
SELECT cached_json('doc', 'SELECT a, b, g, repeat(b, 50) AS r FROM kinds ORDER BY a', 60);
SELECT memory_used > :before AS kept FROM cache_stats;
SELECT cached_json('doc', 'SELECT a, b, g, repeat(b, 50) AS r FROM kinds ORDER BY a', 60);
SELECT status();
SELECT cached_json('doc', 'SELECT a, b, g, repeat(b, 50) AS r FROM kinds ORDER BY a', 60) -> 1;
SELECT cached_json('doc', 'SELECT a, b, g, repeat(b, 50) AS r FROM kinds ORDER BY a', 60), 1;
SELECT jsonb_array_length(cached_json('doc', 'SELECT a, b, g, repeat(b, 50) AS r FROM kinds ORDER BY a', 60));
SELECT cached_json('doc', 'SELECT a, b, g, repeat(b, 50) AS r FROM kinds ORDER BY a', 60) FROM generate_series(1, 2);
SELECT cached_json('doc', 'SELECT a, b, g, repeat(b, 50) AS r FROM kinds ORDER BY a', 60) WHERE cached_json('doc:2', 'SELECT 1', 60) IS NULL;
SELECT cached_json('doc:' || jsonb_array_length(cached_json('doc', 'SELECT a, b, g, repeat(b, 50) AS r FROM kinds ORDER BY a', 60)), 'SELECT 2 AS two', 60);
SELECT cached_json('doc:' || jsonb_array_length(cached_json('doc', 'SELECT a, b, g, repeat(b, 50) AS r FROM kinds ORDER BY a', 60)), 'SELECT 2 AS two', 60);
SELECT cached_json('doc:' || jsonb_array_length(cached_json('doc', 'SELECT a, b, g, repeat(b, 50) AS r FROM kinds ORDER BY a', 60)), 'SELECT 2 AS two', 60);
SELECT cached_json('doc:' || jsonb_array_length(cached_json('doc', 'SELECT a, b, g, repeat(b, 50) AS r FROM kinds ORDER BY a', 60)), 'SELECT 2 AS two', 60);
-- larger than a piece of the cache's memory
SELECT length(cached_json('large', $$SELECT repeat('x', 5000) AS x$$, 60)::text);
SELECT cached_json('large', $$SELECT repeat('x', 5000) AS x$$, 60) \g /dev/null
SELECT cached_json('large', $$SELECT repeat('x', 5000) AS x$$, 60) \g /dev/null
SELECT cached_json('large', $$SELECT repeat('x', 5000) AS x$$, 60) AS large \gset
SELECT :'large' = format('[{"x": "%s"}]', repeat('x', 5000)) AS same, length(:'large');
-- the same statement within itself
PREPARE again AS SELECT cached_json('again', 'SELECT nested() AS n', 60);
CREATE FUNCTION nested() RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN cached_json('inner', 'SELECT 1 AS one', 60);
END
$$;
EXECUTE again;
EXECUTE again;
EXECUTE again;

-- an error while rows are sent leaves all as it was
SELECT * FROM cached_query('fails', 'SELECT 1', 60) AS t(a integer);
SELECT * FROM cached_query('fails', 'SELECT 1', 60) AS t(a integer);
SELECT * FROM cached_query('fails', 'SELECT 1', 60) AS t(a integer);
SELECT * FROM cached_query('fails', 'SELECT 1', 60) AS t(a text);
SELECT * FROM cached_query('fails', 'SELECT 1', 60) AS t(a integer);
SELECT 'and goes on';
-- other encodings get theirs
SELECT * FROM cached_query('encoded', $$SELECT chr(228)$$, 60) AS t(a text);
SELECT * FROM cached_query('encoded', $$SELECT chr(228)$$, 60) AS t(a text);
SELECT * FROM cached_query('encoded', $$SELECT chr(228)$$, 60) AS t(a text);
SELECT * FROM cached_query('encoded', $$SELECT chr(228)$$, 60) AS t(a text);

-- nothing is kept where nothing may be stored
SET cache_ext.enable_writes = off;
SELECT memory_used AS before FROM cache_stats \gset
SELECT * FROM cached_query('looks', 'SELECT d, f, g, h, i FROM kinds WHERE a = 1', 600) AS t(d timestamptz, f date, g interval, h bytea, i float8);
SELECT * FROM cached_query('looks', 'SELECT d, f, g, h, i FROM kinds WHERE a = 1', 600) AS t(d timestamptz, f date, g interval, h bytea, i float8);
SELECT memory_used = :before AS same FROM cache_stats;
RESET cache_ext.enable_writes;

DEALLOCATE ALL;
DROP FUNCTION nested();
DROP TABLE copied, kinds, named;
DROP TYPE mood;
DROP DOMAIN label;
