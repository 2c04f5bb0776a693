import type { DocumentBody } from '../documents/document.ts';
import { contentHash } from '../documents/canonical.ts';
import { isRecord } from '../kernel/codec.ts';

/** Where the things of each kind stand in a document, and whether their name on the host begins with the cluster's. */
const places: Readonly<Record<string, { readonly path: readonly string[]; readonly cluster?: true }>> = {
  domain: { path: ['hypervisor', 'domains'] },
  volume: { path: ['hypervisor', 'volumes'] },
  bridge: { path: ['hypervisor', 'bridges'] },
  pool: { path: ['hypervisor', 'pools'] },
  secret: { path: ['hypervisor', 'secrets'] },
  ceph_osd: { path: ['ceph', 'osd', 'osds'] },
  ceph_mon: { path: ['ceph', 'mon', 'peers'] },
  ceph_key: { path: ['ceph', 'mon', 'keys'], cluster: true },
  ceph_pool: { path: ['ceph', 'mon', 'pools'], cluster: true },
};

function at(body: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, name) => (isRecord(inner) ? inner[name] : undefined), body);
}

/** Digests of a document's entries by `<kind> <name on the host>`: which of them a change of the document is about. */
export function entryDigests(body: DocumentBody): Map<string, string> {
  const out = new Map<string, string>();
  const cluster = at(body, ['ceph', 'mon', 'cluster', 'name']);
  for (const [kind, { path, cluster: prefixed }] of Object.entries(places)) {
    const entries = at(body, path);
    if (!isRecord(entries)) continue;
    for (const [name, entry] of Object.entries(entries))
      out.set(`${kind} ${prefixed ? `${String(cluster)}/` : ''}${name}`, contentHash(JSON.stringify(entry)).slice(0, 12));
  }
  return out;
}
