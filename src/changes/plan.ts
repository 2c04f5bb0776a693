import type { Plan } from '../db/plan.ts';
import type { Tx } from '../db/transaction.ts';

/** What the transaction has done so far. */
export async function planOf(tx: Tx): Promise<Plan> {
  void tx;
  return Promise.reject(new Error('plans are not there yet'));
}
