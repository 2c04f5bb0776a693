/** The canonical document of a node: everything that is served to it is an envelope around this. */
import type { NodeAggregate, NodeInterface } from './types.ts';
import { canonicalObject, contentHash, present, type JsonObject } from './canonical.ts';
import { cephSection } from './ceph.ts';
import { hypervisorSection } from './hypervisor.ts';
import { mergeLayers, type Merged } from './layers.ts';

/** The roles of a node. */
export type Role = 'ceph_mon' | 'ceph_osd' | 'hypervisor';

/**
 * The body: `node`, `site`, `roles`, `environment`, `location`, `state`, `interfaces` by name, and when
 * the node has them `hypervisor` (domains, volumes, pools, bridges, secrets) and `ceph` (mon, osd,
 * client), and of layers `classes`, `parameters`, `data`, `merge` (strategies) and `secret_keys`, each
 * where it is not empty. Sizes and memory are bytes. Keys are sorted; plain JSON throughout.
 */
export type DocumentBody = JsonObject;

/** A node's document without the number that makes its version. */
export interface NodeDocument {
  readonly node: string;
  readonly environment: string;
  readonly manager: 'puppet' | 'salt';
  readonly roles: readonly Role[];
  readonly body: DocumentBody;
  /** The body as JSON text: what is kept. */
  readonly json: string;
  /** First 16 hexadecimal digits of the SHA-256 of that text. */
  readonly hash: string;
}

/**
 * The document of a node. A deactivated node has its facts and what it is told to remove, nothing else.
 * Throws a TypeError when the aggregate holds what JSON cannot.
 */
export function buildDocument(aggregate: NodeAggregate): NodeDocument {
  const { node } = aggregate;
  const roles = rolesOf(aggregate);
  const body = canonicalObject({
    node: node.fqdn,
    site: node.site,
    roles,
    environment: node.environment,
    ...present({ location: node.location, hypervisor: hypervisorSection(aggregate), ceph: cephSection(aggregate) }),
    state: node.state,
    interfaces: Object.fromEntries(aggregate.interfaces.map((one) => [one.name, interfaceEntry(one)])),
    ...layered(aggregate),
  });
  const { fqdn, environment, manager } = node;
  const json = JSON.stringify(body);
  return { node: fqdn, environment, manager, roles, body, json, hash: contentHash(json) };
}

function rolesOf(aggregate: NodeAggregate): Role[] {
  const roles: Role[] = [];
  if (aggregate.ceph_mon !== null) roles.push('ceph_mon');
  if (aggregate.ceph_osd !== null) roles.push('ceph_osd');
  if (aggregate.hypervisor !== null) roles.push('hypervisor');
  return roles;
}

/** Nodes that the same layers reach share the list of them: it is merged once. */
const known = new WeakMap<object, Partial<Merged>>();

/** What layers give, without what is empty: a node that no layer reaches has the document that it always had. */
function layered({ node, layers }: NodeAggregate): Partial<Merged> {
  if (layers === undefined || node.state === 'deactivated') return {};
  let merged = known.get(layers);
  if (!merged) {
    merged = Object.fromEntries(Object.entries(mergeLayers(layers)).filter(([, part]: [string, object]) => Object.keys(part).length > 0));
    known.set(layers, merged);
  }
  return merged;
}

function interfaceEntry(one: NodeInterface): object {
  const { kind, parent, bond, vlan_tag, mac, mtu, purpose, addresses } = one;
  return { ...present({ kind, parent, bond, vlan_tag, mac, mtu, purpose }), addresses: addresses.map(present) };
}
