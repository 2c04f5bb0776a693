/** What stands between the hosts and Corral in a run: passes everything on, spoils documents, or is not there at all. */
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

type Mapping = Record<string, unknown>;

export interface Proxy {
  readonly url: string;
  /** Changes the documents that pass; the ETag goes with them, so that caches do not help. */
  spoil: ((document: Mapping) => unknown) | undefined;
  /** Refuses connections, as a host does whose service is down, and ends those that are open. */
  close(): Promise<void>;
  open(): Promise<void>;
}

/** Starts a proxy to `target` that listens on this address. */
export async function startProxy(target: string, address: string): Promise<Proxy> {
  let port = 0;
  const server = http.createServer((request, response) => {
    void pass(proxy, target, request, response).catch(() => response.destroy());
  });
  const open = async (): Promise<void> => {
    await new Promise<void>((done, failed) => server.once('error', failed).listen(port, address, done));
    port = (server.address() as AddressInfo).port;
  };
  const close = async (): Promise<void> => {
    const closed = new Promise((done) => server.close(done));
    server.closeAllConnections();
    await closed;
  };
  await open();
  const proxy: Proxy = { url: `http://${address}:${port}`, spoil: undefined, close, open };
  return proxy;
}

const DOCUMENT = /^\/(?:documents|enc|hiera|pillar|tops)\/[^/]+$/;

async function pass(proxy: Proxy, target: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { spoil } = proxy;
  const path = request.url ?? '/';
  const spoiled = spoil !== undefined && request.method === 'GET' && DOCUMENT.test(path);
  const headers = { ...request.headers };
  if (spoiled) delete headers['if-none-match'];
  const upstream = http.request(new URL(path, target), { method: request.method, headers, agent: false });
  request.pipe(upstream);
  response.once('close', () => upstream.destroy());
  const answer = await new Promise<IncomingMessage>((done, failed) => upstream.once('response', done).once('error', failed));
  if (!spoiled || answer.statusCode !== 200) {
    response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
    response.flushHeaders();
    answer.pipe(response);
    return;
  }
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  const body = Buffer.from(JSON.stringify(spoil(JSON.parse(Buffer.concat(chunks).toString()) as Mapping)));
  const { 'content-length': _length, etag: _etag, 'transfer-encoding': _encoding, ...rest } = answer.headers;
  response.writeHead(200, { ...rest, 'content-length': body.length, etag: `"${body.length}-spoiled"` });
  response.end(body);
}
