/**
 * A document server that can go wrong in every way that a consumer has to survive.
 *
 *   const server = await startFaultServer({ documents: { 'hv1.example.net': document }, tls: true });
 *   await server.setMode('truncated');
 *   ... run a consumer against server.url with server.token and server.caFile ...
 *   expect(server.requests).toHaveLength(1);
 *   await server.close();
 *
 * In the mode `good` it keeps the contract of the API's document routes: /documents/:n, /enc/:n,
 * /hiera/:n, /pillar/:n, /tops/:n, strong ETags, 304, Bearer tokens, problem details. It takes what is
 * posted to /reports/puppet and /reports/salt.
 */
import { execFileSync } from 'node:child_process';
import { createHash, timingSafeEqual } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

/** What each mode does with a request that would otherwise have been answered well. */
export const FAULTS = {
  good: 'answers as Corral does',
  refused: 'the port is closed',
  hang: 'accepts the connection and never answers',
  drip: 'sends the headers, then the body one byte every 0.2 s, within any read timeout',
  'drip-head': 'sends even the status line one byte every 0.2 s',
  'tls-error': 'presents a certificate of an unknown authority (with tls only)',
  '401': 'says that the token is bad',
  '403': 'says that the token is for another node',
  '404': 'says that there is no such node',
  '410': 'says that the node is deactivated',
  '500': 'says that it failed',
  truncated: 'closes the connection in the middle of the body',
  cut: 'sends half of the JSON with a Content-Length that agrees',
  'not-a-mapping': 'answers 200 with a JSON list',
  'other-node': "answers with another node's document",
  'unknown-environment': 'answers with an environment that the consumer does not have',
} as const;

export type FaultMode = keyof typeof FAULTS;
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Mapping = { [key: string]: Json };

/** One node's document; enc and hiera are for Puppet, pillar and tops for Salt. */
export interface FaultDocument {
  node: string;
  version: string;
  manager?: 'puppet' | 'salt';
  enc?: Mapping;
  hiera?: Mapping;
  pillar?: Mapping;
  tops?: Mapping;
}

export interface FaultRequest {
  method: string;
  path: string;
  headers: http.IncomingHttpHeaders;
  mode: FaultMode;
  /** 0 until an answer went out, and for good when none does. */
  status: number;
}

export interface FaultServer {
  url: string;
  token: string;
  /** Files for a consumer's configuration; undefined without tls. */
  caFile: string | undefined;
  clientCertFile: string | undefined;
  clientKeyFile: string | undefined;
  /** Change it to change what is served; the next request sees it. */
  documents: Record<string, FaultDocument>;
  /** What was posted in the mode `good`, in its order, since the last reset(): JSON as text. */
  reports: { path: string; body: string }[];
  /** Every request that arrived since the last reset(), the refused ones excepted. */
  requests: FaultRequest[];
  mode: FaultMode;
  setMode(mode: FaultMode): Promise<void>;
  /** Forget the requests and go back to `good`. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

export interface FaultOptions {
  documents: Record<string, FaultDocument>;
  /** true: HTTPS with a fresh authority. requireClientCert: refuse clients without its certificate. */
  tls?: boolean | { requireClientCert: boolean };
  /** The token that every request must carry. */
  token?: string;
  host?: string;
  /** 0 or none: any free port. It stays the same over `refused`. */
  port?: number;
}

interface Reply {
  status: number;
  headers: Record<string, string>;
  body: string;
}

const DRIP_MS = 200;
const OTHER_NODE = 'other.example.net';
const UNKNOWN_ENVIRONMENT = 'nosuchenvironment';
const PROBLEMS: Record<string, [code: string, title: string]> = {
  '400': ['bad_request', 'The request is wrong'],
  '401': ['unauthenticated', 'The token is missing or unknown'],
  '403': ['forbidden', 'This token is for another node'],
  '404': ['not_found', 'There is no such node'],
  '410': ['deactivated', 'The node is deactivated'],
  '500': ['internal', 'Something went wrong here'],
};

