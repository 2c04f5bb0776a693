import { isDeepStrictEqual } from 'node:util';
import { sql } from 'kysely';
import { columnsSql, type Field, type Model } from '../db/catalog.ts';
import { patchRow } from '../db/write.ts';
import { touch, type Tx, type Values } from '../db/transaction.ts';
import { cephKeyContext } from '../modules/hooks.ts';
import { readLayers } from '../modules/layers/stored.ts';
import { plainAddress, type Target } from './keys.ts';
import type { Planned } from './plan.ts';

/**
 * Compares rows with what is there and changes those that differ, through the verb.
 * @param guard runs each change; it is called for rows that differ and for no others
 */
export async function changeRows(
  tx: Tx,
  model: Model,
  rows: readonly Planned[],
  guard: (row: Planned, change: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const ids = rows.map((row) => row.target.id!);
  const found = await sql<{
    row: Values;
  }>`select row_to_json(x) as row from (select ${columnsSql(tx.store.catalog, model)} from ${sql.id(model.table)} as t where t.id = any(${ids}::bigint[])) x`.execute(
    tx.db,
  );
  const current = new Map(found.rows.map(({ row }) => [row['id'] as number, row]));
  for (const row of rows) {
    const id = row.target.id!;
    const now = current.get(id)!;
    const patch: Values = {};
    for (const [name, value] of Object.entries(row.values)) {
      const field = model.field.get(name)!;
      if (await same(tx, model, id, field, value, now[name])) continue;
      patch[name] = field.ref !== undefined && value !== null ? (value as Target).id : value;
    }
    const secretUuid = row.kept['secret_uuid'];
    const moved = secretUuid !== undefined && secretUuid !== now['secret_uuid'];
    if (Object.keys(patch).length === 0 && !moved) continue;
    await guard(row, async () => {
      if (moved) await sql`update ceph_key set secret_uuid = ${secretUuid}, version = version + 1, updated_at = now() where id = ${id}`.execute(tx.db);
      if (Object.keys(patch).length > 0) await patchRow(tx, model, id, patch);
      await touch(tx, model, [id]);
    });
  }
}

async function same(tx: Tx, model: Model, id: number, field: Field, given: unknown, now: unknown): Promise<boolean> {
  if (field.writeOnly && model.resource.noun === 'layer') return givesNoOther(tx, id, given as Values);
  if (field.writeOnly) return given === (await secretOf(tx, id));
  if (given !== null && now !== null && field.ref !== undefined) return (given as Target).key === now;
  return sameValue(field, given, now);
}

/** Whether these secrets leave a layer as it is: those that are not given stay, null removes one. */
async function givesNoOther(tx: Tx, id: number, given: Values): Promise<boolean> {
  const [layer] = await readLayers(tx.db, tx.store.secrets, sql`l.id = ${id}`);
  return Object.entries(given).every(([key, value]) => isDeepStrictEqual(value, layer?.secrets[key] ?? null));
}

/** Whether what is given is what a row shows; of a field that names no other thing. */
export function sameValue(field: Field, given: unknown, now: unknown): boolean {
  if (given === null || now === null) return given === now;
  if (field.list) return isDeepStrictEqual([...new Set(given as string[])].sort(), [...(now as string[])].sort());
  return typeof given === 'string' ? plainAddress(given) === plainAddress(String(now)) : isDeepStrictEqual(given, now);
}

/** The one field that is written and not shown: a Ceph key's secret. */
export async function secretOf(tx: Tx, id: number): Promise<string | undefined> {
  const { rows } = await sql<{
    ceph_cluster_id: string;
    entity: string;
    secret: string;
  }>`select ceph_cluster_id, entity, secret from ceph_key where id = ${id}`.execute(tx.db);
  return rows[0] && tx.store.secrets.open(rows[0].secret, cephKeyContext(Number(rows[0].ceph_cluster_id), rows[0].entity));
}
