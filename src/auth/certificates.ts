import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { Rights } from '../db/rights.ts';
import { Problem } from '../kernel/problem.ts';
import type { Proxies } from '../kernel/proxy.ts';
import { CertificateError, type Authority } from '../tls/authority.ts';
import { pemBlocks } from '../tls/der.ts';
import type { Identity } from './identity.ts';

type Request = Pick<IncomingMessage, 'socket' | 'headers'>;

/** What a certificate was found to be. */
interface Known {
  readonly generation: number;
  /** Milliseconds; from then on it is looked at again. */
  readonly until: number;
  readonly identity?: Identity;
  readonly problem?: Problem;
}

/** Certificates that proxies handed on, kept. */
const HEADERS = 10_000;
/** Characters of the header that they do so in. */
const LONGEST = 16_384;

/**
 * The client certificates of nodes. One is checked once for its connection, or once for its header where a trusted
 * proxy ends TLS, and again when the CAs or their lists change, and when it ends.
 */
export class ClientCertificates {
  readonly #proxies: Proxies;
  #authority: Authority | undefined;
  #generation = 0;
  readonly #connections = new WeakMap<object, Known>();
  readonly #headers = new Map<string, Known>();

  constructor(proxies: Proxies) {
    this.#proxies = proxies;
  }

  /** From now on these CAs count, and their lists of revoked certificates; undefined: certificates are nothing here. */
  use(authority: Authority | undefined): void {
    this.#authority = authority;
    this.#generation++;
    this.#headers.clear();
  }

  /**
   * The node whose certificate comes with a request; undefined: none does.
   * @throws Problem bad-certificate
   */
  identityOf(request: Request): Identity | undefined {
    if (!this.#authority) return undefined;
    const known = this.#proxies.isProxy(request) ? this.#ofHeader(request.headers['client-cert']) : this.#ofConnection(request.socket as TLSSocket);
    if (known?.problem) throw known.problem;
    return known?.identity;
  }

  /** The proxy's own certificate, if it shows one, is not that of the client. */
  #ofHeader(header: string | string[] | undefined): Known | undefined {
    if (header === undefined || header === '') return undefined;
    const text = String(header);
    const kept = this.#headers.get(text);
    if (kept && this.#holds(kept)) return kept;
    const der = text.length > LONGEST ? undefined : derOf(text);
    if (!der) return { generation: this.#generation, until: 0, problem: bad('in the header Client-Cert cannot be read') };
    const known = this.#check(der);
    if (this.#headers.size >= HEADERS) this.#headers.clear();
    this.#headers.set(text, known);
    return known;
  }

  #ofConnection(socket: TLSSocket): Known | undefined {
    if (socket.encrypted !== true) return undefined;
    const kept = this.#connections.get(socket);
    if (kept && this.#holds(kept)) return kept;
    const certificate = socket.getPeerX509Certificate();
    let known: Known = { generation: this.#generation, until: Number.POSITIVE_INFINITY };
    if (certificate) {
      known = this.#check(certificate.raw);
      /* What OpenSSL refused at the handshake stays refused, whatever the reason. */
      if (!known.problem && !socket.authorized) known = { ...known, problem: bad(`could not be verified: ${String(socket.authorizationError)}`) };
    }
    this.#connections.set(socket, known);
    return known;
  }

  #holds({ generation, until }: Known): boolean {
    return generation === this.#generation && Date.now() < until;
  }

  #check(der: Buffer): Known {
    const generation = this.#generation;
    try {
      const { certname, until } = this.#authority!.check(der);
      return { generation, until, identity: certificateIdentity(certname) };
    } catch (error) {
      if (!(error instanceof CertificateError)) throw error;
      return { generation, until: Date.now() + 1000, problem: bad(error.message) };
    }
  }
}

const bad = (what: string): Problem => new Problem('bad-certificate', `The client certificate ${what}`);

/** RFC 9440, as HAProxy, Envoy and Caddy can write it; or PEM with percent signs, as nginx does ($ssl_client_escaped_cert). */
function derOf(header: string): Buffer | undefined {
  const bytes = /^:([A-Za-z0-9+/]+=*):$/.exec(header.trim())?.[1];
  if (bytes !== undefined) return Buffer.from(bytes, 'base64');
  try {
    const blocks = pemBlocks(decodeURIComponent(header), 'CERTIFICATE');
    return blocks.length === 1 ? blocks[0] : undefined;
  } catch {
    return undefined;
  }
}

/** It reads its own documents and reports for itself, and nothing else: see `allow` and `nodeOf`. */
function certificateIdentity(certname: string): Identity {
  return { kind: 'node', name: certname, subject: `node:${certname}`, node: certname, rights: new Rights(`The certificate of '${certname}'`, []) };
}
