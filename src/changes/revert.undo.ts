import { sql } from 'kysely';
import type { Model } from '../db/catalog.ts';
import { touch, type Tx, type Values } from '../db/transaction.ts';
import { countOwner, deleteRow, patchRow } from '../db/write.ts';
import { forget } from '../modules/control/tombstones.ts';
import { fillPool } from '../modules/network/allocate.ts';
import { byTable } from './revert.stands.ts';
import { sameValue, type Columns, type NetRow } from './revert.net.ts';
import type { Schema } from './schema.load.ts';

/** Undoing one change. */
export interface Undo {
  readonly tx: Tx;
  readonly schema: Schema;
  readonly net: readonly NetRow[];
}

/** A virtual machine takes its cards with it, and leaves its volumes free: it goes before both. */
const FIRST_TO_GO = ['snapshot', 'vm'];

const modelOf = ({ tx }: Undo, table: string): Model | undefined => tx.store.catalog.models.find((model) => model.table === table);

/** The tables of these rows, each after those that it refers to; tables of no noun come last. */
function ordered(undo: Undo, what: NetRow['what']): [string, NetRow[]][] {
  const groups = byTable(undo.net.filter((row) => row.what === what && row.table !== 'tombstone'));
  const order = undo.tx.store.catalog.models.map((model) => model.table);
  const rank = (table: string): number => (order.includes(table) ? order.indexOf(table) : order.length);
  return [...groups].sort(([a], [b]) => rank(a) - rank(b));
}

/** Brings back what was deleted, as it was: ids, uuids, numbers and secrets too. */
export async function bringBack(undo: Undo): Promise<void> {
  const { tx } = undo;
  const groups = ordered(undo, 'deleted');
  for (const [table, rows] of groups) {
    if (table === 'address') await giveWay(tx, rows);
    await insertRaw(undo, table, parentsFirst(table, rows));
    const model = modelOf(undo, table);
    const restored = model && tx.store.hooks[model.resource.noun]?.restored;
    if (restored) for (const row of rows) await restored(tx, row.id!);
  }
  for (const [table, rows] of groups) await touchRows(undo, table, rows);
}

/** Rows of a table that refer to one another, such as VLANs to the interface below. */
function parentsFirst(table: string, rows: readonly NetRow[]): NetRow[] {
  const left = new Map(rows.map((row) => [row.id, row]));
  const out: NetRow[] = [];
  const add = (row: NetRow): void => {
    if (row.id !== null && !left.delete(row.id)) return;
    if (table === 'node_interface')
      for (const column of ['parent_id', 'bond_id']) {
        const below = left.get(row.before[column] as number);
        if (below) add(below);
      }
    out.push(row);
  };
  for (const row of rows) add(row);
  return out;
}

async function insertRaw({ tx, schema }: Undo, table: string, rows: readonly NetRow[]): Promise<void> {
  const shape = schema.tables.get(table)!;
  const columns = Object.keys(rows[0]!.before).filter((column) => shape.columns.includes(column));
  const list = sql.join(columns.map((column) => sql.id(column)));
  /* Who has seen an earlier version must not take the row for the one that he has seen. */
  const values = rows.map(({ before }) => (typeof before['version'] === 'number' ? { ...before, version: before['version'] + 1 } : before));
  await sql`insert into ${sql.id(table)} (${list}) select ${list} from jsonb_populate_recordset(null::${sql.id(table)}, ${JSON.stringify(values)}::jsonb)`.execute(
    tx.db,
  );
}

/** Addresses that became free rows of the pool since make room for those that come back. */
async function giveWay(tx: Tx, rows: readonly NetRow[]): Promise<void> {
  const addresses = rows.map((row) => row.before['address'] as string);
  await sql`delete from address where address = any(${addresses}::inet[]) and vm_interface_id is null`.execute(tx.db);
}

