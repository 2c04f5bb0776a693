/** Proofs 4 to 6: what changes while it runs, what is removed, and what is left alone. */
import { describe, expect, it } from 'vitest';
import { domains, domainValue, guestUp, listOf, monitor, qemuPid, things, until, type Scene } from './converge.ts';

export function changeProofs(scene: Scene): void {
  describe('4. changes what runs', () => {
    it('vCPUs, memory, limits, a second disk and a third card live: the same QEMU process', async () => {
      const web = scene.domain('web');
      const pid = qemuPid(scene.hv1, web);
      await guestUp(scene.hv1, web);
      await scene.change(`vms/${scene.ids['web']}`, { cores: 2, ram: 402653184, cputime_limit: 50 });
      await scene.change('volumes/web-system', { read_iops: 1234 });
      await scene.lab.corral.call('POST', '/api/v1/volumes', { name: 'web-more', vm: scene.ids['web'], storage_pool: 'local', size: 16777216, type: 'qcow2' });
      await scene.lab.corral.call('POST', '/api/v1/vm-interfaces', { vm: scene.ids['web'] });
      const run = await scene.converge(scene.hv1);
      expect(things(run)).toContain(`domain ${web}`);
      expect(qemuPid(scene.hv1, web)).toBe(pid);
      expect(monitor(scene.hv1, web, 'info cpus').trim().split('\n')).toHaveLength(2);
      expect(domainValue(scene.hv1, web, '//cputune/quota')).toBe('50000');
      expect(scene.hv1.virsh('blkdeviotune', web, 'vda')).toMatch(/read_iops_sec *: 1234/);
      expect(monitor(scene.hv1, web, 'info block')).toContain('web-more');
      expect(scene.hv1.virsh('domiflist', web)).toContain(`${scene.ids['web']}-2`);
      expect(monitor(scene.hv1, web, 'info network').match(/model=virtio-net/g)).toHaveLength(3);
      // The guest plugs the memory that it was given.
      await until(
        'more memory',
        30,
        () => monitor(scene.hv1, web, 'info memory_size_summary'),
        (said) => said.includes('plugged memory: 134217728'),
      );
      await scene.change(`vms/${scene.ids['web']}`, { ram: 268435456 });
      await scene.converge(scene.hv1);
      // A guest gives back what it can: a few pages may be in use for good.
      await until(
        'less memory',
        30,
        () => monitor(scene.hv1, web, 'info memory_size_summary'),
        (said) => Number(/plugged memory: (\d+)/.exec(said)?.[1]) <= 8_388_608,
      );
      expect(qemuPid(scene.hv1, web)).toBe(pid);
      await scene.mends(scene.hv1);
    });

    it('what cannot be live waits for a restart, on both sides, and is applied at the next start', async () => {
      const web = scene.domain('web');
      const pid = qemuPid(scene.hv1, web);
      await scene.change(`vms/${scene.ids['web']}`, { cores_max: 6 });
      const run = await scene.converge(scene.hv1);
      expect(run.changed.find(({ thing }) => thing === `domain ${web}`)?.properties).toEqual(['vcpus_max']);
      const again = await scene.mends(scene.hv1);
      expect(again.output).toMatch(/waits? for (a restart|the next start)/i);
      expect(qemuPid(scene.hv1, web)).toBe(pid);
      expect(domainValue(scene.hv1, web, '//vcpu')).toBe('4');
      expect(domainValue(scene.hv1, web, '//vcpu', '--inactive')).toBe('6');
      await scene.becomes(scene.hv1, 'pending_restart');
      const row = await scene.lab.corral.call('GET', `/api/v1/vms/${scene.ids['web']}/convergence`);
      expect(row).toMatchObject({ state: 'pending_restart', why_not: expect.stringContaining('vcpus_max') });
      scene.hv1.virsh('shutdown', web, '--mode', 'acpi');
      await until(
        'the guest has shut down',
        60,
        () => domains(scene.hv1),
        (now) => now[web] === 'shut off',
      );
      await scene.converge(scene.hv1);
      expect(domainValue(scene.hv1, web, '//vcpu')).toBe('6');
      await scene.mends(scene.hv1);
      await scene.becomes(scene.hv1, 'converged');
    });
  });

  describe('5. removes only what a tombstone names', () => {
    it('a deleted virtual machine goes, its volumes stay until they are deleted, too', async () => {
      const spare = scene.domain('spare');
      await scene.lab.corral.call('DELETE', `/api/v1/vms/${scene.ids['spare']}`);
      await scene.converge(scene.hv1);
      expect(domains(scene.hv1)).not.toHaveProperty(spare);
      expect(scene.hv1.sh(`ip -o link | grep -c 'br-${scene.ids['spare']}-' || true`).trim()).toBe('0');
      expect(scene.hv1.sh('ls /var/lib/corral/volumes')).toContain('spare-system');
      await until(
        'no tombstone is left',
        20,
        () => listOf(scene.lab.corral, `/api/v1/tombstones?node=${scene.hv1.fqdn}`),
        (rows) => rows.length === 0,
      );
      await scene.lab.corral.call('DELETE', '/api/v1/volumes/spare-system');
      await scene.converge(scene.hv1);
      expect(scene.hv1.sh('ls /var/lib/corral/volumes')).not.toContain('spare-system');
      await scene.settles(scene.hv1);
    });

    it('a moved virtual machine is not started twice', async () => {
      const db = scene.domain('db');
      await expect(scene.change(`vms/${scene.ids['db']}`, { hypervisor: scene.hv2.fqdn })).rejects.toThrow(/stop/);
      await scene.change(`vms/${scene.ids['db']}`, { state: 'stopped' });
      await scene.converge(scene.hv1);
      expect(domains(scene.hv1)[db]).toBe('shut off');
      await scene.change(`vms/${scene.ids['db']}`, { hypervisor: scene.hv2.fqdn });
      await scene.change(`vms/${scene.ids['db']}`, { state: 'running' });
      // The new host comes first, and waits.
      await scene.converge(scene.hv2);
      expect(domains(scene.hv2)[db]).not.toBe('running');
      await scene.converge(scene.hv1);
      expect(domains(scene.hv1)).not.toHaveProperty(db);
      await scene.converge(scene.hv2);
      expect(domains(scene.hv2)[db]).toBe('running');
      expect(JSON.parse(scene.hv1.run('rbd', '--id', 'libvirt', '-p', 'vms', 'ls', '--format', 'json'))).toEqual(['db-system']);
      for (const host of [scene.hv1, scene.hv2]) {
        // oxlint-disable-next-line no-await-in-loop
        await scene.settles(host);
      }
    });
  });

  it('6. leaves unknown domains and volumes alone, and reports them', async () => {
    scene.hv1.sh(`cat > /tmp/other.xml <<'END'
<domain type='qemu'><name>other</name><memory unit='MiB'>64</memory><os><type arch='x86_64'>hvm</type></os></domain>
END
virsh -q define /tmp/other.xml; virsh -q start other; truncate -s 1M /var/lib/corral/volumes/mine.img; virsh -q pool-refresh local; ip link add br-mine type bridge`);
    await scene.mends(scene.hv1);
    expect(domains(scene.hv1)['other']).toBe('running');
    expect(scene.hv1.sh('ls /var/lib/corral/volumes')).toContain('mine.img');
    expect(scene.hv1.sh('ip -o link show br-mine')).toContain('br-mine');
    scene.hv1.virsh('destroy', 'other');
    scene.hv1.virsh('undefine', 'other');
    scene.hv1.sh('ip link del br-mine; rm /var/lib/corral/volumes/mine.img; virsh -q pool-refresh local');
  });
}
