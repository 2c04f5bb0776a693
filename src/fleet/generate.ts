import { sql } from 'kysely';
import { z } from 'zod';
import { invalid } from '../db/check.ts';
import { transaction, type Store, type Tx } from '../db/transaction.ts';
import { pointer, Problem } from '../kernel/problem.ts';
import { fillPool } from '../modules/network/allocate.ts';
import { addPod, GiB, ipv4, poolRow, siteName, type Pod, type SharedPools } from './generate-hosts.ts';
import { addDisk, addVm, type Owners, type PodNetworks } from './generate-vms.ts';
import { Loader } from './loader.ts';
import { prng, type Prng } from './prng.ts';

const schema = z.strictObject({ nodes: z.int().min(1).max(200_000), vms: z.int().min(0).max(1_000_000), seed: z.int().min(0).max(0xffff_ffff) });

/** How large a fleet is wanted; the same seed gives the same fleet. */
export type FleetSize = z.infer<typeof schema>;

const POD_NODES = 250;
const POD_VMS = 40_000;
/** Nodes whose documents are built between two reports of progress. */
const DOCUMENTS = 200;

/**
 * Makes a fleet of any size in an empty database: sites, racks, hypervisors, Ceph clusters, networks,
 * pools, customers and virtual machines with disks, cards and addresses, and all their documents. Rows go
 * in by set-based statements, in one transaction and bounded memory; every constraint and trigger works.
 * @param onProgress is told of what is done, of virtual machines and documents together
 * @throws Problem invalid; conflict when the database has nodes, networks or storage pools already
 */
export async function generateFleet(
  { store }: { readonly store: Store },
  size: FleetSize,
  onProgress: (done: number, total: number) => void = () => undefined,
): Promise<void> {
  const parsed = schema.safeParse(size);
  if (!parsed.success) throw invalid(parsed.error.issues.map((issue) => ({ pointer: pointer(issue.path), message: issue.message })));
  const { nodes, vms, seed } = parsed.data;
  if (vms > nodes * 1000) throw invalid([{ pointer: '/vms', message: `may be at most 1000 for each node: ${nodes * 1000}` }]);
  const total = vms + nodes;
  await transaction(
    store,
    async (tx) => {
      await refuseUnlessEmpty(tx);
      const load = await Loader.open(tx);
      const fleet = addHosts(tx, load, prng(seed), nodes, vms);
      await load.flush();
      await addVms(load, prng(seed ^ 0x5bd1e995), fleet, vms, (done) => onProgress(done, total));
      await load.close();
      /* Now, and not by each of its volumes, a shared pool's space is counted; and what is left of each range is free. */
      await sql`update storage_pool s set capacity = ${1024 * GiB} * (4 + (select coalesce(sum(o.size), 0) / ${512 * GiB}::bigint from volume o where o.storage_pool_id = s.id))::bigint where s.shared`.execute(
        tx.db,
      );
      for (const subnet of fleet.subnets) await fillPool(tx, subnet);
      await sql`analyze address`.execute(tx.db);
      await buildDocuments(tx, (done) => onProgress(vms + done, total));
    },
    { shared: true },
  );
}

async function refuseUnlessEmpty(tx: Tx): Promise<void> {
  const { rows } = await sql<{
    there: boolean;
  }>`select exists (select from site) or exists (select from node) or exists (select from customer) or exists (select from network) or exists (select from storage_pool) or exists (select from image) as there`.execute(
    tx.db,
  );
  if (rows[0]!.there) throw new Problem('conflict', 'A fleet can be generated in an empty database only; this one has things already');
}

interface Fleet {
  readonly pods: readonly { readonly pod: Pod; readonly networks: PodNetworks; readonly siteIndex: number }[];
  readonly pools: SharedPools;
  readonly owners: Owners;
  readonly subnets: readonly number[];
}

function addHosts(tx: Tx, load: Loader, random: Prng, nodes: number, vms: number): Fleet {
  const count = Math.min(nodes, Math.max(Math.ceil(nodes / POD_NODES), Math.ceil(vms / POD_VMS)));
  const share = (all: number, i: number): number => Math.floor((all * (i + 1)) / count) - Math.floor((all * i) / count);
  const sites = Array.from({ length: Math.ceil(count / 4) }, (_, i) => load.add('site', { name: siteName(i), description: null }));
  const owners = addOwners(load, random, vms);
  const pools: SharedPools = {
    local: load.add('storage_pool', poolRow('local', { is_default: true })),
    fast: load.add('storage_pool', poolRow('fast', { kind: 'lvm' })),
    nfs: sites.map((_, i) =>
      load.add('storage_pool', poolRow(`nfs-${siteName(i)}`, { kind: 'nfs', source: `nas.${siteName(i)}.example.com:/export/vms`, target: '/srv/vms' })),
    ),
  };
  const ranges = { public4: 0, private4: 0 };
  const subnets: number[] = [];
  const pods = Array.from({ length: count }, (_, index) => {
    const siteIndex = Math.floor(index / 4);
    const pod = addPod(
      { load, random, store: tx.store },
      { index, site: sites[siteIndex]!, nodes: share(nodes, index), vms: share(vms, index) },
      pools,
      siteIndex,
    );
    for (const [i, host] of pod.hosts.entries()) host.left = Math.floor((pod.vms + pod.hosts.length - 1 - i) / pod.hosts.length);
    return { pod, networks: addNetworks(load, pod, ranges, subnets), siteIndex };
  });
  return { pods, pools, owners, subnets };
}

