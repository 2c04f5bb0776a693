import { describe, expect, it } from 'vitest';
import { RULES } from '../../src/changes/effects.domain.ts';
import { check, GiB, hypervisor, read, set, vm, type Case, type Edit } from './plan-edits.ts';

const kvm: Edit = (a) => set(vm(a, 17), { method: 'KVM' });
const NIC = { number: 4, name: '17-9', mac: '52:54:00:00:11:09', mtu: 1500, addresses: [], networks: [] };
const DISK = {
  id: 50,
  name: 'more',
  pool: 'local',
  size: GiB,
  type: 'qcow2',
  number: 4,
  cache_option: 'default',
  read_iops: null,
  write_iops: null,
  read_bps: null,
  write_bps: null,
  discard: true,
  image: null,
};

/* Of a domain that runs: vm-17 is 2 of 8 vCPUs and 2 of 8 GiB under QEMU. Each row of docs/hosts.md, Domains. */
const running: readonly Case[] = [
  {
    what: 'another name',
    rule: 'title',
    edit: (a) => set(vm(a, 17), { name: 'till' }),
    live: ["name vm-17 (till) 'till'", 'write the metadata of vm-17 (till)'],
  },
  { what: 'other metadata', rule: 'metadata', edit: (a) => set(vm(a, 17), { metadata: { a: 1 } }), live: ['write the metadata of vm-17 (shop front)'] },
  { what: 'more vCPUs', rule: 'vcpus', edit: (a) => set(vm(a, 17), { cores: 4 }), live: ['plug 2 vCPUs into vm-17 (shop front)'] },
  {
    what: 'one vCPU fewer, without KVM',
    rule: 'vcpus',
    edit: (a) => set(vm(a, 17), { cores: 1 }),
    restart: ['vm-17 (shop front): 1 vCPU fewer (without KVM, QEMU does not survive that one is taken away)'],
  },
  {
    what: 'one vCPU fewer, with KVM',
    rule: 'vcpus',
    start: kvm,
    edit: (a) => set(vm(a, 17), { cores: 1 }),
    live: ['take 1 vCPU from vm-17 (shop front), if its guest lets go'],
  },
  {
    what: 'more vCPUs than it has room for',
    rule: 'vcpus_max',
    edit: (a) => set(vm(a, 17), { cores: 10, cores_max: 10 }),
    live: ['plug 6 vCPUs into vm-17 (shop front)'],
    restart: ['vm-17 (shop front): 2 vCPUs more (it was started with room for 8)', 'vm-17 (shop front): room for 10 vCPUs'],
  },
  { what: 'more memory', rule: 'memory', edit: (a) => set(vm(a, 17), { ram: 4 * GiB }), live: ['give vm-17 (shop front) 4 GiB of memory (it has 2 GiB)'] },
  {
    what: 'less memory',
    rule: 'memory',
    edit: (a) => set(vm(a, 17), { ram: GiB }),
    live: ['take 1 GiB of memory from vm-17 (shop front), as far as its guest lets go'],
  },
  {
    what: 'more memory than it has room for',
    rule: 'memory_max',
    edit: (a) => set(vm(a, 17), { ram: 16 * GiB, ram_max: 16 * GiB }),
    live: ['give vm-17 (shop front) 8 GiB of memory (it has 2 GiB)'],
    restart: ['vm-17 (shop front): 16 GiB of memory (it was started with room for 8 GiB)', 'vm-17 (shop front): room for 16 GiB of memory'],
  },
  {
    what: 'more memory, without room',
    rule: 'memory',
    edit: (a) => set(vm(a, 20), { ram: 2 * GiB, ram_max: 2 * GiB }),
    restart: ['vm-20 (vm 20): 2 GiB of memory (it was started with room for 1 GiB)', 'vm-20 (vm 20): room for 2 GiB of memory'],
  },
  {
    what: 'a limit of processor time',
    rule: 'cpu_limit',
    edit: (a) => set(vm(a, 17), { cputime_limit: 20 }),
    live: ['set the limit of processor time of vm-17 (shop front)'],
  },
  {
    what: 'more cores of a container',
    rule: 'vcpus',
    edit: (a) => set(vm(a, 20), { cores: 4 }),
    live: ['set the limit of processor time of vm-20 (vm 20)'],
    restart: ['vm-20 (vm 20): 2 vCPUs more (it was started with room for 2)', 'vm-20 (vm 20): room for 4 vCPUs'],
  },
  {
    what: 'another processor',
    rule: 'cpu',
    edit: (a) => set(vm(a, 17), { cpu_mode: 'host-model', cpu_model: null }),
    restart: ['vm-17 (shop front): another processor'],
  },
  { what: 'another method', rule: 'cpu', edit: kvm, restart: ['vm-17 (shop front): run by kvm'] },
  {
    what: 'another firmware',
    rule: 'boot',
    edit: (a) => set(vm(a, 17), { firmware: 'uefi' }),
    restart: ['vm-17 (shop front): other features of the machine', 'vm-17 (shop front): another firmware'],
  },
  {
    what: 'another machine',
    rule: 'boot',
    start: (a) => set(vm(a, 17), { firmware: 'bios', boot_order: ['disk'], cloud_init: null }),
    edit: (a) => set(vm(a, 17), { machine: 'pc' }),
    restart: expect.arrayContaining(['vm-17 (shop front): another machine', 'vm-17 (shop front): other devices']) as never,
  },
  {
    what: 'another boot order',
    rule: 'boot',
    edit: (a) => set(vm(a, 17), { boot_order: ['disk', 'network', 'cdrom'] }),
    restart: ['vm-17 (shop front): another boot order'],
  },
  { what: 'another clock', rule: 'clock', edit: (a) => set(vm(a, 17), { rtc: 'utc' }), restart: ['vm-17 (shop front): another clock'] },
  {
    what: 'a disk more',
    rule: 'disks',
    edit: (a) => vm(a, 17)['volumes']!.push(DISK),
    live: ['create volume more in pool local (1 GiB), unless it is there', 'attach disk vde to vm-17 (shop front): vol-50'],
  },
  { what: 'a disk less', rule: 'disks', edit: (a) => vm(a, 17)['volumes']!.pop(), live: ['detach disk vdd from vm-17 (shop front): vol-20'] },
  {
    what: 'another cache of a disk',
    rule: 'disks',
    edit: (a) => set(vm(a, 17)['volumes']![1], { cache_option: 'none' }),
    restart: ['vm-17 (shop front): disk vdb changes (driver[qemu]@cache)'],
  },
  {
    what: 'a seed, for a drive that SATA has',
    rule: 'disks',
    start: (a) => set(vm(a, 17), { cloud_init: null }),
    edit: (a) => set(vm(a, 17), { cloud_init: { user_data: {} } }),
    live: ['write the cloud-init seed of vm-17 (shop front) anew: its guest reads it when it next looks'],
    restart: ['vm-17 (shop front): CD drive sdb comes (QEMU does not plug one while it runs)'],
  },
  {
    what: 'limits of a disk',
    rule: 'disk_limits',
    edit: (a) => set(vm(a, 17)['volumes']![0], { read_iops: 10 }),
    live: ['set the limits of disk vda of vm-17 (shop front)'],
  },
  {
    what: "limits of a container's device",
    rule: 'disk_limits',
    edit: (a) => set(vm(a, 20)['volumes']![1], { read_iops: 10 }),
    restart: ["vm-20 (vm 20): the limits of a container's block devices"],
  },
  {
    what: 'a card more',
    rule: 'interfaces',
    edit: (a) => vm(a, 17)['interfaces']!.push(NIC),
    live: ['create bridge br-17-9', 'plug card 17-9 (52:54:00:00:11:09) into vm-17 (shop front)'],
  },
  {
    what: 'a card less',
    rule: 'interfaces',
    edit: (a) => set(vm(a, 17), { interfaces: (vm(a, 17)['interfaces'] as unknown as unknown[]).slice(0, 1) }),
    live: expect.arrayContaining(['take card 17-1 (52:54:00:00:11:01) from vm-17 (shop front)']) as never,
  },
  {
    what: 'another bridge of a card',
    rule: 'interfaces',
    edit: (a) => set(vm(a, 19)['interfaces']![0], { name: '19-5' }),
    start: (a) => set(vm(a, 19), { name: 'x' }),
    live: ['create bridge br-19-5', 'rewire card 19-5 (52:54:00:00:13:00) of vm-19 (x)'],
    restart: ['vm-19 (x): card 19-5 (52:54:00:00:13:00) changes (target@dev)'],
  },
  {
    what: 'another MTU of a card',
    rule: 'interfaces',
    edit: (a) => set(vm(a, 19)['interfaces']![0], { mtu: 1400 }),
    live: ['set MTU of bridge br-19-0'],
    restart: ['vm-19 (vm 19): card 19-0 (52:54:00:00:13:00) changes (mtu@size)'],
  },
  {
    what: 'another cloud-init',
    edit: (a) => set(vm(a, 17), { cloud_init: { user_data: { hostname: 'x' } } }),
    live: ['write the cloud-init seed of vm-17 (shop front) anew: its guest reads it when it next looks'],
  },
];

