import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base } from '../../db/base.ts';
import { ref, type Resource } from '../../kernel/resource.ts';
import { CephCluster, nodesOfClusters } from './ceph-cluster.ts';

export const CephKey = defineEntity({
  name: 'ceph_key',
  tableName: 'ceph_key',
  properties: {
    ...base,
    ceph_cluster: () => p.manyToOne(CephCluster),
    entity: p.text(),
    caps: p.json<Record<string, string>>().default('{}'),
    /** AES-256-GCM under the installation's key; see src/kernel/secret.ts for the form. */
    secret: p.text().hidden(),
    secret_uuid: p.uuid().defaultRaw('gen_random_uuid()').unique(),
  },
  uniques: [{ properties: ['ceph_cluster', 'entity'] }],
  checks: [{ name: 'ceph_key_entity', expression: `entity ~ '^(mon\\.|(client|mgr|osd|mds)\\.[A-Za-z0-9._-]+)$'` }],
});

export const cephKey: Resource = {
  noun: 'ceph_key',
  plural: 'ceph_keys',
  title: 'Ceph key',
  summary: 'A Ceph user with its capabilities. The key itself is kept encrypted and shown only to the nodes that need it.',
  area: 'Ceph',
  entity: CephKey,
  key: ['ceph_cluster', 'entity'],
  fields: {
    ceph_cluster: ref('ceph_cluster').describe('The cluster that knows it.'),
    entity: z
      .string()
      .max(100)
      .regex(/^(mon\.|(client|mgr|osd|mds)\.[A-Za-z0-9._-]+)$/, 'must be mon. or client.NAME, mgr.NAME, osd.NAME, mds.NAME')
      .describe('The Ceph entity, e.g. client.libvirt.'),
    caps: z
      .partialRecord(z.enum(['mon', 'osd', 'mgr', 'mds']), z.string().max(500))
      .describe('Capabilities by daemon, e.g. {"mon": "profile rbd", "osd": "profile rbd pool=vms"}.'),
    secret: z
      .string()
      .regex(/^AQ[A-Za-z0-9+/]{36}==$/, 'must be a Ceph key as ceph-authtool prints it: 40 characters of base64 that begin with AQ and end with ==')
      .describe('The key; made when left out. It can be written and is never shown.')
      .meta({ writeOnly: true, secret: true }),
  },
  computed: { secret_uuid: { schema: z.uuid().describe("The uuid of libvirt's secret object for it.") } },
  immutable: ['ceph_cluster', 'entity'],
  columns: ['ceph_cluster', 'entity', 'caps', 'secret_uuid'],
  shared: true,
  observed: {
    kind: 'ceph_key',
    name: (t) => sql`(select c.name from ceph_cluster c where c.id = ${sql.id(t)}.ceph_cluster_id) || '/' || ${sql.id(t)}.entity`,
    nodes: (t) => sql`select m.node_id from ceph_mon_node m where m.ceph_cluster_id = ${sql.id(t)}.ceph_cluster_id`,
  },
  affects: (ids) => nodesOfClusters(sql`select x.ceph_cluster_id from ceph_key x where x.id = any(${ids}::bigint[])`),
};
