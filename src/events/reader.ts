import type { ServerResponse } from 'node:http';
import { fallenBehind, type Entry } from './feed.ts';
import type { Follower, Tail } from './tail.ts';

/** Milliseconds after which a client comes back; longer where all come back at once. */
const RETRY = 1000;
const RETRY_AFTER_STOP = 5000;
/** Bytes of older changes that are held for one reader. */
const HELD = 65_536;

export interface ReaderOptions {
  /** Number of the last change that it knows. */
  readonly since: number;
  readonly format: 'events' | 'ndjson';
  readonly wants: (entry: Entry) => boolean;
}

/**
 * One connection that follows the log. It writes until the socket is full, and goes on when the socket is empty again,
 * from where it stood: a reader that does not read costs its place in the log, and holds up nobody.
 */
export class Reader implements Follower {
  readonly #response: ServerResponse;
  readonly #tail: Tail;
  readonly #options: ReaderOptions;
  /** The last change that was sent or passed over, and the last whose number the client was told. */
  #position: number;
  #told: number;
  #page: readonly Entry[] = [];
  #loading = false;
  #full = false;

  constructor(response: ServerResponse, tail: Tail, options: ReaderOptions) {
    this.#response = response;
    this.#tail = tail;
    this.#options = options;
    this.#position = this.#told = options.since;
    response.on('drain', () => {
      this.#full = false;
      this.pump();
    });
  }

  /** The number, too: a client that has seen nothing yet comes back to the same place. */
  begin(): void {
    if (this.#options.format === 'events') this.#write(`retry: ${RETRY}\nid: ${this.#position}\n\n`);
    else this.#response.flushHeaders();
    this.pump();
  }

  pump(): void {
    while (!this.#full && !this.#loading && this.#open) {
      const next = this.#page[0] ?? this.#tail.after(this.#position);
      if (next === undefined) return;
      if (next === 'behind') return void this.#load();
      if (this.#page.length > 0) this.#page = this.#page.slice(1);
      this.#position = next.number;
      if (!this.#options.wants(next)) continue;
      this.#told = next.number;
      this.#write(this.#options.format === 'events' ? next.event : next.line);
    }
  }

  /** Says something on a quiet connection; of changes that were passed over the number, so that they are never read again. */
  beat(): void {
    if (this.#full || !this.#open) return;
    if (this.#options.format === 'ndjson') return this.#write('\n');
    this.#write(this.#told === this.#position ? ': keep-alive\n\n' : `id: ${this.#position}\n\n`);
    this.#told = this.#position;
  }

  stop(): void {
    const again = this.#options.format === 'events' ? `retry: ${Math.round(RETRY + Math.random() * RETRY_AFTER_STOP)}\nid: ${this.#position}\n\n` : '';
    this.#end(again);
  }

  get #open(): boolean {
    return !this.#response.destroyed && !this.#response.writableEnded;
  }

  #write(text: Buffer | string): void {
    this.#full = !this.#response.write(text);
  }

  #end(text: string): void {
    /* What is full takes no last word, and would never end. */
    if (this.#full) this.#response.destroy();
    else if (this.#open) this.#response.end(text);
  }

  async #load(): Promise<void> {
    this.#loading = true;
    try {
      const entries = await this.#tail.page(this.#position);
      const first = entries[0];
      if (!first) return;
      if (first.number !== this.#position + 1) {
        const problem = fallenBehind(this.#position, first.number).toDocument();
        const text = JSON.stringify(problem);
        this.#end(this.#options.format === 'events' ? `event: fallen-behind\ndata: ${text}\n\n` : `${text}\n`);
      }
      let bytes = 0;
      this.#page = entries.filter((entry, i) => entry.number === first.number + i && ((bytes += entry.event.length) <= HELD || i === 0));
    } catch {
      /* The database is away: the next look of the tail, with or without news, tries again. */
      return;
    } finally {
      this.#loading = false;
    }
    this.pump();
  }
}
