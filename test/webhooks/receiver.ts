/** A receiver of webhooks, for tests. */
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import { createServer as createSecure } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect } from 'vitest';
import type { Change } from '../../src/db/changes.ts';

export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly change: Change;
  readonly path: string;
}

/** A status, with headers; 'hang': no answer, ever. */
export type Reply = number | 'hang' | { readonly status: number; readonly headers: Record<string, string> };

export interface Receiver {
  readonly url: string;
  readonly port: number;
  readonly received: Received[];
  /** Numbers of the changes that came, in their order. */
  numbers(path?: string): number[];
  /** What it answers. */
  reply: (one: Received) => Reply;
  until(count: number, milliseconds?: number): Promise<Received>;
}

export async function receiver(tls?: { readonly key: string; readonly cert: string }, host = '127.0.0.1'): Promise<Receiver> {
  const listener: RequestListener = (request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      const one = { headers: request.headers, body, change: JSON.parse(body) as Change, path: request.url! };
      made.received.push(one);
      const reply = made.reply(one);
      if (reply === 'hang') return;
      const { status, headers } = typeof reply === 'number' ? { status: reply, headers: {} } : reply;
      response.writeHead(status, headers).end('thanks');
    });
  };
  const server = tls ? createSecure(tls, listener) : createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as { port: number };
  const made: Receiver = {
    url: `${tls ? 'https' : 'http'}://${host}:${port}/hook`,
    port,
    received: [],
    numbers: (path) => made.received.filter((one) => path === undefined || one.path === path).map((one) => one.change.number),
    reply: () => 204,
    until: async (count, milliseconds = 20_000) => {
      for (const end = performance.now() + milliseconds; made.received.length < count;) {
        if (performance.now() > end) expect.fail(`${made.received.length} of ${count} requests came`);
        await sleep(5);
      }
      return made.received[count - 1]!;
    },
  };
  return made;
}

/** Whether a request is signed with a secret, by Web Crypto and the specification. */
export async function verified({ headers, body }: Pick<Received, 'headers' | 'body'>, secret: string): Promise<boolean> {
  const raw = Uint8Array.from(atob(secret.slice('whsec_'.length)), (char) => char.charCodeAt(0));
  const key = await crypto.subtle.importKey('raw', raw, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']);
  const text = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`;
  const [version, signature] = String(headers['webhook-signature']).split(',');
  const bytes = Uint8Array.from(atob(signature!), (char) => char.charCodeAt(0));
  return version === 'v1' && crypto.subtle.verify('HMAC', key, bytes, new TextEncoder().encode(text));
}
