import { beforeAll, describe, expect, test } from 'vitest';
import { includes } from '../../src/auth/roles.ts';
import { smallFleet } from '../http/samples.ts';
import { testCorral, type TestCorral } from '../support/corral.ts';

const GIB = 2 ** 30;
type Body = Record<string, unknown>;
interface Answer {
  readonly status: number;
  readonly body: Body;
}
interface Client {
  (method: string, path: string, body?: unknown): Promise<Answer>;
}

let corral: TestCorral;
let admin: Client;
let acme: Client;
let other: Client;
let web: Client;
let site: Client;
const vms: Record<string, Body> = {};

const client =
  (token: string): Client =>
  async (method, path, body) => {
    const init = body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    const answer = await corral.request(path.startsWith('/') ? path : `/api/v1/${path}`, { method, token, ...init });
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? {} : (JSON.parse(text) as Body) };
  };

async function program(name: string, binding: Body): Promise<Client> {
  const token = String((await corral.make('token', { name, kind: 'program' }))['token']);
  await corral.make('binding', { name, token: name, ...binding });
  return client(token);
}

const list = (answer: Answer): Body[] => answer.body['vms'] as Body[];

beforeAll(async () => {
  corral = await testCorral();
  await smallFleet(corral);
  await corral.make('site', { name: 'ham1' });
  admin = client('corral_admin_for_tests_only');
  for (const customer of ['mine', 'other']) {
    await corral.make('customer', { name: customer });
    await corral.make('project', { customer, name: 'web' });
  }
  acme = await program('acme', { role: 'customer-admin', customer: 'mine' });
  other = await program('other', { role: 'customer-user', customer: 'other' });
  web = await program('web', { role: 'customer-user', project: 'mine:web' });
  site = await program('site', { role: 'operator', site: 'ham1' });
  const vm = { cores: 1, ram: GIB / 4, method: 'KVM', volumes: [{ size: GIB }] };
  vms['acme'] = (await admin('POST', 'vms', { ...vm, name: 'acme-1', customer: 'mine' })).body;
  vms['web'] = (await admin('POST', 'vms', { ...vm, name: 'acme-web', project: 'mine:web' })).body;
  vms['other'] = (await admin('POST', 'vms', { ...vm, name: 'other-1', customer: 'other' })).body;
});

test('a customer sees what is his, in lists, by key, in counts, searches and filters', async () => {
  const names = (answer: Answer): unknown[] =>
    list(answer)
      .map((vm) => vm['name'])
      .sort();
  expect(names(await acme('GET', 'vms'))).toEqual(['acme-1', 'acme-web']);
  expect(names(await other('GET', 'vms'))).toEqual(['other-1']);
  expect(names(await web('GET', 'vms'))).toEqual(['acme-web']);
  expect((await acme('GET', 'vms?total=true')).body['total']).toBe(2);
  expect(names(await acme('GET', 'vms?q=other'))).toEqual([]);
  expect(names(await acme('GET', 'vms?customer=other'))).toEqual([]);
  expect((await acme('GET', `vms/${String(vms['other']!['uuid'])}`)).status).toBe(404);
  expect((await acme('GET', `vms/${String(vms['other']!['id'])}`)).status).toBe(404);
  expect((await acme('GET', 'customers')).body['customers']).toMatchObject([{ name: 'mine' }]);
  expect((await acme('GET', 'volumes?include=vm')).body['volumes']).toHaveLength(2);
});

test('hosts, keys and all that names them are not there', async () => {
  const { body } = await acme('GET', `vms/${String(vms['acme']!['uuid'])}`);
  expect(body).toMatchObject({ name: 'acme-1', customer: 'mine' });
  expect(Object.keys(body)).not.toContain('hypervisor');
  for (const path of ['nodes', 'hypervisors', 'ceph-keys', 'storage-pools', 'tokens', 'people', 'tombstones', 'layers', 'bindings']) {
    const answer = await acme('GET', path);
    expect([path, answer.status, answer.body['code']]).toEqual([path, 403, 'forbidden']);
    expect(answer.body['permission']).toMatch(/^[a-z_]+:read$/);
  }
  for (const path of ['vms?sort=hypervisor', 'vms?hypervisor=hv0.example.com', 'vms?include=hypervisor', 'vms?fields=hypervisor', 'volumes?storage_pool=local'])
    expect([path, (await acme('GET', path)).status]).toEqual([path, 400]);
  for (const path of ['/changes', '/watch', '/documents', '/enc/hv0.example.com', '/documents/hv0.example.com', '/nodes/hv0.example.com/explain'])
    expect([path, (await acme('GET', path)).status]).toEqual([path, 403]);
});

