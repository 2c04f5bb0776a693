import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions as TlsOptions } from 'node:https';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { sql } from 'kysely';
import type { Logger } from 'pino';
import { identify, shownBy } from './auth/asker.ts';
import { allow } from './auth/identity.ts';
import { Refusals } from './auth/refusals.ts';
import type { Catalog } from './db/catalog.ts';
import { isRetryable, toProblem } from './db/errors.ts';
import type { Db } from './db/read.ts';
import { envelop, nodeOf, type DocumentService } from './documents/service.load.ts';
import { toYaml } from './documents/index.ts';
import { answer, formatOf, loginHref, pageContext, problemAnswer, type Env, type Services } from './http/answer.ts';
import { redact } from './changes/redact.ts';
import { isWatchPath } from './events/watch.ts';
import { accountRoutes } from './http/account.ts';
import { apiRoutes } from './http/api.ts';
import { enrolmentRoutes, isEnrolmentPath } from './http/enrolments.ts';
import { explainRoutes } from './http/explain.ts';
import { bulkRoutes } from './http/bulk.ts';
import { changeRoutes } from './http/changes.ts';
import { incomingOf, proxiesOf } from './http/client.ts';
import { bareListener } from './http/bare.ts';
import { isDocumentPath, parseDocumentRequest } from './http/documents.ts';
import { answerUnreadable, Guard, secure } from './http/guard.ts';
import { loginRoutes } from './http/login.ts';
import { openApi } from './http/openapi.ts';
import { withLimits } from './http/openapi.limits.ts';
import { pastDocument, pastNode } from './http/past.ts';
import { peopleRoutes } from './http/people.ts';
import { reportRoutes } from './http/reports.ts';
import { tokenRoutes } from './http/tokens.ts';
import { webhookRoutes } from './http/webhooks.ts';
import { logRequest } from './kernel/logging.ts';
import { etagOf, matches } from './kernel/etag.ts';
import { media, negotiate, wantsPage } from './kernel/negotiate.ts';
import { Problem } from './kernel/problem.ts';
import { limitConnections, type ConnectionLimits } from './limits/connections.ts';
import { stylesheet } from './pages/style.ts';
import { countStatuses } from './reports/status.load.ts';

export interface AppOptions {
  readonly services: Services;
  readonly documents: DocumentService;
  readonly log: Logger;
  /** Milliseconds between the comments of event streams. */
  readonly keepAlive?: number | undefined;
  /** The certificate and what else TLS needs, where it ends here. */
  readonly tls?: TlsOptions | undefined;
  /** Any number when left out. */
  readonly connections?: ConnectionLimits;
  /** Other times than usual, in milliseconds; `quiet`: see QUIET. */
  readonly timeouts?: Pick<TlsOptions, 'requestTimeout' | 'headersTimeout' | 'connectionsCheckingInterval'> & { readonly quiet?: number };
}

/** Paths that need no token: to see whether it lives, and to log in. */
const OPEN = new Set([
  '/healthz',
  '/readyz',
  '/login',
  '/login/factor',
  '/login/first',
  '/login/oidc',
  '/login/oidc/callback',
  '/logout',
  '/style.css',
  '/favicon.ico',
]);

/**
 * Milliseconds after which a connection is closed on which nothing went in or out, whatever it waits for: longer than
 * any answer takes. So nobody holds one by not reading what was asked for; streams say something every few seconds.
 */
const QUIET = 900_000;

/** Of them those that cost next to nothing, and are not counted. */
const FREE = new Set(['/healthz', '/style.css', '/favicon.ico']);

