\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- Each recommendation is given for its cause, and goes away with it
--
-- Those that need little memory, many namespaces or no preloading are in
-- test/t/031_health.pl.

CREATE TABLE t (id integer PRIMARY KEY, v integer);
INSERT INTO t SELECT g, 0 FROM generate_series(1, 100) g;
-- as if so many hours had passed
CREATE FUNCTION history_age(hours integer) RETURNS void AS 'cache_ext', 'cache_history_age' LANGUAGE c STRICT;
-- n calls, each for one of that many keys
CREATE FUNCTION calls(prefix text, n integer, keys integer, query text DEFAULT 'SELECT count(*) FROM t, t AS t2 WHERE t.id >= $1', ttl double precision DEFAULT 600)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		PERFORM cached_json(prefix || ':' || i % keys, query, ttl, i % keys);
	END LOOP;
END
$$;
-- a query that costs so much that its hits are worthwhile on any machine
CREATE FUNCTION naps(integer) RETURNS integer STABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN $1; END $$;
CREATE FUNCTION topics() RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(severity || ' ' || topic || coalesce(' ' || namespace, ''), ', ' ORDER BY severity, topic, namespace), 'none')
	FROM cache_recommendations
$$;

SELECT cache_clear() >= 0 AS cleared, cache_stats_reset();
SELECT status, redis_state, lookups, hit_ratio, recommendations FROM cache_health;
SELECT topics();

-- a low hit ratio, which makes the namespace not worthwhile
SELECT calls('h1', 150, 150);
SELECT topics(), (SELECT status FROM cache_health);
SELECT figure, advice FROM cache_recommendations WHERE topic = 'hit ratio';
SELECT calls('h1', 10000, 100);
SELECT calls('h1', 2, 1, 'SELECT naps($1)');
SELECT topics(), (SELECT status FROM cache_health);
SELECT lookups, round(hit_ratio::numeric, 3) AS hit_ratio, memory_used_ratio BETWEEN 0 AND 1 AS memory, redis_state FROM cache_health;

-- bypasses
SELECT calls('h1', 5000, 1, 'SELECT random(), $1::integer');
SELECT topics();
SELECT figure, advice FROM cache_recommendations;
SELECT calls('h1', 15000, 1);
SELECT topics();

-- queries that fail
DO $$
BEGIN
	FOR i IN 1 .. 120 LOOP
		BEGIN
			PERFORM cached_json('h1:error', 'SELECT 1 / (v * 0) FROM t', 60);
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
	END LOOP;
END
$$;
SELECT topics();
SELECT figure FROM cache_recommendations;
SELECT calls('h1', 3000, 3000, 'SELECT $1::integer + 0');
SELECT topics();

-- a short time to live
DO $$
BEGIN
	FOR i IN 1 .. 25 LOOP
		PERFORM cached_json('h2', 'SELECT count(*) FROM t', 0.001), pg_sleep(0.002);
	END LOOP;
END
$$;
SELECT topics();
SELECT regexp_replace(figure, 'after .*$', 'after ...') AS figure FROM cache_recommendations;
SELECT calls('h2', 1000, 1, 'SELECT naps($1)');
SELECT topics();

-- changes that nobody announces
SELECT $$UPDATE t SET v = v + 1 WHERE id = 1$$, $$SELECT cached_json('h3', 'SELECT sum(v) FROM t', 0.001) IS NULL$$, $$SELECT pg_sleep(0.002)$$
FROM generate_series(1, 25)
\set ECHO none
\o /dev/null
\gexec
\o
\set ECHO all
SELECT topics();
SELECT regexp_replace(figure, 'after .*?,', 'after ...,') AS figure FROM cache_recommendations WHERE topic = 'unannounced changes';
SELECT cache_attach('t');
SELECT $$UPDATE t SET v = v + 1 WHERE id = 1$$, $$SELECT cached_json('h3', 'SELECT sum(v) FROM t', 0.001) IS NULL$$, $$SELECT pg_sleep(0.002)$$
FROM generate_series(1, 25)
\set ECHO none
\o /dev/null
\gexec
\o
\set ECHO all
-- what was announced is not compared
SELECT refills_changed, refills_identical FROM cache_advice WHERE namespace = 'h3';
DO $$
BEGIN
	FOR i IN 1 .. 120 LOOP
		PERFORM cached_json('h3', 'SELECT sum(v) FROM t', 0.001), pg_sleep(0.002);
	END LOOP;
