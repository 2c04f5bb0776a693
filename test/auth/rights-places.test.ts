/** What is seen by those whose rights hold for a site or a project: of its hosts all that they report, of its customer the networks. */
import { beforeAll, describe, expect, test } from 'vitest';
import { GIB } from '../http/samples.ts';
import { testCorral, type TestCorral } from '../support/corral.ts';
import { puppetReport } from './matrix.fleet.ts';

type Body = Record<string, unknown>;
interface Answer {
  readonly status: number;
  readonly body: Body;
  readonly text: string;
}
type Client = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>;

const HAM = 'hv1.ham.example.com';
const MUC = 'hv1.muc.example.com';
let corral: TestCorral;
let admin: Client;
const vms: Record<string, Body> = {};

const client =
  (token: string): Client =>
  async (method, path, body, headers = {}) => {
    const init = body === undefined ? { headers } : { body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } };
    const answer = await corral.request(path.startsWith('/') ? path : `/api/v1/${path}`, { method, token, ...init });
    const text = await answer.text();
    const isJson = answer.headers.get('content-type')?.includes('json') ?? false;
    return { status: answer.status, text, body: isJson && text !== '' ? (JSON.parse(text) as Body) : {} };
  };

async function program(name: string, ...bindings: readonly Body[]): Promise<Client> {
  const token = String((await corral.make('token', { name, kind: 'program' }))['token']);
  for (const [i, binding] of bindings.entries()) await corral.make('binding', { name: `${name}-${i}`, token: name, ...binding });
  return client(token);
}

const rows = (answer: Answer): Body[] => Object.values(answer.body).find(Array.isArray) as Body[];
const ids = (answer: Answer): unknown[] => rows(answer).map((row) => row['id']);

async function reported(node: string): Promise<void> {
  const send = async (path: string, body: string, type: string): Promise<void> => {
    const answer = await corral.request(path, { method: 'POST', body, headers: { 'content-type': type } });
    expect([path, answer.status, await answer.text()]).toEqual([path, 200, expect.any(String)]);
  };
  await send('/reports/puppet', puppetReport(node), 'application/x-yaml');
  const observation = { facts: { cores: 4 }, things: { volume: { [`disk-of-${node}`]: { state: 'present' } } } };
  await send('/heartbeats', JSON.stringify({ node, domains: { stranger: { state: 'running' } }, observation }), 'application/json');
}

beforeAll(async () => {
  corral = await testCorral();
  admin = client('corral_admin_for_tests_only');
  await corral.make('network', { name: 'lan', is_default: true });
  await corral.make('storage_pool', { name: 'local', kind: 'dir', is_default: true });
  await corral.make('ceph_cluster', { name: 'ceph', public_network: '192.0.2.0/24' });
  await corral.make('customer', { name: 'mine' });
  await corral.make('customer', { name: 'other' });
  for (const [site, node] of [
    ['ham', HAM],
    ['muc', MUC],
  ] as const) {
    await corral.make('site', { name: site });
    const roles = { hypervisor: { methods: ['KVM'], cores: 64, ram: 64 * GIB }, ceph_mon: { ceph_cluster: 'ceph' } };
    await corral.make('node', { fqdn: node, site, roles });
    await corral.make('pool_attachment', { hypervisor: node, storage_pool: 'local' });
    vms[site] = await corral.make('vm', {
      name: `vm-${site}`,
      method: 'KVM',
      cores: 1,
      ram: GIB,
      hypervisor: node,
      customer: 'mine',
      volumes: [{ size: GIB }],
    });
    await corral.make('volume', { name: `gone-${site}`, hypervisor: node, storage_pool: 'local', size: GIB, type: 'raw' });
    expect((await admin('DELETE', `volumes/gone-${site}`)).status).toBe(204);
    await reported(node);
  }
  await corral.make('ceph_pool', { ceph_cluster: 'ceph', name: 'vms' });
});

