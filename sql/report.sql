\set ECHO none
\getenv srcdir PG_ABS_SRCDIR
\set setup :srcdir '/test/setup.sql'
\i :setup
\set ECHO all
--
-- The page
--

SELECT cache_clear() >= 0 AS cleared, cache_stats_reset();
CREATE FUNCTION report() RETURNS TABLE (has_script boolean, from_elsewhere boolean, charts bigint, tables bigint, balanced boolean) LANGUAGE sql AS $$
	WITH page AS MATERIALIZED (SELECT cache_report() AS html),
	tags AS (SELECT m[1] <> '' AS closing, m[2] AS tag, m[3] = '/' AS alone FROM page, regexp_matches(html, '<(/?)([a-z0-9]+)[^>]*?(/?)>', 'g') m)
	SELECT html ~* '<script|<[^>]*(javascript:|\son[a-z]+=)', html ~* '<[^>]*(src|href)=|url\(|@import|https?:',
		(SELECT count(*) FROM tags WHERE tag = 'svg' AND NOT closing), (SELECT count(*) FROM tags WHERE tag = 'table' AND NOT closing),
		NOT EXISTS (SELECT FROM tags WHERE tag NOT IN ('meta') AND NOT alone GROUP BY tag HAVING count(*) FILTER (WHERE closing) <> count(*) FILTER (WHERE NOT closing))
	FROM page
$$;
SELECT * FROM report();
SELECT cache_report() ~ 'There are no entries', cache_report() ~ 'NaN|inf' AS odd;
SELECT cached_json('page:1', 'SELECT 1', 60), cached_json('page:1', 'SELECT 1', 60);
SELECT * FROM report();
SELECT cache_report() LIKE '%<td>page:1</td>%' AS listed, cache_report() ~ 'NaN|inf' AS odd;

-- whatever users write is text
SELECT cached_json('<script>alert(1)</script>:' || k, 'SELECT 1', 60) IS NULL AS x, cached_json('<script>alert(1)</script>:' || k, 'SELECT 1', 60) IS NULL AS x
FROM unnest(ARRAY['"onload="x', '''</td>', '&lt;b>', E'\n</style><img src=x onerror=alert(2)>']) k;
SET client_min_messages = warning;
CREATE ROLE "regress_<i>" IN ROLE pg_monitor;
RESET client_min_messages;
SET ROLE "regress_<i>";
SELECT cached_json('page:2', 'SELECT 1', 60);
SELECT * FROM report();
RESET ROLE;
SELECT * FROM report();
SELECT strpos(html, '&lt;script&gt;alert(1)&lt;/script&gt;:&quot;onload=&quot;x') > 0 AS key, strpos(html, ':&#39;&lt;/td&gt;') > 0 AS quote,
	strpos(html, '&amp;lt;b&gt;') > 0 AS entity, strpos(html, '&lt;/style&gt;&lt;img') > 0 AS style, strpos(html, 'regress_&lt;i&gt;') > 0 AS role
FROM cache_report() AS html;
CREATE TABLE "<u>" (id integer);
SELECT cache_attach('"<u>"');
ALTER TABLE "<u>" DISABLE TRIGGER ALL;
SELECT strpos(html, '&lt;u&gt;') > 0 AS escaped, strpos(html, '<u>') > 0 AS raw FROM cache_report() AS html;
DROP TABLE "<u>";

-- a hundred hits are drawn, whatever the settings of the session
SET search_path = pg_temp, pg_catalog;
CREATE TEMP TABLE cache_stats AS SELECT 1 AS nonsense;
SET lc_numeric = 'C';
SET datestyle = 'German';
SET intervalstyle = 'iso_8601';
SET timezone = 'Asia/Kathmandu';
SELECT public.cache_report() ~ '<rect class="fa"' AS bars, public.cache_report() ~ 'P0Y|PT' AS iso;
RESET ALL;
DROP TABLE pg_temp.cache_stats;
-- in a schema that needs quotes
BEGIN;
CREATE SCHEMA "a '@"" b";
ALTER EXTENSION cache_ext SET SCHEMA "a '@"" b";
SELECT "a '@"" b".cache_report() LIKE '%</html>%' AS whole;
ROLLBACK;
DROP FUNCTION report;
SELECT cache_clear() >= 0 AS cleared;
DROP ROLE "regress_<i>";
