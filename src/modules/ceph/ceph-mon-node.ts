import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base } from '../../db/base.ts';
import { ref, through, type Resource } from '../../kernel/resource.ts';
import { Node, node } from '../place/node.ts';
import { roleCheck } from '../place/role-check.ts';
import { CephCluster, nodesOfClusters } from './ceph-cluster.ts';

export const CephMonNode = defineEntity({
  name: 'ceph_mon_node',
  tableName: 'ceph_mon_node',
  properties: {
    ...base,
    node: () => p.oneToOne(Node).owner().deleteRule('cascade').unique(),
    ceph_cluster: () => p.manyToOne(CephCluster).index(),
    port: p.integer().default(6789),
  },
  checks: [{ name: 'ceph_mon_node_port', expression: 'port between 1 and 65535' }],
  triggers: [roleCheck('ceph_mon_node', 'delete', 'node_id')],
});

export const cephMonNode: Resource = {
  noun: 'ceph_mon_node',
  plural: 'ceph_mon_nodes',
  title: 'Ceph monitor',
  summary: 'The role of a node that runs a Ceph monitor.',
  area: 'Roles',
  entity: CephMonNode,
  key: ['node'],
  fields: {
    node: ref('node').describe('The node that has this role.'),
    ceph_cluster: ref('ceph_cluster').describe('The cluster that it belongs to.'),
    port: z.int().min(1).max(65_535).describe('Port of the v1 protocol, 6789 unless told otherwise.'),
  },
  immutable: ['node'],
  within: through('node_id', node),
  columns: ['node', 'ceph_cluster', 'port'],
  shared: true,
  observed: {
    kind: 'ceph_mon',
    name: (t) => sql`(select split_part(n.fqdn, '.', 1) from node n where n.id = ${sql.id(t)}.node_id)`,
    nodes: (t) => sql`select ${sql.id(t)}.node_id`,
    desired: () => sql`'running'`,
  },
  affects: (ids) => nodesOfClusters(sql`select x.ceph_cluster_id from ceph_mon_node x where x.id = any(${ids}::bigint[])`),
};
