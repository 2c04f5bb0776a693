import { sql } from 'kysely';
import type { Db } from '../db/read.ts';

/** A column that names a row of another table. */
export interface Reference {
  readonly child: string;
  readonly column: string;
  readonly parent: string;
}

/** A table whose rows changes keep. */
export interface Table {
  readonly name: string;
  /** The columns that can be written. */
  readonly columns: readonly string[];
  readonly key: readonly string[];
}

/** The tables that changes keep, and how they refer to one another by id. */
export interface Schema {
  readonly tables: ReadonlyMap<string, Table>;
  readonly references: readonly Reference[];
}

const TABLES = sql<{ name: string; columns: string[]; key: string[] }>`select c.relname::text as name,
    (select array_agg(a.attname::text order by a.attnum) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns,
    (select array_agg(a.attname::text order by a.attnum) from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = any(i.indkey) where i.indrelid = c.oid and i.indisprimary) as key
  from pg_class c where exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgname = 'capture_insert')`;

const REFERENCES = sql<Reference>`select c.relname::text as child, a.attname::text as column, p.relname::text as parent
  from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_class p on p.oid = k.confrelid
  join pg_attribute a on a.attrelid = k.conrelid and a.attnum = k.conkey[1]
  join pg_attribute b on b.attrelid = k.confrelid and b.attnum = k.confkey[1]
  where k.contype = 'f' and cardinality(k.conkey) = 1 and b.attname = 'id'`;

/** Reads it from the database itself, so that a table of a later migration is in it by itself. */
export async function loadSchema(db: Db): Promise<Schema> {
  const tables = new Map((await TABLES.execute(db)).rows.map((row) => [row.name, row]));
  const { rows } = await REFERENCES.execute(db);
  return { tables, references: rows.filter((one) => tables.has(one.child) && tables.has(one.parent)) };
}
