import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { builtProgram, type Process } from '../support/process.ts';
import { call, expectConsistent, GIB, hypervisors } from '../modules/fleet.ts';
import { actual, expectInOrder, newest, replayed, state } from './revert.ts';

const env = { CORRAL_ENCRYPTION_KEY: randomBytes(32).toString('base64') };
const corral = await testCorral(env);
const program = await builtProgram();
/** Starts a server process on the database of this file. */
const start = (): Promise<Process> => program(corral.databaseUrl, { ...env, CORRAL_LOG_LEVEL: 'silent' });
const holder = new pg.Client({ connectionString: corral.databaseUrl });

beforeAll(async () => {
  await hypervisors(corral, 2);
  await corral.make('vm', { method: 'KVM', cores: 1, ram: GIB, hypervisor: 'hv1.example.com' });
  await holder.connect();
});
afterAll(() => holder.end());

/** Waits until a transaction of the server waits for what `holder` holds. */
async function untilWaiting(): Promise<void> {
  await expect
    .poll(
      async () =>
        (
          await corral.pool.query<{ n: number }>(
            `select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
          )
        ).rows[0]!.n,
      { timeout: 20_000 },
    )
    .toBeGreaterThan(0);
}

/** Where a write stands still: the statement that holds what it needs next. */
const places: readonly (readonly [string, string])[] = [
  ['when its rows are written and its document is not', 'select from document for update'],
  ['when all is written and it has no number yet', 'select pg_advisory_xact_lock(4101957)'],
  ['before its first row', 'select from hypervisor for update'],
];

test.each(places)('a server that is killed %s leaves no change, and the next one no gap', async (_, hold) => {
  const { child, request } = await start();
  const before = { state: await state(corral), number: await newest(corral) };
  await holder.query('begin');
  await holder.query(hold);
  const writes = Promise.allSettled([
    call({ request }, 'POST', '/api/v1/vms', { method: 'KVM', cores: 2, ram: GIB, hypervisor: 'hv1.example.com' }),
    call({ request }, 'PATCH', '/api/v1/vms/1', { cores: 4 }),
    call({ request }, 'POST', `/changes/${before.number}/revert`),
  ]);
  await untilWaiting();
  child.kill('SIGKILL');
  expect((await writes).map((one) => one.status)).toEqual(['rejected', 'rejected', 'rejected']);
  await holder.query('rollback');
  await expect
    .poll(
      async () => (await corral.pool.query(`select from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`)).rowCount,
      { timeout: 20_000 },
    )
    .toBe(0);
  await expect
    .poll(
      async () =>
        (
          await corral.pool.query(
            `select from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`,
          )
        ).rowCount,
      { timeout: 20_000 },
    )
    .toBe(0);
  expect(await state(corral)).toEqual(before.state);
  expect(await newest(corral)).toBe(before.number);
  await expectConsistent(corral);
  await expectInOrder(corral);
  const next = await corral.request('/api/v1/sites/fra1', {
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ description: hold }),
  });
  expect(Number(next.headers.get('corral-change'))).toBe(before.number + 1);
});

test('a server that is killed in the middle of writes: each acknowledged write has its change, and the changes give the rows', async () => {
  const { child, request } = await start();
  const acknowledged: number[] = [];
  const worker = async (): Promise<void> => {
    for (let i = 0; ; i++) {
      const answer = await request('/api/v1/vms', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ method: 'KVM', cores: 1, ram: GIB, volumes: [{ size: GIB }] }),
      });
      const { id } = (await answer.json()) as { id: number };
      acknowledged.push(Number(answer.headers.get('corral-change')));
      if (acknowledged.length > 30) child.kill('SIGKILL');
      if (i % 3 === 1) {
        const gone = await request(`/api/v1/vms/${id}`, { method: 'DELETE' });
        acknowledged.push(Number(gone.headers.get('corral-change')));
        if (i % 2 === 1) await request(`/changes/${acknowledged.at(-1)}/revert`, { method: 'POST' });
      }
    }
  };
  await Promise.allSettled(Array.from({ length: 8 }, worker));
  await expect
    .poll(
      async () => (await corral.pool.query(`select from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`)).rowCount,
      { timeout: 20_000 },
    )
    .toBe(0);
  const { rows } = await corral.pool.query<{ number: number }>('select number::float8 as number from change');
  const kept = new Set(rows.map((row) => row.number));
  expect(acknowledged.filter((number) => !kept.has(number))).toEqual([]);
  expect(new Set(acknowledged).size).toBe(acknowledged.length);
  await expectInOrder(corral);
  await expectConsistent(corral);
  expect(await replayed(corral)).toEqual(await actual(corral));
});
