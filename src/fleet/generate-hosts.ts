import type { Store } from '../db/transaction.ts';
import { cephKeyContext } from '../modules/hooks.ts';
import type { Loader } from './loader.ts';
import type { Prng } from './prng.ts';

export const GiB = 1_073_741_824;
const TiB = 1024 * GiB;

/** A hypervisor that virtual machines may be given to, and what may still be promised of it. */
export interface Host {
  readonly id: number;
  readonly budget: { cores: number; ram: number };
  left: number;
}

/** Up to 250 nodes of a site with a Ceph cluster, networks and pools of their own. */
export interface Pod {
  readonly index: number;
  readonly site: number;
  readonly nodes: number;
  readonly vms: number;
  readonly hosts: Host[];
  /** The id of the RBD pool; undefined in a pod too small for Ceph. */
  readonly rbd: number | undefined;
}

export interface SharedPools {
  readonly local: number;
  readonly fast: number;
  /** NFS, by site. */
  readonly nfs: readonly number[];
}

interface Context {
  readonly load: Loader;
  readonly random: Prng;
  readonly store: Store;
}

const codes = ['fra', 'ams', 'lhr', 'cdg', 'waw', 'mad', 'arn', 'vie', 'zrh', 'mxp', 'dub', 'prg', 'lis', 'osl', 'hel', 'cph'];
export const siteName = (index: number): string => `${codes[index % codes.length]!}${1 + Math.floor(index / codes.length)}`;

/** An IPv4 address from the start of a range. */
export function ipv4(start: string, offset: number): string {
  const number = start.split('.').reduce((sum, part) => sum * 256 + Number(part), 0) + offset;
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');
}

const two = (n: number): string => String(n).padStart(2, '0');

/** The nodes of a pod with roles, interfaces, addresses and pools. */
export function addPod({ load, random, store }: Context, plan: Omit<Pod, 'hosts' | 'rbd'>, pools: SharedPools, siteIndex: number): Pod {
  const { index, site, nodes, vms } = plan;
  const withCeph = nodes >= 8;
  const osds = withCeph ? Math.max(3, Math.round(nodes * 0.12)) : 0;
  const domain = `p${two(index + 1)}.${siteName(siteIndex)}.example.com`;
  const hypervisors = nodes - osds - (withCeph ? 2 : 0);
  const perHost = Math.ceil(vms / Math.max(1, hypervisors * 0.9));
  const cluster = withCeph ? addCluster({ load, random, store }, index) : undefined;
  const rbd = cluster && load.add('storage_pool', poolRow(`p${two(index + 1)}-rbd`, { kind: 'rbd', ceph_pool_id: cluster.pool, ceph_key_id: cluster.key }));
  const hosts: Host[] = [];
  let number = 0;

  const addNode = (name: string, kind: 'hypervisor' | 'ceph', state: string): number => {
    const place = number++;
    const rack = `rack ${String.fromCharCode(65 + (index % 26))}${two(1 + Math.floor(place / 20))}, unit ${1 + (place % 20) * 2}`;
    const node = load.add('node', {
      fqdn: `${name}.${domain}`,
      location: `Hall ${1 + (index % 4)}, ${rack}`,
      state,
      environment: random.chance(0.95) ? 'production' : 'testing',
      manager: random.chance(0.75) ? 'puppet' : 'salt',
      site_id: site,
    });
    load.addPlain('document', { node_id: node });
    const at = index * 1024 + 10 + place;
    const card = (card: string, purpose: string, more: object = {}): number =>
      load.add('node_interface', { node_id: node, name: card, kind: 'physical', bond_id: null, mac: macOf(random), mtu: 9000, purpose, ...more });
    const address = (id: number, text: string, gateway: string | null): number => load.add('node_address', { node_interface_id: id, address: text, gateway });
    if (kind === 'hypervisor') {
      const bond = card('bond0', 'public', { kind: 'bond', mac: null });
      for (const member of ['eno1', 'eno2']) card(member, 'public', { bond_id: bond });
      address(bond, `${ipv4('172.16.0.0', at)}/22`, ipv4('172.16.0.0', index * 1024 + 1));
      address(bond, `2001:db8:1:${(index + 1).toString(16)}::${(10 + place).toString(16)}/64`, `2001:db8:1:${(index + 1).toString(16)}::1`);
      address(card('eno3', 'management', { mtu: 1500 }), `${ipv4('10.64.0.0', at)}/22`, null);
    }
    address(card('enp65s0', 'storage'), `${ipv4('10.128.0.0', at)}/22`, null);
    if (kind === 'ceph') address(card('enp65s1', 'storage'), `${ipv4('10.192.0.0', at)}/22`, null);
    return node;
  };

  for (let i = 0; i < hypervisors; i++) {
    /* A small pod needs all its hosts. */
    const state = i === 0 || hypervisors < 20 || random.chance(0.96) ? 'running' : random.pick(['maintenance', 'maintenance', 'stopped', 'deactivated']);
    const node = addNode(`hv${String(i + 1).padStart(3, '0')}`, 'hypervisor', state);
    const cores = random.pick([32, 64, 64, 96]);
    const ram = Math.max(random.pick([256, 384, 512]), Math.ceil((perHost * 8) / 64) * 64) * GiB;
    const overcommit = Math.max(4, Math.ceil((perHost * 4) / cores));
    const id = load.add('hypervisor', {
      node_id: node,
      cores,
      ram,
      cpu_overcommit: overcommit,
      ram_overcommit: 1,
      reserve_cores: 4,
      reserve_ram: 16 * GiB,
      volume_group: 'vg0',
    });
    for (const method of ['KVM', 'LXC', 'QEMU']) load.addPlain('hypervisor_method', { hypervisor_id: id, virt_method: method });
    const space = Math.max(4 * TiB, perHost * 512 * GiB);
    load.add('pool_attachment', { hypervisor_id: id, storage_pool_id: pools.local, capacity: space });
    load.add('pool_attachment', { hypervisor_id: id, storage_pool_id: pools.fast, capacity: space });
    load.add('pool_attachment', { hypervisor_id: id, storage_pool_id: pools.nfs[siteIndex]!, capacity: null });
    if (rbd !== undefined) load.add('pool_attachment', { hypervisor_id: id, storage_pool_id: rbd, capacity: null });
    /* Three quarters are given out, so that there is room for more. */
    const budget = { cores: Math.floor((cores * overcommit - 4) * 0.75), ram: Math.floor((ram - 16 * GiB) * 0.75) };
    if (state !== 'deactivated' && state !== 'stopped') hosts.push({ id, budget, left: 0 });
  }
  if (cluster) {
    for (let i = 0; i < 2; i++) load.add('ceph_mon_node', { node_id: addNode(`mon${i + 1}`, 'ceph', 'running'), ceph_cluster_id: cluster.id });
    for (let i = 0; i < osds; i++) {
      const node = addNode(`osd${two(i + 1)}`, 'ceph', i < 3 || random.chance(0.98) ? 'running' : 'maintenance');
      /* The third monitor is on the first OSD node. */
      if (i === 0) load.add('ceph_mon_node', { node_id: node, ceph_cluster_id: cluster.id });
      addOsds({ load, random, store }, load.add('ceph_osd_node', { node_id: node, ceph_cluster_id: cluster.id }));
    }
  }
  return { ...plan, hosts, rbd };
}

