import { sql, type RawBuilder } from 'kysely';
import type { Tx } from '../../db/transaction.ts';
import type { tombstoneKinds } from './document.ts';

export type TombstoneKind = (typeof tombstoneKinds)[number];

/** Tells a node to remove a thing that was deleted here; stays until the node has reported it gone. */
export async function bury(tx: Tx, node: number, kind: TombstoneKind, name: string, detail: Readonly<Record<string, unknown>>): Promise<void> {
  await sql`insert into tombstone (node_id, kind, name, detail) values (${node}, ${kind}, ${name}, ${JSON.stringify(detail)}::jsonb)
    on conflict (node_id, kind, name) do update set detail = excluded.detail, updated_at = now()`.execute(tx.db);
  tx.touched.add(node);
}

/** SQL of the virtual machine that the tombstone `t` of a domain is about; null for other kinds. */
const vmOf = sql`case when t.kind = 'domain' and t.name ~ '^vm-[0-9]{1,15}$' then substring(t.name from 4)::bigint end`;

/**
 * SQL of the ids of nodes that hold a virtual machine back until another host has removed it: where it was moved
 * to, and why. See docs/operations.md, moving a virtual machine.
 * @param which condition on the tombstone `t`
 */
export const holders = (which: RawBuilder<unknown>): RawBuilder<unknown> =>
  sql`select h.node_id from tombstone t join vm v on v.id = ${vmOf} join hypervisor h on h.id = v.hypervisor_id where ${which}`;

/**
 * Before tombstones are deleted, because their things are gone: has the documents rebuilt of the nodes that had
 * them, and of those that hold a virtual machine back for them.
 * @param ids of tombstones
 */
export async function forgetting(tx: Tx, ids: readonly number[]): Promise<void> {
  /* No virtual machine moves until the commit: the document of the host that it moved to would keep waiting. */
  await sql`select from vm where id in (select ${vmOf} from tombstone t where t.id = any(${ids}::bigint[])) order by id for key share`.execute(tx.db);
  const which = sql`t.id = any(${ids}::bigint[])`;
  const { rows } = await sql<{ node_id: string }>`select t.node_id from tombstone t where ${which} union ${holders(which)}`.execute(tx.db);
  for (const row of rows) tx.touched.add(Number(row.node_id));
}

/** Deletes tombstones. */
export async function forget(tx: Tx, ids: readonly number[]): Promise<void> {
  await forgetting(tx, ids);
  await sql`delete from tombstone where id = any(${ids}::bigint[])`.execute(tx.db);
}
