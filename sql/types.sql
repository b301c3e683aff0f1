\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- Every type comes back as it went in
--

-- Ask for a column three times: past the cache, as a miss, as a hit.  Compare
-- the type, the text, and what a client that asks for binary would get.
CREATE FUNCTION roundtrip(type text, expression text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	query text := format('SELECT %s AS v', expression);
	fingerprint text := 'SELECT string_agg(md5(concat_ws(''|'', v IS NULL, pg_typeof(v), v::text, pg_column_size(v) > 0)), '','') FROM ';
	direct text;
	miss text;
	hit text;
	how text;
	json1 jsonb;
	json2 jsonb;
BEGIN
	EXECUTE fingerprint || format('(%s) d', query) INTO direct;
	EXECUTE fingerprint || format('cached_query(%L, %L, 60) AS t(v %s)', 'type:' || type, query, type) INTO miss;
	how := status();
	EXECUTE fingerprint || format('cached_query(%L, %L, 60) AS t(v %s)', 'type:' || type, query, type) INTO hit;
	how := how || ', ' || status();
	json1 := cached_json('type:' || type, query, 60);
	json2 := cached_json('type:' || type, query, 60);
	how := how || ', ' || status();
	IF how <> 'miss, hit, hit' OR miss IS DISTINCT FROM direct OR hit IS DISTINCT FROM direct OR json1 <> json2 THEN
		RETURN format('%s: %s: %s, %s, %s, %s, %s', type, how, direct, miss, hit, json1, json2);
	END IF;
	RETURN NULL;
END
$$;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN name_or_not AS text NOT NULL;
CREATE DOMAIN positives AS positive[];
CREATE TYPE pair AS (a integer, b text);
CREATE TYPE nested AS (p pair, m mood, ps pair[], d positive, n numeric);
CREATE DOMAIN good_pair AS pair CHECK ((VALUE).a > 0);
CREATE TYPE textrange2 AS RANGE (subtype = text, multirange_type_name = textmultirange2);
CREATE TYPE floatrange AS RANGE (subtype = double precision);
-- a base type of the user's
SET client_min_messages = warning;
CREATE TYPE myint;
CREATE FUNCTION myint_in(cstring) RETURNS myint IMMUTABLE STRICT LANGUAGE internal AS 'int4in';
CREATE FUNCTION myint_out(myint) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'int4out';
CREATE TYPE myint (INPUT = myint_in, OUTPUT = myint_out, LIKE = integer);
CREATE TYPE mytext;
CREATE FUNCTION mytext_in(cstring) RETURNS mytext IMMUTABLE STRICT LANGUAGE internal AS 'textin';
CREATE FUNCTION mytext_out(mytext) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'textout';
CREATE TYPE mytext (INPUT = mytext_in, OUTPUT = mytext_out, STORAGE = extended);
RESET client_min_messages;
CREATE TABLE plain (id integer, t text);

CREATE TABLE samples (n serial, type text, expression text);
INSERT INTO samples (type, expression) VALUES
	('boolean', 'true'), ('boolean', 'false'), ('boolean', 'NULL::boolean'),
	('"char"', '''x''::"char"'), ('"char"', '''\377''::"char"'), ('"char"', '''''::"char"'),
	('smallint', '(-32768)::smallint'), ('integer', '2147483647'), ('bigint', '(-9223372036854775808)::bigint'),
	('real', '''1.17549435e-38''::real'), ('real', '''NaN''::real'), ('real', '''-Infinity''::real'), ('real', '''-0''::real'),
	('double precision', '0.1::float8 + 0.2::float8'), ('double precision', '''4.9e-324''::float8'), ('double precision', '''1.7976931348623157e308''::float8'), ('double precision', '''NaN''::float8'), ('double precision', '''-0''::float8'),
	('numeric', '''NaN''::numeric'), ('numeric', '''Infinity''::numeric'), ('numeric', '''-Infinity''::numeric'), ('numeric', '0.00'), ('numeric', '-0.000'), ('numeric', '1e100'), ('numeric', '123456789012345678901234567890.123456789012345678901234567890'), ('numeric', '(10::numeric ^ 1000)'), ('numeric(10,4)', '1.5::numeric(10,4)'),
	('money', '''$-92,233,720,368,547,758.08''::money'), ('money', '''1.23''::money'),
	('text', ''''''), ('text', '''x'''), ('text', 'E''\t\n\\ ''''quoted'''' "too"'''), ('text', 'repeat(''x'', 126)'), ('text', 'repeat(''x'', 127)'), ('text', 'repeat(''xy'', 5000)'), ('text', 'NULL::text'), ('text', '''null'''),
	('varchar', '''abc''::varchar'), ('varchar(3)', '''abcdef''::varchar(3)'), ('character(5)', '''ab''::character(5)'), ('bpchar', '''ab   ''::bpchar'), ('name', '''a_name''::name'),
	('bytea', '''''::bytea'), ('bytea', '''\x00ff00''::bytea'), ('bytea', 'decode(repeat(''00ff'', 3000), ''hex'')'),
	('date', '''2026-02-28''::date'), ('date', '''infinity''::date'), ('date', '''-infinity''::date'), ('date', '''4713-01-01 BC''::date'), ('date', '''5874897-12-31''::date'),
	('time', '''24:00:00''::time'), ('time', '''00:00:00.000001''::time'), ('time(2)', '''01:02:03.456''::time(2)'), ('timetz', '''12:00:00+05:30''::timetz'), ('timetz', '''23:59:59.999999-15:59''::timetz'),
	('timestamp', '''infinity''::timestamp'), ('timestamp', '''2026-01-01 00:00:00.123456''::timestamp'), ('timestamp', '''294276-12-31 23:59:59.999999''::timestamp'), ('timestamp', '''4713-11-24 00:00:00 BC''::timestamp'), ('timestamp(0)', '''2026-01-01 00:00:00.6''::timestamp(0)'),
	('timestamptz', '''-infinity''::timestamptz'), ('timestamptz', '''2026-07-01 00:00:00+02''::timestamptz'),
	('interval', '''1 year -2 months 3 days -04:05:06.000007''::interval'), ('interval', '''0''::interval'), ('interval', '''178000000 years''::interval'), ('interval day to hour', '''1 day 2:03''::interval day to hour'),
	('uuid', '''ffffffff-0000-4000-8000-000000000001''::uuid'),
	('json', '''{"b" : 1,  "a": [1, 2, {}], "a": null}''::json'), ('json', '''1''::json'), ('json', '''null''::json'),
	('jsonb', '''{"b" : 1,  "a": [1, 2, {}], "a": null}''::jsonb'), ('jsonb', '''null''::jsonb'), ('jsonb', '''"\u0041\n"''::jsonb'), ('jsonb', '''1e400''::jsonb'), ('jsonb', '(SELECT jsonb_object_agg(g, repeat(''x'', 100)) FROM generate_series(1, 200) g)'), ('jsonpath', '''$.a[*] ? (@.b > 1)''::jsonpath'),
	('xml', '''<a b="c">text<!-- x --></a>''::xml'), ('xml', 'xmlelement(name x, xmlattributes(1 as y), ''<&>'')'), ('xml', 'xmlparse(content ''two <roots/> <here/>'')'),
	('inet', '''10.1.2.3/8''::inet'), ('inet', '''::ffff:1.2.3.4/128''::inet'), ('cidr', '''2001:db8::/32''::cidr'), ('macaddr', '''08:00:2b:01:02:03''::macaddr'), ('macaddr8', '''08:00:2b:01:02:03:04:05''::macaddr8'),
	('bit(3)', 'B''101''::bit(3)'), ('varbit', 'B''''::varbit'), ('bit varying(9)', 'B''110011''::bit varying(9)'), ('varbit', 'repeat(''10'', 4000)::varbit'),
	('point', '''(1.5,-2)''::point'), ('line', '''{1,2,3}''::line'), ('lseg', '''[(0,0),(1,1)]''::lseg'), ('box', '''(2,2),(0,0)''::box'), ('path', '''[(0,0),(1,1),(2,0)]''::path'), ('path', '''((0,0),(1,1),(2,0))''::path'), ('polygon', '''((0,0),(1,1),(2,0))''::polygon'), ('circle', '''<(0,0),2>''::circle'),
	('tsvector', '''a:1A fat:2B,4C cat:5D''::tsvector'), ('tsvector', 'to_tsvector(''simple'', repeat(''word '', 300))'), ('tsquery', '''fat & (rat | !cat:A*) <2> dog''::tsquery'), ('gtsvector', 'NULL::gtsvector'),
	('int4range', '''[1,5)''::int4range'), ('int4range', '''empty''::int4range'), ('int8range', '''(,)''::int8range'), ('numrange', '''(1.1,2.20]''::numrange'), ('tsrange', '''[2026-01-01,infinity]''::tsrange'), ('tstzrange', '''[2026-01-01 00:00+00,)''::tstzrange'), ('daterange', '''[2026-01-01,2026-12-31]''::daterange'), ('numrange', '''[NaN,NaN]''::numrange'),
	('int4multirange', '''{}''::int4multirange'), ('int4multirange', '''{[1,3), [5,7), [20,)}''::int4multirange'), ('nummultirange', '''{(1.1,2.20], [3,4)}''::nummultirange'), ('tstzmultirange', '''{[2026-01-01 00:00+00,2026-01-02 00:00+00)}''::tstzmultirange'),
	('oid', '4294967295::oid'), ('xid', '''4294967295''::xid'), ('xid8', '''18446744073709551615''::xid8'), ('cid', '''7''::cid'), ('tid', '''(4294967295,65535)''::tid'), ('pg_lsn', '''FFFFFFFF/FFFFFFFF''::pg_lsn'), ('pg_snapshot', '''10:20:10,14,15''::pg_snapshot'), ('txid_snapshot', '''10:20:10,14,15''::txid_snapshot'), ('refcursor', '''c''::refcursor'), ('int2vector', '''1 2 3''::int2vector'), ('oidvector', '''1 2 3''::oidvector'),
	('regtype', '''integer''::regtype'), ('regclass', '''plain''::regclass'), ('regproc', '''now''::regproc'), ('regprocedure', '''abs(integer)''::regprocedure'), ('regoper', '''||/''::regoper'), ('regoperator', '''+(integer,integer)''::regoperator'), ('regnamespace', '''public''::regnamespace'), ('regrole', '''pg_monitor''::regrole'), ('regcollation', '''"C"''::regcollation'), ('regconfig', '''simple''::regconfig'), ('regdictionary', '''simple''::regdictionary'),
	('integer[]', '''{}''::integer[]'), ('integer[]', '''{1,NULL,3}''::integer[]'), ('integer[]', '''[-1:1]={1,2,3}''::integer[]'), ('integer[]', '''{{1,2},{3,4}}''::integer[]'), ('integer[]', '''{{{{{{1}}}}}}''::integer[]'), ('text[]', 'ARRAY[''a,b'', ''{}'', ''"'', '''', NULL, ''NULL'']'), ('text[]', 'ARRAY(SELECT repeat(''x'', g) FROM generate_series(0, 300) g)'), ('numeric[]', '''{NaN,1.0,Infinity}''::numeric[]'), ('bytea[]', '''{"\\x00",NULL}''::bytea[]'), ('timestamptz[]', '''{infinity,2026-01-01 00:00+00}''::timestamptz[]'), ('boolean[]', '''{t,f,NULL}''::boolean[]'), ('jsonb[]', 'ARRAY[''{"a": 1}'', ''[]'', NULL]::jsonb[]'), ('int4range[]', '''{"[1,2)",empty}''::int4range[]'), ('int4multirange[]', '''{"{[1,2)}"}''::int4multirange[]'), ('point[]', '''{"(1,2)"}''::point[]'), ('box[]', '''{(1,2),(0,0);(3,4),(1,1)}''::box[]'), ('varchar(2)[]', '''{ab,c}''::varchar(2)[]'), ('uuid[]', '''{ffffffff-0000-4000-8000-000000000001}''::uuid[]'),
	('mood', '''happy''::mood'), ('mood[]', '''{sad,NULL,ok}''::mood[]'),
	('positive', '5::positive'), ('positive', 'NULL::positive'), ('name_or_not', '''x''::name_or_not'), ('positives', '''{1,2}''::positives'), ('positive[]', '''{1,2}''::positive[]'),
	('pair', '(1, ''x'')::pair'), ('pair', 'NULL::pair'), ('pair', '(NULL, NULL)::pair'), ('pair', '(1, repeat(''long '', 2000))::pair'), ('pair[]', 'ARRAY[(1, ''x''), NULL, (NULL, '''')]::pair[]'), ('good_pair', '(1, ''x'')::good_pair'),
	('nested', '((1, ''x''), ''sad'', ARRAY[(2, ''y''), (3, repeat(''z'', 3000))]::pair[], 4, ''NaN'')::nested'), ('nested[]', 'ARRAY[(NULL, NULL, NULL, NULL, NULL)]::nested[]'),
	('plain', '(1, ''x'')::plain'), ('plain[]', 'ARRAY[(1, ''x'')]::plain[]'),
	('textrange2', '''[a,b)''::textrange2'), ('textmultirange2', '''{[a,b), [x,)}''::textmultirange2'), ('floatrange', '''[1.5,Infinity]''::floatrange'),
	('myint', '''42''::myint'), ('mytext', '''hello''::mytext'), ('mytext', 'repeat(''hello'', 1000)::mytext'), ('myint[]', '''{1,2}''::myint[]'), ('mytext[]', '''{a,b}''::mytext[]');
SELECT count(*) FILTER (WHERE r IS NULL) AS same, count(*) AS samples
FROM (SELECT roundtrip(type, expression) AS r FROM samples ORDER BY n) s;
SELECT r FROM (SELECT n, roundtrip(type || ' ', expression) AS r FROM samples) s WHERE r IS NOT NULL ORDER BY n;

-- no built-in type is forgotten: each with NULL, array types with an empty array
CREATE TABLE builtin AS
	SELECT format_type(oid, NULL) AS t, format('NULL::%s', format_type(oid, NULL)) AS e
	FROM pg_type WHERE typtype IN ('b', 'r', 'm', 'e', 'd') AND typnamespace = 'pg_catalog'::regnamespace
	UNION ALL
	SELECT format_type(oid, NULL), format('''{}''::%s', format_type(oid, NULL))
	FROM pg_type WHERE typcategory = 'A' AND typname LIKE '\_%' AND typnamespace = 'pg_catalog'::regnamespace;
DELETE FROM builtin
WHERE EXISTS (SELECT FROM pg_type e WHERE e.oid = (SELECT typelem FROM pg_type WHERE oid = t::regtype) AND e.typtype IN ('c', 'p'));
SELECT count(*) > 200 AS many, cache_clear() > 0 AS cleared FROM builtin;
SELECT r FROM (SELECT roundtrip(t, e) AS r FROM builtin) s WHERE r IS NOT NULL;
DROP TABLE builtin;

-- all samples together, as columns of one row
SELECT 'SELECT ' || string_agg(expression, ', ' ORDER BY n) AS query,
	string_agg(format('c%s %s', n, type), ', ' ORDER BY n) AS list
FROM samples \gset
SELECT md5(d::text) AS direct FROM (:query) AS d \gset
SELECT md5(t::text) = :'direct' AS same FROM cached_query('all', :'query', 60) AS t(:list);
SELECT status();
SELECT md5(t::text) = :'direct' AS same FROM cached_query('all', :'query', 60) AS t(:list);
SELECT status();

-- no rows, many rows, rows of nulls, no columns, the order of rows
SELECT * FROM cached_query('rows:0', 'SELECT 1, ''x'' WHERE false', 60) AS t(a integer, b text);
SELECT * FROM cached_query('rows:0', 'SELECT 1, ''x'' WHERE false', 60) AS t(a integer, b text);
SELECT status();
SELECT count(*), count(a), sum(a) FROM cached_query('rows:many', 'SELECT g FROM generate_series(1, 50000) g', 60) AS t(a integer);
SELECT count(*), count(a), sum(a) FROM cached_query('rows:many', 'SELECT g FROM generate_series(1, 50000) g', 60) AS t(a integer);
SELECT status();
SELECT count(*), count(a), count(b) FROM cached_query('rows:null', 'SELECT NULL::integer, NULL FROM generate_series(1, 1000)', 60) AS t(a integer, b text);
SELECT count(*), count(a), count(b) FROM cached_query('rows:null', 'SELECT NULL::integer, NULL FROM generate_series(1, 1000)', 60) AS t(a integer, b text);
SELECT status();
CREATE TABLE nothing ();
INSERT INTO nothing SELECT FROM generate_series(1, 3);
SELECT * FROM cached_rows(NULL::nothing, 'cols:0', 'SELECT FROM nothing', 60);
SELECT * FROM cached_rows(NULL::nothing, 'cols:0', 'SELECT FROM nothing', 60);
SELECT status();
SELECT count(*) FROM cached_rows(NULL::nothing, 'cols:0b', 'SELECT', 60);
SELECT count(*) FROM cached_rows(NULL::nothing, 'cols:0b', 'SELECT', 60);
SELECT cached_json('cols:0', 'SELECT FROM nothing', 60);
SELECT cached_json('cols:0', 'SELECT FROM nothing', 60);
SELECT status();
SELECT err($$SELECT * FROM cached_rows(NULL::nothing, 'cols:0c', 'SELECT 1', 60)$$);
SELECT string_agg(a::text, ',') = (SELECT string_agg(((g * 7919) % 10007)::text, ',') FROM generate_series(1, 3000) g) AS in_order
FROM cached_query('order', 'SELECT (g * 7919) % 10007 FROM generate_series(1, 3000) g', 60) AS t(a integer);
SELECT string_agg(a::text, ',') = (SELECT string_agg(((g * 7919) % 10007)::text, ',') FROM generate_series(1, 3000) g) AS in_order
FROM cached_query('order', 'SELECT (g * 7919) % 10007 FROM generate_series(1, 3000) g', 60) AS t(a integer);
SELECT status();
SELECT * FROM ROWS FROM (cached_query('order', 'SELECT (g * 7919) % 10007 FROM generate_series(1, 3000) g', 60) AS (a integer), generate_series(1, 2)) WITH ORDINALITY LIMIT 3;
SELECT a FROM cached_query('order:desc', 'SELECT g FROM generate_series(1, 3) g ORDER BY g DESC', 60) AS t(a integer);
SELECT a FROM cached_query('order:desc', 'SELECT g FROM generate_series(1, 3) g ORDER BY g DESC', 60) AS t(a integer);

-- as many columns as there can be
SELECT 'SELECT ' || string_agg(g::text, ', ' ORDER BY g) AS query, string_agg(format('c%s integer', g), ', ' ORDER BY g) AS list
FROM generate_series(1, 1600) g \gset
SELECT md5(t::text), c1, c800, c1600 FROM cached_query('cols:1600', :'query', 60) AS t(:list);
SELECT status();
SELECT md5(t::text), c1, c800, c1600 FROM cached_query('cols:1600', :'query', 60) AS t(:list);
SELECT status();
SELECT 'SELECT ' || string_agg(CASE WHEN g % 3 = 0 THEN 'NULL' ELSE '''v' || g || '''' END, ', ' ORDER BY g) AS query, string_agg(format('c%s text', g), ', ' ORDER BY g) AS list
FROM generate_series(1, 1600) g \gset
SELECT md5(t::text), c1, c801, c1600 FROM cached_query('cols:1600', :'query', 60) AS t(:list);
SELECT md5(t::text), c1, c801, c1600 FROM cached_query('cols:1600', :'query', 60) AS t(:list);
SELECT status();
-- one more is PostgreSQL's own error
SELECT err(format('SELECT cached_json(''cols:1665'', %L, 60)', 'SELECT ' || string_agg(g::text, ', '))) FROM generate_series(1, 1665) g;

-- wide values: compressed in line, toasted compressed, toasted plain
CREATE TABLE wide (id integer, v text, b bytea, j jsonb, a text[]);
ALTER TABLE wide ALTER b SET STORAGE EXTERNAL;
INSERT INTO wide
	SELECT g, repeat(md5(g::text), 30000), decode(repeat(md5(g::text), 5000), 'hex'),
		jsonb_build_object('k', repeat(md5(g::text), 1000)), ARRAY[repeat('x', 100000), 'y']
	FROM generate_series(1, 3) g;
INSERT INTO wide VALUES (4, repeat('x', 1024 * 1024), NULL, NULL, NULL);
SELECT id, length(v), md5(v) = md5(repeat(md5(id::text), 30000)) AS v, md5(b) AS b, md5(j::text) AS j, length(a[1]) AS a
FROM cached_rows(NULL::wide, 'wide', 'SELECT * FROM wide ORDER BY id', 60);
SELECT status();
SELECT id, length(v), md5(v) = md5(repeat(md5(id::text), 30000)) AS v, md5(b) AS b, md5(j::text) AS j, length(a[1]) AS a
FROM cached_rows(NULL::wide, 'wide', 'SELECT * FROM wide ORDER BY id', 60);
SELECT status();
-- the stored values stand on their own: the table and its toast table may go
SELECT length(v), (SELECT sum(length(v)) FROM cached_rows(NULL::wide, 'wide', 'SELECT * FROM wide ORDER BY id', 60)) AS all
FROM cached_query('wide:row', 'SELECT w FROM wide w WHERE id = 1', 60) AS t(w wide), LATERAL (SELECT (w).v) s;
SELECT length((w).v), md5((w).b) FROM cached_query('wide:row', 'SELECT w FROM wide w WHERE id = 1', 60) AS t(w wide);
SELECT status();
ALTER TABLE wide DISABLE TRIGGER USER;
DELETE FROM wide;
VACUUM wide;
SELECT jsonb_array_length(cached_json('wide:gone', 'SELECT * FROM wide', 60));

-- larger than max_entry_size: answered, not stored
SET cache_ext.max_entry_size = '64kB';
SELECT length(a) FROM cached_query('large', 'SELECT repeat(''x'', 100000)', 60) AS t(a text);
SELECT status();
SELECT length(a) FROM cached_query('large', 'SELECT repeat(''x'', 100000)', 60) AS t(a text);
SELECT status();
SELECT count(*) FROM cached_query('large', 'SELECT g FROM generate_series(1, 10000) g', 60) AS t(a integer);
SELECT status();
SELECT length(cached_json('large', 'SELECT repeat(''x'', 100000) AS a', 60)->0->>'a');
SELECT status();
SELECT entries('large');
RESET cache_ext.max_entry_size;
SELECT length(a) FROM cached_query('large', 'SELECT repeat(''x'', 100000)', 60) AS t(a text);
SELECT status();
SELECT length(a) FROM cached_query('large', 'SELECT repeat(''x'', 100000)', 60) AS t(a text);
SELECT status();
-- and 100 MB
SELECT count(*), sum(length(a)) FROM cached_query('huge', 'SELECT repeat(''x'', 1024 * 1024) FROM generate_series(1, 100)', 60) AS t(a text);
SELECT status();
SELECT length(a) FROM cached_query('huge', 'SELECT repeat(''x'', 100 * 1024 * 1024)', 60) AS t(a text);
SELECT status();
SELECT entries('huge');

-- a row type with dropped columns
CREATE TABLE holes (gone1 integer, a integer, gone2 text, b text, gone3 date, c numeric DEFAULT 3);
ALTER TABLE holes DROP gone1, DROP gone2, DROP gone3;
INSERT INTO holes VALUES (1, 'one'), (2, NULL);
SELECT * FROM cached_rows(NULL::holes, 'holes', 'SELECT * FROM holes ORDER BY a', 60);
SELECT * FROM cached_rows(NULL::holes, 'holes', 'SELECT * FROM holes ORDER BY a', 60);
SELECT status();
SELECT (cached_rows(NULL::holes, 'holes', 'SELECT * FROM holes ORDER BY a', 60)).*;
SELECT status();
SELECT * FROM cached_query('holes', 'SELECT h FROM holes h ORDER BY a', 60) AS t(h holes);
SELECT (h).a, (h).b, (h).c FROM cached_query('holes', 'SELECT h FROM holes h ORDER BY a', 60) AS t(h holes);
SELECT cached_json('holes', 'SELECT * FROM holes ORDER BY a', 60);
SELECT cached_json('holes', 'SELECT h FROM holes h ORDER BY a', 60);
ALTER TABLE holes ADD d integer DEFAULT 7;
SELECT * FROM cached_rows(NULL::holes, 'holes', 'SELECT * FROM holes ORDER BY a', 60);
DROP TABLE holes;

-- other row types: a composite type, a domain over one, a view, a scalar, an array
SELECT * FROM cached_rows(NULL::pair, 'row:pair', 'SELECT 1, ''one''', 60);
SELECT * FROM cached_rows(NULL::pair, 'row:pair', 'SELECT 1, ''one''', 60);
SELECT status();
SELECT * FROM cached_rows(NULL::good_pair, 'row:good', 'SELECT 1, ''one''', 60);
SELECT * FROM cached_rows(NULL::good_pair, 'row:good', 'SELECT 1, ''one''', 60);
SELECT status();
-- a domain's rules hold here, too
SELECT err($$SELECT * FROM cached_rows(NULL::good_pair, 'row:bad', 'SELECT 0, ''none''', 60)$$);
SELECT err($$SELECT * FROM cached_rows(NULL::good_pair, 'row:bad', 'SELECT 0, ''none''', 60)$$);
SELECT err($$SELECT * FROM cached_rows(NULL::positive, 'row:positive', 'SELECT 0', 60)$$);
SELECT err($$SELECT * FROM cached_query('row:positive', 'SELECT 0', 60) AS t(a positive)$$);
SELECT * FROM cached_rows(NULL::positive, 'row:positive', 'SELECT 1::positive', 60);
SELECT * FROM cached_rows(NULL::integer, 'row:positive', 'SELECT 1::positive', 60);
SELECT * FROM cached_rows(NULL::integer[], 'row:array', 'SELECT ARRAY[1, 2]', 60);
SELECT * FROM cached_rows(NULL::integer[], 'row:array', 'SELECT ARRAY[1, 2]', 60);
SELECT status();
SELECT * FROM cached_rows((1, 2), 'row:record', 'SELECT 1, 2', 60) AS t(a integer, b integer);

-- records: columns of an anonymous record type are answered, not stored
SELECT cached_json('record', 'SELECT (1, 2) AS r', 60);
SELECT status();
SELECT * FROM cached_json('record', 'SELECT ARRAY[(1, 2)] AS r', 60);
SELECT err($$SELECT * FROM cached_query('record', 'SELECT (1, 2)', 60) AS t(r pair)$$);

-- an error while a large result is collected leaves nothing behind
SELECT err($$SELECT count(*) FROM cached_query('error:late', 'SELECT repeat(''x'', 1000), 1 / (1000 - g) FROM generate_series(1, 1000) g', 60) AS t(a text, b integer)$$);
SELECT entries('error:%');

DROP TABLE samples, wide, nothing, plain;
DROP FUNCTION roundtrip(text, text);
DROP TYPE nested, good_pair, pair, positives, positive, name_or_not, mood, textrange2, floatrange;
DROP TYPE myint CASCADE;
DROP TYPE mytext CASCADE;
