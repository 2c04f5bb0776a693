import { sql, type Kysely, type RawBuilder } from 'kysely';
import { Problem } from '../kernel/problem.ts';
import { columnsSql, fieldSql, type Catalog, type Model } from './catalog.ts';
import { preparedFor } from './prepared.ts';
import { cursorOf, keyCondition, reverseNames, type ListQuery, type SortKey } from './query.ts';

/** Reading needs no types of tables: statements are built from the catalog. */
export type Db = Kysely<unknown>;

/** A row as it goes over the wire. */
export type Row = Readonly<Record<string, unknown>>;

export interface Page {
  readonly rows: readonly Row[];
  /** Cursor of the next page, or undefined on the last. */
  readonly next: string | undefined;
  readonly total: number | undefined;
}

/** Most rows of a relation that are included in one row. */
const MAX_INCLUDED = 1000;

/** One page of a noun in one statement. */
export async function listRows(db: Db, catalog: Catalog, model: Model, query: ListQuery): Promise<Page> {
  const filters = query.filters.map((filter) => filter.sql);
  const after = query.after ? [afterSql(catalog, model, query.sort, query.after)] : [];
  const where = (conditions: readonly RawBuilder<unknown>[]): RawBuilder<unknown> =>
    conditions.length === 0 ? sql`` : sql` where ${sql.join(conditions, sql` and `)}`;
  const order = sql.join(query.sort.map((key) => sql`${orderSql(catalog, key)} ${key.descending ? sql`desc nulls last` : sql`asc nulls last`}`));
  const extra = includes(catalog, model, query.include);
  const only = query.fields && new Set([...query.fields, ...query.include]);
  /* The cursor's values come apart from the row: a relation may be included in it as an object. */
  const cursor = sql`json_build_array(${sql.join(query.sort.map((key) => orderSql(catalog, key)))})`;
  const statement = sql<{
    row: Row;
    cursor: unknown[];
  }>`select (select row_to_json(x) from (select ${columnsSql(catalog, model, 't', { ...(only ? { only } : {}), extra })}) x) as row, ${cursor} as cursor
    from ${model.source} as t${where([...filters, ...after])} order by ${order} limit ${query.limit + 1}`;
  const { rows } = await statement.execute(db);
  const page = rows.slice(0, query.limit).map((one) => one.row);
  const last = rows[query.limit - 1];
  const total = query.total ? (await sql<{ n: string }>`select count(*) as n from ${model.source} as t${where(filters)}`.execute(db)).rows[0]!.n : undefined;
  return {
    rows: page,
    next: rows.length > query.limit && last ? cursorOf(query.sort, last.cursor) : undefined,
    total: total === undefined ? undefined : Number(total),
  };
}

function orderSql(catalog: Catalog, key: SortKey): RawBuilder<unknown> {
  return key.field ? fieldSql(catalog, key.field) : sql`t.${sql.id(key.name)}`;
}

/** Rows after the cursor in an order where nulls come last. */
function afterSql(catalog: Catalog, model: Model, sort: readonly SortKey[], values: readonly unknown[]): RawBuilder<unknown> {
  const branches = sort.map((key, i) => {
    const equal = sort
      .slice(0, i)
      .map((before, j) => sql`${orderSql(catalog, before)} ${before.field?.nullable ? sql`is not distinct from` : sql`=`} ${typed(model, before, values[j])}`);
    const column = orderSql(catalog, key);
    const value = values[i];
    const next = sql`${column} ${key.descending ? sql`<` : sql`>`} ${typed(model, key, value)}`;
    const beyond = value === null ? sql`false` : key.field?.nullable ? sql`(${next} or ${column} is null)` : next;
    return sql`(${sql.join([...equal, beyond], sql` and `)})`;
  });
  return sql`(${sql.join(branches, sql` or `)})`;
}

function typed(model: Model, key: SortKey, value: unknown): RawBuilder<unknown> {
  const prop = (model.meta.properties as Record<string, { columnTypes: string[] }>)[key.name];
  const type = key.field?.ref !== undefined ? 'text' : (key.field?.made?.type ?? prop?.columnTypes[0] ?? 'text');
  return sql`${value}::${sql.raw(type)}`;
}

function includes(catalog: Catalog, model: Model, names: readonly string[]): Record<string, RawBuilder<unknown>> {
  const reverse = reverseNames(model);
  const out: Record<string, RawBuilder<unknown>> = {};
  for (const name of names) {
    const field = model.field.get(name);
    if (field?.ref !== undefined) {
      const target = catalog.byNoun(field.ref);
      out[name] =
        sql`(select row_to_json(x) from (select ${columnsSql(catalog, target, 'i')} from ${target.source} as i where i.${sql.id(target.pk)} = t.${sql.id(field.column!)}) x)`;
      continue;
    }
    const relation = reverse.get(name);
    if (!relation) continue;
    const { model: other, field: back } = relation;
    out[name] =
      sql`(select coalesce(json_agg(row_to_json(x)), '[]'::json) from (select ${columnsSql(catalog, other, 'i')} from ${other.source} as i where i.${sql.id(back.column!)} = t.id order by i.id limit ${MAX_INCLUDED}) x)`;
  }
  return out;
}

/**
 * The row that an id or natural key names.
 * @throws Problem not-found
 */
export async function getRow(
  db: Db,
  catalog: Catalog,
  model: Model,
  key: string,
  query: Pick<ListQuery, 'fields' | 'include'> = { fields: undefined, include: [] },
): Promise<Row> {
  const condition = rowCondition(catalog, model, key);
  const extra = includes(catalog, model, query.include);
  const only = query.fields && new Set([...query.fields, ...query.include]);
  const { rows } = condition
    ? await sql<{
        row: Row;
      }>`${only || query.include.length > 0 ? sql`` : preparedFor(catalog)}select row_to_json(x) as row from (select ${columnsSql(catalog, model, 't', { ...(only ? { only } : {}), extra })}
        from ${model.source} as t where ${condition}) x`.execute(db)
    : { rows: [] };
  const row = rows[0]?.row;
  if (!row) throw notFound(model, key);
  return row;
}

export function notFound(model: Model, key: string): Problem {
  return new Problem('not-found', `There is no ${model.resource.title.toLowerCase()} '${key.slice(0, 300)}'`);
}

/** SQL that `t` is the row that a path names: by id when it is all digits, else by natural key. */
export function rowCondition(catalog: Catalog, model: Model, key: string): RawBuilder<unknown> | undefined {
  if (model.pk === 'id' && /^\d{1,15}$/.test(key)) return sql`t.id = ${Number(key)}`;
  return keyCondition(catalog, model, 't', key);
}

/** The id of the row that a path names. @throws Problem not-found */
export async function idOf(db: Db, catalog: Catalog, model: Model, key: string): Promise<number> {
  const condition = rowCondition(catalog, model, key);
  const { rows } = condition ? await sql<{ id: string }>`select t.id from ${model.source} as t where ${condition}`.execute(db) : { rows: [] };
  if (!rows[0]) throw notFound(model, key);
  return Number(rows[0].id);
}

/** The natural key of a wire row, as text. */
export function keyOf(model: Model, row: Row): string {
  return model.resource.key.map((name) => String(row[name])).join(':');
}
