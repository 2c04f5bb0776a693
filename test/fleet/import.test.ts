import { expect, test } from 'vitest';
import type { Problem } from '../../src/kernel/problem.ts';
import { fleetFile } from '../../src/fleet/demo.ts';
import { importFleet } from '../../src/fleet/import.ts';
import { testCorral } from '../support/corral.ts';

const corral = await testCorral();
const small = fleetFile('small');

/** The faults with which a file is refused, and proof that nothing of it was written. */
async function refused(text: string): Promise<string[]> {
  const count = async (): Promise<unknown> =>
    (
      await corral.pool.query(
        'select (select count(*) from site) as sites, (select count(*) from node) as nodes, (select count(*) from vm) as vms, (select count(*) from address) as addresses',
      )
    ).rows[0];
  const before = await count();
  const error = await importFleet(corral, text).then(
    () => undefined,
    (caught: unknown) => caught as Problem,
  );
  expect(error?.name).toBe('Problem');
  expect(await count()).toEqual(before);
  return error!.faults.length > 0 ? error!.faults.map((one) => `${one.pointer} ${one.message}`) : [error!.message];
}

test('what is no YAML, or no mapping of nouns to rows, is refused', async () => {
  expect((await refused('sites: ['))[0]).toContain('unexpected end');
  expect((await refused(''))[0]).toContain('not YAML');
  expect((await refused('- 1'))[0]).toContain('mapping of nouns');
  expect((await refused('sites: []\nsites: []'))[0]).toContain('duplicated');
  expect(await refused('sites: 3')).toEqual(['/sites must be a list of rows']);
  expect(await refused('sites: [fra1]')).toEqual(['/sites/0 must be a mapping of fields to values']);
});

test('unknown nouns and those that cannot be imported are refused', async () => {
  expect((await refused('site: []'))[0]).toMatch(/^\/site is not a noun; there are: sites, customers/);
  expect(await refused('tokens: []')).toEqual(['/tokens is not part of a fleet: tokens are kept as hashes; make new ones']);
  expect(await refused('vm_states: []')).toEqual(['/vm_states is a list of fixed values and cannot be written']);
});

test('all faults of a file are told at once, each with its place, and nothing is written', async () => {
  const faults = await refused(`sites: [{name: fra1}, {name: fra1}, {nmae: x}, {name: UPPER}]
customers: [{name: a, email: nobody}]
projects: [{customer: b, name: p}]
nodes:
  - {fqdn: h1.example.com, site: fra9, roles: {hypervisor: {methods: [KVM], cores: 0, ram: 1, frobs: 1}}}
  - {fqdn: h2.example.com, site: fra1, roles: {}}
  - {fqdn: h3.example.com, site: fra1}
  - {fqdn: h4.example.com, site: fra1, roles: {printer: {}}}
vms: [{cores: 1, ram: 1000, method: KVM}, {cores: 1, ram: 1073741824, method: Xen, volumes: [{size: 3}]}]`);
  for (const expected of [
    /^\/sites\/1 is in the file twice: \/sites\/0/,
    /^\/sites\/2\/nmae is not a field/,
    /^\/sites\/2\/name is needed/,
    /^\/sites\/3\/name must be 1 to 63/,
    /^\/customers\/0\/email must be an e-mail/,
    /^\/projects\/0\/customer there is no customer 'b'/,
    /^\/nodes\/0\/site there is no site 'fra9'/,
    /^\/nodes\/0\/roles\/hypervisor\/cores /,
    /^\/nodes\/0\/roles\/hypervisor\/frobs is not a field/,
    /^\/nodes\/1\/roles must name at least one role/,
    /^\/nodes\/2\/roles is needed/,
    /^\/nodes\/3\/roles\/printer is not a field/,
    /^\/vms\/0\/ram must|^\/vms\/0\/ram /,
    /^\/vms\/1\/method /,
    /^\/vms\/1\/volumes\/0\/size /,
  ]) {
    expect(faults).toContainEqual(expect.stringMatching(expected));
  }
});

test('what only the database can tell is told with its place too, several at once', async () => {
  const file = (subnets: string): string => `networks: [{name: n1}, {name: n2}]\nsubnets: [${subnets}]`;
  expect(
    await refused(file('{cidr: 10.0.0.0/24, network: n1}, {cidr: 10.0.0.128/25, network: n2}, {cidr: 10.0.1.0/24, network: n1, gateway: 10.0.2.1}')),
  ).toEqual(['/subnets/1/cidr overlaps a subnet that is there', '/subnets/2/gateway must be an address inside the range']);
  expect(await refused('networks: [{name: n1, kind: vlan}]')).toEqual(['/networks/0/vlan_tag a network of kind vlan needs a vlan_tag; other kinds have none']);
});

test('a virtual machine that fits nowhere, or asks for an address that is taken, stops the whole file', async () => {
  expect((await refused(`${small}  - {name: second, cores: 1000, ram: 1073741824, method: KVM}\n`))[0]).toMatch(/^\/vms\/1 None of 1 hypervisors can take it/);
  expect(await refused(`${small}  - {name: second, cores: 1, ram: 1073741824, method: KVM, interfaces: [{addresses: [192.0.2.2]}]}\n`)).toEqual([
    '/vms/1/interfaces/0/addresses/0 192.0.2.2 belongs to another interface',
  ]);
});

