import type { IncomingHttpHeaders, IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Context } from 'hono';
import type { Logger } from 'pino';
import { identify, shownBy } from '../auth/asker.ts';
import { tokenOf, type Identity } from '../auth/identity.ts';
import { sessionCookie } from '../auth/people/sessions.ts';
import { Refusals } from '../auth/refusals.ts';
import { Problem, type ProblemCode } from '../kernel/problem.ts';
import type { Taken } from '../limits/bucket.ts';
import { rateHeaders, tooMany, type Known, type Limits, type Policy } from '../limits/limits.ts';
import type { Env, Services } from './answer.ts';
import { incomingOf, proxiesOf } from './client.ts';

/** What every answer says to browsers, whatever it is. */
export const guardHeaders: Readonly<Record<string, string>> = {
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

/** And what pages say beside. They carry no script and load nothing from elsewhere. */
const pageHeaders: Readonly<Record<string, string>> = {
  'Content-Security-Policy': "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()',
};
/** What is no page, opened as one all the same, does nothing. */
const DATA = "default-src 'none'; frame-ancestors 'none'";
/** What browsers are told of data. */
export const dataHeaders: Readonly<Record<string, string>> = { ...guardHeaders, 'Content-Security-Policy': DATA };

/** Sets the headers that every answer has, and those of its limit; what a route has set stays. */
export function secure(headers: Headers, page: boolean, rate: Readonly<Record<string, string>> = {}): void {
  const more = page ? { ...guardHeaders, ...pageHeaders } : dataHeaders;
  for (const [name, value] of Object.entries({ ...more, ...rate, 'Cache-Control': 'no-store' })) if (!headers.has(name)) headers.set(name, value);
}

/** What a client shows to be known: a token, or the cookie of a session. */
export function credentialOf({ authorization, cookie }: Pick<IncomingHttpHeaders, 'authorization' | 'cookie'>): string | undefined {
  return authorization ?? (cookie === undefined ? undefined : (sessionCookie(cookie) ?? tokenOf(undefined, cookie)));
}

/** A credential was shown, and is not good. */
const isFailure = (problem: Problem): boolean => problem.status === 401 && problem.code !== 'no-token';

/** Counts the requests of the app, by who asks or from where. */
export class Guard {
  readonly #services: Services;
  readonly #limits: Limits | undefined;

  constructor(services: Services) {
    this.#services = services;
    this.#limits = services.limits;
  }

  /**
   * Finds out who asks, unless too many at this address failed to say.
   * @param work does it
   * @throws Problem too-many-requests, and what `work` throws
   */
  async admit(context: Context<Env>, work: () => Promise<Identity>): Promise<Identity> {
    const limits = this.#limits;
    if (!limits) return work();
    const address = (): string => proxiesOf(this.#services).addressOf(incomingOf(context));
    const credential = credentialOf(incomingOf(context).headers);
    limits.refuseBlocked(credential, address);
    let identity: Identity;
    try {
      identity = await work();
    } catch (error) {
      if (error instanceof Problem && error.status === 401) {
        limits.note(credential, undefined);
        this.#tell(context, 'address', await limits.address(address(), isFailure(error)));
      }
      throw error;
    }
    limits.note(credential, identity);
    this.#tell(context, 'identity', await limits.identity(identity));
    return identity;
  }

  /** A request that needs nobody to be known. @throws Problem too-many-requests */
  async open(context: Context<Env>): Promise<void> {
    if (this.#limits) this.#tell(context, 'address', await this.#limits.address(proxiesOf(this.#services).addressOf(incomingOf(context))));
  }

  #tell(context: Context<Env>, policy: Policy, taken: Taken | undefined): void {
    if (!taken) return;
    context.set('rate', rateHeaders(policy, taken));
    if (!taken.allowed) throw tooMany(policy, taken);
  }
}

/** A request on the bare path. */
interface Pass {
  readonly credential: string | undefined;
  readonly known: Known | undefined;
}

/** The same for the bare path of documents, where it may cost next to nothing: there this process counts for itself. */
export class BareGuard {
  readonly #services: Services;
  readonly #limits: Limits | undefined;
  readonly #refusals: Refusals;
  readonly #log: Logger;

  constructor(services: Services, log: Logger) {
    this.#services = services;
    this.#limits = services.limits;
    this.#refusals = new Refusals(services.pool, log);
    this.#log = log;
  }

  begin({ headers, socket }: IncomingMessage): Pass {
    const credential = credentialOf(headers);
    return { credential, known: this.#limits?.known(credential, socket.remoteAddress ?? '') };
  }

  /** @throws Problem too-many-requests */
  check({ credential, known }: Pass, request: IncomingMessage): void {
    if (!this.#limits) return;
    this.#limits.refuseBlocked(credential, () => proxiesOf(this.#services).addressOf(request));
    if (known) this.#limits.document(known);
  }

  /** It was admitted. */
  good({ known, credential }: Pass, identity: Identity | undefined): void {
    if (!known) return this.#limits?.note(credential, identity);
    if (!identity) return;
    known.good = true;
    /* Without a credential it is an address, where many may be. */
    known.single = credential !== undefined && identity.kind === 'node';
  }

  /** It was refused: counts what was no good, and tells the audit log. */
  refused({ known }: Pass, request: IncomingMessage, problem: Problem, id: string): void {
    const { status } = problem;
    if (status !== 401 && status !== 403) return;
    const address = proxiesOf(this.#services).addressOf(request);
    if (status === 401) {
      if (known) known.good = false;
      this.#limits?.address(address, isFailure(problem)).catch((error: unknown) => this.#log.warn({ id, err: error }, 'a refusal could not be counted'));
      if (!isFailure(problem)) return;
    }
    const note = (identity?: Identity): void => this.#refusals.note(identity, problem, request.method ?? 'GET', request.url ?? '/', address, id);
    if (status === 401) note();
    else this.#identify(request).then(note, () => note());
  }

  /** Who was refused; looked up once more, since only those who are refused cost that. */
  async #identify(request: IncomingMessage): Promise<Identity> {
    const { pool, certificates } = this.#services;
    return identify(pool, shownBy({ certificates, proxies: proxiesOf(this.#services) }, request), true);
  }
}

/** What Node says of requests that it cannot read, and what we say. */
const unread: Readonly<Record<string, readonly [ProblemCode, string]>> = {
  HPE_HEADER_OVERFLOW: ['headers-too-large', 'The URL and the headers may have at most 16 KiB together'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ['too-large', 'The extensions of the chunks are too long'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request-timeout', 'The request did not come in time; send its headers within 20 seconds and all of it within a minute'],
};

const phrases: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  413: 'Content Too Large',
  431: 'Request Header Fields Too Large',
};

/** Answers what is no HTTP, or too long, or too slow, with a problem, too, where Node itself says but a line. */
export function answerUnreadable(server: Server): void {
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex & { _httpMessage?: unknown }) => {
    /* An answer is under way, or nobody is there to read one. */
    if (error.code === 'ECONNRESET' || !socket.writable || socket._httpMessage) return void socket.destroy(error);
    const [code, detail] = unread[error.code ?? ''] ?? ['bad-request', 'This is not HTTP as it should be'];
    const problem = new Problem(code, detail);
    const body = JSON.stringify(problem.toDocument());
    const headers = {
      'Content-Type': 'application/problem+json',
      'Content-Length': Buffer.byteLength(body),
      'Cache-Control': 'no-store',
      Connection: 'close',
      ...guardHeaders,
    };
    const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.end(`HTTP/1.1 ${problem.status} ${phrases[problem.status]}\r\n${head.join('')}\r\n${body}`, () => socket.destroy());
  });
}
