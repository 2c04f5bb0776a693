import type { Model } from '../db/catalog.ts';
import { CONVERGENCE } from '../db/query.ts';
import { idOf, type Row } from '../db/read.ts';
import type { Rights } from '../db/rights.ts';
import type { Convergence } from '../reports/convergence.ts';
import { convergenceOf, convergencesOf } from '../reports/convergence.load.ts';
import type { Services } from './answer.ts';

/** Puts `convergence` into rows where `include` names it. */
export async function withConvergence(services: Services, model: Model, rows: readonly Row[], include: readonly string[]): Promise<readonly Row[]> {
  if (!include.includes(CONVERGENCE)) return rows;
  const ids = rows.map((row) => Number(row['id']));
  const found = await convergencesOf(services.store, services.db(), model, ids);
  return rows.map((row) => ({ ...row, [CONVERGENCE]: found.get(Number(row['id'])) ?? null }));
}

/** How far the hosts are with the thing that a path names. @throws Problem not-found, forbidden where none of its hosts is seen */
export async function convergenceOfKey(services: Services, rights: Rights, model: Model, key: string): Promise<Convergence> {
  const db = services.db();
  const id = await idOf(db, services.catalog, model, key);
  const found = await convergenceOf(services.store, db, model, id);
  if (!found) rights.demand('node:read', { everywhere: true });
  return found!;
}