/** Has the documents rebuilt that these rows shape; a row of a table of no noun belongs to what it names. */
async function touchRows(undo: Undo, table: string, rows: readonly NetRow[]): Promise<void> {
  const { tx, schema } = undo;
  const model = modelOf(undo, table);
  if (model) {
    await touch(
      tx,
      model,
      rows.flatMap((row) => row.id ?? []),
    );
    for (const row of rows) await countOwner(tx, model, row.id!);
    return;
  }
  for (const { column, parent } of schema.references.filter((one) => one.child === table)) {
    const owner = modelOf(undo, parent);
    const ids = [...new Set(rows.flatMap((row) => Number((row.what === 'made' ? row.after : row.before)[column] ?? []) || []))];
    if (!owner) continue;
    await sql`update ${sql.id(parent)} set version = version + 1, updated_at = now() where id = any(${ids}::bigint[])`.execute(tx.db);
    await touch(tx, owner, ids);
  }
}

/** Gives fields the values that they had, newest update first. */
export async function setBack(undo: Undo): Promise<void> {
  const altered = undo.net.filter((row) => row.what === 'altered' && row.table !== 'tombstone');
  const together = new Set<NetRow>();
  for (const [table, columns] of Object.entries(belonging)) {
    const rows = altered.filter((row) => row.table === table && row.steps.length === 1 && Object.keys(row.after).every((column) => columns.includes(column)));
    /* One that is taken from somebody goes through its rules. */
    const free = rows.filter((row) => table === 'address' || row.after[columns[0]!] === null);
    if (free.length > 0) await setTogether(undo, table, columns, free);
    for (const row of free) together.add(row);
  }
  for (const row of altered.filter((one) => !together.has(one)).toReversed())
    for (const step of row.steps.toReversed()) await setRow(undo, row, step.before ?? {});
}

/** What a virtual machine leaves free when it is deleted, and gets back with it: no rule asks about it, and there are many. */
const belonging: Readonly<Record<string, readonly string[]>> = { address: ['vm_interface_id'], volume: ['vm_id', 'number'] };

async function setTogether(undo: Undo, table: string, columns: readonly string[], rows: readonly NetRow[]): Promise<void> {
  const { tx } = undo;
  const model = modelOf(undo, table)!;
  const ids = rows.map((row) => row.id!);
  const values = rows.map((row) => ({ id: row.id, ...row.after, ...row.before }));
  const sets = columns.map((column) => sql`${sql.id(column)} = x.${sql.id(column)}`);
  await touch(tx, model, ids);
  await sql`update ${sql.id(table)} t set ${sql.join(sets)}, version = t.version + 1, updated_at = now()
    from jsonb_populate_recordset(null::${sql.id(table)}, ${JSON.stringify(values)}::jsonb) x where t.id = x.id`.execute(tx.db);
  tx.em.clear();
  await touch(tx, model, ids);
}

async function setRow(undo: Undo, { table, id }: NetRow, before: Columns): Promise<void> {
  const { tx, schema } = undo;
  const { rows } = await sql<{ row: Columns }>`select to_jsonb(t) as row from ${sql.id(table)} t where id = ${id} for update`.execute(tx.db);
  const now = rows[0]?.row;
  if (!now || id === null) return;
  const model = modelOf(undo, table);
  const patch: Values = {};
  const raw: Record<string, unknown> = {};
  for (const column of Object.keys(before)) {
    if (!schema.tables.get(table)!.columns.includes(column) || sameValue(now[column], before[column])) continue;
    const field = model?.fields.find((one) => one.column === column && !one.readOnly && !one.writeOnly && !one.immutable);
    if (field) patch[field.name] = before[column];
    else raw[column] = before[column];
  }
  const written = Object.keys(raw).length > 0;
  if (written) {
    if (model) await touch(tx, model, [id]);
    const sets = Object.keys(raw).map((column) => sql`${sql.id(column)} = x.${sql.id(column)}`);
    await sql`update ${sql.id(table)} t set ${sql.join(sets)}, version = t.version + 1, updated_at = now()
      from jsonb_populate_record(null::${sql.id(table)}, ${JSON.stringify(raw)}::jsonb) x where t.id = ${id}`.execute(tx.db);
    tx.em.clear();
  }
  if (!model || (!written && Object.keys(patch).length === 0)) return;
  /* With nothing in it, it still has done what follows from a change. */
  if ((await patchRow(tx, model, id, patch)) || written) await countOwner(tx, model, id);
}

