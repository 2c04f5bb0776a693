import { expect, it } from 'vitest';
import { buildNouns } from '../../src/cli/nouns.build.ts';
import { completeLine } from '../../src/console/complete.ts';

const nouns = await buildNouns();

it.each<[string, string[]]>([
  ['vm_', ['vm_states', 'vm_observed_states', 'vm_interfaces']],
  ['await sit', ['sites']],
  ['vms.', ['list', 'get', 'create', 'set', 'put', 'delete', 'count']],
  ['const x = await vms.cr', ['create']],
  ['vms.list({cores_max__g', ['cores_max__gt', 'cores_max__gte']],
  ['vms.list({cores: 4, firm', ['firmware', 'firmware__ne', 'firmware__in']],
  ["vms.create({name: 'a{b', firm", ['firmware']],
  ["vms.set(7, {state: 'p", ['paused']],
  ["vms.list({state: '", ['running', 'stopped', 'paused']],
  ["nodes.put('hv9', {site: 'fra1', roles: {hypervisor: {methods: ['KVM'], reserve_c", ['reserve_cores']],
  ['nodes.create({roles: {hypervisor: {cores: 4}, ceph_m', ['ceph_mon']],
  ['vms.create({volumes: [{read_', ['read_iops', 'read_bps']],
])('%s', (line, words) => {
  expect(completeLine(nouns, line)?.[0]).toEqual(words);
});

it('leaves other lines to JavaScript', () => {
  expect(completeLine(nouns, 'Math.m')).toBeUndefined();
  expect(completeLine(nouns, "console.log('vm")).toBeUndefined();
});
