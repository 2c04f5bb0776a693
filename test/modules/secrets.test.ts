import { beforeAll, describe, expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { call, expectConsistent, GIB } from './fleet.ts';

const corral = await testCorral();
const SECRET = 'AQBPqfVlAAAAABAAq1234567890abcdefghijk==';
const OTHER = 'AQBPqfVlAAAAABAAz1234567890abcdefghijk==';
const HV = 'hv1.example.com';
const nodes = [HV, 'hv2.example.com', 'mon1.example.com', 'osd1.example.com', 'mon-b.example.com'];

beforeAll(async () => {
  await corral.make('site', { name: 'fra1' });
  for (const name of ['ceph', 'other']) {
    await corral.make('ceph_cluster', { name, public_network: '192.0.2.0/24' });
    await corral.make('ceph_pool', { ceph_cluster: name, name: 'vms' });
  }
  await corral.make('ceph_key', { ceph_cluster: 'ceph', entity: 'client.libvirt', caps: { mon: 'profile rbd' }, secret: SECRET });
  await corral.make('ceph_key', { ceph_cluster: 'ceph', entity: 'client.unused', caps: { mon: 'allow r' }, secret: OTHER });
  const hypervisor = { methods: ['KVM'], cores: 8, ram: 8 * GIB };
  for (const fqdn of [HV, 'hv2.example.com']) await corral.make('node', { fqdn, site: 'fra1', roles: { hypervisor } });
  await corral.make('node', { fqdn: 'mon1.example.com', site: 'fra1', roles: { ceph_mon: { ceph_cluster: 'ceph' } } });
  await corral.make('node', { fqdn: 'osd1.example.com', site: 'fra1', roles: { ceph_osd: { ceph_cluster: 'ceph' } } });
  await corral.make('node', { fqdn: 'mon-b.example.com', site: 'fra1', roles: { ceph_mon: { ceph_cluster: 'other' } } });
  await corral.make('storage_pool', { name: 'rbd', kind: 'rbd', ceph_pool: 'ceph:vms', ceph_key: 'ceph:client.libvirt', is_default: true });
  await corral.make('pool_attachment', { hypervisor: HV, storage_pool: 'rbd' });
});

const documentText = async (node: string): Promise<string> =>
  (await (await corral.request(`/documents/${node}`)).text()) + (await (await corral.request(`/pillar/${node}.yaml`)).text());
const holders = async (secret: string): Promise<string[]> => {
  const found: string[] = [];
  for (const node of nodes) if ((await documentText(node)).includes(secret)) found.push(node);
  return found;
};
const databaseText = async (): Promise<string> =>
  (await corral.pool.query<{ xml: string }>(`select database_to_xml(true, true, '')::text as xml`)).rows[0]!.xml;

describe('a Ceph secret', () => {
  test('is in the documents of those nodes that need it, and no other', async () => {
    expect(await holders(SECRET)).toEqual([HV, 'mon1.example.com']);
    expect(await holders(OTHER)).toEqual(['mon1.example.com']);
  });

  test('of the cluster itself reaches monitors, and OSD nodes theirs only', async () => {
    const keys = async (node: string): Promise<Record<string, Record<string, unknown>>> =>
      (
        (await (await corral.request(`/pillar/${node}`)).json()) as {
          corral: { ceph: Record<string, Record<string, Record<string, Record<string, unknown>>>> };
        }
      ).corral.ceph[node.startsWith('osd') ? 'osd' : 'mon']!['keys']!;
    expect(Object.keys(await keys('mon1.example.com')).sort()).toEqual(['client.admin', 'client.bootstrap-osd', 'client.libvirt', 'client.unused', 'mon.']);
    expect(Object.keys(await keys('osd1.example.com'))).toEqual(['client.bootstrap-osd']);
    expect(Object.keys(await keys('mon-b.example.com')).sort()).toEqual(['client.admin', 'client.bootstrap-osd', 'mon.']);
  });

  test('is nowhere in the database as text, in base64 or in hexadecimal', async () => {
    const text = await databaseText();
    expect(text).toContain('client.libvirt');
    for (const secret of [SECRET, OTHER])
      for (const form of [
        secret,
        Buffer.from(secret).toString('base64').slice(0, -2),
        Buffer.from(secret).toString('hex'),
        Buffer.from(secret, 'base64').toString('hex'),
      ])
        expect(text.includes(form)).toBe(false);
  });

  test('is in no row, page, filter, order or message of the API', async () => {
    for (const path of [
      'ceph-keys',
      'ceph-keys/ceph:client.libvirt',
      'ceph-keys/ceph:client.libvirt.html',
      'ceph-clusters?include=ceph_keys',
      'storage-pools?include=ceph_key',
      'ceph-keys?q=AQB',
      'nodes?include=hypervisors',
    ]) {
      const text = await (await corral.request(`/api/v1/${path}`)).text();
      expect([path, text.includes(SECRET), /\bv1\.[0-9a-f]{8}\./.test(text)]).toEqual([path, false, false]);
    }
    expect(await (await corral.request('/forms/ceph-keys/ceph:client.libvirt')).text()).not.toContain(SECRET);
    for (const query of [`secret=${SECRET}`, 'sort=secret', 'fields=secret', 'secret__startswith=AQ'])
      expect([query, (await corral.request(`/api/v1/ceph-keys?${query}`)).status]).toEqual([query, 400]);
    const made = await call(corral, 'POST', '/api/v1/ceph-keys', { ceph_cluster: 'ceph', entity: 'client.new', caps: {}, secret: OTHER });
    expect([made.status, JSON.stringify(made.body).includes(OTHER)]).toEqual([201, false]);
    const bad = await call(corral, 'POST', '/api/v1/ceph-keys', { ceph_cluster: 'ceph', entity: 'client.bad', caps: {}, secret: `${OTHER}x` });
    expect([bad.status, bad.body.errors?.[0]?.pointer, JSON.stringify(bad.body).includes(OTHER)]).toEqual([422, '/secret', false]);
  });

  test('reaches its nodes when it is changed, and a change of nothing changes no document', async () => {
    const version = async (): Promise<string | null> => (await corral.request(`/pillar/${HV}`)).headers.get('corral-document');
    const before = await version();
    expect((await call(corral, 'PATCH', '/api/v1/ceph-keys/ceph:client.libvirt', { secret: SECRET })).status).toBe(200);
    expect(await version()).toBe(before);
    const next = SECRET.replace('q1234', 'q4321');
    expect((await call(corral, 'PATCH', '/api/v1/ceph-keys/ceph:client.libvirt', { secret: next })).status).toBe(200);
    expect(await version()).not.toBe(before);
    expect([await holders(SECRET), await holders(next)]).toEqual([[], [HV, 'mon1.example.com']]);
    expect((await databaseText()).includes(next)).toBe(false);
    await expectConsistent(corral);
  });

  test('leaves a hypervisor with the pool that it was for', async () => {
    await corral.make('ceph_key', {
      ceph_cluster: 'other',
      entity: 'client.libvirt',
      caps: { mon: 'profile rbd' },
      secret: 'AQBPqfVlAAAAABAAo1234567890abcdefghijk==',
    });
    await corral.make('storage_pool', { name: 'rbd-b', kind: 'rbd', ceph_pool: 'other:vms', ceph_key: 'other:client.libvirt' });
    const { body } = await call(corral, 'POST', '/api/v1/pool-attachments', { hypervisor: HV, storage_pool: 'rbd-b' });
    const secret = 'AQBPqfVlAAAAABAAo1234567890abcdefghijk==';
    expect(await holders(secret)).toEqual([HV, 'mon-b.example.com']);
    expect((await call(corral, 'DELETE', `/api/v1/pool-attachments/${String(body['id'])}`)).status).toBe(204);
    expect(await holders(secret)).toEqual(['mon-b.example.com']);
  });
});
