\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- What identifies an entry: never another's answer, however alike the calls
--

CREATE SCHEMA one;
CREATE SCHEMA two;
CREATE TABLE one.t (v text);
CREATE TABLE two.t (v text);
CREATE TABLE tenants (tenant text, v integer);
INSERT INTO one.t VALUES ('one');
INSERT INTO two.t VALUES ('two');
INSERT INTO tenants VALUES ('a', 1), ('b', 2);
CREATE VIEW my_rows AS SELECT v FROM tenants WHERE tenant = current_setting('app.tenant', true);
CREATE FUNCTION tenant_sql() RETURNS text STABLE LANGUAGE sql AS $$ SELECT current_setting('app.tenant', true) $$;
CREATE FUNCTION tenant_sql_body() RETURNS text STABLE LANGUAGE sql RETURN current_setting('app.tenant', true);
CREATE FUNCTION tenant_plpgsql() RETURNS text STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN current_setting('app.tenant', true); END $$;
CREATE FUNCTION tenant_deep() RETURNS text STABLE LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN EXECUTE 'SELECT tenant_plpgsql()' INTO r; RETURN r; END $$;
CREATE FUNCTION tenant_lies() RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN current_setting('app.tenant', true); END $$;
SET check_function_bodies = off;
CREATE FUNCTION show_path() RETURNS text STABLE LANGUAGE sql AS $$ SELECT v FROM t $$;
RESET check_function_bodies;
-- from 19 on there is no such setting, and the other has one value only
DO $$ BEGIN SET escape_string_warning = off; EXCEPTION WHEN undefined_object THEN END $$;

-- one key, two queries, two forms
SELECT * FROM probe('k', 'SELECT 1 AS a');
SELECT * FROM probe('k', 'SELECT 2 AS a');
SELECT * FROM probe('k', 'SELECT  1 AS a');
SELECT * FROM cached_query('k', 'SELECT 1 AS a', 60) AS t(a integer);
SELECT status();
SELECT * FROM cached_rows(NULL::integer, 'k', 'SELECT 1 AS a', 60);
SELECT status();
SELECT entries('k');
-- keys are bytes: case, blanks and what looks alike count
SELECT key, (probe(key, 'SELECT 1 AS a')).status FROM unnest(ARRAY['key', 'Key', 'key ', ' key', 'key:', 'key']) key;

-- search_path: the same words, other tables
SET search_path = one, public;
SELECT * FROM probe('path', 'SELECT v FROM t');
SET search_path = two, public;
SELECT * FROM probe('path', 'SELECT v FROM t');
SELECT * FROM probe('path function', 'SELECT show_path()');
SET search_path = one, public;
SELECT * FROM probe('path', 'SELECT v FROM t');
SELECT * FROM probe('path function', 'SELECT show_path()');
-- what counts is where it leads
SET search_path = one, nowhere, public;
SELECT * FROM probe('path', 'SELECT v FROM t');
SET search_path = "$user", one, public;
SELECT * FROM probe('path', 'SELECT v FROM t');
SET search_path = public, one;
SELECT * FROM probe('path', 'SELECT v FROM t');
-- and what the current schema is: pg_catalog and pg_temp may be named or not
RESET search_path;
CREATE FUNCTION plpgsql_schema() RETURNS text STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN current_schema; END $$;
CREATE FUNCTION current(path text) RETURNS TABLE (s text, status text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('search_path', path, true);
	RETURN QUERY SELECT p.result #>> '{0,s}', p.status FROM public.probe('current',
		'SELECT replace(concat_ws('' '', current_schema, current_schema(), public.plpgsql_schema()),
			pg_catalog.current_schema(), CASE WHEN current_schema() LIKE ''pg_temp%'' THEN ''temporary'' ELSE current_schema() END) AS s') p;
END
$$;
SELECT path, c.* FROM unnest(ARRAY['public', '"$user", public', 'pg_catalog, public', 'pg_catalog, public', 'nowhere, pg_catalog, public', 'public, pg_catalog', 'public']) path,
	current(path) c;
CREATE TEMP TABLE any_table (a integer);
SELECT path, c.* FROM unnest(ARRAY['public', 'pg_temp, public', 'pg_temp, public', 'nowhere, pg_temp, public', 'public, pg_temp', 'public', 'one, pg_temp, public']) path, current(path) c;
SELECT * FROM probe('current', 'SELECT cardinality(current_schemas(true)) AS n');
DROP TABLE any_table;
DROP FUNCTION current(text), plpgsql_schema();
SET search_path = public, one;
-- in a function with a path of its own
CREATE FUNCTION in_two() RETURNS jsonb LANGUAGE sql SET search_path = two, public AS $$ SELECT cached_json('path', 'SELECT v FROM t', '300') $$;
SELECT in_two();
SELECT * FROM probe('path', 'SELECT v FROM t');
RESET search_path;
SELECT err($$SELECT cached_json('path', 'SELECT v FROM t', '300')$$);
SET search_path = two, public;
SELECT (probe('path', 'SELECT v FROM t')).result;
RESET search_path;