const states: readonly Case[] = [
  { what: 'one that stops', edit: (a) => set(vm(a, 17), { state: 'stopped' }), live: ['stop vm-17 (shop front)'] },
  { what: 'one that starts', edit: (a) => set(vm(a, 18), { state: 'running' }), live: ['start vm-18 (vm 18)'] },
  { what: 'one that is paused', edit: (a) => set(vm(a, 17), { state: 'paused' }), live: ['pause vm-17 (shop front)'] },
  { what: 'one that goes on', edit: (a) => set(vm(a, 19), { state: 'running' }), live: ['resume vm-19 (vm 19)'] },
  { what: 'one that is stopped and changes', edit: (a) => set(vm(a, 18), { cores: 3, cores_max: 3, machine: 'q35' }), live: ['define vm-18 (vm 18) anew'] },
  {
    what: 'one that changes and starts',
    edit: (a) => set(vm(a, 18), { cores: 3, cores_max: 3, state: 'running' }),
    live: ['define vm-18 (vm 18) anew before it starts', 'start vm-18 (vm 18)'],
  },
  {
    what: 'one that another host still has',
    edit: (a) => set(vm(a, 17), { held_by: ['hv2.example.net'] }),
    live: ['stop vm-17 (shop front)', 'keep vm-17 (shop front) stopped until hv2.example.net removed it'],
  },
  {
    what: 'one that no other host has any more',
    start: (a) => set(vm(a, 17), { held_by: ['hv2.example.net'] }),
    edit: (a) => set(vm(a, 17), { held_by: [] }),
    live: ['start vm-17 (shop front): no other host has it any more'],
  },
  {
    what: 'one that nothing can be built of',
    edit: (a) => set(vm(a, 17), { machine: 'pc' }),
    live: ['leave vm-17 as it is: Secure Boot needs the machine q35, not pc'],
  },
  {
    what: 'one that comes',
    start: (a) => set(hypervisor(a), { vms: (hypervisor(a)['vms'] as unknown as unknown[]).slice(1) }),
    edit: (a) =>
      (hypervisor(a)['vms'] as unknown as unknown[]).push((read('qemu-hypervisor') as unknown as { hypervisor: { vms: unknown[] } }).hypervisor.vms[0]),
    live: expect.arrayContaining([
      'define and start vm-17 (shop front)',
      'create volume vol-20 in pool nfs (20 GiB), unless it is there',
      'create bridge br-17-0',
    ]) as never,
  },
  {
    what: 'one that goes',
    edit: (a) => {
      set(hypervisor(a), { vms: (hypervisor(a)['vms'] as unknown as unknown[]).slice(1) });
      a['tombstones']!.push({ kind: 'domain', name: 'vm-17', detail: { uuid: 'x' } }, { kind: 'bridge', name: 'br-17-0', detail: {} });
    },
    live: expect.arrayContaining(['remove bridge br-17-0', 'remove domain vm-17 (stopped first; its disks stay)']) as never,
  },
  {
    what: 'one that is no longer named',
    edit: (a) => set(hypervisor(a), { vms: (hypervisor(a)['vms'] as unknown as unknown[]).filter((one) => (one as { id: number }).id !== 19) }),
  },
];

describe('what a host does', () => {
  it.each(running)('with a domain that runs: $what', check('qemu-hypervisor'));
  it.each(states)('with a domain: $what', check('qemu-hypervisor'));

  it('has a case for each row of the table', () => {
    const shown = new Set(running.map((one) => one.rule));
    expect(RULES.map((rule) => rule.property).filter((name) => name !== 'devices' && !shown.has(name))).toEqual([]);
  });
});