END
$$;
SELECT calls('h3', 5000, 1, 'SELECT naps($1)');
SELECT topics();

-- triggers that do not fire
ALTER TABLE t DISABLE TRIGGER USER;
SELECT topics();
SELECT figure, advice FROM cache_recommendations;
ALTER TABLE t ENABLE TRIGGER USER;
SELECT topics();
SELECT cache_detach('t');

-- hits that verification finds outdated
SELECT cached_json('h4', 'SELECT v FROM t WHERE id = 2', 60);
UPDATE t SET v = 7 WHERE id = 2;
SET cache_ext.verify_fraction = 1;
SELECT cached_json('h4', 'SELECT v FROM t WHERE id = 2', 60);
RESET cache_ext.verify_fraction;
SELECT topics(), (SELECT status FROM cache_health);
SELECT figure FROM cache_recommendations;
-- two hours later it is history; it is one already if an hour ends here
DO $$ BEGIN WHILE to_char(clock_timestamp() AT TIME ZONE 'UTC', 'MI') = '59' LOOP PERFORM pg_sleep(1); END LOOP; END $$;
SELECT history_age(1);
SELECT topics();
SELECT history_age(1);
SELECT topics(), (SELECT status FROM cache_health);
SELECT calls('h1', 200, 1);
SELECT status FROM cache_health;

-- in cache_health they are sentences
ALTER TABLE t DISABLE TRIGGER ALL;
SELECT cache_attach('t');
ALTER TABLE t DISABLE TRIGGER ALL;
SELECT status, recommendations FROM cache_health;

--
-- Who may look
--
SET client_min_messages = warning;
CREATE ROLE regress_monitor IN ROLE pg_monitor;
CREATE ROLE regress_nobody;
RESET client_min_messages;
CREATE FUNCTION may(role name) RETURNS TABLE (object text, outcome text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('role', role, true);
	FOR object IN
		SELECT 'SELECT * FROM ' || c.relname || ' LIMIT 0' FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
		WHERE c.relkind IN ('v', 'r') AND c.relname LIKE 'cache%'
		UNION ALL
		SELECT 'SELECT ' || f || '()' FROM unnest(ARRAY['cache_report', 'cache_advice', 'cache_stats_by_namespace', 'cache_stats_hourly', 'cache_entries', 'cache_clear', 'cache_stats_reset']) f
		ORDER BY 1
	LOOP
		BEGIN
			EXECUTE object;
			outcome := 'yes';
		EXCEPTION WHEN insufficient_privilege THEN
			outcome := 'no';
		END;
		RETURN NEXT;
	END LOOP;
	PERFORM set_config('role', 'none', true);
END
$$;
SELECT object, n.outcome AS nobody, m.outcome AS monitor FROM may('regress_nobody') n JOIN may('regress_monitor') m USING (object) ORDER BY object COLLATE "C";
-- what only monitors see, others do not get at through an entry
SELECT cached_json('h5', 'SELECT 1', 60);
SET ROLE regress_nobody;
SELECT count(*) FROM cache_entries;
SELECT cached_json('h6', 'SELECT 1', 60);
SELECT key FROM cache_entries;
SET ROLE regress_monitor;
SELECT key FROM cache_entries WHERE key IN ('h5', 'h6') AND alive ORDER BY key;
RESET ROLE;
-- clearing and resetting can be granted
GRANT EXECUTE ON FUNCTION cache_clear(), cache_stats_reset() TO regress_nobody;
SET ROLE regress_nobody;
SELECT cached_json('h6', 'SELECT 1', 60);
SELECT cache_clear() > 0 AS cleared, cache_stats_reset();
RESET ROLE;
REVOKE EXECUTE ON FUNCTION cache_clear(), cache_stats_reset() FROM regress_nobody;
DROP ROLE regress_nobody, regress_monitor;

DROP FUNCTION history_age, calls, naps, topics, may;
DROP TABLE t;
