/** Lists of classes: no write puts a node where it gets a class that its environment does not know. */
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { call, expectConsistent, GIB, hypervisors, type Answer } from './fleet.ts';

const corral = await testCorral();
const [HV1, HV2, HV3] = ['hv1.example.com', 'hv2.example.com', 'hv3.example.com'];

type Json = Record<string, unknown>;
const path = (route: string, key: string): string => `/api/v1/${route}/${key}`;
const patch = (route: string, key: string, body: Json, query = ''): Promise<Answer> => call(corral, 'PATCH', path(route, key) + query, body);
const made = async (noun: string, body: Json): Promise<void> => void (await corral.make(noun, body));
const knows = async (environment: string, ...classes: string[]): Promise<Answer> => call(corral, 'PUT', path('class-lists', environment), { classes });

/** What a refusal must say of class, layer, environment and node. */
async function refused(answer: Promise<Answer>, unknown: { class: string; layer: string; environment: string; node: string }, pointer?: string): Promise<void> {
  const { status, body } = await answer;
  expect([status, body.code]).toEqual([409, 'layer-conflict']);
  for (const name of Object.values(unknown)) expect(body.detail).toContain(name);
  const told = (body['refused_operations'] as Json[] | undefined)?.[0] ?? body;
  expect(told['unknown_classes']).toContainEqual(unknown);
  expect(body.errors?.map((one) => one.pointer) ?? []).toEqual(pointer === undefined ? [] : expect.arrayContaining([pointer]));
}

beforeAll(async () => {
  await hypervisors(corral, 3);
  await made('site', { name: 'ams1' });
  await made('ceph_cluster', { name: 'ceph', public_network: '192.0.2.0/24' });
  await made('customer', { name: 'acme' });
});

beforeEach(async () => {
  for (const route of ['layers', 'node-groups', 'class-lists', 'nodes']) {
    const { body } = await call(corral, 'GET', `/api/v1/${route}`);
    for (const row of body[route.replace('-', '_')] as Json[]) {
      if (route === 'nodes') expect((await patch('nodes', String(row['id']), { environment: 'production', site: 'fra1', manager: 'puppet' })).status).toBe(200);
      else expect((await call(corral, 'DELETE', path(route, String(row['id'])))).status).toBe(204);
    }
  }
});

