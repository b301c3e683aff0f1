-- What the school's web application asks for: one statement per route, each a
-- query with a key and a lifetime around it.  "medium" is five minutes.
-- cached_json gives the rows as one JSON array, ready to be sent.

PREPARE student_dashboard(int) AS
SELECT cached_json('dashboard:student:' || $1, $$
    SELECT s.name, p.paid, e.course_id, c.title, e.progress, e.enrolled_on
    FROM students s
    CROSS JOIN LATERAL (SELECT sum(amount) AS paid FROM payments WHERE student_id = s.id) p
    LEFT JOIN enrollments e ON e.student_id = s.id
    LEFT JOIN courses c ON c.id = e.course_id
    WHERE s.id = $1
    ORDER BY e.enrolled_on DESC, e.course_id $$, 'medium', $1);

PREPARE teacher_dashboard(int) AS
SELECT cached_json('dashboard:teacher:' || $1, $$
    SELECT t.name, c.id, c.title, count(p.id) AS sold, sum(p.amount) AS revenue,
           max(p.paid_on) AS last_sold
    FROM teachers t
    JOIN courses c ON c.teacher_id = t.id
    LEFT JOIN payments p ON p.course_id = c.id AND p.teacher_id = t.id
    WHERE t.id = $1
    GROUP BY t.id, c.id
    ORDER BY revenue DESC NULLS LAST, c.id $$, 'medium', $1);

PREPARE admin_dashboard AS
SELECT cached_json('dashboard:admin', $$
    SELECT c.id, c.title, e.enrolled, e.progress,
           (SELECT count(*) FROM students) AS students,
           (SELECT sum(amount) FROM payments) AS revenue
    FROM (SELECT course_id, count(*) AS enrolled, round(avg(progress), 1) AS progress
          FROM enrollments
          GROUP BY course_id
          ORDER BY enrolled DESC, course_id
          LIMIT 10) e
    JOIN courses c ON c.id = e.course_id
    ORDER BY e.enrolled DESC, c.id $$, 'medium');

PREPARE course_list AS
SELECT cached_json('course:list', $$
    SELECT c.id, c.title, c.price, t.name AS teacher, t.department
    FROM courses c
    JOIN teachers t ON t.id = c.teacher_id
    ORDER BY t.department, c.title, c.id $$, 'long');

PREPARE course_details(int) AS
SELECT cached_json('course:' || $1 || ':details', $$
    SELECT c.*, t.name AS teacher, t.department,
           c.seats - (SELECT count(*) FROM enrollments e WHERE e.course_id = c.id) AS seats_left
    FROM courses c
    JOIN teachers t ON t.id = c.teacher_id
    WHERE c.id = $1 $$, 'medium', $1);

PREPARE course_stats(int) AS
SELECT cached_json('course:' || $1 || ':stats', $$
    SELECT e.progress / 10 AS tenth, count(*) AS students, round(avg(e.progress), 1) AS progress,
           (SELECT sum(p.amount) FROM payments p WHERE p.course_id = $1) AS revenue
    FROM enrollments e
    WHERE e.course_id = $1
    GROUP BY tenth
    ORDER BY tenth $$, 'medium', $1);

PREPARE enrollment_analytics AS
SELECT cached_json('analytics:enrollments', $$
    SELECT date_trunc('month', enrolled_on) AS month, count(*) AS enrolled,
           count(*) FILTER (WHERE progress = 100) AS completed,
           round(avg(progress), 1) AS progress
    FROM enrollments
    GROUP BY month
    ORDER BY month $$, 'long');

PREPARE revenue_analytics AS
SELECT cached_json('analytics:revenue', $$
    SELECT date_trunc('month', paid_on) AS month, method, sum(amount) AS revenue,
           sum(sum(amount)) OVER (PARTITION BY method ORDER BY date_trunc('month', paid_on)) AS so_far
    FROM payments
    GROUP BY month, method
    ORDER BY month, method $$, 'long');
