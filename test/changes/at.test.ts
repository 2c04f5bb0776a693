import { beforeAll, expect, test } from 'vitest';
import { decode } from '@msgpack/msgpack';
import { load } from 'js-yaml';
import { testCorral } from '../support/corral.ts';
import { call, hypervisors, GIB, refuses } from '../modules/fleet.ts';

const corral = await testCorral();
const node = 'hv1.example.com';
/** What each change served: by its number, the version, and each envelope's bytes. */
const past: { number: number; at: string; version: string; bodies: Record<string, string> }[] = [];
const envelopes = ['enc', 'hiera', 'pillar', 'tops', 'documents'];

async function served(query = ''): Promise<{ version: string; bodies: Record<string, string> }> {
  const bodies: Record<string, string> = {};
  let version = '';
  for (const envelope of envelopes) {
    const answer = await corral.request(`/${envelope}/${node}.json${query}`);
    expect(answer.status).toBe(200);
    version = answer.headers.get('corral-document')!;
    bodies[envelope] = await answer.text();
  }
  return { version, bodies };
}

async function write(method: string, path: string, body?: unknown): Promise<number> {
  const answer = await corral.request(path, {
    method,
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  expect(answer.status).toBeLessThan(300);
  return Number(answer.headers.get('corral-change'));
}

beforeAll(async () => {
  await hypervisors(corral, 2);
  await corral.make('ceph_cluster', { name: 'ceph', public_network: '192.0.2.0/24' });
  const { body } = await call(corral, 'POST', '/api/v1/vms', { method: 'KVM', cores: 1, ram: GIB, hypervisor: node });
  for (const step of [
    () => write('PATCH', `/api/v1/vms/${String(body['id'])}`, { cores: 2 }),
    () => write('PATCH', '/api/v1/sites/fra1', { description: 'in no document' }),
    () => write('PATCH', `/api/v1/nodes/${node}`, { roles: { ceph_mon: { ceph_cluster: 'ceph' } } }),
    () => write('DELETE', `/api/v1/vms/${String(body['id'])}`),
  ]) {
    const number = await step();
    const { at } = (await call(corral, 'GET', `/changes/${number}`)).body as { at: string };
    past.push({ number, at, ...(await served()) });
    /* Times are told to the millisecond. */
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
});

test('every document is served as it was after each change, and at each time, in every form', async () => {
  for (const { number, at, version, bodies } of past) {
    expect(await served(`?at=${number}`)).toEqual({ version, bodies });
    expect(await served(`?at=${encodeURIComponent(at)}`)).toEqual({ version, bodies });
  }
  const { number, bodies } = past[0]!;
  const data = JSON.parse(bodies['documents']!) as unknown;
  expect(load(await (await corral.request(`/documents/${node}.yaml?at=${number}`)).text())).toEqual(data);
  expect(decode(await (await corral.request(`/documents/${node}.msgpack?at=${number}`)).arrayBuffer())).toEqual(data);
  const page = await (await corral.request(`/hiera/${node}?at=${number}`, { headers: { accept: 'text/html' } })).text();
  expect(page).toContain(`/changes/${number}`);
  const key = await corral.request(`/hiera/${node}/corral::hypervisor::domains?at=${number}`);
  expect(await key.json()).toEqual((JSON.parse(bodies['hiera']!) as Record<string, unknown>)['corral::hypervisor::domains']);
});

test('a document of the past has an ETag, and the number of the change that gave it', async () => {
  const [first, second] = [past[0]!, past[1]!];
  const answer = await corral.request(`/enc/${node}?at=${second.number}`);
  expect(answer.headers.get('corral-change')).toBe(String(first.number));
  const etag = answer.headers.get('etag')!;
  expect((await corral.request(`/enc/${node}?at=${second.number}`, { headers: { 'if-none-match': etag } })).status).toBe(304);
});

test('before it was made, for other things than a change or a time, and in the future', async () => {
  await refuses(call(corral, 'GET', `/documents/${node}?at=2000-01-01T00:00:00Z`), 404, 'not-found');
  await refuses(call(corral, 'GET', `/documents/${node}?at=1`), 404, 'not-found');
  await refuses(call(corral, 'GET', `/documents/${node}?at=999999`), 404, 'not-found');
  await refuses(call(corral, 'GET', `/documents/${node}?at=soon`), 400, 'bad-request');
  await refuses(call(corral, 'GET', `/documents/nowhere.example.com?at=1`), 404, 'not-found');
  expect((await served('?at=2999-01-01T00:00:00Z')).version).toBe(past.at(-1)!.version);
  expect((await served('?at=2999-01-01T00:00:00%2B01:00')).version).toBe(past.at(-1)!.version);
});

test('only who may read a document may read what it was', async () => {
  const token = async (name: string, kind: string, of?: string): Promise<string> =>
    String((await corral.make('token', { name, kind, ...(of ? { node: of } : {}) }))['token']);
  const paths = [`/enc/${node}?at=${past[0]!.number}`, `/documents/${node}/diff?from=${past[0]!.number}`];
  const [own, other, server] = [await token('own', 'node', node), await token('other', 'node', 'hv2.example.com'), await token('srv', 'server')];
  for (const path of paths) {
    expect((await corral.request(path, { token: own })).status).toBe(200);
    expect((await corral.request(path, { token: server })).status).toBe(200);
    expect((await corral.request(path, { token: other })).status).toBe(403);
    expect((await corral.request(path, { token: null })).status).toBe(401);
  }
});

test('the difference of two versions, with no secret in it', async () => {
  const [first, , third] = past;
  const { body } = await call(corral, 'GET', `/documents/${node}/diff?from=${first!.number}&to=${third!.number}`);
  expect(body).toMatchObject({ node, from: { version: first!.version, change: first!.number }, to: { version: third!.version, change: third!.number } });
  expect(JSON.stringify(body)).toContain('(secret)');
  expect(JSON.stringify(body)).not.toMatch(/AQ[A-Za-z0-9+/]{30}/);
  expect(body['text']).toContain('+');
  const last = await call(corral, 'GET', `/documents/${node}/diff`);
  expect(last.body).toMatchObject({ from: { version: third!.version }, to: { version: past[3]!.version } });
  const whole = await call(corral, 'GET', `/documents/${node}/diff?from=2000-01-01T00:00:00Z&to=${first!.number}`);
  expect(whole.body).toMatchObject({ from: null, to: { version: first!.version } });
  await refuses(call(corral, 'GET', `/documents/${node}/diff?since=1`), 400, 'unknown-parameter');
  const page = await (await corral.request(`/documents/${node}/diff`, { headers: { accept: 'text/html' } })).text();
  expect(page).toContain('@@');
});

test('a node that is gone has a past by its id, and none while it was gone', async () => {
  const { body } = await call(corral, 'POST', '/api/v1/nodes', {
    fqdn: 'gone.example.com',
    site: 'fra1',
    manager: 'salt',
    roles: { hypervisor: { methods: ['KVM'], cores: 1, ram: GIB } },
  });
  const id = Number(body['id']);
  const made = await corral.request(`/documents/${id}.json?at=2999-01-01T00:00:00Z`);
  expect(made.status).toBe(404);
  const before = await (await corral.request('/documents/gone.example.com.json')).text();
  const { rows } = await corral.pool.query<{ n: number }>('select max(number)::float8 as n from change');
  const gone = await write('DELETE', '/api/v1/nodes/gone.example.com');
  const answer = await corral.request(`/documents/${id}.json?at=${rows[0]!.n}`);
  expect([answer.status, await answer.text()]).toEqual([200, before]);
  await refuses(call(corral, 'GET', `/documents/${id}?at=${gone}`), 404, 'not-found');
  await refuses(call(corral, 'GET', `/documents/${id}`), 404, 'not-found');
  await write('POST', `/changes/${gone}/revert`);
  await refuses(call(corral, 'GET', `/documents/gone.example.com?at=${gone}`), 404, 'not-found');
  const back = await corral.request('/documents/gone.example.com.json');
  expect(Number(back.headers.get('corral-document')!.split('-')[0])).toBe(2);
  expect(back.headers.get('corral-document')!.split('-')[1]).toBe(answer.headers.get('corral-document')!.split('-')[1]);
});
