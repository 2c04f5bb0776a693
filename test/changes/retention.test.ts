import { beforeAll, expect, test } from 'vitest';
import { clearHistory, countClearable, keepClearing } from '../../src/changes/retention.ts';
import { testCorral } from '../support/corral.ts';
import { call, GIB, hypervisors, refuses } from '../modules/fleet.ts';

const corral = await testCorral();
const node = 'hv1.example.com';

beforeAll(async () => {
  await hypervisors(corral, 2);
});

/** Makes all that is there so many days older, as if it had been written then. */
async function age(days: number): Promise<void> {
  await corral.pool.query('update change set at = at - make_interval(days => $1)', [days]);
  await corral.pool.query('update document_version set built_at = built_at - make_interval(days => $1)', [days]);
}

async function kept(): Promise<{ changes: number[]; versions: number[] }> {
  const { rows: changes } = await corral.pool.query<{ n: number }>('select number::float8 as n from change order by 1');
  const { rows: versions } = await corral.pool.query<{ n: number }>(
    'select v.number as n from document_version v join node n on n.id = v.node_id where n.fqdn = $1 order by 1',
    [node],
  );
  return { changes: changes.map((row) => row.n), versions: versions.map((row) => row.n) };
}

const change = async (cores: number): Promise<number> => {
  const { rows } = await corral.pool.query<{ id: string }>('select id from vm');
  const path = rows[0] ? `/api/v1/vms/${rows[0].id}` : '/api/v1/vms';
  const answer = await corral.request(path, {
    method: rows[0] ? 'PATCH' : 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(rows[0] ? { cores } : { method: 'KVM', cores, ram: GIB, hypervisor: node }),
  });
  return Number(answer.headers.get('corral-change'));
};

test('what is older goes, and what holds now or then stays', async () => {
  const first = await change(1);
  await age(100);
  const second = await change(2);
  await age(100);
  const third = await change(3);
  const before = await kept();
  expect(await countClearable(corral.pool, 300)).toEqual({ changes: 0, versions: 0 });
  const would = await countClearable(corral.pool, 150);
  expect(await clearHistory(corral.pool, 150)).toEqual(would);
  const after = await kept();
  expect(after.changes).toEqual([second, third]);
  /* The version of `first` was the newest 150 days ago. */
  expect(after.versions).toEqual(before.versions.slice(-3));
  const at = async (point: string | number): Promise<number> => (await corral.request(`/documents/${node}?at=${encodeURIComponent(point)}`)).status;
  expect(await at(third)).toBe(200);
  expect(await at(second)).toBe(200);
  await refuses(call(corral, 'GET', `/documents/${node}?at=${first}`), 410, 'fallen-behind');
  await refuses(call(corral, 'GET', `/changes/${first}`), 410, 'fallen-behind');
  const ago = (days: number): string => new Date(Date.now() - days * 86_400_000).toISOString();
  expect(await at(ago(149))).toBe(200);
  await refuses(call(corral, 'GET', `/documents/${node}?at=${ago(1000)}`), 410, 'fallen-behind');
  expect((await call(corral, 'GET', `/changes?limit=1000`)).body['changes']).toHaveLength(2);
});

test('the newest change and the newest versions stay, however old, and the numbers go on', async () => {
  const last = await change(4);
  await age(5000);
  await clearHistory(corral.pool, 1);
  const after = await kept();
  expect(after.changes).toEqual([last]);
  expect(after.versions).toHaveLength(1);
  expect((await corral.request(`/documents/${node}`)).status).toBe(200);
  expect((await corral.request('/documents/hv2.example.com')).status).toBe(200);
  expect(await change(5)).toBe(last + 1);
});

test('what a host has applied, or was served, stays', async () => {
  await change(6);
  const { rows } = await corral.pool.query<{ version: string; number: number }>(
    `select d.number || '-' || d.hash as version, d.number from document d join node n on n.id = d.node_id where n.fqdn = $1`,
    [node],
  );
  await corral.pool.query('update node_status set applied = $1 where node_id = (select id from node where fqdn = $2)', [rows[0]!.version, node]);
  await change(7);
  await change(8);
  await age(5000);
  await clearHistory(corral.pool, 1);
  expect((await kept()).versions).toEqual([rows[0]!.number, rows[0]!.number + 2]);
});

test('a clock that goes back drops nothing, and times go on', async () => {
  /* Changes of a time when the clock was years ahead. */
  await change(9);
  await age(-8000);
  const ahead = await change(10);
  const { rows } = await corral.pool.query<{ ok: boolean }>(
    'select at >= (select max(at) from change where number < $1) and at > now() as ok from change where number = $1',
    [ahead],
  );
  expect(rows[0]!.ok).toBe(true);
  const before = await kept();
  expect(await clearHistory(corral.pool, 1)).toEqual({ changes: 0, versions: 0 });
  expect(await kept()).toEqual(before);
  const { body } = await call(corral, 'GET', `/changes/${ahead}`);
  expect((await corral.request(`/documents/${node}?at=${String(body['at'])}`)).headers.get('corral-change')).toBe(String(ahead));
  expect((await call(corral, 'GET', `/changes?since=${ahead}`)).body['changes']).toHaveLength(1);
});

test('two processes at once: one clears; a job ends with its process', async () => {
  const other = await corral.pool.connect();
  await other.query('begin; select pg_advisory_xact_lock(4101958)');
  expect(await clearHistory(corral.pool, 1)).toEqual({ changes: 0, versions: 0 });
  await other.query('rollback');
  other.release();
  await age(12_000);
  const stop = keepClearing(corral.pool, 1, () => undefined, { first: 1, every: 1 });
  await expect.poll(async () => (await kept()).changes.length, { timeout: 10_000 }).toBe(1);
  await stop();
});
