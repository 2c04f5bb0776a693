import { sql } from 'kysely';
import type { ChangeRow, RawRow } from '../db/changes.ts';
import type { Catalog } from '../db/catalog.ts';
import type { Db } from '../db/read.ts';
import { Problem } from '../kernel/problem.ts';
import { presentRows } from './present.ts';
import { isContent, rowKey, sameValue, type Columns, type NetRow } from './revert.net.ts';
import type { Schema } from './schema.load.ts';

/** A later change, and what of it stands in the way. */
export interface Standing {
  readonly number: number;
  readonly at: string;
  readonly actor: string;
  readonly message: string | null;
  readonly what: readonly string[];
}

/** Something that is not as the change left it. */
interface Claim {
  readonly table: string;
  readonly id: number | null;
  /** Whether a row of a later change explains it. */
  readonly by: (row: RawRow) => boolean;
  /** Said when no change is known that did it. */
  readonly says: string;
}

/** Most changes that are named. */
const NAMED = 50;
/** Made and removed by what is undone; hosts take them away as they act. */
const LEFT_OUT: ReadonlySet<string> = new Set(['tombstone']);

/** The rows as they are now, by `rowKey`. */
export type Current = ReadonlyMap<string, Columns>;

/** Reads the rows that a change altered, as they are now, and locks them. */
export async function loadCurrent(db: Db, schema: Schema, net: readonly NetRow[]): Promise<Current> {
  const out = new Map<string, Columns>();
  for (const [table, rows] of byTable(net)) {
    const ids = rows.flatMap((row) => row.id ?? []);
    const keyed = rows.filter((row) => row.id === null).map((row) => ({ ...row.before, ...row.after }));
    const where = ids.length > 0 ? sql`t.id = any(${ids}::bigint[])` : sql`to_jsonb(t) in (select jsonb_array_elements(${JSON.stringify(keyed)}::jsonb))`;
    if (!schema.tables.has(table)) continue;
    const found = await sql<{ row: Columns }>`select to_jsonb(t) as row from ${sql.id(table)} t where ${where} for update`.execute(db);
    for (const { row } of found.rows) out.set(rowKey(table, ids.length > 0 ? Number(row['id']) : null, row), row);
  }
  return out;
}

export function byTable(net: readonly NetRow[]): Map<string, NetRow[]> {
  const out = new Map<string, NetRow[]>();
  for (const row of net) out.set(row.table, [...(out.get(row.table) ?? []), row]);
  return out;
}

const currentOf = (current: Current, row: NetRow): Columns | undefined => current.get(rowKey(row.table, row.id, { ...row.before, ...row.after }));

/**
 * Refuses to undo a change after which others altered the same fields, came to refer to what it made, or removed
 * what it referred to.
 * @throws Problem stands-in-the-way
 */
export async function refuseStanding(db: Db, catalog: Catalog, schema: Schema, net: readonly NetRow[], current: Current, number: number): Promise<void> {
  const rows = net.filter((row) => !LEFT_OUT.has(row.table));
  const claims = [
    ...rows.flatMap((row) => ownClaims(schema, row, currentOf(current, row))),
    ...(await referrers(db, schema, rows)),
    ...(await missing(db, schema, rows)),
  ];
  if (claims.length === 0) return;
  const found = await explain(db, catalog, claims, number);
  const unknown = claims.filter((claim) => !found.known.has(claim)).map((claim) => claim.says);
  const list = found.changes.map((one) => `change ${one.number} by ${one.actor} (${one.what.join('; ')})`);
  const says = [...list, ...new Set(unknown)];
  throw new Problem(
    'stands-in-the-way',
    `Change ${number} cannot be undone by itself, for what came after it: ${says.slice(0, 5).join(', ')}${says.length > 5 ? ', …' : ''}. Undo that first`,
    {
      extra: { changes: found.changes, ...(unknown.length > 0 ? { others: [...new Set(unknown)].slice(0, NAMED) } : {}) },
    },
  );
}

/** Whether the row is as the change left it. */
function ownClaims(schema: Schema, row: NetRow, now: Columns | undefined): Claim[] {
  const { table, id } = row;
  const name = `${table.replaceAll('_', ' ')} #${id ?? JSON.stringify(row.after)}`;
  if (row.what === 'deleted') return now === undefined ? [] : [{ table, id, by: (later) => later.op === 'insert', says: `${name} is there again` }];
  if (now === undefined) return [{ table, id, by: (later) => later.op === 'delete', says: `${name} is no longer there` }];
  const known = new Set(schema.tables.get(table)!.columns);
  const columns = Object.keys(row.after).filter((column) => known.has(column) && isContent(column) && !sameValue(now[column], row.after[column]));
  if (columns.length === 0) return [];
  return [{ table, id, by: (later) => columns.some((column) => column in (later.after ?? {})), says: `${columns.join(', ')} of ${name} is another` }];
}

