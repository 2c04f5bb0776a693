/** The section `ceph` of a document: what this node is to its clusters, and the keys that it needs. */
import type { CephCluster, CephClient, CephKey, CephMon, CephOsdNode, NodeAggregate } from './types.ts';
import { present } from './canonical.ts';
import { absent, type Entries } from './tombstones.ts';

/** A part is there only when the node has it, or has something of it to remove. */
export interface CephSection {
  /** cluster, port, peers by name, pools by name, keys by entity with their capabilities. */
  readonly mon?: Entries;
  /** cluster, peers by name, osds by uuid, keys by entity. */
  readonly osd?: Entries;
  /** clusters by name, each with its peers; keys by cluster, then by entity. */
  readonly client?: Entries;
}

/** The section, or null when the node has nothing to do with Ceph. */
export function cephSection(aggregate: NodeAggregate): CephSection | null {
  const { ceph_mon: mon, ceph_osd: osd, hypervisor, tombstones, node } = aggregate;
  const active = node.state !== 'deactivated';
  const gone = {
    mons: absent(tombstones, 'mon'),
    osds: absent(tombstones, 'osd'),
    keys: absent(tombstones, 'key'),
  };
  const monPart = active && mon !== null ? monEntries(mon) : null;
  const osdPart = active && osd !== null ? osdEntries(osd) : null;
  const clients = active && hypervisor !== null ? hypervisor.ceph : [];
  const section = present({
    mon: part(monPart, { peers: gone.mons, keys: mon === null ? {} : gone.keys }),
    osd: part(osdPart, { osds: gone.osds }),
    client: part(clients.length === 0 ? null : clientEntries(clients), { keys: mon === null ? byCluster(gone.keys) : {} }),
  });
  return Object.keys(section).length === 0 ? null : section;
}

/** A part with what is gone below the same keys; null when it has neither. */
function part(there: Readonly<Record<string, unknown>> | null, gone: Readonly<Record<string, Entries>>): Entries | null {
  const names = Object.keys(gone).filter((name) => Object.keys(gone[name] ?? {}).length > 0);
  if (there === null && names.length === 0) return null;
  const result: Entries = { ...there };
  for (const name of names) result[name] = deep(gone[name] ?? {}, result[name]);
  return result;
}

/** What is there wins over what is gone, entry by entry, and below a cluster's name in it. */
function deep(gone: Entries, there: unknown): Entries {
  if (typeof there !== 'object' || there === null) return gone;
  const result: Entries = { ...gone, ...there };
  for (const [name, entry] of Object.entries(gone)) {
    const other = result[name];
    if (isGroup(entry) && isGroup(other)) result[name] = { ...entry, ...other };
  }
  return result;
}

function isGroup(value: unknown): value is Entries {
  return typeof value === 'object' && value !== null && !('ensure' in value);
}

/** Keys that a client gives up, by the cluster that the tombstone's detail names. */
function byCluster(keys: Readonly<Record<string, Readonly<Record<string, unknown>>>>): Entries {
  const clusters: Record<string, Entries> = {};
  for (const [entity, entry] of Object.entries(keys)) {
    const cluster = typeof entry['cluster'] === 'string' ? entry['cluster'] : 'ceph';
    clusters[cluster] = { ...clusters[cluster], [entity]: entry };
  }
  return clusters;
}

function monEntries(mon: CephMon): Entries {
  return {
    cluster: clusterData(mon.cluster),
    port: mon.port,
    peers: peers(mon.cluster),
    pools: Object.fromEntries(mon.pools.map(({ name, ...pool }) => [name, { ensure: 'present', ...pool }])),
    keys: Object.fromEntries(mon.keys.map(({ entity, caps, secret }) => [entity, { ensure: 'present', caps, secret }])),
  };
}

function osdEntries(osd: CephOsdNode): Entries {
  return {
    cluster: clusterData(osd.cluster),
    peers: peers(osd.cluster),
    osds: Object.fromEntries(osd.osds.map(({ uuid, ...one }) => [uuid, { ensure: 'present', ...present(one) }])),
    keys: secrets(osd.keys),
  };
}

function clientEntries(clients: readonly CephClient[]): Entries {
  return {
    clusters: Object.fromEntries(clients.map(({ cluster }) => [cluster.name, { ...clusterData(cluster), peers: peers(cluster) }])),
    keys: Object.fromEntries(clients.map(({ cluster, keys }) => [cluster.name, secrets(keys)])),
  };
}

function clusterData({ name, fsid, public_network, cluster_network }: CephCluster): object {
  return present({ name, fsid, public_network, cluster_network });
}

/** The monitors of a cluster by name; the one that begins the cluster is marked. */
function peers(cluster: CephCluster): Entries {
  return Object.fromEntries(
    cluster.monitors.map(({ name, founder, ...monitor }) => [name, { ensure: 'present', ...present({ ...monitor, founder: founder || null }) }]),
  );
}

/** Keys as those hold them that only use them: what a key may do is the monitors' business. */
function secrets(keys: readonly CephKey[]): Entries {
  return Object.fromEntries(keys.map(({ entity, secret }) => [entity, { ensure: 'present', secret }]));
}
