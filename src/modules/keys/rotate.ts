import type pg from 'pg';
import { isRecord } from '../../kernel/codec.ts';
import type { SecretBox } from '../../kernel/secret.ts';
import { sealedColumns, type SealedColumn } from './sealed.ts';

/** Rows that are sealed anew in one transaction. */
const BATCH = 200;

export interface Rotation {
  /** Values that were sealed anew, by table. */
  readonly rotated: Readonly<Record<string, number>>;
  /** Rows that still have a value under another key, by table: their key is not known, or they were written meanwhile. */
  readonly left: Readonly<Record<string, number>>;
  /** Why those could not be opened; each reason once. */
  readonly reasons: readonly string[];
}

type Row = Record<string, unknown>;

/** A place where batches of rows are looked through by their key. */
interface Place {
  readonly name: string;
  readonly table: string;
  readonly id: readonly string[];
  readonly columns: readonly string[];
  /** SQL that a row has a value under another key than $1, which is a pattern `v1.<id>.%`. */
  readonly stale: string;
  /** What of the row is other, by column; none: nothing could be opened. */
  readonly renew: (row: Row, client: pg.PoolClient) => Promise<Row>;
}

/** SQL that an expression of a form holds a value under another key. */
function staleSql(form: SealedColumn['form'], value: string): string {
  if (form === 'text') return `coalesce(${value} like 'v1.%' and ${value} not like $1, false)`;
  if (form === 'map')
    return `exists (select from jsonb_each_text(case jsonb_typeof(${value}) when 'object' then ${value} else '{}' end) e where e.value like 'v1.%' and e.value not like $1)`;
  /* The beginning says it: the rest of a long one is not read. */
  return `coalesce(substr(${value}::text, 1, 14) = '{"sealed":"v1.' and substr(${value}::text, 12, 12) not like $1, false)`;
}

/** Seals every value in the database that is under another key with the current one. It may be stopped at any point and started again. */
export class KeyRotation {
  readonly #pool: pg.Pool;
  readonly #box: SecretBox;
  readonly #reasons = new Set<string>();

  constructor(pool: pg.Pool, box: SecretBox) {
    this.#pool = pool;
    this.#box = box;
  }

  /** Rows with values under another key than the current one, by table. */
  async count(): Promise<Record<string, number>> {
    const out: Record<string, number> = {};
    for (const place of await this.#places()) {
      const { rows } = await this.#pool.query<{ n: number }>(`select count(*)::int as n from ${place.table} t where ${place.stale}`, [this.#current()]);
      if (rows[0]!.n > 0) out[place.name] = (out[place.name] ?? 0) + rows[0]!.n;
    }
    return out;
  }

