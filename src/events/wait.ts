import { sql } from 'kysely';
import type { Catalog, Model } from '../db/catalog.ts';
import type { Db } from '../db/read.ts';
import type { Store } from '../db/transaction.ts';
import { fault, Problem } from '../kernel/problem.ts';
import type { Convergence } from '../reports/convergence.ts';
import { convergenceOf } from '../reports/convergence.load.ts';
import type { Hub } from './hub.ts';

/** Seconds that a request waits when it does not say, and at most. */
export const TIMEOUT = 60;
export const LONGEST = 600;

/** The parameters of a request that waits. */
export const waitParameters = ['wait', 'timeout'] as const;

/**
 * How long a request wants to wait, in milliseconds; undefined when it does not.
 * @throws Problem bad-request for a noun that no host builds, and for other words and numbers
 */
export function parseWait(model: Model, params: URLSearchParams): number | undefined {
  const [wait, timeout] = [params.get('wait'), params.get('timeout')];
  if (wait === null && timeout === null) return undefined;
  if (wait !== 'converged') throw fault('bad-request', '/wait', "must be 'converged'");
  if (!model.resource.observed) throw fault('bad-request', '/wait', `is not possible: no host builds a ${model.resource.title.toLowerCase()} by itself`);
  if (timeout !== null && (!/^\d{1,3}$/.test(timeout) || Number(timeout) > LONGEST))
    throw fault('bad-request', '/timeout', `must be a whole number of seconds, 0 to ${LONGEST}`);
  return 1000 * Number(timeout ?? TIMEOUT);
}

/**
 * Waits until the hosts are converged with a thing, or the time is over. The database is asked at the start, when
 * something was told of one of the hosts (their document, a report, a heartbeat), and at the end: never by the clock.
 * A thing that no host builds (a free volume in a shared pool) is not waited for.
 * @param milliseconds at most
 * @param signal of the client: it went away
 * @returns how far the hosts are; undefined when the thing is gone, or none of its hosts is seen
 * @throws Problem unavailable when the process stops
 */
export async function untilConverged(
  { hub, store, db }: { readonly hub: Hub; readonly store: Pick<Store, 'secrets' | 'catalog'>; readonly db: () => Db },
  model: Model,
  id: number,
  milliseconds: number,
  signal: AbortSignal,
): Promise<Convergence | undefined> {
  const watched = new Map<number, () => void>();
  let news = false;
  let stopping = false;
  let over = milliseconds === 0;
  let wake = (): void => undefined;
  const subscriber = {
    wake: () => {
      news = true;
      wake();
    },
    end: () => {
      stopping = true;
      wake();
    },
  };
  const end = (): void => {
    over = true;
    wake();
  };
  const timer = setTimeout(end, milliseconds);
  signal.addEventListener('abort', end);
  try {
    for (;;) {
      news = false;
      /* Watched first and read then, and read again where a host came new. */
      for (const node of await hostsOf(db(), store.catalog, model, id)) {
        if (watched.has(node)) continue;
        watched.set(node, hub.watch(node, subscriber));
        news = true;
      }
      const now = await convergenceOf(store, db(), model, id);
      if (now === undefined || now.state === 'converged' || watched.size === 0 || over) return now;
      if (!news && !stopping) await new Promise<void>((resolve) => void (wake = resolve));
      if (stopping) throw new Problem('unavailable', 'This process is stopping; ask again');
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
    for (const unwatch of watched.values()) unwatch();
  }
}

/** The ids of the nodes that build a thing now, of those that are seen. */
async function hostsOf(db: Db, catalog: Catalog, model: Model, id: number): Promise<number[]> {
  const { rows } = await sql<{
    node_id: string | null;
  }>`select h.node_id from ${sql.id(model.table)} as t, lateral (${model.resource.observed!.nodes('t')}) as h (node_id)
    where t.id = ${id} and h.node_id in (select n.id from ${catalog.byNoun('node').source} as n)`.execute(db);
  return rows.map((row) => Number(row.node_id));
}
