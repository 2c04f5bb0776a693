import { expect, it } from 'vitest';
import { buildNouns } from '../../src/cli/nouns.build.ts';
import { findNoun } from '../../src/cli/nouns.ts';
import { fleetSizes, parseAssignments, parseFilters, wholesOf, withSizes } from '../../src/cli/values.ts';

const nouns = await buildNouns();
const vm = findNoun(nouns, 'vm');

it.each<[string, Record<string, unknown>]>([
  ['cores=4', { cores: 4 }],
  ['cores=four', { cores: 'four' }],
  ['ram=2GiB', { ram: 2 ** 31 }],
  ['ram=2g', { ram: 2 ** 31 }],
  ['ram=1.5 GiB', { ram: 1.5 * 2 ** 30 }],
  ['ram=1024', { ram: 1024 }],
  ['ram=lots', { ram: 'lots' }],
  ['name=123', { name: '123' }],
  ['name=true', { name: 'true' }],
  ['name=', { name: '' }],
  ['name=a=b', { name: 'a=b' }],
  ['name=null', { name: null }],
  ['name="null"', { name: 'null' }],
  ['customer=null', { customer: null }],
  ['customer=7', { customer: '7' }],
  ['boot_order=disk,network', { boot_order: ['disk', 'network'] }],
  ['boot_order=["disk"]', { boot_order: ['disk'] }],
  ['boot_order=', { boot_order: [] }],
  ['metadata={"a":[1,null]}', { metadata: { a: [1, null] } }],
  ['metadata.a=1', { metadata: { a: 1 } }],
  ['metadata.a.b=text', { metadata: { a: { b: 'text' } } }],
  ['metadata.profile::x=1', { metadata: { 'profile::x': 1 } }],
  ['metadata."vm.swappiness"=10', { metadata: { 'vm.swappiness': 10 } }],
  ["metadata.'a=b/c'.d=1", { metadata: { 'a=b/c': { d: 1 } } }],
  ['metadata."say \\"hi\\"".x=1', { metadata: { 'say "hi"': { x: 1 } } }],
  ['metadata.a.=1', { metadata: { a: { '': 1 } } }],
  ['metadata.a=null', { metadata: { a: null } }],
  ['metadata.__proto__=1', { metadata: JSON.parse('{"__proto__": 1}') as unknown }],
  ['volumes.0.size=10GiB', { volumes: [{ size: 10 * 2 ** 30 }] }],
  ['volumes.0.discard=no', { volumes: [{ discard: false }] }],
  ['volumes=[{"size":512}]', { volumes: [{ size: 512 }] }],
  ['unknown=1', { unknown: 1 }],
  ['unknown=text', { unknown: 'text' }],
])('%s', (arg, body) => {
  expect(parseAssignments(vm, [arg])).toEqual(body);
});

it('puts several into one body, on top of what is there', () => {
  const node = findNoun(nouns, 'nodes');
  expect(parseAssignments(node, ['roles.hypervisor.cores=16', 'roles.hypervisor.methods=KVM', 'roles.ceph_mon=null'], { site: 'fra1' })).toEqual({
    site: 'fra1',
    roles: { hypervisor: { cores: 16, methods: ['KVM'] }, ceph_mon: null },
  });
  expect(parseAssignments(vm, ['volumes.0.size=1k', 'volumes.1.size=2k'])).toEqual({ volumes: [{ size: 1024 }, { size: 2048 }] });
});

it('knows what it must read to change a part of it', () => {
  const layer = findNoun(nouns, 'layer');
  expect(wholesOf(layer, ['data.a=1', 'data.b.c=2', 'merge.a=unique', 'weight=3'], {})).toEqual([['data'], ['merge']]);
  expect(wholesOf(layer, ['data={}', 'data.a=1', 'merge.a=unique'], { merge: {} })).toEqual([]);
  expect(wholesOf(findNoun(nouns, 'node'), ['roles.hypervisor.cores=4', 'roles.hypervisor.methods.0=KVM'], {})).toEqual([['roles', 'hypervisor', 'methods']]);
  const start = { data: { a: 1, b: { c: 2, d: 3 } } };
  const merging = { paths: [['data']], absent: [] as string[] };
  expect(parseAssignments(layer, ['data.b.c=null', 'data.x=7', 'data.y=null', 'data.a={"n":null}'], start, merging)).toEqual({
    data: { a: { n: null }, b: { d: 3 }, x: 7 },
  });
  expect(merging.absent).toEqual(['data.y']);
  expect(parseAssignments(vm, ['boot_order.0=null'], { boot_order: ['disk', 'network'] }, { paths: [['boot_order']], absent: [] })).toEqual({
    boot_order: ['network'],
  });
  expect(() => parseAssignments(layer, ['data.a.b=1'], start, merging)).toThrow(/data\.a is 1, not a mapping/);
});

it('takes sizes with units in files, too', () => {
  expect(withSizes(vm, { name: '2GiB', ram: '2GiB', cores: '2', volumes: [{ size: '1.5 GiB', name: '1k' }], metadata: { ram: '1k' } })).toEqual({
    name: '2GiB',
    ram: 2 ** 31,
    cores: '2',
    volumes: [{ size: 1.5 * 2 ** 30, name: '1k' }],
    metadata: { ram: '1k' },
  });
  expect(withSizes(vm, { ram: 'lots' })).toEqual({ ram: 'lots' });
  const node = { fqdn: 'hv1.example.com', roles: { hypervisor: { ram: '64GiB' } } };
  expect(fleetSizes(nouns, { nodes: [node, 'strange'], others: [{ ram: '1k' }], vms: null })).toEqual({
    nodes: [{ ...node, roles: { hypervisor: { ram: 64 * 2 ** 30 } } }, 'strange'],
    others: [{ ram: '1k' }],
    vms: null,
  });
});

it('refuses what is no assignment', () => {
  for (const arg of ['cores', '=4', '4=5', 'a:b=5']) expect(() => parseAssignments(vm, [arg])).toThrow(/is not field=value/);
  expect(() => parseAssignments(vm, ['metadata.a/b=1'])).toThrow(expect.objectContaining({ lines: [expect.stringContaining('in quotes')] }));
  expect(() => parseAssignments(vm, ['metadata={'])).toThrow(/must be JSON/);
  expect(() => parseAssignments(vm, ['volumes.3.size=1k'])).toThrow(/next number of the list/);
});

it('brings sizes in filters to bytes, and asks for null as SQL needs it', () => {
  expect(parseFilters(vm, ['ram__gte=2GiB', 'ram__in=1k,2k', 'name=2GiB', 'customer=null'])).toEqual([
    ['ram__gte', String(2 ** 31)],
    ['ram__in', '1024,2048'],
    ['name', '2GiB'],
    ['customer__null', 'true'],
  ]);
});
