import { describe, expect, it } from 'vitest';
import { effectsOf, HYPERVISOR } from '../../src/changes/effects.ts';
import { buildDocument } from '../../src/documents/document.ts';
import { check, effects, GiB, hypervisor, read, set, vm, type Case, type Edit, type Loose } from './plan-edits.ts';

const others: readonly Case[] = [
  { what: 'a larger volume', rule: 'volumes', edit: (a) => set(vm(a, 17)['volumes']![0], { size: 40 * GiB }), live: ['enlarge volume vol-17 to 40 GiB'] },
  {
    what: 'a smaller volume',
    rule: 'volumes',
    edit: (a) => set(vm(a, 17)['volumes']![0], { size: GiB }),
    live: ['refuse volume vol-17: it is never made smaller'],
  },
  {
    what: 'a volume that goes',
    rule: 'volumes',
    edit: (a) => a['tombstones']!.push({ kind: 'volume', name: 'old', detail: { pool: 'local', type: 'qcow2' } }),
    live: ['remove volume old of pool local with its data'],
  },
  {
    what: 'a pool elsewhere',
    rule: 'pools',
    start: (a) => set(hypervisor(a), { vms: [], volumes: [] }),
    edit: (a) =>
      set(
        hypervisor(a)['pools']!.find((one) => (one['name'] as unknown) === 'nfs'),
        { source: 'nas:/other' },
      ),
    live: ['define storage pool nfs anew, and start it again (what is open stays open)'],
  },
  {
    what: 'a pool that goes',
    rule: 'pools',
    edit: (a) => a['tombstones']!.push({ kind: 'pool', name: 'old', detail: {} }),
    live: ['forget storage pool old (what is in it stays)'],
  },
  {
    what: 'a network of another tag',
    rule: 'bridges',
    edit: (a) =>
      set(
        hypervisor(a)['networks']!.find((one) => (one['name'] as unknown) === 'green'),
        { mtu: 1400 },
      ),
    live: expect.arrayContaining([expect.stringMatching(/^set MTU, ports of bridge cn-/)]) as never,
  },
  {
    what: 'a secret that goes',
    rule: 'secrets',
    edit: (a) => a['tombstones']!.push({ kind: 'secret', name: 'u-u', detail: {} }),
    live: ['remove the secret u-u'],
  },
];

const ceph: readonly Case[] = [
  {
    what: 'an OSD more',
    edit: (a) =>
      a['ceph_osd']!['osds']!.push({ uuid: 'c0ffee00-0000-4000-8000-000000000003', data_device: '/dev/sdz', db_device: null, device_class: 'ssd', weight: 1 }),
    live: ['make OSD c0ffee00-0000-4000-8000-000000000003 on /dev/sdz, if the device is empty'],
  },
  {
    what: 'another weight',
    edit: (a) => set(a['ceph_osd']!['osds']![0], { weight: 3, db_device: null }),
    live: ['set the weight of OSD c0ffee00-0000-4000-8000-000000000001'],
  },
  {
    what: 'an OSD that goes',
    edit: (a) => {
      a['ceph_osd']!['osds']!.pop();
      a['tombstones']!.push({ kind: 'osd', name: 'c0ffee00-0000-4000-8000-000000000002', detail: {} });
    },
    live: ['set OSD c0ffee00-0000-4000-8000-000000000002 out, and remove it when nothing is left on it (its data stay on the device)'],
  },
  { what: 'more copies', edit: (a) => set(a['ceph_mon']!['pools']![0], { size: 4 }), live: ['set size of Ceph pool vms'] },
  {
    what: 'another key',
    edit: (a) =>
      set(
        (a['ceph_mon'] as unknown as { keys: Loose[] }).keys.find((one) => (one['entity'] as unknown) === 'client.libvirt'),
        { secret: 'AQother', caps: { mon: 'allow r' } },
      ),
    live: ['change what the key client.libvirt may do', 'set another key of client.libvirt in Ceph'],
  },
  { what: 'another monitor', edit: (a) => set(a['ceph_mon']!['cluster']!['monitors']![1], { address: '10.0.0.9' }), live: ['write /etc/ceph/ceph.conf'] },
];

describe('what a host does', () => {
  it.each(others)('with $what', check('qemu-hypervisor'));
  it.each(ceph)('about Ceph: $what', check('ceph-node'));

  it('has a case for each row of the table', () => {
    const shown = new Set(others.map((one) => one.rule));
    expect(HYPERVISOR.map((kind) => kind.section).filter((name) => name !== 'domains' && !shown.has(name))).toEqual([]);
  });

  it('is nothing when it is deactivated, and waits when it is stopped', () => {
    const more: Edit = (a) => set(vm(a, 17), { cores: 4 });
    expect(effects('qemu-hypervisor', (a) => set(a['node'], { state: 'deactivated' }))).toEqual({
      acts: false,
      why: 'it is deactivated: its documents answer 410',
      live: [],
      restart: [],
    });
    expect(effects('qemu-hypervisor', more, (a) => set(a['node'], { state: 'stopped' }))).toMatchObject({
      acts: false,
      why: 'it is stopped: it does this when it runs again',
      live: ['plug 2 vCPUs into vm-17 (shop front)'],
    });
  });

  it('is all of it for a node that had no document', () => {
    const { live, restart } = effectsOf(null, buildDocument(read('qemu-hypervisor')).body);
    expect(live).toContain('define and start vm-17 (shop front)');
    expect(live).toContain('define vm-18 (vm 18), stopped');
    expect(restart).toEqual([]);
  });
});
