import { GiB, ipv4, type Host, type Pod, type SharedPools } from './generate-hosts.ts';
import type { Loader } from './loader.ts';
import type { Prng } from './prng.ts';

/** The networks of a pod and the next address of each subnet. */
export interface PodNetworks {
  readonly publicNetwork: number;
  readonly privateNetwork: number;
  readonly public4: Range;
  readonly private4: Range;
  readonly public6: { readonly subnet: number; readonly prefix: string };
}

interface Range {
  readonly subnet: number;
  readonly start: string;
  next: number;
}

export interface Owners {
  /** Of each project: its id and its customer's. */
  readonly projects: readonly { readonly id: number; readonly customer: number }[];
  readonly images: readonly number[];
  readonly containerImage: number;
}

interface Context {
  readonly load: Loader;
  readonly random: Prng;
}

/** Derived IPv6 addresses begin here, as where Corral itself gives them. */
const DERIVED_FROM = 65_536;
const sizes = [
  [1, 1],
  [1, 2],
  [2, 4],
  [2, 4],
  [2, 8],
  [4, 8],
  [4, 16],
  [8, 32],
] as const;

/** One virtual machine on a host of the pod, with disks, cards and addresses. */
export function addVm({ load, random }: Context, pod: Pod, host: Host, networks: PodNetworks, pools: SharedPools, owners: Owners, siteIndex: number): void {
  const [cores, gib] = fitting(random, host);
  const owner = random.pick(owners.projects);
  const method = random.chance(0.88) ? 'KVM' : random.pick(['LXC', 'LXC', 'QEMU']);
  const container = method === 'LXC';
  const roomy = random.chance(0.2) ? 2 : 1;
  const custom = random.chance(0.05);
  const vm = load.add('vm', {
    uuid: random.uuid(),
    name: `${random.pick(['web', 'db', 'app', 'cache', 'build', 'mail', 'queue', 'log'])}-${random.bytes(3).toString('hex')}`,
    customer_id: owner.customer,
    project_id: owner.id,
    hypervisor_id: host.id,
    method,
    state: random.chance(0.9) ? 'running' : random.pick(['stopped', 'stopped', 'paused']),
    cores,
    cores_max: cores * roomy,
    ram: gib * GiB,
    ram_max: gib * GiB * roomy,
    cputime_limit: random.chance(0.1) ? 10 * (1 + random.int(10)) : null,
    cpu_mode: custom ? 'custom' : random.pick(['host-model', 'host-model', 'host-passthrough', 'maximum']),
    cpu_model: custom ? 'Skylake-Server' : null,
    machine: 'q35',
    firmware: random.pick(['bios', 'bios', 'uefi', 'uefi-secure']),
    rtc: random.chance(0.05) ? 'localtime' : 'utc',
    affinity_group: random.chance(0.1) ? `group-${random.int(20)}` : null,
    ha_policy: random.chance(0.3) ? 'restart' : 'none',
    metadata: random.chance(0.3) ? { tier: random.pick(['gold', 'silver', 'bronze']), ticket: String(1000 + random.int(9000)) } : {},
  });
  for (let number = 0, count = 1 + random.int(3); number < count; number++) {
    addDisk(
      { load, random },
      { vm, number, host: host.id, container, image: number > 0 ? null : container ? owners.containerImage : random.pick(owners.images) },
      pod,
      pools,
      siteIndex,
    );
  }
  addCards({ load, random }, vm, networks);
}

/** A size that leaves each of the host's other virtual machines at least the smallest. */
function fitting(random: Prng, host: Host): readonly [number, number] {
  const [cores, gib] = random.pick(sizes);
  const others = --host.left;
  const fits = host.budget.cores - cores >= others && host.budget.ram - gib * GiB >= others * GiB;
  const chosen = fits ? ([cores, gib] as const) : ([1, 1] as const);
  host.budget.cores -= chosen[0];
  host.budget.ram -= chosen[1] * GiB;
  return chosen;
}

interface Disk {
  readonly vm: number | null;
  readonly number: number | null;
  readonly host: number;
  readonly container: boolean;
  readonly image: number | null;
}

/** A disk in one of the pools that the host has; a container's is a raw file without limits. */
export function addDisk({ load, random }: Context, { vm, number, host, container, image }: Disk, pod: Pod, pools: SharedPools, siteIndex: number): number {
  const kind = container
    ? 'local'
    : random.pick(pod.rbd === undefined ? ['local', 'fast', 'nfs'] : ['rbd', 'rbd', 'rbd', 'rbd', 'local', 'local', 'fast', 'nfs']);
  const pool = { local: pools.local, fast: pools.fast, nfs: pools.nfs[siteIndex]!, rbd: pod.rbd! }[kind as 'local'];
  const type = { local: container ? 'raw' : 'qcow2', fast: 'lvm', nfs: 'qcow2', rbd: 'rbd' }[kind as 'local'];
  const limited = !container && random.chance(0.2);
  return load.add('volume', {
    name: '',
    storage_pool_id: pool,
    hypervisor_id: kind === 'rbd' || kind === 'nfs' ? null : host,
    vm_id: vm,
    number,
    size: random.pick([10, 20, 20, 40, 80, 160]) * GiB,
    type,
    cache_option: random.pick(['default', 'default', 'none', 'writeback']),
    read_iops: limited ? 500 * (1 + random.int(20)) : null,
    write_iops: limited ? 250 * (1 + random.int(20)) : null,
    read_bps: limited ? 52_428_800 * (1 + random.int(8)) : null,
    write_bps: limited ? 26_214_400 * (1 + random.int(8)) : null,
    image_id: image,
  });
}

function addCards({ load, random }: Context, vm: number, networks: PodNetworks): void {
  const first = load.add('vm_interface', { vm_id: vm, number: 0 });
  load.add('network_membership', { vm_interface_id: first, network_id: networks.publicNetwork, tagged: false });
  give(load, networks.public4, first);
  const host = (DERIVED_FROM + first).toString(16).padStart(8, '0');
  load.add('address', {
    address: `${networks.public6.prefix}${host.slice(0, 4)}:${host.slice(4)}`,
    subnet_id: networks.public6.subnet,
    vm_interface_id: first,
  });
  if (!random.chance(0.4)) return;
  const second = load.add('vm_interface', { vm_id: vm, number: 1 });
  load.add('network_membership', { vm_interface_id: second, network_id: networks.privateNetwork, tagged: false });
  give(load, networks.private4, second);
}

function give(load: Loader, range: Range, card: number): void {
  load.add('address', { address: ipv4(range.start, range.next++), subnet_id: range.subnet, vm_interface_id: card });
}
