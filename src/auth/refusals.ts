import type { Logger } from 'pino';
import type pg from 'pg';
import type { Problem } from '../kernel/problem.ts';
import { audit } from './audit.ts';
import type { Identity } from './identity.ts';

/** Milliseconds within which the same refusal is told once, with how often it came before. */
const AGAIN = 60_000;
const KEPT = 1000;

/**
 * Tells the audit log who was refused what: each time at first, and then once a minute with the count, so that
 * somebody who tries again and again fills neither the log nor the time of others.
 */
export class Refusals {
  readonly #pool: pg.Pool;
  readonly #log: Logger;
  readonly #seen = new Map<string, { until: number; more: number }>();

  constructor(pool: pg.Pool, log: Logger) {
    this.#pool = pool;
    this.#log = log;
  }

  note(identity: Identity | undefined, problem: Problem, method: string, path: string, address: string, requestId: string): void {
    const permission = problem.extra['permission'];
    /* Of an unknown credential the path says nothing: who tries many would fill the log with it. */
    const unknown = problem.status === 401;
    const key = `${identity?.subject ?? address} ${unknown ? problem.code : String(permission ?? path)}`;
    const now = performance.now();
    const before = this.#seen.get(key);
    if (before && before.until > now) {
      before.more++;
      return;
    }
    if (this.#seen.size >= KEPT) this.#seen.clear();
    this.#seen.set(key, { until: now + AGAIN, more: 0 });
    const detail = {
      method,
      path: path.slice(0, 500),
      ...(permission === undefined ? {} : { permission }),
      ...(unknown ? { code: problem.code } : {}),
      ...(before?.more ? { before: before.more } : {}),
    };
    audit(this.#pool, { kind: 'refused', actor: identity?.name, subject: identity?.subject, address, requestId, detail }).catch((error: unknown) =>
      this.#log.error({ id: requestId, err: error }, 'a refusal could not be told to the audit log'),
    );
  }
}
