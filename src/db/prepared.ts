import { createHash } from 'node:crypto';
import { CompiledQuery, sql, type RawBuilder } from 'kysely';
import type pg from 'pg';
import type { Db } from './read.ts';

/**
 * Statements that begin with this are prepared once on each connection: planning the statement that
 * loads a node takes longer (10 ms) than running it (1 ms).
 */
const MARK = '/* prepared */ ';
/** Put before a statement whose text is always the same, or one of few. */
export const prepared: RawBuilder<unknown> = sql.raw(MARK);
/** The same for statements made from a catalog: those of a part of it have another text for each who sees it. */
export const preparedFor = (catalog: { readonly whole: unknown }): RawBuilder<unknown> => (catalog.whole === catalog ? prepared : sql``);
/** Most statements that one connection keeps prepared; further ones run unprepared. */
const LIMIT = 200;

const names = new Map<string, string>();

function nameOf(text: string): string {
  let name = names.get(text);
  if (name === undefined) {
    name = `corral_${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
    if (names.size < 10 * LIMIT) names.set(text, name);
  }
  return name;
}

type Query = (config: unknown, values?: unknown, callback?: unknown) => unknown;

/**
 * Makes a connection prepare marked statements, by a name made from their text, and plan each once:
 * left to itself PostgreSQL plans a statement with a list of ids anew at each run.
 */
export function prepareMarked(client: pg.Client): void {
  const query = client.query.bind(client) as Query;
  client.query('set plan_cache_mode = force_generic_plan').catch(() => undefined);
  const seen = new Set<string>();
  (client as unknown as { query: Query }).query = (config, values, callback) => {
    if (typeof config !== 'string' || !config.startsWith(MARK)) return query(config, values, callback);
    const name = nameOf(config);
    if (!seen.has(name) && seen.size >= LIMIT) return query(config, values, callback);
    seen.add(name);
    return query({ name, text: config, values }, callback);
  };
}

/**
 * A statement that is compiled once and prepared on each connection.
 * @param build the statement; `$1`, `$2`, ... stand for what is given at each run
 */
export function statement<Row>(build: () => RawBuilder<Row>): (db: Db, values: readonly unknown[]) => Promise<Row[]> {
  let text: string | undefined;
  return async (db, values) => {
    text ??= MARK + build().compile(db).sql;
    return (await db.executeQuery<Row>(CompiledQuery.raw(text, [...values]))).rows;
  };
}
