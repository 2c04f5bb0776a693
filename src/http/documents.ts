import type { IncomingMessage, ServerResponse } from 'node:http';
import type pg from 'pg';
import { allow, type Identity } from '../auth/identity.ts';
import { findBy } from '../documents/find.load.ts';
import type { Found } from '../documents/lookup.load.ts';
import { nodeOf, type DocumentService, type Envelope } from '../documents/service.load.ts';
import { parsePoint, type Point } from '../db/changes.ts';
import { matches } from '../kernel/etag.ts';
import { media, negotiate, splitSuffix, type Format } from '../kernel/negotiate.ts';
import { Problem } from '../kernel/problem.ts';
import { servePast } from './past.ts';

/** The formats of each envelope; the first is served when the client takes anything. */
const formats: Readonly<Record<Envelope, readonly Format[]>> = {
  enc: ['yaml', 'json', 'msgpack', 'html'],
  hiera: ['json', 'yaml', 'msgpack', 'html'],
  pillar: ['json', 'yaml', 'msgpack', 'html'],
  tops: ['json', 'yaml', 'msgpack', 'html'],
  documents: ['json', 'yaml', 'msgpack', 'html'],
};

const PATH = /^\/(enc|hiera|pillar|tops|documents)\/([^/?]+)(?:\/([^/?]+))?(?:\?(.*))?$/;

/** A request for a document: `/enc/hv1.example.com.yaml`, `/hiera/hv1.example.com/corral::roles`. */
export interface DocumentRequest {
  readonly envelope: Envelope;
  readonly name: string;
  readonly key: string | undefined;
  readonly format: Format;
  /** As of this change or time. */
  readonly at: Point | undefined;
}

/** Hosts ask for the same URL again and again: what the last ones meant is kept. */
const parsed = new Map<string, DocumentRequest>();
const PARSED = 20_000;

/** Whether a URL is for a document. */
export function isDocumentPath(url: string): boolean {
  return PATH.test(url);
}

/**
 * Parses a document's URL and Accept header.
 * @throws Problem not-found, not-acceptable, bad-request
 */
export function parseDocumentRequest(url: string, accept: string | undefined): DocumentRequest {
  const key = `${accept ?? ''} ${url}`;
  const known = parsed.get(key);
  if (known) return known;
  const request = parse(url, accept);
  if (parsed.size >= PARSED) parsed.clear();
  parsed.set(key, request);
  return request;
}

function parse(url: string, accept: string | undefined): DocumentRequest {
  const match = PATH.exec(url);
  const envelope = match?.[1] as Envelope | undefined;
  if (!match || !envelope) throw new Problem('not-found', 'There is no such document');
  let raw: string;
  let key: string | undefined;
  try {
    raw = decodeURIComponent(match[2]!);
    key = match[3] === undefined ? undefined : decodeURIComponent(match[3]);
  } catch {
    throw new Problem('bad-request', 'The path holds a broken percent sign');
  }
  if (raw.includes('\0') || key?.includes('\0')) throw new Problem('bad-request', 'The path holds a NUL character');
  if (key === 'events' && envelope === 'documents') return { envelope, name: raw, key, format: negotiate(accept, ['events']), at: undefined };
  /* For people: answered where pages are, whatever the form. */
  if (key === 'diff' && envelope === 'documents') return { envelope, name: raw, key, format: 'html', at: undefined };
  const at = match[4] === undefined ? undefined : pointOf(match[4]);
  if (key !== undefined) {
    if (envelope !== 'hiera') throw new Problem('not-found', 'Only /hiera/<certname>/<key> and /documents/<certname>/events have a part after the name');
    return { envelope, name: raw, key, format: 'json', at };
  }
  const { name, format } = splitSuffix(raw, formats[envelope]);
  return { envelope, name, key, format: format ?? negotiate(accept, formats[envelope]), at };
}

function pointOf(query: string): Point | undefined {
  const text = new URLSearchParams(query).get('at');
  if (text === null) return undefined;
  const point = parsePoint(text);
  if (!point)
    throw new Problem('bad-request', "The value of 'at' must be the number of a change, or a time such as 2026-05-01T12:00:00Z", {
      extra: { parameter: 'at' },
    });
  return point;
}

/** What was served, for the log. */
export interface Served {
  readonly status: number;
  readonly bytes: number;
  readonly identity: Found['identity'] | undefined;
  readonly version: string | undefined;
}

/**
 * Answers a document request on the bare server: this path is asked by every host at every run, and a
 * framework would cost more than the answer.
 * @throws Problem for the caller to send
 */
export async function serveDocument(
  { documents: service, pool }: { readonly documents: DocumentService; readonly pool: pg.Pool },
  request: IncomingMessage,
  response: ServerResponse,
  asked: DocumentRequest,
  id: string,
): Promise<Served> {
  const found = await findBy(service, pool, request, asked.name);
  if (asked.at !== undefined) return servePast(service, request, response, { ...asked, at: asked.at }, found, id);
  if (asked.key !== undefined) return serveKey(service, response, asked, asked.key, found, id);
  if (asked.envelope === 'hiera' && !found.node && found.identity.kind !== 'node') {
    allow(found.identity, 'documents');
    return sendJson(response, found, {}, id);
  }
  const { bytes, text, etag, version } = await service.render(found, asked.name, asked.envelope, asked.format as 'json');
  /* All headers in one go: setHeader would take the slow way. */
  const headers = {
    'X-Request-Id': id,
    ETag: etag,
    'Corral-Document': version,
    'Corral-Node': found.node!.fqdn,
    'Cache-Control': cacheOf(found.identity),
    Vary: 'Accept, Authorization, Cookie',
    'X-Content-Type-Options': 'nosniff',
  };
  if (matches(request.headers['if-none-match'], etag)) {
    response.writeHead(304, headers).end();
    return { status: 304, bytes: 0, identity: found.identity, version };
  }
  response.writeHead(200, { ...headers, 'Content-Type': media[asked.format], 'Content-Length': bytes.length });
  response.end(request.method === 'HEAD' ? undefined : (text ?? bytes));
  return { status: 200, bytes: bytes.length, identity: found.identity, version };
}

/** Documents hold secrets: no browser keeps on its disk what a person looked at. */
export const cacheOf = ({ kind }: Identity): string => (kind === 'person' ? 'no-store' : 'private, no-cache');

/** One key, for hiera-http: 404 when the document has no such key, null when it is undef. */
async function serveKey(service: DocumentService, response: ServerResponse, asked: DocumentRequest, key: string, found: Found, id: string): Promise<Served> {
  const { bytes } = await service.render(found, asked.name, 'hiera', 'json');
  const data = JSON.parse(bytes.toString()) as Record<string, unknown>;
  if (!Object.hasOwn(data, key)) throw new Problem('not-found', `The document of ${nodeOf(found, asked.name).fqdn} has no key '${key.slice(0, 200)}'`);
  return sendJson(response, found, data[key], id);
}

function sendJson(response: ServerResponse, found: Found, data: unknown, id: string): Served {
  const bytes = Buffer.from(JSON.stringify(data));
  response.writeHead(200, {
    'X-Request-Id': id,
    'Content-Type': media.json,
    'Content-Length': bytes.length,
    'Cache-Control': cacheOf(found.identity),
    Vary: 'Accept, Authorization, Cookie',
    'X-Content-Type-Options': 'nosniff',
  });
  response.end(bytes);
  return { status: 200, bytes: bytes.length, identity: found.identity, version: undefined };
}
