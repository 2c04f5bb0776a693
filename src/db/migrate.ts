import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import pg from 'pg';
import type { Db } from './read.ts';

/** Any number; all processes of all versions must use the same. */
const MIGRATION_LOCK = 4_101_955;
const folder = fileURLToPath(new URL('../../migrations/', import.meta.url));

/** The migrations in order: `<number>-<name>.sql`, each one transaction. */
export function migrationFiles(): { name: string; sql: string }[] {
  return readdirSync(folder)
    .filter((file) => /^\d{4}-[a-z0-9-]+\.sql$/.test(file))
    .sort()
    .map((file) => ({ name: file.replace(/\.sql$/, ''), sql: readFileSync(join(folder, file), 'utf8') }));
}

/**
 * Brings the database up to this version, under a lock, so that any number of processes may start at
 * once. Each migration and its entry in the table `migration` are one transaction: a process killed in
 * the middle leaves the database before or after it.
 * @returns the names of the migrations that ran
 * @throws Error when the database is newer than this program, or is not PostgreSQL 14 or later
 */
export async function migrate(url: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const version = Number((await client.query<{ v: string }>(`select current_setting('server_version_num') as v`)).rows[0]!.v);
    if (version < 140_000) throw new Error(`PostgreSQL 14 or later is needed; this one is ${Math.floor(version / 10_000)}`);
    await client.query(`select pg_advisory_lock(${MIGRATION_LOCK})`);
    await client.query('create table if not exists migration (name text primary key, ran_at timestamptz not null default now())');
    const { rows } = await client.query<{ name: string }>('select name from migration order by name');
    const done = new Set(rows.map((row) => row.name));
    const files = migrationFiles();
    const unknown = rows.filter((row) => /^\d/.test(row.name) && !files.some((file) => file.name === row.name));
    if (unknown.length > 0) {
      throw new Error(`the database has migrations that this version does not know (${unknown.map((row) => row.name).join(', ')}); run the newer version`);
    }
    const ran: string[] = [];
    for (const file of files.filter(({ name }) => !done.has(name))) {
      await client.query('begin');
      try {
        await client.query(file.sql);
        await client.query('insert into migration (name) values ($1)', [file.name]);
        await client.query('commit');
      } catch (error) {
        await client.query('rollback');
        throw new Error(`migration ${file.name} failed: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
      }
      ran.push(file.name);
    }
    return ran;
  } finally {
    await client.end();
  }
}

/** Whether a step that is done once for a database, such as rebuilding all documents, was done. */
export async function wasDone(url: string, name: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query('select from migration where name = $1', [name])).rowCount !== 0;
  } finally {
    await client.end();
  }
}

/** Notes inside a transaction that such a step was done. */
export async function markDone(db: Db, name: string): Promise<void> {
  await sql`insert into migration (name) values (${name}) on conflict do nothing`.execute(db);
}
