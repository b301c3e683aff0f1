// What becomes of calls when rows change.  Connects as libpq's variables say.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { CourseRepository } from './repository.mjs';

// not import, which does not look where NODE_PATH says
const { Pool } = createRequire(import.meta.url)('pg');

const pool = new Pool({ max: 20 });
const courses = new CourseRepository(pool);

try {
  // the first call computes, the next are answered from the cache
  assert.equal((await courses.byId(7)).status, 'miss');
  assert.deepEqual(await courses.byId(7),
    { data: [{ id: 7, title: 'Course 7', price: 17 }], status: 'hit' });

  // a change is seen by the next call, whichever connection it takes
  await courses.setPrice(7, 99.5);
  const changed = await courses.byId(7);
  assert.equal(changed.status, 'miss');
  assert.equal(changed.data[0].price, 99.5);

  // other keys are left alone
  assert.equal((await courses.byId(8)).status, 'miss');
  await courses.setPrice(7, 17);
  assert.equal((await courses.byId(8)).status, 'hit');

  // what rolls back invalidates nothing
  const before = await courses.dashboard(1);
  assert.equal((await courses.dashboard(1)).status, 'hit');
  await assert.rejects(courses.enroll(1, [50, 51]), /foreign key/);
  assert.deepEqual((await courses.dashboard(1)), { data: before.data, status: 'hit' });
  await courses.enroll(1, [50, 49]);
  const after = await courses.dashboard(1);
  assert.equal(after.status, 'miss');
  assert.equal(after.data.length, before.data.length + 2);

  // of many at once on a cold key, one computes
  const answers = await Promise.all(Array.from({ length: 20 }, () => courses.popular()));
  assert.equal(answers.filter(({ status }) => status === 'miss').length, 1);
  assert.equal(new Set(answers.map(({ data }) => JSON.stringify(data))).size, 1);

  // two limits are two entries, dropped together
  assert.equal((await courses.list(3)).data.length, 3);
  assert.equal((await courses.list(4)).data.length, 4);
  assert.deepEqual([(await courses.list(3)).status, (await courses.list(4)).status], ['hit', 'hit']);
  await courses.setPrice(50, 1);
  assert.deepEqual([(await courses.list(3)).status, (await courses.list(4)).status], ['miss', 'miss']);

  console.log('as expected');
} finally {
  await pool.end();
}
