-- test/bench/parts/prefix.sql
CREATE TABLE course (id int PRIMARY KEY, v int NOT NULL) WITH (fillfactor = 50);
CREATE TABLE course_none (LIKE course INCLUDING ALL) WITH (fillfactor = 50);
INSERT INTO course SELECT i, 0 FROM generate_series(1, 1000) i;
INSERT INTO course_none TABLE course;
SELECT cache_attach('course', 'course:{id}:*') \g /dev/null
CREATE TABLE prefix (what text, round int, us float8);
