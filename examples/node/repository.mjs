// A repository of courses and dashboards whose queries go through cache_ext.
//
// A call is one round trip.  The key says what the result is, for invalidating;
// the query and its arguments say how to get it.  There is nothing to do when
// rows change: triggers drop the keys, in the transaction that changes them.

/** @typedef {{ id: number, title: string, price: number }} Course */
/** @typedef {{ title: string, progress: number }} Progress */

export class CourseRepository {
  /** @param {import('pg').Pool} pool */
  constructor(pool) {
    this.pool = pool;
  }

  /**
   * The rows of a query, as objects, from the cache or computed.
   * Arguments are sent as text, as node-postgres does, and take the types that
   * the query gives them.  Without a ttl, the policy for the key decides.
   *
   * @param {string} key
   * @param {string} query
   * @param {unknown[]} [args]
   * @param {string | null} [ttl] a policy, an interval, or seconds
   */
  async cached(key, query, args = [], ttl = null) {
    const { rows } = await this.pool.query({
      text: 'SELECT cached_json($1, $2, $3::text, VARIADIC $4::text[]) AS data, (cache_last_status()).status',
      values: [key, query, ttl, args],
    });
    return { data: rows[0].data, status: rows[0].status };
  }

  /** @returns {Promise<{ data: Course[], status: string }>} */
  list(limit = 10) {
    return this.cached(`courses:list:${limit}`,
      'SELECT id, title, price FROM courses ORDER BY id LIMIT $1', [limit]);
  }

  /** @returns {Promise<{ data: Course[], status: string }>} */
  popular() {
    return this.cached('courses:popular',
      `SELECT c.id, c.title, count(*) AS students
       FROM courses c JOIN enrollments e ON e.course_id = c.id
       GROUP BY c.id ORDER BY count(*) DESC, c.id LIMIT 5`);
  }

  /** @returns {Promise<{ data: Course[], status: string }>} */
  byId(id) {
    return this.cached(`course:${id}`, 'SELECT * FROM courses WHERE id = $1', [id], 'medium');
  }

  /** @returns {Promise<{ data: Progress[], status: string }>} */
  dashboard(studentId) {
    return this.cached(`dashboard:${studentId}`,
      `SELECT c.title, e.progress
       FROM enrollments e JOIN courses c ON c.id = e.course_id
       WHERE e.student_id = $1 ORDER BY c.title`, [studentId]);
  }

  async setPrice(id, price) {
    await this.pool.query('UPDATE courses SET price = $2 WHERE id = $1', [id, price]);
  }

  /** Both or neither, and with them what the cache shows. */
  async enroll(studentId, courseIds) {
    const client = await this.pool.connect();
    try {
      await client.query('BEGIN');
      for (const courseId of courseIds) {
        await client.query('INSERT INTO enrollments (student_id, course_id) VALUES ($1, $2)',
          [studentId, courseId]);
      }
      await client.query('COMMIT');
    } catch (error) {
      await client.query('ROLLBACK');
      throw error;
    } finally {
      client.release();
    }
  }
}
