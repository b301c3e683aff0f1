\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- No role gets through the cache what it would not get by asking itself, now
--

SET client_min_messages = warning;
CREATE ROLE regress_alice;
CREATE ROLE regress_bob;
CREATE ROLE regress_group;
CREATE ROLE regress_stats IN ROLE pg_read_all_stats;
RESET client_min_messages;
CREATE TABLE notes (id integer PRIMARY KEY, owner text, note text);
INSERT INTO notes VALUES (1, 'regress_alice', 'of alice'), (2, 'regress_bob', 'of bob'), (3, 'postgres', 'of nobody');
CREATE TABLE others (a integer);
CREATE FUNCTION ask(query text DEFAULT 'SELECT note FROM notes ORDER BY id') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r jsonb;
BEGIN
	r := public.cached_json('priv', query, 300);
	RETURN r::text || ', ' || public.status();
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE FUNCTION ask_as_owner() RETURNS text SECURITY DEFINER LANGUAGE sql SET search_path = public AS $$ SELECT ask() $$;

-- a superuser's entry is no other's
SELECT ask();
SELECT ask();
SET ROLE regress_alice;
SELECT ask();
RESET ROLE;
GRANT SELECT ON notes TO regress_alice;
SET ROLE regress_alice;
SELECT ask();
SELECT ask();
SET ROLE regress_bob;
SELECT ask();
SELECT cached_json('priv', 'SELECT note FROM notes ORDER BY id', '300');
SET ROLE regress_alice;
SELECT ask();
RESET ROLE;

-- what is revoked is gone at once
REVOKE SELECT ON notes FROM regress_alice;
SET ROLE regress_alice;
SELECT ask();
RESET ROLE;
GRANT SELECT (id, note) ON notes TO regress_alice;
SET ROLE regress_alice;
SELECT ask();
SELECT ask();
SELECT ask('SELECT owner FROM notes');
RESET ROLE;
REVOKE SELECT (note) ON notes FROM regress_alice;
SET ROLE regress_alice;
SELECT ask();
RESET ROLE;
-- in the same transaction, and back with a rollback
GRANT SELECT ON notes TO regress_alice;
SET ROLE regress_alice;
SELECT ask();
RESET ROLE;
BEGIN;
REVOKE SELECT ON notes FROM regress_alice;
SET LOCAL ROLE regress_alice;
SELECT ask();
ROLLBACK;
SET ROLE regress_alice;
SELECT ask();
RESET ROLE;
-- by a schema, a function, membership
CREATE SCHEMA vault;
CREATE TABLE vault.t AS SELECT 1 AS a;
GRANT USAGE ON SCHEMA vault TO regress_alice;
GRANT SELECT ON vault.t TO regress_alice;
SET ROLE regress_alice;
SELECT ask('SELECT a FROM vault.t');
SELECT ask('SELECT a FROM vault.t');
RESET ROLE;
REVOKE USAGE ON SCHEMA vault FROM regress_alice;
SET ROLE regress_alice;
SELECT ask('SELECT a FROM vault.t');
RESET ROLE;
DROP SCHEMA vault CASCADE;
CREATE FUNCTION secret() RETURNS integer STABLE LANGUAGE sql AS 'SELECT 42';
SET ROLE regress_alice;
SELECT ask('SELECT secret()');
SELECT ask('SELECT secret()');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION secret() FROM PUBLIC;
SET ROLE regress_alice;
SELECT ask('SELECT secret()');
RESET ROLE;
DROP FUNCTION secret();
GRANT SELECT ON notes TO regress_group;
GRANT regress_group TO regress_bob;
SET ROLE regress_bob;
SELECT ask();
SELECT ask();
RESET ROLE;
REVOKE regress_group FROM regress_bob;
SET ROLE regress_bob;
SELECT ask();
RESET ROLE;
ALTER ROLE regress_bob NOINHERIT;
GRANT regress_group TO regress_bob;
SET ROLE regress_bob;
SELECT ask();
RESET ROLE;
ALTER ROLE regress_bob INHERIT;
REVOKE regress_group FROM regress_bob;
GRANT regress_group TO regress_bob;
-- default privileges, ownership
SET ROLE regress_bob;
SELECT ask();
RESET ROLE;
REVOKE SELECT ON notes FROM regress_group;
ALTER TABLE notes OWNER TO regress_bob;
SET ROLE regress_bob;
SELECT ask();
RESET ROLE;
ALTER TABLE notes OWNER TO CURRENT_USER;
SET ROLE regress_bob;
SELECT ask();
RESET ROLE;
-- superuser no more
CREATE ROLE regress_super SUPERUSER;
SET ROLE regress_super;
SELECT ask();
SELECT ask();
RESET ROLE;
ALTER ROLE regress_super NOSUPERUSER;
SET ROLE regress_super;
SELECT ask();
RESET ROLE;
-- a role of the same name is another
DROP ROLE regress_super;
CREATE ROLE regress_super;
SET ROLE regress_super;
SELECT ask();
RESET ROLE;
DROP ROLE regress_super;

