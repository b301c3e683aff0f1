-- A cache inside functions: callers need not know of it.

-- Rows of a table's type.
CREATE FUNCTION course(course_id integer) RETURNS SETOF courses
LANGUAGE sql VOLATILE AS $$
	SELECT * FROM cached_rows(NULL::courses, 'course:' || course_id,
							  'SELECT * FROM courses WHERE id = $1', 'medium', course_id)
$$;

-- JSON for an API, with the time to live of the policy for the key.
CREATE FUNCTION dashboard(student integer) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	RETURN cached_json('dashboard:' || student,
		'SELECT c.title, e.progress
		 FROM enrollments e JOIN courses c ON c.id = e.course_id
		 WHERE e.student_id = $1 ORDER BY c.title', NULL, student);
END $$;

-- A plain value, for what no query gives; set when the transaction commits.
CREATE FUNCTION remember_visit(student integer) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	visits jsonb := coalesce(cache_get('visits:' || student), '0');
BEGIN
	visits := to_jsonb(visits::integer + 1);
	PERFORM cache_set('visits:' || student, visits, '1 day');
	RETURN visits;
END $$;
