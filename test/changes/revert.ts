/** What the tests of reverts stand on. */
import { expect } from 'vitest';
import { openBody } from '../../src/documents/rebuild.load.ts';
import { revertChange, type Reverted } from '../../src/changes/revert.ts';
import { deleteThing } from '../../src/db/write.ts';
import type { DocumentBody } from '../../src/documents/document.ts';
import type { TestCorral } from '../support/corral.ts';

export type Bodies = Readonly<Record<string, string>>;

/** Every document's body, by node. */
export async function bodies(corral: Pick<TestCorral, 'pool' | 'store'>): Promise<Bodies> {
  const { rows } = await corral.pool.query<{ id: string; fqdn: string; body: DocumentBody }>(
    'select n.id, n.fqdn, v.body from node n join document d on d.node_id = n.id join document_version v using (node_id, number) order by n.id',
  );
  return Object.fromEntries(rows.map((row) => [row.fqdn, JSON.stringify(openBody(corral.store.secrets, Number(row.id), row.body))]));
}

/** Every row of desired state, without what counts, dates and derives it, and without the pool of free addresses. */
export async function state(corral: Pick<TestCorral, 'pool'>): Promise<Record<string, unknown[]>> {
  const { rows: tables } = await corral.pool.query<{ name: string; args: Buffer }>(
    `select c.relname as name, t.tgargs as args from pg_trigger t join pg_class c on c.oid = t.tgrelid where t.tgname = 'capture_insert' order by 1`,
  );
  const out: Record<string, unknown[]> = {};
  for (const { name, args } of tables) {
    /* What the trigger leaves out is derived. */
    const derived = args
      .toString()
      .split('\0')
      .filter((column) => column !== '');
    const { rows } = await corral.pool.query<{ row: unknown }>(
      `select to_jsonb(t) - $1::text[] as row from "${name}" t ${name === 'address' ? 'where vm_interface_id is not null' : ''} order by to_jsonb(t)::text collate "C"`,
      [[...derived.filter((column) => !COUNTED.has(column)), 'version', 'created_at', 'updated_at']],
    );
    out[name] = rows.map((row) => row.row);
  }
  return out;
}

/** Derived, and the same again when all is undone. */
const COUNTED = new Set(['allocated', 'allocated_cores', 'allocated_ram', 'name']);

export async function newest(corral: Pick<TestCorral, 'pool'>): Promise<number> {
  const { rows } = await corral.pool.query<{ n: number }>('select coalesce(max(number), 0)::float8 as n from change');
  return rows[0]!.n;
}

/** Undoes a change. @returns its own number too */
export async function revert(corral: Pick<TestCorral, 'store'>, number: number, message?: string): Promise<Reverted & { number: number | undefined }> {
  let made: number | undefined;
  const reverted = await revertChange(corral.store, number, { actor: 'tester', message, committed: (change) => (made = change) });
  return { ...reverted, number: made };
}

export async function tombstones(corral: Pick<TestCorral, 'pool'>): Promise<Set<number>> {
  const { rows } = await corral.pool.query<{ id: string }>('select id from tombstone');
  return new Set(rows.map((row) => Number(row.id)));
}

/** Hosts have removed all that they were told to remove, but for these. */
export async function hostsRemove(corral: Pick<TestCorral, 'pool' | 'store' | 'catalog'>, but: ReadonlySet<number> = new Set()): Promise<void> {
  for (const id of await tombstones(corral)) if (!but.has(id)) await deleteThing(corral.store, corral.catalog.byNoun('tombstone'), String(id));
}

/**
 * The rows as the changes tell them, from the first on. Of addresses only those that somebody has, by id.
 */
export async function replayed(corral: Pick<TestCorral, 'pool'>): Promise<Record<string, unknown[]>> {
  const { rows } = await corral.pool.query<{ noun: string; id: string | null; op: string; before: object | null; after: object | null }>(
    'select r.noun, r.row_id as id, r.op, r.before, r.after from change_row r join change c on c.id = r.change_id order by c.number, r.id',
  );
  const tables = new Map<string, Map<string, Record<string, unknown>>>();
  for (const { noun, id, op, before, after } of rows) {
    const table = tables.get(noun) ?? new Map<string, Record<string, unknown>>();
    tables.set(noun, table);
    const key = id ?? JSON.stringify(before ?? after);
    if (op === 'delete') table.delete(key);
    else table.set(key, { ...table.get(key), ...after });
  }
  const out: Record<string, unknown[]> = {};
  for (const [noun, table] of tables)
    out[noun] = [...table.entries()]
      .map(([id, row]) => told(noun, { ...(/^\d+$/.test(id) ? { id: Number(id) } : {}), ...row }))
      .filter((row) => row !== undefined);
  return sorted(out);
}

/** The rows as they are, in the same form. */
export async function actual(corral: Pick<TestCorral, 'pool'>): Promise<Record<string, unknown[]>> {
  const out: Record<string, unknown[]> = {};
  const { rows: known } = await corral.pool.query<{ noun: string; columns: string[] }>(
    `select r.noun, array_agg(distinct k) as columns from change_row r, jsonb_object_keys(coalesce(r.after, r.before)) k group by 1`,
  );
  for (const { noun, columns } of known) {
    const { rows } = await corral.pool.query<{ row: Record<string, unknown> }>(`select to_jsonb(t) as row from "${noun}" t`);
    out[noun] = rows
      .map(({ row }) => told(noun, Object.fromEntries(Object.entries(row).filter(([name]) => name === 'id' || columns.includes(name)))))
      .filter((row) => row !== undefined);
  }
  return sorted(out);
}

function told(noun: string, row: Readonly<Record<string, unknown>>): Record<string, unknown> | undefined {
  if (noun === 'address') return row['vm_interface_id'] == null ? undefined : { id: row['id'], vm_interface_id: row['vm_interface_id'] };
  return Object.fromEntries(Object.entries(row).filter(([name]) => !['version', 'created_at', 'updated_at'].includes(name)));
}

function sorted(tables: Record<string, unknown[]>): Record<string, unknown[]> {
  const key = (row: unknown): string => JSON.stringify(Object.entries(row as object).sort(([a], [b]) => (a < b ? -1 : 1)));
  return Object.fromEntries(
    Object.entries(tables)
      .filter(([, rows]) => rows.length > 0)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([noun, rows]) => [noun, rows.map(key).sort()]),
  );
}

/** Numbers follow one another without gaps, times never go back, and no commit was left without a number. */
export async function expectInOrder(corral: Pick<TestCorral, 'pool'>): Promise<void> {
  const { rows } = await corral.pool.query<{ wrong: number; unnumbered: number; back: number }>(
    `select (select count(*)::int from (select number, row_number() over (order by number) + min(number) over () - 1 as n from change) x where number <> n) as wrong,
      (select count(*)::int from change where number is null) as unnumbered,
      (select count(*)::int from (select at < lag(at) over (order by number) as back from change) x where back) as back`,
  );
  expect(rows).toEqual([{ wrong: 0, unnumbered: 0, back: 0 }]);
}
