import { sql } from 'kysely';
import type { Catalog } from '../db/catalog.ts';
import type { Db } from '../db/read.ts';
import { nodeStatuses, statusSql, type NodeStatusName } from '../modules/reports/status.ts';

/** How many nodes of a catalog are in each state, the worst first; deactivated ones are not counted, and states without nodes left out. */
export async function countStatuses(db: Db, catalog: Catalog): Promise<Partial<Record<NodeStatusName, number>>> {
  const { rows } = await sql<{ status: NodeStatusName; n: number }>`select ${statusSql('s')} as status, count(*)::int as n
    from node_status s join ${catalog.byNoun('node').source} as n on n.id = s.node_id where n.state <> 'deactivated' group by 1`.execute(db);
  const order = Object.keys(nodeStatuses);
  return Object.fromEntries(rows.sort((a, b) => order.indexOf(a.status) - order.indexOf(b.status)).map((row) => [row.status, row.n]));
}
