/** The real server with TLS, on the database of a test. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent, request, type RequestOptions } from 'node:https';
import { writeFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { loadConfig } from '../../src/kernel/config.ts';
import { serve, type Running } from '../../src/serve.ts';
import type { TestCorral } from '../support/corral.ts';
import type { Leaf, TestCa } from './ca.ts';

/** The key of both servers. */
export const KEY = Buffer.alloc(32, 7).toString('base64');

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export interface AskOptions {
  readonly leaf?: Leaf;
  readonly token?: string;
  readonly method?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  /** Keeps its connection. */
  readonly agent?: Agent;
  /** Of the last versions of TLS. */
  readonly tls?: RequestOptions;
}

export interface TlsRig {
  readonly url: string;
  readonly port: number;
  readonly running: Running;
  readonly paths: { readonly cert: string; readonly key: string; readonly ca: string; readonly crl: string };
  ask(path: string, options?: AskOptions): Promise<Answer>;
  /** An answer that goes on, as soon as its head is there. */
  open(path: string, options?: AskOptions): Promise<IncomingMessage>;
}

/** Puts a file in its place in one go. */
export function put(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export async function tlsRig(
  corral: TestCorral,
  ca: TestCa,
  { env = {}, lists = true }: { env?: Record<string, string>; lists?: boolean } = {},
): Promise<TlsRig> {
  const at = (name: string): string => join(ca.folder, name);
  const paths = { cert: at('server.pem'), key: at('server.key'), ca: at('client-ca.pem'), crl: at('client-crl.pem') };
  const server = ca.leaf('corral.example.net', { names: ['DNS:corral.example.net', 'IP:127.0.0.1'] });
  put(paths.cert, server.cert + ca.signing);
  put(paths.key, server.key);
  put(paths.ca, ca.bundle);
  put(paths.crl, ca.crl());
  const { config } = loadConfig({
    CORRAL_DATA: ca.folder,
    DATABASE_URL: corral.databaseUrl,
    CORRAL_ENCRYPTION_KEY: KEY,
    CORRAL_LOG_LEVEL: 'silent',
    CORRAL_DEMO: '0',
    PORT: '0',
    CORRAL_TLS_CERT: paths.cert,
    CORRAL_TLS_KEY: paths.key,
    CORRAL_TLS_CLIENT_CA: paths.ca,
    ...(lists ? { CORRAL_TLS_CRL: paths.crl } : {}),
    ...env,
  });
  const running = await serve(config);
  let stopped = false;
  const { stop } = running;
  const rig = { ...running, stop: async () => ((stopped = true), stop()) };
  afterAll(async () => {
    if (!stopped) await stop();
  });
  const { url } = running;
  const port = Number(new URL(url).port);
  const root = ca.bundle.split(/(?<=-----END CERTIFICATE-----\n)/).at(-2)! + ca.bundle;
  const open = (
    path: string,
    { leaf, token, method = 'GET', body, headers = {}, agent = new Agent({ maxCachedSessions: 0 }), tls = {} }: AskOptions = {},
  ): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const data = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
      const options = {
        method,
        agent: url.startsWith('https') ? agent : undefined,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(data === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(data) }),
          ...headers,
        },
        ca: root,
        ...(leaf ? { cert: leaf.cert, key: leaf.key } : {}),
        ...tls,
      };
      const sent = (url.startsWith('https') ? request : httpRequest)(`${url}${path}`, options, resolve);
      sent.once('error', reject);
      sent.end(data);
    });
  return {
    url,
    port,
    running: rig,
    paths,
    open,
    ask: async (path, options) => {
      const answer = await open(path, options);
      let text = '';
      for await (const chunk of answer.setEncoding('utf8')) text += String(chunk);
      return { status: answer.statusCode!, headers: answer.headers, body: text };
    },
  };
}

/** Waits until something is so. */
export async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('it did not come to be');
}
