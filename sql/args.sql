\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- Arguments, in every form in which a driver sends them
--

CREATE TABLE items (id integer PRIMARY KEY, name text, price numeric, sold date, tags text[]);
INSERT INTO items SELECT g, 'item ' || g, g + 0.5, date '2026-01-01' + g, ARRAY['t' || g, 'all']
FROM generate_series(1, 5) g;

-- literals
SELECT cached_json('a:1', 'SELECT name FROM items WHERE id = $1', 60, 1);
SELECT cached_json('a:1', 'SELECT name FROM items WHERE id = $1', 60, 1);
SELECT status();
SELECT cached_json('a:1', 'SELECT name FROM items WHERE id = $1', 60, '1');
SELECT cached_json('a:1', 'SELECT name FROM items WHERE id = $1', '60', '1');
SELECT status();
SELECT * FROM cached_query('a:2', 'SELECT $1 || $2', 60, 'x', 'y') AS t(a text);
SELECT * FROM cached_query('a:2', 'SELECT $1 || $2', 60, 'x', 'y') AS t(a text);
SELECT status();

-- one key with other arguments, or the same in other types, is another entry
SELECT cached_json('a:3', 'SELECT name FROM items WHERE id = $1', 60, 2);
SELECT cached_json('a:3', 'SELECT name FROM items WHERE id = $1', 60, 3);
SELECT cached_json('a:3', 'SELECT pg_typeof($1), $1 AS v', 60, 2);
SELECT cached_json('a:3', 'SELECT pg_typeof($1), $1 AS v', 60, 2::bigint);
SELECT cached_json('a:3', 'SELECT pg_typeof($1), $1 AS v', 60, 2::numeric);
SELECT cached_json('a:3', 'SELECT pg_typeof($1), $1 AS v', 60, 2.0);
SELECT cached_json('a:3', 'SELECT pg_typeof($1), $1 AS v', 60, 2.00);
SELECT cached_json('a:3', 'SELECT pg_typeof($1::text), $1 AS v', 60, '2'::text);
SELECT entries('a:3');
SELECT cache_invalidate('a:3');
SELECT entries('a:3');
-- the boundaries between arguments count
SELECT cached_json('a:4', 'SELECT $1 || ''|'' || $2 AS v', 60, 'a', 'bc');
SELECT cached_json('a:4', 'SELECT $1 || ''|'' || $2 AS v', 60, 'ab', 'c');
SELECT cached_json('a:4', 'SELECT $1 || ''|'' || $2 AS v', 60, 'abc', '');
SELECT cached_json('a:4', 'SELECT $1 || ''|'' || $2 AS v', 60, '', 'abc');
SELECT cached_json('a:4', 'SELECT $1 || ''|'' || $2 AS v', 60, '', NULL);
SELECT cached_json('a:4', 'SELECT $1 || ''|'' || $2 AS v', 60, NULL, '');
SELECT entries('a:4');
-- and nothing of them is ever part of the query's text
SELECT cached_json('a:5', 'SELECT $1 AS v', 60, '''; DROP TABLE items; --');
SELECT cached_json('a:5', 'SELECT ''$1'' AS v, $1 AS w, $$ $1 $$ AS x', 60, '$1');

-- typed
SELECT cached_json('a:6', 'SELECT name FROM items WHERE id = $1 AND price > $2 AND sold = $3 AND tags @> $4 AND $5',
	60, 2::smallint, 1.0, date '2026-01-03', ARRAY['all'], true);
SELECT cached_json('a:6', 'SELECT name FROM items WHERE id = $1 AND price > $2 AND sold = $3 AND tags @> $4 AND $5',
	60, 2::smallint, 1.0, date '2026-01-03', ARRAY['all'], true);
SELECT status();
-- mixed
SELECT cached_json('a:7', 'SELECT name FROM items WHERE id = $1 AND sold = $2 AND name = $3', 60, 2, '2026-01-03', 'item 2');
SELECT cached_json('a:7', 'SELECT name FROM items WHERE id = $1 AND sold = $2 AND name = $3', 60, 2, '2026-01-03', 'item 2');
SELECT status();
-- a varchar, a name, a char
SELECT cached_json('a:8', 'SELECT name FROM items WHERE name = $1', 60, 'item 2'::varchar);
SELECT cached_json('a:8', 'SELECT name FROM items WHERE name = $1', 60, 'item 2'::name);
SELECT cached_json('a:8', 'SELECT name FROM items WHERE name = $1', 60, 'item 2'::char(8));

-- all from the driver as text of unknown type: node-postgres, psycopg, ...
PREPARE q(unknown, unknown, unknown, unknown) AS SELECT cached_json($1, $2, $3, $4);
EXECUTE q('a:9', 'SELECT name, sold FROM items WHERE id = $1', '60', '3');
EXECUTE q('a:9', 'SELECT name, sold FROM items WHERE id = $1', '60', '3');
SELECT status();
EXECUTE q('a:9', 'SELECT name, sold FROM items WHERE id = $1', 'medium', '3');
SELECT status();
EXECUTE q('a:9', 'SELECT name, sold FROM items WHERE id = $1', NULL, '4');
EXECUTE q('a:9', 'SELECT name, sold FROM items WHERE id = $1', '60', NULL);
SELECT status();
EXECUTE q('a:9', 'SELECT name, sold FROM items WHERE id = $1', '60', 'three');
EXECUTE q('a:9', 'SELECT name, sold FROM items WHERE sold = $1', '60', '2026-01-03');
PREPARE q2 AS SELECT * FROM cached_query($1, $2, $3, $4, $5) AS t(name text);
EXECUTE q2('a:10', 'SELECT name FROM items WHERE id BETWEEN $1 AND $2', '60', '2', '3');
EXECUTE q2('a:10', 'SELECT name FROM items WHERE id BETWEEN $1 AND $2', '60', '2', '3');
SELECT status();
PREPARE q3 AS SELECT * FROM cached_rows(NULL::items, $1, $2, $3, $4);
EXECUTE q3('a:11', 'SELECT * FROM items WHERE id = $1', '60', '2');
EXECUTE q3('a:11', 'SELECT * FROM items WHERE id = $1', '60', '2');
SELECT status();
-- the time to live alone, untyped
PREPARE q4 AS SELECT cached_json($1, $2, $3);
EXECUTE q4('a:12', 'SELECT 1 AS a', '5 minutes');
EXECUTE q4('a:12', 'SELECT 1 AS a', '300');
SELECT status();
-- with types where the application casts
PREPARE q5 AS SELECT cached_json($1, $2, $3, $4::integer, $5::date);
EXECUTE q5('a:13', 'SELECT name FROM items WHERE id = $1 AND sold = $2', '60', 2, '2026-01-03');
EXECUTE q5('a:13', 'SELECT name FROM items WHERE id = $1 AND sold = $2', '60', 2, '2026-01-03');
SELECT status();
PREPARE q6(text, text, integer, integer) AS SELECT cached_json($1, $2, $3, $4);
EXECUTE q6('a:14', 'SELECT name FROM items WHERE id = $1', 60, 2);
EXECUTE q6('a:14', 'SELECT name FROM items WHERE id = $1', 60, 2);
SELECT status();
DEALLOCATE ALL;

-- a list of arguments as an array
SELECT cached_json('a:20', 'SELECT name FROM items WHERE id IN ($1, $2) ORDER BY 1', 60, VARIADIC ARRAY[1, 2]);
SELECT cached_json('a:20', 'SELECT name FROM items WHERE id IN ($1, $2) ORDER BY 1', 60, VARIADIC ARRAY[1, 2]);
SELECT status();
-- is the same call as with single arguments
SELECT cached_json('a:20', 'SELECT name FROM items WHERE id IN ($1, $2) ORDER BY 1', 60, 1, 2);
SELECT status();
SELECT cached_json('a:21', 'SELECT name FROM items WHERE id = $1 AND sold = $2', 60, VARIADIC ARRAY['2', '2026-01-03']);
SELECT cached_json('a:21', 'SELECT name FROM items WHERE id = $1 AND sold = $2', 60, VARIADIC ARRAY['2', '2026-01-03']);
SELECT status();
SELECT cached_json('a:21', 'SELECT name FROM items WHERE id = $1 AND sold = $2', 60, '2', '2026-01-03');
SELECT status();
PREPARE v AS SELECT cached_json($1, $2, $3, VARIADIC $4::text[]);
EXECUTE v('a:22', 'SELECT name FROM items WHERE id = $1 AND sold = $2', '60', '{2,2026-01-03}');
EXECUTE v('a:22', 'SELECT name FROM items WHERE id = $1 AND sold = $2', '60', '{2,2026-01-03}');
SELECT status();
EXECUTE v('a:23', 'SELECT $1::text IS NULL AS a, $2 || ''x'' AS b', '60', '{NULL,"NULL"}');
EXECUTE v('a:24', 'SELECT 1 AS a', '60', '{}');
EXECUTE v('a:24', 'SELECT 1 AS a', '60', '{}');
SELECT status();
EXECUTE v('a:24', 'SELECT 1 AS a', '60', NULL);
DEALLOCATE v;
SELECT cached_json('a:24', 'SELECT 1 AS a', 60, VARIADIC '{}'::integer[]);
SELECT cached_json('a:24', 'SELECT 1 AS a', 60, VARIADIC NULL::integer[]);
SELECT cached_json('a:25', 'SELECT concat_ws(''|'', $1::text, $2::text, $3::text, $4::text) AS v', 60, VARIADIC ARRAY[['a', 'b'], ['c', 'd']]);
SELECT cached_json('a:26', 'SELECT $1::integer + $2::integer AS v', 60, VARIADIC '[5:6]={1,2}'::integer[]);
SELECT cached_json('a:27', 'SELECT $1 AS v', 60, VARIADIC 3);
-- an array as one argument
SELECT cached_json('a:28', 'SELECT name FROM items WHERE id = ANY ($1) ORDER BY id', 60, ARRAY[1, 3]);
SELECT cached_json('a:28', 'SELECT name FROM items WHERE id = ANY ($1) ORDER BY id', 60, ARRAY[1, 3]);
SELECT status();
SELECT cached_json('a:28', 'SELECT name FROM items WHERE id = ANY ($1) ORDER BY id', 60, ARRAY[1, 4]);
SELECT cached_json('a:28', 'SELECT name FROM items WHERE id = ANY ($1) ORDER BY id', 60, '{1,5}');
SELECT cached_json('a:28', 'SELECT name FROM items WHERE name = ANY ($1)', 60, ARRAY['item 2', 'item 1']);
SELECT cached_json('a:28', 'SELECT name FROM items WHERE tags && $1', 60, VARIADIC ARRAY['{t3,t4}']);

-- NULL arguments, typed and not
SELECT cached_json('a:30', 'SELECT $1 AS v', 60, NULL::integer);
SELECT cached_json('a:30', 'SELECT $1 AS v', 60, NULL::integer);
SELECT status();
SELECT cached_json('a:30', 'SELECT $1 AS v', 60, 0);
SELECT cached_json('a:30', 'SELECT $1 AS v', 60, NULL);
SELECT cached_json('a:30', 'SELECT $1 AS v', 60, '');
SELECT cached_json('a:30', 'SELECT $1 AS v', 60, NULL::text);
SELECT cached_json('a:30', 'SELECT $1 AS v', 60, NULL::integer[]);
SELECT cached_json('a:30', 'SELECT count(*) FROM items WHERE id = $1 OR $1 IS NULL', 60, NULL::integer);
SELECT cached_json('a:30', 'SELECT count(*) FROM items WHERE id = $1 OR $1 IS NULL', 60, 1);

-- more arguments than the query uses: typed ones do no harm
SELECT cached_json('a:31', 'SELECT $1 AS v', 60, 1, 2, 3);
SELECT cached_json('a:31', 'SELECT $3 AS v', 60, 1, 2, 3);
SELECT cached_json('a:31', 'SELECT 1 AS v', 60, 1);
-- one argument used in two types
SELECT err($$SELECT cached_json('a:32', 'SELECT $1::integer, $1::date', 60, '1')$$);
SELECT cached_json('a:32', 'SELECT $1::integer AS i, $1::text AS t', 60, 1);
-- a type of the domain, not of the base
CREATE DOMAIN small AS integer CHECK (VALUE < 10);
SELECT cached_json('a:33', 'SELECT $1 + 1 AS v, pg_typeof($1) AS t', 60, 5::small);
SELECT err($$SELECT cached_json('a:33', 'SELECT $1::small AS v', 60, 11)$$);
SELECT err($$SELECT cached_json('a:33', 'SELECT ($1::small) AS v', 60, '11')$$);
DROP DOMAIN small;
-- many arguments
SELECT cached_json('a:34', (SELECT 'SELECT ' || string_agg('$' || g, ' + ') || ' AS sum' FROM generate_series(1, 90) g),
	60, VARIADIC ARRAY(SELECT g FROM generate_series(1, 90) g));
SELECT cached_json('a:34', (SELECT 'SELECT sum(a) FROM (VALUES ' || string_agg('($' || g || ')', ', ') || ') v(a)' FROM generate_series(1, 5000) g),
	60, VARIADIC ARRAY(SELECT g FROM generate_series(1, 5000) g));
SELECT status();
SELECT cached_json('a:34', (SELECT 'SELECT sum(a) FROM (VALUES ' || string_agg('($' || g || ')', ', ') || ') v(a)' FROM generate_series(1, 5000) g),
	60, VARIADIC ARRAY(SELECT g FROM generate_series(1, 5000) g));
SELECT status();

-- long arguments, compressed, toasted, or neither: what counts is the value
CREATE TABLE long_args (id integer, v text);
ALTER TABLE long_args ALTER v SET STORAGE EXTERNAL;
INSERT INTO long_args VALUES (1, repeat('x', 100000));
ALTER TABLE long_args ALTER v SET STORAGE EXTENDED;
INSERT INTO long_args VALUES (2, repeat('x', 100000)), (3, repeat('x', 99999) || 'y');
SELECT id, cached_json('a:40', 'SELECT md5($1) AS m, length($1)', 60, v), status()
FROM long_args ORDER BY id;
SELECT cached_json('a:40', 'SELECT md5($1) AS m, length($1)', 60, repeat('x', 100000));
SELECT status();
SELECT id, cached_json('a:41', 'SELECT length($1), get_byte($1, 99999)', 60, v::bytea), status()
FROM long_args ORDER BY id;
SELECT id, cached_json('a:42', 'SELECT length($1[1]) AS l1, length($1[2]) AS l2', 60, ARRAY[v, 'x']), status()
FROM long_args ORDER BY id;
DROP TABLE long_args;
-- around the length from which on arguments are kept as a digest
SELECT n, cached_json('a:43', 'SELECT length($1)', 60, repeat('x', n)) AS first,
	cached_json('a:43', 'SELECT length($1)', 60, repeat('x', n)) AS second, status()
FROM generate_series(500, 520) n WHERE n % 4 = 0;

-- composite arguments: of a named type they identify, anonymous ones do not
SELECT cached_json('a:50', 'SELECT ($1).name', 60, i) FROM items i WHERE id < 3 ORDER BY id;
SELECT status();
SELECT cached_json('a:50', 'SELECT ($1).name', 60, i) FROM items i WHERE id = 2;
SELECT status();
SELECT cached_json('a:51', 'SELECT $1 = ROW(1, 2) AS same', 60, ROW(1, 2));
SELECT status();
SELECT cached_json('a:51', 'SELECT $1 = ROW(1, 2) AS same', 60, ROW(1, 3));
SELECT status();
SELECT cached_json('a:52', 'SELECT $1 AS v', 60, ARRAY[ROW(1, 2)]);
SELECT status();

-- arguments of every other kind
SELECT cached_json('a:60', 'SELECT $1 AS v', 60, 'NaN'::numeric);
SELECT cached_json('a:60', 'SELECT $1 AS v', 60, 'NaN'::double precision);
SELECT cached_json('a:60', 'SELECT $1 AS v', 60, '-0'::double precision);
SELECT cached_json('a:60', 'SELECT $1 AS v', 60, '0'::double precision);
SELECT status();
SELECT cached_json('a:60', 'SELECT $1 AS v', 60, 'infinity'::timestamptz);
SELECT cached_json('a:60', 'SELECT $1 AS v', 60, '1 mon'::interval);
SELECT cached_json('a:60', 'SELECT $1 AS v', 60, '30 days'::interval);
SELECT status();
SELECT cached_json('a:60', 'SELECT $1 AS v', 60, '00000000-0000-0000-0000-000000000001'::uuid);
SELECT cached_json('a:60', 'SELECT $1 AS v', 60, '{"a": [1, null]}'::jsonb);
SELECT cached_json('a:60', 'SELECT $1 AS v', 60, '[1,5)'::int4range);
SELECT cached_json('a:60', 'SELECT $1 AS v', 60, 'items'::regclass);
SELECT cached_json('a:60', 'SELECT $1 AS v', 60, '(1,2)'::point);
SELECT cached_json('a:60', 'SELECT $1 AS v', 60, 'name'::name);
SELECT cached_json('a:60', 'SELECT $1 AS v', 60, '10.0.0.1'::inet);
SELECT cached_json('a:60', 'SELECT $1 AS v', 60, B'101');
SELECT cached_json('a:60', 'SELECT $1 AS v', 60, 'x'::cstring);

-- stable functions as arguments, from a join, computed late
SELECT i.id, cached_json('a:70', 'SELECT name FROM items WHERE id = $1', 60, i.id) FROM items i WHERE i.id < 3 ORDER BY id;
SELECT i.id, c.* FROM items i,
	LATERAL cached_query('a:70:' || i.id, 'SELECT name, $2 FROM items WHERE id = $1', 60, i.id, current_user::text) AS c(name text, u text)
WHERE i.id < 3 ORDER BY id;

DROP TABLE items;
