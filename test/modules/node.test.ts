import { beforeAll, describe, expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { call, expectConsistent, GIB, refuses, type Answer } from './fleet.ts';

const corral = await testCorral();
const api = (method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer> =>
  call(corral, method, `/api/v1/${path}`, body, headers);
const kvm = { methods: ['KVM'], cores: 8, ram: 8 * GIB };

beforeAll(async () => {
  await corral.make('site', { name: 'fra1' });
  await corral.make('ceph_cluster', { name: 'ceph', public_network: '192.0.2.0/24' });
});

describe('the roles of a node', () => {
  test('are one or more: none is refused', async () => {
    await refuses(api('POST', 'nodes', { fqdn: 'a.example.com', site: 'fra1' }), 422, 'invalid', '/roles');
    await refuses(api('POST', 'nodes', { fqdn: 'a.example.com', site: 'fra1', roles: {} }), 409, 'conflict', '/roles');
    await refuses(api('POST', 'nodes', { fqdn: 'a.example.com', site: 'fra1', roles: { dhcp: {} } }), 422, 'invalid', '/roles/dhcp');
    await refuses(
      api('POST', 'nodes', { fqdn: 'a.example.com', site: 'fra1', roles: { hypervisor: { cores: 'many', methods: [] } } }),
      422,
      'invalid',
      '/roles/hypervisor/cores',
    );
    await refuses(api('GET', 'nodes/a.example.com'), 404, 'not-found');
  });

  test('may be all, are shown with their fields, and each once', async () => {
    const made = await api('POST', 'nodes', {
      fqdn: 'all.example.com',
      site: 'fra1',
      roles: { hypervisor: kvm, ceph_mon: { ceph_cluster: 'ceph' }, ceph_osd: { ceph_cluster: 'ceph' } },
    });
    expect([made.status, made.body['roles']]).toEqual([
      201,
      {
        hypervisor: expect.objectContaining({ methods: ['KVM'], cores: 8 }),
        ceph_mon: expect.objectContaining({ ceph_cluster: 'ceph', port: 6789 }),
        ceph_osd: expect.objectContaining({ ceph_cluster: 'ceph' }),
      },
    ]);
    await refuses(api('POST', 'hypervisors', { node: 'all.example.com', ...kvm }), 409, 'already-exists', '/node');
    await refuses(api('POST', 'ceph-mon-nodes', { node: 'all.example.com', ceph_cluster: 'ceph' }), 409, 'already-exists', '/node');
    await refuses(api('POST', 'ceph-osd-nodes', { node: 'all.example.com', ceph_cluster: 'ceph' }), 409, 'already-exists', '/node');
  });

  test('are exchanged in one patch, and the last one is never taken away', async () => {
    await api('POST', 'nodes', { fqdn: 'swap.example.com', site: 'fra1', roles: { ceph_osd: { ceph_cluster: 'ceph' } } });
    await refuses(api('PATCH', 'nodes/swap.example.com', { roles: { ceph_osd: null } }), 409, 'conflict', '/roles');
    await refuses(api('DELETE', 'ceph-osd-nodes/swap.example.com'), 409, 'conflict', '/roles');
    const swapped = await api('PATCH', 'nodes/swap.example.com', { roles: { ceph_osd: null, hypervisor: kvm } });
    expect([swapped.status, Object.keys(swapped.body['roles'] as object)]).toEqual([200, ['hypervisor']]);
    const both = await api('PATCH', 'nodes/swap.example.com', { roles: { ceph_osd: { ceph_cluster: 'ceph' } } });
    expect(Object.keys(both.body['roles'] as object).sort()).toEqual(['ceph_osd', 'hypervisor']);
    const changed = await api('PATCH', 'nodes/swap.example.com', { roles: { hypervisor: { cores: 16 } } });
    expect(changed.body['roles']).toMatchObject({ hypervisor: { cores: 16, ram: 8 * GIB } });
    expect((await api('DELETE', 'hypervisors/swap.example.com')).status).toBe(204);
    await refuses(api('DELETE', 'ceph-osd-nodes/swap.example.com'), 409, 'conflict', '/roles');
    expect((await api('GET', 'nodes/swap.example.com')).body['roles']).toEqual({ ceph_osd: expect.any(Object) });
  });

  test('two that are taken away at the same time do not both go', async () => {
    await api('POST', 'nodes', { fqdn: 'race.example.com', site: 'fra1', roles: { ceph_osd: { ceph_cluster: 'ceph' }, hypervisor: kvm } });
    const answers = await Promise.all([api('DELETE', 'hypervisors/race.example.com'), api('DELETE', 'ceph-osd-nodes/race.example.com')]);
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 409]);
    expect(Object.keys((await api('GET', 'nodes/race.example.com')).body['roles'] as object)).toHaveLength(1);
  });

  test('are guarded by the version of the node', async () => {
    const read = async (path: string): Promise<string> => (await corral.request(`/api/v1/${path}`)).headers.get('etag')!;
    const etag = await read('nodes/all.example.com');
    expect((await api('PATCH', 'nodes/all.example.com', { roles: { hypervisor: { cores: 9 } } })).status).toBe(200);
    await refuses(api('PATCH', 'nodes/all.example.com', { roles: { hypervisor: { cores: 10 } } }, { 'if-match': etag }), 412, 'stale-version');
    const methods = await read('hypervisors/all.example.com');
    expect((await api('PATCH', 'hypervisors/all.example.com', { methods: ['KVM', 'LXC'] })).body['methods']).toEqual(['KVM', 'LXC']);
    await refuses(api('PATCH', 'hypervisors/all.example.com', { methods: ['QEMU'] }, { 'if-match': methods }), 412, 'stale-version');
    const node = await read('nodes/all.example.com');
    expect((await api('DELETE', 'ceph-osd-nodes/all.example.com')).status).toBe(204);
    await refuses(api('PATCH', 'nodes/all.example.com', { location: 'x' }, { 'if-match': node }), 412, 'stale-version');
  });

  test('go with the node', async () => {
    expect((await api('DELETE', 'nodes/race.example.com')).status).toBe(204);
    for (const role of ['hypervisors', 'ceph-osd-nodes']) await refuses(api('GET', `${role}/race.example.com`), 404, 'not-found');
    await expectConsistent(corral);
  });
});

