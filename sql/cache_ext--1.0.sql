/* sql/cache_ext--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION cache_ext" to load this file. \quit

-- Others may have put operators into this schema.  So each operator here has
-- operands of exactly the types of one in pg_catalog: constants are quoted, to
-- be of the type of the other side.

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

REVOKE ALL ON FUNCTION cache_policy_changed() FROM PUBLIC;

CREATE TABLE cache_policy (
	name text PRIMARY KEY CHECK (name <> '' AND octet_length(name) < 64),
	key_pattern text CHECK (key_pattern <> ''),
	ttl interval NOT NULL CHECK (ttl > '0'),
	row_security_by_identity boolean NOT NULL DEFAULT false,
	refresh_ahead double precision CHECK (refresh_ahead >= '0' AND refresh_ahead <= '100'),
	stale_while_revalidate interval CHECK (stale_while_revalidate >= '0'),
	stale_if_error interval CHECK (stale_if_error >= '0'),
	rewarm boolean NOT NULL DEFAULT false,
	tier text CHECK (tier IN ('shared_memory', 'redis', 'tiered')),
	ttl_min interval CHECK (ttl_min > '0'),
	ttl_max interval CHECK (ttl_max >= ttl_min),
	CHECK ((ttl_min IS NULL) = (ttl_max IS NULL))
);

COMMENT ON TABLE cache_policy IS 'policies in addition to the built-in ones, or in their place';
COMMENT ON COLUMN cache_policy.name IS 'what a call''s ttl names it by';
COMMENT ON COLUMN cache_policy.key_pattern IS 'keys it applies to when a call names no time to live';
COMMENT ON COLUMN cache_policy.ttl IS 'time to live';
COMMENT ON COLUMN cache_policy.row_security_by_identity IS
	'cache queries under row-level security: the settings in cache_ext.identity_settings determine which rows the policies show';

COMMENT ON COLUMN cache_policy.refresh_ahead IS
	'beta of XFetch, 1 in its paper: how early hits let an entry be computed anew before it expires';
COMMENT ON COLUMN cache_policy.stale_while_revalidate IS
	'for so long after it has expired, an entry that was not invalidated is answered from while it is computed anew';
COMMENT ON COLUMN cache_policy.stale_if_error IS
	'for so long after it has expired, an entry that was not invalidated stands in for an error of the query';
COMMENT ON COLUMN cache_policy.rewarm IS
	'the hottest of these entries are computed anew after a restart or cache_clear()';
COMMENT ON COLUMN cache_policy.tier IS
	'where these entries are stored, instead of cache_ext.storage: shared_memory keeps them out of Redis';
COMMENT ON COLUMN cache_policy.ttl_min IS
	'with ttl_max: each entry''s time to live adapts between the two, longer while recomputing gives the same, shorter when not';
COMMENT ON COLUMN cache_policy.ttl_max IS 'see ttl_min';

CREATE TRIGGER cache_policy_changed
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON cache_policy
FOR EACH STATEMENT EXECUTE FUNCTION cache_policy_changed();

ALTER TABLE cache_policy ENABLE ALWAYS TRIGGER cache_policy_changed;

SELECT pg_catalog.pg_extension_config_dump('cache_policy', '');

CREATE FUNCTION cache_policies_list(
	OUT name text, OUT key_pattern text, OUT ttl interval,
	OUT row_security_by_identity boolean, OUT refresh_ahead double precision,
	OUT stale_while_revalidate interval, OUT stale_if_error interval,
	OUT rewarm boolean, OUT tier text, OUT ttl_min interval, OUT ttl_max interval,
	OUT builtin boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cache_policies_list'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

CREATE VIEW cache_policies AS
	SELECT name, key_pattern, ttl, row_security_by_identity, refresh_ahead,
		   stale_while_revalidate, stale_if_error, rewarm, tier, ttl_min, ttl_max,
		   builtin
	FROM cache_policies_list();

COMMENT ON VIEW cache_policies IS 'every policy in force, in the order in which key patterns are tried';

GRANT SELECT ON cache_policy, cache_policies TO PUBLIC;

--
-- Warming
--
-- A job runs as the role in its row.  Row-level security lets others write, and
-- see, rows of roles that they can become; the table's owner it does not bind,
-- so a job whose role the owner cannot become does not run.
--

CREATE FUNCTION cache_warm_job_permitted(role regrole)
RETURNS boolean
AS 'MODULE_PATHNAME', 'cache_warm_job_permitted'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION cache_warm_job_permitted(regrole) IS 'for row-level security of cache_warm_job: can the caller become the role';

CREATE FUNCTION cache_warm_job_changed()
RETURNS trigger
AS 'MODULE_PATHNAME', 'cache_warm_job_changed'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION cache_warm_job_changed() IS 'trigger function of cache_warm_job';

REVOKE ALL ON FUNCTION cache_warm_job_changed() FROM PUBLIC;

CREATE TABLE cache_warm_job (
	name text PRIMARY KEY CHECK (name <> '' AND octet_length(name) < 64),
	role regrole NOT NULL DEFAULT pg_catalog.quote_ident(CURRENT_USER)::regrole,
	key text NOT NULL CHECK (key <> ''),
	query text NOT NULL,
	ttl text,
	every interval CHECK (every >= '1 s'),
	parameters text,
	untyped boolean NOT NULL DEFAULT false,
	form text NOT NULL DEFAULT 'json' CHECK (form IN ('json', 'rows')),
	settings text[],
	enabled boolean NOT NULL DEFAULT true
);

COMMENT ON TABLE cache_warm_job IS 'entries that background workers keep warm';
COMMENT ON COLUMN cache_warm_job.role IS 'whose entries they are: the worker connects as this role, which needs LOGIN';
COMMENT ON COLUMN cache_warm_job.key IS 'key of the entry; {column} stands for a column of the parameters';
COMMENT ON COLUMN cache_warm_job.query IS 'as callers write it, to the letter';
COMMENT ON COLUMN cache_warm_job.ttl IS 'seconds, an interval or a policy''s name; null: as for a call without';
COMMENT ON COLUMN cache_warm_job.every IS 'how often; null: after a start, a change of the row, and by cache_warm()';
COMMENT ON COLUMN cache_warm_job.parameters IS 'a query: for each row one entry, with its columns as $1, $2, ...';
COMMENT ON COLUMN cache_warm_job.untyped IS 'bind the parameters as literals of unknown type, as drivers do that send text';
COMMENT ON COLUMN cache_warm_job.form IS 'json for cached_json, rows for cached_query and cached_rows';
COMMENT ON COLUMN cache_warm_job.settings IS 'settings that callers have, each as name=value';

ALTER TABLE cache_warm_job ENABLE ROW LEVEL SECURITY;

CREATE POLICY own ON cache_warm_job
	USING (cache_warm_job_permitted(role))
	WITH CHECK (cache_warm_job_permitted(role));

CREATE POLICY monitoring ON cache_warm_job FOR SELECT TO pg_read_all_stats
	USING (true);

CREATE TRIGGER cache_warm_job_changed
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON cache_warm_job
FOR EACH STATEMENT EXECUTE FUNCTION cache_warm_job_changed();

ALTER TABLE cache_warm_job ENABLE ALWAYS TRIGGER cache_warm_job_changed;

GRANT SELECT ON cache_warm_job TO PUBLIC;

-- Not those of roles that are gone: elsewhere their number may be another's.
SELECT pg_catalog.pg_extension_config_dump('cache_warm_job',
	'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = role::pg_catalog.oid)');

CREATE FUNCTION cache_warm(name text)
RETURNS void
AS 'MODULE_PATHNAME', 'cache_warm'
LANGUAGE C VOLATILE PARALLEL UNSAFE CALLED ON NULL INPUT;

COMMENT ON FUNCTION cache_warm(text) IS 'let a background worker run a warm job now';

REVOKE ALL ON FUNCTION cache_warm(text) FROM PUBLIC;

CREATE FUNCTION cache_warm_progress(
	OUT job text,
	OUT role name,
	OUT state text,
	OUT total bigint,
	OUT done bigint,
	OUT failed bigint,
	OUT eta interval,
	OUT started timestamptz,
	OUT finished timestamptz,
	OUT next_run timestamptz,
	OUT runs bigint,
	OUT attempts integer,
	OUT error text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cache_warm_progress'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 10;

COMMENT ON FUNCTION cache_warm_progress() IS
'warm jobs of the current database that belong to your roles, and how far they are';

CREATE VIEW cache_warm_progress AS
	SELECT * FROM cache_warm_progress();

COMMENT ON VIEW cache_warm_progress IS
'warm jobs of the current database that belong to your roles, and how far they are';
COMMENT ON COLUMN cache_warm_progress.state IS
'waiting, queued, running, retrying, done, or failed: given up until the next regular run';
COMMENT ON COLUMN cache_warm_progress.total IS
'entries of this run, or the last; null until they are known';
COMMENT ON COLUMN cache_warm_progress.eta IS
'until all are done, at the pace so far';
COMMENT ON COLUMN cache_warm_progress.error IS
'of the last run: the last one';
COMMENT ON COLUMN cache_warm_progress.attempts IS
'runs that failed since the last success; each doubles the time to the next';

GRANT SELECT ON cache_warm_progress TO PUBLIC;

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

-- Looking

CREATE FUNCTION cache_stats(
	OUT hits bigint,
	OUT misses bigint,
	OUT hit_ratio double precision,
	OUT bypasses bigint,
	OUT fills bigint,
	OUT fills_discarded bigint,
	OUT evictions bigint,
	OUT expirations bigint,
	OUT invalidations bigint,
	OUT coalesced bigint,
	OUT stale_hits bigint,
	OUT refreshes bigint,
	OUT errors bigint,
	OUT verified bigint,
	OUT divergences bigint,
	OUT entries bigint,
	OUT memory_used bigint,
	OUT memory_limit bigint,
	OUT hit_time_mean_ms double precision,
	OUT hit_time_p50_ms double precision,
	OUT hit_time_p95_ms double precision,
	OUT hit_time_p99_ms double precision,
	OUT fill_time_mean_ms double precision,
	OUT fill_time_p50_ms double precision,
	OUT fill_time_p95_ms double precision,
	OUT fill_time_p99_ms double precision,
	OUT time_saved interval,
	OUT redis_hits bigint,
	OUT redis_misses bigint,
	OUT redis_errors bigint,
	OUT redis_writes bigint,
	OUT redis_state text,
	OUT stats_reset timestamptz)
RETURNS record
AS 'MODULE_PATHNAME', 'cache_stats'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION cache_stats() IS
'counters of the cache, of all databases, since the last reset';

CREATE VIEW cache_stats AS
	SELECT * FROM cache_stats();

COMMENT ON VIEW cache_stats IS
'counters of the cache, of all databases, since the last reset';
COMMENT ON COLUMN cache_stats.hits IS
'calls answered from an entry';
COMMENT ON COLUMN cache_stats.misses IS
'calls computed because there was no entry that held';
COMMENT ON COLUMN cache_stats.hit_ratio IS
'hits among hits and misses';
COMMENT ON COLUMN cache_stats.bypasses IS
'calls computed past the cache: see cache_bypass_reasons';
COMMENT ON COLUMN cache_stats.fills IS
'results stored';
COMMENT ON COLUMN cache_stats.fills_discarded IS
'results not stored: invalidated while they were computed, or there was no room';
COMMENT ON COLUMN cache_stats.evictions IS
'entries that still held and had to make room';
COMMENT ON COLUMN cache_stats.expirations IS
'entries beyond their time that were replaced or made room';
COMMENT ON COLUMN cache_stats.invalidations IS
'keys, prefixes, tables and patterns invalidated';
COMMENT ON COLUMN cache_stats.coalesced IS
'hits that waited for another session to compute the result';
COMMENT ON COLUMN cache_stats.stale_hits IS
'hits beyond the time to live, as policies allow';
COMMENT ON COLUMN cache_stats.refreshes IS
'results computed for no caller: refreshed, or warmed';
COMMENT ON COLUMN cache_stats.errors IS
'cached queries that failed';
COMMENT ON COLUMN cache_stats.verified IS
'hits recomputed and compared: see cache_ext.verify_fraction';
COMMENT ON COLUMN cache_stats.divergences IS
'verified hits whose result differed';
COMMENT ON COLUMN cache_stats.entries IS
'in shared memory, whether they hold or not';
COMMENT ON COLUMN cache_stats.memory_used IS
'bytes of memory_limit';
COMMENT ON COLUMN cache_stats.memory_limit IS
'bytes for entries; 0: the library is not preloaded';
COMMENT ON COLUMN cache_stats.hit_time_mean_ms IS
'milliseconds, as the next; percentiles are from a histogram with steps of a fifth';
COMMENT ON COLUMN cache_stats.fill_time_mean_ms IS
'time of the queries alone, as the next';
COMMENT ON COLUMN cache_stats.time_saved IS
'what hits took less than the queries they stand for';
COMMENT ON COLUMN cache_stats.redis_hits IS
'entries that were found in Redis and held';
COMMENT ON COLUMN cache_stats.redis_misses IS
'entries that were looked for in Redis in vain';
COMMENT ON COLUMN cache_stats.redis_errors IS
'commands without an answer, or with an odd one';
COMMENT ON COLUMN cache_stats.redis_writes IS
'entries written to Redis';
COMMENT ON COLUMN cache_stats.redis_state IS
'as in cache_redis, for the server as a whole';

GRANT SELECT ON cache_stats TO PUBLIC;

-- Errors name hosts: not for everyone.
CREATE FUNCTION cache_redis(
	OUT purpose text,
	OUT state text,
	OUT since timestamptz,
	OUT retry_at timestamptz,
	OUT failures integer,
	OUT trips bigint,
	OUT last_error text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cache_redis'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 3;

COMMENT ON FUNCTION cache_redis() IS
'circuit breakers between the cache and Redis: for the server as a whole, for reads, for writes';

CREATE VIEW cache_redis AS
	SELECT * FROM cache_redis();

COMMENT ON VIEW cache_redis IS
'circuit breakers between the cache and Redis: for the server as a whole, for reads, for writes';
COMMENT ON COLUMN cache_redis.state IS
'"closed": in use; "open": left alone until retry_at; "half-open": being tried; "off": not configured';

REVOKE ALL ON FUNCTION cache_redis() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cache_redis() TO pg_read_all_stats;
GRANT SELECT ON cache_redis TO pg_read_all_stats;

-- An error of Redis may tell where it is: not for everyone.
CREATE FUNCTION cache_relay(
	OUT state text,
	OUT pid integer,
	OUT queue_length bigint,
	OUT queue_used bigint,
	OUT queue_size bigint,
	OUT sent bigint,
	OUT failed bigint,
	OUT overflowed bigint,
	OUT flushes bigint,
	OUT retries bigint,
	OUT last_lsn pg_lsn,
	OUT last_error text)
RETURNS record
AS 'MODULE_PATHNAME', 'cache_relay'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION cache_relay() IS
'the relay of invalidations to applications, since the start of the server';

CREATE VIEW cache_relay AS
	SELECT * FROM cache_relay();

COMMENT ON VIEW cache_relay IS
'the relay of invalidations to applications, since the start of the server';
COMMENT ON COLUMN cache_relay.state IS
'off; on; or retrying, while Redis does not answer';
COMMENT ON COLUMN cache_relay.queue_length IS
'transactions that have committed and are not announced yet';
COMMENT ON COLUMN cache_relay.queue_used IS
'bytes of cache_ext.redis_relay_queue';
COMMENT ON COLUMN cache_relay.sent IS
'transactions announced';
COMMENT ON COLUMN cache_relay.failed IS
'commands that Redis has refused for good';
COMMENT ON COLUMN cache_relay.overflowed IS
'transactions that found no room; a flush stands for them';
COMMENT ON COLUMN cache_relay.flushes IS
'flush events sent';

REVOKE ALL ON FUNCTION cache_relay() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cache_relay() TO pg_read_all_stats;
GRANT SELECT ON cache_relay TO pg_read_all_stats;
CREATE FUNCTION cache_stats_hourly(
	OUT hour timestamptz,
	OUT hits bigint,
	OUT misses bigint,
	OUT hit_ratio double precision,
	OUT bypasses bigint,
	OUT fills bigint,
	OUT fills_discarded bigint,
	OUT evictions bigint,
	OUT expirations bigint,
	OUT invalidations bigint,
	OUT coalesced bigint,
	OUT errors bigint,
	OUT divergences bigint,
	OUT hit_time_mean_ms double precision,
	OUT hit_time_p50_ms double precision,
	OUT hit_time_p95_ms double precision,
	OUT hit_time_p99_ms double precision,
	OUT fill_time_mean_ms double precision,
	OUT fill_time_p50_ms double precision,
	OUT fill_time_p95_ms double precision,
	OUT fill_time_p99_ms double precision,
	OUT time_saved interval)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cache_stats_hourly'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 24;

COMMENT ON FUNCTION cache_stats_hourly() IS
'counters of the last 24 hours, a row for each hour, the current one last';

CREATE VIEW cache_stats_hourly AS
	SELECT * FROM cache_stats_hourly();

COMMENT ON VIEW cache_stats_hourly IS
'counters of the last 24 hours, a row for each hour, the current one last';
COMMENT ON COLUMN cache_stats_hourly.hour IS
'when it began, in whole hours of UTC';

GRANT SELECT ON cache_stats_hourly TO PUBLIC;

-- Keys begin with whatever an application puts there: not for everyone.
CREATE FUNCTION cache_stats_by_namespace(
	OUT namespace text,
	OUT hits bigint,
	OUT misses bigint,
	OUT hit_ratio double precision,
	OUT bypasses bigint,
	OUT fills bigint,
	OUT time_saved interval)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cache_stats_by_namespace'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 50;

COMMENT ON FUNCTION cache_stats_by_namespace() IS
'counters by the first segment of the key, of the current database';

CREATE VIEW cache_stats_by_namespace AS
	SELECT * FROM cache_stats_by_namespace();

COMMENT ON VIEW cache_stats_by_namespace IS
'counters by the first segment of the key, of the current database';
COMMENT ON COLUMN cache_stats_by_namespace.namespace IS
'first segment of the key; "(other)" is what found no room among the first 127, of all databases';

REVOKE ALL ON FUNCTION cache_stats_by_namespace() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cache_stats_by_namespace() TO pg_read_all_stats;
GRANT SELECT ON cache_stats_by_namespace TO pg_read_all_stats;

CREATE FUNCTION cache_advice(
	OUT namespace text,
	OUT calls bigint,
	OUT query_ms double precision,
	OUT hit_ms double precision,
	OUT miss_ms double precision,
	OUT hit_ratio double precision,
	OUT break_even_hit_ratio double precision,
	OUT worthwhile boolean,
	OUT refills_identical bigint,
	OUT refills_changed bigint,
	OUT refill_age interval,
	OUT suggested_ttl interval,
	OUT suggested_ttl_saves interval)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cache_advice'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 50;

COMMENT ON FUNCTION cache_advice() IS
'whether caching pays, and what time to live suits, by the first segment of the key';

CREATE VIEW cache_advice AS
	SELECT * FROM cache_advice();

COMMENT ON VIEW cache_advice IS
'whether caching pays, and what time to live suits, by the first segment of the key';
COMMENT ON COLUMN cache_advice.query_ms IS
'mean time of the queries themselves';
COMMENT ON COLUMN cache_advice.miss_ms IS
'mean time of a call that ran the query, with looking up and storing';
COMMENT ON COLUMN cache_advice.break_even_hit_ratio IS
'hit ratio from which on the cache takes less time than the queries alone';
COMMENT ON COLUMN cache_advice.refills_identical IS
'results not invalidated that were the same when computed again';
COMMENT ON COLUMN cache_advice.refills_changed IS
'results not invalidated that were different when computed again';
COMMENT ON COLUMN cache_advice.refill_age IS
'mean age of the results computed again';
COMMENT ON COLUMN cache_advice.suggested_ttl IS
'age at which one result in 20 has changed unannounced; from 10 comparisons on, within a quarter and four times of refill_age';
COMMENT ON COLUMN cache_advice.suggested_ttl_saves IS
'time that it would have saved since the last reset; negative: cost';

REVOKE ALL ON FUNCTION cache_advice() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cache_advice() TO pg_read_all_stats;
GRANT SELECT ON cache_advice TO pg_read_all_stats;

CREATE FUNCTION cache_bypass_reasons(
	OUT reason text,
	OUT count bigint,
	OUT description text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cache_bypass_reasons'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 10;

COMMENT ON FUNCTION cache_bypass_reasons() IS
'why queries were answered past the cache, and how often';

CREATE VIEW cache_bypass_reasons AS
	SELECT * FROM cache_bypass_reasons();

COMMENT ON VIEW cache_bypass_reasons IS
'why queries were answered past the cache, and how often';

GRANT SELECT ON cache_bypass_reasons TO PUBLIC;

-- The function itself shows a caller its own entries only.
CREATE FUNCTION cache_entries(
	OUT key text,
	OUT role name,
	OUT created timestamptz,
	OUT expires timestamptz,
	OUT size bigint,
	OUT rows bigint,
	OUT hits bigint,
	OUT fill_ms double precision,
	OUT tags text[],
	OUT kind text,
	OUT alive boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'cache_entries'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION cache_entries() IS
'entries of the current database that belong to your roles; with pg_read_all_stats, to any';

CREATE VIEW cache_entries AS
	SELECT * FROM cache_entries();

COMMENT ON VIEW cache_entries IS
'entries of the current database that belong to your roles; with pg_read_all_stats, to any';
COMMENT ON COLUMN cache_entries.hits IS
'since it was computed';
COMMENT ON COLUMN cache_entries.fill_ms IS
'what the query took';
COMMENT ON COLUMN cache_entries.size IS
'bytes, with what the cache adds';
COMMENT ON COLUMN cache_entries.tags IS
'what invalidates the entry: its key, prefixes of the key, relations';
COMMENT ON COLUMN cache_entries.kind IS
'rows, json, or value';
COMMENT ON COLUMN cache_entries.alive IS
'false once invalidated or expired; memory is reclaimed when needed';

GRANT SELECT ON cache_entries TO PUBLIC;

CREATE FUNCTION cache_last_status(
	OUT status text,
	OUT reason text,
	OUT tier text,
	OUT age interval,
	OUT ttl_left interval,
	OUT elapsed_ms double precision,
	OUT stored boolean)
RETURNS record
AS 'MODULE_PATHNAME', 'cache_last_status'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION cache_last_status() IS
'what became of this session''s last call: hit, miss, or bypass and why';

CREATE FUNCTION cache_stats_reset()
RETURNS void
AS 'MODULE_PATHNAME', 'cache_stats_reset'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION cache_stats_reset() IS
'let all counters of the cache start anew';

REVOKE ALL ON FUNCTION cache_stats_reset() FROM PUBLIC;

-- The trigger function is found as a member of the extension, wherever that
-- has been moved.  Row triggers that a partition got from its parent are left
-- out.  Arguments are stored as one bytea, each ended by a zero byte.
CREATE VIEW cache_triggers AS
	SELECT t.tgrelid::pg_catalog.regclass AS relation,
		   t.tgname AS trigger_name,
		   pg_catalog.concat_ws(' OR ',
								CASE WHEN t.tgtype & '4' <> '0' THEN 'INSERT' END,
								CASE WHEN t.tgtype & '16' <> '0' THEN 'UPDATE' END,
								CASE WHEN t.tgtype & '8' <> '0' THEN 'DELETE' END,
								CASE WHEN t.tgtype & '32' <> '0' THEN 'TRUNCATE' END) AS events,
		   CASE WHEN t.tgtype & '1' <> '0' THEN 'row' ELSE 'statement' END AS level,
		   ARRAY(SELECT pg_catalog.convert_from(
							pg_catalog.substr(t.tgargs, z.before + 2, z.pos - z.before - 1),
							pg_catalog.getdatabaseencoding())
				 FROM (SELECT g.pos,
							  pg_catalog.lag(g.pos, 1, -1) OVER (ORDER BY g.pos) AS before
					   FROM pg_catalog.generate_series(0, pg_catalog.length(t.tgargs) - 1) AS g(pos)
					   WHERE pg_catalog.get_byte(t.tgargs, g.pos) = 0) AS z
				 ORDER BY z.pos) AS templates,
		   CASE t.tgenabled
				WHEN 'O' THEN 'origin'
				WHEN 'R' THEN 'replica'
				WHEN 'A' THEN 'always'
				ELSE 'disabled'
		   END AS enabled
	FROM pg_catalog.pg_trigger AS t
		 JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
		 JOIN pg_catalog.pg_depend AS d
			 ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid
			 AND d.objid = p.oid
			 AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass::pg_catalog.oid
			 AND d.deptype = 'e'
		 JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
	WHERE p.proname = 'cache_invalidate_trigger'
		  AND e.extname = 'cache_ext'
		  AND t.tgparentid = '0';

COMMENT ON VIEW cache_triggers IS
'triggers that invalidate, with their templates';
COMMENT ON COLUMN cache_triggers.enabled IS
'origin, replica, always, or disabled, as ALTER TABLE sets it (session_replication_role)';

GRANT SELECT ON cache_triggers TO PUBLIC;

--
-- What to do
--
-- Figures of the whole cache are those of the current hour and the one before,
-- so that a recommendation goes away with its cause.  Below a hundred calls, or
-- twenty comparisons, there is nothing to conclude.
--
CREATE VIEW cache_recommendations AS
	WITH recent AS (
		SELECT pg_catalog.sum(h.hits + h.misses)::double precision AS lookups,
			   pg_catalog.sum(h.misses)::double precision AS misses,
			   pg_catalog.sum(h.hits)::double precision AS hits,
			   pg_catalog.sum(h.bypasses)::double precision AS bypasses,
			   pg_catalog.sum(h.fills)::double precision AS fills,
			   pg_catalog.sum(h.fills_discarded)::double precision AS discarded,
			   pg_catalog.sum(h.evictions)::double precision AS evictions,
			   pg_catalog.sum(h.errors)::double precision AS errors,
			   pg_catalog.sum(h.divergences)::double precision AS divergences
		FROM cache_stats_hourly AS h
		WHERE h.hour > pg_catalog.now() - '02:00:00'::interval
	), raw AS (
		SELECT 'preload' AS topic, 'critical' AS severity, NULL::text AS namespace,
			   'memory_limit is 0' AS figure,
			   'Nothing is cached: add cache_ext to shared_preload_libraries and restart.' AS advice
		FROM cache_stats AS s
		WHERE s.memory_limit = '0'
		UNION ALL
		SELECT 'divergences', 'critical', NULL,
			   pg_catalog.format('%s verified hits were outdated', r.divergences),
			   'See the server''s log for their keys; attach the tables they read, or choose a shorter time to live.'
		FROM recent AS r
		WHERE r.divergences > '0'
		UNION ALL
		SELECT 'hit ratio', 'warning', NULL,
			   pg_catalog.format('%s %% of %s lookups were hits',
								 pg_catalog.round(('100' * r.hits / r.lookups)::numeric, 1), r.lookups),
			   'See cache_advice for the namespaces: a longer time to live, or keys that more calls share.'
		FROM recent AS r
		WHERE r.lookups >= '100' AND r.hits / r.lookups < '0.5'
		UNION ALL
		SELECT 'memory', 'warning', NULL,
			   pg_catalog.format('%s live entries were evicted for %s fills', r.evictions, r.fills),
			   pg_catalog.format('Raise cache_ext.memory, now %s.', pg_catalog.current_setting('cache_ext.memory', true))
		FROM recent AS r
		WHERE r.fills >= '100' AND r.evictions / r.fills > '0.1'
		UNION ALL
		SELECT 'bypasses', 'warning', NULL,
			   pg_catalog.format('%s %% of %s calls went past the cache; since the last reset, most because of: %s',
								 pg_catalog.round(('100' * r.bypasses / (r.lookups + r.bypasses))::numeric, 1),
								 r.lookups + r.bypasses, b.reason),
			   b.description
		FROM recent AS r,
			 LATERAL (SELECT c.reason, c.description
					  FROM cache_bypass_reasons AS c
					  ORDER BY c.count DESC LIMIT 1) AS b
		WHERE r.lookups + r.bypasses >= '100' AND r.bypasses / (r.lookups + r.bypasses) > '0.2'
		UNION ALL
		SELECT 'discarded fills', 'notice', NULL,
			   pg_catalog.format('%s of %s results were not stored', r.discarded, r.fills + r.discarded),
			   'They were invalidated while they were computed, or found no room: invalidate less, or raise cache_ext.memory.'
		FROM recent AS r
		WHERE r.fills + r.discarded >= '100' AND r.discarded / (r.fills + r.discarded) > '0.1'
		UNION ALL
		SELECT 'errors', 'notice', NULL,
			   pg_catalog.format('%s cached queries failed, %s ran', r.errors, r.misses),
			   'See the server''s log; the context of each error names the key.'
		FROM recent AS r
		WHERE r.errors + r.misses >= '100' AND r.errors / (r.errors + r.misses) > '0.05'
		UNION ALL
		SELECT 'not worthwhile', 'warning', a.namespace,
			   pg_catalog.format('hit ratio %s, break-even at %s',
								 pg_catalog.round(a.hit_ratio::numeric, 3),
								 coalesce(pg_catalog.round(a.break_even_hit_ratio::numeric, 3)::text, 'no hit ratio')),
			   'Run these queries without the cache, or make more calls share a key.'
		FROM cache_advice AS a
		WHERE a.calls >= '100' AND NOT a.worthwhile
		UNION ALL
		SELECT 'short time to live', 'notice', a.namespace,
			   pg_catalog.format('%s of %s results were the same after %s',
								 a.refills_identical, a.refills_identical + a.refills_changed, a.refill_age),
			   pg_catalog.format('Let them live for %s, which would have saved %s.', a.suggested_ttl, a.suggested_ttl_saves)
		FROM cache_advice AS a
		WHERE a.refills_identical + a.refills_changed >= '20'
			  AND '20' * (a.refills_identical + a.refills_changed) > a.calls
			  AND a.suggested_ttl >= a.refill_age + a.refill_age
		UNION ALL
		SELECT 'unannounced changes', 'warning', a.namespace,
			   pg_catalog.format('%s of %s results had changed after %s, and nothing had invalidated them',
								 a.refills_changed, a.refills_identical + a.refills_changed, a.refill_age),
			   pg_catalog.format('Attach the tables that they read, or let them live for %s.', a.suggested_ttl)
		FROM cache_advice AS a
		WHERE a.refills_identical + a.refills_changed >= '20'
			  AND '5' * a.refills_changed > a.refills_identical + a.refills_changed
		UNION ALL
		SELECT 'namespaces', 'notice', NULL,
			   pg_catalog.format('%s calls are not told apart by namespace', n.hits + n.misses + n.bypasses),
			   'There are more than 127 first segments of keys: begin keys with a word for their kind, and a colon.'
		FROM cache_stats_by_namespace AS n
		WHERE n.namespace = '(other)' AND n.hits + n.misses + n.bypasses >= '100'
		UNION ALL
		SELECT 'Redis', 'warning', NULL,
			   pg_catalog.format('circuit breaker for %s %s, after %s failures', b.purpose, b.state, b.failures),
			   coalesce(b.last_error, 'The server does without it.')
		FROM cache_redis AS b
		WHERE b.state IN ('open', 'half-open')
		UNION ALL
		SELECT 'disabled triggers', 'warning', NULL,
			   pg_catalog.format('%s of %s triggers that invalidate are disabled',
								 t.disabled, t.total),
			   pg_catalog.format('Changes of %s invalidate nothing: ALTER TABLE ... ENABLE TRIGGER, or cache_attach again.', t.relations)
		FROM (SELECT pg_catalog.count(*) AS total,
					 pg_catalog.count(*) FILTER (WHERE c.enabled = 'disabled') AS disabled,
					 pg_catalog.string_agg(DISTINCT c.relation::text, ', ')
						 FILTER (WHERE c.enabled = 'disabled') AS relations
			  FROM cache_triggers AS c) AS t
		WHERE t.disabled > '0'
	)
	SELECT raw.topic, raw.severity, raw.namespace, raw.figure, raw.advice
	FROM raw
	ORDER BY raw.severity = 'notice', raw.severity = 'warning', raw.topic, raw.namespace;

COMMENT ON VIEW cache_recommendations IS
'what should be changed, each with the figure that says so';
COMMENT ON COLUMN cache_recommendations.severity IS
'critical, warning, or notice';
COMMENT ON COLUMN cache_recommendations.namespace IS
'first segment of the keys that it is about; null: all';

GRANT SELECT ON cache_recommendations TO pg_read_all_stats;

CREATE VIEW cache_health AS
	SELECT CASE
				WHEN r.critical > '0' THEN 'poor'
				WHEN r.warnings > '0' THEN 'fair'
				WHEN r.notices > '0' OR h.lookups < '100' OR h.hit_ratio < '0.9' THEN 'good'
				ELSE 'excellent'
		   END AS status,
		   s.redis_state,
		   h.lookups,
		   h.hit_ratio,
		   CASE WHEN s.memory_limit > '0'
				THEN s.memory_used::double precision / s.memory_limit::double precision
		   END AS memory_used_ratio,
		   r.recommendations
	FROM cache_stats AS s,
		 (SELECT coalesce(pg_catalog.sum(i.hits + i.misses), 0)::bigint AS lookups,
				 pg_catalog.sum(i.hits)::double precision
					 / nullif(pg_catalog.sum(i.hits + i.misses), '0')::double precision AS hit_ratio
		  FROM cache_stats_hourly AS i
		  WHERE i.hour > pg_catalog.now() - '02:00:00'::interval) AS h,
		 (SELECT pg_catalog.count(*) FILTER (WHERE c.severity = 'critical') AS critical,
				 pg_catalog.count(*) FILTER (WHERE c.severity = 'warning') AS warnings,
				 pg_catalog.count(*) FILTER (WHERE c.severity = 'notice') AS notices,
				 coalesce(pg_catalog.array_agg(
							  pg_catalog.format('%s%s: %s. %s', c.topic,
												' of ' || c.namespace, c.figure, c.advice)),
						  '{}') AS recommendations
		  FROM cache_recommendations AS c) AS r;

COMMENT ON VIEW cache_health IS
'whether all is well, in the current hour and the one before';
COMMENT ON COLUMN cache_health.status IS
'poor: something critical in cache_recommendations; fair: a warning; good: a notice, or fewer than 100 lookups or 90 % hits; else excellent';
COMMENT ON COLUMN cache_health.lookups IS
'hits and misses';

GRANT SELECT ON cache_health TO pg_read_all_stats;

CREATE FUNCTION cache_report()
RETURNS text
AS 'MODULE_PATHNAME', 'cache_report'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION cache_report() IS
'an HTML page about the cache: the last 24 hours, health, advice, top keys';

REVOKE ALL ON FUNCTION cache_report() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cache_report() TO pg_read_all_stats;
