-- What each session of pgbench notes about itself; see session() in run.
CREATE TABLE runs (
    part text, what text, shape text, mode text, clients int, round int,
    calls bigint, t0 numeric, t1 numeric, cpu_ns bigint, hits bigint);