export const poolRow = (name: string, more: object): Record<string, unknown> => ({
  name,
  kind: 'dir',
  target: null,
  source: null,
  ceph_pool_id: null,
  ceph_key_id: null,
  is_default: false,
  ...more,
});

function addOsds({ load, random }: Context, node: number): void {
  const kind = random.pick(['hdd', 'ssd', 'nvme', 'nvme']);
  for (let i = 0; i < 4 + random.int(5); i++) {
    const serial = random.bytes(5).toString('hex');
    load.add('ceph_osd', {
      ceph_osd_node_id: node,
      uuid: random.uuid(),
      data_device: `/dev/disk/by-id/${kind === 'nvme' ? 'nvme' : 'ata'}-${serial}`,
      db_device: kind === 'hdd' ? `/dev/disk/by-id/nvme-${serial}-part${i + 1}` : null,
      device_class: kind,
      weight: kind === 'hdd' ? 16 : 7,
    });
  }
}

function addCluster({ load, random, store }: Context, index: number): { id: number; pool: number; key: number } {
  const name = `ceph${index + 1}`;
  const id = load.add('ceph_cluster', {
    name,
    fsid: random.uuid(),
    public_network: `${ipv4('10.128.0.0', index * 1024)}/22`,
    cluster_network: `${ipv4('10.192.0.0', index * 1024)}/22`,
  });
  const pool = load.add('ceph_pool', { ceph_cluster_id: id, name: 'vms', pg_num: 1024 });
  /* Made from the seed, for the same documents every time: these keys are no secrets. */
  const secret = (): string => Buffer.concat([Buffer.from('010000000000000000001000', 'hex'), random.bytes(16)]).toString('base64');
  const addKey = (entity: string, caps: object): number =>
    load.add('ceph_key', { ceph_cluster_id: id, entity, caps, secret: store.secrets.seal(secret(), cephKeyContext(id, entity)), secret_uuid: random.uuid() });
  addKey('mon.', { mon: 'allow *' });
  addKey('client.admin', { mon: 'allow *', osd: 'allow *', mgr: 'allow *', mds: 'allow *' });
  addKey('client.bootstrap-osd', { mon: 'profile bootstrap-osd' });
  return { id, pool, key: addKey('client.libvirt', { mon: 'profile rbd', osd: 'profile rbd pool=vms' }) };
}

function macOf(random: Prng): string {
  return `02:01:${[...random.bytes(4)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;
}
