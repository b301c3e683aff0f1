-- test/bench/parts/memory.sql

CREATE TABLE entry_memory (payload bigint, entries bigint, key double precision, bookkeeping double precision, in_store double precision);
