import { expect, test } from 'vitest';
import { ADMIN, testCorral, type TestCorral } from '../support/corral.ts';
import { expectConsistent, GIB, hypervisors } from '../modules/fleet.ts';
import { clearIdempotency } from '../../src/http/idempotency.ts';

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

async function post(corral: TestCorral, path: string, body: unknown, headers: Record<string, string>): Promise<Answer> {
  const answer = await corral.request(path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });
  return { status: answer.status, text: await answer.text(), headers: answer.headers };
}
const count = async ({ pool }: TestCorral, table: string): Promise<number> =>
  Number((await pool.query<{ n: string }>(`select count(*) as n from ${table}`)).rows[0]!.n);
const vm = { method: 'KVM', cores: 1, ram: GIB };

const corral = await testCorral();
await hypervisors(corral, 2, { cores: 40, cpu_overcommit: 1 });

test('the same request with the same key is carried out once and answered the same', async () => {
  const first = await post(corral, '/api/v1/vms', vm, { 'Idempotency-Key': 'one' });
  const again = await post(corral, '/api/v1/vms', vm, { 'Idempotency-Key': 'one' });
  expect(first.status).toBe(201);
  for (const name of ['location', 'etag', 'corral-change', 'content-type']) expect([name, again.headers.get(name)]).toEqual([name, first.headers.get(name)]);
  expect([again.status, again.text]).toEqual([first.status, first.text]);
  expect([first.headers.get('idempotency-replayed'), again.headers.get('idempotency-replayed')]).toEqual([null, 'true']);
  expect(await count(corral, 'vm')).toBe(1);
  const other = await post(corral, '/api/v1/vms', vm, { 'Idempotency-Key': 'two' });
  expect(other.text).not.toBe(first.text);
});

test('another request with the same key is refused; the key of another token is another key', async () => {
  await post(corral, '/api/v1/sites', { name: 'ams1' }, { 'Idempotency-Key': 'site' });
  for (const [path, body] of [
    ['/api/v1/sites', { name: 'ams2' }],
    ['/api/v1/customers', { name: 'ams1' }],
  ] as const) {
    const answer = await post(corral, path, body, { 'Idempotency-Key': 'site' });
    expect([answer.status, (JSON.parse(answer.text) as { code: string }).code]).toEqual([422, 'idempotency-mismatch']);
  }
  const token = String((await corral.make('token', { name: 'second', kind: 'admin' }))['token']);
  const answer = await corral.request('/api/v1/sites', {
    method: 'POST',
    token,
    headers: { 'content-type': 'application/json', 'Idempotency-Key': 'site' },
    body: '{"name":"ams3"}',
  });
  expect(answer.status).toBe(201);
  for (const bad of ['', 'a b', 'x'.repeat(256)]) {
    const refused = await post(corral, '/api/v1/sites', { name: 'ams4' }, { 'Idempotency-Key': bad });
    expect([bad, refused.status]).toEqual([bad, 400]);
  }
});

test('of many at once one is carried out, and all get its answer', async () => {
  const before = await count(corral, 'vm');
  const answers = await Promise.all(Array.from({ length: 12 }, () => post(corral, '/api/v1/vms', vm, { 'Idempotency-Key': 'at-once' })));
  expect(new Set(answers.map((one) => `${one.status} ${one.text}`)).size).toBe(1);
  expect(answers.filter((one) => one.headers.get('idempotency-replayed') === null)).toHaveLength(1);
  expect(await count(corral, 'vm')).toBe(before + 1);
  const operations = [{ op: 'create', noun: 'vm', body: vm }];
  const bulks = await Promise.all(Array.from({ length: 6 }, () => post(corral, '/bulk', { operations }, { 'Idempotency-Key': 'bulk' })));
  expect(new Set(bulks.map((one) => `${one.status} ${one.text}`)).size).toBe(1);
  expect(await count(corral, 'vm')).toBe(before + 2);
  await expectConsistent(corral);
});

test('a refused request stores nothing, and neither does a dry run', async () => {
  const kept = await count(corral, 'idempotency_key');
  const refused = await post(corral, '/api/v1/vms', { ...vm, cores: 1000 }, { 'Idempotency-Key': 'refused' });
  expect(refused.status).toBe(409);
  const bulk = await post(corral, '/bulk', { operations: [{ op: 'create', noun: 'site', body: { name: 'fra1' } }] }, { 'Idempotency-Key': 'refused' });
  expect(bulk.status).toBe(409);
  const dry = await post(corral, '/api/v1/vms?dry_run=true', vm, { 'Idempotency-Key': 'refused' });
  expect(dry.status).toBe(200);
  expect(await count(corral, 'idempotency_key')).toBe(kept);
  expect((await post(corral, '/api/v1/vms', vm, { 'Idempotency-Key': 'refused' })).status).toBe(201);
});