describe('a site', () => {
  let viewer: Client;
  let operator: Client;
  beforeAll(async () => {
    viewer = await program('site-viewer', { role: 'viewer', site: 'ham' });
    operator = await program('site-operator', { role: 'operator', site: 'ham' });
  });

  test.each(['reports', 'node-facts', 'observations', 'tombstones'])(
    'has the %s of its own hosts, in lists, counts, filters, sort orders and by key',
    async (route) => {
      const theirs = rows(await admin('GET', `${route}?node=${MUC}`));
      const own = rows(await admin('GET', `${route}?node=${HAM}`));
      expect([own.length > 0, theirs.length > 0]).toEqual([true, true]);
      for (const site of [viewer, operator]) {
        const all = await site('GET', `${route}?total=true&sort=-node,id`);
        expect([all.status, all.body['total']]).toEqual([200, own.length]);
        expect(ids(all).sort()).toEqual(own.map((row) => row['id']).sort());
        expect(ids(await site('GET', `${route}?node=${HAM}`))).toHaveLength(own.length);
        for (const query of [`node=${MUC}`, `node__in=${MUC}`, `node__contains=muc`, `id=${String(theirs[0]!['id'])}`, 'q=muc'])
          expect([query, rows(await site('GET', `${route}?${query}`))]).toEqual([query, []]);
        expect(rows(await site('GET', `${route}?node__ne=${HAM}`))).toEqual([]);
        const one = await site('GET', `${route}/${String(own[0]!['id'])}?include=node`);
        expect([one.status, one.body['node']]).toMatchObject([200, { fqdn: HAM }]);
        expect((await site('GET', `${route}/${String(theirs[0]!['id'])}`)).status).toBe(404);
        const page = await site('GET', route, undefined, { accept: 'text/html' });
        expect([page.status, page.text.includes(MUC)]).toEqual([200, false]);
      }
    },
  );

  test('has them on the pages of its hosts and in what they include', async () => {
    const { body } = await viewer('GET', `nodes/${HAM}?include=reports,observations,tombstones,node_facts,convergence`);
    expect(body).toMatchObject({ reports: [{ node: HAM }], tombstones: [{ node: HAM }], convergence: { node: HAM } });
    const page = await viewer('GET', `nodes/${HAM}`, undefined, { accept: 'text/html' });
    expect([page.status, page.text.includes('stranger'), page.text.includes(MUC)]).toEqual([200, true, false]);
    const report = rows(await viewer('GET', 'reports'))[0]!;
    expect((await viewer('GET', `reports/${String(report['id'])}`, undefined, { accept: 'text/html' })).text).toContain(HAM);
  });

  test('writes none of it, but lets go of a tombstone of its own', async () => {
    for (const route of ['reports', 'node-facts', 'observations'])
      for (const method of ['PATCH', 'DELETE']) expect((await operator(method, `${route}/1`, method === 'PATCH' ? {} : undefined)).status).toBe(405);
    const [own] = ids(await admin('GET', `tombstones?node=${HAM}`));
    const [theirs] = ids(await admin('GET', `tombstones?node=${MUC}`));
    expect((await viewer('DELETE', `tombstones/${String(own)}`)).body['permission']).toBe('tombstone:delete');
    expect((await operator('DELETE', `tombstones/${String(theirs)}?dry_run=true`)).status).toBe(404);
    expect((await operator('DELETE', `tombstones/${String(own)}?dry_run=true`)).status).toBe(200);
  });

  test('sees how far its own hosts are, with one thing, in lists, and all together', async () => {
    for (const site of [viewer, operator]) {
      const own = await site('GET', `vms/${String(vms['ham']!['id'])}/convergence`);
      expect([own.status, own.body['node']]).toEqual([200, HAM]);
      expect((await site('GET', `vms/${String(vms['muc']!['id'])}/convergence`)).status).toBe(404);
      expect((await site('GET', `nodes/${MUC}/convergence`)).status).toBe(404);
      const list = await site('GET', 'nodes?include=convergence');
      expect(rows(list)).toMatchObject([{ fqdn: HAM, convergence: { node: HAM } }]);
      expect((await site('GET', `vms/${String(vms['ham']!['id'])}?wait=converged&timeout=0`)).body['convergence']).toMatchObject({ node: HAM });
      const { body, text } = await site('GET', '/', undefined, { accept: 'application/json' });
      expect(Object.values(body['node_status'] as Record<string, number>).reduce((sum, n) => sum + n, 0)).toBe(1);
      expect(text).not.toContain('muc');
      expect((await site('GET', '/', undefined, { accept: 'text/html' })).text).toContain('/api/v1/nodes?status=');
    }
    expect(Object.values((await admin('GET', '/', undefined, { accept: 'application/json' })).body['node_status'] as Record<string, number>)).toEqual([2]);
  });

  test('of a thing that hosts of several sites build, sees its own host only', async () => {
    expect((await admin('GET', 'ceph-pools/ceph:vms/convergence')).body['hosts']).toHaveLength(2);
    const seen = await viewer('GET', 'ceph-pools/ceph:vms/convergence');
    expect([seen.status, seen.body['node'], seen.body['hosts']]).toEqual([200, HAM, undefined]);
    expect(seen.text).not.toContain('muc');
    expect(rows(await viewer('GET', 'ceph-pools?include=convergence'))).toMatchObject([{ convergence: { node: HAM } }]);
  });

  test('is not told the name of the host elsewhere that holds a virtual machine of its own', async () => {
    const { rows: nodes } = await corral.pool.query<{ id: string }>('select id from node where fqdn = $1', [MUC]);
    await corral.pool.query(`insert into tombstone (node_id, kind, name, detail) values ($1, 'domain', $2, '{}')`, [
      nodes[0]!.id,
      `vm-${String(vms['ham']!['id'])}`,
    ]);
    const path = `vms/${String(vms['ham']!['id'])}/convergence`;
    expect((await admin('GET', path)).body).toMatchObject({ state: 'held', why_not: `It waits until ${MUC} has removed it` });
    expect((await viewer('GET', path)).body).toMatchObject({ state: 'held', why_not: 'It waits until another host has removed it' });
  });

  test('together with a customer gives no host of another site away', async () => {
    const both = await program('both', { role: 'viewer', site: 'ham' }, { role: 'customer-user', customer: 'mine' });
    const list = await both('GET', 'vms?include=convergence&sort=name');
    expect(rows(list)).toMatchObject([
      { name: 'vm-ham', convergence: { node: HAM } },
      { name: 'vm-muc', convergence: null },
    ]);
    const muc = `vms/${String(vms['muc']!['id'])}`;
    const refused = await both('GET', `${muc}/convergence`);
    expect([refused.status, refused.body['permission']]).toEqual([403, 'node:read']);
    const waited = await both('GET', `${muc}?wait=converged&timeout=600`);
    expect([waited.status, waited.body['convergence']]).toEqual([200, undefined]);
    const page = await both('GET', muc, undefined, { accept: 'text/html' });
    for (const answer of [list, refused, waited, page]) expect(answer.text).not.toContain(MUC);
  });

  test('is nothing to a customer, whatever his role may read', async () => {
    const customer = await program('customer-viewer', { role: 'viewer', customer: 'mine' });
    for (const route of ['reports', 'node-facts', 'observations', 'tombstones']) expect((await customer('GET', route)).status).toBe(403);
    expect((await customer('GET', `vms/${String(vms['ham']!['id'])}/convergence`)).status).toBe(403);
    expect((await customer('GET', 'vms?include=convergence')).status).toBe(400);
    expect((await customer('GET', '/', undefined, { accept: 'application/json' })).body['node_status']).toBeUndefined();
  });
});

