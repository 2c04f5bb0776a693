import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base, oneOf } from '../../db/base.ts';
import { f, ref, type Resource } from '../../kernel/resource.ts';
import { CephCluster, nodesOfClusters } from './ceph-cluster.ts';

const applications = ['rbd', 'cephfs', 'rgw'] as const;

export const CephPool = defineEntity({
  name: 'ceph_pool',
  tableName: 'ceph_pool',
  properties: {
    ...base,
    ceph_cluster: () => p.manyToOne(CephCluster),
    name: p.text(),
    size: p.integer().default(3),
    min_size: p.integer().default(2),
    pg_num: p.integer().default(32),
    application: p.text().default('rbd'),
  },
  uniques: [{ properties: ['ceph_cluster', 'name'] }],
  checks: [
    { name: 'ceph_pool_size', expression: 'min_size between 1 and size and size <= 10' },
    { name: 'ceph_pool_pg_num', expression: 'pg_num between 1 and 65536' },
    { name: 'ceph_pool_application', expression: oneOf('application', applications) },
  ],
});

export const cephPool: Resource = {
  noun: 'ceph_pool',
  plural: 'ceph_pools',
  title: 'Ceph pool',
  summary: 'A pool of a Ceph cluster, with its replication.',
  area: 'Ceph',
  entity: CephPool,
  key: ['ceph_cluster', 'name'],
  fields: {
    ceph_cluster: ref('ceph_cluster').describe('The cluster that has it.'),
    name: f.name('The pool'),
    size: z.int().min(1).max(10).describe('Copies of each object.'),
    min_size: z.int().min(1).max(10).describe('Copies that must be there for I/O; at most size.'),
    pg_num: z.int().min(1).max(65_536).describe('Placement groups.'),
    application: z.enum(applications).describe('What uses it.'),
  },
  immutable: ['ceph_cluster', 'name'],
  open: () => sql`true`,
  columns: ['ceph_cluster', 'name', 'size', 'min_size', 'pg_num', 'application'],
  shared: true,
  observed: {
    kind: 'ceph_pool',
    name: (t) => sql`(select c.name from ceph_cluster c where c.id = ${sql.id(t)}.ceph_cluster_id) || '/' || ${sql.id(t)}.name`,
    nodes: (t) => sql`select m.node_id from ceph_mon_node m where m.ceph_cluster_id = ${sql.id(t)}.ceph_cluster_id`,
  },
  affects: (ids) => nodesOfClusters(sql`select x.ceph_cluster_id from ceph_pool x where x.id = any(${ids}::bigint[])`),
  constraints: { ceph_pool_size: { pointer: '/min_size', message: 'must be at least 1 and at most size' } },
};