describe('writes', () => {
  test('make things of the own customer, and of no other', async () => {
    const mine = await acme('POST', 'vms', { cores: 1, ram: GIB / 4, method: 'KVM' });
    expect([mine.status, mine.body['customer']]).toEqual([201, 'mine']);
    const theirs = await acme('POST', 'vms', { cores: 1, ram: GIB / 4, method: 'KVM', customer: 'other' });
    expect([theirs.status, theirs.body['code']]).toEqual([422, 'invalid']);
    const placed = await acme('POST', 'vms', { cores: 1, ram: GIB / 4, method: 'KVM', hypervisor: 'hv0.example.com' });
    expect([placed.status, placed.body['code']]).toEqual([422, 'invalid']);
    expect((await acme('DELETE', `vms/${String(mine.body['uuid'])}`)).status).toBe(204);
  });

  test('touch nothing of others, and give nothing away', async () => {
    const uuid = String(vms['other']!['uuid']);
    for (const method of ['PATCH', 'DELETE']) {
      const answer = await acme(method, `vms/${uuid}`, method === 'DELETE' ? undefined : { name: 'taken' });
      expect([method, answer.status]).toEqual([method, 404]);
    }
    expect((await acme('PATCH', `vms/${String(vms['acme']!['uuid'])}`, { customer: null })).status).toBe(403);
    expect((await web('PATCH', `vms/${String(vms['web']!['uuid'])}`, { project: null })).status).toBe(403);
    const image = await acme('POST', 'images', { name: 'x', url: 'https://example.com/x' });
    expect([image.status, image.body['permission']]).toEqual([403, 'image:create']);
  });

  test('a plan tells a customer of his own things only', async () => {
    const answer = await acme('POST', 'vms?dry_run=true', { cores: 1, ram: GIB / 4, method: 'KVM' });
    expect(answer.status).toBe(200);
    const plan = answer.body['plan'] as { documents: unknown[]; hosts: unknown[]; rows: { noun: string }[] };
    expect([plan.documents, plan.hosts]).toEqual([[], []]);
    expect(JSON.stringify(answer.body)).not.toContain('example.com');
  });

  test('make networks of their own, which others do not see, and put virtual machines into them', async () => {
    const made = await acme('POST', 'networks', { name: 'mine-back' });
    expect([made.status, made.body['customer']]).toEqual([201, 'mine']);
    expect((await admin('GET', 'networks/mine-back')).body).toMatchObject({ kind: 'vxlan', vxlan_id: 1_000_000, purpose: 'public', customer: 'mine' });
    expect((await acme('POST', 'networks', { name: 'other-back' })).body['errors']).toMatchObject([{ pointer: '/name' }]);
    expect((await acme('PATCH', 'networks/mine-back', { name: 'lan2' })).status).toBe(422);
    for (const body of [
      { name: 'mine-x', kind: 'vlan', vlan_tag: 7 },
      { name: 'mine-x', vxlan_id: 5 },
      { name: 'mine-x', is_default: true },
    ])
      expect([body, (await acme('POST', 'networks', body)).status]).toEqual([body, 422]);
    const several = await Promise.all(Array.from({ length: 5 }, (_, i) => acme('POST', 'networks', { name: `mine-${i}` })));
    expect(several.map((one) => one.status)).toEqual([201, 201, 201, 201, 201]);
    expect((await other('GET', 'networks/mine-back')).status).toBe(404);
    expect((await other('POST', 'networks', { name: 'other-x' })).body['permission']).toBe('network:create');
    const vm = await acme('POST', 'vms', { cores: 1, ram: GIB / 4, method: 'KVM', interfaces: [{ networks: [{ network: 'mine-back' }] }] });
    expect(vm.status).toBe(201);
    expect((await other('POST', 'vms', { cores: 1, ram: GIB / 4, method: 'KVM', interfaces: [{ networks: [{ network: 'mine-back' }] }] })).status).toBe(422);
    expect((await acme('DELETE', 'networks/mine-back')).body['code']).toBe('in-use');
    expect((await acme('DELETE', `vms/${String(vm.body['uuid'])}`)).status).toBe(204);
    expect((await acme('DELETE', 'networks/mine-back')).status).toBe(204);
  });

  test('in bulk as one by one', async () => {
    const uuid = String(vms['other']!['uuid']);
    const update = await acme('POST', '/bulk', { operations: [{ op: 'update', noun: 'vm', key: uuid, body: { name: 'taken' } }] });
    expect(update.status).toBe(404);
    const several = Array.from({ length: 3 }, () => ({ op: 'create', noun: 'vm', body: { cores: 1, ram: GIB / 8, method: 'KVM' } }));
    const made = await acme('POST', '/bulk', { operations: several });
    expect(made.status).toBe(200);
    const { rows } = await corral.pool.query(`select distinct c.name from vm v left join customer c on c.id = v.customer_id where v.ram = ${GIB / 8}`);
    expect(rows).toEqual([{ name: 'mine' }]);
    const theirs = await acme('POST', '/bulk', { operations: several.map((one) => ({ ...one, body: { ...one.body, customer: 'other' } })) });
    expect(theirs.status).toBe(422);
  });
});

