import { beforeAll, describe, expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { call, documentNumbers, expectConsistent, GIB, hypervisors, refuses } from './fleet.ts';

const corral = await testCorral();
const [HV1, HV2, HV3, MON] = ['hv1.example.com', 'hv2.example.com', 'hv3.example.com', 'mon1.example.com'];
const SECRET = 'correct horse battery staple';

type Json = Record<string, unknown>;

const post = (noun: string, body: Json) => call(corral, 'POST', `/api/v1/${noun}`, body);
const layer = async (body: Json): Promise<void> => {
  const made = await post('layers', body);
  expect([made.status, made.body['detail']]).toEqual([201, undefined]);
};
const get = async (path: string): Promise<Json> => (await (await corral.request(path)).json()) as Json;
const hiera = (node: string): Promise<Json> => get(`/hiera/${node}`);
/** Nodes whose Hiera data have this key. */
const reached = async (key: string): Promise<string[]> => {
  const out: string[] = [];
  for (const node of [HV1, HV2, HV3, MON]) if (key in (await hiera(node))) out.push(node);
  return out;
};
/** The nodes whose documents a write changes. */
async function touchedBy(work: () => Promise<unknown>): Promise<string[]> {
  const before = await documentNumbers(corral);
  await work();
  const after = await documentNumbers(corral);
  return Object.keys(after)
    .filter((node) => after[node] !== before[node])
    .sort();
}

beforeAll(async () => {
  await hypervisors(corral, 2);
  await corral.make('site', { name: 'ams1' });
  await corral.make('node', { fqdn: HV3, site: 'ams1', environment: 'staging', roles: { hypervisor: { methods: ['KVM'], cores: 8, ram: 64 * GIB } } });
  await corral.make('pool_attachment', { hypervisor: HV3, storage_pool: 'local' });
  await corral.make('ceph_cluster', { name: 'ceph', public_network: '192.0.2.0/24' });
  await corral.make('node', { fqdn: MON, site: 'fra1', roles: { ceph_mon: { ceph_cluster: 'ceph' } } });
  for (const name of ['acme', 'globex']) await corral.make('customer', { name });
});

describe('a layer reaches', () => {
  test.each([
    ['everything', {}, [HV1, HV2, HV3, MON]],
    ['site', { site: 'ams1' }, [HV3]],
    ['environment', { environment: 'production' }, [HV1, HV2, MON]],
    ['role', { role: 'ceph_mon' }, [MON]],
    ['customer', { customer: 'acme' }, []],
    ['node', { node: HV2 }, [HV2]],
  ])('%s, and a write touches exactly those nodes', async (scope, target, nodes) => {
    const body = { name: `reach-${scope}`, scope, ...target, data: { [`reach_${scope}`]: scope } };
    expect(await touchedBy(() => layer(body))).toEqual(nodes);
    expect(await reached(`reach_${scope}`)).toEqual(nodes);
    expect(await touchedBy(() => call(corral, 'PATCH', `/api/v1/layers/reach-${scope}`, { description: 'no data' }))).toEqual([]);
    expect(await touchedBy(() => call(corral, 'PATCH', `/api/v1/layers/reach-${scope}`, { data: { [`reach_${scope}`]: 2 } }))).toEqual(nodes);
    expect(await touchedBy(() => call(corral, 'DELETE', `/api/v1/layers/reach-${scope}`))).toEqual(nodes);
    expect(await reached(`reach_${scope}`)).toEqual([]);
    await expectConsistent(corral);
  });

  test('the nodes before and after when it is attached elsewhere', async () => {
    await layer({ name: 'wander', scope: 'site', site: 'ams1', data: { wander: 1 } });
    expect(await touchedBy(() => call(corral, 'PATCH', '/api/v1/layers/wander', { scope: 'node', node: MON }))).toEqual([HV3, MON].sort());
    expect((await get('/api/v1/layers/wander'))['site']).toBe(null);
    expect(await touchedBy(() => call(corral, 'PATCH', '/api/v1/layers/wander', { node: HV1 }))).toEqual([HV1, MON].sort());
    await refuses(call(corral, 'PATCH', '/api/v1/layers/wander', { site: 'fra1' }), 422, 'invalid', '/site');
    await refuses(call(corral, 'PATCH', '/api/v1/layers/wander', { scope: 'site' }), 422, 'invalid', '/site');
    await refuses(call(corral, 'PATCH', '/api/v1/layers/wander', { node: null }), 422, 'invalid', '/node');
    expect((await call(corral, 'PATCH', '/api/v1/layers/wander', { scope: 'everything' })).status).toBe(200);
    expect((await call(corral, 'DELETE', '/api/v1/layers/wander')).status).toBe(204);
    await refuses(post('layers', { name: 'bad', scope: 'everything', site: 'fra1' }), 422, 'invalid', '/site');
    await refuses(post('layers', { name: 'bad', scope: 'group' }), 422, 'invalid', '/node_group');
  });

  test('hosts of a customer while they run a machine of theirs', async () => {
    await layer({ name: 'acme', scope: 'customer', customer: 'acme', data: { acme_rate: 5 } });
    const made = await post('vms', { name: 'a', cores: 1, ram: GIB, method: 'KVM', hypervisor: HV1, customer: 'acme', state: 'stopped' });
    expect(made.status).toBe(201);
    expect(await reached('acme_rate')).toEqual([HV1]);
    const id = String(made.body['id']);
    await call(corral, 'PATCH', `/api/v1/vms/${id}`, { customer: 'globex' });
    expect(await reached('acme_rate')).toEqual([]);
    await call(corral, 'PATCH', `/api/v1/vms/${id}`, { customer: 'acme' });
    expect(await reached('acme_rate')).toEqual([HV1]);
    expect((await call(corral, 'DELETE', `/api/v1/vms/${id}`)).status).toBe(204);
    expect(await reached('acme_rate')).toEqual([]);
    await refuses(call(corral, 'DELETE', '/api/v1/customers/acme'), 409, 'in-use');
    await call(corral, 'DELETE', '/api/v1/layers/acme');
    await expectConsistent(corral);
  });
});

describe('a node group', () => {
  const group = (name: string, selector: string) => post('node-groups', { name, selector });

  test('has the members that the list of nodes shows for its selector', async () => {
    const selectors = [
      'site=fra1&role=hypervisor',
      'role__ne=hypervisor',
      'role__in=ceph_mon,ceph_osd',
      'fqdn__startswith=hv',
      'environment=staging',
      'manager__ne=salt&state=running',
      'q=hv2',
      'location__null=true',
    ];
    for (const [i, selector] of selectors.entries()) {
      expect([selector, (await group(`g${i}`, selector)).status]).toEqual([selector, 201]);
      await layer({ name: `g${i}`, scope: 'group', node_group: `g${i}`, data: { [`g${i}`]: i } });
      const listed = (await get(`/api/v1/nodes?${selector}`))['nodes'] as { fqdn: string }[];
      expect([selector, await reached(`g${i}`)]).toEqual([selector, listed.map((one) => one.fqdn).sort()]);
    }
    await expectConsistent(corral);
    for (const i of selectors.keys()) await call(corral, 'DELETE', `/api/v1/layers/g${i}`);
  });

  test.each([
    ['colour=red', /'colour' is not a filter of nodes.*at character 1/],
    ['site=fra1&status=failed', /'status'.*at character 11.*without a write/],
    ['up_to_date=true', /without a write/],
    ['site=fra1&sort=fqdn', /'sort'.*chooses no nodes/],
    ['site=nowhere', /there is no site 'nowhere'/],
    ['role=king', /must be one of hypervisor/],
    ['facts.cores__gt=many', /number/],
    ['facts=1', /not a filter/],
    ['site=fra1&&role=hypervisor', /empty filter at character 11/],
    ['%73ite=fra1', /plainly/],
    ['?site=fra1', /must not begin/],
  ])('%s is refused', async (selector, message) => {
    const answer = await group('bad', selector);
    await refuses(answer, 422, 'invalid', '/selector');
    expect(answer.body.detail).toMatch(message);
  });

  test('follows the node, its roles, the site, and its own selector', async () => {
    expect((await group('moving', 'site=ams1&role=hypervisor')).status).toBe(201);
    await layer({ name: 'moving', scope: 'group', node_group: 'moving', data: { moving: true } });
    expect(await reached('moving')).toEqual([HV3]);
    await call(corral, 'PATCH', `/api/v1/nodes/${HV1}`, { site: 'ams1' });
    expect(await reached('moving')).toEqual([HV1, HV3]);
    await call(corral, 'PATCH', `/api/v1/nodes/${MON}`, { site: 'ams1', roles: { hypervisor: { methods: ['KVM'], cores: 1, ram: GIB } } });
    expect(await reached('moving')).toEqual([HV1, HV3, MON]);
    await call(corral, 'PATCH', `/api/v1/nodes/${MON}`, { site: 'fra1', roles: { hypervisor: null } });
    await call(corral, 'PATCH', `/api/v1/nodes/${HV1}`, { site: 'fra1' });
    expect(await touchedBy(() => call(corral, 'PATCH', '/api/v1/node-groups/moving', { selector: `fqdn=${HV2}` }))).toEqual([HV2, HV3]);
    expect(await touchedBy(() => call(corral, 'PATCH', '/api/v1/node-groups/moving', { description: 'same' }))).toEqual([]);
    await refuses(call(corral, 'DELETE', '/api/v1/node-groups/moving'), 409, 'in-use');
    await call(corral, 'DELETE', '/api/v1/layers/moving');
    await expectConsistent(corral);
  });

  test('follows the facts that a host reports', async () => {
    expect((await group('debian', 'facts.os__startswith=Debian&facts.cores__gte=8')).status).toBe(201);
    await layer({ name: 'debian', scope: 'group', node_group: 'debian', data: { debian: true } });
    const beat = async (cores: number | null): Promise<void> => {
      const answer = await call(corral, 'POST', '/heartbeats', { node: HV2, observation: { facts: { cores, os: 'Debian GNU/Linux 12' } } });
      expect([answer.status, answer.body.detail]).toEqual([200, undefined]);
    };
    await beat(4);
    expect(await reached('debian')).toEqual([]);
    expect(await touchedBy(() => beat(8))).toEqual([HV2]);
    expect(await reached('debian')).toEqual([HV2]);
    expect(((await get('/api/v1/nodes?facts.cores=8'))['nodes'] as { fqdn: string }[]).map((one) => one.fqdn)).toEqual([HV2]);
    expect((await corral.request('/api/v1/nodes?facts.=8')).status).toBe(400);
    await call(corral, 'DELETE', '/api/v1/layers/debian');
    expect(await touchedBy(() => beat(2))).toEqual([]);
    await expectConsistent(corral);
  });
});

describe('documents', () => {
  beforeAll(async () => {
    await layer({
      name: 'base',
      scope: 'everything',
      classes: { ntp: { servers: ['192.0.2.1'], iburst: true } },
      parameters: { tier: 'gold' },
      data: { motd: 'hello %{facts.fqdn}', users: ['ops'], limits: { soft: 1, hard: { a: 1 } } },
      merge: { users: 'unique', limits: 'deep' },
    });
    await layer({
      name: 'fra1',
      scope: 'site',
      site: 'fra1',
      classes: { ntp: { servers: ['192.0.2.9'] }, 'profile::fra': {} },
      data: { users: ['fra', 'ops'], limits: { hard: { b: 2 } } },
      secrets: { db_password: SECRET, token: 'a%{b}' },
    });
    await layer({ name: 'hv1', scope: 'node', node: HV1, parameters: { tier: 'iron' }, data: { motd: 'mine' } });
  });

  test('of Puppet have the classes, parameters and keys', async () => {
    const enc = await get(`/enc/${HV1}.json`);
    expect(enc['classes']).toEqual({ corral: {}, 'corral::hypervisor': {}, ntp: { servers: ['192.0.2.9'], iburst: true }, 'profile::fra': {} });
    expect(Object.keys(enc['classes'] as Json)[0]).toBe('corral');
    expect(enc['parameters']).toMatchObject({ tier: 'iron', corral_node: HV1 });
    const data = await hiera(HV1);
    expect(data).toMatchObject({
      motd: 'mine',
      users: ['fra', 'ops'],
      limits: { soft: 1, hard: { a: 1, b: 2 } },
      db_password: SECRET,
      token: "a%{literal('%')}{b}",
    });
    expect(data['lookup_options']).toMatchObject({
      users: { merge: { strategy: 'unique' } },
      limits: { merge: { strategy: 'deep' } },
      db_password: { convert_to: 'Sensitive' },
    });
    expect((await hiera(HV3))['motd']).toBe('hello %{facts.fqdn}');
    expect(await reached('db_password')).toEqual([HV1, HV2, MON]);
  });

  test('of Salt have keys at the top and states', async () => {
    const pillar = await get(`/pillar/${HV1}`);
    expect(pillar).toMatchObject({ motd: 'mine', db_password: SECRET, token: 'a%{b}', corral: { node: HV1, parameters: { tier: 'iron' } } });
    expect(Object.keys(pillar['corral'] as Json)).not.toContain('data');
    expect(((await get(`/tops/${HV1}`)) as Record<string, string[]>)['base']).toEqual(['corral', 'corral.hypervisor', 'ntp', 'profile.fra']);
  });

  test('are sealed where they hold secrets, which are shown nowhere', async () => {
    const xml = (await corral.pool.query<{ xml: string }>(`select database_to_xml(true, true, '')::text as xml`)).rows[0]!.xml;
    expect(xml.includes(SECRET) || xml.includes(Buffer.from(SECRET).toString('base64').slice(0, -2))).toBe(false);
    for (const path of ['layers', 'layers/fra1', 'layers/fra1.html', 'layers?include=site', 'sites?include=layers', 'layers?q=fra1', 'changes', 'changes.html'])
      expect([path, (await (await corral.request(`/api/v1/${path}`)).text()).includes(SECRET)]).toEqual([path, false]);
    expect(await (await corral.request('/forms/layers/fra1')).text()).not.toContain(SECRET);
    const made = (
      await corral.pool.query<{ number: string }>(`select c.number from change c join change_row r on r.change_id = c.id where r.after ->> 'name' = 'fra1'`)
    ).rows[0]!;
    for (const path of [
      '/changes',
      `/changes/${made.number}`,
      `/changes/${made.number}.html`,
      `/nodes/${HV1}/explain`,
      `/nodes/${HV1}/explain.html`,
      `/nodes/${HV1}/explain/db_password`,
    ]) {
      const answer = await corral.request(path);
      expect([path, answer.status, (await answer.text()).includes(SECRET)]).toEqual([path, 200, false]);
    }
    const plan = await call(corral, 'PATCH', '/api/v1/layers/fra1?dry_run=true', { secrets: { db_password: 'planned secret' } });
    expect([plan.status, /planned secret|battery/.test(JSON.stringify(plan.body))]).toEqual([200, false]);
    expect((await get('/api/v1/layers/fra1'))['secret_keys']).toEqual(['db_password', 'token']);
    for (const query of ['secrets=x', 'sort=secrets', 'fields=secrets'])
      expect([query, (await corral.request(`/api/v1/layers?${query}`)).status]).toEqual([query, 400]);
  });

  test('get another secret when it is changed; what is not given stays, null removes', async () => {
    const patch = (secrets: Json) => call(corral, 'PATCH', '/api/v1/layers/fra1', { secrets });
    expect(await touchedBy(() => patch({ db_password: SECRET }))).toEqual([]);
    const { body } = await patch({ db_password: SECRET });
    expect((await patch({ db_password: SECRET })).body['version']).toBe(body['version']);
    expect(await touchedBy(() => patch({ db_password: 'other', extra: { deep: [1] } }))).toEqual([HV1, HV2, MON]);
    expect(await hiera(HV2)).toMatchObject({ db_password: 'other', extra: { deep: [1] }, token: "a%{literal('%')}{b}" });
    await patch({ extra: null });
    expect((await get('/api/v1/layers/fra1'))['secret_keys']).toEqual(['db_password', 'token']);
    await expectConsistent(corral);
  });

  test('lose what the layer of a node gave with the node, and keep a renamed layer’s secrets', async () => {
    expect((await call(corral, 'PATCH', '/api/v1/layers/fra1', { name: 'frankfurt' })).status).toBe(200);
    expect((await hiera(HV2))['db_password']).toBe('other');
    await corral.make('node', { fqdn: 'gone.example.com', site: 'ams1', roles: { hypervisor: { methods: ['KVM'], cores: 1, ram: GIB } } });
    await layer({ name: 'gone', scope: 'node', node: 'gone.example.com', data: { gone: 1 } });
    expect((await call(corral, 'DELETE', '/api/v1/nodes/gone.example.com')).status).toBe(204);
    expect((await corral.request('/api/v1/layers/gone')).status).toBe(404);
  });
});
