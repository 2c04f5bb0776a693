import type { IncomingMessage, ServerResponse } from 'node:http';
import type pg from 'pg';
import { identify, shownBy, type Shown } from '../auth/asker.ts';
import type { ClientCertificates } from '../auth/certificates.ts';
import { allow, type Identity } from '../auth/identity.ts';
import type { Catalog } from '../db/catalog.ts';
import { watchable } from '../modules/control/webhook.verbs.ts';
import { media, negotiate } from '../kernel/negotiate.ts';
import { Proxies } from '../kernel/proxy.ts';
import { fault, Problem } from '../kernel/problem.ts';
import { fallenBehind, type Entry } from './feed.ts';
import { Reader } from './reader.ts';
import { KEEP_ALIVE } from './stream.ts';
import type { Tail } from './tail.ts';

export const watchParameters = ['since', 'kinds'] as const;

const nobody = new Proxies();

/** Whether a URL is the one of the watch. */
export function isWatchPath(url: string): boolean {
  return /^\/watch(?:\?|$)/.test(url);
}

/** Whether a change is one that somebody may see: the one place where who asks decides what is sent. */
export function maySee(identity: Identity, entry: Entry): boolean {
  void entry;
  return identity.rights.mayEverywhere('change:read');
}

interface Asked {
  readonly since: number | undefined;
  readonly kinds: ReadonlySet<string> | undefined;
  readonly format: 'events' | 'ndjson';
}

/** @throws Problem bad-request, unknown-parameter, not-acceptable */
function parse(catalog: Catalog, { url = '/', headers }: IncomingMessage): Asked {
  const format = negotiate(headers.accept, ['events', 'ndjson']) as 'events' | 'ndjson';
  const params = new URL(url, 'http://corral').searchParams;
  for (const name of params.keys())
    if (!(watchParameters as readonly string[]).includes(name))
      throw new Problem('unknown-parameter', `There is no parameter '${name.slice(0, 100)}' here; there are ${watchParameters.join(', ')}`);
  const last = headers['last-event-id'];
  const given = typeof last === 'string' && last !== '' ? last : params.get('since');
  if (given !== null && !/^\d{1,15}$/.test(given)) throw fault('bad-request', '/since', 'must be the number of a change');
  const kinds = params.get('kinds')?.split(',');
  const known = watchable(catalog);
  const strange = kinds?.find((kind) => !known.includes(kind));
  if (strange !== undefined)
    throw fault('bad-request', '/kinds', `'${strange.slice(0, 100)}' is no noun whose changes are kept; there are ${known.join(', ')}`);
  return { since: given === null ? undefined : Number(given), kinds: kinds && new Set(kinds), format };
}

/** What watchers need of the process. */
export interface WatchOptions {
  readonly tail: Tail;
  /** Whose word for where a request comes from counts. */
  readonly proxies?: Proxies | undefined;
  readonly certificates?: ClientCertificates | undefined;
  readonly pool: pg.Pool;
  readonly catalog: Catalog;
  readonly keepAlive?: number | undefined;
}

/**
 * `GET /watch`: each committed change once, in the order of commits, for any number of watchers.
 *
 *     event: change
 *     id: 41
 *     data: {"number":41,"actor":"admin",...}
 *
 * All share one reader of the log and one timer. With a comment for quiet connections each token and each session is
 * asked for anew, so that the streams of one that was deleted, or has ended, end within `keepAlive`; a stream is no use
 * of a session, which ends by being idle all the same.
 */
export class Watch {
  readonly #options: WatchOptions;
  /** Each with what says who it is. */
  readonly #readers = new Map<Reader, Shown>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  /**
   * Answers one request; the stream goes on when this returns.
   * @throws Problem no-token, bad-token, forbidden, bad-request, unknown-parameter, not-acceptable, fallen-behind, unavailable
   */
  async serve(request: IncomingMessage, response: ServerResponse, id: string): Promise<Identity> {
    const { tail, pool, catalog, certificates, proxies = nobody } = this.#options;
    if (request.method !== 'GET' && request.method !== 'HEAD')
      throw new Problem('method-not-allowed', `${request.method} is not possible here; possible: GET`, { extra: { allow: 'GET' } });
    const shown = shownBy({ certificates, proxies }, request);
    const identity = await identify(pool, shown);
    allow(identity, 'change:read');
    const asked = parse(catalog, request);
    const { oldest, newest } = await tail.range();
    const since = asked.since ?? newest;
    if (since > newest) throw fault('bad-request', '/since', `is in the future: the newest change is ${newest}`);
    if (oldest !== null && since < oldest - 1) throw fallenBehind(since, oldest);
    const headers = {
      'X-Request-Id': id,
      'Content-Type': media[asked.format],
      'Cache-Control': 'no-store',
      'Corral-Change': String(since),
      /* nginx passes the stream on as it comes. */
      'X-Accel-Buffering': 'no',
      'X-Content-Type-Options': 'nosniff',
    };
    if (request.method === 'HEAD' || response.destroyed) {
      response.writeHead(200, headers).end();
      return identity;
    }
    const { kinds } = asked;
    const reader = new Reader(response, tail, {
      since,
      format: asked.format,
      wants: (entry) => maySee(identity, entry) && (kinds === undefined || entry.nouns.some((noun) => kinds.has(noun))),
    });
    const leave = tail.follow(reader, newest);
    this.#readers.set(reader, shown);
    this.#timer ??= setInterval(() => void this.#beat(), this.#options.keepAlive ?? KEEP_ALIVE);
    response.once('close', () => {
      leave();
      this.#readers.delete(reader);
      if (this.#readers.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    });
    /* A client that lost its power says nothing: the system asks, and closes. */
    request.socket.setKeepAlive(true, 30_000);
    response.writeHead(200, headers);
    reader.begin();
    return identity;
  }

  async #beat(): Promise<void> {
    for (const reader of this.#readers.keys()) reader.beat();
    const groups = Map.groupBy(this.#readers, ([, { session, token, address }]) => `${session ?? ''} ${token ?? ''} ${address}`);
    for (const group of groups.values()) {
      const readers = group.map(([reader]) => reader);
      try {
        allow(await identify(this.#options.pool, group[0]![1], true), 'change:read');
      } catch (error) {
        /* Without the database nothing is known: the streams stay. */
        if (error instanceof Problem) for (const reader of readers) reader.stop();
      }
    }
  }
}
