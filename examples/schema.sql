-- Courses, students and enrolments, cached.

CREATE EXTENSION IF NOT EXISTS cache_ext;

CREATE TABLE courses (
	id integer PRIMARY KEY,
	title text NOT NULL,
	price numeric(8, 2) NOT NULL
);
CREATE TABLE students (
	id integer PRIMARY KEY,
	name text NOT NULL
);
CREATE TABLE enrollments (
	student_id integer NOT NULL REFERENCES students,
	course_id integer NOT NULL REFERENCES courses,
	progress integer NOT NULL DEFAULT 0,
	PRIMARY KEY (student_id, course_id)
);

INSERT INTO courses SELECT i, 'Course ' || i, 10 + i FROM generate_series(1, 50) i;
INSERT INTO students SELECT i, 'Student ' || i FROM generate_series(1, 200) i;
INSERT INTO enrollments SELECT s, 1 + (s * c) % 50, s % 100
FROM generate_series(1, 200) s, generate_series(1, 5) c ON CONFLICT DO NOTHING;

-- A changed row drops the keys made of its values, when the change commits.
SELECT cache_attach('courses', 'course:{id}', 'courses:*');
SELECT cache_attach('students', 'dashboard:{id}');
SELECT cache_attach('enrollments', 'dashboard:{student_id}', 'courses:popular');

-- Lists may be a minute old after they expire, while a worker computes new ones.
INSERT INTO cache_policy (name, key_pattern, ttl, stale_while_revalidate, refresh_ahead) VALUES
	('lists', 'courses:*', '5 minutes', '1 minute', 1),
	('dashboards', 'dashboard:*', '10 minutes', NULL, NULL);