describe('a name', () => {
  test.each([
    'UPPER.example.com',
    '-a.example.com',
    'a-.example.com',
    'a..b',
    '.a',
    'a.',
    'a_b',
    `${'a'.repeat(64)}.com`,
    `${'abc.'.repeat(64)}com`,
    '',
    'a b',
    'ünï.de',
    '123',
  ])('of a node may not be %j', async (fqdn) => {
    await refuses(api('POST', 'nodes', { fqdn, site: 'fra1', roles: { hypervisor: kvm } }), 422, 'invalid', '/fqdn');
  });

  test.each(['123', 'Upper', '-a', 'a-', 'a/b', 'a:b', 'a b', '', 'x'.repeat(64), 'ü'])('of anything may not be %j', async (name) => {
    await refuses(api('POST', 'sites', { name }), 422, 'invalid', '/name');
    await refuses(api('POST', 'networks', { name }), 422, 'invalid', '/name');
  });

  test('is taken once', async () => {
    await refuses(api('POST', 'sites', { name: 'fra1' }), 409, 'already-exists', '/name');
    await refuses(api('POST', 'nodes', { fqdn: 'all.example.com', site: 'fra1', roles: { hypervisor: kvm } }), 409, 'already-exists', '/fqdn');
  });
});

describe('interfaces of a node', () => {
  beforeAll(async () => {
    await api('POST', 'nodes', { fqdn: 'nic.example.com', site: 'fra1', roles: { hypervisor: kvm } });
    for (const [node, name, kind] of [
      ['nic', 'eno1', 'physical'],
      ['nic', 'bond0', 'bond'],
      ['all', 'eno1', 'physical'],
      ['all', 'bond0', 'bond'],
    ] as const) {
      expect((await api('POST', 'node-interfaces', { node: `${node}.example.com`, name, kind })).status).toBe(201);
    }
  });
  const vlan = { node: 'nic.example.com', name: 'v10', kind: 'vlan', vlan_tag: 10, parent: 'nic.example.com:eno1' };

  test.each([
    ['a VLAN without a tag', { ...vlan, vlan_tag: undefined }, '/vlan_tag'],
    ['a VLAN without a parent', { ...vlan, parent: undefined }, '/vlan_tag'],
    ['a tag without a VLAN', { ...vlan, kind: 'physical', parent: undefined }, '/vlan_tag'],
    ['tag 0', { ...vlan, vlan_tag: 0 }, '/vlan_tag'],
    ['tag 4095', { ...vlan, vlan_tag: 4095 }, '/vlan_tag'],
    ['a parent of another node', { ...vlan, parent: 'all.example.com:eno1' }, '/parent'],
    ['a bond of another node', { node: 'nic.example.com', name: 'eno2', bond: 'all.example.com:bond0' }, '/bond'],
    ['a bond that is none', { node: 'nic.example.com', name: 'eno2', bond: 'nic.example.com:eno1' }, '/bond'],
    ['a bond in a bond', { node: 'nic.example.com', name: 'bond1', kind: 'bond', bond: 'nic.example.com:bond0' }, '/bond'],
    ['a name that is too long', { ...vlan, name: 'x'.repeat(16) }, '/name'],
    ['an MTU of 100', { ...vlan, mtu: 100 }, '/mtu'],
    ['a MAC in capitals', { ...vlan, mac: '02:00:00:00:00:AB' }, '/mac'],
  ])('%s is refused', async (_name, input, pointer) => {
    await refuses(api('POST', 'node-interfaces', input), 422, 'invalid', pointer);
  });

  test('stand on each other, and are not taken away from below', async () => {
    expect((await api('POST', 'node-interfaces', vlan)).status).toBe(201);
    await refuses(api('POST', 'node-interfaces', vlan), 409, 'already-exists', '/name');
    await refuses(api('DELETE', 'node-interfaces/nic.example.com:eno1'), 409, 'in-use');
    await refuses(api('PATCH', 'node-interfaces/nic.example.com:v10', { parent: 'nic.example.com:v10' }), 422, 'invalid', '/parent');
    await refuses(api('PATCH', 'node-interfaces/nic.example.com:v10', { node: 'all.example.com' }), 422, 'invalid', '/node');
    expect((await api('PATCH', 'node-interfaces/nic.example.com:v10', { node: 'nic.example.com' })).status).toBe(200);
  });

  test('have addresses with a gateway inside', async () => {
    const address = { node_interface: 'nic.example.com:eno1', address: '192.0.2.10/24' };
    await refuses(api('POST', 'node-addresses', { ...address, gateway: '198.51.100.1' }), 422, 'invalid', '/gateway');
    await refuses(api('POST', 'node-addresses', { ...address, gateway: '2001:db8::1' }), 422, 'invalid', '/gateway');
    expect((await api('POST', 'node-addresses', { ...address, gateway: '192.0.2.1' })).status).toBe(201);
    await refuses(api('POST', 'node-addresses', address), 409, 'already-exists');
  });
});