  async run(onProgress: (done: number, total: number) => void = () => undefined): Promise<Rotation> {
    const total = sum(await this.count());
    const rotated: Record<string, number> = {};
    for (const place of await this.#places()) {
      for (let after: Row | undefined, first = true; first || after; first = false) {
        const { done, last } = await this.#batch(place, after);
        if (done > 0) rotated[place.name] = (rotated[place.name] ?? 0) + done;
        if (done > 0) onProgress(sum(rotated), Math.max(total, sum(rotated)));
        after = last;
      }
    }
    return { rotated, left: await this.count(), reasons: [...this.#reasons] };
  }

  #current(): string {
    return `v1.${this.#box.keyId}.%`;
  }

  /** One transaction. It leaves no change behind: what is sealed is the same as before. */
  async #batch({ table, id, columns, stale, renew }: Place, after: Row | undefined): Promise<{ done: number; last: Row | undefined }> {
    const client = await this.#pool.connect();
    let failed: Error | undefined;
    try {
      await client.query('begin');
      const keys = id.map((name) => `t.${name}`).join(', ');
      const beyond = after ? ` and (${keys}) > (${id.map((_, i) => `$${i + 2}`).join(', ')})` : '';
      const { rows } = await client.query<Row>(
        `select ${[...new Set([...id, ...columns])].map((name) => `t.${name}`).join(', ')} from ${table} t where ${stale}${beyond} order by ${keys} limit ${BATCH} for update`,
        [this.#current(), ...(after ? id.map((name) => after[name]) : [])],
      );
      let done = 0;
      for (const row of rows) {
        const renewed = Object.entries(await renew(row, client));
        if (renewed.length === 0) continue;
        const set = renewed.map(([name], i) => `${name} = $${i + 1}`).join(', ');
        const where = id.map((name, i) => `${name} = $${renewed.length + i + 1}`).join(' and ');
        await client.query(`update ${table} set ${set} where ${where}`, [...renewed.map(([, value]) => value), ...id.map((name) => row[name])]);
        done++;
      }
      await client.query(`delete from change where id = nullif(current_setting('corral.change', true), '')::bigint`);
      await client.query('commit');
      return { done, last: rows.length === BATCH ? rows.at(-1) : undefined };
    } catch (error) {
      failed = error instanceof Error ? error : new Error(String(error));
      throw error;
    } finally {
      /* A connection in the middle of a transaction is of no use to the next. */
      client.release(failed);
    }
  }

  /** Undefined: it is under the current key, or its own is not known. */
  readonly #reseal = (value: string, contexts: readonly string[]): string | undefined => {
    if (!value.startsWith('v1.') || value.startsWith(`v1.${this.#box.keyId}.`)) return undefined;
    let reason = 'a value of a change belongs to a row of which nothing else is kept';
    for (const context of contexts) {
      try {
        return this.#box.seal(this.#box.open(value, context), context);
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error);
      }
    }
    this.#reasons.add(reason);
    return undefined;
  };

  async #places(): Promise<Place[]> {
    const { rows } = await this.#pool.query<{ name: string }>(
      `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`,
    );
    const there = new Set(rows.map((row) => row.name));
    return sealedColumns.filter(({ table }) => there.has(table)).flatMap((one) => [this.#columnOf(one), ...(one.inChanges ? [this.#changesOf(one)] : [])]);
  }

  #columnOf(one: SealedColumn): Place {
    const { table, column, form, id, by } = one;
    return {
      name: table,
      table,
      id,
      columns: [...by, column],
      stale: staleSql(form, `t.${column}`),
      renew: async (row) => this.#renewed(one, column, row[column], [row]),
    };
  }

  /** Rows before and after in changes: what their context is made from may be in other rows of the same thing. */
  #changesOf(one: SealedColumn): Place {
    const { table, column, form, id, by } = one;
    const value = (side: string): string => (form === 'map' ? `t.${side} -> '${column}'` : `t.${side} ->> '${column}'`);
    const known = async (row: Row, client: pg.PoolClient): Promise<Row[]> => {
      const rowId = { [id[0]!]: row['row_id'] };
      if (by.length === 0) return [rowId];
      const { rows } = await client.query<{ row: Row }>(
        `select to_jsonb(x) - '${column}' as row from ${table} x where x.id = $1
         union select coalesce(c.before, '{}') || coalesce(c.after, '{}') - '${column}' from change_row c where c.noun = '${table}' and c.row_id = $1
         union select c.before - '${column}' from change_row c where c.noun = '${table}' and c.row_id = $1 and c.before is not null`,
        [row['row_id']],
      );
      const whole = rows.map(({ row: found }) => ({ ...rowId, ...found })).filter((found: Row) => by.every((name) => found[name] !== undefined));
      return whole;
    };
    return {
      name: 'change_row',
      table: 'change_row',
      id: ['id'],
      columns: ['row_id', 'before', 'after'],
      stale: `t.noun = '${table}' and (${staleSql(form, `(${value('before')})`)} or ${staleSql(form, `(${value('after')})`)})`,
      renew: async (row, client) => {
        const candidates = await known(row, client);
        const out: Row = {};
        for (const side of ['before', 'after']) {
          const image = row[side];
          if (!isRecord(image) || image[column] === undefined) continue;
          const renewed = this.#renewed(one, column, image[column], candidates)[column];
          if (renewed !== undefined) out[side] = JSON.stringify({ ...image, [column]: form === 'map' ? (JSON.parse(renewed as string) as unknown) : renewed });
        }
        return out;
      },
    };
  }

  /** The column with what it holds sealed anew; without it when nothing of it could be. */
  #renewed({ form, context }: SealedColumn, column: string, value: unknown, rows: readonly Row[]): Row {
    const reseal = (text: string, key: string): string | undefined =>
      this.#reseal(
        text,
        rows.map((row) => context(row, key)),
      );
    if (form === 'map') {
      const entries = Object.entries((value ?? {}) as Record<string, string>).map(([key, text]): [string, string, boolean] => {
        const next = reseal(text, key);
        return [key, next ?? text, next !== undefined];
      });
      return entries.some(([, , changed]) => changed) ? { [column]: JSON.stringify(Object.fromEntries(entries.map(([key, text]) => [key, text]))) } : {};
    }
    const text = form === 'text' ? (value as string) : ((typeof value === 'string' ? (JSON.parse(value) as Row) : (value as Row))['sealed'] as string);
    const next = reseal(text, '');
    if (next === undefined) return {};
    return { [column]: form === 'text' ? next : JSON.stringify({ sealed: next }) };
  }
}

export const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((all, one) => all + one, 0);
