/** Every value of a document, with where the envelopes have it. Pure. */
import type { Json } from '../documents/canonical.ts';
import { isObject, partOf, sectionsOf } from '../documents/classes.ts';
import type { DocumentBody } from '../documents/document.ts';
import { pointer } from '../kernel/problem.ts';
import type { Kind, Places } from './types.ts';

export interface Placed {
  readonly kind: Kind;
  readonly key: string;
  readonly value: Json;
  readonly places: Places;
  /** Of the model: the nouns that it is made from. Undefined: layers gave it. */
  readonly from?: readonly string[];
}

const vm = ['vm', 'vm_interface', 'volume', 'image', 'storage_pool', 'customer', 'project', 'network_membership', 'network', 'address', 'subnet'];
const keys = ['ceph_key', 'ceph_cluster', 'tombstone'];
const peers = ['ceph_mon_node', 'ceph_cluster', 'node', 'node_address'];

/** The nouns that each key of the model is made from. */
const nouns: Readonly<Record<string, readonly string[]>> = {
  node: ['node'],
  site: ['node', 'site'],
  roles: ['node', 'hypervisor', 'ceph_mon_node', 'ceph_osd_node'],
  interfaces: ['node_interface', 'node_address'],
  environment: ['node'],
  state: ['node'],
  location: ['node'],
  'hypervisor::domains': [...vm, 'hypervisor', 'ceph_key', 'tombstone'],
  'hypervisor::volumes': ['volume', 'storage_pool', 'image', 'vm', 'tombstone'],
  'hypervisor::pools': ['storage_pool', 'pool_attachment', 'hypervisor', 'ceph_pool', 'ceph_key', 'tombstone'],
  'hypervisor::bridges': ['network', 'network_membership', 'vm_interface', 'subnet', 'node_interface', 'tombstone'],
  'hypervisor::secrets': ['storage_pool', 'pool_attachment', ...keys],
  'ceph::mon::cluster': ['ceph_cluster', 'ceph_mon_node'],
  'ceph::mon::port': ['ceph_mon_node'],
  'ceph::mon::peers': [...peers, 'tombstone'],
  'ceph::mon::pools': ['ceph_pool'],
  'ceph::mon::keys': keys,
  'ceph::osd::cluster': ['ceph_cluster', 'ceph_osd_node'],
  'ceph::osd::peers': peers,
  'ceph::osd::osds': ['ceph_osd', 'tombstone'],
  'ceph::osd::keys': keys,
  'ceph::client::clusters': [...peers, 'pool_attachment', 'storage_pool'],
  'ceph::client::keys': ['pool_attachment', 'storage_pool', ...keys],
};

const all = ['everything that the document is made from'];
const sections: Readonly<Record<string, readonly string[]>> = {
  'corral::hypervisor': ['hypervisor', 'tombstone'],
  'corral::ceph::mon': ['ceph_mon_node', 'tombstone'],
  'corral::ceph::osd': ['ceph_osd_node', 'tombstone'],
  'corral::ceph::client': ['hypervisor', 'pool_attachment', 'storage_pool', 'ceph_pool'],
};

/** All values of a document of this version: classes with their parameters, variables, the environment, keys; each group by name. */
export function valuesOf(body: DocumentBody, version: string): Placed[] {
  return [...classes(body), ...variables(body, version), environment(body), ...ownKeys(body, version), ...layerKeys(body)];
}

function classes(body: DocumentBody): Placed[] {
  const own = [['corral'], ...sectionsOf(body).map(({ path }) => path)].map((path): Placed => {
    const name = path.join('::');
    return { kind: 'class', key: name, value: {}, places: { enc: pointer(['classes', name]), tops: path.join('.') }, from: sections[name] ?? ['node'] };
  });
  const added = Object.entries(partOf(body, 'classes')).flatMap(([name, given]: [string, Json]): Placed[] => {
    const below = (...more: string[]): Places => ({ enc: pointer(['classes', name, ...more]), pillar: ['corral', 'classes', name, ...more].join(':') });
    return [
      { kind: 'class', key: name, value: {}, places: { ...below(), tops: name.replaceAll('::', '.') } },
      ...Object.entries(isObject(given) ? given : {}).map(([parameter, value]: [string, Json]): Placed => ({
        kind: 'class_parameter',
        key: `${name}::${parameter}`,
        value,
        places: below(parameter),
      })),
    ];
  });
  return [...own, ...added];
}

function variables(body: DocumentBody, version: string): Placed[] {
  const enc = (name: string): Places => ({ enc: pointer(['parameters', name]) });
  const own = ['node', 'roles', 'site'].map((name): Placed => {
    return { kind: 'parameter', key: `corral_${name}`, value: body[name] ?? null, places: enc(`corral_${name}`), from: nouns[name]! };
  });
  const added = Object.entries(partOf(body, 'parameters')).map(([name, value]: [string, Json]): Placed => ({
    kind: 'parameter',
    key: name,
    value,
    places: { ...enc(name), pillar: `corral:parameters:${name}` },
  }));
  return [{ kind: 'parameter', key: 'corral_document', value: version, places: enc('corral_document'), from: all }, ...own, ...added];
}

function environment(body: DocumentBody): Placed {
  const value = body['environment'] ?? null;
  return { kind: 'environment', key: 'environment', value, places: { enc: '/environment', pillar: 'corral:environment' }, from: nouns['environment']! };
}

function ownKeys(body: DocumentBody, version: string): Placed[] {
  const key = (path: readonly string[], value: Json, from: readonly string[]): Placed => ({
    kind: 'data',
    key: ['corral', ...path].join('::'),
    value,
    places: { hiera: ['corral', ...path].join('::'), pillar: ['corral', ...path].join(':') },
    from,
  });
  const facts = ['interfaces', 'node', 'roles', 'site'].map((name) => key([name], body[name] ?? null, nouns[name]!));
  const found = sectionsOf(body).flatMap(({ path, data }) =>
    Object.entries(data).map(([name, value]: [string, Json]) => {
      const place = [...path.slice(1), name];
      return key(place, value, nouns[place.join('::')] ?? []);
    }),
  );
  /* Salt's pillar has these, too. */
  const pillar = ['location', 'state'].flatMap((name): Placed[] =>
    body[name] === undefined ? [] : [{ kind: 'data', key: `corral:${name}`, value: body[name]!, places: { pillar: `corral:${name}` }, from: nouns[name]! }],
  );
  return [key(['document'], version, all), ...facts, ...found, ...pillar];
}

function layerKeys(body: DocumentBody): Placed[] {
  return Object.entries(partOf(body, 'data')).map(([name, value]: [string, Json]): Placed => ({
    kind: 'data',
    key: name,
    value,
    places: { hiera: name, pillar: name },
  }));
}
