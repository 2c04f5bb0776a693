import type { IncomingMessage, ServerResponse } from 'node:http';
import type pg from 'pg';
import { findBy } from '../documents/find.load.ts';
import type { Found } from '../documents/lookup.load.ts';
import { nodeOf, type DocumentService } from '../documents/service.load.ts';
import { media } from '../kernel/negotiate.ts';
import { Problem } from '../kernel/problem.ts';
import type { Hub } from './hub.ts';

/** Milliseconds between comments that keep proxies, and the host, from taking a quiet stream for a dead one. */
export const KEEP_ALIVE = 15_000;
/** Milliseconds after which a client whose stream broke comes back; longer where all come back at once. */
const RETRY = 1000;
const RETRY_AFTER_STOP = 5000;

/** What streams need of the process. */
export interface Streams {
  readonly hub: Hub;
  readonly documents: DocumentService;
  readonly pool: pg.Pool;
  readonly keepAlive?: number;
}

/**
 * `GET /documents/<certname>/events`: server-sent events for one node. At once, unless `Last-Event-ID` is the
 * current version, and then for each new one:
 *
 *     event: document
 *     id: 41-9f2c3b1d00aa77e0
 *     data: {"version":"41-9f2c3b1d00aa77e0","spread":0}
 *
 * `spread` is the number of seconds over which the host starts at random. What is sent is the state, not a log:
 * of versions that follow each other quickly only the last may be seen. The token, or the session, and the node are
 * asked for anew before each event and with each comment, so that the stream of a token that was deleted, of a session
 * that ended, or of a node that is gone, ends within `KEEP_ALIVE`; coming back the client is told why. A client that reads so slowly that the
 * buffer of its socket fills is cut off: when it comes back it gets the newest state.
 * @throws Problem no-token, bad-token, forbidden, not-found, gone, unavailable
 */
export async function serveEvents(
  { hub, documents, pool, keepAlive = KEEP_ALIVE }: Streams,
  request: IncomingMessage,
  response: ServerResponse,
  name: string,
  id: string,
): Promise<Found> {
  const found = await findBy(documents, pool, request, name);
  const node = nodeOf(found, name);
  const headers = {
    'X-Request-Id': id,
    'Content-Type': media.events,
    'Cache-Control': 'no-store',
    'Corral-Document': node.version,
    'Corral-Node': node.fqdn,
    /* nginx passes the stream on as it comes. */
    'X-Accel-Buffering': 'no',
    'X-Content-Type-Options': 'nosniff',
  };
  if (request.method === 'HEAD') {
    response.writeHead(200, headers).end();
    return found;
  }
  let sent = request.headers['last-event-id'];
  let reading = false;
  let again = false;

  const over = (): boolean => response.destroyed || response.writableEnded;
  const send = (text: string): void => {
    /* An end takes until what is under way has gone out. */
    if (!over() && !response.write(text)) response.destroy();
  };
  const look = async (): Promise<void> => {
    again = reading;
    if (reading) return;
    reading = true;
    try {
      do {
        again = false;
        const now = nodeOf(await findBy(documents, pool, request, name, true), name);
        if (over()) return;
        /* The node was deleted and made again: another one is watched. */
        if (now.id !== node.id) return void response.end();
        if (now.version === sent) continue;
        sent = now.version;
        send(`event: document\nid: ${now.version}\ndata: ${JSON.stringify({ version: now.version, spread: now.spread })}\n\n`);
      } while (again);
    } catch (error) {
      /* Without the database nothing is known: the stream stays, and looks again when it is back. */
      if (error instanceof Problem && !over()) response.end();
    } finally {
      reading = false;
    }
  };
  const unwatch = hub.watch(node.id, {
    wake: () => void look(),
    end: () => void (over() || response.end(`retry: ${Math.round(RETRY + Math.random() * RETRY_AFTER_STOP)}\n\n`)),
  });
  const timer = setInterval(() => {
    send(': keep-alive\n\n');
    void look();
  }, keepAlive);
  response.once('close', () => {
    clearInterval(timer);
    unwatch();
  });
  /* A host that lost its power says nothing: the system asks, and closes. */
  request.socket.setKeepAlive(true, 30_000);
  response.writeHead(200, headers);
  send(`retry: ${RETRY}\n\n`);
  await look();
  return found;
}
