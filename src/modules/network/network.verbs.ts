import { sql } from 'kysely';
import { invalid } from '../../db/check.ts';
import type { Hooks, Tx, Values } from '../../db/transaction.ts';

/** Networks of customers are VXLANs from this number on; operators choose from those below. */
const FIRST = 1_000_000;

/**
 * A network that a customer makes: a VXLAN of its own, with a number that is free, and a name that begins with the
 * customer's, so that no refusal tells of other networks. What it touches on hosts is not the customer's to choose.
 */
async function prepare(tx: Tx, input: Values): Promise<Values> {
  if (tx.store.rights?.home('customer') === undefined) return input;
  const { rows } = await sql<{ prefix: string; free: number }>`select c.name || '-' as prefix,
    (select (coalesce(max(w.vxlan_id), ${FIRST - 1}) + 1)::float8 from network w where w.vxlan_id >= ${FIRST}) as free from customer c where c.id = ${input['customer']}`.execute(
    tx.db,
  );
  checkName(rows[0]!.prefix, input['name']);
  return { ...input, kind: 'vxlan', vxlan_id: rows[0]!.free };
}

function checkName(prefix: string, name: unknown): void {
  if (typeof name === 'string' && !name.startsWith(prefix)) throw invalid([{ pointer: '/name', message: `must begin with '${prefix}'` }]);
}

async function change(tx: Tx, id: number, patch: Values): Promise<Values> {
  if (patch['name'] === undefined || tx.store.rights?.home('customer') === undefined) return patch;
  const { rows } = await sql<{
    prefix: string;
  }>`select c.name || '-' as prefix from network w join customer c on c.id = w.customer_id where w.id = ${id}`.execute(tx.db);
  if (rows[0]) checkName(rows[0].prefix, patch['name']);
  return patch;
}

export const networkHooks: Hooks = { prepare, change, retryOn: ['network_vxlan_id_unique'] };
