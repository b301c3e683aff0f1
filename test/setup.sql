-- What the regression tests share; each file reads it first.
--
--	probe(key, query [, ttl])	what cached_json() gives, and how it came about
--	status()					how the last call was answered
--	err(sql)					the error of a statement
--	entries([pattern])			the living entries of matching keys, as "key (n)"
--
-- "schema" is qualified throughout, so that a search_path does not matter.

SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS cache_ext SCHEMA public;

CREATE OR REPLACE FUNCTION public.status() RETURNS text
LANGUAGE sql VOLATILE AS $$
	SELECT s.status || coalesce(': ' || s.reason, '') ||
		CASE WHEN s.status = 'miss' AND NOT s.stored THEN ', not stored' ELSE '' END
	FROM public.cache_last_status() s
$$;

CREATE OR REPLACE FUNCTION public.probe(key text, query text, ttl text DEFAULT '300',
	OUT result jsonb, OUT status text)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	result := public.cached_json(key, query, ttl);
	status := public.status();
END
$$;

CREATE OR REPLACE FUNCTION public.err(statement text) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN SQLSTATE || ' ' || SQLERRM ||
		CASE WHEN detail <> '' THEN E'\n  ' || detail ELSE '' END ||
		CASE WHEN hint <> '' THEN E'\n  ' || hint ELSE '' END;
END
$$;

CREATE OR REPLACE FUNCTION public.entries(pattern text DEFAULT '%') RETURNS text
LANGUAGE sql VOLATILE AS $$
	SELECT coalesce(string_agg(e.key || CASE WHEN e.n > 1 THEN ' (' || e.n || ')' ELSE '' END,
							   ', ' ORDER BY e.key COLLATE "C"), 'none')
	FROM (SELECT key, count(*) AS n FROM public.cache_entries
		  WHERE alive AND key LIKE pattern GROUP BY key) e
$$;

RESET client_min_messages;
