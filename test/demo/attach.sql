-- Which keys a changed row makes stale.  {column} is filled in from the row, the
-- old one and the new one; a key ending in * stands for all that begin so.

CREATE EXTENSION cache_ext;

SELECT cache_attach('enrollments',
    'dashboard:student:{student_id}',
    'dashboard:admin',
    'course:{course_id}:*',
    'analytics:enrollments');

SELECT cache_attach('payments',
    'dashboard:student:{student_id}',
    'dashboard:teacher:{teacher_id}',
    'dashboard:admin',
    'course:{course_id}:stats',
    'analytics:revenue');

-- A title shows on the dashboard of every student who takes the course.
SELECT cache_attach('courses',
    'course:{id}:*',
    'course:list',
    'dashboard:teacher:{teacher_id}',
    'dashboard:student:*',
    'dashboard:admin');

SELECT cache_attach('teachers',
    'course:*',
    'dashboard:teacher:{id}');

SELECT cache_attach('students',
    'dashboard:student:{id}',
    'dashboard:admin');
