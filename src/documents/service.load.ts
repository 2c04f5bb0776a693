import type { IncomingMessage } from 'node:http';
import type pg from 'pg';
import { allow, noToken, plainAddress, type Identity } from '../auth/identity.ts';
import type { ClientCertificates } from '../auth/certificates.ts';
import { toMsgpack } from '../kernel/codec.ts';
import type { Format } from '../kernel/negotiate.ts';
import { Problem } from '../kernel/problem.ts';
import { Proxies } from '../kernel/proxy.ts';
import type { SecretBox } from '../kernel/secret.ts';
import type { DocumentBody } from './document.ts';
import { encOf } from './enc.ts';
import { hieraOf } from './hiera.ts';
import { DocumentHistory } from './history.load.ts';
import { Lookup, type Found, type FoundNode } from './lookup.load.ts';
import { pillarOf } from './pillar.ts';
import { openBody } from './rebuild.load.ts';
import { topsOf } from './tops.ts';
import { toYaml } from './yaml.ts';

/** The envelopes of a document. `documents` is what Corral's own Puppet client reads: ENC and Hiera of one version. */
export type Envelope = 'enc' | 'hiera' | 'pillar' | 'tops' | 'documents';

export interface Rendered {
  readonly bytes: Buffer;
  /** The same as text where it is short: Node sends it with the headers in one write. */
  readonly text: string | undefined;
  readonly etag: string;
  readonly version: string;
}

/** Documents up to this many bytes are kept as text too. */
const SHORT = 4096;
/** Serves documents: the newest version by `Lookup`, whose rendered bytes are kept by version. */
export class DocumentService {
  readonly #pool: pg.Pool;
  readonly #secrets: SecretBox;
  readonly #cache: RenderCache;
  readonly #lookup: Lookup;
  readonly #proxies: Proxies;
  readonly #certificates: ClientCertificates | undefined;

  /** What documents were. */
  readonly history: DocumentHistory;

  /**
   * @param cacheSize most bytes of rendered documents that are kept
   * @param rate hosts that may start to converge in one second
   * @param proxies whose word for where a request comes from counts
   * @param certificates of nodes that show one in place of a token
   */
  constructor(
    pool: pg.Pool,
    secrets: SecretBox,
    cacheSize: number,
    rate: number,
    proxies: Proxies = new Proxies(),
    certificates: ClientCertificates | undefined = undefined,
  ) {
    this.#proxies = proxies;
    this.#certificates = certificates;
    this.#pool = pool;
    this.#secrets = secrets;
    this.#cache = new RenderCache(cacheSize);
    this.#lookup = new Lookup(pool, (wave) => spreadOf(wave, rate));
    this.history = new DocumentHistory(pool, secrets);
  }

  /**
   * Who asks, by their token or else by the certificate of their connection, and the node that they ask for.
   * @throws Problem no-token, bad-token, bad-certificate
   */
  find(token: string | undefined, fqdn: string, request?: Pick<IncomingMessage, 'socket' | 'headers'>): Promise<Found> {
    let identity: Identity | undefined;
    try {
      identity = request && this.#certificates?.identityOf(request);
    } catch (error) {
      return Promise.reject(error);
    }
    if (token === undefined) return identity && request?.headers.authorization === undefined ? this.findFor(identity, fqdn) : Promise.reject(noToken());
    return this.#lookup.find({ token, fqdn: fqdn.toLowerCase(), address: plainAddress(request && this.#proxies.addressOf(request)) });
  }

  /** The same for somebody who is known already: a person who logged in, or a node with a certificate. */
  findFor(identity: Identity, fqdn: string): Promise<Found> {
    return this.#lookup.find({ identity, fqdn: fqdn.toLowerCase() });
  }

  /**
   * The bytes of an envelope of the node's newest document.
   * @throws Problem not-found, gone, forbidden
   */
  async render(found: Found, asked: string, envelope: Envelope, format: Exclude<Format, 'html' | 'ndjson' | 'events'>): Promise<Rendered> {
    const node = nodeOf(found, asked);
    const key = (version: string): string => `${node.id} ${version} ${envelope} ${node.manager} ${format}`;
    const kept = this.#cache.get(key(node.version));
    if (kept) return kept;
    const { version, body } = envelope === 'enc' || envelope === 'tops' ? await this.#loadHead(node.id, asked) : await this.load(node.id, asked);
    const data = envelop(envelope, body, version, node.manager);
    const written = format === 'json' ? JSON.stringify(data) : format === 'yaml' ? toYaml(data) : toMsgpack(data);
    const bytes = Buffer.from(written as string);
    const text = typeof written === 'string' && bytes.length <= SHORT ? written : undefined;
    const rendered: Rendered = { bytes, text, version, etag: `"${version}-${envelope === 'documents' ? node.manager : envelope}.${format}"` };
    this.#cache.set(key(version), rendered);
    return rendered;
  }

