\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- Policies: times to live by name and by key
--

CREATE PROCEDURE show(VARIADIC keys text[]) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. cardinality(keys) LOOP
		PERFORM public.cached_json(keys[i], 'SELECT 1', NULL);
		RAISE INFO '%: %', keys[i], (SELECT date_trunc('second', expires - created + '0.5 s') FROM public.cache_entries WHERE key = keys[i] AND alive ORDER BY created DESC LIMIT 1);
		PERFORM public.cache_clear();
		COMMIT;
	END LOOP;
END
$$;
CREATE PROCEDURE show_named(VARIADIC names text[]) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. cardinality(names) LOOP
		BEGIN
			PERFORM public.cached_json('named', 'SELECT 1', names[i]);
			RAISE INFO '%: %', names[i], (SELECT date_trunc('second', expires - created + '0.5 s') FROM public.cache_entries WHERE key = 'named' AND alive ORDER BY created DESC LIMIT 1);
		EXCEPTION WHEN invalid_parameter_value THEN
			RAISE INFO '%: %', names[i], SQLERRM;
		END;
		PERFORM public.cache_clear();
		COMMIT;
	END LOOP;
END
$$;

-- the built-in ones
SELECT name, key_pattern, ttl, row_security_by_identity, builtin FROM cache_policies ORDER BY ttl;
SELECT name, key_pattern, ttl, row_security_by_identity FROM cache_policy;
CALL show_named('short', 'medium', 'long', 'very_long', 'day', 'SHORT', 'none');
CALL show('no:pattern');
-- additions
INSERT INTO cache_policy (name, key_pattern, ttl) VALUES
	('dash', 'dashboard:*', '10 min'),
	('dash_student', 'dashboard:student:*', '20 min'),
	('dash_stats', 'dashboard:*:stats', '30 min'),
	('glob', 'g?:[a-c]*', '40 min'),
	('named only', NULL, '50 min');
SELECT name, key_pattern, ttl FROM cache_policies WHERE NOT builtin;
CALL show_named('dash', 'named only', 'glob', 'medium');
-- the longest pattern that matches
CALL show('dashboard:x', 'dashboard:student:1', 'dashboard:x:stats', 'dashboard:student:stats', 'ga:b', 'ga:bcd', 'ga:d', 'gab:a', 'dashboard', 'other');
-- a time given in the call goes before
DO $$ BEGIN PERFORM cached_json('dashboard:y', 'SELECT 1', 7); PERFORM cached_json('dashboard:z', 'SELECT 1', 'short'); END $$;
SELECT key, date_trunc('second', expires - created + '0.5 s') AS ttl FROM cache_entries WHERE key LIKE 'dashboard:_' AND alive ORDER BY key;
-- values have them, too
SELECT cache_set('dashboard:v', '1');
SELECT key, date_trunc('second', expires - created + '0.5 s') AS ttl FROM cache_entries WHERE key LIKE 'dashboard:v' AND alive ORDER BY key;
-- of two patterns as long as each other, the first by name
INSERT INTO cache_policy (name, key_pattern, ttl) VALUES ('same2', 's:a*', '2 min'), ('same1', 's:*b', '1 min');
CALL show('s:ab');
-- overrides
INSERT INTO cache_policy (name, ttl) VALUES ('medium', '99 s');
SELECT name, ttl, builtin FROM cache_policies WHERE name = 'medium';
CALL show_named('medium');
UPDATE cache_policy SET ttl = '98 s' WHERE name = 'medium';
CALL show_named('medium');
DELETE FROM cache_policy WHERE name = 'medium';
CALL show_named('medium');
-- within the transaction, and back with it
BEGIN;
UPDATE cache_policy SET ttl = '1 min' WHERE name = 'dash';
SELECT effective_ttl FROM cache_explain('dashboard:x', 'SELECT 1', NULL);
ROLLBACK;
SELECT effective_ttl FROM cache_explain('dashboard:x', 'SELECT 1', NULL);
BEGIN;
SAVEPOINT a;
UPDATE cache_policy SET ttl = '1 min' WHERE name = 'dash';
SELECT effective_ttl FROM cache_explain('dashboard:x', 'SELECT 1', 'dash');
ROLLBACK TO a;
SELECT effective_ttl FROM cache_explain('dashboard:x', 'SELECT 1', 'dash');
COMMIT;
-- the default where nothing matches
SET cache_ext.default_ttl = 77;
CALL show('other', 'dashboard:x');
RESET cache_ext.default_ttl;
SELECT err(format('SET cache_ext.default_ttl = %s', v)) ~ '^22023' AS refused FROM unnest(ARRAY['0', '-1', '''2 days''', '''x''']) v;
SHOW cache_ext.default_ttl;
RESET cache_ext.default_ttl;
-- what makes no sense
SELECT err(format('INSERT INTO cache_policy (name, key_pattern, ttl) VALUES (%s)', v)) ~ '^(23514|23502|23505)' AS refused, v
FROM unnest(ARRAY['''x'', ''a'', ''0''', '''x'', ''a'', ''-1 s''', '''x'', ''a'', NULL', '''x'', '''', ''1 s''', ''''', ''a'', ''1 s''', 'NULL, ''a'', ''1 s''', '''dash'', ''a'', ''1 s''', 'repeat(''x'', 64), ''a'', ''1 s''']) v;
-- a name that looks like a number or an interval is a name
INSERT INTO cache_policy (name, ttl) VALUES ('60', '3 min'), ('1 hour', '4 min');
CALL show_named('60', '1 hour', '61', '2 hours');
TRUNCATE cache_policy;
CALL show('dashboard:x');
CALL show_named('dash', '60');
SELECT count(*) FROM cache_policies;

