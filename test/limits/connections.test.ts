import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/kernel/config.ts';
import { Proxies } from '../../src/kernel/proxy.ts';
import { limitConnections, type ConnectionLimits } from '../../src/limits/connections.ts';
import { serve } from '../../src/serve.ts';
import { authority } from '../auth/ldap/certificates.ts';
import { testCorral } from '../support/corral.ts';

const folder = mkdtempSync(join(tmpdir(), 'corral-connections-'));
afterAll(() => rmSync(folder, { recursive: true }));
const certificate = authority(folder, 'ca').issue('localhost', 'DNS:localhost');

const servers: Server[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
});

/** A connection on which nothing is sent. @returns whether the server lets it be */
async function open(port: number, from = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: from });
  socket.on('error', () => undefined);
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}
const isClosed = (socket: Socket): Promise<unknown> => {
  socket.resume();
  return expect.poll(() => socket.closed).toBe(true);
};
const count = (server: Server): Promise<number> => new Promise((done, failed) => server.getConnections((error, n) => (error ? failed(error) : done(n))));

describe.each(['HTTP', 'TLS'])('connections with %s', (kind) => {
  async function listening(limits: ConnectionLimits, proxies: readonly string[] = []): Promise<{ server: Server; port: number; warnings: string[] }> {
    const tls = { key: readFileSync(certificate.key), cert: readFileSync(certificate.cert) };
    const server = kind === 'TLS' ? createTlsServer(tls) : createServer();
    const warnings: string[] = [];
    limitConnections(server, limits, new Proxies(proxies), (message) => warnings.push(message));
    server.listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    return { server, port: (server.address() as AddressInfo).port, warnings };
  }

  test('from one address are limited, and leave others alone; who goes makes room', async () => {
    const { server, port, warnings } = await listening({ all: 0, address: 3 });
    const mine = [await open(port), await open(port), await open(port)];
    for (let i = 0; i < 20; i++) await isClosed(await open(port));
    const other = await open(port, '127.0.0.2');
    await expect.poll(() => count(server)).toBe(4);
    expect([...mine, other].map(({ closed }) => closed)).toEqual([false, false, false, false]);
    expect(warnings).toEqual(['connections from 127.0.0.1 are refused: there are 3, as CORRAL_CONNECTIONS_ADDRESS allows']);
    mine[0]!.destroy();
    await expect.poll(() => count(server)).toBe(3);
    const again = await open(port);
    await expect.poll(() => count(server)).toBe(4);
    expect(again.closed).toBe(false);
    await isClosed(await open(port));
  });

  test('from a trusted proxy are those of many', async () => {
    const { server, port } = await listening({ all: 0, address: 2 }, ['127.0.0.2']);
    for (let i = 0; i < 5; i++) await open(port, '127.0.0.2');
    await expect.poll(() => count(server)).toBe(5);
  });

  test('are limited together', async () => {
    const { server, port, warnings } = await listening({ all: 4, address: 0 });
    const held: Socket[] = [];
    for (let i = 1; i <= 4; i++) held.push(await open(port, `127.0.0.${i}`));
    await expect.poll(() => count(server)).toBe(4);
    for (let i = 5; i <= 12; i++) await isClosed(await open(port, `127.0.0.${i}`));
    expect(held.every(({ closed }) => !closed)).toBe(true);
    expect(warnings).toEqual(['connections are refused: there are 4, as CORRAL_CONNECTIONS allows']);
  });

  test('may be any number', async () => {
    const { server, port } = await listening({ all: 0, address: 0 });
    for (let i = 0; i < 50; i++) await open(port);
    await expect.poll(() => count(server)).toBe(50);
  });
});

test('corral serve takes the limits from its settings, and serves on', async () => {
  const corral = await testCorral();
  const { config } = loadConfig({
    CORRAL_DATA: mkdtempSync(join(folder, 'data-')),
    DATABASE_URL: corral.databaseUrl,
    CORRAL_LOG_LEVEL: 'silent',
    CORRAL_DEMO: '0',
    PORT: '0',
    CORRAL_CONNECTIONS_ADDRESS: '3',
  });
  const running = await serve(config);
  try {
    const port = Number(new URL(running.url).port);
    const held = [await open(port), await open(port), await open(port)];
    await isClosed(await open(port));
    await expect(fetch(`${running.url}/healthz`)).rejects.toThrow('fetch failed');
    held[0]!.destroy();
    await expect
      .poll(() =>
        fetch(`${running.url}/healthz`).then(
          ({ status }) => status,
          () => 0,
        ),
      )
      .toBe(200);
  } finally {
    await running.stop();
  }
});

test('who says nothing at all, or waits without an end, is cut off', async () => {
  const corral = await testCorral({}, { timeouts: { headersTimeout: 300, requestTimeout: 600, connectionsCheckingInterval: 50, quiet: 400 } });
  const port = Number(new URL(corral.base).port);
  await isClosed(await open(port));
  /* An answer under way on which nothing goes: a watch whose comments come later than that. */
  const answer = await corral.request('/watch');
  await expect(answer.text()).rejects.toThrow();
});
