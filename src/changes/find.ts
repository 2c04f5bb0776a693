import { sql, type RawBuilder } from 'kysely';
import type { Catalog, Field, Model } from '../db/catalog.ts';
import { rowCondition, type Db } from '../db/read.ts';
import { splitKey } from '../db/query.ts';

/**
 * The ids of the things that a key names or has named: those that are there, and those that are not any more. A number
 * is an id.
 */
export async function idsOf(db: Db, catalog: Catalog, model: Model, key: string): Promise<number[]> {
  if (/^\d{1,15}$/.test(key)) return [Number(key)];
  const condition = rowCondition(catalog, model, key);
  const now = condition ? await sql<{ id: string }>`select t.id from ${sql.id(model.table)} as t where ${condition}`.execute(db) : { rows: [] };
  const once = await formerly(db, catalog, model, key);
  return [...new Set([...now.rows.map((row) => Number(row.id)), ...once])];
}

/** Things whose rows of changes have this key. */
async function formerly(db: Db, catalog: Catalog, model: Model, key: string): Promise<number[]> {
  const parts = splitKey(catalog, model, key);
  if (!parts) return [];
  const conditions: RawBuilder<unknown>[] = [];
  for (const [i, name] of model.resource.key.entries()) {
    const field = model.field.get(name)!;
    const values = field.ref === undefined ? [parts[i]!] : (await idsOf(db, catalog, catalog.byNoun(field.ref), parts[i]!)).map(String);
    conditions.push(sql`(r.before ->> ${field.column!} = any(${values}::text[]) or r.after ->> ${field.column!} = any(${values}::text[]))`);
  }
  const { rows } = await sql<{
    id: string;
  }>`select distinct r.row_id as id from change_row r where r.noun = ${model.table} and r.row_id is not null and ${sql.join(conditions, sql` and `)}`.execute(
    db,
  );
  return rows.map((row) => Number(row.id));
}

/** SQL that the row `r` of a change is about one of these things: itself, one of its lists, or one of its parts. */
export async function aboutSql(db: Db, model: Model, ids: readonly number[], field?: Field): Promise<RawBuilder<unknown>> {
  const own = sql`r.noun = ${model.table} and r.row_id = any(${ids}::bigint[])`;
  if (field && !field.list) return sql`(${own} and (r.before ? ${field.column!} or r.after ? ${field.column!}))`;
  const lists = model.fields.flatMap((one) => (one.list && (!field || field === one) ? [one.list] : []));
  const out = field ? [] : [sql`(${own})`];
  const texts = ids.map(String);
  for (const { pivotTable, joinColumns } of lists)
    out.push(sql`(r.noun = ${pivotTable} and coalesce(r.after, r.before) ->> ${joinColumns[0]!} = any(${texts}::text[]))`);
  for (const part of field ? [] : Object.values(model.parts).flatMap((parts) => Object.values(parts))) {
    const column = part.field.get(part.resource.key[0]!)!.column!;
    const { rows } = await sql<{ id: string }>`select id from ${sql.id(part.table)} where ${sql.id(column)} = any(${ids}::bigint[])
      union select row_id from change_row r where r.noun = ${part.table} and coalesce(r.before, r.after) ->> ${column} = any(${texts}::text[])`.execute(db);
    if (rows.length > 0) out.push(sql`(r.noun = ${part.table} and r.row_id = any(${rows.map((row) => Number(row.id))}::bigint[]))`);
  }
  return sql`(${sql.join(out, sql` or `)})`;
}

/** Ids of the nodes that have or had this name; a number is an id. */
export async function nodesOf(db: Db, catalog: Catalog, name: string): Promise<number[]> {
  return idsOf(db, catalog, catalog.byNoun('node'), name.toLowerCase());
}