describe('a node', () => {
  test('is not moved to an environment that lacks a class of its layers, nor is it planned, put or moved in bulk', async () => {
    await made('layer', { name: 'base', scope: 'everything', classes: { ntp: {}, 'profile::motd': {} } });
    await knows('production', 'ntp', 'profile::motd');
    await knows('testing', 'ntp');
    const unknown = { class: 'profile::motd', layer: 'base', environment: 'testing', node: HV1 };
    await refused(patch('nodes', HV1, { environment: 'testing' }), unknown, '/environment');
    await refused(patch('nodes', HV1, { environment: 'testing' }, '?dry_run=true'), unknown, '/environment');
    await refused(call(corral, 'PUT', path('nodes', HV1), { environment: 'testing' }), unknown, '/environment');
    const operations = [{ op: 'update', noun: 'node', key: HV1, body: { environment: 'testing' } }];
    await refused(call(corral, 'POST', '/bulk', { operations }), unknown, '/operations/0/body/environment');
    const several = [{ op: 'update', noun: 'node', key: HV2, body: { location: 'hall' } }, ...operations];
    await refused(call(corral, 'POST', '/bulk', { operations: several }), unknown, '/operations/1/body/environment');
    expect((await call(corral, 'GET', path('nodes', HV1))).body['environment']).toBe('production');
    /* One that has no list knows all, and one transaction may bring the class with the node. */
    expect((await patch('nodes', HV1, { environment: 'staging' })).status).toBe(200);
    const list = { op: 'update', noun: 'class_list', key: 'testing', body: { classes: ['ntp', 'profile::motd'] } };
    expect((await call(corral, 'POST', '/bulk', { operations: [...operations, list] })).status).toBe(200);
    await expectConsistent(corral);
  });

  test('is refused to an operator of its site without the name of a layer that he may not see', async () => {
    await made('layer', { name: 'quiet-layer', scope: 'everything', classes: { 'profile::motd': {} } });
    await knows('testing', 'ntp');
    const token = String((await corral.make('token', { name: 'fra1', kind: 'program' }))['token']);
    await made('binding', { name: 'fra1', token: 'fra1', role: 'operator', site: 'fra1' });
    const init = { method: 'PATCH', token, headers: { 'content-type': 'application/json' }, body: JSON.stringify({ environment: 'testing' }) };
    const answer = await corral.request(path('nodes', HV1), init);
    const text = await answer.text();
    expect([answer.status, text.includes('profile::motd'), text.includes('quiet-layer')]).toEqual([409, true, false]);
  });

  test('is not moved to a site, nor given a role or a new name, where layers would reach it with such a class', async () => {
    await knows('production', 'ntp');
    const layers: readonly Json[] = [
      { name: 'site', scope: 'site', site: 'ams1', classes: { 'a::site': {} } },
      { name: 'role', scope: 'role', role: 'ceph_osd', classes: { 'a::role': {} } },
      { name: 'group', scope: 'group', node_group: 'racks', classes: { 'a::group': {} } },
      { name: 'less', scope: 'group', node_group: 'bare', classes: { 'a::less': {} } },
    ];
    await made('node_group', { name: 'racks', selector: 'location__startswith=R1' });
    await made('node_group', { name: 'bare', selector: 'role__ne=ceph_mon&role=hypervisor&fqdn=hv3.example.com' });
    await made('ceph_mon_node', { node: HV3, ceph_cluster: 'ceph' });
    for (const one of layers) await made('layer', one);
    const of = (name: string): { class: string; layer: string; environment: string; node: string } => ({
      class: `a::${name}`,
      layer: name,
      environment: 'production',
      node: HV2,
    });
    await refused(patch('nodes', HV2, { site: 'ams1' }), of('site'), '/environment');
    await refused(patch('nodes', HV2, { location: 'R12' }), of('group'), '/environment');
    await refused(patch('nodes', HV2, { roles: { ceph_osd: { ceph_cluster: 'ceph' } } }), of('role'), '/environment');
    await refused(call(corral, 'POST', '/api/v1/ceph-osd-nodes', { node: HV2, ceph_cluster: 'ceph' }), of('role'));
    await refused(call(corral, 'DELETE', path('ceph-mon-nodes', HV3)), { ...of('less'), node: HV3 });
    await refused(patch('nodes', HV3, { roles: { ceph_mon: null } }), { ...of('less'), node: HV3 }, '/environment');
    const roles = { ceph_osd: { ceph_cluster: 'ceph' } };
    await refused(
      call(corral, 'POST', '/api/v1/nodes', { fqdn: 'new.example.com', site: 'fra1', roles }),
      { ...of('role'), node: 'new.example.com' },
      '/environment',
    );
    expect((await patch('nodes', HV2, { location: 'R2' })).status).toBe(200);
    await knows('production', 'ntp', 'a::less');
    expect((await call(corral, 'DELETE', path('ceph-mon-nodes', HV3))).status).toBe(204);
    await expectConsistent(corral);
  });

  test('of Salt may have any, until Puppet is to manage it', async () => {
    expect((await patch('nodes', HV1, { manager: 'salt' })).status).toBe(200);
    await knows('production', 'ntp');
    await made('layer', { name: 'states', scope: 'node', node: HV1, classes: { 'some::state': {} } });
    const unknown = { class: 'some::state', layer: 'states', environment: 'production', node: HV1 };
    await refused(patch('nodes', HV1, { manager: 'puppet' }), unknown, '/environment');
    expect((await patch('nodes', HV1, { location: 'hall' })).status).toBe(200);
    await call(corral, 'DELETE', path('layers', 'states'));
  });

  test('is not brought back by an undo, either', async () => {
    const roles = { hypervisor: { methods: ['KVM'], cores: 1, ram: GIB } };
    await made('node', { fqdn: 'gone.example.com', site: 'ams1', roles });
    await made('layer', { name: 'ams', scope: 'site', site: 'ams1', classes: { ntp: {} } });
    expect((await call(corral, 'DELETE', path('nodes', 'gone.example.com'))).status).toBe(204);
    const deletion = (await call(corral, 'GET', '/changes?limit=1')).body['changes'] as { number: number }[];
    await knows('production', 'other');
    const revert = (): Promise<Answer> => call(corral, 'POST', `/changes/${deletion[0]!.number}/revert`, {});
    await refused(revert(), { class: 'ntp', layer: 'ams', environment: 'production', node: 'gone.example.com' }, '/environment');
    await knows('production', 'other', 'ntp');
    expect((await revert()).status).toBe(201);
    await expectConsistent(corral);
  });
});