-- SECURITY DEFINER: the owner's rows, the owner's entry
SELECT ask();
SET ROLE regress_bob;
SELECT ask_as_owner();
SELECT ask();
RESET ROLE;
SELECT ask();
-- the rights that a view has
CREATE VIEW public_notes AS SELECT id, note FROM notes WHERE id = 3;
GRANT SELECT ON public_notes TO regress_bob;
SET ROLE regress_bob;
SELECT ask('SELECT note FROM public_notes');
SELECT ask('SELECT note FROM public_notes');
RESET ROLE;
ALTER VIEW public_notes SET (security_invoker = true);
SET ROLE regress_bob;
SELECT ask('SELECT note FROM public_notes');
RESET ROLE;
DROP VIEW public_notes;

--
-- Row-level security
--
GRANT SELECT ON notes TO regress_alice, regress_bob;
SET ROLE regress_alice;
SELECT ask();
RESET ROLE;
-- enabled later
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
SET ROLE regress_alice;
SELECT ask();
RESET ROLE;
CREATE POLICY own ON notes FOR SELECT USING (owner = current_user);
SET ROLE regress_alice;
SELECT ask();
SELECT ask();
RESET ROLE;
-- not in force for the owner, who may cache
SELECT ask();
SELECT ask();
ALTER TABLE notes FORCE ROW LEVEL SECURITY;
SELECT ask();
ALTER TABLE notes NO FORCE ROW LEVEL SECURITY;
-- for whom row_security is off it is an error, not all the rows
SET ROLE regress_alice;
SET row_security = off;
SELECT ask();
RESET row_security;
RESET ROLE;
-- inside a function, and through a view
CREATE FUNCTION count_notes() RETURNS bigint STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM notes); END $$;
CREATE VIEW all_notes AS SELECT note FROM notes;
GRANT SELECT ON all_notes TO regress_alice;
SET ROLE regress_alice;
SELECT ask('SELECT count_notes()');
SELECT ask('SELECT count_notes()');
SELECT ask('SELECT count(*) FROM all_notes');
SELECT ask('SELECT count(*) FROM all_notes');
RESET ROLE;
ALTER VIEW all_notes SET (security_invoker = true);
SET ROLE regress_alice;
SELECT ask('SELECT count(*) FROM all_notes');
RESET ROLE;
DROP VIEW all_notes;
ALTER ROLE regress_alice BYPASSRLS;
SET ROLE regress_alice;
SELECT ask();
SELECT ask();
RESET ROLE;
ALTER ROLE regress_alice NOBYPASSRLS;
SET ROLE regress_alice;
SELECT ask();
RESET ROLE;