describe('a project', () => {
  let web: Client;
  let lead: Client;
  let shop: Client;
  const vm = { cores: 1, ram: GIB / 4, method: 'KVM' };
  const theirs: Record<string, Body> = {};

  beforeAll(async () => {
    for (const [customer, project, n] of [
      ['mine', 'web', 1],
      ['mine', 'shop', 2],
      ['other', 'web', 3],
    ] as const) {
      await corral.make('project', { customer, name: project });
      if (project !== 'shop') {
        await corral.make('network', { name: `${customer}-back`, customer, kind: 'vxlan', vxlan_id: n });
        await corral.make('subnet', { network: `${customer}-back`, cidr: `10.${n}.0.0/28` });
      }
    }
    web = await program('web', { role: 'customer-user', project: 'mine:web' });
    lead = await program('lead', { role: 'customer-admin', project: 'mine:web' });
    shop = await program('shop', { role: 'customer-user', project: 'mine:shop' });
    for (const project of ['mine:shop', 'other:web'])
      theirs[project] = await corral.make('vm', {
        ...vm,
        name: project.replace(':', '-'),
        project,
        interfaces: [{ networks: [{ network: `${project.split(':')[0]}-back` }] }],
      });
  });

  test('sees the networks and subnets of its customer, and of no other', async () => {
    for (const user of [web, lead, shop]) {
      expect(rows(await user('GET', 'networks?sort=name')).map((one) => one['name'])).toEqual(['lan', 'mine-back']);
      expect((await user('GET', 'networks/mine-back?include=subnets')).body).toMatchObject({ customer: 'mine', subnets: [{ cidr: '10.1.0.0/28' }] });
      expect(rows(await user('GET', 'subnets'))).toMatchObject([{ cidr: '10.1.0.0/28', network: 'mine-back' }]);
      for (const path of ['networks/other-back', 'subnets/10.3.0.0%2F28']) expect([path, (await user('GET', path)).status]).toEqual([path, 404]);
      for (const path of ['networks?q=other', 'networks?customer=other', 'subnets?network=other-back', 'subnets?network__contains=other'])
        expect([path, rows(await user('GET', path))]).toEqual([path, []]);
    }
  });

  test('puts virtual machines and cards into them, and gets addresses that are free', async () => {
    const made = await web('POST', 'vms', { ...vm, name: 'in', interfaces: [{ networks: [{ network: 'mine-back' }] }] });
    expect([made.status, made.body['customer'], made.body['project']]).toEqual([201, 'mine', 'mine:web']);
    const id = String(made.body['id']);
    expect(rows(await web('GET', 'addresses'))).toMatchObject([{ subnet: '10.1.0.0/28', vm_interface: `${id}-0` }]);
    expect(rows(await web('GET', `network-memberships?network=mine-back`))).toMatchObject([{ vm_interface: `${id}-0` }]);
    const card = await web('POST', 'vm-interfaces', { vm: Number(id) });
    const joined = await web('POST', 'network-memberships', { vm_interface: `${id}-1`, network: 'mine-back', tagged: false });
    expect([card.status, joined.status, joined.body['network']]).toEqual([201, 201, 'mine-back']);
    const several = Array.from({ length: 2 }, () => ({ op: 'create', noun: 'vm', body: { ...vm, interfaces: [{ networks: [{ network: 'mine-back' }] }] } }));
    expect((await web('POST', '/bulk', { operations: several })).status).toBe(200);
    const other = await web('POST', 'vms', { ...vm, interfaces: [{ networks: [{ network: 'other-back' }] }] });
    const nobodys = await web('POST', 'vms', { ...vm, interfaces: [{ networks: [{ network: 'nobodys' }] }] });
    expect([other.status, other.body['detail']]).toEqual([422, String(nobodys.body['detail']).replace('nobodys', 'other-back')]);
  });

  test('learns of the customer’s other projects nothing by it', async () => {
    const hidden = theirs['mine:shop']!;
    const address = String(rows(await admin('GET', `addresses?vm_interface=${String(hidden['id'])}-0`))[0]!['address']);
    for (const path of [
      'networks/mine-back?include=network_memberships',
      'subnets/10.1.0.0%2F28?include=addresses',
      'addresses',
      'network-memberships',
      'vms',
      'vm-interfaces',
    ]) {
      const answer = await web('GET', path);
      expect([path, answer.status, answer.text.includes(`"${String(hidden['id'])}-0"`), answer.text.includes(`"${address}"`)]).toEqual([
        path,
        200,
        false,
        false,
      ]);
    }
    const page = await web('GET', 'networks/mine-back', undefined, { accept: 'text/html' });
    expect([page.status, page.text.includes(`${String(hidden['id'])}-0`)]).toEqual([200, false]);
    /* Which addresses others have would be told by refusals. */
    const ask = async (one: string): Promise<string> => {
      const { status, body } = await web('POST', 'vms', { ...vm, interfaces: [{ networks: [{ network: 'mine-back' }], addresses: [one] }] });
      return `${status} ${String(body['detail'])}`;
    };
    expect(await ask(address)).toBe(await ask('10.1.0.14'));
  });

  test('writes neither the networks nor the customer, whatever the role', async () => {
    const operator = await program('project-operator', { role: 'operator', project: 'mine:web' });
    for (const user of [lead, operator]) {
      for (const [method, path, body] of [
        ['PATCH', 'networks/mine-back', { name: 'mine-front' }],
        ['DELETE', 'networks/mine-back', undefined],
        ['POST', 'networks', { name: 'mine-new' }],
        ['POST', 'networks', { name: 'mine-new', customer: 'mine' }],
        ['PATCH', 'subnets/10.1.0.0%2F28', { description: 'x' }],
        ['DELETE', 'subnets/10.1.0.0%2F28', undefined],
        ['POST', 'subnets', { network: 'mine-back', cidr: '10.9.0.0/28' }],
        ['PATCH', 'customers/mine', { quota_vms: 1000 }],
        ['PATCH', 'customers/mine', { title: 'Mine' }],
        ['DELETE', 'customers/mine', undefined],
      ] as const)
        expect([method, path, (await user(method, path, body)).status]).toEqual([method, path, 403]);
      for (const [method, path, body] of [
        ['PATCH', 'networks/other-back', { name: 'x' }],
        ['DELETE', 'networks/other-back', undefined],
      ] as const)
        expect([method, path, [403, 404].includes((await user(method, path, body)).status)]).toEqual([method, path, true]);
    }
    expect((await lead('PATCH', 'networks/other-back', { name: 'x' })).status).toBe(404);
  });

  test('has its rights to them no longer when the binding goes', async () => {
    expect((await shop('GET', 'networks/mine-back')).status).toBe(200);
    expect((await admin('DELETE', 'bindings/shop-0')).status).toBe(204);
    expect((await shop('GET', 'networks/mine-back')).status).toBe(403);
  });
});
