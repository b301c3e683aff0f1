-- test/bench/parts/mixed.sql
--
-- A thing with 500 items.  Each write raises the version of one thing and one
-- item of it by one; so an answer tells which version it is of, and whether
-- it is all of one.
CREATE TABLE mix (id int PRIMARY KEY, v bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE mix_items (thing int, nth int, n bigint NOT NULL, PRIMARY KEY (thing, nth)) WITH (fillfactor = 90);
INSERT INTO mix SELECT i, 0 FROM generate_series(1, 1000) i;
INSERT INTO mix_items SELECT i, j, j FROM generate_series(1, 1000) i, generate_series(1, 500) j;
VACUUM ANALYZE mix;
VACUUM ANALYZE mix_items;

CREATE FUNCTION mix_write(i int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE mix SET v = v + 1 WHERE id = i;
    UPDATE mix_items SET n = n + 1 WHERE thing = i AND nth = 1;
END
$$;

CREATE FUNCTION mix_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM kv WHERE key = 'mix:' || NEW.id;
    RETURN NULL;
END
$$;

-- An answer must not be older than what its statement's snapshot shows, nor
-- newer than what is there after it, nor mixed.
CREATE TABLE mix_wrong (method text, id int, before bigint, answer jsonb, after bigint);
CREATE FUNCTION mix_check(method text, id int, before bigint, answer jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v bigint := answer -> 0 -> 'v';
    after bigint;
BEGIN
    SELECT mix.v INTO after FROM mix WHERE mix.id = $2;
    IF (v BETWEEN before AND after AND (answer -> 0 -> 'id')::int = $2 AND
        (answer -> 0 -> 'total')::bigint = v + 500 * 501 / 2) IS NOT TRUE THEN
        INSERT INTO mix_wrong VALUES (method, $2, before, answer, after);
    END IF;
END
$$;

CREATE TABLE mixed (
    writes int, method text, round int, clients int, rate float8, reads bigint, computed bigint, wrong bigint);
CREATE VIEW mixed_ratio AS
    SELECT *, rate / max(rate) FILTER (WHERE method = 'no cache') OVER (PARTITION BY writes, round) AS ratio FROM mixed;