/** What refers to the rows that would go, and would not go with them. */
async function referrers(db: Db, schema: Schema, net: readonly NetRow[]): Promise<Claim[]> {
  const made = net.filter((row) => row.what === 'made' && row.id !== null);
  const going = new Set(made.map((row) => rowKey(row.table, row.id, {})));
  const pivots = new Set(net.filter((row) => row.what === 'made' && row.id === null).map((row) => rowKey(row.table, null, row.after)));
  /* References that are set back with the rest. */
  const leaving = new Set(
    net.filter((row) => row.what === 'altered').flatMap((row) => Object.keys(row.after).map((column) => `${row.table} ${row.id} ${column}`)),
  );
  const out: Claim[] = [];
  for (const { child, column, parent } of schema.references) {
    const ids = made.filter((row) => row.table === parent).map((row) => row.id!);
    if (ids.length === 0 || LEFT_OUT.has(child)) continue;
    /* Free addresses belong to their subnet. */
    const also = child === 'address' && column !== 'vm_interface_id' ? sql`and t.vm_interface_id is not null` : sql``;
    const { rows } = await sql<{
      row: Columns;
    }>`select to_jsonb(t) as row from ${sql.id(child)} t where t.${sql.id(column)} = any(${ids}::bigint[]) ${also}`.execute(db);
    for (const { row } of rows) {
      const id = row['id'] === undefined ? null : Number(row['id']);
      if (id === null ? pivots.has(rowKey(child, null, row)) : going.has(rowKey(child, id, {})) || leaving.has(`${child} ${id} ${column}`)) continue;
      out.push({
        table: child,
        id,
        by: (later) => sameValue(later.after?.[column], row[column]),
        says: `${child.replaceAll('_', ' ')} #${id ?? JSON.stringify(row)} refers to what would go`,
      });
    }
  }
  return out;
}

/** What the rows that would come back refer to, and is not there. */
async function missing(db: Db, schema: Schema, net: readonly NetRow[]): Promise<Claim[]> {
  const back = net.filter((row) => row.what !== 'made');
  const coming = new Set(back.filter((row) => row.what === 'deleted').map((row) => rowKey(row.table, row.id, {})));
  const out: Claim[] = [];
  for (const { child, column, parent } of schema.references) {
    const ids = new Set(back.filter((row) => row.table === child && row.before[column] != null).map((row) => Number(row.before[column])));
    const wanted = [...ids].filter((id) => !coming.has(rowKey(parent, id, {})));
    if (wanted.length === 0) continue;
    const { rows } = await sql<{
      id: string;
    }>`select x.id from unnest(${wanted}::bigint[]) as x (id) where not exists (select from ${sql.id(parent)} p where p.id = x.id)`.execute(db);
    for (const row of rows)
      out.push({
        table: parent,
        id: Number(row.id),
        by: (later) => later.op === 'delete',
        says: `${parent.replaceAll('_', ' ')} #${row.id}, which it refers to, is no longer there`,
      });
  }
  return out;
}

interface LaterRow extends RawRow {
  readonly number: string;
  readonly at: string;
  readonly actor: string;
  readonly message: string | null;
}

/** The later changes that made the claims come true, newest first. */
async function explain(db: Db, catalog: Catalog, claims: readonly Claim[], number: number): Promise<{ changes: Standing[]; known: Set<Claim> }> {
  const tables = [...new Set(claims.map((claim) => claim.table))];
  const ids = claims.flatMap((claim) => claim.id ?? []);
  const pivots = claims.some((claim) => claim.id === null);
  const { rows } =
    await sql<LaterRow>`select c.number, c.at, c.actor, c.message, r.change_id::float8 as change_id, r.noun, r.row_id::float8 as row_id, r.op, r.before, r.after
    from change_row r join change c on c.id = r.change_id
    where c.number > ${number} and r.noun = any(${tables}::text[]) and (r.row_id = any(${ids}::bigint[]) ${pivots ? sql`or r.row_id is null` : sql``})
    order by c.number desc, r.id`.execute(db);
  const known = new Set<Claim>();
  const hits: LaterRow[] = [];
  for (const row of rows) {
    const matching = claims.filter((claim) => claim.table === row.noun && claim.id === row.row_id && claim.by(row));
    if (matching.length > 0 && hits.length < 10 * NAMED) hits.push(row);
    for (const claim of matching) known.add(claim);
  }
  const lists = catalog.models.flatMap((model) => model.fields.flatMap((field) => field.list?.pivotTable ?? []));
  const named = new Set([...catalog.models.map((model) => model.table), ...lists]);
  const shown = (await presentRows(db, catalog, hits)).values();
  const changes = new Map<number, Standing & { what: string[] }>();
  for (const hit of hits) {
    const one = changes.get(Number(hit.number)) ?? {
      number: Number(hit.number),
      at: new Date(hit.at).toISOString(),
      actor: hit.actor,
      message: hit.message,
      what: [],
    };
    const row = named.has(hit.noun) ? shown.next().value : undefined;
    const said = row ? sayRow(row) : `${hit.noun.replaceAll('_', ' ')} #${hit.row_id}`;
    if (!one.what.includes(said) && one.what.length < NAMED) one.what.push(said);
    changes.set(one.number, one);
  }
  return { changes: [...changes.values()].slice(0, NAMED), known };
}

const done = { create: 'made', update: 'changed', delete: 'deleted' } as const;

/** One row of a change in a few words: `vm web: cores`. */
export function sayRow(row: ChangeRow): string {
  const name = `${row.noun.replaceAll('_', ' ')} ${row.label ?? row.key}`;
  return row.op === 'update' ? `${name}: ${Object.keys(row.after ?? {}).join(', ')}` : `${name} ${done[row.op]}`;
}
