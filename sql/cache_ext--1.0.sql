/* sql/cache_ext--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION cache_ext" to load this file. \quit

--
-- Reading through the cache
--
-- Each function has nine forms: three types of time to live, times no
-- arguments, typed ones, and a list of text bound as untyped literals.
--
-- They are VOLATILE: a STABLE function would see its caller's snapshot, which
-- is older than the answer may be.
--

CREATE FUNCTION cached_query(key text, query text, ttl double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cached_query'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_query(text, text, double precision) IS
	'rows of a query, from the cache or computed; ttl is a number of seconds';

CREATE FUNCTION cached_query(key text, query text, ttl double precision, VARIADIC args "any")
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cached_query'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_query(text, text, double precision, VARIADIC "any") IS
	'rows of a query, from the cache or computed; ttl is a number of seconds; args are bound to $1, $2, ...';

CREATE FUNCTION cached_query(key text, query text, ttl double precision, VARIADIC args text[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cached_query'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_query(text, text, double precision, VARIADIC text[]) IS
	'rows of a query, from the cache or computed; ttl is a number of seconds; args are bound to $1, $2, ... as literals of unknown type';

CREATE FUNCTION cached_query(key text, query text, ttl interval)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cached_query'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_query(text, text, interval) IS
	'rows of a query, from the cache or computed; ttl is an interval';

CREATE FUNCTION cached_query(key text, query text, ttl interval, VARIADIC args "any")
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cached_query'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_query(text, text, interval, VARIADIC "any") IS
	'rows of a query, from the cache or computed; ttl is an interval; args are bound to $1, $2, ...';

CREATE FUNCTION cached_query(key text, query text, ttl interval, VARIADIC args text[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cached_query'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_query(text, text, interval, VARIADIC text[]) IS
	'rows of a query, from the cache or computed; ttl is an interval; args are bound to $1, $2, ... as literals of unknown type';

CREATE FUNCTION cached_query(key text, query text, ttl text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cached_query'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_query(text, text, text) IS
	'rows of a query, from the cache or computed; ttl is a policy name, an interval, or a number of seconds';

CREATE FUNCTION cached_query(key text, query text, ttl text, VARIADIC args "any")
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cached_query'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_query(text, text, text, VARIADIC "any") IS
	'rows of a query, from the cache or computed; ttl is a policy name, an interval, or a number of seconds; args are bound to $1, $2, ...';

CREATE FUNCTION cached_query(key text, query text, ttl text, VARIADIC args text[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cached_query'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_query(text, text, text, VARIADIC text[]) IS
	'rows of a query, from the cache or computed; ttl is a policy name, an interval, or a number of seconds; args are bound to $1, $2, ... as literals of unknown type';

CREATE FUNCTION cached_rows(rowtype anyelement, key text, query text, ttl double precision)
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'cached_rows'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_rows(anyelement, text, text, double precision) IS
	'rows of a query as a row type, from the cache or computed; ttl is a number of seconds';

CREATE FUNCTION cached_rows(rowtype anyelement, key text, query text, ttl double precision, VARIADIC args "any")
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'cached_rows'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_rows(anyelement, text, text, double precision, VARIADIC "any") IS
	'rows of a query as a row type, from the cache or computed; ttl is a number of seconds; args are bound to $1, $2, ...';

CREATE FUNCTION cached_rows(rowtype anyelement, key text, query text, ttl double precision, VARIADIC args text[])
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'cached_rows'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_rows(anyelement, text, text, double precision, VARIADIC text[]) IS
	'rows of a query as a row type, from the cache or computed; ttl is a number of seconds; args are bound to $1, $2, ... as literals of unknown type';

CREATE FUNCTION cached_rows(rowtype anyelement, key text, query text, ttl interval)
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'cached_rows'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_rows(anyelement, text, text, interval) IS
	'rows of a query as a row type, from the cache or computed; ttl is an interval';

CREATE FUNCTION cached_rows(rowtype anyelement, key text, query text, ttl interval, VARIADIC args "any")
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'cached_rows'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_rows(anyelement, text, text, interval, VARIADIC "any") IS
	'rows of a query as a row type, from the cache or computed; ttl is an interval; args are bound to $1, $2, ...';

CREATE FUNCTION cached_rows(rowtype anyelement, key text, query text, ttl interval, VARIADIC args text[])
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'cached_rows'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_rows(anyelement, text, text, interval, VARIADIC text[]) IS
	'rows of a query as a row type, from the cache or computed; ttl is an interval; args are bound to $1, $2, ... as literals of unknown type';

CREATE FUNCTION cached_rows(rowtype anyelement, key text, query text, ttl text)
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'cached_rows'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_rows(anyelement, text, text, text) IS
	'rows of a query as a row type, from the cache or computed; ttl is a policy name, an interval, or a number of seconds';

CREATE FUNCTION cached_rows(rowtype anyelement, key text, query text, ttl text, VARIADIC args "any")
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'cached_rows'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_rows(anyelement, text, text, text, VARIADIC "any") IS
	'rows of a query as a row type, from the cache or computed; ttl is a policy name, an interval, or a number of seconds; args are bound to $1, $2, ...';

CREATE FUNCTION cached_rows(rowtype anyelement, key text, query text, ttl text, VARIADIC args text[])
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'cached_rows'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_rows(anyelement, text, text, text, VARIADIC text[]) IS
	'rows of a query as a row type, from the cache or computed; ttl is a policy name, an interval, or a number of seconds; args are bound to $1, $2, ... as literals of unknown type';

CREATE FUNCTION cached_json(key text, query text, ttl double precision)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'cached_json'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_json(text, text, double precision) IS
	'rows of a query as a JSON array of objects, from the cache or computed; ttl is a number of seconds';

CREATE FUNCTION cached_json(key text, query text, ttl double precision, VARIADIC args "any")
RETURNS jsonb
AS 'MODULE_PATHNAME', 'cached_json'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_json(text, text, double precision, VARIADIC "any") IS
	'rows of a query as a JSON array of objects, from the cache or computed; ttl is a number of seconds; args are bound to $1, $2, ...';

CREATE FUNCTION cached_json(key text, query text, ttl double precision, VARIADIC args text[])
RETURNS jsonb
AS 'MODULE_PATHNAME', 'cached_json'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_json(text, text, double precision, VARIADIC text[]) IS
	'rows of a query as a JSON array of objects, from the cache or computed; ttl is a number of seconds; args are bound to $1, $2, ... as literals of unknown type';

CREATE FUNCTION cached_json(key text, query text, ttl interval)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'cached_json'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_json(text, text, interval) IS
	'rows of a query as a JSON array of objects, from the cache or computed; ttl is an interval';

CREATE FUNCTION cached_json(key text, query text, ttl interval, VARIADIC args "any")
RETURNS jsonb
AS 'MODULE_PATHNAME', 'cached_json'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_json(text, text, interval, VARIADIC "any") IS
	'rows of a query as a JSON array of objects, from the cache or computed; ttl is an interval; args are bound to $1, $2, ...';

CREATE FUNCTION cached_json(key text, query text, ttl interval, VARIADIC args text[])
RETURNS jsonb
AS 'MODULE_PATHNAME', 'cached_json'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_json(text, text, interval, VARIADIC text[]) IS
	'rows of a query as a JSON array of objects, from the cache or computed; ttl is an interval; args are bound to $1, $2, ... as literals of unknown type';

CREATE FUNCTION cached_json(key text, query text, ttl text)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'cached_json'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_json(text, text, text) IS
	'rows of a query as a JSON array of objects, from the cache or computed; ttl is a policy name, an interval, or a number of seconds';

CREATE FUNCTION cached_json(key text, query text, ttl text, VARIADIC args "any")
RETURNS jsonb
AS 'MODULE_PATHNAME', 'cached_json'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_json(text, text, text, VARIADIC "any") IS
	'rows of a query as a JSON array of objects, from the cache or computed; ttl is a policy name, an interval, or a number of seconds; args are bound to $1, $2, ...';

CREATE FUNCTION cached_json(key text, query text, ttl text, VARIADIC args text[])
RETURNS jsonb
AS 'MODULE_PATHNAME', 'cached_json'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cached_json(text, text, text, VARIADIC text[]) IS
	'rows of a query as a JSON array of objects, from the cache or computed; ttl is a policy name, an interval, or a number of seconds; args are bound to $1, $2, ... as literals of unknown type';

--
-- Plain values
--

CREATE FUNCTION cache_get(key text)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'cache_get'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_get(text) IS 'value of a key, or NULL';

CREATE FUNCTION cache_get_many(keys text[], OUT key text, OUT value jsonb)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cache_get_many'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_get_many(text[]) IS 'a row for each key, in order, with its value or NULL';

CREATE FUNCTION cache_delete(key text)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cache_delete'
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_delete(text) IS 'delete the value of a key at commit; true if there is one';

CREATE FUNCTION cache_set(key text, value jsonb)
RETURNS void
AS 'MODULE_PATHNAME', 'cache_set'
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_set(text, jsonb) IS 'set the value of a key at commit';

CREATE FUNCTION cache_set_many(entries jsonb)
RETURNS bigint
AS 'MODULE_PATHNAME', 'cache_set_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_set_many(jsonb) IS 'set the values of an object''s keys at commit; returns how many';

CREATE FUNCTION cache_set(key text, value jsonb, ttl double precision)
RETURNS void
AS 'MODULE_PATHNAME', 'cache_set'
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_set(text, jsonb, double precision) IS 'set the value of a key at commit; ttl is a number of seconds';

CREATE FUNCTION cache_set_many(entries jsonb, ttl double precision)
RETURNS bigint
AS 'MODULE_PATHNAME', 'cache_set_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_set_many(jsonb, double precision) IS 'set the values of an object''s keys at commit; ttl is a number of seconds';

CREATE FUNCTION cache_set(key text, value jsonb, ttl interval)
RETURNS void
AS 'MODULE_PATHNAME', 'cache_set'
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_set(text, jsonb, interval) IS 'set the value of a key at commit; ttl is an interval';

CREATE FUNCTION cache_set_many(entries jsonb, ttl interval)
RETURNS bigint
AS 'MODULE_PATHNAME', 'cache_set_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_set_many(jsonb, interval) IS 'set the values of an object''s keys at commit; ttl is an interval';

CREATE FUNCTION cache_set(key text, value jsonb, ttl text)
RETURNS void
AS 'MODULE_PATHNAME', 'cache_set'
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_set(text, jsonb, text) IS 'set the value of a key at commit; ttl is a policy name, an interval, or a number of seconds';

CREATE FUNCTION cache_set_many(entries jsonb, ttl text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'cache_set_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_set_many(jsonb, text) IS 'set the values of an object''s keys at commit; ttl is a policy name, an interval, or a number of seconds';

--
-- Invalidating
--

CREATE FUNCTION cache_invalidate(pattern text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'cache_invalidate'
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_invalidate(text) IS 'invalidate the keys matching a glob at commit; returns how many entries match now';

CREATE FUNCTION cache_invalidate_many(patterns text[])
RETURNS bigint
AS 'MODULE_PATHNAME', 'cache_invalidate_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_invalidate_many(text[]) IS 'invalidate the keys matching any of several globs at commit; returns how many entries match now';

CREATE FUNCTION cache_invalidate_table(rel regclass)
RETURNS bigint
AS 'MODULE_PATHNAME', 'cache_invalidate_table'
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_invalidate_table(regclass) IS 'invalidate the entries whose query read a relation at commit; returns how many there are now';

CREATE FUNCTION cache_clear()
RETURNS bigint
AS 'MODULE_PATHNAME', 'cache_clear'
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_clear() IS 'invalidate every entry of this database at commit; returns how many there are now';

REVOKE ALL ON FUNCTION cache_clear() FROM PUBLIC;

CREATE FUNCTION cache_invalidate_trigger()
RETURNS trigger
AS 'MODULE_PATHNAME', 'cache_invalidate_trigger'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_invalidate_trigger() IS 'trigger function: invalidates the keys that its templates make of changed rows';

CREATE FUNCTION cache_attach(rel regclass, VARIADIC templates text[] DEFAULT '{}')
RETURNS void
AS 'MODULE_PATHNAME', 'cache_attach'
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_attach(regclass, VARIADIC text[]) IS 'create, or replace, the triggers that invalidate when a table changes';

CREATE FUNCTION cache_detach(rel regclass)
RETURNS void
AS 'MODULE_PATHNAME', 'cache_detach'
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_detach(regclass) IS 'drop the triggers that cache_attach created';

--
-- Policies
--

CREATE FUNCTION cache_policy_changed()
RETURNS trigger
AS 'MODULE_PATHNAME', 'cache_policy_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE TABLE cache_policy (
	name text PRIMARY KEY CHECK (name <> '' AND octet_length(name) < 64),
	key_pattern text CHECK (key_pattern <> ''),
	ttl interval NOT NULL CHECK (ttl > '0'),
	row_security_by_identity boolean NOT NULL DEFAULT false
);

COMMENT ON TABLE cache_policy IS 'policies in addition to the built-in ones, or in their place';
COMMENT ON COLUMN cache_policy.name IS 'what a call''s ttl names it by';
COMMENT ON COLUMN cache_policy.key_pattern IS 'keys it applies to when a call names no time to live';
COMMENT ON COLUMN cache_policy.ttl IS 'time to live';
COMMENT ON COLUMN cache_policy.row_security_by_identity IS
	'cache queries under row-level security: the settings in cache_ext.identity_settings determine which rows the policies show';

CREATE TRIGGER cache_policy_changed
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON cache_policy
FOR EACH STATEMENT EXECUTE FUNCTION cache_policy_changed();

ALTER TABLE cache_policy ENABLE ALWAYS TRIGGER cache_policy_changed;

SELECT pg_catalog.pg_extension_config_dump('cache_policy', '');

CREATE FUNCTION cache_policies_list(
	OUT name text, OUT key_pattern text, OUT ttl interval,
	OUT row_security_by_identity boolean, OUT builtin boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cache_policies_list'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

CREATE VIEW cache_policies AS
	SELECT name, key_pattern, ttl, row_security_by_identity, builtin
	FROM cache_policies_list();

COMMENT ON VIEW cache_policies IS 'every policy in force, in the order in which key patterns are tried';

GRANT SELECT ON cache_policy, cache_policies TO PUBLIC;

--
-- Explaining
--

CREATE FUNCTION cache_explain(key text, query text, ttl double precision,
	OUT outcome text, OUT cacheable boolean, OUT reason text, OUT detail text,
	OUT effective_ttl interval, OUT relations text[], OUT tags text[],
	OUT entry_state text, OUT entry_age interval, OUT entry_ttl_left interval)
RETURNS record
AS 'MODULE_PATHNAME', 'cache_explain'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_explain(text, text, double precision) IS
	'what a cached call would do, and why; runs nothing';

CREATE FUNCTION cache_explain(key text, query text, ttl double precision,
	OUT outcome text, OUT cacheable boolean, OUT reason text, OUT detail text,
	OUT effective_ttl interval, OUT relations text[], OUT tags text[],
	OUT entry_state text, OUT entry_age interval, OUT entry_ttl_left interval, VARIADIC args "any")
RETURNS record
AS 'MODULE_PATHNAME', 'cache_explain'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_explain(text, text, double precision, VARIADIC "any") IS
	'what a cached call would do, and why; runs nothing';

CREATE FUNCTION cache_explain(key text, query text, ttl double precision,
	OUT outcome text, OUT cacheable boolean, OUT reason text, OUT detail text,
	OUT effective_ttl interval, OUT relations text[], OUT tags text[],
	OUT entry_state text, OUT entry_age interval, OUT entry_ttl_left interval, VARIADIC args text[])
RETURNS record
AS 'MODULE_PATHNAME', 'cache_explain'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_explain(text, text, double precision, VARIADIC text[]) IS
	'what a cached call would do, and why; runs nothing';

CREATE FUNCTION cache_explain(key text, query text, ttl interval,
	OUT outcome text, OUT cacheable boolean, OUT reason text, OUT detail text,
	OUT effective_ttl interval, OUT relations text[], OUT tags text[],
	OUT entry_state text, OUT entry_age interval, OUT entry_ttl_left interval)
RETURNS record
AS 'MODULE_PATHNAME', 'cache_explain'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_explain(text, text, interval) IS
	'what a cached call would do, and why; runs nothing';

CREATE FUNCTION cache_explain(key text, query text, ttl interval,
	OUT outcome text, OUT cacheable boolean, OUT reason text, OUT detail text,
	OUT effective_ttl interval, OUT relations text[], OUT tags text[],
	OUT entry_state text, OUT entry_age interval, OUT entry_ttl_left interval, VARIADIC args "any")
RETURNS record
AS 'MODULE_PATHNAME', 'cache_explain'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_explain(text, text, interval, VARIADIC "any") IS
	'what a cached call would do, and why; runs nothing';

CREATE FUNCTION cache_explain(key text, query text, ttl interval,
	OUT outcome text, OUT cacheable boolean, OUT reason text, OUT detail text,
	OUT effective_ttl interval, OUT relations text[], OUT tags text[],
	OUT entry_state text, OUT entry_age interval, OUT entry_ttl_left interval, VARIADIC args text[])
RETURNS record
AS 'MODULE_PATHNAME', 'cache_explain'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_explain(text, text, interval, VARIADIC text[]) IS
	'what a cached call would do, and why; runs nothing';

CREATE FUNCTION cache_explain(key text, query text, ttl text,
	OUT outcome text, OUT cacheable boolean, OUT reason text, OUT detail text,
	OUT effective_ttl interval, OUT relations text[], OUT tags text[],
	OUT entry_state text, OUT entry_age interval, OUT entry_ttl_left interval)
RETURNS record
AS 'MODULE_PATHNAME', 'cache_explain'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_explain(text, text, text) IS
	'what a cached call would do, and why; runs nothing';

CREATE FUNCTION cache_explain(key text, query text, ttl text,
	OUT outcome text, OUT cacheable boolean, OUT reason text, OUT detail text,
	OUT effective_ttl interval, OUT relations text[], OUT tags text[],
	OUT entry_state text, OUT entry_age interval, OUT entry_ttl_left interval, VARIADIC args "any")
RETURNS record
AS 'MODULE_PATHNAME', 'cache_explain'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_explain(text, text, text, VARIADIC "any") IS
	'what a cached call would do, and why; runs nothing';

CREATE FUNCTION cache_explain(key text, query text, ttl text,
	OUT outcome text, OUT cacheable boolean, OUT reason text, OUT detail text,
	OUT effective_ttl interval, OUT relations text[], OUT tags text[],
	OUT entry_state text, OUT entry_age interval, OUT entry_ttl_left interval, VARIADIC args text[])
RETURNS record
AS 'MODULE_PATHNAME', 'cache_explain'
LANGUAGE C VOLATILE PARALLEL RESTRICTED CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_explain(text, text, text, VARIADIC text[]) IS
	'what a cached call would do, and why; runs nothing';