describe('a list that lacks classes which nodes have', () => {
  beforeEach(async () => {
    await made('layer', { name: 'base', scope: 'everything', classes: { ntp: {}, 'profile::motd': {} } });
    await made('layer', { name: 'elsewhere', scope: 'environment', environment: 'testing', classes: { 'profile::motd': {} } });
  });

  test('is taken, says which, and is flagged where a node is explained', async () => {
    const list = await knows('production', 'ntp');
    expect([list.status, list.body['lacking']]).toEqual([201, { 'profile::motd': ['base'] }]);
    expect((await knows('staging', 'ntp')).body['lacking']).toEqual({});
    const { body } = await call(corral, 'GET', `/nodes/${HV1}/explain/profile::motd`, undefined, { accept: 'application/json' });
    expect((body['values'] as Json[])[0]!['notes']).toEqual([expect.stringContaining('class list')]);
    const fine = await call(corral, 'GET', `/nodes/${HV1}/explain/ntp`, undefined, { accept: 'application/json' });
    expect((fine.body['values'] as Json[])[0]!['notes']).toEqual([]);
    const text = await (await corral.request(`/nodes/${HV1}/explain`, { headers: { accept: 'text/plain' } })).text();
    expect(text).toMatch(/^ {2}profile::motd +base +The class list/m);
    const again = await knows('production', 'ntp', 'profile::motd');
    expect(again.body['lacking']).toEqual({});
  });

  test('holds up no write that gives a node nothing new', async () => {
    await knows('production', 'ntp');
    for (const body of [{ location: 'hall 2' }, { environment: 'production', manager: 'puppet' }, { site: 'ams1' }])
      expect([body, (await patch('nodes', HV1, body)).status]).toEqual([body, 200]);
    expect((await patch('nodes', HV1, { environment: 'staging' })).status).toBe(200);
    await refused(
      patch('nodes', HV1, { environment: 'production' }),
      { class: 'profile::motd', layer: 'base', environment: 'production', node: HV1 },
      '/environment',
    );
  });
});

test('a customer’s virtual machine is not refused for a layer of the operators; its host is flagged', async () => {
  await knows('production', 'ntp');
  await made('layer', { name: 'acme', scope: 'customer', customer: 'acme', classes: { 'acme::agent': {} } });
  const vm = await call(corral, 'POST', '/api/v1/vms', { cores: 1, ram: GIB, method: 'KVM', customer: 'acme', hypervisor: HV2, volumes: [{ size: GIB }] });
  expect(vm.status).toBe(201);
  expect((await call(corral, 'GET', path('class-lists', 'production'))).body['lacking']).toEqual({ 'acme::agent': ['acme'] });
  expect((await patch('nodes', HV2, { location: 'hall 3' })).status).toBe(200);
  expect((await call(corral, 'DELETE', path('vms', String(vm.body['id'])))).status).toBe(204);
});

test('while nodes move, roles and layers change and lists come at once, no write leaves a node with a class that is not known', async () => {
  const classes = ['a', 'b', 'c', 'd'];
  const environments: Readonly<Record<string, readonly string[]>> = { production: classes, blue: ['a', 'b'], green: ['b', 'c'] };
  for (const [environment, known] of Object.entries(environments)) expect((await knows(environment, ...known)).status).toBe(201);
  await made('node_group', { name: 'osds', selector: 'role=ceph_osd&environment__ne=production' });
  for (const [name, scope] of [
    ['l0', { scope: 'everything' }],
    ['l1', { scope: 'site', site: 'ams1' }],
    ['l2', { scope: 'role', role: 'ceph_osd' }],
    ['l3', { scope: 'group', node_group: 'osds' }],
  ] as const)
    await made('layer', { name, ...scope, classes: {} });
  const hosts = [HV1, HV2, HV3];
  let seed = 7;
  const pick = <T>(from: readonly T[]): T => from[(seed = (seed * 48_271) % 2_147_483_647) % from.length]!;
  const statuses = new Map<number, number>();
  const told = new Set<unknown>();
  const say = ({ status, body }: Answer): void => {
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    if (status >= 400) told.add(body.code);
  };
  const times = async (n: number, work: () => Promise<Answer>): Promise<void> => {
    for (let i = 0; i < n; i++) say(await work());
  };
  await Promise.all([
    times(25, () => patch('nodes', pick(hosts), { environment: pick(Object.keys(environments)) })),
    times(25, () => patch('nodes', pick(hosts), { environment: pick(Object.keys(environments)), site: pick(['fra1', 'ams1']) })),
    times(25, () =>
      patch('layers', pick(['l0', 'l1', 'l2', 'l3']), { classes: Object.fromEntries(classes.filter(() => pick([true, false])).map((name) => [name, {}])) }),
    ),
    times(25, () => patch('layers', pick(['l0', 'l1', 'l2', 'l3']), { classes: { [pick(classes)]: {} } })),
    times(15, () => call(corral, 'POST', '/api/v1/ceph-osd-nodes', { node: pick(hosts), ceph_cluster: 'ceph' })),
    times(15, () => call(corral, 'DELETE', path('ceph-osd-nodes', pick(hosts)))),
    times(10, () => patch('node-groups', 'osds', { selector: pick(['role=ceph_osd', 'role__ne=ceph_osd', 'environment=blue']) })),
  ]);
  expect([...told].sort()).toEqual(expect.arrayContaining(['layer-conflict']));
  expect([...statuses.keys()].filter((status) => ![200, 201, 204, 404, 409].includes(status))).toEqual([]);
  expect(statuses.get(200)).toBeGreaterThan(10);
  const { body } = await call(corral, 'GET', '/api/v1/class-lists');
  for (const one of body['class_lists'] as Json[]) expect([one['environment'], one['lacking']]).toEqual([one['environment'], {}]);
  await expectConsistent(corral);
});
