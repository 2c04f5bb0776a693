import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { base } from '../../db/base.ts';
import { cidr } from '../../kernel/net.ts';
import { f, type Resource } from '../../kernel/resource.ts';

export const CephCluster = defineEntity({
  name: 'ceph_cluster',
  tableName: 'ceph_cluster',
  properties: {
    ...base,
    name: p.text().unique(),
    fsid: p.uuid().defaultRaw('gen_random_uuid()').unique(),
    public_network: p.text().columnType('cidr'),
    cluster_network: p.text().columnType('cidr').nullable(),
  },
});

/** The nodes whose documents name a cluster: its monitors, its OSD nodes, and hypervisors with a pool in it. */
export const nodesOfClusters = (clusters: ReturnType<typeof sql>) => sql`
  select m.node_id from ceph_mon_node m where m.ceph_cluster_id in (${clusters})
  union select o.node_id from ceph_osd_node o where o.ceph_cluster_id in (${clusters})
  union select h.node_id from hypervisor h
    join pool_attachment a on a.hypervisor_id = h.id
    join storage_pool s on s.id = a.storage_pool_id
    join ceph_pool c on c.id = s.ceph_pool_id
    where c.ceph_cluster_id in (${clusters})`;

export const cephCluster: Resource = {
  noun: 'ceph_cluster',
  plural: 'ceph_clusters',
  title: 'Ceph cluster',
  summary: 'A Ceph cluster: its fsid and networks. Its monitors, OSD nodes, pools and keys refer to it.',
  area: 'Ceph',
  entity: CephCluster,
  key: ['name'],
  fields: {
    name: f.name('The cluster, e.g. ceph'),
    fsid: f.uuid("Ceph's id of the cluster; made when left out."),
    public_network: cidr('Where clients reach monitors and OSDs.'),
    cluster_network: cidr('Where OSDs replicate; the public network when null.').nullable(),
  },
  immutable: ['fsid'],
  open: () => sql`true`,
  columns: ['name', 'fsid', 'public_network', 'cluster_network'],
  shared: true,
  affects: (ids) => nodesOfClusters(sql`select unnest(${ids}::bigint[])`),
};
