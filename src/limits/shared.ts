import type pg from 'pg';
import { allowed, refused, WINDOW, type Buckets, type Taken } from './bucket.ts';

/** What this process took from a bucket and has yet to give away. */
interface Lease {
  left: number;
  /** When it was taken, and until when it holds, in seconds. */
  at: number;
  until: number;
  /** How much was asked for. */
  size: number;
  /** What the table says is left beside it, and the seconds until the bucket is full. */
  shared: number;
  wait: number;
  /** Until then the bucket is known to be empty. */
  empty: number;
  waiting: number;
}

/** Seconds for which a lease holds: what is left then is lost, so that nobody is refused for what others keep. */
const HOLDS = 2;
/** A lease that was used up within so many seconds is followed by one of twice the size. */
const QUICK = 1;
/** Part of the limit that one process takes at once at most. */
const PART = 50;
const KEPT = 50_000;
/** What is full is dropped so often, in milliseconds. */
const SWEEPING = 600_000;

/*
 * $1 key, $2 requests asked for, $3 seconds for each, $4 seconds in which the bucket is filled, $5 the least that is of use.
 * `granted` is what the last statement took: RETURNING sees no value from before.
 */
const NOW = 'extract(epoch from now())::float8';
const ROOM = `floor(($4::float8 - (greatest(r.full_at, ${NOW}) - ${NOW})) / $3::float8 + 1e-6)`;
const TAKE = `insert into rate_limit as r (key, full_at, granted) values ($1, ${NOW} + $2::float8 * $3::float8, $2::float8)
  on conflict (key) do update set full_at = greatest(r.full_at, ${NOW}) + least($2::float8, ${ROOM}) * $3::float8, granted = least($2::float8, ${ROOM})
  where ${ROOM} >= $5::float8 returning granted, full_at - ${NOW} as wait`;

/**
 * Buckets that all processes on one database share, in an unlogged table. A process takes some at once from a bucket
 * that is used much, up to a fiftieth, and one at a time from others: so there are few writes, and never more requests
 * than the limit says. While the database cannot be asked, each process counts for itself.
 */
export class SharedBuckets implements Buckets {
  readonly #pool: Pick<pg.Pool, 'query'>;
  readonly #alone: Buckets;
  readonly #leases = new Map<string, Lease>();
  readonly #underway = new Map<string, Promise<void>>();

  /** @param alone where it is counted while the database cannot be asked */
  constructor(pool: Pick<pg.Pool, 'query'>, alone: Buckets) {
    this.#pool = pool;
    this.#alone = alone;
  }

  async take(key: string, limit: number, cost: number): Promise<Taken> {
    const lease = this.#leaseOf(key);
    for (;;) {
      const now = performance.now() / 1000;
      if (lease.until > now && lease.left >= cost) {
        lease.left -= cost;
        const wait = Math.max(0, lease.wait - (now - lease.at));
        return { ...allowed(limit, wait), remaining: Math.floor(lease.shared + lease.left) };
      }
      if (lease.empty > now) return refused(limit, lease.empty - now);
      lease.waiting += cost;
      const work = this.#underway.get(key) ?? this.#start(key, lease, limit, cost);
      try {
        await work;
      } catch {
        return this.#alone.take(key, limit, cost);
      } finally {
        lease.waiting -= cost;
      }
    }
  }

  #leaseOf(key: string): Lease {
    let lease = this.#leases.get(key);
    if (!lease) {
      if (this.#leases.size >= KEPT) this.#leases.clear();
      lease = { left: 0, at: 0, until: 0, size: 0, shared: 0, wait: 0, empty: 0, waiting: 0 };
      this.#leases.set(key, lease);
    }
    return lease;
  }

  #start(key: string, lease: Lease, limit: number, cost: number): Promise<void> {
    const work = this.#ask(key, lease, limit, cost).finally(() => this.#underway.delete(key));
    this.#underway.set(key, work);
    return work;
  }

  async #ask(key: string, lease: Lease, limit: number, cost: number): Promise<void> {
    /* Those that came at the same time are asked for together. */
    await Promise.resolve();
    const now = performance.now() / 1000;
    const most = Math.max(1, Math.floor(limit / PART));
    const next = lease.until > now && now - lease.at < QUICK ? Math.min(lease.size * 2, most) : 1;
    const size = Math.min(limit, Math.max(cost, Math.min(lease.waiting, most), next));
    const each = WINDOW / limit;
    const { rows } = await this.#pool.query<{ granted: number; wait: number }>({ name: 'rate_take', text: TAKE, values: [key, size, each, WINDOW, cost] });
    const at = performance.now() / 1000;
    const row = rows[0];
    if (row) {
      const shared = allowed(limit, row.wait).remaining;
      Object.assign(lease, { left: row.granted + (lease.until > at ? lease.left : 0), at, until: at + HOLDS, size, shared, wait: row.wait, empty: 0 });
      return;
    }
    const found = await this.#pool.query<{ wait: number }>({
      name: 'rate_wait',
      text: `select full_at - ${NOW} as wait from rate_limit where key = $1`,
      values: [key],
    });
    lease.left = 0;
    lease.empty = at + Math.max(0.05, (found.rows[0]?.wait ?? 0) + cost * each - WINDOW);
  }
}

/** Drops the buckets that are full, now and then. @returns what ends it */
export function sweepBuckets(pool: Pick<pg.Pool, 'query'>, warn: (message: string, error: unknown) => void): () => void {
  const sweep = (): void => {
    pool.query(`delete from rate_limit where full_at < ${NOW}`).catch((error: unknown) => warn('the counts of rate limits cannot be swept', error));
  };
  sweep();
  const timer = setInterval(sweep, SWEEPING);
  timer.unref();
  return () => clearInterval(timer);
}
