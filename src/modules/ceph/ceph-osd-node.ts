import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { base } from '../../db/base.ts';
import { ref, through, type Resource } from '../../kernel/resource.ts';
import { Node, node } from '../place/node.ts';
import { roleCheck } from '../place/role-check.ts';
import { CephCluster } from './ceph-cluster.ts';

export const CephOsdNode = defineEntity({
  name: 'ceph_osd_node',
  tableName: 'ceph_osd_node',
  properties: {
    ...base,
    node: () => p.oneToOne(Node).owner().deleteRule('cascade').unique(),
    ceph_cluster: () => p.manyToOne(CephCluster).index(),
  },
  triggers: [roleCheck('ceph_osd_node', 'delete', 'node_id')],
});

export const cephOsdNode: Resource = {
  noun: 'ceph_osd_node',
  plural: 'ceph_osd_nodes',
  title: 'Ceph OSD node',
  summary: 'The role of a node that runs Ceph OSDs.',
  area: 'Roles',
  entity: CephOsdNode,
  key: ['node'],
  fields: {
    node: ref('node').describe('The node that has this role.'),
    ceph_cluster: ref('ceph_cluster').describe('The cluster that its OSDs belong to.'),
  },
  immutable: ['node'],
  within: through('node_id', node),
  columns: ['node', 'ceph_cluster'],
  affects: (ids) => sql`select o.node_id from ceph_osd_node o where o.id = any(${ids}::bigint[])`,
};
