/** Documents as they were: off the path that hosts ask on. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { allow } from '../auth/identity.ts';
import type { Point } from '../db/changes.ts';
import type { PastDocument } from '../documents/history.load.ts';
import type { Found } from '../documents/lookup.load.ts';
import { envelop, type DocumentService } from '../documents/service.load.ts';
import { toYaml } from '../documents/index.ts';
import { toMsgpack } from '../kernel/codec.ts';
import { matches } from '../kernel/etag.ts';
import { media } from '../kernel/negotiate.ts';
import { Problem } from '../kernel/problem.ts';
import { cacheOf, type DocumentRequest, type Served } from './documents.ts';

export interface PastNode {
  readonly id: number;
  readonly fqdn: string;
  readonly manager: 'puppet' | 'salt';
}

/**
 * The node whose past is asked for: by name, or one that is gone by its id.
 * @throws Problem forbidden, not-found
 */
export async function pastNode(service: DocumentService, { identity, node }: Found, asked: string): Promise<PastNode> {
  if (identity.kind === 'node' && identity.node !== asked.toLowerCase())
    throw new Problem('forbidden', `${identity.rights.who} may only read the documents of ${identity.node}`);
  if (identity.kind !== 'node') allow(identity, 'documents');
  if (node) return node;
  const gone = /^\d{1,15}$/.test(asked) ? await service.history.gone(Number(asked)) : undefined;
  if (!gone) throw new Problem('not-found', `There is no node '${asked.slice(0, 300)}'; one that was deleted is named by its id`);
  return { id: Number(asked), ...gone };
}

/** @throws Problem not-found, fallen-behind */
export async function pastDocument(service: DocumentService, node: PastNode, point: Point): Promise<PastDocument> {
  const past = await service.history.at(node.id, point);
  const when = 'change' in point ? `after change ${point.change}` : `at ${point.time.toISOString()}`;
  if (!past) throw new Problem('not-found', `The node ${node.fqdn} was not there ${when}`);
  return past;
}

/** Answers `?at=`, as the server would have answered then. */
export async function servePast(
  service: DocumentService,
  request: IncomingMessage,
  response: ServerResponse,
  asked: DocumentRequest & { readonly at: Point },
  found: Found,
  id: string,
): Promise<Served> {
  const node = await pastNode(service, found, asked.name);
  const { version, body, change } = await pastDocument(service, node, asked.at);
  let data: unknown = envelop(asked.envelope, body, version, node.manager);
  if (asked.key !== undefined) {
    if (!Object.hasOwn(data as object, asked.key)) throw new Problem('not-found', `The document of ${node.fqdn} had no key '${asked.key.slice(0, 200)}'`);
    data = (data as Record<string, unknown>)[asked.key];
  }
  const { format } = asked;
  const bytes = Buffer.from(format === 'yaml' ? toYaml(data as object) : format === 'msgpack' ? toMsgpack(data) : JSON.stringify(data));
  const etag = `"${version}-${asked.envelope === 'documents' ? node.manager : asked.envelope}${asked.key === undefined ? '' : `-${encodeURIComponent(asked.key)}`}.${format}"`;
  const headers = {
    'X-Request-Id': id,
    ETag: etag,
    'Corral-Document': version,
    'Corral-Node': node.fqdn,
    ...(change === null ? {} : { 'Corral-Change': String(change) }),
    'Cache-Control': cacheOf(found.identity),
    Vary: 'Accept, Authorization, Cookie',
  };
  if (matches(request.headers['if-none-match'], etag)) {
    response.writeHead(304, headers).end();
    return { status: 304, bytes: 0, identity: found.identity, version };
  }
  response.writeHead(200, { ...headers, 'Content-Type': media[format], 'Content-Length': bytes.length });
  response.end(request.method === 'HEAD' ? undefined : bytes);
  return { status: 200, bytes: bytes.length, identity: found.identity, version };
}
