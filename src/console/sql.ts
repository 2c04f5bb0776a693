import { sql } from 'kysely';
import pg from 'pg';
import type { Corral } from '../corral.ts';
import type { Db } from '../db/read.ts';

/** Whoever is told the statements, if anybody is. */
export interface SqlWatch {
  listener: ((text: string, values: readonly unknown[]) => void) | undefined;
}

type Query = (this: unknown, ...args: unknown[]) => unknown;

/**
 * Watches each statement that goes to PostgreSQL, at the driver, below MikroORM, Kysely and our own pool
 * alike, so that nothing is missed. To be called before the first connection is made: connections keep
 * the driver's function that they find.
 */
export function watchSql(): SqlWatch {
  const watch: SqlWatch = { listener: undefined };
  const listener = (text: string, values: readonly unknown[]): void => watch.listener?.(text, values);
  const prototype = pg.Client.prototype as unknown as { query: Query };
  const { query } = prototype;
  prototype.query = function (this: unknown, ...args: unknown[]): unknown {
    const [first, second] = args;
    if (typeof first === 'string') listener(first, Array.isArray(second) ? (second as unknown[]) : []);
    else if (typeof first === 'object' && first !== null && 'text' in first) {
      const { text, values } = first as { text: unknown; values?: unknown };
      listener(String(text), Array.isArray(values) ? (values as unknown[]) : Array.isArray(second) ? (second as unknown[]) : []);
    }
    return query.apply(this, args);
  };
  return watch;
}

export type SqlTag = (parts: TemplateStringsArray, ...values: readonly unknown[]) => Promise<readonly Record<string, unknown>[]>;

/**
 * A tag that reads: sql`select fqdn from node where id = ${7}`. Values become parameters. PostgreSQL
 * itself refuses writes in it: they belong to the verbs.
 */
export function sqlTag({ store }: Corral): SqlTag {
  return async (parts, ...values) => {
    const outer = store.within?.fork({ clear: true, keepTransactionContext: true }) ?? store.orm.em.fork();
    return outer.transactional(async (em) => {
      const db = em.getKysely() as unknown as Db;
      await sql`set transaction read only`.execute(db);
      return (await sql<Record<string, unknown>>(parts, ...values).execute(db)).rows;
    });
  };
}
