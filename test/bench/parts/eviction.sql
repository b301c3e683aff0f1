-- Traces of accesses, and what became of them.
CREATE TABLE traces (
    trace text, nth int, key int, size int, chunks int, cost int, hit int, PRIMARY KEY (trace, nth));
CREATE TABLE eviction (trace text, policy text, accesses int, hits float8, saved float8);

-- So long, whatever else the machine does, and a value of that size.
CREATE FUNCTION burn(us int, size int) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    until timestamptz := clock_timestamp() + us * interval '1 us';
BEGIN
    WHILE clock_timestamp() < until LOOP
    END LOOP;
    RETURN repeat('x', size);
END
$$;

-- Makes the accesses of a trace, in transactions of 1,000.
CREATE PROCEDURE replay(which text) LANGUAGE plpgsql AS $$
DECLARE
    keys int[];
    sizes int[];
    costs int[];
    hits int[];
    answer text;
    became text;
BEGIN
    SELECT array_agg(key ORDER BY nth), array_agg(size ORDER BY nth), array_agg(cost ORDER BY nth)
        INTO keys, sizes, costs FROM traces WHERE trace = which;
    hits := array_fill(0, ARRAY[cardinality(keys)]);
    FOR i IN 1..cardinality(keys) LOOP
        answer := cached_json('trace:' || lpad(keys[i]::text, 8, '0'), 'SELECT burn($1, $2) AS v', 86400,
                              costs[i], sizes[i]) -> 0 ->> 'v';
        became := (cache_last_status()).status;
        IF length(answer) IS DISTINCT FROM sizes[i] OR became NOT IN ('hit', 'miss') THEN
            RAISE 'access % of "%": % bytes, not %, by a %', i, which, length(answer), sizes[i], became;
        END IF;
        hits[i] := (became = 'hit')::int;
        IF i % 1000 = 0 THEN
            COMMIT;
        END IF;
    END LOOP;
    UPDATE traces SET hit = hits[nth] WHERE trace = which;
END
$$;
