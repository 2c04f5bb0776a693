import { randomUUID } from 'node:crypto';
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { CHANNEL, type Message } from '../db/notify.ts';
import { Problem } from '../kernel/problem.ts';

/** Somebody who waits for news of a node, or of changes. */
export interface Subscriber {
  /** Something may have changed, or messages may have been missed: read the state and compare. Must not throw. */
  wake(): void;
  /** The process stops: answer what there is, and end. Must not throw. */
  end(): void;
}

export interface HubOptions {
  /** Told in words when the connection breaks, or hears nothing. */
  readonly warn?: (message: string, error?: unknown) => void;
  /** Milliseconds between two probes of the connection. */
  readonly probeEvery?: number;
}

const PROBE_EVERY = 15_000;
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5000;

/**
 * News from PostgreSQL: one listening connection for the whole process, which many subscribers share. It is
 * opened for the first subscriber. A connection that breaks is opened again, at first after 0.1 s, then ever
 * more slowly up to 5 s; then every subscriber is woken, for what came in between was not heard. The connection
 * sends itself a probe from time to time, so that one which hears nothing (a peer that is gone, a pooler that
 * gives no notifications) is noticed, and opened again.
 */
export class Hub {
  readonly #url: string;
  readonly #warn: (message: string, error?: unknown) => void;
  readonly #probeEvery: number;
  readonly #id = randomUUID();
  readonly #byNode = new Map<number, Set<Subscriber>>();
  readonly #ofChanges = new Set<Subscriber>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #socket: Socket | undefined;
  #draining = false;

  /** @param url of the database: a connection to PostgreSQL itself, not to a pooler of transactions */
  constructor(url: string, { warn = () => undefined, probeEvery = PROBE_EVERY }: HubOptions = {}) {
    this.#url = url;
    this.#warn = warn;
    this.#probeEvery = probeEvery;
  }

  /** How many wait now. */
  get size(): number {
    return this.#all().length;
  }

  /**
   * Has a subscriber woken by news of a node. Read the state after this, not before: what happens between is told.
   * @returns what ends it
   * @throws Problem unavailable when the process stops
   */
  watch(node: number, subscriber: Subscriber): () => void {
    if (this.#draining) throw new Problem('unavailable', 'This process is stopping; ask again');
    const subscribers = this.#byNode.get(node) ?? new Set();
    this.#byNode.set(node, subscribers.add(subscriber));
    this.#running ??= this.#run();
    return () => {
      subscribers.delete(subscriber);
      if (subscribers.size === 0 && this.#byNode.get(node) === subscribers) this.#byNode.delete(node);
    };
  }

  /**
   * Has a subscriber woken by every change that is committed. Read the log after this, not before.
   * @returns what ends it
   * @throws Problem unavailable when the process stops
   */
  watchChanges(subscriber: Subscriber): () => void {
    if (this.#draining) throw new Problem('unavailable', 'This process is stopping; ask again');
    this.#ofChanges.add(subscriber);
    this.#running ??= this.#run();
    return () => void this.#ofChanges.delete(subscriber);
  }

  /** Ends all that wait, and takes no more: before the server stops. */
  drain(): void {
    this.#draining = true;
    for (const subscriber of this.#all()) subscriber.end();
  }

  /** Drains, and closes the connection. */
  async close(): Promise<void> {
    this.drain();
    this.#stop.abort();
    this.#socket?.destroy();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    for (let pause = FIRST_PAUSE; !signal.aborted; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      try {
        await this.#listen(() => (pause = FIRST_PAUSE));
      } catch (error) {
        if (!signal.aborted) this.#warn('the connection that listens to PostgreSQL broke; it is opened again', error);
      }
      /* Up to twice as long: processes do not come back all at once. */
      await sleep(pause * (1 + Math.random()), undefined, { signal }).catch(() => undefined);
    }
  }

  /** Listens until the connection ends. */
  async #listen(listening: () => void): Promise<void> {
    const socket = (this.#socket = new Socket());
    const client = new pg.Client({ connectionString: this.#url, application_name: 'corral-events', connectionTimeoutMillis: 10_000, stream: () => socket });
    let heard = false;
    let timer: NodeJS.Timeout | undefined;
    const ended = new Promise<void>((_resolve, reject) => {
      client.on('error', reject);
      client.once('end', () => reject(new Error('the connection ended')));
    });
    /* It may end before it is waited for. */
    ended.catch(() => undefined);
    client.on('notification', ({ payload }) => {
      const message = parse(payload);
      if (message?.kind === 'probe') heard ||= message.from === this.#id;
      else if (message) this.#tell(message);
    });
    try {
      await client.connect();
      await client.query(`listen ${CHANNEL}`);
      if (this.#stop.signal.aborted) return;
      listening();
      for (const subscriber of this.#all()) subscriber.wake();
      const probe = (): void => {
        heard = false;
        client.query('select pg_notify($1, $2)', [CHANNEL, JSON.stringify({ kind: 'probe', from: this.#id } satisfies Message)]).catch(() => undefined);
      };
      probe();
      timer = setInterval(() => {
        if (heard) probe();
        else socket.destroy(new Error('it heard nothing; behind a pooler of transactions set CORRAL_LISTEN_URL to PostgreSQL itself'));
      }, this.#probeEvery);
      await ended;
    } finally {
      clearInterval(timer);
      socket.destroy();
    }
  }

  #all(): Subscriber[] {
    return [...this.#byNode.values(), this.#ofChanges].flatMap((subscribers) => [...subscribers]);
  }

  #tell({ kind, nodes, node }: Message): void {
    if (kind === 'change') for (const subscriber of this.#ofChanges) subscriber.wake();
    for (const id of nodes ?? (node === undefined ? [] : [node])) for (const subscriber of this.#byNode.get(id) ?? []) subscriber.wake();
  }
}

function parse(payload: string | undefined): Message | undefined {
  try {
    return JSON.parse(payload ?? '') as Message;
  } catch {
    /* Anybody may send on the channel. */
    return undefined;
  }
}