test('an operator of a site sees its hosts, and no others', async () => {
  await admin('POST', 'nodes', { fqdn: 'hv9.example.com', site: 'ham1', roles: { hypervisor: { methods: ['KVM'], cores: 4, ram: 8 * GIB } } });
  expect(((await site('GET', 'nodes')).body['nodes'] as Body[]).map((node) => node['fqdn'])).toEqual(['hv9.example.com']);
  expect((await site('GET', 'nodes/hv0.example.com')).status).toBe(404);
  expect((await site('PATCH', 'nodes/hv9.example.com', { location: 'rack 1' })).status).toBe(200);
  expect((await site('PATCH', 'nodes/hv9.example.com', { site: 'fra1' })).status).toBe(422);
  expect((await site('POST', 'tokens', { name: 'x', kind: 'admin' })).body['permission']).toBe('token:create');
});

test('a binding that goes takes its rights with it at once; a role of one’s own gives just what it lists', async () => {
  await corral.make('role', { name: 'lister', permissions: ['vm:read', 'customer:read'] });
  const lister = await program('lister', { role: 'lister' });
  expect((await lister('GET', 'vms')).status).toBe(200);
  expect((await lister('GET', 'volumes')).body['permission']).toBe('volume:read');
  expect((await lister('DELETE', `vms/${String(vms['acme']!['uuid'])}`)).body['permission']).toBe('vm:delete');
  expect((await admin('DELETE', 'roles/lister')).body['code']).toBe('in-use');
  expect((await admin('DELETE', 'bindings/lister')).status).toBe(204);
  expect((await lister('GET', 'vms')).status).toBe(403);
  expect((await admin('DELETE', 'roles/lister')).status).toBe(204);
});

test.each([
  [['*:*'], 'vm:read', true],
  [['*:read'], 'vm:read', true],
  [['*:read'], 'vm:update', false],
  [['vm:*'], 'vm:delete', true],
  [['vm:read'], '*:read', false],
  [['*:*', '!token:create'], 'token:create', false],
  [['*:*', '!token:create'], 'token:read', true],
  [['*:*', '!token:create'], '*:*', false],
  [['*:*', '!token:*'], '*:read', false],
  [['!vm:read'], 'vm:read', false],
  [['!vm:read', '*:*'], 'vm:read', false],
  [[], 'vm:read', false],
] as const)('%j has %s: %s', (permissions, wanted, expected) => {
  expect(includes(permissions, wanted)).toBe(expected);
});

test('nobody gives himself more than he has', async () => {
  await corral.make('role', { name: 'clerk', permissions: ['person:*', 'token:*', 'binding:*', 'role:*'] });
  const clerk = await program('clerk', { role: 'clerk' });
  for (const [method, path, body] of [
    ['POST', 'tokens', { name: 'mine', kind: 'admin' }],
    ['POST', 'tokens', { name: 'mine', kind: 'program' }],
    ['POST', 'tokens/admin/rotate', {}],
    ['POST', 'bindings', { name: 'mine', token: 'clerk', role: 'admin' }],
    ['PATCH', 'bindings/clerk', { role: 'admin' }],
    ['PATCH', 'roles/clerk', { permissions: ['*:*'] }],
    ['POST', 'people', { name: 'mine', admin: true }],
  ] as const) {
    const answer = await clerk(method, path, body);
    expect([path, answer.status, answer.body['permission']]).toEqual([path, 403, '*:*']);
  }
  expect((await clerk('POST', 'people', { name: 'plain' })).status).toBe(201);
  expect((await clerk('PATCH', 'people/plain', { admin: true })).status).toBe(403);
});
