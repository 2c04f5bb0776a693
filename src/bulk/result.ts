import { sql } from 'kysely';
import { keySql, type Model } from '../db/catalog.ts';
import type { Tx, Values } from '../db/transaction.ts';

/** What became of one operation. */
export interface BulkResult {
  readonly ref?: string;
  readonly noun: string;
  readonly id: number;
  readonly key: string | null;
  readonly status: 'created' | 'updated' | 'unchanged' | 'deleted';
  /** What is shown now and never again: a new token. */
  readonly once?: Values;
}

export interface BulkAnswer {
  readonly results: readonly BulkResult[];
  /** Members of the set that no operation named. */
  readonly pruned?: readonly BulkResult[];
}

/** What one operation did, before its key is known. */
export interface Done {
  readonly id: number;
  readonly status: BulkResult['status'];
  readonly key?: string;
  readonly once?: Values;
}

/** The natural keys of rows that are there. */
export async function keysOf(tx: Tx, model: Model, ids: readonly number[]): Promise<Map<number, string>> {
  const { rows } = await sql<{ id: string; key: string }>`select t.id, ${keySql(tx.store.catalog, model, 't')} as key from ${sql.id(model.table)} as t
    where t.id = any(${ids}::bigint[])`.execute(tx.db);
  return new Map(rows.map((row) => [Number(row.id), row.key]));
}
