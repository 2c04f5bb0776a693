import { expect, test } from 'vitest';
import { MemoryBuckets } from '../../src/limits/bucket.ts';
import { SharedBuckets, sweepBuckets } from '../../src/limits/shared.ts';
import { createPool } from '../../src/db/orm.ts';
import { testCorral } from '../support/corral.ts';
import { builtProgram } from '../support/process.ts';

const corral = await testCorral();
const start = await builtProgram();

test('two processes count together, and never let more through than the limit', async () => {
  const env = { CORRAL_RATE_LIMIT: '120', CORRAL_RATE_STORE: 'postgresql' };
  const [one, two] = await Promise.all([start(corral.databaseUrl, env), start(corral.databaseUrl, env)]);
  const begun = performance.now();
  const statuses: number[] = [];
  const left: number[] = [];
  for (let i = 0; i < 40; i++) {
    const answers = await Promise.all([one, two, one, two, one, two].map((process) => process.request('/api/v1/sites')));
    for (const answer of answers) {
      statuses.push(answer.status);
      if (i < 5) left.push(Number(/r=(\d+)/.exec(answer.headers.get('ratelimit') ?? '')?.[1]));
      await answer.body?.cancel();
    }
  }
  const seconds = (performance.now() - begun) / 1000;
  const allowed = statuses.filter((status) => status === 200).length;
  expect(allowed + statuses.filter((status) => status === 429).length).toBe(240);
  expect(allowed).toBeLessThanOrEqual(120 + Math.ceil(seconds * 2));
  /* What one process holds when the other runs dry is lost: at most a fiftieth for each. */
  expect(allowed).toBeGreaterThanOrEqual(110);
  /* Each tells of what went through the other. */
  expect(left.at(-1)).toBeLessThan(100);
  expect(statuses.at(-1)).toBe(429);
});

test('wrong tokens are counted over all processes', async () => {
  const env = { CORRAL_RATE_LIMIT_ADDRESS: '60', CORRAL_RATE_STORE: 'postgresql' };
  const [one, two] = await Promise.all([start(corral.databaseUrl, env), start(corral.databaseUrl, env)]);
  const statuses: number[] = [];
  for (let i = 0; i < 10; i++) statuses.push((await (i % 2 ? one : two).request('/api/v1/sites', { token: `corral_guess_${i}` })).status);
  expect(statuses.filter((status) => status === 401).length).toBeLessThanOrEqual(8);
  expect(statuses.at(-1)).toBe(429);
});

test('there are few writes: one for many requests of who asks much, and none for who is refused', async () => {
  const pool = createPool(corral.databaseUrl, 4);
  let statements = 0;
  const counting = { query: ((...args: unknown[]) => (statements++, (pool.query as (...all: unknown[]) => unknown)(...args))) as typeof pool.query };
  const buckets = new SharedBuckets(counting, new MemoryBuckets());
  let allowed = 0;
  for (let i = 0; i < 2000; i++) if ((await buckets.take('token:1001', 1000, 1)).allowed) allowed++;
  expect(allowed).toBeGreaterThanOrEqual(1000);
  expect(statements).toBeLessThan(150);
  await Promise.all(Array.from({ length: 50 }, () => buckets.take('token:1002', 100, 1)));
  expect(await buckets.take('token:1002', 100, 60)).toMatchObject({ allowed: false });
  await pool.end();
});

test('while the database is away each process counts for itself', async () => {
  const pool = createPool(corral.databaseUrl, 1);
  await pool.end();
  const buckets = new SharedBuckets(pool, new MemoryBuckets());
  const seen: boolean[] = [];
  for (let i = 0; i < 7; i++) seen.push((await buckets.take('token:1003', 5, 1)).allowed);
  expect(seen).toEqual([true, true, true, true, true, false, false]);
});

test('the table is unlogged, and what is full is swept away', async () => {
  expect((await corral.pool.query(`select relpersistence from pg_class where relname = 'rate_limit'`)).rows).toEqual([{ relpersistence: 'u' }]);
  await corral.pool.query(`insert into rate_limit values ('old', 1, 1), ('new', extract(epoch from now()) + 3000, 1)`);
  const stop = sweepBuckets(corral.pool, () => undefined);
  await expect.poll(async () => (await corral.pool.query(`select key from rate_limit where key in ('old', 'new')`)).rows).toEqual([{ key: 'new' }]);
  stop();
});
