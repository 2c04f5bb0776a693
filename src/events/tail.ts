import type { Entry, Range } from './feed.ts';
import type { Hub } from './hub.ts';

/** Where changes come from. */
export interface Source {
  /** The changes after a number, in their order, and whether there may be more. */
  read(after: number): Promise<{ readonly entries: readonly Entry[]; readonly more: boolean }>;
  range(): Promise<Range>;
}

/** One that follows the log. */
export interface Follower {
  /** There may be news. Must not throw. */
  pump(): void;
  /** The process stops. Must not throw. */
  stop(): void;
}

export interface TailOptions {
  readonly warn?: ((message: string, error?: unknown) => void) | undefined;
  /** Milliseconds between looks without news: where a notification was lost. */
  readonly poll?: number | undefined;
  /** Changes that are kept in memory, and their bytes. */
  readonly most?: number | undefined;
  readonly bytes?: number | undefined;
}

const POLL = 5000;
const AGAIN = 500;
const MOST = 1000;
const BYTES = 8_388_608;
/** Readers of older changes that ask the database at the same time. */
const READERS = 2;

/**
 * The end of the log of changes, read once for all that follow it in this process: a ring of the newest changes, as they
 * are written to sockets. It reads while somebody follows. Whoever is further behind reads pages from the database, a
 * few at a time; those that stand at the same place share them.
 */
export class Tail {
  readonly #source: Source;
  readonly #hub: Hub;
  readonly #options: TailOptions;
  readonly #followers = new Set<Follower>();
  readonly #pages = new Map<number, Promise<readonly Entry[]>>();
  /** Of pages that were read: a reader takes a few of them at a time, and comes back for the others. */
  readonly #older = new Map<number, Entry>();
  #olderBytes = 0;
  #slots = READERS;
  readonly #queue: (() => void)[] = [];
  #ring: Entry[] = [];
  #bytes = 0;
  /** Number of the last change that was read. */
  #last = 0;
  #running: { unwatch: () => void; timer: NodeJS.Timeout } | undefined;
  #reading = false;
  #again = false;

  constructor(source: Source, hub: Hub, options: TailOptions = {}) {
    this.#source = source;
    this.#hub = hub;
    this.#options = options;
  }

  /** How many follow. */
  get size(): number {
    return this.#followers.size;
  }

  range(): Promise<Range> {
    return this.#source.range();
  }

  /**
   * Has a follower woken by each change.
   * @param newest number of the newest change that the follower knows of: where reading begins if nobody follows yet
   * @returns what ends it
   * @throws Problem unavailable when the process stops
   */
  follow(follower: Follower, newest: number): () => void {
    if (!this.#running) {
      const unwatch = this.#hub.watchChanges({
        wake: () => void this.#look(),
        end: () => {
          for (const one of this.#followers) one.stop();
        },
      });
      this.#ring = [];
      this.#bytes = 0;
      this.#last = newest;
      this.#running = { unwatch, timer: setInterval(() => void this.#look(), this.#options.poll ?? POLL) };
    }
    this.#followers.add(follower);
    void this.#look();
    return () => {
      this.#followers.delete(follower);
      if (this.#followers.size > 0) return;
      clearInterval(this.#running?.timer);
      this.#running?.unwatch();
      this.#running = undefined;
      this.#older.clear();
      this.#olderBytes = 0;
    };
  }

  /** The change after a number; undefined: it was not read yet; 'behind': it left the memory. */
  after(number: number): Entry | 'behind' | undefined {
    if (number >= this.#last) return undefined;
    const first = this.#last - this.#ring.length + 1;
    return this.#ring[number + 1 - first] ?? 'behind';
  }

  /** A page of older changes from the database. */
  page(after: number): Promise<readonly Entry[]> {
    const known = this.#pages.get(after);
    if (known) return known;
    const kept: Entry[] = [];
    for (let entry = this.#older.get(after + 1); entry; entry = this.#older.get(entry.number + 1)) kept.push(entry);
    if (kept.length > 0) return Promise.resolve(kept);
    const page = this.#turn(() => this.#source.read(after)).then(({ entries }) => {
      for (const entry of entries) this.#keep(entry);
      return entries;
    });
    this.#pages.set(after, page);
    const forget = (): void => void this.#pages.delete(after);
    page.then(forget, forget);
    return page;
  }

  #keep(entry: Entry): void {
    if (!this.#running || this.#older.has(entry.number)) return;
    this.#older.set(entry.number, entry);
    this.#olderBytes += entry.event.length;
    for (const [number, { event }] of this.#older) {
      if (this.#olderBytes <= (this.#options.bytes ?? BYTES)) return;
      this.#older.delete(number);
      this.#olderBytes -= event.length;
    }
  }

  async #turn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#slots === 0) await new Promise<void>((resolve) => this.#queue.push(resolve));
    else this.#slots--;
    try {
      return await work();
    } finally {
      const next = this.#queue.shift();
      if (next) next();
      else this.#slots++;
    }
  }

  async #look(): Promise<void> {
    this.#again = true;
    if (this.#reading) return;
    this.#reading = true;
    try {
      while (this.#again && this.#running) {
        this.#again = false;
        const running = this.#running;
        const { entries, more } = await this.#source.read(this.#last);
        /* All left, and others came, while it read. */
        if (running !== this.#running) {
          this.#again = true;
          continue;
        }
        this.#again ||= more;
        for (const entry of entries) this.#add(entry);
        /* Without news, too: one that could not read its page tries again. */
        for (const follower of this.#followers) follower.pump();
      }
    } catch (error) {
      this.#options.warn?.('the log of changes cannot be read; it is tried again', error);
      setTimeout(() => void this.#look(), AGAIN).unref();
    } finally {
      this.#reading = false;
    }
  }

  #add(entry: Entry): void {
    /* What lay between was dropped from the log: who stands before it is told when it reads on. */
    if (entry.number !== this.#last + 1) {
      this.#ring = [];
      this.#bytes = 0;
    }
    this.#ring.push(entry);
    this.#last = entry.number;
    this.#bytes += entry.event.length;
    let drop = 0;
    const { most = MOST, bytes = BYTES } = this.#options;
    while (this.#ring.length - drop > 1 && (this.#ring.length - drop > most || this.#bytes > bytes)) this.#bytes -= this.#ring[drop++]!.event.length;
    if (drop > 0) this.#ring.splice(0, drop);
  }
}
