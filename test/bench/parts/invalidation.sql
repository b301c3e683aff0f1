-- test/bench/parts/invalidation.sql
--
-- One table for each trigger, and one as large as the cache, to delete from by
-- pattern.
CREATE TABLE inv_none (id int PRIMARY KEY, v int NOT NULL) WITH (fillfactor = 50);
CREATE TABLE inv_key (LIKE inv_none INCLUDING ALL) WITH (fillfactor = 50);
CREATE TABLE inv_prefix (LIKE inv_none INCLUDING ALL) WITH (fillfactor = 50);
INSERT INTO inv_none SELECT i, 0 FROM generate_series(1, 10000) i;
INSERT INTO inv_key TABLE inv_none;
INSERT INTO inv_prefix TABLE inv_none;
SELECT cache_attach('inv_key', 'student:{id}') \g /dev/null
SELECT cache_attach('inv_prefix', 'dashboard:*') \g /dev/null

CREATE UNLOGGED TABLE kv_many (key text COLLATE "C" PRIMARY KEY, value text NOT NULL, expires timestamptz NOT NULL);

-- Times of single transactions, measured in the session that runs them.
CREATE TABLE commits (entries bigint, what text, block int, nth int, us double precision);
CREATE PROCEDURE time_commits(entries bigint, what text, block int, times int, statement text, undo boolean DEFAULT false)
LANGUAGE plpgsql AS $$
DECLARE
    t timestamptz;
    us double precision[] := '{}';
BEGIN
    FOR i IN 1..times LOOP
        t := clock_timestamp();
        EXECUTE statement;
        IF undo THEN
            ROLLBACK;
        ELSE
            COMMIT;
        END IF;
        us := us || extract(epoch FROM clock_timestamp() - t)::float8 * 1e6;
    END LOOP;
    INSERT INTO commits SELECT $1, $2, $3, o, u FROM unnest(us) WITH ORDINALITY x(u, o);
    COMMIT;
END
$$;

CREATE TABLE fills_in_one_statement (entries bigint, us double precision);
