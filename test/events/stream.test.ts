import { randomBytes } from 'node:crypto';
import { IncomingMessage, ServerResponse } from 'node:http';
import { connect, Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { serveEvents } from '../../src/events/stream.ts';
import { ADMIN, testCorral } from '../support/corral.ts';
import { call, documentNumbers, hypervisors } from '../modules/fleet.ts';
import { listen, type Stream } from './listen.ts';

const env = { CORRAL_ENCRYPTION_KEY: randomBytes(32).toString('base64'), CORRAL_CONVERGE_RATE: '2' };
const one = await testCorral(env, { keepAlive: 200 });
const two = await testCorral({ ...env, DATABASE_URL: one.databaseUrl });
await hypervisors(one, 4);

const HV = 'hv1.example.com';
const open: Stream[] = [];
const follow = async (...args: Parameters<typeof listen>): Promise<Stream> => {
  const stream = await listen(...args);
  open.push(stream);
  return stream;
};
afterEach(() => {
  for (const stream of open.splice(0)) stream.close();
});

const version = async (node = HV): Promise<string> => (await one.request(`/enc/${node}`)).headers.get('corral-document')!;
let racks = 0;
const change = (node = HV, corral = one) => call(corral, 'PATCH', `/api/v1/nodes/${node}`, { location: `Rack ${++racks}` });
/** Waits until a process listens. */
const listening = async (): Promise<number[]> => {
  for (;;) {
    const { rows } = await one.pool.query<{ pid: number }>(
      `select pid from pg_stat_activity where application_name = 'corral-events' and datname = current_database()`,
    );
    if (rows.length > 0) return rows.map((row) => row.pid);
    await sleep(10);
  }
};

test('a watcher hears the current version at once, and a change through another process right after its commit', async () => {
  const stream = await follow(two, HV);
  expect((await stream.until(1)).data).toEqual({ version: await version(), spread: 0 });
  await listening();
  for (let i = 2; i <= 4; i++) {
    expect((await change()).status).toBe(200);
    const committed = performance.now();
    const event = await stream.until(i);
    expect([event.id, event.data.version]).toEqual([await version(), await version()]);
    expect(event.at - committed).toBeLessThan(300);
  }
});

test('it hears its own node only, and nothing of a change that alters no document', async () => {
  const stream = await follow(one, HV);
  await stream.until(1);
  await change('hv2.example.com');
  await call(two, 'PATCH', '/api/v1/sites/fra1', { description: 'no host sees it' });
  await change();
  await stream.until(2);
  await sleep(100);
  expect(stream.events.map((event) => event.id)).toEqual([expect.any(String), await version()]);
});

test('Last-Event-ID: nothing comes where it is the current version, the newest where it is not', async () => {
  const before = await version();
  const current = await follow(one, HV, { last: before });
  await sleep(300);
  expect([current.status, current.events]).toEqual([200, []]);
  await change();
  expect((await current.until(1)).id).toBe(await version());
  await change();
  const behind = await follow(one, HV, { last: before });
  expect((await behind.until(1)).id).toBe(await version());
  await sleep(50);
  expect(behind.events).toHaveLength(1);
});

test('a change of many documents spreads their hosts: hosts by rate, in whole seconds; one of few does not', async () => {
  const streams = await Promise.all([1, 2, 3, 4].map((i) => follow(one, `hv${i}.example.com`)));
  await Promise.all(streams.map((stream) => stream.until(1)));
  await call(two, 'PATCH', '/api/v1/sites/fra1', { name: `fra${randomBytes(2).toString('hex')}` });
  expect((await Promise.all(streams.map((stream) => stream.until(2)))).map((event) => event.data.spread)).toEqual([2, 2, 2, 2]);
  await change();
  expect((await streams[0]!.until(3)).data.spread).toBe(0);
});

test('tokens as with documents: a node token its own node, a reader any; 401, 403, 404, 406, 410, 405', async () => {
  const token = async (kind: string, node?: string): Promise<string> =>
    String((await call(one, 'POST', '/api/v1/tokens', { name: `t-${randomBytes(4).toString('hex')}`, kind, ...(node ? { node } : {}) })).body['token']);
  const own = await token('node', HV);
  for (const each of [own, await token('reader'), ADMIN]) expect((await (await follow(one, HV, { token: each })).until(1)).id).toBe(await version());
  const status = async (path: string, init: RequestInit & { token?: string | null } = {}): Promise<number> => {
    const answer = await one.request(path, init);
    await answer.body?.cancel();
    return answer.status;
  };
  expect(await status('/documents/hv2.example.com/events', { token: own })).toBe(403);
  expect(await status(`/documents/${HV}/events`, { token: null })).toBe(401);
  expect(await status(`/documents/${HV}/events`, { token: 'corral_node_unknown' })).toBe(401);
  expect(await status('/documents/none.example.com/events')).toBe(404);
  expect(await status(`/documents/${HV}/other`)).toBe(404);
  expect(await status(`/documents/${HV}/events`, { headers: { accept: 'application/json' } })).toBe(406);
  expect(await status(`/documents/${HV}/events`, { method: 'POST' })).toBe(405);
  expect(await status(`/documents/${HV}/events`, { method: 'HEAD' })).toBe(200);
  await call(one, 'PATCH', '/api/v1/nodes/hv4.example.com', { state: 'deactivated' });
  expect(await status('/documents/hv4.example.com/events')).toBe(410);
});

test('the stream of a token that was deleted, or of a node that was deactivated or deleted, ends by itself', async () => {
  const made = await call(one, 'POST', '/api/v1/tokens', { name: 'short', kind: 'node', node: HV });
  const stream = await follow(one, HV, { token: String(made.body['token']) });
  await stream.until(1);
  await call(two, 'DELETE', '/api/v1/tokens/short');
  await stream.ended;
  const off = await follow(one, 'hv3.example.com');
  await off.until(1);
  await call(two, 'PATCH', '/api/v1/nodes/hv3.example.com', { state: 'deactivated' });
  await off.ended;
  await one.make('node', {
    fqdn: 'mon1.example.com',
    site: 1,
    roles: { ceph_mon: { ceph_cluster: (await one.make('ceph_cluster', { name: 'c', public_network: '192.0.2.0/24' }))['id'] } },
  });
  const gone = await follow(one, 'mon1.example.com');
  await gone.until(1);
  expect((await call(two, 'DELETE', '/api/v1/nodes/mon1.example.com')).status).toBe(204);
  await gone.ended;
});

test('a quiet stream gets comments, and says when to come back', async () => {
  const stream = await follow(one, HV);
  await sleep(700);
  expect(stream.text()).toMatch(/^retry: \d+\n\n/);
  expect(stream.text().match(/^: keep-alive$/gm)!.length).toBeGreaterThanOrEqual(2);
});

test('when PostgreSQL ends the listening connection it is opened again, and what came in between is told', async () => {
  /* A process of its own, so that comments do not hide what the hub does. */
  const three = await testCorral({ ...env, DATABASE_URL: one.databaseUrl });
  const stream = await follow(three, HV);
  const before = (await stream.until(1)).id;
  await listening();
  const client = new pg.Client({ connectionString: one.databaseUrl });
  await client.connect();
  for (let round = 2; round <= 4; round++) {
    const pids = await listening();
    await client.query('begin');
    await client.query('select pg_terminate_backend(pid) from unnest($1::int[]) as x (pid)', [pids]);
    await client.query('commit');
    /* Nobody listens now. */
    await change();
    expect((await stream.until(round)).id).toBe(await version());
  }
  await client.end();
  expect(stream.events[0]!.id).toBe(before);
});

test('a reader that does not read holds nobody up', async () => {
  const { hostname, port } = new URL(two.base);
  const stuck = Array.from({ length: 20 }, () => {
    const socket = connect(Number(port), hostname);
    socket.on('error', () => undefined);
    socket.write(`GET /documents/${HV}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN}\r\n\r\n`);
    socket.pause();
    return socket;
  });
  const stream = await follow(two, HV);
  await stream.until(1);
  for (let i = 2; i < 12; i++) {
    await change();
    const committed = performance.now();
    expect((await stream.until(i)).at - committed).toBeLessThan(500);
  }
  for (const socket of stuck) socket.destroy();
});

test('a reader whose buffer stays full is cut off', async () => {
  /* A socket that takes nothing, behind a real response. */
  const full = new Duplex({ highWaterMark: 16, read: () => undefined, write: () => undefined });
  const request = new IncomingMessage(Object.assign(full, { setKeepAlive: () => full }) as unknown as Socket);
  Object.assign(request, { method: 'GET', headers: { authorization: `Bearer ${ADMIN}` } });
  const response = new ServerResponse(request);
  response.assignSocket(full as unknown as Socket);
  const before = one.hub.size;
  await serveEvents({ hub: one.hub, documents: one.documents, pool: one.pool }, request, response, HV, 'x');
  expect(response.destroyed).toBe(true);
  await sleep(10);
  expect(one.hub.size).toBe(before);
});

test('draining ends the streams, each told to come back at another time, and lets nobody in', async () => {
  const four = await testCorral({ ...env, DATABASE_URL: one.databaseUrl });
  const streams = await Promise.all(Array.from({ length: 5 }, () => follow(four, HV)));
  await Promise.all(streams.map((stream) => stream.until(1)));
  expect(four.hub.size).toBe(5);
  four.hub.drain();
  await Promise.all(streams.map((stream) => stream.ended));
  expect(four.hub.size).toBe(0);
  const last = streams.map((stream) => Number(/retry: (\d+)\n\n$/.exec(stream.text())![1]));
  expect(new Set(last).size).toBeGreaterThan(1);
  const refused = await four.request(`/documents/${HV}/events`);
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '2']);
  expect(Object.keys(await documentNumbers(four)).length).toBeGreaterThan(2);
});