export async function startFaultServer(options: FaultOptions): Promise<FaultServer> {
  const host = options.host ?? '127.0.0.1';
  const token = options.token ?? 'fault-server-token';
  const certificates = options.tls ? makeCertificates(host) : undefined;
  const sockets = new Set<Socket>();
  const timers = new Set<NodeJS.Timeout>();

  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const record: FaultRequest = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: { ...request.headers },
      mode: self.mode,
      status: 0,
    };
    self.requests.push(record);
    if (self.mode === 'hang') return;
    // An answer of 304 has no body to spoil.
    if (self.mode !== 'good') delete request.headers['if-none-match'];
    const answerWith = (reply: Reply): void => {
      if (reply.status === 200) spoilBody(reply, self.mode);
      record.status = reply.status;
      send(request, response, reply, self.mode, timers);
    };
    if (isProblem(self.mode)) answerWith(problem(self.mode));
    else if (request.method === 'POST') {
      const { mode } = self;
      const take = async (): Promise<void> => {
        const body = await text(request);
        const reply = postReply(request, token);
        if (reply.status === 200 && mode === 'good') self.reports.push({ path: record.path, body });
        answerWith(reply);
      };
      // A client that goes away in the middle has posted nothing.
      take().catch(() => undefined);
    } else answerWith(goodReply(request, spoil(self.documents, self.mode), token));
  };

  const server =
    certificates === undefined
      ? http.createServer(answer)
      : https.createServer(
          {
            ...certificates.known,
            ca: certificates.ca,
            requestCert: typeof options.tls === 'object' && options.tls.requireClientCert,
            rejectUnauthorized: true,
          },
          answer,
        );
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  // A client that goes away in the middle of a handshake is what these tests are about.
  server.on('tlsClientError', () => undefined);

  const listen = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
  const hangUp = (): void => {
    for (const timer of timers) clearInterval(timer);
    timers.clear();
    for (const socket of sockets) socket.destroy();
  };
  const stopListening = (): Promise<void> =>
    new Promise((resolve) => {
      if (!server.listening) return resolve();
      server.close(() => resolve());
      hangUp();
    });

  await listen(options.port ?? 0);
  const { port } = server.address() as AddressInfo;
  const self: FaultServer = {
    url: `${certificates ? 'https' : 'http'}://${host}:${port}`,
    token,
    caFile: certificates?.caFile,
    clientCertFile: certificates?.clientCertFile,
    clientKeyFile: certificates?.clientKeyFile,
    documents: options.documents,
    reports: [],
    requests: [],
    mode: 'good',
    async setMode(mode) {
      if (mode === 'tls-error' && certificates === undefined) {
        throw new Error('the mode tls-error needs startFaultServer({ tls: true })');
      }
      hangUp();
      self.mode = mode;
      if (certificates && server instanceof https.Server) {
        server.setSecureContext({
          ...(mode === 'tls-error' ? certificates.unknown : certificates.known),
          ca: certificates.ca,
        });
      }
      if (mode === 'refused') await stopListening();
      else if (!server.listening) await listen(port);
    },
    async reset() {
      await self.setMode('good');
      self.requests.length = 0;
      self.reports.length = 0;
    },
    async close() {
      hangUp();
      await stopListening();
      certificates?.remove();
    },
  };
  return self;
}

function isProblem(mode: FaultMode): boolean {
  return mode in PROBLEMS;
}

function problem(status: string, detail?: string): Reply {
  const [code, title] = PROBLEMS[status] ?? ['unknown', 'Unknown'];
  const body = JSON.stringify({
    type: `https://corral.example/problems/${code}`,
    title,
    status: Number(status),
    code,
    detail: detail ?? `${title}.`,
  });
  const headers: Record<string, string> = { 'Content-Type': 'application/problem+json' };
  if (status === '401') headers['WWW-Authenticate'] = 'Bearer';
  return { status: Number(status), headers, body };
}

/** The documents as a server with this fault has them. */
function spoil(documents: Record<string, FaultDocument>, mode: FaultMode): Record<string, FaultDocument> {
  if (mode !== 'other-node' && mode !== 'unknown-environment') return documents;
  const spoilt = structuredClone(documents);
  for (const document of Object.values(spoilt)) {
    if (mode === 'other-node') {
      document.node = OTHER_NODE;
      const parameters = document.enc?.['parameters'];
      if (isMapping(parameters)) parameters['corral_node'] = OTHER_NODE;
      if (document.hiera) document.hiera['corral::node'] = OTHER_NODE;
      const corral = document.pillar?.['corral'];
      if (isMapping(corral)) corral['node'] = OTHER_NODE;
    } else {
      if (document.enc) document.enc['environment'] = UNKNOWN_ENVIRONMENT;
      if (document.tops) {
        document.tops = { [UNKNOWN_ENVIRONMENT]: Object.values(document.tops).flat() };
      }
    }
  }
  return spoilt;
}

function spoilBody(reply: Reply, mode: FaultMode): void {
  if (mode === 'not-a-mapping') reply.body = JSON.stringify(['not', 'a', 'mapping']);
  if (mode === 'cut') reply.body = reply.body.slice(0, reply.body.length / 2);
}

