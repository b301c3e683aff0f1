-- test/bench/setup.sql - the data, the queries, and the peers
--
-- 100,000 items in 2,000 groups.  The cached query adds up and sorts the
-- groups; a shape takes the first 2, 10, 100 or 1,000 of them, about 100 bytes
-- each.  The shape "JSON value" is one document.  All peers hold what these
-- queries return.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION cache_ext;

CREATE TABLE groups (id int PRIMARY KEY, title text NOT NULL);
INSERT INTO groups
SELECT g, 'Group ' || g || ', ' || substr(repeat(md5(g::text), 3), 1, 60)
FROM generate_series(1, 2000) g;

CREATE TABLE items (id int PRIMARY KEY, grp int NOT NULL, price numeric(10,2) NOT NULL);
INSERT INTO items
SELECT i, 1 + i % 2000, (i * 7919::bigint % 90000) / 100.0
FROM generate_series(1, 100000) i;

-- The shapes, in the order of the tables; query returns the rows, as_text the
-- whole answer as one value.
CREATE TABLE shapes (
    n int PRIMARY KEY, shape text, query text, columns text, as_text text,
    rows_bytes bigint, json_bytes bigint);

INSERT INTO shapes (n, shape, query, columns)
SELECT n, shape,
       'SELECT g.id, g.title, count(*) AS n, sum(i.price) AS total'
       ' FROM items i JOIN groups g ON g.id = i.grp'
       ' GROUP BY g.id ORDER BY total DESC, g.id LIMIT ' || n,
       'id int, title text, n bigint, total numeric'
FROM (VALUES (2, '200 B'), (10, '1 KB'), (100, '10 KB'), (1000, '100 KB')) v(n, shape);

INSERT INTO shapes (n, shape, query, columns)
VALUES (0, 'JSON value',
        'SELECT jsonb_build_object('
        '''as_of'', date ''2024-02-29'','
        ' ''items'', (SELECT count(*) FROM items),'
        ' ''turnover'', (SELECT sum(price) FROM items),'
        ' ''top'', (SELECT jsonb_agg(to_jsonb(t)) FROM (' ||
        (SELECT replace(query, 'LIMIT 2', 'LIMIT 6') FROM shapes WHERE n = 2) || ') t)) AS doc',
        'doc jsonb');

UPDATE shapes SET as_text = CASE n WHEN 0 THEN 'SELECT t.doc::text FROM (' || query || ') t'
    ELSE 'SELECT jsonb_agg(to_jsonb(t))::text FROM (' || query || ') t' END;

-- Peer: the materialized view, one for the rows of all shapes, one for the
-- document.
DO $$
BEGIN
    EXECUTE 'CREATE MATERIALIZED VIEW mv AS SELECT row_number() OVER (ORDER BY total DESC, id) AS pos, t.*'
            ' FROM (' || (SELECT query FROM shapes WHERE n = 1000) || ') t';
    EXECUTE 'CREATE MATERIALIZED VIEW mv_doc AS SELECT 1 AS pos, t.* FROM (' ||
            (SELECT query FROM shapes WHERE n = 0) || ') t';
END
$$;
CREATE UNIQUE INDEX ON mv (pos);
CREATE UNIQUE INDEX ON mv_doc (pos);

-- Peer: tables with nothing but the rows of a shape, in order.  That of the
-- document is pgpool-II's, too, which caches no query that calls STABLE
-- functions.
DO $$
DECLARE
    s shapes;
BEGIN
    FOR s IN SELECT * FROM shapes LOOP
        EXECUTE format('CREATE TABLE rows_%s AS %s', s.n, s.query);
    END LOOP;
END
$$;

-- Peer: the cache table that an application makes for itself, with the answer
-- as one value of text or jsonb, among 10,000 others.
CREATE UNLOGGED TABLE kv (key text COLLATE "C" PRIMARY KEY, value text NOT NULL, expires timestamptz NOT NULL);
CREATE UNLOGGED TABLE kvj (key text COLLATE "C" PRIMARY KEY, value jsonb NOT NULL, expires timestamptz NOT NULL);

-- Peer: get or compute over it; the query returns one text.
CREATE FUNCTION get_or_compute(k text, query text, ttl interval) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    SELECT value INTO result FROM kv WHERE key = k AND expires > now();
    IF NOT FOUND THEN
        EXECUTE query INTO result;
        INSERT INTO kv VALUES (k, result, now() + ttl)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires;
    END IF;
    RETURN result;
END
$$;

-- The floors that know the answer: functions with nothing but constants in
-- them, planned once a session; the rows come through a tuplestore.
DO $$
DECLARE
    s shapes;
    v text;
BEGIN
    FOR s IN SELECT * FROM shapes LOOP
        EXECUTE s.as_text INTO v;
        EXECUTE format('CREATE FUNCTION const_json_%s() RETURNS jsonb LANGUAGE plpgsql STABLE'
                       ' AS %L', s.n, format('BEGIN RETURN %L::jsonb; END', v));
        UPDATE shapes SET json_bytes = length(v) WHERE n = s.n;
        INSERT INTO kv SELECT 'dashboard:' || s.n, v, now() + interval '1 day';
        INSERT INTO kvj SELECT 'dashboard:' || s.n, v::jsonb, now() + interval '1 day';
        IF s.n > 0 THEN
            EXECUTE 'SELECT string_agg(format(''(%s, %L, %s::bigint, %s::numeric)'', id, title, n, total),'
                    ' '', '' ORDER BY total DESC, id) FROM (' || s.query || ') t' INTO v;
        ELSE
            v := format('(%L::jsonb)', v);
        END IF;
        EXECUTE format('CREATE FUNCTION const_rows_%s() RETURNS TABLE (%s) LANGUAGE plpgsql STABLE ROWS %s'
                       ' AS %L', s.n, s.columns, greatest(s.n, 1),
                       format('BEGIN RETURN QUERY VALUES %s; END', v));
        EXECUTE format('SELECT sum(octet_length(%s)) FROM (%s) t',
                       CASE s.n WHEN 0 THEN 'doc::text' ELSE 'concat(id, title, n, total)' END, s.query)
            INTO v;
        UPDATE shapes SET rows_bytes = v::bigint WHERE n = s.n;
    END LOOP;
END
$$;
INSERT INTO kv SELECT 'student:' || i, md5(i::text), now() + interval '1 day'
FROM generate_series(1, 10000) i;
INSERT INTO kvj SELECT 'student:' || i, to_jsonb(md5(i::text)), now() + interval '1 day'
FROM generate_series(1, 10000) i;

VACUUM ANALYZE;
CHECKPOINT;
