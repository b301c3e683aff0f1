-- test/bench/parts/stampede.sql
--
-- A query of a given length that tells the server's log when it runs.
CREATE FUNCTION slow(loops int) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    s bigint := 0;
BEGIN
    RAISE LOG 'the slow query runs';
    FOR i IN 1..loops LOOP
        s := s + i % 7;
    END LOOP;
    RETURN s;
END
$$;

CREATE TABLE stampede (what text, round int, executions int, total_ms double precision, slowest_ms double precision);
