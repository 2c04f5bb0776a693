/** What a node of Ceph does when its document becomes another: host/src/corral_host/kinds/ceph_*.py; docs/hosts.md, Ceph. */
import type { Json } from '../documents/canonical.ts';
import { isObject } from '../documents/classes.ts';
import { differing } from './diff.ts';
import type { Effects } from './effects.domain.ts';
import { eachEntry, part, text, type Entry } from './effects.ts';

const differs = (one: Json | undefined, other: Json | undefined): boolean => differing(one ?? null, other ?? null) !== undefined;

/** Both sides of the section `ceph` of the node of this name, without secrets. */
export function cephEffects(before: Entry, after: Entry, node: string, out: Effects): void {
  const [was, is] = [
    { mon: part(before, 'mon'), osd: part(before, 'osd'), client: part(before, 'client') },
    { mon: part(after, 'mon'), osd: part(after, 'osd'), client: part(after, 'client') },
  ];
  configurations(was, is, out);
  keyrings(part(was.osd, 'keys'), part(is.osd, 'keys'), out);
  for (const cluster of Object.keys(part(is.client, 'keys'))) keyrings(part(part(was.client, 'keys'), cluster), part(part(is.client, 'keys'), cluster), out);
  monitor(was.mon, is.mon, node, out);
  eachEntry(KEY, part(was.mon, 'keys'), part(is.mon, 'keys'), out);
  eachEntry(OSD, part(was.osd, 'osds'), part(is.osd, 'osds'), out);
  eachEntry(POOL, part(was.mon, 'pools'), part(is.mon, 'pools'), out);
}

interface Parts {
  readonly mon: Entry;
  readonly osd: Entry;
  readonly client: Entry;
}

/** kinds/ceph_config.py: one file for each cluster, of its data and its monitors. */
function configurations(before: Parts, after: Parts, { live }: Effects): void {
  const [was, is] = [clusters(before), clusters(after)];
  for (const [name, cluster] of is) if (differs(was.get(name), cluster)) live.push(`write /etc/ceph/${name}.conf`);
}

function clusters({ mon, osd, client }: Parts): Map<string, Json> {
  const found = new Map<string, Json>();
  for (const { cluster, peers } of [mon, osd] as unknown as { cluster?: Entry; peers?: Json }[])
    if (isObject(cluster) && !found.has(text(cluster, 'name'))) found.set(text(cluster, 'name'), { cluster, peers: peers ?? null });
  for (const [name, cluster] of Object.entries(part(client, 'clusters'))) if (!found.has(name)) found.set(name, cluster);
  return found;
}

/** kinds/ceph_keyring.py */
function keyrings(before: Entry, after: Entry, out: Effects): void {
  eachEntry(
    {
      comes: (name, _, { live }) => live.push(`write the keyring of ${name}`),
      goes: (name, _, { live }) => live.push(`remove the keyring of ${name}`),
      changes: (name, _, __, { live }) => live.push(`write the keyring of ${name} anew`),
    },
    before,
    after,
    out,
  );
}

/** kinds/ceph_mon.py */
function monitor(before: Entry, after: Entry, node: string, { live }: Effects): void {
  const state = (mon: Entry): string => text(part(part(mon, 'peers'), node), 'ensure');
  const [was, is] = [state(before), state(after)];
  if (is === 'present' && was !== 'present')
    live.push(`make the monitor ${node} of cluster ${text(part(after, 'cluster'), 'name')}: join its quorum, or begin it`);
  if (is === 'absent' && was !== 'absent') live.push(`remove the monitor ${node}, unless it is the last (its data are moved aside)`);
}

/** kinds/ceph_key.py; the keys of the monitors and of the administrator are never deleted, and `mon.` keeps its key. */
const KEY: Parameters<typeof eachEntry>[0] = {
  comes: (name, _, { live }) => live.push(`register the key ${name} in Ceph`),
  goes: (name, _, { live }) => live.push(name === 'mon.' || name === 'client.admin' ? `refuse to delete the key ${name}` : `delete the key ${name} in Ceph`),
  changes: (name, before, after, { live }) => {
    if (differs(before['caps'], after['caps'])) live.push(`change what the key ${name} may do`);
    if (differs(before['secret'], after['secret'])) live.push(name === 'mon.' ? 'refuse another key of mon.' : `set another key of ${name} in Ceph`);
  },
};

/** kinds/ceph_osd.py: `db_device` counts only when it is made. */
const OSD: Parameters<typeof eachEntry>[0] = {
  comes: (name, entry, { live }) => live.push(`make OSD ${name} on ${text(entry, 'data_device')}, if the device is empty`),
  goes: (name, _, { live }) => live.push(`set OSD ${name} out, and remove it when nothing is left on it (its data stay on the device)`),
  changes: (name, before, after, { live }) => {
    const what = [differs(before['device_class'], after['device_class']) && 'device class', differs(before['weight'], after['weight']) && 'weight'].filter(
      Boolean,
    );
    if (what.length > 0) live.push(`set the ${what.join(' and ')} of OSD ${name}`);
  },
};

/** kinds/ceph_pool.py: a pool is never deleted. */
const POOL: Parameters<typeof eachEntry>[0] = {
  comes: (name, _, { live }) => live.push(`create Ceph pool ${name}`),
  goes: () => undefined,
  changes: (name, before, after, { live }) => {
    const what = ['size', 'min_size', 'pg_num', 'application'].filter((key) => differs(before[key], after[key]));
    if (what.length > 0) live.push(`set ${what.join(', ')} of Ceph pool ${name}`);
  },
};