-- policies that go by a setting: cached where a policy row says that the
-- identity settings cover them
CREATE POLICY tenant ON notes FOR SELECT USING (owner = current_setting('app.owner', true));
INSERT INTO cache_policy (name, key_pattern, ttl, row_security_by_identity) VALUES ('rls', 'priv*', '10 min', true);
SET cache_ext.identity_settings = 'app.owner';
SET ROLE regress_alice;
SET app.owner = 'regress_bob';
SELECT ask();
SELECT ask();
SET app.owner = 'postgres';
SELECT ask();
SELECT ask();
SET app.owner = 'regress_bob';
SELECT ask();
SET ROLE regress_bob;
SELECT ask();
SELECT ask();
RESET ROLE;
-- a change of the policy reaches what is stored
ALTER POLICY tenant ON notes USING (false);
SET ROLE regress_alice;
SELECT ask();
RESET ROLE;
DROP POLICY own ON notes;
SET ROLE regress_alice;
SELECT ask();
RESET ROLE;
-- so does the end of the permission to cache
ALTER POLICY tenant ON notes USING (true);
SET ROLE regress_alice;
SELECT ask();
SELECT ask();
RESET ROLE;
-- and a role that is made with members
ALTER POLICY tenant ON notes TO regress_group;
SET ROLE regress_alice;
SELECT ask();
SELECT ask();
RESET ROLE;
CREATE ROLE regress_sub IN ROLE regress_group ROLE regress_alice;
SET ROLE regress_alice;
SELECT ask();
RESET ROLE;
DROP ROLE regress_sub;
ALTER POLICY tenant ON notes TO public;
SET ROLE regress_alice;
SELECT ask();
SELECT ask();
RESET ROLE;
DELETE FROM cache_policy WHERE name = 'rls';
SET ROLE regress_alice;
SELECT ask();
RESET ROLE;
RESET cache_ext.identity_settings;
RESET app.owner;
ALTER TABLE notes DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON notes;
-- only who may write to the table can say so
SET ROLE regress_alice;
SELECT err($$INSERT INTO cache_policy VALUES ('mine', '*', '1 s', true)$$);
SELECT count(*) > 0 AS readable FROM cache_policies;
RESET ROLE;

--
-- Who may invalidate, and look
--
SELECT probe('shared:1', 'SELECT 1 AS a');
SET ROLE regress_alice;
SELECT probe('shared:1', 'SELECT 1 AS a');
SELECT probe('alice:1', 'SELECT 1 AS a');
-- everybody may drop what he can name
SELECT cache_invalidate('shared:*');
SELECT cache_invalidate_table('others');
-- but not everything
SELECT cache_clear();
SELECT cache_stats_reset();
SELECT err(format('SELECT cache_invalidate(%L)', p)) FROM unnest(ARRAY['*', '?*', '[a-z]*', '**', '*:1', '[^x]', '']) p;
SELECT err($$SELECT cache_invalidate_many('{shared:1,*}')$$);
SELECT err($$SELECT cache_invalidate_many(NULL)$$);
SELECT cache_invalidate('\*');
-- nor by a trigger on a table of his own
RESET ROLE;
GRANT CREATE ON SCHEMA public TO regress_alice;
SET ROLE regress_alice;
CREATE TABLE hers (t text);
SELECT template, left(err(format('SELECT cache_attach(''hers'', %L)', template)), 5) FROM unnest(ARRAY['*', '?*', '*:{t}', '{t}*', '{t}:x', 'hers:{t}', 'hers:*']) template;
SELECT cache_detach('hers');
CREATE TRIGGER everything AFTER INSERT ON hers FOR EACH ROW EXECUTE FUNCTION cache_invalidate_trigger('*');
SELECT left(err($$INSERT INTO hers VALUES ('')$$), 5);
DROP TRIGGER everything ON hers;
CREATE TRIGGER everything AFTER INSERT ON hers FOR EACH ROW EXECUTE FUNCTION cache_invalidate_trigger('{t}*');
SELECT left(err($$INSERT INTO hers VALUES ('')$$), 5);
DROP TABLE hers;
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM regress_alice;
GRANT EXECUTE ON FUNCTION cache_clear() TO regress_alice;
SET ROLE regress_alice;
SELECT probe('alice:1', 'SELECT 1 AS a');
SELECT cache_invalidate('?lice:*');
SELECT cache_clear() >= 0 AS cleared;
RESET ROLE;
REVOKE EXECUTE ON FUNCTION cache_clear() FROM regress_alice;

