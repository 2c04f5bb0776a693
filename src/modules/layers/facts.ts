import { sql } from 'kysely';
import { prepared } from '../../db/prepared.ts';
import type { Tx } from '../../db/transaction.ts';

/** Has the document of a node whose facts changed rebuilt, where some layer goes by facts: the node may be in other groups now. */
export async function touchForFacts(tx: Tx, node: number): Promise<void> {
  const { rows } =
    await sql`${prepared}select from node_group g where g.uses_facts and exists (select from layer l where l.node_group_id = g.id) limit 1`.execute(tx.db);
  if (rows.length > 0) tx.touched.add(node);
}
