/** Documents, news and the watch, on the bare server: hosts ask for them at every run, and a framework would cost more. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { toProblem } from '../db/errors.ts';
import type { DocumentService } from '../documents/service.load.ts';
import { feedSource } from '../events/feed.ts';
import { serveEvents } from '../events/stream.ts';
import { Tail } from '../events/tail.ts';
import { isWatchPath, Watch } from '../events/watch.ts';
import { logRequest } from '../kernel/logging.ts';
import { wantsPage } from '../kernel/negotiate.ts';
import { Problem } from '../kernel/problem.ts';
import { loginHref, problemHeaders, type Services } from './answer.ts';
import { parseDocumentRequest, serveDocument } from './documents.ts';
import { BareGuard, dataHeaders, guardHeaders } from './guard.ts';

interface Options {
  readonly services: Services;
  readonly documents: DocumentService;
  readonly log: Logger;
  /** Milliseconds between the comments of event streams. */
  readonly keepAlive?: number | undefined;
}

type Listener = (request: IncomingMessage, response: ServerResponse) => unknown;

/**
 * Answers what `isDocumentPath` or `isWatchPath` says is to be answered here.
 * @param pages answers it where a page is wanted
 */
export function bareListener(
  { services, documents, log, keepAlive }: Options,
  pages: Listener,
): (...asked: [...Parameters<Listener>, url: string]) => Promise<void> {
  const { pool, hub, catalog, proxies, certificates } = services;
  const tail = new Tail(feedSource(services.db, catalog), hub, { warn: (message, error) => log.warn({ err: error }, message) });
  const watch = new Watch({ tail, pool, catalog, keepAlive, proxies, certificates });
  const guard = new BareGuard(services, log);
  return async (request, response, url) => {
    const begun = performance.now();
    const id = /^[\w.-]{1,64}$/.exec(String(request.headers['x-request-id'] ?? ''))?.[0] ?? randomUUID();
    let status = 500;
    let name: string | undefined;
    let version: string | undefined;
    const pass = guard.begin(request);
    try {
      guard.check(pass, request);
      if (isWatchPath(url)) {
        forBrowsers(request, response);
        const identity = await watch.serve(request, response, id);
        guard.good(pass, identity);
        [status, name] = [200, identity.name];
      } else {
        if (request.method !== 'GET' && request.method !== 'HEAD')
          throw new Problem('method-not-allowed', 'Documents are read with GET', { extra: { allow: 'GET' } });
        const asked = parseDocumentRequest(url, request.headers.accept);
        if (asked.format === 'html') {
          await pages(request, response);
          return;
        }
        forBrowsers(request, response);
        if (asked.format === 'events') {
          const { identity, node } = await serveEvents({ hub, documents, pool, ...(keepAlive ? { keepAlive } : {}) }, request, response, asked.name, id);
          guard.good(pass, identity);
          [status, name, version] = [200, identity.name, node?.version];
        } else {
          const served = await serveDocument({ documents, pool }, request, response, asked, id);
          ({ status, version } = served);
          guard.good(pass, served.identity);
          name = served.identity?.name;
        }
      }
    } catch (error) {
      const seen = toProblem(error, catalog, undefined);
      const problem = seen instanceof Problem ? seen : new Problem('internal', `Something failed in Corral; its log has more under request id ${id}`);
      if (problem.status >= 500) log.error({ id, err: error }, problem.message);
      guard.refused(pass, request, problem, id);
      status = sendProblem(request, response, problem, id);
    }
    logRequest(log, { id, method: request.method ?? 'GET', path: url, status, begun, token: name, document: version });
  };
}

/**
 * What a browser that keeps cookies is told, and from whom it may come: a page of another site may link to a document,
 * and not load it or hold a stream open. Others, who send no cookie or a token of their own, do without.
 * @throws Problem forbidden
 */
function forBrowsers({ headers }: IncomingMessage, response: ServerResponse): void {
  if (headers.cookie === undefined || headers.authorization !== undefined) return;
  for (const [name, value] of Object.entries(dataHeaders)) response.setHeader(name, value);
  const site = headers['sec-fetch-site'];
  if (site === undefined || site === 'same-origin' || site === 'none' || headers['sec-fetch-mode'] === 'navigate') return;
  throw new Problem('forbidden', 'This request comes from the page of another site');
}

/** @returns the status */
function sendProblem({ method, headers, url }: IncomingMessage, response: ServerResponse, problem: Problem, id: string): number {
  if (response.headersSent) {
    response.destroy();
    return problem.status;
  }
  /* Who followed a link when the session was over logs in, and comes back. */
  if (problem.status === 401 && method === 'GET' && headers.authorization === undefined && wantsPage(headers.accept)) {
    response.writeHead(303, { ...guardHeaders, 'Cache-Control': 'no-store', 'X-Request-Id': id, Location: loginHref(url ?? '/'), 'Content-Length': 0 }).end();
    return 303;
  }
  const body = JSON.stringify(problem.toDocument());
  response
    .writeHead(problem.status, {
      ...problemHeaders(problem),
      ...guardHeaders,
      'X-Request-Id': id,
      'Content-Type': 'application/problem+json',
      'Content-Length': Buffer.byteLength(body),
    })
    .end(body);
  return problem.status;
}