/** Deletes what was made, so that hosts are told to remove it. */
export async function takeAway(undo: Undo): Promise<void> {
  const { tx } = undo;
  const groups = ordered(undo, 'made').toReversed();
  const rank = ([table]: [string, unknown]): number => (FIRST_TO_GO.includes(table) ? FIRST_TO_GO.indexOf(table) : FIRST_TO_GO.length);
  for (const [table, rows] of groups.sort((a, b) => rank(a) - rank(b))) {
    const model = modelOf(undo, table);
    if (!model) {
      await sql`delete from ${sql.id(table)} t where to_jsonb(t) in (select jsonb_array_elements(${JSON.stringify(rows.map((row) => row.after))}::jsonb))`.execute(
        tx.db,
      );
      await touchRows(undo, table, rows);
      continue;
    }
    const { rows: left } = await sql<{
      id: string;
    }>`select id from ${sql.id(table)} where id = any(${rows.map((row) => row.id)}::bigint[]) order by id desc`.execute(tx.db);
    for (const { id } of left) await takeRow(tx, model, Number(id));
  }
}

async function takeRow(tx: Tx, model: Model, id: number): Promise<void> {
  const { rows } = await sql<{
    vm_id: string | null;
  }>`select ${sql.raw(model.table === 'volume' ? 'vm_id' : 'null as vm_id')} from ${sql.id(model.table)} where id = ${id}`.execute(tx.db);
  /* It went with what it belonged to. */
  if (!rows[0]) return;
  if (rows[0].vm_id !== null) await patchRow(tx, model, id, { vm: null });
  await countOwner(tx, model, id);
  await deleteRow(tx, model, id);
}

/** Gives addresses that hosts no longer have back to the pool. */
export async function refillPools({ tx, net }: Undo): Promise<void> {
  const addresses = net.filter((row) => row.table === 'node_address').flatMap((row) => row.after['address'] ?? []);
  if (addresses.length === 0) return;
  const { rows } = await sql<{
    id: string;
  }>`select s.id from subnet s where exists (select from unnest(${addresses}::inet[]) a where a << s.cidr) order by s.id`.execute(tx.db);
  for (const row of rows) await fillPool(tx, Number(row.id));
}

/** Ids of the tombstones that a change made and that are still there. */
export async function loadTombstones({ tx, net }: Undo): Promise<Set<number>> {
  const ids = net.filter((row) => row.table === 'tombstone' && row.what === 'made').map((row) => row.id!);
  const { rows } = await sql<{ id: string }>`select id from tombstone where id = any(${ids}::bigint[]) for update`.execute(tx.db);
  return new Set(rows.map((row) => Number(row.id)));
}

/**
 * Takes back what hosts were told to remove and is there again, and tells them again of what the change had taken back.
 * @param there tombstones that were there before anything was undone
 * @returns what hosts have removed already, in words
 */
export async function settleTombstones(undo: Undo, there: ReadonlySet<number>): Promise<string[]> {
  const { tx, net } = undo;
  const tombs = net.filter((row) => row.table === 'tombstone');
  await forget(tx, [...there]);
  for (const row of tombs.filter((one) => one.what === 'deleted')) {
    const { node_id: node, kind, name, detail } = row.before;
    const { rows } = await sql<{ id: string }>`insert into tombstone (id, node_id, kind, name, detail)
      select ${row.id}, n.id, ${kind}, ${name}, ${JSON.stringify(detail)}::jsonb from node n where n.id = ${node} on conflict do nothing returning id`.execute(
      tx.db,
    );
    if (rows.length > 0) tx.touched.add(Number(node));
  }
  const gone = tombs.filter((row) => row.what === 'made' && !there.has(row.id!) && says[row.after['kind'] as string] !== undefined);
  if (gone.length === 0) return [];
  const { rows } = await sql<{
    id: string;
    fqdn: string;
  }>`select id, fqdn from node where id = any(${gone.map((row) => row.after['node_id'])}::bigint[])`.execute(tx.db);
  const fqdn = new Map(rows.map((row) => [Number(row.id), row.fqdn]));
  return gone.map(
    ({ after }) =>
      `${fqdn.get(after['node_id'] as number) ?? 'The host'} has removed ${says[after['kind'] as string]} ${String(after['name'])} already: it comes back empty`,
  );
}

/** The things with data that are lost when a host has removed them. */
const says: Readonly<Record<string, string>> = { volume: 'the volume', osd: 'the OSD', mon: "the monitor's store of" };