function goodReply(request: IncomingMessage, documents: Record<string, FaultDocument>, token: string): Reply {
  if (!sameText(request.headers.authorization ?? '', `Bearer ${token}`)) return problem('401');
  const [, kind = '', name = '', ...rest] = (request.url ?? '').split('?')[0]!.split('/');
  if (request.method !== 'GET' || rest.length > 0) return problem('400');
  const node = decodeURIComponent(name);
  const document = Object.hasOwn(documents, node) ? documents[node] : undefined;
  const data = document && part(document, kind);
  // Hiera asks for scopes that need not exist; everyone else wants to know.
  if (document === undefined && kind === 'hiera') return json({}, {});
  if (document === undefined || data === undefined) return problem('404', `There is no node ${node}.`);
  const reply = json(data, { 'Corral-Document': document.version, 'Corral-Node': document.node });
  if (request.headers['if-none-match'] === reply.headers['ETag']) return { ...reply, status: 304, body: '' };
  return reply;
}

function postReply(request: IncomingMessage, token: string): Reply {
  if (!sameText(request.headers.authorization ?? '', `Bearer ${token}`)) return problem('401');
  return /^\/reports\/(puppet|salt)$/.test(request.url ?? '') ? json({}, {}) : problem('404');
}

function part(document: FaultDocument, kind: string): Mapping | undefined {
  const { node, version, manager = 'puppet', enc, hiera, pillar, tops } = document;
  switch (kind) {
    case 'documents':
      return { node, version, manager, ...(enc && { enc }), ...(hiera && { hiera }) };
    case 'enc':
      return enc;
    case 'hiera':
      return hiera;
    case 'pillar':
      return pillar;
    case 'tops':
      return tops;
    default:
      return undefined;
  }
}

function json(data: Mapping, headers: Record<string, string>): Reply {
  const body = JSON.stringify(data);
  const etag = `"${createHash('sha256').update(body).digest('hex').slice(0, 32)}"`;
  return { status: 200, headers: { ...headers, 'Content-Type': 'application/json', ETag: etag }, body };
}

function send(request: IncomingMessage, response: ServerResponse, reply: Reply, mode: FaultMode, timers: Set<NodeJS.Timeout>): void {
  const body = Buffer.from(reply.body);
  const headers = { ...reply.headers, 'Content-Length': String(body.length) };
  if (mode === 'drip-head') {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const head = Buffer.from(`HTTP/1.1 ${reply.status} Answer\r\n${lines.join('')}\r\n`);
    drip(request.socket, Buffer.concat([head, body]), timers);
    return;
  }
  response.writeHead(reply.status, headers);
  if (mode === 'truncated') {
    response.write(body.subarray(0, body.length / 2), () => request.socket.destroy());
  } else if (mode === 'drip') {
    response.flushHeaders();
    drip(response, body, timers);
  } else {
    response.end(body);
  }
}

function drip(to: ServerResponse | Socket, bytes: Buffer, timers: Set<NodeJS.Timeout>): void {
  let sent = 0;
  const stop = (): void => {
    clearInterval(timer);
    timers.delete(timer);
  };
  const timer = setInterval(() => {
    if (sent < bytes.length) to.write(bytes.subarray(sent, ++sent));
    else {
      stop();
      to.end();
    }
  }, DRIP_MS);
  timers.add(timer);
  to.once('close', stop);
}

function isMapping(value: Json | undefined): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function sameText(a: string, b: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}

/** Two authorities, only one of which a consumer is told; Node itself cannot make certificates. */
function makeCertificates(host: string) {
  const folder = mkdtempSync(join(tmpdir(), 'corral-faults-'));
  const file = (name: string): string => join(folder, name);
  const make = (name: string, subject: string, ...more: string[]): void => {
    // puppetserver's JRuby presents no client certificate with an EC key.
    const kind = name === 'client' ? ['rsa:2048'] : ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
    const key = ['-newkey', ...kind, '-noenc'];
    const out = ['-keyout', file(`${name}.key`), '-out', file(`${name}.pem`)];
    const args = ['req', '-x509', ...key, ...out, '-days', '2', '-subj', `/CN=${subject}`, ...more];
    execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  };
  const signedBy = (ca: string, extension: string): string[] => {
    const leaf = ['-addext', 'basicConstraints=critical,CA:FALSE', '-addext', extension];
    return ['-CA', file(`${ca}.pem`), '-CAkey', file(`${ca}.key`), ...leaf];
  };
  const names = `subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost,IP:${host}`;
  make('ca', 'Corral test authority');
  make('unknown-ca', 'Unknown test authority');
  make('known', 'localhost', ...signedBy('ca', names));
  make('unknown', 'localhost', ...signedBy('unknown-ca', names));
  make('client', 'puppet.example.net', ...signedBy('ca', 'extendedKeyUsage=clientAuth'));
  const pair = (name: string) => ({
    cert: readFileSync(file(`${name}.pem`)),
    key: readFileSync(file(`${name}.key`)),
  });
  return {
    ca: readFileSync(file('ca.pem')),
    known: pair('known'),
    unknown: pair('unknown'),
    caFile: file('ca.pem'),
    clientCertFile: file('client.pem'),
    clientKeyFile: file('client.key'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
