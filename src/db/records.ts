import { sql } from 'kysely';
import type { EntityProperty } from '@mikro-orm/postgresql';
import type { Model } from './catalog.ts';
import type { Db } from './read.ts';
import type { Values } from './transaction.ts';

/** The type of a noun's property in SQL. */
export function columnType(model: Model, property: string): string {
  return (model.meta.properties as Record<string, EntityProperty>)[property]!.columnTypes[0]!;
}

/** New ids of a table, ascending. */
export async function newIds(db: Db, table: string, count: number): Promise<number[]> {
  if (count === 0) return [];
  const { rows } = await sql<{
    id: string;
  }>`select next_id(pg_get_serial_sequence(${table}, 'id')::regclass) as id from generate_series(1, ${count}::int)`.execute(db);
  return rows.map((row) => Number(row.id)).sort((a, b) => a - b);
}

/** Lets a table's ids go on after this one; they never go back. */
export async function reserveIds(db: Db, table: string, last: number): Promise<void> {
  await sql`select setval(pg_get_serial_sequence(${table}, 'id'), greatest(${last}::bigint, (select coalesce(pg_sequence_last_value(pg_get_serial_sequence(${table}, 'id')::regclass), 1))))
    where coalesce(current_setting('corral.plan', true), '') <> 'on'`.execute(db);
}

/** Inserts records, all with the same columns, in one statement. `types` are the SQL types by column. */
export async function insertRecords(db: Db, table: string, types: Readonly<Record<string, string>>, records: readonly Values[]): Promise<void> {
  if (records.length === 0) return;
  const names = Object.keys(types);
  const columns = sql.join(names.map((name) => sql.id(name)));
  const recordset = sql.join(names.map((name) => sql`${sql.id(name)} ${sql.raw(types[name]!)}`));
  await sql`insert into ${sql.id(table)} (${columns}) select ${columns} from json_to_recordset(${JSON.stringify(records)}::json) as x (${recordset})`.execute(
    db,
  );
}
