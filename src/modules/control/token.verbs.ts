import { createHash, randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { invalid } from '../../db/check.ts';
import { getRow, idOf, type Row } from '../../db/read.ts';
import { transaction, type Hooks, type Store } from '../../db/transaction.ts';

/** A new token: its kind leads it, so that people and scanners see what they have found; 256 random bits. */
export function newToken(kind: string): string {
  return `corral_${kind}_${randomBytes(32).toString('base64url')}`;
}

/** What is kept of a token. */
export function hashToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** A token may more than one node only if its maker may everything: else he could make himself one that may more than he. */
function guardKind({ rights }: Store, kind: string): void {
  if (kind !== 'node') rights?.demand('*:*', { everywhere: true });
}

export const tokenHooks: Hooks = {
  prepare: (tx, input) => {
    guardKind(tx.store, input['kind'] as string);
    if (input['person'] != null && input['kind'] !== 'program') throw invalid([{ pointer: '/person', message: 'only a program token acts for a person' }]);
    const secret = newToken(String(input['kind']));
    /* Kept for `created`, which shows it once; not a property of the entity. */
    input['token'] = secret;
    const { token: _shown, ...values } = input;
    return { ...values, hash: hashToken(secret) };
  },
  created: (_tx, _id, input) => ({ token: input['token'] }),
};

/** Seconds for which a token that was renewed is good, too, when nothing else is said: long enough to carry the new one everywhere. */
export const OVERLAP = 86_400;

/**
 * Makes a token anew under its name; the one before stays good for a while, and the one before that ends at once.
 * @param overlap seconds, 0 to 30 days
 * @returns the row, with the new token, which is not shown again
 * @throws Problem not-found
 */
export async function rotateToken(store: Store, key: string, overlap: number): Promise<Row> {
  const model = store.catalog.byNoun('token');
  return transaction(
    store,
    async (tx) => {
      const id = await idOf(tx.db, store.catalog, model, key);
      await store.rights?.permit(tx.db, model, 'update', id);
      const { rows } = await sql<{ kind: string }>`select kind from token where id = ${id} for update`.execute(tx.db);
      guardKind(store, rows[0]!.kind);
      const secret = newToken(rows[0]!.kind);
      await sql`update token set old_hash = hash, old_until = now() + ${overlap} * interval '1 second', hash = ${hashToken(secret)}, version = version + 1, updated_at = now()
        where id = ${id}`.execute(tx.db);
      return { ...(await getRow(tx.db, store.catalog, model, String(id))), token: secret };
    },
    { model },
  );
}