-- settings that change what values look like
CREATE FUNCTION under(setting text, v1 text, v2 text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r1 jsonb; r2 jsonb; d1 jsonb; d2 jsonb; s text; was text := current_setting(setting);
BEGIN
	query := format('SELECT to_jsonb(s) AS v FROM (%s) s', query);
	PERFORM set_config(setting, v1, false);
	EXECUTE query INTO d1;
	r1 := cached_json('set:' || setting, query, 60)->0->'v';
	PERFORM set_config(setting, v2, false);
	EXECUTE query INTO d2;
	r2 := cached_json('set:' || setting, query, 60)->0->'v';
	PERFORM set_config(setting, v1, false);
	r1 := cached_json('set:' || setting, query, 60)->0->'v';
	s := status();
	PERFORM set_config(setting, was, false);
	RETURN CASE WHEN d1 = d2 THEN 'no difference' WHEN r1 = d1 AND r2 = d2 THEN 'right' ELSE 'WRONG' END || ', ' || s;
END
$$;
SELECT setting,
	CASE WHEN setting = 'standard_conforming_strings' AND current_setting('server_version_num')::integer >= 190000
		THEN 'right, hit' ELSE under(setting, v1, v2, query) END AS under
FROM (VALUES
	('TimeZone', 'UTC', 'Asia/Tokyo', 'SELECT ''2026-01-01 12:00 UTC''::timestamptz::text'),
	('TimeZone', 'UTC', 'Asia/Tokyo', 'SELECT ''2026-01-01 20:00 UTC''::timestamptz::date'),
	('TimeZone', 'UTC', 'Asia/Tokyo', 'SELECT ''2026-01-01 20:00 UTC''::timestamptz'),
	('DateStyle', 'ISO, DMY', 'ISO, MDY', 'SELECT ''01/02/2026''::text::date'),
	('DateStyle', 'ISO, DMY', 'German, DMY', 'SELECT date ''2026-01-02''::text'),
	('IntervalStyle', 'postgres', 'iso_8601', 'SELECT interval ''1 day 2 hours''::text'),
	('extra_float_digits', '1', '-5', 'SELECT (1.0::float8 / 3)::text'),
	('bytea_output', 'hex', 'escape', 'SELECT ''\x00ff''::bytea::text'),
	('xmlbinary', 'base64', 'hex', 'SELECT xmlelement(name a, ''\x00ff''::bytea)::text'),
	('default_text_search_config', 'simple', 'english', 'SELECT to_tsvector(''the cats'')'),
	('transform_null_equals', 'off', 'on', 'SELECT count(*) FROM tenants WHERE tenant = NULL OR v = NULL OR NULL = NULL'),
	('array_nulls', 'on', 'off', 'SELECT (''{NULL}''::text::text[])[1] IS NULL'),
	('quote_all_identifiers', 'off', 'on', 'SELECT quote_ident(''a'')'),
	('standard_conforming_strings', 'on', 'off', 'SELECT ''a\\b''')
	) AS s(setting, v1, v2, query);
SET xmloption = content;
SELECT * FROM probe('xmloption', 'SELECT (''two <a/>''::text::xml)::text');
SET xmloption = document;
SELECT err($$SELECT cached_json('xmloption', 'SELECT (''two <a/>''::text::xml)::text', 300)$$);
RESET xmloption;
-- others have no effect, and share
SET work_mem = '8MB';
SET enable_seqscan = off;
SET application_name = 'other';
SET client_min_messages = error;
SET statement_timeout = '1h';
SELECT * FROM probe('k', 'SELECT 1 AS a');
RESET ALL;
SELECT * FROM probe('k', 'SELECT 1 AS a');

-- settings of the application: read by current_setting(), wherever
CREATE FUNCTION as_tenants(how text, query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	tenant text;
BEGIN
	FOREACH tenant IN ARRAY ARRAY['a', 'b', 'a', 'b'] LOOP
		PERFORM set_config('app.tenant', tenant, false);
		RETURN NEXT format('%s, %s: %s, %s', how, tenant, cached_json('tenant:' || how, query, 300), status());
	END LOOP;
END
$$;
SELECT as_tenants('direct', 'SELECT current_setting(''app.tenant'', true) AS t');
SELECT as_tenants('in a view', 'SELECT v FROM my_rows');
SELECT as_tenants('in SQL', 'SELECT tenant_sql() AS t');
SELECT as_tenants('in an SQL body', 'SELECT tenant_sql_body() AS t');
SELECT as_tenants('in PL/pgSQL', 'SELECT tenant_plpgsql() AS t');
SELECT as_tenants('deeper', 'SELECT tenant_deep() AS t');
SELECT as_tenants('in a filter', 'SELECT v FROM tenants WHERE tenant = tenant_plpgsql()');
SELECT as_tenants('in a lie', 'SELECT tenant_lies() AS t');
SELECT as_tenants('in a subquery', 'SELECT (SELECT v FROM tenants WHERE tenant = (SELECT tenant_sql())) AS v');
-- a function that was called before in the same transaction reads it unseen
BEGIN;
SET LOCAL app.tenant = 'a';
SELECT tenant_plpgsql();
SELECT * FROM probe('called before', 'SELECT tenant_plpgsql() AS t');
SET LOCAL app.tenant = 'b';
SELECT * FROM probe('called before', 'SELECT tenant_plpgsql() AS t');
COMMIT;
SET app.tenant = 'c';
SELECT * FROM probe('called before', 'SELECT tenant_plpgsql() AS t');
-- or in the fill before
BEGIN;
SET LOCAL app.tenant = 'a';
SELECT * FROM probe('called before 2', 'SELECT tenant_plpgsql() AS t');
SELECT * FROM probe('called before 3', 'SELECT upper(tenant_plpgsql()) AS t');
SET LOCAL app.tenant = 'b';
SELECT * FROM probe('called before 3', 'SELECT upper(tenant_plpgsql()) AS t');
ROLLBACK;
-- within a savepoint that is rolled back
BEGIN;
SAVEPOINT s;
SET LOCAL app.tenant = 'a';
SELECT tenant_plpgsql();
ROLLBACK TO s;
SET LOCAL app.tenant = 'd';
SELECT * FROM probe('called before 4', 'SELECT tenant_plpgsql() AS t');
COMMIT;
SET app.tenant = 'e';
SELECT * FROM probe('called before 4', 'SELECT tenant_plpgsql() AS t');
-- one that is not set differs from one that is empty
SELECT * FROM probe('unset', 'SELECT coalesce(current_setting(''app.never'', true), ''unset'') AS t');
SET app.never = '';
SELECT * FROM probe('unset', 'SELECT coalesce(current_setting(''app.never'', true), ''unset'') AS t');
SET app.never = 'set';
SELECT * FROM probe('unset', 'SELECT coalesce(current_setting(''app.never'', true), ''unset'') AS t');
-- built-in settings, too, are read as they are
SET application_name = 'first';
SELECT * FROM probe('name', 'SELECT current_setting(''application_name'') AS t');
SET application_name = 'second';
SELECT * FROM probe('name', 'SELECT current_setting(''application_name'') AS t');
SET work_mem = '7MB';
SELECT * FROM probe('name', 'SELECT current_setting(''work_mem'') AS t');
SET work_mem = '9MB';
SELECT * FROM probe('name', 'SELECT current_setting(''work_mem'') AS t');
RESET work_mem;
RESET application_name;

-- identity_settings: the settings that always count
SELECT * FROM probe('identity', 'SELECT 1 AS a');
SET cache_ext.identity_settings = 'app.tenant, app.user';
SELECT * FROM probe('identity', 'SELECT 1 AS a');
SET app.tenant = 'a';
SELECT * FROM probe('identity', 'SELECT 1 AS a');
SET app.tenant = 'b';
SELECT * FROM probe('identity', 'SELECT 1 AS a');
SET app."user" = 'u';
SELECT * FROM probe('identity', 'SELECT 1 AS a');
SELECT * FROM probe('identity', 'SELECT 1 AS a');
SET app.tenant = 'a';
SELECT * FROM probe('identity', 'SELECT 1 AS a');
SET app.other = 'x';
SELECT * FROM probe('identity', 'SELECT 1 AS a');
-- the boundary between two of them counts
SET app.tenant = 'xy'; SET app."user" = 'z';
SELECT * FROM probe('identity 2', 'SELECT 1 AS a');
SET app.tenant = 'x'; SET app."user" = 'yz';
SELECT * FROM probe('identity 2', 'SELECT 1 AS a');
-- plain values go by them, too
SELECT cache_set('identity value', '"of x"');
SET app.tenant = 'y';
SELECT cache_get('identity value');
SET app.tenant = 'x';
SELECT cache_get('identity value');
SET cache_ext.identity_settings = 'app.tenant, , app.user';
SET cache_ext.identity_settings = '"unclosed';
SHOW cache_ext.identity_settings;
SET cache_ext.identity_settings = '';
SELECT * FROM probe('identity', 'SELECT 1 AS a');
CREATE ROLE regress_id NOLOGIN;
SET ROLE regress_id;
SET cache_ext.identity_settings = 'app.tenant';
RESET ROLE;

-- SHOW reads a setting as current_setting() does
CREATE FUNCTION tenant_show() RETURNS text VOLATILE LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN EXECUTE 'SHOW app.tenant' INTO r; RETURN r; END $$;
\c -
SET cache_ext.volatile_functions = cache;
SET app.tenant = 'a';
SELECT * FROM probe('show', 'SELECT tenant_show() AS t');
SELECT * FROM probe('show', 'SELECT tenant_show() AS t');
SET app.tenant = 'b';
SELECT * FROM probe('show', 'SELECT tenant_show() AS t');
SELECT * FROM probe('show', 'SELECT tenant_show() AS t');
-- what counts is the setting as of before: the query may change it
SELECT * FROM probe('sets', 'SELECT current_setting(''app.tenant'') AS t, set_config(''app.tenant'', ''a'', false) AS s');
SHOW app.tenant;
SELECT * FROM probe('sets', 'SELECT current_setting(''app.tenant'') AS t, set_config(''app.tenant'', ''a'', false) AS s');
CREATE FUNCTION tenant_sets() RETURNS text STABLE LANGUAGE plpgsql AS $$ DECLARE r text := current_setting('app.tenant'); BEGIN PERFORM set_config('app.tenant', 'c', false); RETURN r; END $$;
SET app.tenant = 'b';
SELECT * FROM probe('sets', 'SELECT tenant_sets() AS t');
SHOW app.tenant;
SELECT * FROM probe('sets', 'SELECT tenant_sets() AS t');
SET app.tenant = 'b';
SELECT * FROM probe('sets', 'SELECT tenant_sets() AS t');
DROP FUNCTION tenant_sets();
RESET cache_ext.volatile_functions;
-- declared IMMUTABLE, it is part of a plan that the session keeps: nobody reads
-- the setting any more when the answer is stored
CREATE FUNCTION tenant_folded() RETURNS SETOF integer STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT v FROM tenants WHERE tenant = tenant_lies(); END $$;
\c -
SET app.tenant = 'a';
SELECT * FROM tenant_folded();
SELECT * FROM probe('folded', 'SELECT * FROM tenant_folded() f');
\c -
SET app.tenant = 'b';
SELECT * FROM probe('folded', 'SELECT * FROM tenant_folded() f');
DROP FUNCTION tenant_show(), tenant_folded();

-- who is asking
SELECT * FROM probe('who', 'SELECT current_user AS u, current_role AS r');
SET ROLE regress_id;
SELECT * FROM probe('who', 'SELECT current_user AS u, current_role AS r');
SELECT * FROM probe('who', 'SELECT current_user AS u, current_role AS r');
RESET ROLE;
SELECT * FROM probe('who', 'SELECT current_user AS u, current_role AS r');
-- the session's user, and other things of the session, are not stored
SELECT * FROM probe('session', 'SELECT session_user = ''postgres'' AS a WHERE session_user IS NOT NULL');
SET SESSION AUTHORIZATION regress_id;
SELECT (probe('session', 'SELECT session_user AS u')).result;
SELECT (probe('session f', 'SELECT f FROM (SELECT session_user AS f) s')).result;
RESET SESSION AUTHORIZATION;
SELECT (probe('session', 'SELECT session_user AS u')).result <> '[{"u": "regress_id"}]' AS other;
SELECT current_database() = result->0->>'d' AS same FROM probe('db', 'SELECT current_database() AS d');

-- long queries differ as short ones do, and are not kept by the session
SELECT 'SELECT date ''2020-02-01''::text AS d /*' || repeat('x', 1000000) || '*/' AS long \gset
SELECT status FROM probe('long', :'long');
SELECT result->0->>'d' AS d, status FROM probe('long', :'long');
SELECT status FROM probe('long', :'long' || ' ');
SET DateStyle = 'German';
SELECT result->0->>'d' AS d, status FROM probe('long', :'long');
RESET DateStyle;
DO $$ BEGIN FOR i IN 1 .. 40 LOOP PERFORM cached_json('long', 'SELECT ' || i || '/*' || repeat('x', 1000000) || '*/', 60); END LOOP; END $$;
SELECT sum(total_bytes) < 10000000 AS little FROM pg_backend_memory_contexts WHERE name = 'TopMemoryContext';

DROP ROLE regress_id;
DROP VIEW my_rows;
DROP TABLE tenants;
DROP FUNCTION tenant_sql(), tenant_sql_body(), tenant_plpgsql(), tenant_deep(), tenant_lies(), show_path(), in_two(),
	under(text, text, text, text), as_tenants(text, text);
DROP SCHEMA one, two CASCADE;