/** The routes that are not on the bare path of documents. */
export function createApp({ services, documents, log }: AppOptions): Hono<Env> {
  const app = new Hono<Env>();
  const refusals = new Refusals(services.pool, log);
  const guard = new Guard(services);
  app.use(async (context, next) => {
    context.set('requestId', context.req.header('x-request-id')?.match(/^[\w.-]{1,64}$/)?.[0] ?? randomUUID());
    const begun = performance.now();
    await next();
    context.header('X-Request-Id', context.get('requestId'));
    secure(context.res.headers, context.get('format') === 'html', context.get('rate'));
    if (proxiesOf(services).isSecure(incomingOf(context))) context.header('Strict-Transport-Security', 'max-age=31536000');
    const identity = context.get('identity');
    const { method, path } = context.req;
    logRequest(log, { id: context.get('requestId'), method, path, status: context.res.status, begun, kind: identity?.kind, token: identity?.name });
  });
  app.use(async (context, next) => {
    if (!OPEN.has(context.req.path) && !isEnrolmentPath(context.req.path))
      context.set(
        'identity',
        await guard.admit(context, async () => identify(services.pool, shownBy({ ...services, proxies: proxiesOf(services) }, incomingOf(context)))),
      );
    else if (!FREE.has(context.req.path)) await guard.open(context);
    const { req } = context;
    if (req.header('authorization') === undefined && req.method !== 'GET' && req.method !== 'HEAD')
      refuseForeign(req.header('sec-fetch-site'), req.header('origin'), req.header('host'));
    await next();
  });
  app.onError((error, context) => {
    const seen = isRetryable(error)
      ? new Problem('unavailable', 'Too many changes at the same time; try again', { cause: error })
      : toProblem(error, services.catalog, undefined);
    if (seen instanceof Problem) {
      if (seen.status >= 500) log.error({ id: context.get('requestId'), err: seen.cause }, seen.message);
      if (seen.status === 403 || (seen.status === 401 && seen.code !== 'no-token'))
        refusals.note(
          context.get('identity'),
          seen,
          context.req.method,
          context.req.path,
          proxiesOf(services).addressOf(incomingOf(context)),
          context.get('requestId'),
        );
      if (seen.status === 401 && context.req.method === 'GET' && wantsPage(context.req.header('accept'))) {
        return context.redirect(loginHref(context.req.path + new URL(context.req.url).search), 303);
      }
      return problemAnswer(context, services, seen);
    }
    log.error({ id: context.get('requestId'), err: error }, 'a request failed');
    return problemAnswer(
      context,
      services,
      new Problem('internal', `Something failed in Corral; its log has more under request id ${context.get('requestId')}`),
    );
  });
  app.notFound((context) =>
    problemAnswer(context, services, new Problem('not-found', `There is nothing at ${context.req.path.slice(0, 200)}; /api/v1 and /docs say what there is`)),
  );

  app.get('/healthz', (context) => context.json({ status: 'ok', version: services.version }));
  app.get('/readyz', async (context) => {
    await services.pool.query('select 1');
    return context.json({ status: 'ready' });
  });
  app.get('/style.css', (context) => {
    const etag = etagOf(stylesheet);
    const headers = { ETag: etag, 'Cache-Control': 'public, max-age=300' };
    return matches(context.req.header('if-none-match'), etag)
      ? context.body(null, 304, headers)
      : context.body(stylesheet, 200, { ...headers, 'Content-Type': 'text/css; charset=utf-8' });
  });
  app.get('/favicon.ico', (context) => context.body(null, 204));
  app.route('/', loginRoutes(services));
  app.route('/', accountRoutes(services));

  app.get('/', async (context) => {
    const format = formatOf(context);
    allow(context.get('identity')!, 'read');
    const { rights } = context.get('identity')!;
    const catalog = rights.catalogOf(services.catalog);
    const counts = await countRows(services.db(), catalog);
    /* Documents are for those only who may see all of the fleet. */
    const all = rights.mayEverywhere('node:read');
    const { rows } =
      format === 'html' && all
        ? await services.pool.query<{ fqdn: string }>("select fqdn from node where state <> 'deactivated' order by id limit 1")
        : { rows: [] };
    const hosts = catalog.byRoute('nodes') !== undefined;
    const statuses = hosts ? await countStatuses(services.db(), catalog) : {};
    return answer(context, format, { version: services.version, counts, ...(hosts ? { node_status: statuses } : {}), api: '/api/v1', docs: '/docs' }, () =>
      services.pages.home(pageContext(services, context), counts, statuses, rows[0]?.fqdn),
    );
  });
  let described: Record<string, unknown> | undefined;
  const description = (): Record<string, unknown> => (described ??= withLimits(openApi(services.catalog, services.version)));
  app.get('/openapi.json', (context) => {
    allow(context.get('identity')!, 'read');
    return answer(context, 'json', description(), () => '');
  });
  app.get('/docs', (context) => {
    context.set('format', 'html');
    allow(context.get('identity')!, 'read');
    return answer(context, 'html', null, () => services.pages.docs(pageContext(services, context), description()));
  });
  app.get('/documents', (context) => {
    allow(context.get('identity')!, 'documents');
    negotiate(context.req.header('accept'), ['ndjson', 'json']);
    const lines = documents.lines();
    const encoder = new TextEncoder();
    const stream = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const { done, value } = await lines.next();
        if (done) controller.close();
        else controller.enqueue(encoder.encode(value));
      },
      cancel: () => void lines.return(undefined),
    });
    return context.body(stream, 200, { 'Content-Type': media.ndjson, 'Cache-Control': 'private, no-cache' });
  });
  app.get('/:envelope{enc|hiera|pillar|tops|documents}/:name', async (context) => {
    context.set('format', 'html');
    const { pathname, search } = new URL(context.req.url);
    const asked = parseDocumentRequest(pathname + search, 'text/html');
    const found = await documents.findFor(context.get('identity')!, asked.name);
    const node = asked.at ? await pastNode(documents, found, asked.name) : nodeOf(found, asked.name);
    const past = asked.at && (await pastDocument(documents, node, asked.at));
    const { version, body, builtAt } = past ?? (await documents.load(node.id, asked.name));
    /* Pages show no secret; the other forms are for those who need it. */
    const text = toYaml(envelop(asked.envelope, redact(body), version, node.manager));
    const view = { envelope: asked.envelope, node: node.fqdn, version, builtAt, text, ...(past ? { past } : {}) };
    const page = (): string => services.pages.document(pageContext(services, context), view);
    return answer(context, 'html', null, page, { headers: { 'Corral-Document': version, 'Corral-Node': node.fqdn } });
  });
  app.route('/', changeRoutes(services, documents));
  app.route('/', webhookRoutes(services));
  app.route('/', tokenRoutes(services));
  app.route('/', enrolmentRoutes(services));
  app.route('/', bulkRoutes(services, log));
  app.route('/', explainRoutes(services));
  app.route('/', peopleRoutes(services));
  app.route('/', apiRoutes(services));
  app.route('/', reportRoutes(services));
  for (const path of ['/', '/openapi.json', '/docs', '/documents', '/healthz', '/readyz', '/style.css']) {
    app.all(path, ({ req }) => {
      throw new Problem('method-not-allowed', `${req.method} is not possible here; possible: GET`, { extra: { allow: 'GET' } });
    });
  }
  return app;
}

