import { expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { smallFleet, HV } from '../http/samples.ts';
import { call, GIB } from './fleet.ts';

const corral = await testCorral();
const { volume } = await smallFleet(corral);

/** For each CHECK that SQL has: input that breaks it, and where that is. */
const broken: readonly [string, string, Record<string, unknown>, string][] = [
  ['ceph_key_entity', 'ceph-keys', { ceph_cluster: 'ceph', entity: 'admin', caps: {} }, '/entity'],
  ['ceph_mon_node_port', 'ceph-mon-nodes', { node: HV, ceph_cluster: 'ceph', port: 70_000 }, '/port'],
  ['ceph_osd_class', 'ceph-osds', { ceph_osd_node: HV, data_device: '/dev/a', device_class: 'tape' }, '/device_class'],
  ['ceph_osd_weight', 'ceph-osds', { ceph_osd_node: HV, data_device: '/dev/a', weight: -1 }, '/weight'],
  ['ceph_osd_devices', 'ceph-osds', { ceph_osd_node: HV, data_device: '/dev/a', db_device: '/dev/a' }, '/db_device'],
  ['ceph_pool_size', 'ceph-pools', { ceph_cluster: 'ceph', name: 'p', size: 2, min_size: 3 }, '/min_size'],
  ['ceph_pool_size with a default', 'ceph-pools', { ceph_cluster: 'ceph', name: 'p', size: 1 }, '/min_size'],
  ['ceph_pool_pg_num', 'ceph-pools', { ceph_cluster: 'ceph', name: 'p', pg_num: 0 }, '/pg_num'],
  ['ceph_pool_application', 'ceph-pools', { ceph_cluster: 'ceph', name: 'p', application: 'tape' }, '/application'],
  ['image_type', 'images', { name: 'i', url: 'https://example.com/i', type: 'vmdk' }, '/type'],
  ['image_size', 'images', { name: 'i', url: 'https://example.com/i', size: 0 }, '/size'],
  ['image_checksum', 'images', { name: 'i', url: 'https://example.com/i', checksum: 'md5:x' }, '/checksum'],
  ['image url', 'images', { name: 'i', url: 'javascript:alert(1)' }, '/url'],
  ['network_kind', 'networks', { name: 'n', kind: 'tube' }, '/kind'],
  ['network_purpose', 'networks', { name: 'n', purpose: 'fun' }, '/purpose'],
  ['network_mtu', 'networks', { name: 'n', mtu: 575 }, '/mtu'],
  ['node_environment', 'nodes', { fqdn: 'x.example.com', site: 'fra1', environment: 'a-b', roles: { ceph_osd: { ceph_cluster: 'ceph' } } }, '/environment'],
  ['node_manager', 'nodes', { fqdn: 'x.example.com', site: 'fra1', manager: 'chef', roles: { ceph_osd: { ceph_cluster: 'ceph' } } }, '/manager'],
  ['node state', 'nodes', { fqdn: 'x.example.com', site: 'fra1', state: 'asleep', roles: { ceph_osd: { ceph_cluster: 'ceph' } } }, '/state'],
  ['hypervisor_cores', 'hypervisors', { node: 'mon0.example.com', methods: ['KVM'], cores: 0, ram: GIB }, '/cores'],
  ['hypervisor_ram', 'hypervisors', { node: 'mon0.example.com', methods: ['KVM'], cores: 1, ram: 0 }, '/ram'],
  ['hypervisor_overcommit', 'hypervisors', { node: 'mon0.example.com', methods: ['KVM'], cores: 1, ram: GIB, cpu_overcommit: 0 }, '/cpu_overcommit'],
  ['hypervisor_reserve', 'hypervisors', { node: 'mon0.example.com', methods: ['KVM'], cores: 1, ram: GIB, reserve_ram: -1 }, '/reserve_ram'],
  ['hypervisor methods', 'hypervisors', { node: 'mon0.example.com', methods: [], cores: 1, ram: GIB }, '/methods'],
  ['hypervisor an unknown method', 'hypervisors', { node: 'mon0.example.com', methods: ['KVM', 'Xen'], cores: 1, ram: GIB }, '/methods/1'],
  ['vm_interface_number', 'vm-interfaces', { vm: 1, number: 64 }, '/number'],
  ['volume_size', 'volumes', { storage_pool: 'local', hypervisor: HV, type: 'raw', size: 513 }, '/size'],
  ['volume_limits', 'volumes', { storage_pool: 'local', hypervisor: HV, type: 'raw', size: 512, write_bps: 0 }, '/write_bps'],
  ['volume cache', 'volumes', { storage_pool: 'local', hypervisor: HV, type: 'raw', size: 512, cache_option: 'always' }, '/cache_option'],
  ['snapshot name', 'snapshots', { volume, name: 'a b' }, '/name'],
  ['token_kind', 'tokens', { name: 't', kind: 'root' }, '/kind'],
  ['customer email', 'customers', { name: 'c', email: 'nobody' }, '/email'],
  ['cluster network', 'ceph-clusters', { name: 'c', public_network: '192.0.2.1/24' }, '/public_network'],
];

test.each(broken)('%s is told with its place', async (_name, noun, input, pointer) => {
  const { status, body } = await call(corral, 'POST', `/api/v1/${noun}`, input);
  expect([status, body.code, body.errors?.map((one) => one.pointer)]).toEqual([422, 'invalid', [pointer]]);
  expect(body.errors![0]!.message).not.toMatch(/the rule|constraint|_/);
});

test('a hypervisor has the methods that were given, doubled or not', async () => {
  const { status, body } = await call(corral, 'POST', '/api/v1/hypervisors', { node: 'mon0.example.com', methods: ['KVM', 'KVM', 'LXC'], cores: 1, ram: GIB });
  expect([status, body['methods']]).toEqual([201, ['KVM', 'LXC']]);
});

test('every hundredth of an overcommit is taken, and stays what it was', async () => {
  for (const cents of [10, 29, 57, 58, 110, 115, 129, 145, 201, 435, 819, 1001, 1999, 99_999]) {
    const { status, body } = await call(corral, 'PATCH', `/api/v1/hypervisors/${HV}`, { cpu_overcommit: cents / 100 });
    expect([cents, status, body['cpu_overcommit']]).toEqual([cents, 200, cents / 100]);
  }
});

test('the largest numbers go in and come out whole', async () => {
  const max = Number.MAX_SAFE_INTEGER;
  const made = await call(corral, 'POST', '/api/v1/images', { name: 'huge', url: 'https://example.com/huge', size: max });
  expect([made.status, made.body['size']]).toEqual([201, max]);
  const { body } = await call(corral, 'GET', `/api/v1/images?size=${max}`);
  expect(body['images']).toHaveLength(1);
  const odd = await call(corral, 'PATCH', `/api/v1/hypervisors/${HV}`, { ram: max, ram_overcommit: 1000 });
  expect([odd.status, odd.body['ram']]).toEqual([200, max]);
});

test('metadata keeps what it is given, and no name of it is special', async () => {
  const metadata = JSON.parse(
    '{"constructor": {"prototype": 1}, "a/b~c": [1, {"ü": null}], "": "", "%{x}": "%{y}", "n": 1.5e300, "deep": {"a": {"b": {"c": []}}}}',
  ) as Record<string, unknown>;
  const { status, body } = await call(corral, 'POST', '/api/v1/vms', { method: 'KVM', cores: 1, ram: GIB, metadata });
  expect([status, body['metadata']]).toEqual([201, metadata]);
});