DROP PROCEDURE show(text[]);
DROP PROCEDURE show_named(text[]);

-- a time to live that adapts: longer while the result is the same, shorter when not
CREATE TABLE adapts (v integer);
INSERT INTO adapts VALUES (1);
INSERT INTO cache_policy (name, key_pattern, ttl, ttl_min, ttl_max) VALUES ('adaptive', 'adapt:*', '20 ms', '15 ms', '50 ms');
CREATE FUNCTION adapt(key text, ttl text DEFAULT NULL) RETURNS interval LANGUAGE plpgsql AS
$$BEGIN
	-- longer than any of them
	PERFORM pg_sleep(0.06), cached_json(key, 'SELECT v FROM adapts', ttl);
	RETURN (SELECT expires - created FROM cache_entries e WHERE e.key = adapt.key);
END$$;
SELECT adapt('adapt:1') AS first, adapt('adapt:1') AS same, adapt('adapt:1') AS same, adapt('adapt:1') AS bounded;
UPDATE adapts SET v = 2;
SELECT adapt('adapt:1') AS changed, adapt('adapt:1') AS same;
UPDATE adapts SET v = 3;
SELECT adapt('adapt:1') AS changed;
UPDATE adapts SET v = 4;
SELECT adapt('adapt:1') AS bounded;
-- an invalidation teaches nothing
UPDATE adapts SET v = 5;
SELECT cache_invalidate('adapt:1') \g /dev/null
SELECT adapt('adapt:1') AS invalidated;
-- by name; not where the call gives a time
SELECT adapt('adapt_named', 'adaptive') AS first, adapt('adapt_named', 'adaptive') AS same, adapt('adapt:2', '30 ms') AS given, adapt('adapt:2', '30 ms') AS given;
INSERT INTO cache_policy (name, ttl, ttl_min) VALUES ('half', '1 s', '1 s');
INSERT INTO cache_policy (name, ttl, ttl_min, ttl_max) VALUES ('reverse', '1 s', '2 s', '1 s');
INSERT INTO cache_policy (name, ttl, tier) VALUES ('nowhere', '1 s', 'disk');
SELECT * FROM cache_policies WHERE name = 'adaptive';
DELETE FROM cache_policy WHERE name = 'adaptive';
DROP FUNCTION adapt;
DROP TABLE adapts;

-- nothing lasts for more than a hundred years
INSERT INTO cache_policy (name, key_pattern, ttl, stale_while_revalidate, ttl_min, ttl_max) VALUES
	('eons', 'eons:*', '1000000 years', NULL, '1000000 years', '2000000 years'),
	('late', 'late:*', '10 ms', '1000000 years', NULL, NULL);
SELECT status FROM probe('eons:1', 'SELECT 1', NULL);
SELECT status FROM probe('eons:1', 'SELECT 1', NULL);
SELECT status FROM probe('late:1', 'SELECT 1', NULL);
SELECT pg_sleep(0.05) \g /dev/null
-- by a session for which nobody computes it anew, while other tests run
SET cache_ext.enable_writes = off;
SELECT status FROM probe('late:1', 'SELECT 1', NULL);
RESET cache_ext.enable_writes;
DELETE FROM cache_policy;
