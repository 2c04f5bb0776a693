import { sql } from 'kysely';
import type { Tx, Values } from '../db/transaction.ts';
import { columnType, insertRecords, reserveIds } from '../db/records.ts';

/** Tables in the order in which rows can be inserted. */
const tables = [
  'site',
  'customer',
  'project',
  'ceph_cluster',
  'ceph_pool',
  'ceph_key',
  'node',
  'document',
  'node_interface',
  'node_address',
  'hypervisor',
  'hypervisor_method',
  'ceph_mon_node',
  'ceph_osd_node',
  'ceph_osd',
  'network',
  'subnet',
  'storage_pool',
  'pool_attachment',
  'image',
  'vm',
  'vm_interface',
  'network_membership',
  'address',
  'volume',
  'snapshot',
] as const;
export type Table = (typeof tables)[number];

/** Rows that are held before they are written; all tables together. */
const HELD = 20_000;

/**
 * Gathers rows and writes them in few statements, parents before children. It gives the ids, so that rows
 * can name each other before they are written. Constraints and triggers work as always.
 */
export class Loader {
  readonly #tx: Tx;
  readonly #types = new Map<Table, Record<string, string>>();
  readonly #held = new Map<Table, Values[]>();
  readonly #last = new Map<Table, number>();
  #count = 0;
  #flushes = 0;
  #analyzeAt = 1;

  private constructor(tx: Tx) {
    this.#tx = tx;
    for (const table of tables) {
      this.#held.set(table, []);
      const model = tx.store.catalog.models.find((one) => one.table === table);
      const columns = model
        ? model.fields.filter((field) => field.column !== undefined).map((field): [string, string] => [field.column!, columnType(model, field.name)])
        : [];
      this.#types.set(table, { id: 'bigint', node_id: 'bigint', hypervisor_id: 'bigint', virt_method: 'text', ...Object.fromEntries(columns) });
    }
  }

  static async open(tx: Tx): Promise<Loader> {
    const loader = new Loader(tx);
    for (const table of tables) {
      if (table === 'document' || table === 'hypervisor_method') continue;
      const { rows } = await sql<{ last: string }>`select coalesce(max(id), 0) as last from ${sql.id(table)}`.execute(tx.db);
      loader.#last.set(table, Number(rows[0]!.last));
    }
    return loader;
  }

  /** Adds a row; all rows of a table have the same columns. @returns its id */
  add(table: Table, values: Values): number {
    const id = (this.#last.get(table) ?? 0) + 1;
    this.#held.get(table)!.push({ id, ...values });
    this.#last.set(table, id);
    this.#count++;
    return id;
  }

  /** Adds a row of a table without ids. */
  addPlain(table: 'document' | 'hypervisor_method', values: Values): void {
    this.#held.get(table)!.push(values);
    this.#count++;
  }

  /** Writes what is held when it is much. */
  async drain(): Promise<void> {
    if (this.#count >= HELD) await this.flush();
  }

  async flush(): Promise<void> {
    for (const table of tables) {
      const records = this.#held.get(table)!;
      if (records.length === 0) continue;
      const types = this.#types.get(table)!;
      await insertRecords(this.#tx.db, table, Object.fromEntries(Object.keys(records[0]!).map((name) => [name, types[name]!])), records);
      this.#held.set(table, []);
    }
    this.#count = 0;
    if (++this.#flushes >= this.#analyzeAt) {
      this.#analyzeAt *= 2;
      await this.#analyze();
    }
  }

  /**
   * Gathers statistics of what this transaction wrote. Triggers and foreign keys keep the plans that they
   * made for empty tables, and read whole tables for each row, until statistics change: 20 times slower.
   */
  async #analyze(): Promise<void> {
    for (const table of tables) await sql`analyze ${sql.id(table)}`.execute(this.#tx.db);
  }

  /** Writes the rest, and lets ids go on after those that were given. */
  async close(): Promise<void> {
    await this.flush();
    for (const [table, last] of this.#last) if (last > 0) await reserveIds(this.#tx.db, table, last);
    await this.#analyze();
  }
}
