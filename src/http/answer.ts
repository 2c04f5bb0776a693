import type { Context } from 'hono';
import type { ClientCertificates } from '../auth/certificates.ts';
import type { Identity } from '../auth/identity.ts';
import type { LoginSettings } from '../auth/people/types.ts';
import type { Catalog } from '../db/catalog.ts';
import { toMsgpack } from '../kernel/codec.ts';
import { etagOf, matches } from '../kernel/etag.ts';
import { media, negotiate, type Format } from '../kernel/negotiate.ts';
import { Problem } from '../kernel/problem.ts';
import type { Proxies } from '../kernel/proxy.ts';
import type { Limits } from '../limits/limits.ts';
import type { Hub } from '../events/hub.ts';
import type { PageContext, Pages } from '../pages/types.ts';
import type { Store } from '../db/transaction.ts';
import type { Db } from '../db/read.ts';
import type pg from 'pg';

/** What handlers get from the process. */
export interface Services {
  readonly store: Store;
  readonly catalog: Catalog;
  /** For reads outside a transaction. */
  readonly db: () => Db;
  readonly pool: pg.Pool;
  readonly hub: Hub;
  readonly pages: Pages;
  readonly bodyLimit: number;
  /** Of POST /bulk; 32 MiB when left out. */
  readonly bulkLimit?: number;
  readonly version: string;
  /** How clients reach this API, where that is not what they asked. */
  readonly publicUrl?: string | undefined;
  /** Whose word for where a request comes from counts; nobody's when left out. */
  readonly proxies?: Proxies;
  /** Of nodes that show one in place of a token. */
  readonly certificates?: ClientCertificates;
  /** How much may be asked; any number of times when left out. */
  readonly limits?: Limits;
  /** How people log in; as by default when left out. */
  readonly login?: LoginSettings;
}

/** Variables of a request. */
export interface Env {
  Variables: { identity?: Identity; requestId: string; format?: Format; rate?: Readonly<Record<string, string>> };
}

export const offered: readonly Format[] = ['json', 'html', 'msgpack'];

/** What every page is told. */
export function pageContext(services: Services, context: Context<Env>): PageContext {
  const url = new URL(context.req.url);
  const seen = services.publicUrl === undefined ? url : new URL(url.pathname + url.search, services.publicUrl);
  const identity = context.get('identity');
  return { catalog: identity?.rights.catalogOf(services.catalog) ?? services.catalog, identity, url: seen };
}

/** The format to answer in: what the URL's ending says, else what Accept says. */
export function formatOf(context: Context<Env>, formats: readonly Format[] = offered, suffix?: Format): Format {
  const known = context.get('format');
  if (known) return known;
  const format = suffix ?? negotiate(context.req.header('accept'), formats);
  context.set('format', format);
  return format;
}

/** Answers with data in the negotiated form, with a strong ETag, and 304 where the client has it already. */
export function answer(
  context: Context<Env>,
  format: Format,
  data: unknown,
  html: () => string,
  options: { status?: 200 | 201; version?: number | undefined; headers?: Record<string, string> } = {},
): Response {
  const body = format === 'html' || format === 'text' ? html() : format === 'msgpack' ? toMsgpack(data) : JSON.stringify(data);
  const etag = etagOf(body, options.version);
  const headers = { ...options.headers, ETag: etag, Vary: 'Accept, Authorization, Cookie', 'Cache-Control': 'private, no-cache' };
  const safe = context.req.method === 'GET' || context.req.method === 'HEAD';
  if (safe && matches(context.req.header('if-none-match'), etag)) return context.body(null, 304, headers);
  return context.body(body, options.status ?? 200, { ...headers, 'Content-Type': media[format] });
}

/** Where who is not logged in does so, and goes on to where he wanted to. @param path with its query */
export const loginHref = (path: string): string => `/login?next=${encodeURIComponent(path)}`;

/** The headers that go with a problem, on whatever path it is answered. */
export function problemHeaders(problem: Problem): Record<string, string> {
  const headers: Record<string, string> = { ...problem.headers, 'Cache-Control': 'no-store' };
  if (problem.status === 401) headers['WWW-Authenticate'] = 'Bearer realm="corral"';
  if (problem.status === 413) headers['Connection'] = 'close';
  if (problem.status === 503) headers['Retry-After'] = '2';
  const later = problem.extra['retry_after'];
  if (typeof later === 'number') headers['Retry-After'] = String(later);
  const allow = problem.extra['allow'];
  if (typeof allow === 'string') headers['Allow'] = allow;
  return headers;
}

/** The problem as it goes out, in the form that the client takes; problems are never refused with 406. */
export function problemAnswer(context: Context<Env>, services: Services, problem: Problem): Response {
  const document = problem.toDocument();
  let format: Format = 'json';
  try {
    format = formatOf(context);
  } catch {
    /* Not acceptable: JSON it is. */
  }
  const headers = { ...problemHeaders(problem), Vary: 'Accept, Authorization, Cookie' };
  const status = problem.status as 400;
  if (format === 'html') {
    const page = services.pages.problem(pageContext(services, context), document);
    return context.body(page, status, { ...headers, 'Content-Type': media.html });
  }
  if (format === 'msgpack') return context.body(toMsgpack(document), status, { ...headers, 'Content-Type': media.msgpack });
  return context.body(JSON.stringify(document), status, { ...headers, 'Content-Type': 'application/problem+json' });
}
