import { beforeAll, expect, test } from 'vitest';
import { decode } from '@msgpack/msgpack';
import { testCorral } from '../support/corral.ts';
import { call, GIB, hypervisors, refuses } from '../modules/fleet.ts';

const corral = await testCorral();
let vm = '';
let reader = '';

interface Listed {
  readonly changes: {
    number: number;
    actor: string;
    message: string | null;
    counts: Record<string, Record<string, number>>;
    things: { noun: string; key: string; label?: string; op: string }[];
    reverted_by: number[];
    document_count: number;
  }[];
  readonly next?: string;
}

const list = async (query = ''): Promise<Listed> => (await call(corral, 'GET', `/changes${query}`)).body as unknown as Listed;
const numbers = async (query: string): Promise<number[]> => (await list(query)).changes.map((one) => one.number);
const write = async (method: string, path: string, body: unknown, message?: string): Promise<number> => {
  const answer = await corral.request(path, {
    method,
    headers: { 'content-type': 'application/json', 'x-request-id': `r-${method}`, ...(message ? { 'x-change-message': message } : {}) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  expect(answer.status).toBeLessThan(300);
  return Number(answer.headers.get('corral-change'));
};

beforeAll(async () => {
  await hypervisors(corral, 2);
  const made = await call(
    corral,
    'POST',
    '/api/v1/vms',
    { name: 'web', method: 'KVM', cores: 2, ram: GIB, hypervisor: 'hv1.example.com' },
    { 'x-change-message': 'For the shop' },
  );
  vm = String(made.body['id']);
  reader = String((await corral.make('token', { name: 'r', kind: 'reader' }))['token']);
});

test('changes are listed newest first, page by page, on both paths', async () => {
  const all = await list();
  const order = all.changes.map((one) => one.number);
  expect(order).toEqual([...order].sort((a, b) => b - a));
  expect(all.changes[0]).toMatchObject({ actor: 'admin', message: 'For the shop', counts: { vm: { create: 1 }, volume: { create: 1 } }, document_count: 1 });
  expect(all.changes[0]!.things[0]).toMatchObject({ noun: 'vm', label: 'web', op: 'create' });
  const seen: number[] = [];
  for (let path: string | undefined = '/api/v1/changes?limit=3'; path !== undefined;) {
    const answer = await corral.request(path);
    const { changes, next } = (await answer.json()) as Listed;
    if (next !== undefined) expect(answer.headers.get('link')).toBe(`<${next}>; rel="next"`);
    seen.push(...changes.map((one) => one.number));
    path = next;
  }
  expect(seen).toEqual(order);
});

test('filters narrow the list, and unknown ones are refused', async () => {
  const first = await write('PATCH', `/api/v1/vms/${vm}`, { cores: 3 }, 'More room ü');
  const second = await write('PATCH', '/api/v1/sites/fra1', { description: 'Frankfurt' });
  expect(await numbers('?message__contains=ROOM%20%C3%BC')).toEqual([first]);
  expect(await numbers(`?noun=vm&key=${vm}&since=${first}`)).toEqual([first]);
  expect(await numbers('?noun=sites&key=fra1&limit=1')).toEqual([second]);
  expect(await numbers(`?actor=admin&since=${first}&until=${first}`)).toEqual([first]);
  expect(await numbers('?actor=nobody')).toEqual([]);
  expect(await numbers(`?node=hv1.example.com&limit=1`)).toEqual([first]);
  expect(await numbers('?node=hv2.example.com')).not.toContain(first);
  expect((await numbers('?request_id=r-PATCH')).length).toBe(2);
  const { at } = (await call(corral, 'GET', `/changes/${second}`)).body as { at: string };
  expect(await numbers(`?since=${encodeURIComponent(at)}`)).toContain(second);
  expect(await numbers(`?until=2000-01-01T00:00:00Z`)).toEqual([]);
  await refuses(call(corral, 'GET', '/changes?colour=red'), 400, 'unknown-parameter');
  for (const query of ['?since=yesterday', '?key=1', '?noun=unicorn', '?limit=0', '?after=x'])
    await refuses(call(corral, 'GET', `/changes${query}`), 400, 'bad-request');
});

test('one change tells its rows before and after and its documents, in three forms', async () => {
  const number = await write('PATCH', `/api/v1/vms/${vm}`, { cores: 4 });
  const { body } = await call(corral, 'GET', `/changes/${number}`);
  expect(body).toMatchObject({
    number,
    actor: 'admin',
    reverts: null,
    reverted_by: [],
    rows: [{ noun: 'vm', label: 'web', op: 'update', before: { cores: 3, cores_max: 3 }, after: { cores: 4, cores_max: 4 } }],
    documents: [{ node: 'hv1.example.com', version: expect.stringMatching(/^\d+-[0-9a-f]{16}$/) }],
  });
  expect(decode(await (await corral.request(`/api/v1/changes/${number}.msgpack`)).arrayBuffer())).toEqual(body);
  const page = await (await corral.request(`/changes/${number}`, { headers: { accept: 'text/html' } })).text();
  expect(page).toContain(`Change ${number}`);
  expect(page).toContain('@@');
  await refuses(call(corral, 'GET', '/changes/999999'), 404, 'not-found');
  await refuses(call(corral, 'GET', '/changes/0'), 404, 'not-found');
  await refuses(call(corral, 'GET', '/changes/abc'), 404, 'not-found');
  await refuses(call(corral, 'DELETE', `/changes/${number}`), 405, 'method-not-allowed');
});

test('the history of a thing and of a field of it, also when it is gone', async () => {
  const made = await call(corral, 'POST', '/api/v1/sites', { name: 'ams1', description: 'a' });
  const id = Number(made.body['id']);
  const changed = await write('PATCH', '/api/v1/sites/ams1', { description: 'b' }, 'Renamed');
  const renamed = await write('PATCH', '/api/v1/sites/ams1', { name: 'ams2' });
  const gone = await write('DELETE', '/api/v1/sites/ams2', undefined);
  for (const key of [id, 'ams1', 'ams2']) {
    const { body } = await call(corral, 'GET', `/api/v1/sites/${key}/history`);
    expect((body['history'] as { change: number }[]).map((one) => one.change)).toEqual([gone, renamed, changed, expect.any(Number)]);
  }
  const { body } = await call(corral, 'GET', `/api/v1/sites/${id}/history?field=description`);
  expect(body['history']).toEqual([
    expect.objectContaining({ change: gone, op: 'delete', before: 'b', after: null }),
    expect.objectContaining({ change: changed, actor: 'admin', message: 'Renamed', op: 'update', before: 'a', after: 'b' }),
    expect.objectContaining({ op: 'create', before: null, after: 'a' }),
  ]);
  const one = await call(corral, 'GET', `/api/v1/sites/${id}/history?limit=1`);
  expect((one.body['history'] as unknown[]).length).toBe(1);
  expect(((await call(corral, 'GET', String(one.body['next']))).body['history'] as { change: number }[])[0]!.change).toBe(renamed);
  await refuses(call(corral, 'GET', '/api/v1/sites/nowhere/history'), 404, 'not-found');
  await refuses(call(corral, 'GET', '/api/v1/sites/424242/history'), 404, 'not-found');
  await refuses(call(corral, 'GET', `/api/v1/sites/${id}/history?field=nothing`), 400, 'bad-request');
  await refuses(call(corral, 'GET', `/api/v1/sites/${id}/history?x=1`), 400, 'unknown-parameter');
});

test('the history of a node has that of its roles, and of its lists', async () => {
  const number = await write('PATCH', '/api/v1/nodes/hv2.example.com', { roles: { hypervisor: { reserve_cores: 1, methods: ['KVM', 'QEMU'] } } });
  const { body } = await call(corral, 'GET', '/api/v1/nodes/hv2.example.com/history');
  expect((body['history'] as unknown[])[0]).toMatchObject({ change: number, noun: 'hypervisor', before: { reserve_cores: 0 }, after: { reserve_cores: 1 } });
  const methods = await call(corral, 'GET', '/api/v1/hypervisors/hv2.example.com/history?field=methods');
  expect((methods.body['history'] as unknown[])[0]).toMatchObject({ change: number, op: 'create', after: { methods: 'QEMU' } });
});

test('a secret is in no change', async () => {
  const secret = `AQ${'A'.repeat(36)}==`;
  await corral.make('ceph_cluster', { name: 'ceph', public_network: '192.0.2.0/24' });
  const number = await write('POST', '/api/v1/ceph-keys', { ceph_cluster: 'ceph', entity: 'client.x', secret });
  const text = await (await corral.request(`/changes/${number}`)).text();
  expect(text).toContain('(secret)');
  expect(text).not.toContain(secret);
  expect(text).not.toContain('v1.');
});

test('readers read changes and revert nothing; nodes do neither', async () => {
  const node = String((await corral.make('token', { name: 'n', kind: 'node', node: 'hv1.example.com' }))['token']);
  for (const path of ['/changes', '/changes/1', `/api/v1/vms/${vm}/history`]) {
    expect((await corral.request(path, { token: reader })).status).toBe(200);
    expect((await corral.request(path, { token: node })).status).toBe(403);
    expect((await corral.request(path, { token: null })).status).toBe(401);
  }
  for (const token of [reader, node]) expect((await corral.request('/changes/1/revert', { method: 'POST', token })).status).toBe(403);
});

test('a change is undone over HTTP, by a form too', async () => {
  const number = await write('PATCH', '/api/v1/sites/fra1', { description: 'Main' }, 'Say so');
  const undone = await corral.request(`/changes/${number}/revert`, { method: 'POST' });
  const body = (await undone.json()) as { number: number; message: string; reverts: number; warnings: unknown[] };
  expect([undone.status, undone.headers.get('corral-change')]).toEqual([201, String(body.number)]);
  expect(body).toMatchObject({ message: `Revert change ${number}: Say so`, reverts: number, warnings: [], actor: 'admin' });
  expect((await call(corral, 'GET', `/changes/${number}`)).body['reverted_by']).toEqual([body.number]);
  await refuses(call(corral, 'POST', `/changes/${number}/revert`), 409, 'stands-in-the-way');
  const form = await corral.request(`/changes/${body.number}/revert`, {
    method: 'POST',
    headers: { accept: 'text/html', 'content-type': 'application/x-www-form-urlencoded' },
    body: 'message=Not+after+all',
  });
  expect([form.status, form.headers.get('location')]).toEqual([303, `/changes/${body.number + 1}`]);
  expect((await call(corral, 'GET', `/changes/${body.number + 1}`)).body['message']).toBe('Not after all');
  await refuses(call(corral, 'POST', '/changes/999999/revert'), 404, 'not-found');
  await refuses(call(corral, 'POST', `/changes/${number}/revert`, { colour: 1 }), 422, 'invalid');
});