function addOwners(load: Loader, random: Prng, vms: number): Owners {
  const customers = Math.max(3, Math.min(5000, Math.ceil(vms / 50)));
  const projects: { id: number; customer: number }[] = [];
  for (let i = 1; i <= customers; i++) {
    const customer = load.add('customer', { name: `customer-${i}`, title: `Customer ${i}`, email: `it@customer-${i}.example.com` });
    for (let j = 0; j < 1 + random.int(3); j++)
      projects.push({ id: load.add('project', { customer_id: customer, name: ['web', 'shop', 'lab'][j]! }), customer });
  }
  const image = (name: string, type: string): number =>
    load.add('image', { name, url: `https://images.example.com/${name}.${type}`, type, size: 2 * GiB, checksum: `sha256:${random.bytes(32).toString('hex')}` });
  return {
    projects,
    images: ['debian-12', 'debian-13', 'ubuntu-24.04', 'alma-10'].map((name) => image(name, 'qcow2')),
    containerImage: image('debian-13-container', 'raw'),
  };
}

/** A VLAN for all, with room for a quarter more than there is, and a VXLAN among themselves. */
function addNetworks(load: Loader, { index, vms }: Pod, ranges: { public4: number; private4: number }, subnets: number[]): PodNetworks {
  const name = `p${String(index + 1).padStart(2, '0')}`;
  const base = { vlan_tag: null, vxlan_id: null, mtu: 1500, is_default: false };
  const publicNetwork = load.add('network', { ...base, name: `${name}-public`, kind: 'vlan', vlan_tag: 1000 + index, is_default: index === 0 });
  const privateNetwork = load.add('network', { ...base, name: `${name}-private`, kind: 'vxlan', vxlan_id: 10_000 + index, mtu: 1450 });
  const bits = Math.max(8, Math.ceil(Math.log2(vms * 1.25 + 16)));
  const add = (network: number, cidr: string, gateway: string | null, dns: readonly string[]): number => {
    const subnet = load.add('subnet', { network_id: network, cidr, gateway, dns });
    subnets.push(subnet);
    return subnet;
  };
  const range = (kind: 'public4' | 'private4', first: string, network: number) => {
    const offset = Math.ceil(ranges[kind] / 2 ** bits) * 2 ** bits;
    const start = ipv4(first, offset);
    ranges[kind] = offset + 2 ** bits;
    if (ranges[kind] > 2 ** 22) throw new Problem('conflict', 'That many virtual machines do not fit into the address ranges of generated fleets');
    return { start, next: 16, subnet: add(network, `${start}/${32 - bits}`, kind === 'public4' ? ipv4(start, 1) : null, ['10.64.0.2']) };
  };
  const prefix = `2001:db8:2:${(index + 1).toString(16)}::`;
  return {
    publicNetwork,
    privateNetwork,
    public4: range('public4', '10.0.0.0', publicNetwork),
    private4: range('private4', '100.64.0.0', privateNetwork),
    public6: { prefix, subnet: add(publicNetwork, `${prefix}/64`, `${prefix}1`, []) },
  };
}

async function addVms(load: Loader, random: Prng, fleet: Fleet, vms: number, onProgress: (done: number) => void): Promise<void> {
  const context = { load, random };
  let done = 0;
  for (const { pod, networks, siteIndex } of fleet.pods) {
    for (let i = 0; i < pod.vms; i++) {
      const host = pod.hosts[i % pod.hosts.length]!;
      addVm(context, pod, host, networks, fleet.pools, fleet.owners, siteIndex);
      /* Some disks are left over from virtual machines that are gone, and some have snapshots. */
      if (random.chance(0.01)) {
        const free = addDisk(context, { vm: null, number: null, host: host.id, container: false, image: null }, pod, fleet.pools, siteIndex);
        if (random.chance(0.5)) load.add('snapshot', { volume_id: free, name: 'before-deletion', description: null });
      }
      await load.drain();
      if (++done % 1000 === 0) onProgress(done);
    }
  }
  onProgress(vms);
}

async function buildDocuments(tx: Tx, onProgress: (done: number) => void): Promise<void> {
  const { rows } = await sql<{ id: string }>`select id from node order by id`.execute(tx.db);
  const ids = rows.map((row) => Number(row.id));
  for (let i = 0; i < ids.length; i += DOCUMENTS) {
    await tx.store.rebuild(tx, ids.slice(i, i + DOCUMENTS));
    onProgress(Math.min(ids.length, i + DOCUMENTS));
  }
}
