import { sql } from 'kysely';
import { keySql, type Catalog, type Model } from '../db/catalog.ts';
import { prepared } from '../db/prepared.ts';
import type { Db } from '../db/read.ts';

type Data = Readonly<Record<string, unknown>>;

/** What a thing is called: its natural key, and its label where people know it by another field. */
export interface Name {
  readonly key: string;
  readonly label: string | undefined;
}

const HIDDEN: Name = { key: '(hidden)', label: undefined };

/**
 * The names of things by table and id: of those that are there from their row, of those that are gone from the
 * changes that hold their last row. What neither has is called `#<id>`.
 */
export class Names {
  readonly #db: Db;
  readonly #catalog: Catalog;
  readonly #known = new Map<string, Name>();
  readonly #hidden = new Set<string>();

  constructor(db: Db, catalog: Catalog) {
    this.#db = db;
    this.#catalog = catalog;
  }

  /** Whether it is there, and whoever asks may not see it. */
  hides(model: Model, id: number): boolean {
    return this.#hidden.has(`${model.table} ${id}`);
  }

  of(model: Model, id: number): Name {
    if (this.hides(model, id)) return HIDDEN;
    return this.#known.get(`${model.table} ${id}`) ?? { key: `#${id}`, label: undefined };
  }

  /** Finds the names of these things, and of those that theirs are made from. */
  async load(wanted: ReadonlyMap<Model, ReadonlySet<number>>): Promise<void> {
    const missing = [...wanted]
      .map(([model, ids]) => [model, [...ids].filter((id) => !this.#known.has(`${model.table} ${id}`))] as const)
      .filter(([, ids]) => ids.length > 0)
      .sort(([one], [other]) => (one.table < other.table ? -1 : 1));
    if (missing.length === 0) return;
    await this.#live(missing);
    for (const [model, ids] of missing) {
      const unknown = ids.filter((id) => !this.#known.has(`${model.table} ${id}`));
      if (this.#catalog !== this.#catalog.whole && unknown.length > 0) await this.#hide(model, unknown);
      const gone = unknown.filter((id) => !this.hides(model, id));
      if (gone.length > 0) await this.#gone(model, gone);
    }
  }

  /** Of what is not seen, that which is there is hidden. */
  async #hide(model: Model, ids: readonly number[]): Promise<void> {
    const { rows } = await sql<{ id: string }>`select id from ${sql.id(model.table)} where id = any(${ids}::bigint[])`.execute(this.#db);
    for (const { id } of rows) this.#hidden.add(`${model.table} ${id}`);
  }

  /** One statement for all nouns: a new virtual machine touches ten, and its plan must not take half as long again. */
  async #live(missing: readonly (readonly [Model, readonly number[]])[]): Promise<void> {
    const each = missing.map(([model, ids]) => {
      const label = labelOf(model);
      return sql`select ${sql.lit(model.table)} as noun, t.id, ${keySql(this.#catalog, model, 't')} as key,
        ${label === undefined ? sql`null` : sql`t.${sql.id(label)}`}::text as label from ${model.source} as t where t.id = any(${ids}::bigint[])`;
    });
    const { rows } = await sql<{ noun: string; id: string; key: string | null; label: string | null }>`${prepared}${sql.join(each, sql` union all `)}`.execute(
      this.#db,
    );
    for (const row of rows) this.#known.set(`${row.noun} ${row.id}`, { key: row.key ?? HIDDEN.key, label: row.label ?? undefined });
  }

  async #gone(model: Model, ids: readonly number[]): Promise<void> {
    const { rows } = await sql<{ row_id: string; data: Data }>`select distinct on (row_id) row_id, coalesce(before, after) as data from change_row
      where noun = ${model.table} and row_id = any(${ids}::bigint[]) and op in ('delete', 'insert') order by row_id, id desc`.execute(this.#db);
    const refs = new Map<Model, Set<number>>();
    for (const { data } of rows) collectRefs(this.#catalog, model, data, refs, model.resource.key);
    await this.load(refs);
    const label = labelOf(model);
    for (const { row_id, data } of rows) {
      const key = model.resource.key.map((name) => {
        const field = model.field.get(name)!;
        const value = data[field.column!];
        if (value == null) return `#${row_id}`;
        const target = field.ref === undefined ? undefined : this.#catalog.byNoun(field.ref);
        return target?.pk === 'id' ? this.of(target, Number(value)).key : String(value);
      });
      this.#known.set(`${model.table} ${row_id}`, { key: key.join(':'), label: label === undefined ? undefined : (data[label] as string | undefined) });
    }
  }
}

function labelOf(model: Model): string | undefined {
  return model.resource.label === undefined ? undefined : model.field.get(model.resource.label)?.column;
}

/** Adds what the fields of a row refer to, by id. */
export function collectRefs(catalog: Catalog, model: Model, data: Data | null, into: Map<Model, Set<number>>, only?: readonly string[]): void {
  if (data === null) return;
  for (const field of model.fields) {
    if (field.ref === undefined || field.column === undefined || (only && !only.includes(field.name))) continue;
    const value = data[field.column];
    const target = catalog.byNoun(field.ref);
    if (value == null || target.pk !== 'id') continue;
    into.set(target, (into.get(target) ?? new Set()).add(Number(value)));
  }
}