  /** What ENC and tops are made from. */
  async #loadHead(id: number, asked: string): Promise<{ version: string; body: DocumentBody }> {
    const { rows } = await this.#pool.query<{ number: number; hash: string; head: DocumentBody }>({
      name: 'head',
      text: 'select number, hash, head from document where node_id = $1',
      values: [id],
    });
    if (!rows[0]) throw noNode(asked);
    return { version: `${rows[0].number}-${rows[0].hash}`, body: rows[0].head };
  }

  /** The newest document of a node. @throws Problem not-found */
  async load(id: number, asked: string): Promise<{ version: string; body: DocumentBody; builtAt: Date }> {
    const { rows } = await this.#pool.query<{ number: number; hash: string; body: DocumentBody; built_at: Date }>({
      name: 'document',
      text: 'select number, hash, v.body, d.built_at from document d join document_version v using (node_id, number, hash) where node_id = $1',
      values: [id],
    });
    if (!rows[0]) throw noNode(asked);
    return { version: `${rows[0].number}-${rows[0].hash}`, builtAt: rows[0].built_at, body: openBody(this.#secrets, id, rows[0].body) };
  }

  /** Every node's document, a line each, in batches: memory does not grow with the fleet, a slow reader holds nothing up. */
  async *lines(batch = 20): AsyncGenerator<string> {
    interface LineRow {
      readonly id: string;
      readonly fqdn: string;
      readonly manager: 'puppet' | 'salt';
      readonly number: number;
      readonly hash: string;
      readonly body: DocumentBody;
    }
    for (let after = 0; ;) {
      const { rows } = await this.#pool.query<LineRow>({
        name: 'documents',
        text: `select n.id, n.fqdn, n.manager, d.number, d.hash, v.body from document d join document_version v using (node_id, number) join node n on n.id = d.node_id
          where d.node_id > $1 and n.state <> 'deactivated' order by d.node_id limit $2`,
        values: [after, batch],
      });
      let chunk = '';
      for (const row of rows) {
        const body = openBody(this.#secrets, Number(row.id), row.body);
        chunk += `${JSON.stringify(envelop('documents', body, `${row.number}-${row.hash}`, row.manager))}\n`;
      }
      if (chunk !== '') yield chunk;
      if (rows.length < batch) return;
      after = Number(rows.at(-1)!.id);
    }
  }
}

/**
 * The seconds over which the hosts start at random that one change gave a new document: none as long as they may
 * all start in the same second, then as many as keeps their number per second at the rate.
 * @param wave how many documents changed together
 * @param rate hosts that may start in one second
 */
export function spreadOf(wave: number, rate: number): number {
  return wave <= rate ? 0 : Math.ceil(wave / rate);
}

const noNode = (name: string): Problem =>
  new Problem('not-found', `There is no node '${name.slice(0, 300)}'; make it first, or look for a typing error in its certname or minion id`);

/** The node, if this identity may read its documents. @throws Problem forbidden, not-found, gone */
export function nodeOf(found: Found, asked: string): FoundNode {
  const { identity, node } = found;
  if (identity.kind === 'node' && identity.node !== asked.toLowerCase()) {
    throw new Problem('forbidden', `${identity.rights.who} may only read the documents of ${identity.node}`);
  }
  if (identity.kind !== 'node') allow(identity, 'documents');
  if (!node) throw noNode(asked);
  if (node.state === 'deactivated') throw new Problem('gone', `The node ${node.fqdn} is deactivated; set its state to running to serve it again`);
  return node;
}

/** A document in one of its envelopes, as plain data. */
export function envelop(envelope: Envelope, body: DocumentBody, version: string, manager: 'puppet' | 'salt'): object {
  switch (envelope) {
    case 'enc':
      return encOf(body, version);
    case 'hiera':
      return hieraOf(body, version);
    case 'pillar':
      return pillarOf(body, version);
    case 'tops':
      return topsOf(body);
    case 'documents': {
      const head = { node: body['node'], version, manager };
      return manager === 'puppet'
        ? { ...head, enc: encOf(body, version), hiera: hieraOf(body, version) }
        : { ...head, tops: topsOf(body), pillar: pillarOf(body, version) };
    }
  }
}

/** Keeps rendered bytes up to a sum; what was used longest ago goes first. */
class RenderCache {
  readonly #limit: number;
  readonly #entries = new Map<string, Rendered>();
  #size = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: string): Rendered | undefined {
    const entry = this.#entries.get(key);
    /* While there is room nothing goes, and the order does not matter. */
    if (!entry || this.#size < this.#limit / 2) return entry;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry;
  }

  set(key: string, entry: Rendered): void {
    if (entry.bytes.length > this.#limit) return;
    this.#size += entry.bytes.length - (this.#entries.get(key)?.bytes.length ?? 0);
    this.#entries.set(key, entry);
    for (const [old, { bytes }] of this.#entries) {
      if (this.#size <= this.#limit) break;
      this.#entries.delete(old);
      this.#size -= bytes.length;
    }
  }
}
