import { sql } from 'kysely';
import type { Catalog } from '../db/catalog.ts';
import type { Db } from '../db/read.ts';
import { transaction, withOrigin, type Store } from '../db/transaction.ts';
import { readFeed } from '../events/feed.ts';
import type { Hub } from '../events/hub.ts';
import { webhookContext } from '../modules/control/webhook.ts';
import type { Allowed } from './address.ts';
import { claim, dealOut, dropOld, fail, giveUp, nextDue, succeed, type Due } from './deliveries.load.ts';
import { send } from './send.ts';

/** Deliveries that one process makes at the same time. */
const AT_ONCE = 16;
/** Milliseconds after which it looks without news. */
const POLL = 30_000;
const AGAIN = 1000;
const CLEAN = 3_600_000;
/** Seconds until the second attempt; each later one waits twice as long, an hour at most. */
const FIRST_DELAY = 5;
const LONGEST_DELAY = 3600;

export interface DispatcherOptions {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly db: () => Db;
  readonly hub: Hub;
  readonly allowed: Allowed;
  /** Seconds. */
  readonly retryFor: number;
  readonly disableAfter: number;
  readonly logDays: number;
  readonly warn?: ((message: string, error?: unknown) => void) | undefined;
}

/** Seconds until the next attempt after so many that failed: exponential, a quarter more or less by chance. */
export function delayAfter(failed: number, random = Math.random()): number {
  return Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** Math.max(0, failed - 1)) * (0.75 + random / 2);
}

/**
 * Sends changes to webhooks. Every process runs one; they share the work in the database. A delivery is a row: made when
 * a webhook looks at the change, taken for a time by the process that sends it, and done or due again after that.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #active = new Set<Promise<void>>();
  #unwatch: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #cleaning: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  start(): void {
    const wake = (): void => void this.#wake();
    this.#unwatch = this.#options.hub.watchChanges({ wake, end: () => (this.#stopped = true) });
    this.#cleaning = setInterval(() => void dropOld(this.#options.db(), this.#options.logDays).catch(() => undefined), CLEAN);
    wake();
  }

  /** Finishes what is being sent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unwatch?.();
    clearTimeout(this.#timer);
    clearInterval(this.#cleaning);
    await this.#round;
    await Promise.allSettled(this.#active);
  }

  #wake(): Promise<void> {
    this.#again = true;
    this.#round ??= this.#work().finally(() => {
      this.#round = undefined;
      /* Woken at the very end of the last round. */
      if (this.#again && !this.#stopped) void this.#wake();
    });
    return this.#round;
  }

  async #work(): Promise<void> {
    const { store, catalog, db, warn } = this.#options;
    let next: number | null = null;
    try {
      while (this.#again && !this.#stopped) {
        this.#again = false;
        while (!this.#stopped && (await store.orm.em.fork().transactional((em) => dealOut(em.getKysely() as unknown as Db, catalog))));
        const free = AT_ONCE - this.#active.size;
        if (free === 0) continue;
        for (const due of await claim(db(), free)) this.#start(due);
        next = await nextDue(db());
      }
    } catch (error) {
      warn?.('webhooks cannot be served; it is tried again', error);
      next = AGAIN;
    }
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#wake(), Math.min(POLL, Math.max(50, next ?? POLL)));
  }

  #start(due: Due): void {
    const one = this.#deliver(due)
      .catch((error: unknown) => this.#options.warn?.(`the delivery of change ${due.change} to webhook ${due.name} stays as it is, and is tried again`, error))
      .finally(() => {
        this.#active.delete(one);
        if (!this.#stopped) void this.#wake();
      });
    this.#active.add(one);
  }

  async #deliver(due: Due): Promise<void> {
    const { store, catalog, db, allowed, retryFor, disableAfter } = this.#options;
    const { changes } = await readFeed(db(), catalog, due.change - 1, 1);
    if (changes[0]?.number !== due.change) return giveUp(db(), due, 'the change is no longer kept');
    const secret = store.secrets.open(due.secret, webhookContext(due.name));
    const outcome = await send({ url: due.url, id: `msg_${due.event}`, body: JSON.stringify(changes[0]), secret }, allowed);
    if (outcome.ok) return succeed(db(), due, outcome);
    const delay = Math.max(delayAfter(due.attempts + 1), Math.min(outcome.retryAfter ?? 0, LONGEST_DELAY));
    const failing = await fail(db(), due, outcome, delay, retryFor);
    if (outcome.status === 410) await this.#disable(due, 'its receiver answered 410: it wants no more');
    else if (failing >= disableAfter) await this.#disable(due, `no delivery succeeded for ${spell(failing)}; the last error: ${outcome.error}`);
  }

  /** A change like any other: who watches, or has another webhook, hears of it. */
  async #disable({ webhook, name }: Due, reason: string): Promise<void> {
    await transaction(withOrigin(this.#options.store, { actor: 'corral', message: `Webhook ${name} is disabled: ${reason}` }), async (tx) => {
      await sql`update webhook set enabled = false, disabled_reason = ${reason}, version = version + 1, updated_at = now() where id = ${webhook} and enabled`.execute(
        tx.db,
      );
    });
    this.#options.warn?.(`webhook ${name} is disabled: ${reason}`);
  }
}

const spell = (seconds: number): string =>
  seconds >= 172_800 ? `${Math.floor(seconds / 86_400)} days` : seconds >= 7200 ? `${Math.floor(seconds / 3600)} hours` : `${Math.round(seconds)} s`;
