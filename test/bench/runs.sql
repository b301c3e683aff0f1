-- What is measured lands in runs, a row for each block of calls; see run.
CREATE TABLE runs (
    part text, what text, shape text, mode text, clients int, round int,
    pass int, calls bigint, t0 numeric, t1 numeric, cpu_ns bigint,
    via text NOT NULL DEFAULT '');

-- After an INSERT in the extended protocol, pgpool-II 4.3 says that the session
-- is in a transaction, and pgbench breaks off.
CREATE FUNCTION note(part text, what text, shape text, mode text, clients int, round int,
    pass int, calls bigint, t0 numeric, t1 numeric, cpu_ns bigint, via text) RETURNS void LANGUAGE sql
AS 'INSERT INTO runs VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)';

-- Reading the clocks takes time as well: what blocks without calls took.
CREATE VIEW nothing AS
    SELECT part, via, shape, mode, clients, round,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY t1 - t0) AS t,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY cpu_ns) AS cpu_ns
    FROM runs WHERE what = 'nothing' GROUP BY 1, 2, 3, 4, 5, 6;

CREATE VIEW passes AS
    SELECT part, what, via, shape, mode, clients, round, pass,
           sum(calls) / (max(t1) - min(t0) - coalesce(max(n.t), 0)) AS rate,
           (sum(r.cpu_ns) - coalesce(max(n.cpu_ns), 0)) / 1000.0 / sum(calls) AS cpu
    FROM runs r LEFT JOIN nothing n USING (part, via, shape, mode, clients, round)
    WHERE round > 0 AND calls > 0 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    HAVING max(t1) - min(t0) > coalesce(max(n.t), 0);

-- Against what the floor did in the same pass; or, in a session of its own
-- (via), in the same round.
CREATE VIEW compared AS
    SELECT part, what, via, shape, mode, clients, round, rate, cpu,
           rate / CASE via WHEN '' THEN pass_rate ELSE round_rate END AS ratio,
           cpu - CASE via WHEN '' THEN pass_cpu ELSE round_cpu END AS more
    FROM (SELECT p.*, max(rate) FILTER (WHERE floor) OVER pass AS pass_rate,
                 max(cpu) FILTER (WHERE floor) OVER pass AS pass_cpu
          FROM (SELECT *, what = CASE part WHEN 'hits' THEN 'SELECT 1' WHEN 'writes' THEN 'no trigger' WHEN 'relay' THEN 'no trigger'
                       WHEN 'fills' THEN 'the query itself' ELSE 'not preloaded' END AS floor
                FROM passes) p
          WINDOW pass AS (PARTITION BY part, via, shape, mode, clients, round, pass)) p
    LEFT JOIN (SELECT part, shape, mode, clients, round,
                      percentile_cont(0.5) WITHIN GROUP (ORDER BY rate) AS round_rate,
                      percentile_cont(0.5) WITHIN GROUP (ORDER BY cpu) AS round_cpu
               FROM passes WHERE part = 'hits' AND what = 'SELECT 1' GROUP BY 1, 2, 3, 4, 5) f
        USING (part, shape, mode, clients, round);

-- A round is the median of its passes, a result the median of its rounds.
CREATE MATERIALIZED VIEW rounds AS
    SELECT part, what, shape, mode, clients, round,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY rate) AS rate,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY ratio) AS ratio,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY cpu) AS cpu,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY more) AS more
    FROM compared GROUP BY 1, 2, 3, 4, 5, 6 WITH NO DATA;

CREATE MATERIALIZED VIEW results AS
    SELECT part, what, shape, mode, clients, count(*) AS rounds,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY rate) AS rate,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY ratio) AS ratio,
           min(ratio) AS ratio_min, max(ratio) AS ratio_max,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY cpu) AS cpu,
           min(cpu) AS cpu_min, max(cpu) AS cpu_max,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY more) AS more
    FROM rounds GROUP BY 1, 2, 3, 4, 5 WITH NO DATA;

-- For people: two or three digits, and "median (min–max)".
CREATE FUNCTION digits(v float8) RETURNS text LANGUAGE sql AS $$
    SELECT round(v::numeric, CASE WHEN abs(v) >= 100 OR v = 0 THEN 0 WHEN abs(v) >= 10 THEN 1
        ELSE least(1 - floor(log(abs(v)::numeric))::int, 5) END)::text
$$;
CREATE FUNCTION three(v float8) RETURNS text LANGUAGE sql AS $$
    SELECT round(v::numeric, CASE WHEN v >= 100 THEN 0 WHEN v >= 10 THEN 1 WHEN v >= 2 THEN 2 ELSE 3 END)::text
$$;
CREATE FUNCTION spread(m float8, lo float8, hi float8) RETURNS text LANGUAGE sql AS $$
    SELECT digits(m) || ' (' || digits(lo) || '–' || digits(hi) || ')'
$$;

-- How two candidates compare: against the floor of the same round, then each
-- other.
CREATE FUNCTION versus(part text, what text, other text, shape text, mode text, clients int,
    OUT m float8, OUT lo float8, OUT hi float8) LANGUAGE sql AS $$
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a.ratio / b.ratio), min(a.ratio / b.ratio), max(a.ratio / b.ratio)
    FROM rounds a JOIN rounds b USING (part, shape, mode, clients, round)
    WHERE (a.part, a.what, b.what, a.shape, a.mode, a.clients) = ($1, $2, $3, $4, $5, $6)
$$;

-- Peers that could not be had, and why.
CREATE TABLE absent (what text, why text);

-- What is to be reached, and what was.
CREATE TABLE goals (
    nth int GENERATED ALWAYS AS IDENTITY, what text, operator text, figure numeric,
    m float8, lo float8, hi float8);
