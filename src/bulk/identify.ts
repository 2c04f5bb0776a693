import { sql, type RawBuilder } from 'kysely';
import { columnsSql, type Field, type Model } from '../db/catalog.ts';
import { invalid } from '../db/check.ts';
import { idOfKey, splitKey } from '../db/query.ts';
import { rowCondition, type Row } from '../db/read.ts';
import type { Tx, Values } from '../db/transaction.ts';
import { identitiesOf } from '../fleet/keys.ts';
import { Problem } from '../kernel/problem.ts';

/** Conditions that one statement looks up. */
const CONDITIONS = 200;

/** What a put is about: by its key, or else by its body. */
export interface Subject {
  readonly key: string | undefined;
  readonly body: Values;
}

/** How a put tells its thing from others: the same text for the same thing, and SQL that `t` is it. */
export interface Identity {
  readonly text: string;
  readonly condition: RawBuilder<unknown> | undefined;
  /** A virtual machine that only its name tells. */
  readonly name?: string;
}

/** @throws Problem invalid where nothing in the body tells the thing */
export function identityOf({ store }: Pick<Tx, 'store'>, model: Model, { key, body }: Subject): Identity {
  if (key !== undefined) {
    const parts = /^\d{1,15}$/.test(key) ? undefined : splitKey(store.catalog, model, key);
    return { text: parts ? `${model.resource.key.join()} ${parts.join(':')}` : `id ${key}`, condition: rowCondition(store.catalog, model, key) };
  }
  const candidates = [model.resource.key, ...identitiesOf(model).filter(() => model.resource.noun !== 'vm')];
  for (const names of candidates) {
    const values = names.map((name) => valueOf(model.field.get(name)!, body[name]));
    if (!values.every((value) => value !== undefined)) continue;
    const conditions = names.map((name, i) => {
      const field = model.field.get(name)!;
      const column = sql`t.${sql.id(field.column!)}`;
      return field.ref === undefined
        ? sql`${column} = ${values[i]}`
        : sql`${column} = ${idOfKey(store.catalog, store.catalog.byNoun(field.ref), String(values[i]))}`;
    });
    return { text: `${names.join()} ${values.join(':')}`, condition: sql.join(conditions, sql` and `) };
  }
  if (model.resource.noun === 'vm' && typeof body['name'] === 'string') return { text: `name ${body['name']}`, condition: undefined, name: body['name'] };
  if (model.resource.noun === 'vm') throw invalid([{ pointer: '/name', message: 'is needed, or uuid: nothing else tells it from other virtual machines' }]);
  const ways = candidates.map((names) => names.filter((name) => !model.field.get(name)!.readOnly).join(' and ')).filter((way) => way !== '');
  throw invalid([{ pointer: '', message: `does not say which one it is about: give ${ways.join(', or ')}, or a key` }]);
}

function valueOf(field: Field, value: unknown): unknown {
  if (value == null || field.readOnly) return undefined;
  if (field.ref !== undefined) return typeof value === 'number' || typeof value === 'string' ? value : undefined;
  return field.schema.safeParse(value).data;
}

/** The ids of the things, undefined where there is none yet. */
export async function findAll(tx: Tx, model: Model, identities: readonly Identity[], set: number | undefined): Promise<(number | undefined | Problem)[]> {
  const out: (number | undefined | Problem)[] = [];
  for (let i = 0; i < identities.length; i += CONDITIONS) {
    const some = identities.slice(i, i + CONDITIONS);
    const columns = some.map(
      ({ condition }, j) => sql`(${condition ? sql`select t.id from ${model.source} as t where ${condition}` : sql`null`})::float8 as ${sql.id(`r${j}`)}`,
    );
    const { rows } = await sql<Record<string, number | null>>`select ${sql.join(columns)}`.execute(tx.db);
    for (const j of some.keys()) out.push(rows[0]![`r${j}`] ?? undefined);
  }
  const byName = await findByName(
    tx,
    identities.flatMap((one) => one.name ?? []),
    set,
  );
  return out.map((id, i) => (identities[i]!.name === undefined ? id : byName(identities[i]!.name)));
}

interface Namesake {
  readonly id: number;
  readonly name: string;
  /** It is a member of the set. */
  readonly mine: boolean;
  /** It is a member of another set. */
  readonly taken: boolean;
}

/**
 * Virtual machines by name. Within a set: the set's own of that name, else the only one that belongs to no set.
 * Without a set: the only one.
 */
async function findByName(tx: Tx, names: readonly string[], set: number | undefined): Promise<(name: string) => number | undefined | Problem> {
  const { rows } =
    names.length === 0
      ? { rows: [] }
      : await sql<Namesake>`select v.id::float8 as id, v.name,
        exists (select from apply_set_member m where m.noun = 'vm' and m.row_id = v.id and m.apply_set_id = ${set ?? null}) as mine,
        exists (select from apply_set_member m where m.noun = 'vm' and m.row_id = v.id and m.apply_set_id is distinct from ${set ?? null}) as taken
        from ${tx.store.catalog.byNoun('vm').source} as v where v.name = any(${names}::text[])`.execute(tx.db);
  const groups = Map.groupBy(rows, (row) => row.name);
  return (name) => {
    const all = groups.get(name) ?? [];
    const mine = all.filter((row) => row.mine);
    const possible = set === undefined ? all : mine.length > 0 ? mine : all.filter((row) => !row.taken);
    if (possible.length < 2) return possible[0]?.id;
    return invalid([
      {
        pointer: '/name',
        message: `is that of ${possible.length} virtual machines (${possible.map((row) => row.id).join(', ')}); give the uuid of the one that is meant`,
      },
    ]);
  };
}

/** Rows as they are now, with the ids of what they refer to. */
export async function rowsOf(tx: Tx, model: Model, ids: readonly number[]): Promise<Map<number, { row: Row; refs: Row }>> {
  const refs = model.fields.filter((field) => field.ref !== undefined && field.column !== undefined);
  const columns = refs.map((field) => sql`t.${sql.id(field.column!)} as ${sql.id(field.name)}`);
  const { rows } = await sql<{
    id: string;
    row: Row;
    refs: Row;
  }>`select t.id, (select row_to_json(x) from (select ${columnsSql(tx.store.catalog, model)}) x) as row,
    ${columns.length === 0 ? sql`'{}'::json` : sql`(select row_to_json(y) from (select ${sql.join(columns)}) y)`} as refs
    from ${sql.id(model.table)} as t where t.id = any(${ids}::bigint[])`.execute(tx.db);
  return new Map(rows.map(({ id, ...rest }) => [Number(id), rest]));
}
