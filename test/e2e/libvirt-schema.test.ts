/** The XML of the fixtures against libvirt's own schemas and a real libvirt with QEMU and LXC drivers. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { aggregateOf, cases, expected, FIXTURES } from '../documents/cases.ts';
import { buildDocument } from '../../src/documents/index.ts';
import { domainXml } from '../../src/documents/libvirt/domain.ts';
import { libvirtMissing, startLibvirt, type Libvirt } from './libvirt.ts';

const missing = libvirtMissing();
if (missing !== null) console.warn(`skipped: XML against a real libvirt, because ${missing}`);

const files = cases().flatMap((name) => Object.keys(expected(name)).map((file) => join(name, file)));
const xml = files.filter((file) => file.endsWith('.xml'));
const of = (noun: string): string[] => xml.filter((file) => file.split('/')[1]?.startsWith(`${noun}.`));

describe.skipIf(missing !== null)('libvirt', () => {
  let libvirt: Libvirt;
  let folder: string;
  /** A copy in which the machine's own lack of KVM does not matter. */
  const withoutKvm = (file: string): string => {
    const path = join(folder, 'domain.xml');
    const text = readFileSync(join(FIXTURES, file), 'utf8');
    writeFileSync(path, text.replace("<domain type='kvm'>", "<domain type='qemu'>").replace("mode='host-passthrough'", "mode='maximum'"));
    return path;
  };
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'corral-libvirt-'));
    libvirt = await startLibvirt();
  }, 60_000);
  afterAll(() => {
    libvirt?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(xml)('%s is valid by the schema', (file) => {
    const { status, stdout, stderr } = spawnSync('virt-xml-validate', [join(FIXTURES, file)], { encoding: 'utf8' });
    expect({ status, output: stdout + stderr }).toMatchObject({ status: 0 });
  });

  it.each(of('domain'))('%s can be defined, and again', (file) => {
    const path = withoutKvm(file);
    const lxc = readFileSync(path, 'utf8').startsWith("<domain type='lxc'>");
    const uri = lxc ? 'lxc:///' : 'qemu:///system';
    const name = file.split('.')[1] ?? '';
    libvirt.virsh('-c', uri, 'define', '--validate', path);
    libvirt.virsh('-c', uri, 'define', '--validate', path);
    const back = libvirt.virsh('-c', uri, 'dumpxml', name, '--inactive');
    expect(back).toContain(`<corral:vm xmlns:corral="urn:corral:vm:1" id="${name.slice(3)}">`);
    expect(libvirt.virsh('-c', uri, 'dominfo', name)).toMatch(/Autostart: +disable/);
    libvirt.virsh('-c', uri, 'undefine', name, ...(lxc ? [] : ['--nvram']));
  });

  it.each(of('secret'))('%s can be defined and holds a key', (file) => {
    const uuid = file.split('.')[1] ?? '';
    libvirt.virsh('secret-define', join(FIXTURES, file));
    libvirt.virsh('secret-set-value', uuid, '--base64', 'QVFCbm90YXJlYWxrZXkwMQ==');
    expect(libvirt.virsh('secret-list')).toMatch(new RegExp(`${uuid} +ceph +ceph client`));
  });

  it.each(of('pool'))('%s can be defined, and again', (file) => {
    const name = (file.split('.')[1] ?? '').trim();
    libvirt.virsh('pool-define', '--validate', join(FIXTURES, file));
    libvirt.virsh('pool-define', '--validate', join(FIXTURES, file));
    expect(
      libvirt
        .virsh('pool-list', '--all', '--name')
        .split('\n')
        .map((line) => line.trim()),
    ).toContain(name);
    libvirt.virsh('pool-undefine', name);
  });

  it('makes a volume in a directory pool at the path that the domain names', () => {
    const aggregate = aggregateOf('salt-node');
    const hypervisor = aggregate.hypervisor!;
    const images = join(folder, 'images');
    const document = buildDocument({
      ...aggregate,
      hypervisor: { ...hypervisor, pools: hypervisor.pools.map((pool) => ({ ...pool, target: images })) },
    });
    const { pools, volumes } = document.body['hypervisor'] as unknown as Record<string, Record<string, { xml: string; path: string }>>;
    const pool = join(folder, 'pool.xml');
    const volume = join(folder, 'volume.xml');
    writeFileSync(pool, pools!['local']!.xml);
    writeFileSync(volume, volumes!['vol-40']!.xml);
    libvirt.virsh('pool-define', pool);
    libvirt.virsh('pool-build', 'local');
    libvirt.virsh('pool-start', 'local');
    libvirt.virsh('vol-create', 'local', volume);
    expect(libvirt.virsh('vol-path', 'vol-40', '--pool', 'local').trim()).toBe(volumes!['vol-40']!.path);
    expect(libvirt.virsh('vol-dumpxml', 'vol-40', '--pool', 'local')).toContain("<format type='qcow2'/>");
  });

  it('starts a VM with its limits, and grows its vCPUs and memory while it runs', () => {
    const { hypervisor } = aggregateOf('qemu-hypervisor');
    const all = hypervisor!.vms.find((vm) => vm.id === 17)!;
    const disk = join(folder, 'vol-17');
    const mib = 2 ** 20;
    libvirt.run('qemu-img', 'create', '-q', '-f', 'qcow2', disk, '64M');
    for (const nic of all.interfaces) libvirt.run('ip', 'link', 'add', `br-${nic.name}`, 'type', 'bridge');
    const vm = { ...all, ram: 256 * mib, ram_max: 512 * mib, cputime_limit: null, volumes: all.volumes.slice(0, 1) };
    const pools = new Map([['local', { ...hypervisor!.pools.find(({ name }) => name === 'local')!, target: folder }]]);
    const made = domainXml(vm, { local_path: folder, pools });
    if (!('xml' in made)) throw new Error(made.unsupported.reason);
    const path = join(folder, 'start.xml');
    writeFileSync(path, made.xml);
    libvirt.run('chmod', '755', folder);
    libvirt.virsh('define', '--validate', path);
    libvirt.virsh('start', 'vm-17');
    expect(libvirt.virsh('domstate', 'vm-17').trim()).toBe('running');
    expect(libvirt.virsh('vcpucount', 'vm-17', '--live', '--active').trim()).toBe('2');
    libvirt.virsh('setvcpus', 'vm-17', '4', '--live');
    expect(libvirt.virsh('vcpucount', 'vm-17', '--live', '--active').trim()).toBe('4');
    libvirt.virsh('update-memory-device', 'vm-17', '--live', '--requested-size', '128MiB');
    expect(libvirt.virsh('dumpxml', 'vm-17')).toContain("<requested unit='KiB'>131072</requested>");
    expect(libvirt.virsh('blkdeviotune', 'vm-17', 'vda')).toMatch(/read_iops_sec *: 500\n/);
    expect(libvirt.run('ip', 'link', 'show', 'dev', '17-0')).toContain('master br-17-0');
    const extra = hypervisor!.vms.find(({ id }) => id === 19)!.interfaces[0]!;
    libvirt.run('ip', 'link', 'add', `br-${extra.name}`, 'type', 'bridge');
    // The element of the document itself, at its own place: number 3 is free while 0 to 2 are plugged in.
    const more = domainXml({ ...vm, interfaces: [...vm.interfaces, { ...extra, number: 3 }] }, { local_path: folder, pools });
    const element = 'xml' in more ? (more.xml.match(/<interface .*?<\/interface>/gs) ?? []).at(-1) : undefined;
    writeFileSync(path, element!);
    libvirt.virsh('attach-device', 'vm-17', path, '--live');
    expect(libvirt.run('ip', 'link', 'show', 'dev', extra.name)).toContain(`master br-${extra.name}`);
    libvirt.virsh('destroy', 'vm-17');
    libvirt.virsh('undefine', 'vm-17', '--nvram');
  }, 120_000);
});
