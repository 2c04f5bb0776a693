import { sql, type RawBuilder } from 'kysely';
import { nodesOfClusters } from '../ceph/ceph-cluster.ts';

/** These nodes, and where one is a monitor, all nodes whose documents name its address. */
export function withPeers(nodes: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`${nodes} union ${nodesOfClusters(sql`select x.ceph_cluster_id from ceph_mon_node x where x.node_id in (${nodes})`)}`;
}