test('what is shown once is shown again to who sends its key, and is kept sealed', async () => {
  const create = (): Promise<Answer> => post(corral, '/api/v1/tokens', { name: 'eyes', kind: 'reader' }, { 'Idempotency-Key': 'token' });
  const [first, again] = [await create(), await create()];
  const { token } = JSON.parse(first.text) as { token: string };
  expect([again.text, token]).toEqual([first.text, expect.stringMatching(/^corral_reader_/)]);
  const { rows } = await corral.pool.query<{ answer: string }>(`select answer from idempotency_key where key = 'token'`);
  expect(rows[0]!.answer).toContain('sealed');
  expect(rows[0]!.answer).not.toContain(token);
  const bulk = (): Promise<Answer> =>
    post(corral, '/bulk', { operations: [{ op: 'create', noun: 'token', body: { name: 'ears', kind: 'reader' } }] }, { 'Idempotency-Key': 'tokens' });
  expect((await bulk()).text).toBe((await bulk()).text);
  const all = await corral.pool.query<{ answer: string }>(`select string_agg(answer, '') as answer from idempotency_key`);
  expect(all.rows[0]!.answer).not.toContain('corral_reader_');
});

test('a revert is done once, and its answer is given again', async () => {
  const made = await post(corral, '/api/v1/sites', { name: 'undo1' }, {});
  const path = `/api/v1/changes/${made.headers.get('corral-change')}/revert`;
  const changes = await count(corral, 'change');
  const dry = await post(corral, `${path}?dry_run=true`, {}, { 'Idempotency-Key': 'undo' });
  expect(dry.status).toBe(200);
  const answers = await Promise.all(Array.from({ length: 6 }, () => post(corral, path, { message: 'no' }, { 'Idempotency-Key': 'undo' })));
  expect(new Set(answers.map((one) => `${one.status} ${one.text} ${one.headers.get('corral-change')} ${one.headers.get('location')}`)).size).toBe(1);
  expect(answers[0]!.status).toBe(201);
  expect(answers.filter((one) => one.headers.get('idempotency-replayed') === null)).toHaveLength(1);
  expect(await count(corral, 'change')).toBe(changes + 1);
  expect((JSON.parse(answers[0]!.text) as { message: string }).message).toBe('no');
  const other = await post(corral, path, { message: 'another' }, { 'Idempotency-Key': 'undo' });
  expect([other.status, (JSON.parse(other.text) as { code: string }).code]).toEqual([422, 'idempotency-mismatch']);
  /* Without the key it is another request: there is nothing left to undo. */
  expect((await post(corral, path, {}, {})).status).toBe(409);
});

test('after a day a key is new again, and old ones are cleared', async () => {
  await post(corral, '/api/v1/sites', { name: 'old1' }, { 'Idempotency-Key': 'old' });
  await corral.pool.query(`update idempotency_key set made_at = now() - interval '25 hours' where key = 'old'`);
  const answer = await post(corral, '/api/v1/sites', { name: 'old2' }, { 'Idempotency-Key': 'old' });
  expect([answer.status, answer.headers.get('idempotency-replayed')]).toEqual([201, null]);
  await corral.pool.query(`update idempotency_key set made_at = now() - interval '25 hours' where key = 'old'`);
  const stop = clearIdempotency(corral.pool, () => undefined);
  await expect.poll(async () => (await corral.pool.query(`select from idempotency_key where key = 'old'`)).rowCount).toBe(0);
  stop();
  expect(await count(corral, 'idempotency_key')).toBeGreaterThan(0);
  expect(ADMIN).toBeTruthy();
});

test('in MessagePack the answer is the same data in the form that is asked for', async () => {
  const first = await post(corral, '/api/v1/sites', { name: 'mp1' }, { 'Idempotency-Key': 'mp' });
  const answer = await corral.request('/api/v1/sites', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/msgpack', 'Idempotency-Key': 'mp' },
    body: '{"name":"mp1"}',
  });
  expect([answer.status, answer.headers.get('content-type'), answer.headers.get('location')]).toEqual([
    201,
    'application/msgpack',
    first.headers.get('location'),
  ]);
});
