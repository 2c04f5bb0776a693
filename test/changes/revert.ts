/** What the tests of reverts stand on. */
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

/** Every row of desired state, without what counts and dates it, and without the pool of free addresses. */
export async function state(corral: Pick<TestCorral, 'pool'>): Promise<Record<string, unknown[]>> {
  const { rows: tables } = await corral.pool.query<{ name: string }>(
    `select relname as name from pg_class c where exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgname = 'capture_insert') order by 1`,
  );
  const out: Record<string, unknown[]> = {};
  for (const { name } of tables) {
    const { rows } = await corral.pool.query<{ row: unknown }>(
      `select to_jsonb(t) - '{version,created_at,updated_at,observed_state,observed_at,placed_at}'::text[] as row from "${name}" t ${name === 'address' ? 'where vm_interface_id is not null' : ''} order by to_jsonb(t)::text collate "C"`,
    );
    out[name] = rows.map((row) => row.row);
  }
  return out;
}

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
