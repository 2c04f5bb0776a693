import { sql, type RawBuilder } from 'kysely';
import type { Change, ChangeRow, RawRow } from '../db/changes.ts';
import type { Catalog, Field, Model } from '../db/catalog.ts';
import type { Db, Row } from '../db/read.ts';
import { isRecord } from '../kernel/codec.ts';
import { collectRefs, Names } from './keys.ts';

type Data = Readonly<Record<string, unknown>>;

/** What is shown in place of a secret. */
export const SECRET = '(secret)';

const ops = { insert: 'create', update: 'update', delete: 'delete' } as const;

/** A table without a noun of its own: the list field whose values it holds. */
interface Pivot {
  readonly model: Model;
  readonly field: Field;
  readonly owner: string;
  readonly value: string;
}

function pivotsOf(catalog: Catalog): Map<string, Pivot> {
  const out = new Map<string, Pivot>();
  for (const model of catalog.models)
    for (const field of model.fields)
      if (field.list) out.set(field.list.pivotTable, { model, field, owner: field.list.joinColumns[0]!, value: field.list.inverseJoinColumns[0]! });
  return out;
}

/**
 * Rows of `change_row` as the API writes them: fields by their names there, references as natural keys, write-only
 * fields as `(secret)`; columns that no field shows are left out. In the order given, rows of unknown tables skipped.
 */
export async function presentRows(db: Db, catalog: Catalog, raw: readonly RawRow[]): Promise<ChangeRow[]> {
  const models = new Map(catalog.models.map((model) => [model.table, model]));
  const pivots = pivotsOf(catalog);
  const names = new Names(db, catalog);
  const wanted = new Map<Model, Set<number>>();
  const want = (model: Model, id: number): void => void wanted.set(model, (wanted.get(model) ?? new Set()).add(id));
  for (const row of raw) {
    const model = models.get(row.noun);
    const pivot = pivots.get(row.noun);
    if (pivot) want(pivot.model, Number((row.after ?? row.before)![pivot.owner]));
    if (!model || row.row_id === null) continue;
    want(model, row.row_id);
    collectRefs(catalog, model, row.before, wanted);
    collectRefs(catalog, model, row.after, wanted);
  }
  await names.load(wanted);
  return raw.flatMap((row) => {
    const model = models.get(row.noun);
    const pivot = pivots.get(row.noun);
    if (pivot) return [presentPivot(pivot, names, row)];
    return model && row.row_id !== null ? [presentRow(catalog, model, names, row, row.row_id)] : [];
  });
}

function presentPivot({ model, field, owner, value }: Pivot, names: Names, row: RawRow): ChangeRow {
  const key = names.of(model, Number((row.after ?? row.before)![owner])).key;
  const side = (data: Data): Row => ({ [model.resource.noun]: key, [field.name]: data[value] });
  return {
    noun: row.noun,
    id: null,
    key: `${key}:${String((row.after ?? row.before)![value])}`,
    op: ops[row.op],
    ...(row.before ? { before: side(row.before) } : {}),
    ...(row.after ? { after: side(row.after) } : {}),
  };
}

function presentRow(catalog: Catalog, model: Model, names: Names, row: RawRow, id: number): ChangeRow {
  const { key, label } = names.of(model, id);
  const side = (data: Data): Row => Object.fromEntries(model.fields.flatMap((field) => presentField(catalog, field, names, data)));
  return {
    noun: model.resource.noun,
    id,
    key,
    ...(label === undefined ? {} : { label }),
    op: ops[row.op],
    ...(row.before ? { before: side(row.before) } : {}),
    ...(row.after ? { after: side(row.after) } : {}),
  };
}

function presentField(catalog: Catalog, field: Field, names: Names, data: Data): [string, unknown][] {
  if (field.column === undefined || !Object.hasOwn(data, field.column)) return [];
  const value = data[field.column];
  if (value === null) return [[field.name, null]];
  /* A layer without secrets has none to hide. */
  if (field.writeOnly) return [[field.name, isRecord(value) && Object.keys(value).length === 0 ? null : SECRET]];
  const target = field.ref === undefined ? undefined : catalog.byNoun(field.ref);
  if (target?.pk !== 'id') return [[field.name, value]];
  return [[field.name, names.hides(target, Number(value)) ? null : names.of(target, Number(value)).key]];
}

/** The rows of changes, by the id of the change, in the order in which they were written. */
export async function rawRows(db: Db, changes: readonly number[]): Promise<RawRow[]> {
  const { rows } = await sql<RawRow>`select change_id::float8 as change_id, noun, row_id::float8 as row_id, op, before, after from change_row
    where change_id = any(${changes}::bigint[]) order by change_id, id`.execute(db);
  return rows;
}

/** SQL of a time as the API writes it: RFC 3339, UTC, milliseconds. */
export const timeSql = (time: RawBuilder<unknown>): RawBuilder<string> => sql`to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

interface Head {
  readonly id: number;
  readonly number: number;
  readonly at: string;
  readonly actor: string;
  readonly request_id: string | null;
  readonly message: string | null;
  readonly reverts: number | null;
  readonly documents: Change['documents'];
}

/** Committed changes with numbers between `after` and `before` (both excluded), in their order; `limit` at most. */
export async function loadChanges(
  db: Db,
  catalog: Catalog,
  { after = 0, before, limit }: { readonly after?: number; readonly before?: number; readonly limit: number },
): Promise<Change[]> {
  const { rows: heads } =
    await sql<Head>`select c.id::float8 as id, c.number::float8 as number, ${timeSql(sql`c.at`)} as at, c.actor, c.request_id, c.message, c.reverts::float8 as reverts,
      (select coalesce(json_agg(json_build_object('node', coalesce(n.fqdn, '#' || v.node_id), 'version', v.number || '-' || v.hash) order by v.node_id), '[]'::json)
        from document_version v left join node n on n.id = v.node_id where v.change_id = c.id) as documents
    from change c where c.number > ${after} ${before === undefined ? sql`` : sql`and c.number < ${before}`} order by c.number limit ${limit}`.execute(db);
  const raw = await rawRows(
    db,
    heads.map((head) => head.id),
  );
  const kept = raw.filter(isShown(catalog));
  const shown = await presentRows(db, catalog, kept);
  const byChange = new Map<number, ChangeRow[]>(heads.map((head) => [head.id, []]));
  for (const [i, row] of kept.entries()) byChange.get(row.change_id)!.push(shown[i]!);
  return heads.map(({ id, ...head }) => ({ ...head, rows: byChange.get(id)! }));
}

/** Whether `presentRows` gives a row for it, so that the two lists run in step. */
function isShown(catalog: Catalog): (row: RawRow) => boolean {
  const tables = new Set(catalog.models.map((model) => model.table));
  const pivots = pivotsOf(catalog);
  return (row) => pivots.has(row.noun) || (tables.has(row.noun) && row.row_id !== null);
}
