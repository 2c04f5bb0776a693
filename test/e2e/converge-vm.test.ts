/**
 * A host with an operating system of its own: Debian with systemd in a virtual machine. What this
 * machine's kernel may lack is real there: LVM and VLANs; and so are the package, its units and a reboot.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from './converge.ts';
import { startCorral, type RunningCorral } from './corral.ts';
import { makeWire, WIRE_ADDRESS } from './host.ts';
import { Puppetserver, whyNoPuppetserver } from './puppet-rig.ts';
import { startVmHost, whyNoVm, type VmHost } from './vm-host.ts';

const missing = whyNoVm() ?? whyNoPuppetserver();

/** Builds the package corral-host from a copy of its source. */
function buildPackage(folder: string): string {
  cpSync(resolve(import.meta.dirname, '../../host'), join(folder, 'host'), { recursive: true, filter: (path) => !path.includes('__pycache__') });
  execFileSync('dpkg-buildpackage', ['-us', '-uc', '-b', '-d'], { cwd: join(folder, 'host'), stdio: 'pipe' });
  return globSync(join(folder, 'corral-host_*_all.deb'))[0]!;
}

describe.skipIf(missing !== undefined)(`a host with systemd${missing === undefined ? '' : ` (${missing})`}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'corral-vm-'));
  let corral: RunningCorral;
  let server: Puppetserver;
  let host: VmHost;
  const create = (noun: string, body: object): Promise<Record<string, unknown>> => corral.call('POST', `/api/v1/${noun}`, body);
  const agent = (): Promise<{ status: number; stdout: string; stderr: string }> =>
    host.try('/usr/bin/puppet', ['agent', '--test', '--color=false'], { timeout: 600_000 });
  const good = (run: { status: number; stdout: string; stderr: string }, ...statuses: number[]): void =>
    expect(statuses, run.stdout + run.stderr).toContain(run.status);

  beforeAll(async () => {
    makeWire();
    const deb = buildPackage(folder);
    host = await startVmHost();
    [corral, server] = await Promise.all([startCorral({ HOST: WIRE_ADDRESS }), Puppetserver.start({ address: WIRE_ADDRESS, reports: 'corral' })]);
    server.configure({ url: corral.url, token: String((await create('tokens', { name: 'server', kind: 'server' }))['token']) });

    await create('sites', { name: 'lab' });
    await create('nodes', { fqdn: host.fqdn, site: 'lab', roles: { hypervisor: { methods: ['QEMU'], cores: 64, ram: 17_179_869_184, volume_group: 'vg0' } } });
    await create('node-interfaces', { node: host.fqdn, name: 'eth0', purpose: 'public' });
    await create('node-addresses', { node_interface: `${host.fqdn}:eth0`, address: `${host.address}/24` });
    await create('networks', { name: 'office', kind: 'vlan', vlan_tag: 77, purpose: 'public', is_default: true });
    await create('subnets', { cidr: '10.78.0.0/24', network: 'office' });
    await create('storage-pools', { name: 'fast', kind: 'lvm', is_default: true });
    await create('pool-attachments', { hypervisor: host.fqdn, storage_pool: 'fast', capacity: 4_294_967_296 });

    await host.write('/root/corral-host.deb', readFileSync(deb));
    // What the site has in its own data: the module's parameters for its hosts. JSON is YAML.
    const data = join(server.folder, 'code/environments/production/data/common.yaml');
    const settings = {
      'corral::manage_packages': true,
      'corral::manage_services': true,
      'corral::package_source': '/root/corral-host.deb',
      'corral::hostd_url': corral.url,
      'corral::hostd_token': await corral.nodeToken(host.fqdn),
    };
    writeFileSync(data, `${JSON.stringify(settings)}\n`);
    const conf = [
      '[main]',
      `certname = ${host.fqdn}`,
      `server = ${WIRE_ADDRESS}`,
      `serverport = ${server.port}`,
      '[agent]',
      'usecacheonfailure = false',
      'report = true',
    ];
    await host.write('/etc/puppet/puppet.conf', `${conf.join('\n')}\n`);
    await host.sh('pvcreate -q /dev/vdb && vgcreate -q vg0 /dev/vdb');
  }, 1_800_000);

  afterAll(async () => {
    host?.stop();
    await Promise.all([server?.stop(), corral?.stop()]);
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);

  const vm = async (name: string, more: object = {}): Promise<number> =>
    Number(
      (
        await create('vms', {
          name,
          method: 'QEMU',
          cores: 1,
          ram: 67_108_864,
          cpu_mode: 'custom',
          cpu_model: 'qemu64',
          volumes: [{ size: 16_777_216 }],
          ...more,
        })
      )['id'],
    );
  const running = async (id: number): Promise<void> => {
    /* All of it is emulated, beside other tests. */
    const ask = (): Promise<Record<string, unknown>> => corral.call('GET', `/api/v1/vms/${id}?wait=converged&timeout=300`);
    const row = await until(`vm ${id} is converged`, 1200, ask, ({ convergence }) => (convergence as { state: string }).state === 'converged');
    expect(row).toMatchObject({ observed_state: 'running', convergence: { state: 'converged' } });
    expect((await host.sh(`virsh -q domstate vm-${id}`)).trim()).toBe('running');
  };
  let first: number;

  it('the first run installs the package, the daemon, a logical volume, a VLAN and a domain', async () => {
    first = await vm('first');
    const run = await agent();
    good(run, 2);
    expect((await host.sh('lvs --noheadings -o lv_name,lv_size --units b vg0')).trim().split(/\s+/)).toEqual([`vol-1`, '16777216B']);
    expect(await host.sh('ip -d -o link show type vlan')).toMatch(/cv77-\S+@eth0.* vlan protocol 802\.1Q id 77 /);
    expect(await host.sh(`virsh -q domblklist vm-${first}`)).toContain('/dev/vg0/vol-1');
    expect((await host.sh('systemctl is-active corral-hostd corral-converge.path')).trim().split('\n')).toEqual(['active', 'active']);
    expect((await host.sh('stat -c %U /proc/$(systemctl show -p MainPID --value corral-hostd)')).trim()).toBe('corral-host');
    await running(first);
  });

  it('the second run changes nothing', async () => {
    const run = await agent();
    good(run, 0);
  });

  it('corral-hostd asks systemd for a run when the document changes', async () => {
    const begun = Date.now();
    const id = await vm('second');
    await running(id);
    console.log(`virtual host with systemd: POST to converged in ${((Date.now() - begun) / 1000).toFixed(1)} s, all of it emulated`);
    await corral.call('PATCH', '/api/v1/volumes/vol-1', { size: 33_554_432 });
    const grown = (): Promise<string> => host.sh('lvs --noheadings -o lv_size --units b vg0/vol-1');
    await until('a larger volume', 900, grown, (size) => size.trim() === '33554432B');
    const seen = (): Promise<string> => host.sh(`virsh -q domblkinfo vm-${first} vda`);
    await until('the domain sees it', 300, seen, (text) => /Capacity: +33554432/.test(text));
  });

  it('a host that lost its power becomes what it was, by itself', async () => {
    await host.reboot();
    await until(
      'the first domain',
      900,
      () => host.sh(`virsh -q domstate vm-${first}`),
      (state) => state.trim() === 'running',
    );
    await running(first);
    expect(await host.sh('ip -d -o link show type vlan')).toContain('cv77-');
  });
});
