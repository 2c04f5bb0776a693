import { sql } from 'kysely';
import type { Tx } from '../../db/transaction.ts';
import type { tombstoneKinds } from './document.ts';

export type TombstoneKind = (typeof tombstoneKinds)[number];

/** Tells a node to remove a thing that was deleted here; stays until the node has reported it gone. */
export async function bury(tx: Tx, node: number, kind: TombstoneKind, name: string, detail: Readonly<Record<string, unknown>>): Promise<void> {
  await sql`insert into tombstone (node_id, kind, name, detail) values (${node}, ${kind}, ${name}, ${JSON.stringify(detail)}::jsonb)
    on conflict (node_id, kind, name) do update set detail = excluded.detail, updated_at = now()`.execute(tx.db);
  tx.touched.add(node);
}
