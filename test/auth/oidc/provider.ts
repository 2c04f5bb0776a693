import { createSign, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Certificate } from '../ldap/certificates.ts';
import { Provider } from 'oidc-provider';

export const CLIENT = 'corral';
export const SECRET = 'a secret with : and % in it';
export const ORIGIN = 'https://corral.example.com';

type Claims = Record<string, unknown>;
/** What someone makes of the ID token on its way; gets its parts and a way to sign. */
export type Tamper = (claims: Claims, header: Claims, sign: (header: Claims, claims: Claims, key?: KeyObject) => string) => string;

export interface Rig {
  readonly issuer: string;
  /** What GET of these people's userinfo and tokens say. */
  claims: Claims;
  tamper: Tamper | undefined;
  /** Answers nothing, of these paths. */
  hang: RegExp | undefined;
  /** Requests that came, as `POST /token`. */
  readonly requests: string[];
  rotate(): void;
  /** What a browser does with a login's address: logs in, agrees, and ends at the callback. */
  browse(url: string, jar?: Map<string, string>): Promise<string>;
  /** What a browser does with a logout's address: agrees, and ends where the provider sends it. */
  leave(url: string, jar: Map<string, string>): Promise<string>;
  stop(): Promise<void>;
}

const newKey = (): { jwk: JsonWebKey; key: KeyObject } => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const kid = Math.random().toString(36).slice(2);
  return { jwk: { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' }, key: privateKey };
};

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const decode = (part: string): Claims => JSON.parse(Buffer.from(part, 'base64url').toString()) as Claims;

/** A real provider (oidc-provider) over HTTPS, in this process. */
export async function startProvider(certificate: Certificate, authority: string): Promise<Rig> {
  let current = newKey();
  let provider: Provider;
  const server = https.createServer(
    { key: readFileSync(certificate.key), cert: readFileSync(certificate.cert) },
    (request, response) => void serve(request, response),
  );
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
  const issuer = `https://localhost:${(server.address() as AddressInfo).port}`;
  const ca = readFileSync(authority);
  const rig: Rig = {
    issuer,
    claims: { preferred_username: 'ada', name: 'Ada Lovelace', email: 'ada@example.com', email_verified: true, groups: ['staff', 'operators'] },
    tamper: undefined,
    hang: undefined,
    requests: [],
    rotate() {
      current = newKey();
      provider = make();
    },
    browse: (url, jar) => browse(url, ca, jar),
    leave: async (url, jar) => {
      const asked = await get(url, ca, jar);
      const action = /action="([^"]+)"/.exec(asked.body)?.[1];
      const xsrf = /name="xsrf" value="([^"]+)"/.exec(asked.body)?.[1];
      if (asked.status !== 200 || action === undefined || xsrf === undefined) throw new Error(`the provider answered ${asked.status}: ${asked.body}`);
      const { headers } = await get(action, ca, jar, new URLSearchParams({ xsrf, logout: 'yes' }).toString());
      return headers.location!;
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  const make = (): Provider => {
    const made = new Provider(issuer, {
      clients: [
        {
          client_id: CLIENT,
          client_secret: SECRET,
          redirect_uris: [`${ORIGIN}/login/oidc/callback`],
          post_logout_redirect_uris: [`${ORIGIN}/login`],
        },
      ],
      jwks: { keys: [current.jwk] },
      cookies: { keys: ['some key for the cookies'] },
      claims: { openid: ['sub'], profile: ['name', 'preferred_username', 'groups'], email: ['email', 'email_verified'] },
      features: { devInteractions: { enabled: false } },
      interactions: { url: (_: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
      findAccount: (_: unknown, accountId: string) => ({ accountId, claims: () => ({ sub: accountId, ...rig.claims }) }),
    });
    return made;
  };
  provider = make();

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url!.split('?')[0]!;
    rig.requests.push(`${request.method} ${path}`);
    if (rig.hang?.test(path)) return;
    if (path.startsWith('/interaction/')) return interact(request, response);
    if (path === '/token' && rig.tamper) tampered(response, rig.tamper);
    await provider.callback()(request, response);
  }

  async function interact(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { prompt, session } = await provider.interactionDetails(request, response);
    if (prompt.name === 'login') return provider.interactionFinished(request, response, { login: { accountId: 'account-1' } });
    const grant = new provider.Grant({ accountId: session!.accountId, clientId: CLIENT });
    grant.addOIDCScope('openid profile email');
    return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
  }

  /* Before the answer leaves, its ID token is another. */
  function tampered(response: ServerResponse, tamper: Tamper): void {
    const end = response.end.bind(response);
    const sign = (header: Claims, claims: Claims, key = current.key): string => {
      const body = `${encode(header)}.${encode(claims)}`;
      return `${body}.${createSign('RSA-SHA256').update(body).sign(key, 'base64url')}`;
    };
    response.end = ((body: string) => {
      const answer = JSON.parse(String(body)) as { id_token: string };
      const [header, claims] = answer.id_token.split('.');
      const out = JSON.stringify({ ...answer, id_token: tamper(decode(claims!), decode(header!), sign) });
      response.setHeader('content-length', Buffer.byteLength(out));
      return end(out);
    }) as typeof response.end;
  }
  return rig;
}

async function browse(url: string, ca: Buffer, jar = new Map<string, string>()): Promise<string> {
  let at = url;
  for (let hops = 0; hops < 20; hops++) {
    if (at.startsWith(ORIGIN)) return at;
    const { status, headers } = await get(at, ca, jar);
    if (headers.location === undefined) throw new Error(`the provider answered ${status} at ${at.split('?')[0]}`);
    at = new URL(headers.location, at).href;
  }
  throw new Error('too many redirects');
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** @param form to be sent with POST */
function get(url: string, ca: Buffer, jar: Map<string, string>, form?: string): Promise<Answer> {
  return new Promise((done, failed) => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { cookie, ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }) };
    const request = https.request(url, { ca, agent: false, headers, method: form === undefined ? 'GET' : 'POST' }, (response) => {
      for (const line of response.headers['set-cookie'] ?? []) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
        jar.set(name!, value!);
      }
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () => done({ status: response.statusCode!, headers: response.headers, body }));
    });
    request.on('error', failed).end(form);
  });
}
