/**
 * The generic cell rate algorithm: a bucket that is full at first and is filled again at an even rate, kept as one
 * number, the time at which it will be full.
 */

/** What a bucket said. */
export interface Taken {
  readonly allowed: boolean;
  /** Requests a minute. */
  readonly limit: number;
  /** Requests that may come now. */
  readonly remaining: number;
  /** Seconds until all of them may come again; of a bucket that is empty until the next one may. */
  readonly reset: number;
}

/** A place where buckets are kept. */
export interface Buckets {
  /**
   * Takes from a bucket, or nothing when it holds too little.
   * @param limit what it holds, and gets in a minute
   */
  take(key: string, limit: number, cost: number): Taken | Promise<Taken>;
}

/** Seconds in which an empty bucket is full again. */
export const WINDOW = 60;
/** So that what is computed to be 0.999999 counts as 1. */
const CLOSE = 1e-6;

/**
 * @param full when the bucket would be full, in seconds; any time before `now` when it is
 * @returns the new time, where so much was in it
 */
export function take(full: number, now: number, limit: number, cost: number): { full: number; taken: Taken } {
  const each = WINDOW / limit;
  const before = Math.max(full, now);
  const after = before + cost * each;
  const over = after - now - WINDOW;
  if (over > each * CLOSE) return { full, taken: refused(limit, over) };
  return { full: after, taken: allowed(limit, after - now) };
}

/** @param wait seconds until the bucket is full */
export function allowed(limit: number, wait: number): Taken {
  const remaining = Math.max(0, Math.floor(((WINDOW - wait) * limit) / WINDOW + CLOSE));
  return { allowed: true, limit, remaining, reset: Math.max(1, Math.ceil(remaining > 0 ? wait : WINDOW / limit)) };
}

/** @param over seconds until it holds enough */
export const refused = (limit: number, over: number): Taken => ({ allowed: false, limit, remaining: 0, reset: Math.max(1, Math.ceil(over)) });

/** Buckets in the memory of this process. */
export class MemoryBuckets implements Buckets {
  readonly #full = new Map<string, number>();
  readonly #most: number;
  readonly #now: () => number;

  /** @param most buckets that are kept; those that were made first go first @param now seconds */
  constructor(most = 50_000, now: () => number = () => performance.now() / 1000) {
    this.#most = most;
    this.#now = now;
  }

  take(key: string, limit: number, cost: number): Taken {
    const now = this.#now();
    const { full, taken } = take(this.#full.get(key) ?? 0, now, limit, cost);
    if (!taken.allowed) return taken;
    if (this.#full.size >= this.#most && !this.#full.has(key)) this.#drop(now);
    this.#full.set(key, full);
    return taken;
  }

  /** Drops those that are full, for a new one is the same; and where that is too little, a tenth. */
  #drop(now: number): void {
    for (const [key, full] of this.#full) if (full <= now) this.#full.delete(key);
    let left = this.#full.size - this.#most * 0.9;
    for (const key of this.#full.keys()) {
      if (left-- <= 0) break;
      this.#full.delete(key);
    }
  }
}
