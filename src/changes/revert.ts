import { sql } from 'kysely';
import type { RawRow } from '../db/changes.ts';
import { driverError } from '../db/errors.ts';
import { Problem } from '../kernel/problem.ts';
import { transaction, withOrigin, type Origin, type Store, type Tx } from '../db/transaction.ts';
import { isContent, netOf, type NetRow } from './revert.net.ts';
import { loadCurrent, refuseStanding } from './revert.stands.ts';
import { bringBack, loadTombstones, refillPools, setBack, settleTombstones, takeAway, type Undo } from './revert.undo.ts';
import { loadSchema } from './schema.load.ts';

/** What a revert has done, beside its own change. */
export interface Reverted {
  /** The change that was undone. */
  readonly reverts: number;
  /** What could not be brought back, or will be lost. */
  readonly warnings: readonly string[];
}

const LONGEST_MESSAGE = 500;

/**
 * Undoes a change by another one: what it made is deleted, what it altered is set back, what it deleted is brought
 * back with its ids, in one transaction that is planned, numbered and kept like any other.
 * @throws Problem not-found, stands-in-the-way with the later changes, and what the verbs refuse
 */
export async function revertChange(store: Store, number: number, origin: Origin): Promise<Reverted> {
  const head = await loadHead(store, number);
  const message = origin.message ?? `Revert change ${number}${head.message === null ? '' : `: ${head.message}`}`.slice(0, LONGEST_MESSAGE);
  /* Alone among all writers: what is compared with what it was stays so. */
  return transaction(withOrigin(store, { ...origin, message, reverts: number }), (tx) => revert(tx, number, head.id), { shared: true });
}

async function loadHead(store: Store, number: number): Promise<{ id: number; message: string | null }> {
  const em = store.within ?? store.orm.em.fork();
  const rows = await em
    .getConnection()
    .execute<{ id: string; message: string | null }[]>('select id, message from change where number = ?', [number], 'all', em.getTransactionContext());
  if (!rows[0]) throw new Problem('not-found', `There is no change ${number}; GET /changes lists those that are kept`);
  return { id: Number(rows[0].id), message: rows[0].message };
}

async function revert(tx: Tx, number: number, id: number): Promise<Reverted> {
  const { rows } =
    await sql<RawRow>`select change_id::float8 as change_id, noun, row_id::float8 as row_id, op, before, after from change_row where change_id = ${id} order by id`.execute(
      tx.db,
    );
  const net = netOf(rows).filter((row) => row.what !== 'altered' || Object.keys(row.after).some(isContent));
  if (net.length === 0) throw new Problem('conflict', `Change ${number} altered no row that could be set back`);
  const schema = await loadSchema(tx.db);
  const undo: Undo = { tx, schema, net: net.filter((row) => schema.tables.has(row.table)) };
  await refuseStanding(tx.db, tx.store.catalog, schema, undo.net, await loadCurrent(tx.db, schema, undo.net), number);
  const there = await loadTombstones(undo);
  await inSomeOrder(undo);
  await refillPools(undo);
  const warnings = [...(await settleTombstones(undo, there)), ...whatIsLost(undo.net)];
  return { reverts: number, warnings };
}

/**
 * What comes back may need the room or the name of what goes, and what goes may be named by what is set back: the
 * second order is tried where the first is refused.
 */
async function inSomeOrder(undo: Undo): Promise<void> {
  const { tx } = undo;
  const orders = [
    [bringBack, setBack, takeAway],
    [takeAway, bringBack, setBack],
  ];
  let first: unknown;
  for (const order of orders) {
    await sql`savepoint undoing`.execute(tx.db);
    try {
      for (const part of order) await part(undo);
      await sql`release savepoint undoing`.execute(tx.db);
      return;
    } catch (error) {
      const mixed = new Set(undo.net.map((row) => row.what)).size > 1;
      if (!mixed || !(error instanceof Problem || driverError(error).code?.startsWith('23') === true)) throw error;
      first ??= error;
      await sql`rollback to savepoint undoing`.execute(tx.db);
      tx.em.clear();
    }
  }
  throw first;
}

/** What no change keeps. */
function whatIsLost(net: readonly NetRow[]): string[] {
  const out: string[] = [];
  for (const row of net) {
    if (row.table === 'node' && row.what === 'deleted') out.push(`The tokens, reports and facts of ${String(row.before['fqdn'])} do not come back`);
    if (row.table === 'volume' && row.what === 'made') out.push(`The data of volume ${String(row.after['name'])} is removed with it`);
  }
  return out;
}