test('a shared pool that is smaller than its volumes is refused at its place', async () => {
  const pool = (capacity: number): string =>
    `storage_pools: [{name: nas, kind: nfs, source: "nas1.example.com:/a", target: /srv, capacity: ${capacity}}]\nvolumes: [{name: a, storage_pool: nas, size: 1024, type: raw}, {name: b, storage_pool: nas, size: 1024, type: raw}]`;
  expect(await refused(pool(2047))).toEqual([expect.stringMatching(/^\/storage_pools\/0\//)]);
  const other = await testCorral();
  await importFleet(other, pool(2048));
  expect((await other.pool.query('select allocated::int as n from storage_pool')).rows[0]).toEqual({ n: 2048 });
});

test('half a file is refused or is less, and never more than one transaction', async () => {
  const cut = small.slice(0, small.indexOf('ram: 17179869184'));
  expect((await refused(cut))[0]).toContain('not YAML');
});

test('interfaces may come in any order, and may not go round in circles', async () => {
  const other = await testCorral();
  const base = `sites: [{name: s}]\nnodes: [{fqdn: h.example.com, site: s, roles: {hypervisor: {methods: [KVM], cores: 1, ram: 1073741824}}}]\n`;
  const row = (name: string, parent: string, tag: number): string =>
    `{node: h.example.com, name: ${name}, kind: vlan, vlan_tag: ${tag}, parent: "h.example.com:${parent}"}`;
  await importFleet(other, `${base}node_interfaces: [${row('v2', 'v1', 2)}, ${row('v1', 'eno1', 1)}, {node: h.example.com, name: eno1}]`);
  expect((await other.pool.query('select count(*)::int as n from node_interface where parent_id is not null')).rows[0]).toEqual({ n: 2 });
  expect((await refused(`${base}node_interfaces: [${row('v2', 'v1', 2)}, ${row('v1', 'v2', 1)}]`))[0]).toContain('refers to itself');
});

test('rows of things that are there need only what changes; disks and cards are found by their numbers', async () => {
  const other = await testCorral();
  await importFleet(other, `${small}  - {name: second, cores: 1, ram: 1073741824, method: KVM, volumes: [{size: 1073741824}, {size: 2147483648}]}\n`);
  expect(
    await importFleet(
      other,
      'nodes: [{fqdn: hv1.example.com, location: here}]\nvms: [{name: second, cores: 2, cores_max: 2, volumes: [{size: 1073741824}, {size: 4294967296}]}]',
    ),
  ).toEqual({ created: {}, updated: { nodes: 1, vms: 1, volumes: 1 } });
  expect((await other.pool.query('select allocated_cores as cores from hypervisor')).rows[0]).toEqual({ cores: 3 });
  await expect(importFleet(other, 'vms: [{name: second, method: QEMU}]')).rejects.toMatchObject({ faults: [{ pointer: '/vms/0/method' }] });
  await expect(importFleet(other, 'vms: [{name: third, cores: 1}]')).rejects.toMatchObject({
    faults: [{ pointer: '/vms/0/method' }, { pointer: '/vms/0/ram' }],
  });
});

test('an unnamed virtual machine is made once for each time that the file has it', async () => {
  const other = await testCorral();
  const row = '  - {cores: 1, method: KVM, ram: 1073741824}\n';
  expect((await importFleet(other, small + row + row)).created['vms']).toBe(3);
  expect(await importFleet(other, small + row + row)).toEqual({ created: {}, updated: {} });
  expect(await importFleet(other, small + row + row + row)).toEqual({ created: { vms: 1 }, updated: {} });
});

test('ids of another fleet are refused where they are taken', async () => {
  const other = await testCorral();
  await importFleet(other, small);
  const vm = '{id: 1, uuid: 11111111-1111-4111-8111-111111111111, name: x, cores: 1, ram: 1073741824, method: KVM, hypervisor: hv1.example.com}';
  const lists =
    'vm_interfaces: [{vm: 11111111-1111-4111-8111-111111111111, number: 0}]\nvolumes: [{name: x, vm: 11111111-1111-4111-8111-111111111111, storage_pool: local, hypervisor: hv1.example.com, size: 512, type: raw}]';
  await expect(importFleet(other, `vms: [${vm}]\n${lists}`)).rejects.toMatchObject({ faults: [{ pointer: '/vms/0/id' }] });
  expect((await importFleet(other, `vms: [${vm.replace('id: 1,', 'id: 77,')}]\n${lists}`)).created).toEqual({ vms: 1, vm_interfaces: 1, volumes: 1 });
  expect((await other.pool.query('select name from vm_interface where vm_id = 77')).rows).toEqual([{ name: '77-0' }]);
  await expect(importFleet(other, `vms: [${vm}]`)).rejects.toMatchObject({ faults: [{ pointer: '/vms/0/id' }] });
});
