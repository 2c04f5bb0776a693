import { describe, expect, it } from 'vitest';
import { buildDocument, hieraOf, pillarOf, topsOf } from '../../src/documents/index.ts';
import { diskTarget } from '../../src/documents/libvirt/disks.ts';
import { cpuQuota } from '../../src/documents/libvirt/identity.ts';
import { domainXml } from '../../src/documents/libvirt/domain.ts';
import { bridges } from '../../src/documents/network.ts';
import type { Vm } from '../../src/documents/types.ts';
import { aggregateOf, VERSION } from './cases.ts';

const aggregate = aggregateOf('qemu-hypervisor');
const hypervisor = aggregate.hypervisor!;
const full = hypervisor.vms[0]!;
const host = { local_path: '/var/lib/corral', pools: new Map(hypervisor.pools.map((pool) => [pool.name, pool])) };
const xml = (change: Partial<Vm>): string => {
  const made = domainXml({ ...full, ...change }, host);
  return 'xml' in made ? made.xml : made.unsupported.code;
};

describe('domain', () => {
  it.each([
    [0, 'vda'],
    [25, 'vdz'],
    [26, 'vdaa'],
    [701, 'vdzz'],
    [702, 'vdaaa'],
  ])('names disk %i %s', (number, name) => {
    expect(diskTarget(number)).toBe(name);
  });

  it.each([
    [1, 1000],
    [50, 50_000],
    [100, 100_000],
  ])('makes %i per cent a quota of %i', (percent, quota) => {
    expect(cpuQuota(percent)).toBe(quota);
  });

  it.each([
    ['none', 'native'],
    ['directsync', 'native'],
    ['default', 'threads'],
    ['writeback', 'threads'],
    ['writethrough', 'threads'],
    ['unsafe', 'threads'],
  ] as const)('reads and writes with cache %s by %s', (cache_option, io) => {
    const text = xml({ volumes: [{ ...full.volumes[0]!, cache_option }] });
    expect(text).toContain(`io='${io}'`);
    expect(text.includes(`cache='`)).toBe(cache_option !== 'default');
  });

  it.each([
    ['method_without_libvirt', { method: 'systemd-nspawn' }],
    ['method_without_libvirt', { method: 'constructor' }],
    ['cpu_model_missing', { cpu_mode: 'custom', cpu_model: null }],
    ['secure_boot_needs_q35', { machine: 'pc' }],
    ['pool_missing', { volumes: [{ ...full.volumes[0]!, pool: 'elsewhere' }] }],
    ['lxc_limit', { method: 'LXC' }],
  ] as const)('is refused: %s', (code, change) => {
    expect(xml(change as Partial<Vm>)).toBe(code);
  });

  it('moves no device when one is added', () => {
    const addresses = (text: string): string[] =>
      text.match(/<(?:disk type='\w+' device='disk'|interface|rng|memballoon|memory m)[\s\S]*?<address [^>]*>/g) ?? [];
    const less = addresses(xml({ volumes: full.volumes.slice(0, 1), interfaces: full.interfaces.slice(1, 2) }));
    expect(addresses(xml({}))).toEqual(expect.arrayContaining(less));
    const places = xml({}).match(/<address [^>]*>/g)!;
    expect(new Set(places).size).toBe(places.length);
  });

  it('has no headroom where the model has none', () => {
    const text = xml({ ram_max: full.ram, cores_max: full.cores });
    expect(text).not.toMatch(/maxMemory|virtio-mem|numa|current=/);
  });
});

describe('bridges', () => {
  const made = bridges(aggregate, hypervisor.vms, hypervisor.networks);

  it('have names that the kernel takes, and each port in one bridge only', () => {
    const ports = Object.values(made).flatMap((bridge) => bridge.ports.map((port) => port.name));
    for (const name of [...Object.keys(made), ...ports]) expect(name.length).toBeLessThanOrEqual(15);
    expect(new Set(ports).size).toBe(ports.length);
  });

  it('have both ends of every cable', () => {
    const veths = Object.values(made).flatMap((bridge) => bridge.ports.filter((port) => port.kind === 'veth'));
    expect(veths.length).toBeGreaterThan(0);
    for (const { name, peer } of veths) expect(veths).toContainEqual(expect.objectContaining({ name: peer, peer: name }));
  });

  it('carry the gateway and the routes of a routed network', () => {
    expect(made['br-17-0']).toMatchObject({
      routed: true,
      addresses: [{ address: '203.0.113.1/32' }, { address: 'fe80::1/64' }],
      routes: ['203.0.113.7/32', '2001:db8:7::7/128'],
    });
  });
});

describe('document', () => {
  it('lets what is modelled win over a tombstone that was left behind', () => {
    const { domains, volumes } = buildDocument(aggregateOf('tombstones')).body['hypervisor'] as Record<string, Record<string, { ensure: string }>>;
    expect(domains!['vm-50']!.ensure).toBe('absent');
    expect(volumes!['vol-50']!.ensure).toBe('absent');
    expect(volumes!['vol-51']!.ensure).toBe('present');
  });

  it('names nothing as gone without a tombstone', () => {
    for (const name of ['qemu-hypervisor', 'rbd-hypervisor', 'ceph-node', 'salt-node', 'empty-node', 'nasty-strings']) {
      expect(JSON.stringify(buildDocument(aggregateOf(name)).body)).not.toContain('"absent"');
    }
  });

  it('gives keys to those who need them, and capabilities to the monitors only', () => {
    const { body } = buildDocument(aggregateOf('ceph-node'));
    const ceph = body['ceph'] as unknown as Record<string, { keys: Record<string, object> }>;
    expect(Object.keys(ceph['mon']!.keys)).toEqual(['client.admin', 'client.bootstrap-osd', 'client.libvirt', 'mon.']);
    expect(Object.keys(ceph['osd']!.keys)).toEqual(['client.bootstrap-osd']);
    expect(JSON.stringify(ceph['osd']!.keys)).not.toContain('caps');
  });

  it('marks the one monitor that may begin the cluster', () => {
    const { body } = buildDocument(aggregateOf('rbd-hypervisor'));
    const ceph = body['ceph'] as unknown as { client: { clusters: Record<string, { peers: object }> } };
    expect(ceph.client.clusters['ceph']!.peers).toMatchObject({ mon1: { founder: true } });
    expect(JSON.stringify(body)).not.toContain('"founder":false');
  });

  it('makes secrets Sensitive in Hiera, and nothing else', () => {
    const options = hieraOf(buildDocument(aggregateOf('rbd-hypervisor')).body, VERSION)['lookup_options'] as Record<string, { convert_to?: string }>;
    const sensitive = Object.keys(options).filter((key) => options[key]!.convert_to === 'Sensitive');
    expect(sensitive).toEqual(['corral::ceph::client::keys', 'corral::hypervisor::secrets']);
  });

  it('has states by saltenv, and calls production base', () => {
    expect(topsOf(buildDocument(aggregateOf('salt-node')).body)).toEqual({ staging: ['corral', 'corral.hypervisor'] });
    expect(Object.keys(topsOf(buildDocument(aggregateOf('ceph-node')).body))).toEqual(['base']);
  });

  it('leaves texts as they are in the pillar', () => {
    const { body } = buildDocument(aggregateOf('nasty-strings'));
    expect(pillarOf(body, VERSION).corral['location']).toBe('%{::x} : yes');
  });
});