-- entries are shown to their own roles
SELECT probe('seen:1', 'SELECT 1 AS a');
SET ROLE regress_alice;
SELECT probe('seen:2', 'SELECT 1 AS a');
SELECT key, role FROM cache_entries WHERE key LIKE 'seen%' AND alive ORDER BY key;
SET ROLE regress_bob;
SELECT key, role FROM cache_entries WHERE key LIKE 'seen%' AND alive ORDER BY key;
SELECT count(*) FROM cache_stats_by_namespace;
SELECT hits >= 0 AS visible FROM cache_stats;
SELECT count(*) > 0 AS visible FROM cache_bypass_reasons;
SET ROLE regress_stats;
SELECT key, role FROM cache_entries WHERE key LIKE 'seen%' AND alive ORDER BY key;
SELECT count(*) > 0 AS visible FROM cache_stats_by_namespace;
RESET ROLE;
GRANT regress_alice TO regress_bob;
SELECT probe('seen:1', 'SELECT 1 AS a');
SET ROLE regress_alice;
SELECT probe('seen:2', 'SELECT 1 AS a');
SET ROLE regress_bob;
SELECT key, role FROM cache_entries WHERE key LIKE 'seen%' AND alive ORDER BY key;
-- a count does tell that there is something
SELECT cache_invalidate('seen:*');
RESET ROLE;

-- attaching runs nobody's code: not by operators of theirs on the search path
CREATE TABLE own (id integer);
GRANT CREATE ON SCHEMA public TO regress_alice;
SET ROLE regress_alice;
CREATE FUNCTION evil(oid, integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'alice''s code runs as %', current_user; RETURN $1 = $2::oid; END $$;
CREATE FUNCTION evil(name, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'alice''s code runs as %', current_user; RETURN $1::text = $2; END $$;
CREATE FUNCTION evil(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'alice''s code runs as %', current_user; RETURN $1 = $2; END $$;
CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = integer, FUNCTION = evil);
CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = text, FUNCTION = evil);
CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil);
RESET ROLE;
SET search_path = public, pg_catalog;
SELECT cache_attach('own', 'own:{id}');
SELECT cache_attach('own');
SELECT cache_detach('own');
SELECT cache_attach('own', 'own:{id}');
INSERT INTO own VALUES (1);
RESET search_path;
SELECT cache_attach('own', 'own:{id}');
SELECT cache_detach('own');
DROP OPERATOR public.= (oid, integer), public.= (name, text), public.= (oid, oid);
DROP FUNCTION evil(oid, integer), evil(name, text), evil(oid, oid);
DROP TABLE own;
REVOKE CREATE ON SCHEMA public FROM regress_alice;

-- settings with which one could see another's data
SET ROLE regress_alice;
SET cache_ext.volatile_functions = cache;
SET cache_ext.identity_settings = '';
SET cache_ext.max_entry_size = '1GB';
SET cache_ext.allow_in_recovery = on;
-- and those which concern only oneself
SET cache_ext.enabled = off;
SET cache_ext.enable_reads = off;
SET cache_ext.enable_writes = off;
SET cache_ext.default_ttl = '1 h';
RESET ROLE;
RESET ALL;
-- explaining needs no right to read, and shows no row
SET ROLE regress_bob;
SELECT outcome, reason FROM cache_explain('x', 'SELECT 1', 60);
RESET ROLE;

-- a function that one may not call is not looked at more closely
CREATE FUNCTION forbidden() RETURNS SETOF integer LANGUAGE internal AS 'generate_series_int4';
SET allow_system_table_mods = on;
UPDATE pg_proc SET prolang = l.oid, probin = 'no_library' FROM pg_language l
	WHERE proname = 'forbidden' AND lanname = 'c';
RESET allow_system_table_mods;
REVOKE EXECUTE ON FUNCTION forbidden() FROM PUBLIC;
SET ROLE regress_bob;
SELECT * FROM forbidden();
RESET ROLE;
DROP FUNCTION forbidden();

DROP FUNCTION ask(text) CASCADE;
DROP FUNCTION ask_as_owner(), count_notes();
DROP TABLE notes, others;
DROP ROLE regress_alice, regress_bob, regress_group, regress_stats;
