-- test/bench/parts/hot.sql
--
-- A query that takes so long, of which PostgreSQL counts the calls.
CREATE FUNCTION takes(ms int) RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM pg_sleep(ms / 1000.0);
    RETURN 1;
END
$$;

CREATE TABLE cold (what text, answered int, completed int, median_ms float8, slowest_ms float8);
CREATE TABLE hot (
    policy text, calls bigint, misses bigint, waited bigint, stale bigint, refreshes bigint, median_ms float8, slowest_ms float8);
CREATE TABLE restarted (before float8, after float8);