/** A write with the cookie must come from our own pages. */
function refuseForeign(site: string | undefined, origin: string | undefined, host: string | undefined): void {
  const foreign = site !== undefined ? site !== 'same-origin' && site !== 'none' : origin !== undefined && URL.parse(origin)?.host !== host;
  if (foreign) throw new Problem('forbidden', 'This request comes from the page of another site');
}

async function countRows(db: Db, catalog: Catalog): Promise<Record<string, number>> {
  const models = catalog.models.filter((model) => !model.resource.readOnly);
  if (models.length === 0) return {};
  const counts = models.map((model) => sql`(select count(*) from ${model.source} as t) as ${sql.id(model.resource.noun)}`);
  const { rows } = await sql<Record<string, string>>`select ${sql.join(counts)}`.execute(db);
  return Object.fromEntries(Object.entries(rows[0]!).map(([noun, count]) => [noun, Number(count)]));
}

/** The server: documents on the bare path, all else through the app. */
export function createHttpServer(options: AppOptions): Server {
  const listener = getRequestListener(createApp(options).fetch, { overrideGlobalObjects: false });
  const bare = bareListener(options, listener);
  const { quiet = QUIET, ...times } = options.timeouts ?? {};
  const limits = { keepAliveTimeout: 30_000, requestTimeout: 60_000, headersTimeout: 20_000, connectionsCheckingInterval: 5000, ...times };
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const url = request.url ?? '/';
    if (isDocumentPath(url) || isWatchPath(url)) void bare(request, response, url);
    else void listener(request, response);
  };
  /* Who does not finish the handshake is cut off like who does not finish the headers. */
  const server = options.tls ? createTlsServer({ ...limits, handshakeTimeout: limits.headersTimeout, ...options.tls }, handle) : createServer(limits, handle);
  server.timeout = quiet;
  if (options.connections) limitConnections(server, options.connections, proxiesOf(options.services), (message) => options.log.warn(message));
  answerUnreadable(server);
  return server;
}
