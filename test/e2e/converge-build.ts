/** Proofs 1 to 3: an empty host is built, stays, and comes back when it is damaged. */
import { describe, expect, it } from 'vitest';
import { domains, domainValue, guestUp, listOf, monitor, stateOf, things, until, type Scene } from './converge.ts';

export function buildProofs(scene: Scene): void {
  it('1. builds an empty host: Ceph, networks, pools, volumes and running domains', async () => {
    const first = await scene.converge(scene.hv1);
    console.log(`${scene.tool.name}: hv1 from nothing in ${first.seconds.toFixed(1)} s, ${first.changed.length} things`);
    await scene.converge(scene.hv2);

    expect(domains(scene.hv1)).toEqual({
      [scene.domain('web')]: 'running',
      [scene.domain('db')]: 'running',
      [scene.domain('idle')]: 'paused',
      [scene.domain('spare')]: 'shut off',
    });
    // Ceph: who is there, and what the keys may do.
    const ceph = (...args: string[]): Record<string, never> => JSON.parse(scene.hv1.run('ceph', ...args, '-f', 'json'));
    expect(ceph('quorum_status')['quorum_names']).toEqual(['hv1']);
    await until(
      'all OSDs are up',
      30,
      () => ceph('osd', 'stat'),
      (stat) => stat['num_up_osds'] === 3,
    );
    const tree = ceph('osd', 'tree')['nodes'] as unknown as { type: string; device_class?: string; crush_weight?: number }[];
    const osds = tree.filter(({ type }) => type === 'osd').map((osd) => `${osd.device_class} ${osd.crush_weight}`);
    expect(osds.toSorted()).toEqual(['hdd 0.5', 'ssd 1', 'ssd 1']);
    expect(ceph('osd', 'pool', 'get', 'vms', 'all')).toMatchObject({ size: 2, min_size: 1 });
    expect(scene.hv1.run('ceph', 'auth', 'get', 'client.libvirt')).toContain('profile rbd pool=vms');
    expect(JSON.parse(scene.hv1.run('rbd', '--id', 'libvirt', '-p', 'vms', 'ls', '--format', 'json'))).toEqual(['db-system']);
    expect(JSON.parse(scene.hv1.run('rbd', '--id', 'libvirt', 'info', 'vms/db-system', '--format', 'json'))).toMatchObject({ size: 33554432 });

    // Volumes.
    const file = (name: string): Record<string, unknown> =>
      JSON.parse(scene.hv1.run('qemu-img', 'info', '-U', '--output=json', `/var/lib/corral/volumes/${name}`));
    expect(file('web-system')).toMatchObject({ format: 'qcow2', 'virtual-size': 67108864 });
    expect(file('web-data')).toMatchObject({ format: 'raw', 'virtual-size': 33554432 });

    // Limits, as QEMU and libvirt have them.
    const web = scene.domain('web');
    expect(domainValue(scene.hv1, web, '//cputune/quota')).toBe('80000');
    expect(monitor(scene.hv1, web, 'info block')).toContain('/var/lib/corral/volumes/web-system');
    const throttled = scene.hv1.virsh('blkdeviotune', web, 'vda');
    expect(throttled).toMatch(/read_bytes_sec *: 104857600/);
    expect(throttled).toMatch(/write_iops_sec *: 3000/);
    expect(monitor(scene.hv1, web, 'info cpus').trim().split('\n')).toHaveLength(1);
    // Networks: bridges, the VXLAN device and the route.
    const links = JSON.parse(scene.hv1.run('ip', '-d', '-j', 'link')) as {
      ifname: string;
      master?: string;
      linkinfo?: { info_data?: Record<string, unknown> };
    }[];
    expect(links.find(({ ifname }) => ifname === `${scene.ids['web']}-0`)?.master).toBe(`br-${scene.ids['web']}-0`);
    expect(links.find(({ ifname }) => ifname === 'cx77')?.linkinfo?.info_data).toMatchObject({ id: 77, group: '239.77.0.1', port: 4789 });
    const addresses = await listOf<{ address: string }>(scene.lab.corral, `/api/v1/addresses?vm_interface=${scene.ids['web']}-1`);
    expect(scene.hv1.run('ip', 'route', 'get', addresses[0]!.address)).toContain(`br-${scene.ids['web']}-1`);

    // And the guest runs, from the image, and answers its agent.
    await guestUp(scene.hv1, web);
    await scene.becomes(scene.hv1, 'changed');
  });

  it('2. changes nothing in the second run, and says so', async () => {
    const before = stateOf(scene.hv1);
    const second = await scene.mends(scene.hv1);
    console.log(`${scene.tool.name}: nothing to do on hv1 in ${second.seconds.toFixed(1)} s`);
    await scene.mends(scene.hv2);
    expect(stateOf(scene.hv1)).toBe(before);
    await scene.becomes(scene.hv1, 'converged');
    const web = await scene.lab.corral.call('GET', `/api/v1/vms/${scene.ids['web']}?wait=converged&timeout=30`);
    expect(web).toMatchObject({ observed_state: 'running', convergence: { state: 'converged' } });
  });

  describe('3. mends what was damaged by hand, in one run, and reports it as drift', () => {
    const damages: Record<string, () => { damage: string; mended: string[] }> = {
      'a killed domain': () => ({ damage: `kill -9 $(cat /run/libvirt/qemu/${scene.domain('db')}.pid)`, mended: [`domain ${scene.domain('db')}`] }),
      'an undefined domain': () => ({ damage: `virsh -q undefine ${scene.domain('spare')}`, mended: [`domain ${scene.domain('spare')}`] }),
      'a limit': () => ({
        damage: `virsh -q blkdeviotune ${scene.domain('web')} vda --read-iops-sec 9 --live --config`,
        mended: [`domain ${scene.domain('web')}`],
      }),
      'a paused domain that runs': () => ({ damage: `virsh -q resume ${scene.domain('idle')}`, mended: [`domain ${scene.domain('idle')}`] }),
      'a bridge': () => ({ damage: `ip link del br-${scene.ids['web']}-0`, mended: [`bridge br-${scene.ids['web']}-0`] }),
      'an MTU': () => ({ damage: `ip link set br-${scene.ids['db']}-0 mtu 1300`, mended: [`bridge br-${scene.ids['db']}-0`] }),
      'the VXLAN device': () => ({ damage: 'ip link del cx77', mended: [`bridge ${networkBridge()}`] }),
      'a route': () => ({
        damage: `ip route del $(ip route | grep br-${scene.ids['web']}-1 | grep -v src | awk '{print $1}' | tail -n 1)`,
        mended: [`bridge br-${scene.ids['web']}-1`],
      }),
      'a pool': () => ({ damage: 'virsh -q pool-destroy local', mended: ['pool local'] }),
      'a libvirt secret': () => ({
        damage: 'u=$(virsh -q secret-list | awk "{print \\$1}"); virsh -q secret-set-value $u --base64 AQAAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAA==',
        mended: [`secret ${secret()}`],
      }),
      'the caps of a key': () => ({ damage: 'ceph auth caps client.libvirt mon "allow r"', mended: ['ceph_key ceph/client.libvirt'] }),
      'a keyring': () => ({ damage: 'chmod 644 /etc/ceph/ceph.client.libvirt.keyring', mended: ['ceph_keyring ceph/client.libvirt'] }),
      'a pool of Ceph': () => ({ damage: 'ceph osd pool set vms size 3', mended: ['ceph_pool ceph/vms'] }),
      'a killed OSD': () => ({ damage: 'kill -9 $(pgrep -f "ceph-osd .*" | head -n 1); sleep 1', mended: [] }),
      'a killed monitor': () => ({ damage: 'pkill -9 -x ceph-mon; sleep 1', mended: ['ceph_mon hv1'] }),
      'the configuration of Ceph': () => ({ damage: 'sed -i /fsid/d /etc/ceph/ceph.conf', mended: ['ceph_config ceph'] }),
    };
    const networkBridge = (): string => scene.hv1.sh("ip -o link show type bridge | grep -o 'cn-[0-9a-f]*' | head -n 1").trim();
    const secret = (): string => scene.hv1.sh("virsh -q secret-list | awk '{print $1}'").trim();
    it.each(Object.keys(damages))('%s', async (name) => {
      const { damage, mended } = damages[name]!();
      scene.hv1.sh(damage);
      if (name === 'a killed OSD') {
        const run = await scene.converge(scene.hv1);
        expect(things(run), run.output).toHaveLength(1);
        expect(things(run)[0]).toMatch(/^ceph_osd /);
      } else {
        await scene.mends(scene.hv1, ...mended);
      }
      await scene.becomes(scene.hv1, 'drift_corrected');
    });
    it('and has nothing left to do', async () => {
      await scene.mends(scene.hv1);
      expect(domains(scene.hv1)).toMatchObject({ [scene.domain('web')]: 'running', [scene.domain('db')]: 'running', [scene.domain('idle')]: 'paused' });
      expect(scene.hv1.sh(`ip -o link show ${scene.ids['web']}-0`)).toContain(`master br-${scene.ids['web']}-0`);
    });
    it('refuses to shrink a volume, and says why', async () => {
      await scene.change('volumes/web-data', { size: 50331648 });
      await scene.mends(scene.hv1, 'volume web-data', 'document');
      await scene.change('volumes/web-data', { size: 33554432 });
      const run = await scene.tool.apply(scene.hv1);
      expect(run.ok).toBe(false);
      expect(run.failed.map(({ thing }) => thing)).toContain('volume web-data');
      expect(run.failed.find(({ thing }) => thing === 'volume web-data')?.text).toMatch(/shrink|smaller/i);
      expect(JSON.parse(scene.hv1.run('qemu-img', 'info', '-U', '--output=json', '/var/lib/corral/volumes/web-data'))).toMatchObject({
        'virtual-size': 50331648,
      });
      await scene.becomes(scene.hv1, 'failed');
      await scene.change('volumes/web-data', { size: 50331648 });
      await scene.converge(scene.hv1);
    });
  });
}
