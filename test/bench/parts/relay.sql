-- test/bench/parts/relay.sql

-- Updates row after row, or so many rows at a time, each time in a transaction
-- of its own.
CREATE PROCEDURE updates(what text, times int, rows int) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 0..times - 1 LOOP
        EXECUTE format('UPDATE %I SET v = v + 1 WHERE id BETWEEN $1 AND $2', what)
            USING 1 + i * rows % 10000, (i + 1) * rows - i * rows / 10000 * 10000;
        COMMIT;
    END LOOP;
END
$$;

-- Waits until the relay is through; seconds since then.
CREATE FUNCTION drained(since timestamptz) RETURNS float8 LANGUAGE plpgsql AS $$
BEGIN
    WHILE (SELECT queue_length FROM cache_relay) > 0 LOOP
        PERFORM pg_sleep(0.001);
    END LOOP;
    RETURN extract(epoch FROM clock_timestamp() - since);
END
$$;

CREATE TABLE relayed (what text, round int, invalidations int, transactions bigint, seconds float8);
