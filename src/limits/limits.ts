import type pg from 'pg';
import type { Identity } from '../auth/identity.ts';
import { addressKey } from '../auth/people/throttle.ts';
import { Problem } from '../kernel/problem.ts';
import { MemoryBuckets, refused, take, type Buckets, type Taken } from './bucket.ts';
import { SharedBuckets } from './shared.ts';

/** How much may be asked. */
export interface LimitSettings {
  /** Requests a minute of one identity; 0: any number. */
  readonly identity: number;
  /** Requests a minute without an identity from one address; 0: any number. */
  readonly address: number;
  readonly store: 'memory' | 'postgresql';
}

export type Policy = 'identity' | 'address';

/** What a refused credential costs its address: guessing is slower than asking. */
export const FAILED = 10;
/** Tokens of machines that ask for many hosts, and the path of documents, may so many times more. */
const MANY = 100;
/** Credentials that are remembered. */
const KNOWN = 20_000;
/** Characters of one; longer ones are none of ours. */
const LONGEST = 400;

/** A credential, or an address, of which this process knows. */
export interface Known {
  /** When its bucket of the path of documents is full, in seconds. */
  full: number;
  /** It was good a moment ago, so that others at its address cannot lock it out. */
  good: boolean;
  /** Of a single host. */
  single: boolean;
}

/** Counts requests, and refuses those that are too many. */
export class Limits {
  readonly settings: LimitSettings;
  readonly #buckets: Buckets;
  readonly #known = new Map<string, Known>();
  /** Addresses that may not try further credentials, until when, in seconds. */
  readonly #blocked = new Map<string, number>();

  constructor(settings: LimitSettings, pool: Pick<pg.Pool, 'query'>) {
    this.settings = settings;
    const memory = new MemoryBuckets();
    this.#buckets = settings.store === 'postgresql' ? new SharedBuckets(pool, memory) : memory;
  }

  /** One request of somebody who is known. @returns undefined: nothing is counted @throws Problem too-many-requests */
  async identity({ kind, subject }: Pick<Identity, 'kind' | 'subject'>): Promise<Taken | undefined> {
    const { identity: limit } = this.settings;
    return limit === 0 ? undefined : this.#buckets.take(subject, limit * (kind === 'server' ? MANY : 1), 1);
  }

  /** A request of somebody who is not known; `failed`: with a credential that is not good. */
  async address(address: string, failed = false): Promise<Taken | undefined> {
    const { address: limit } = this.settings;
    if (limit === 0) return undefined;
    const key = addressKey(address);
    const taken = await this.#buckets.take(`address:${key}`, limit, failed ? Math.min(FAILED, limit) : 1);
    if (failed && !taken.allowed) this.#block(key, taken.reset);
    return taken;
  }

  /** Refuses to even look at a credential that was not good before, where too many failed at its address. @throws Problem too-many-requests */
  refuseBlocked(credential: string | undefined, address: () => string): void {
    if (this.#blocked.size === 0 || credential === undefined || this.#known.get(credential)?.good) return;
    const key = addressKey(address());
    const until = this.#blocked.get(key);
    if (until === undefined) return;
    const left = until - performance.now() / 1000;
    if (left > 0) throw tooMany('address', refused(this.settings.address, left));
    this.#blocked.delete(key);
  }

  /** The credential turned out to be good, or no longer so. */
  note(credential: string | undefined, identity: Pick<Identity, 'kind'> | undefined): void {
    if (credential === undefined || credential.length > LONGEST) return;
    const known = this.#known.get(credential);
    if (known) {
      known.good = identity !== undefined;
      known.single = identity?.kind === 'node';
    } else if (identity) this.#remember(credential, { full: 0, good: true, single: identity.kind === 'node' });
  }

  /**
   * Only credentials that were good are known: guesses push nobody out.
   * @returns undefined: nothing is counted, or the credential was not good before
   */
  known(credential: string | undefined, address: string): Known | undefined {
    if (this.settings.identity === 0 && this.settings.address === 0) return undefined;
    if (credential !== undefined) return this.#known.get(credential);
    return this.#known.get(address) ?? this.#remember(address, { full: 0, good: false, single: false });
  }

  /** A request on the path of documents, before anything is looked up: counted in this process only. @throws Problem too-many-requests */
  document(known: Known): void {
    const { identity: limit } = this.settings;
    if (limit === 0) return;
    const { full, taken } = take(known.full, performance.now() / 1000, known.single ? limit : limit * MANY, 1);
    if (!taken.allowed) throw tooMany('identity', taken);
    known.full = full;
  }

  #remember(credential: string, known: Known): Known {
    if (this.#known.size >= KNOWN) {
      let left = KNOWN / 10;
      for (const key of this.#known.keys()) {
        if (left-- <= 0) break;
        this.#known.delete(key);
      }
    }
    this.#known.set(credential, known);
    return known;
  }

  #block(key: string, seconds: number): void {
    if (this.#blocked.size >= KNOWN) this.#blocked.clear();
    this.#blocked.set(key, performance.now() / 1000 + seconds);
  }
}

/** The fields of draft-ietf-httpapi-ratelimit-headers-10. */
export function rateHeaders(policy: Policy, { limit, remaining, reset }: Taken): Record<string, string> {
  return { 'RateLimit-Policy': `"${policy}";q=${limit};w=60`, RateLimit: `"${policy}";r=${remaining};t=${reset}` };
}

/** The same on whatever path. */
export function tooMany(policy: Policy, taken: Taken): Problem {
  const { reset: seconds } = taken;
  const who = policy === 'identity' ? 'You have sent' : 'From your address came';
  return new Problem('too-many-requests', `${who} too many requests; try again in ${seconds} ${seconds === 1 ? 'second' : 'seconds'}`, {
    extra: { retry_after: seconds, policy },
    headers: rateHeaders(policy, taken),
  });
}
