import { decode } from '@msgpack/msgpack';
import { applyPatch } from 'rfc6902';
import { describe, expect, test } from 'vitest';
import type { Plan } from '../../src/db/plan.ts';
import { call, documentNumbers, GIB, hypervisors } from '../modules/fleet.ts';
import { testCorral } from '../support/corral.ts';
import { apply, dryRun, withDryRun, type Dry } from './plan-support.ts';

const corral = await testCorral();
const [one, two] = (await hypervisors(corral, 2)) as [string, string];
const vm = (input: object = {}): object => ({ method: 'KVM', cores: 2, cores_max: 8, ram: GIB, name: 'web', hypervisor: one, ...input });
const post = (path: string, body: object) => call(corral, 'POST', path, body);
const made = async (input: object = {}): Promise<string> => `/api/v1/vms/${String((await post('/api/v1/vms', vm(input))).body['id'])}`;

describe('what a plan says', () => {
  test('of a creation: rows, the document, and what its host does', async () => {
    const { plan, status, answer } = await dryRun(corral, 'POST', '/api/v1/vms', vm());
    expect(status).toBe(201);
    expect(answer).toMatchObject({ name: 'web', hypervisor: one, state: 'running' });
    expect(plan.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(plan.rows.map((row) => `${row.op} ${row.noun}`).sort()).toEqual([
      'create network_membership',
      'create vm',
      'create vm_interface',
      'create volume',
      'update address',
    ]);
    expect(plan.rows.find((row) => row.noun === 'vm')).toMatchObject({ label: 'web', after: { cores: 2, hypervisor: one } });
    const name = `vm-${String(answer!['id'])}`;
    const card = `${String(answer!['id'])}-0`;
    expect(plan.documents).toMatchObject([
      { node: one, before: expect.stringMatching(/^\d+-[0-9a-f]{16}$/), after: expect.stringMatching(/^\d+-[0-9a-f]{16}$/) },
    ]);
    expect(plan.documents[0]!.text).toContain(`+    ${name}:`);
    expect(plan.hosts).toMatchObject([{ node: one, manager: 'puppet', acts: true, restart: [] }]);
    expect(plan.hosts[0]!.live).toEqual(expect.arrayContaining([`define and start ${name} (web)`, `create bridge br-${card}`]));
  });

  test('of a change: only what changes, what is live, and what waits; the patch makes the new document of the old one', async () => {
    const path = await made();
    const { rows } = await corral.pool.query<{ body: object }>(
      `select v.body from document d join document_version v using (node_id, number) join node n on n.id = d.node_id where n.fqdn = $1`,
      [one],
    );
    const { plan } = await dryRun(corral, 'PATCH', path, { cores: 4, machine: 'pc' });
    expect(plan.rows).toMatchObject([{ noun: 'vm', op: 'update', before: { cores: 2, machine: 'q35' }, after: { cores: 4, machine: 'pc' } }]);
    const name = path.replace('/api/v1/vms/', 'vm-');
    expect(plan.hosts[0]!.live).toEqual([`plug 2 vCPUs into ${name} (web)`]);
    expect(plan.hosts[0]!.restart).toContain(`${name} (web): another machine`);
    const body = structuredClone(rows[0]!.body);
    expect(applyPatch(body, [...plan.documents[0]!.patch] as never).filter(Boolean)).toEqual([]);
    await call(corral, 'PATCH', path, { cores: 4, machine: 'pc' });
    const { rows: after } = await corral.pool.query<{ body: object }>(
      `select v.body from document d join document_version v using (node_id, number) join node n on n.id = d.node_id where n.fqdn = $1`,
      [one],
    );
    expect(body).toEqual(after[0]!.body);
  });

  test('of a deletion: what its host removes', async () => {
    const path = await made();
    const { plan, status, answer } = await dryRun(corral, 'DELETE', path);
    expect([status, answer]).toEqual([204, null]);
    expect(plan.rows.map((row) => `${row.op} ${row.noun}`)).toEqual(
      expect.arrayContaining(['delete vm', 'delete vm_interface', 'update volume', 'create tombstone']),
    );
    expect(plan.hosts[0]!.live).toContain(`remove domain ${path.replace('/api/v1/vms/', 'vm-')} (stopped first; its disks stay)`);
  });

  test('of a move: both hosts', async () => {
    await corral.make('storage_pool', { name: 'nas', kind: 'nfs', source: 'nas.example.com:/vms', target: '/srv/nas' });
    for (const hypervisor of [one, two]) await corral.make('pool_attachment', { hypervisor, storage_pool: 'nas' });
    const path = await made({ state: 'stopped', volumes: [{ storage_pool: 'nas' }] });
    const name = path.replace('/api/v1/vms/', 'vm-');
    const { plan } = await dryRun(corral, 'PATCH', path, { hypervisor: two, state: 'running' });
    expect(plan.hosts.map((host) => host.node)).toEqual([one, two]);
    expect(plan.hosts[0]!.live).toContain(`remove domain ${name} (stopped first; its disks stay)`);
    expect(plan.hosts[1]!.live).toContain(`define ${name} (web), stopped until ${one} removed it`);
  });

  test('of a host that is deactivated: that it does not act', async () => {
    const { plan } = await dryRun(corral, 'PATCH', `/api/v1/nodes/${two}`, { state: 'deactivated' });
    expect(plan.hosts).toEqual([{ node: two, manager: 'puppet', acts: false, why: 'it is deactivated: its documents answer 410', live: [], restart: [] }]);
  });

  test('of what changes nothing: nothing', async () => {
    const { plan } = await dryRun(corral, 'PATCH', `/api/v1/nodes/${two}`, { state: 'running' });
    expect([plan.rows, plan.documents, plan.hosts]).toEqual([[], [], []]);
  });

  test('without any secret, in all forms', async () => {
    const KEY = `AQ${'a'.repeat(36)}==`;
    await corral.make('ceph_cluster', { name: 'ceph', public_network: '192.0.2.0/24' });
    await corral.make('node', { fqdn: 'mon.example.com', site: 'fra1', roles: { ceph_mon: { ceph_cluster: 'ceph' } } });
    const body = { ceph_cluster: 'ceph', entity: 'client.x', secret: KEY };
    const { plan } = await dryRun(corral, 'POST', '/api/v1/ceph-keys', body);
    expect(JSON.stringify(plan)).not.toContain(KEY);
    expect(plan.hosts[0]!.live).toContain('register the key client.x in Ceph');
    await post('/api/v1/ceph-keys', body);
    const other = await dryRun(corral, 'PATCH', '/api/v1/ceph-keys/ceph:client.x', { secret: KEY.replaceAll('a', 'b') });
    expect(JSON.stringify(other)).not.toMatch(/AQ[ab]{36}/);
    expect(other.plan.hosts[0]!.live).toEqual(['set another key of client.x in Ceph']);
    const page = await corral.request(withDryRun('/api/v1/ceph-keys/ceph:client.x'), {
      method: 'PATCH',
      headers: { 'content-type': 'application/json', accept: 'text/html' },
      body: JSON.stringify({ secret: KEY.replaceAll('a', 'b') }),
    });
    expect(await page.text()).not.toMatch(/AQ[ab]{36}/);
  });

  test('without the secrets of layers, and with what they change', async () => {
    const layer = { name: 'db', scope: 'site', site: 'fra1', classes: { ntp: {} }, data: { 'ntp::servers': ['a'] }, secrets: { 'db::password': 'hunter1' } };
    const create = await dryRun(corral, 'POST', '/api/v1/layers', layer);
    expect(create.plan.documents.map((one) => one.node)).toContain(two);
    expect(JSON.stringify(create)).not.toContain('hunter');
    expect(create.plan.hosts.find((host) => host.node === two)!.live).toEqual([
      'apply other classes of its layers: ntp',
      'apply other data of its layers: db::password, ntp::servers',
    ]);
    expect((await apply(corral, 'POST', '/api/v1/layers', layer, create.plan.digest)).status).toBe(201);
    const change = await dryRun(corral, 'PATCH', '/api/v1/layers/db', { secrets: { 'db::password': 'hunter2' } });
    expect(JSON.stringify(change)).not.toContain('hunter');
    expect(change.plan.hosts.find((host) => host.node === two)!.live).toEqual(['apply other data of its layers: db::password']);
    expect((await call(corral, 'DELETE', '/api/v1/layers/db')).status).toBe(204);
  });

  test('in MessagePack, and as a page', async () => {
    const request = (accept: string) =>
      corral.request(withDryRun('/api/v1/vms'), { method: 'POST', headers: { 'content-type': 'application/json', accept }, body: JSON.stringify(vm()) });
    const packed = decode(new Uint8Array(await (await request('application/msgpack')).arrayBuffer())) as Dry;
    expect(packed.plan.rows.length).toBe(5);
    const page = await request('text/html');
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    expect(await page.text()).toContain(packed.plan.digest);
  });
});

describe('the digest', () => {
  test('is the same for a plan, another plan, and the write', async () => {
    const body = vm({ interfaces: [{}, { networks: [{ network: 'lan', tagged: false }] }], volumes: [{}, { size: 2 * GIB }], metadata: { a: 1 } });
    const first = await dryRun(corral, 'POST', '/api/v1/vms', body);
    const second = await dryRun(corral, 'POST', '/api/v1/vms', body);
    expect(second.plan.digest).toBe(first.plan.digest);
    expect((await apply(corral, 'POST', '/api/v1/vms', body, first.plan.digest)).status).toBe(201);
  });

  test('holds after unrelated writes, although every id is another', async () => {
    const body = vm({ interfaces: [{ addresses: ['10.0.3.200'] }] });
    const { plan, answer } = await dryRun(corral, 'POST', '/api/v1/vms', body);
    await post('/api/v1/vms', vm({ hypervisor: two }));
    await post('/api/v1/vms', vm({ name: 'beside', volumes: [{}, {}], interfaces: [{}, {}] }));
    await corral.make('site', { name: 'elsewhere' });
    const again = await dryRun(corral, 'POST', '/api/v1/vms', body);
    expect(again.plan.digest).toBe(plan.digest);
    const { status, body: row } = await apply(corral, 'POST', '/api/v1/vms', body, plan.digest);
    expect(status).toBe(201);
    expect(row['id']).not.toBe(answer!['id']);
  });

  test('holds although other things are plugged into the same bridges', async () => {
    for (const node of [one, two]) await corral.make('node_interface', { node, name: 'eno1', purpose: 'public' });
    await corral.make('network', { name: 'blue', kind: 'vlan', vlan_tag: 7 });
    const body = vm({ interfaces: [{ networks: [{ network: 'blue', tagged: false }] }, { networks: [{ network: 'blue', tagged: true }] }] });
    await post('/api/v1/vms', body);
    const { plan } = await dryRun(corral, 'POST', '/api/v1/vms', body);
    expect(plan.hosts[0]!.live).toContainEqual(expect.stringMatching(/^set ports of bridge cn-/));
    for (let i = 0; i < 3; i++) await post('/api/v1/vms', body);
    expect((await dryRun(corral, 'POST', '/api/v1/vms', body)).plan.digest).toBe(plan.digest);
    expect((await apply(corral, 'POST', '/api/v1/vms', body, plan.digest)).status).toBe(201);
  });

  test('holds for a cluster with its keys, made anew each time', async () => {
    const body = { name: 'other', public_network: '198.51.100.0/24' };
    const { plan } = await dryRun(corral, 'POST', '/api/v1/ceph-clusters', body);
    expect((await apply(corral, 'POST', '/api/v1/ceph-clusters', body, plan.digest)).status).toBe(201);
  });

  test('holds for a change while other fields and other things change', async () => {
    const path = await made();
    const { plan } = await dryRun(corral, 'PATCH', path, { cores: 4 });
    await call(corral, 'PATCH', path, { metadata: { owner: 'x' } });
    await post('/api/v1/vms', vm());
    expect((await apply(corral, 'PATCH', path, { cores: 4 }, plan.digest)).status).toBe(200);
  });

  const refused = async (method: string, path: string, body: unknown, { plan }: Dry): Promise<Plan> => {
    const before = await documentNumbers(corral);
    const answer = await apply(corral, method, path, body, plan.digest);
    expect([answer.status, answer.body.code]).toEqual([409, 'plan-changed']);
    expect(await documentNumbers(corral)).toEqual(before);
    const now = answer.body['plan'] as Plan;
    expect(now.digest).not.toBe(plan.digest);
    expect((await call(corral, method, withDryRun(path), body, { 'if-plan': plan.digest })).body.code).toBe('plan-changed');
    expect((await dryRun(corral, method, path, body)).plan.digest).toBe(now.digest);
    return now;
  };

  test('does not hold for another address', async () => {
    const body = vm();
    const dry = await dryRun(corral, 'POST', '/api/v1/vms', body);
    await post('/api/v1/vms', vm({ hypervisor: two }));
    const now = await refused('POST', '/api/v1/vms', body, dry);
    expect((await apply(corral, 'POST', '/api/v1/vms', body, now.digest)).status).toBe(201);
  });

  test('does not hold for another host', async () => {
    const { hypervisor: _, ...body } = vm({ interfaces: [{ addresses: [] }] }) as { hypervisor: string };
    const dry = await dryRun(corral, 'POST', '/api/v1/vms', body);
    const node = String(dry.answer!['hypervisor']);
    await post('/api/v1/vms', vm({ hypervisor: node, cores: 40, cores_max: 40 }));
    const now = await refused('POST', '/api/v1/vms', body, dry);
    expect(now.hosts[0]!.node).not.toBe(node);
  });

  test('does not hold for another value before, or another document', async () => {
    const path = await made({ volumes: [{ size: GIB }] });
    const dry = await dryRun(corral, 'PATCH', path, { cores: 4 });
    await call(corral, 'PATCH', path, { cores: 3 });
    await refused('PATCH', path, { cores: 4 }, dry);
    const body = vm({ interfaces: [{ addresses: [] }] });
    const create = await dryRun(corral, 'POST', '/api/v1/vms', body);
    await call(corral, 'PATCH', '/api/v1/storage-pools/local', { target: '/srv/other' });
    await refused('POST', '/api/v1/vms', body, create);
  });

  test('must be one', async () => {
    for (const digest of ['x', 'sha256:abc', '*'])
      expect((await apply(corral, 'POST', '/api/v1/sites', { name: 'bad' }, digest)).body).toMatchObject({ status: 400, code: 'bad-request' });
    expect((await call(corral, 'GET', '/api/v1/sites/bad')).status).toBe(404);
  });
});
