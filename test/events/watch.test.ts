import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { call, refuses } from '../modules/fleet.ts';
import { range, watch } from './follow.ts';

const env = { CORRAL_ENCRYPTION_KEY: randomBytes(32).toString('base64') };
const one = await testCorral(env, { keepAlive: 200 });
const two = await testCorral({ ...env, DATABASE_URL: one.databaseUrl });

const newest = async (): Promise<number> => Number((await one.pool.query<{ n: string | null }>('select max(number) as n from change')).rows[0]!.n ?? 0);
let sites = 0;
const site = async (corral = one): Promise<string> => {
  const name = `s${++sites}`;
  expect((await call(corral, 'POST', '/api/v1/sites', { name })).status).toBe(201);
  return name;
};
const count = async (corral: typeof one): Promise<number> => {
  for (let size = corral.hub.size; ; size = corral.hub.size) {
    await sleep(50);
    if (corral.hub.size === size) return size;
  }
};

test('each change comes once with its number, who made it, and its rows, to watchers of both processes', async () => {
  const before = await newest();
  const watchers = [await watch(one), await watch(two), await watch(two, { accept: 'application/x-ndjson' })];
  expect(watchers.map((watcher) => [watcher.status, watcher.headers['corral-change']])).toEqual(range(1, 3).map(() => [200, String(before)]));
  expect(watchers.map((watcher) => watcher.headers['content-type'])).toEqual(['text/event-stream', 'text/event-stream', 'application/x-ndjson']);
  const name = await site();
  await call(two, 'PATCH', `/api/v1/sites/${name}`, { description: 'Another' });
  await call(one, 'DELETE', `/api/v1/sites/${name}`);
  for (const watcher of watchers) {
    await watcher.until(3);
    expect(watcher.numbers()).toEqual(range(before + 1, before + 3));
    expect(watcher.seen.map(({ change }) => [change.number, change.rows.map((row) => [row.noun, row.op])])).toEqual(
      ['create', 'update', 'delete'].map((op, i) => [before + 1 + i, [['site', op]]]),
    );
    expect(watcher.seen[1]!.change.rows[0]!.after).toEqual({ description: 'Another' });
  }
});

test('since and Last-Event-ID resume without a gap and without a repetition; the header wins', async () => {
  const before = await newest();
  for (let i = 0; i < 4; i++) await site();
  expect(await (await watch(two, { query: `?since=${before}` })).until(4)).toMatchObject({ number: before + 4 });
  const resumed = await watch(one, { query: '?since=0', last: before + 2 });
  await resumed.until(2);
  await sleep(100);
  expect(resumed.numbers()).toEqual([before + 3, before + 4]);
  const all = await watch(two, { query: '?since=0', accept: 'application/x-ndjson' });
  await all.until(before + 4);
  expect(all.numbers()).toEqual(range(1, before + 4));
  /* One who comes to see nothing knows its place all the same. */
  const quiet = await watch(one);
  await sleep(100);
  expect(quiet.lastId()).toBe(String(before + 4));
});

test('kinds: a change without one of them is not sent, and the place of the reader moves on', async () => {
  const before = await newest();
  const watcher = await watch(one, { query: '?kinds=customer,project' });
  for (let i = 0; i < 3; i++) await site();
  await call(two, 'POST', '/api/v1/customers', { name: `c${sites}` });
  await watcher.until(1);
  await site();
  await sleep(500);
  expect([watcher.numbers(), watcher.lastId()]).toEqual([[before + 4], String(before + 5)]);
});

test('what cannot be asked is refused: the future, other words, nouns without changes, other methods and types, and who may not', async () => {
  const now = await newest();
  const get = (query: string, init: RequestInit & { token?: string | null } = {}) =>
    call({ request: (path, more) => one.request(path, { ...more, ...init }) }, init.method ?? 'GET', `/watch${query}`);
  await refuses(get(`?since=${now + 1}`), 400, 'bad-request', '/since');
  await refuses(get('', { headers: { 'last-event-id': String(now + 1) } }), 400, 'bad-request', '/since');
  await refuses(get('?since=-1'), 400, 'bad-request', '/since');
  await refuses(get('?since=x'), 400, 'bad-request', '/since');
  await refuses(get('?kinds=vm,horse'), 400, 'bad-request', '/kinds');
  await refuses(get('?kinds=report'), 400, 'bad-request', '/kinds');
  await refuses(get('?kind=vm'), 400, 'unknown-parameter');
  await refuses(get('', { method: 'POST' }), 405, 'method-not-allowed');
  await refuses(get('', { headers: { accept: 'application/json' } }), 406, 'not-acceptable');
  await refuses(get('', { token: null }), 401, 'no-token');
  await refuses(get('', { token: 'corral_reader_unknown' }), 401, 'bad-token');
  const made = await call(one, 'POST', '/api/v1/tokens', { name: 'tool', kind: 'server' });
  await refuses(get('', { token: String(made.body['token']) }), 403, 'forbidden');
  expect((await one.request('/watch', { method: 'HEAD' })).status).toBe(200);
});

test('the stream of a token that was deleted ends by itself; others stay', async () => {
  const made = await call(one, 'POST', '/api/v1/tokens', { name: 'short', kind: 'reader' });
  const mine = await watch(one, { token: String(made.body['token']) });
  const lines = await watch(one, { token: String(made.body['token']), accept: 'application/x-ndjson' });
  const other = await watch(one);
  expect((await call(two, 'DELETE', '/api/v1/tokens/short')).status).toBe(204);
  await Promise.all([mine.ended, lines.ended]);
  await site();
  await other.until(1);
});

test('a quiet stream gets comments, and in NDJSON empty lines', async () => {
  const [events, lines] = [await watch(one), await watch(one, { accept: 'application/x-ndjson' })];
  await sleep(700);
  expect(events.text()).toMatch(/^retry: \d+\nid: \d+\n\n/);
  expect(events.text().match(/^: keep-alive$/gm)!.length).toBeGreaterThanOrEqual(2);
  expect(lines.text()).toMatch(/^\n{2,}$/);
});

test('when the listening connection breaks, what came in between is told, in order', async () => {
  const three = await testCorral({ ...env, DATABASE_URL: one.databaseUrl });
  const before = await newest();
  const watcher = await watch(three);
  const client = new pg.Client({ connectionString: one.databaseUrl });
  await client.connect();
  await site();
  await watcher.until(1);
  for (let round = 1; round <= 3; round++) {
    await client.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'corral-events' and datname = current_database() and pid <> pg_backend_pid()`,
    );
    for (let i = 0; i < 3; i++) await site();
    /* Sooner than the look without news, which is there for what else may happen. */
    await watcher.until(1 + 3 * round, 4000);
  }
  await client.end();
  expect(watcher.numbers()).toEqual(range(before + 1, before + 10));
});

test('a transaction that is rolled back is never told, one that commits late comes in the order of the commits', async () => {
  const before = await newest();
  const watcher = await watch(two);
  const [slow, lost] = [new pg.Client({ connectionString: one.databaseUrl }), new pg.Client({ connectionString: one.databaseUrl })];
  await slow.connect();
  await lost.connect();
  await slow.query(`begin; insert into site (name) values ('slow')`);
  await lost.query(`begin; insert into site (name) values ('lost')`);
  const quick = await site();
  await watcher.until(1);
  await lost.query('rollback');
  await slow.query('commit');
  await watcher.until(2);
  expect(watcher.seen.map(({ number, change }) => [number, change.rows[0]!.after!['name'], change.actor])).toEqual([
    [before + 1, quick, expect.any(String)],
    [before + 2, 'slow', expect.stringMatching(/^postgresql:/)],
  ]);
  await slow.end();
  await lost.end();
});

test('one that is on the way out says when to come back, and takes nobody in; who leaves is forgotten', async () => {
  const four = await testCorral({ ...env, DATABASE_URL: one.databaseUrl });
  const watchers = await Promise.all(Array.from({ length: 5 }, () => watch(four)));
  expect(await count(four)).toBe(1);
  four.hub.drain();
  await Promise.all(watchers.map((watcher) => watcher.ended));
  expect(new Set(watchers.map((watcher) => /retry: (\d+)\nid: \d+\n\n$/.exec(watcher.text())![1])).size).toBeGreaterThan(1);
  expect((await four.request('/watch')).status).toBe(503);
  expect(await count(four)).toBe(0);
  const left = await watch(one);
  expect(await count(one)).toBe(1);
  left.close();
  expect(await count(one)).toBe(0);
});

test('without any notification changes come all the same, a few seconds later', async () => {
  /* It listens to another database. */
  const elsewhere = await testCorral();
  const deaf = await testCorral({ ...env, DATABASE_URL: one.databaseUrl, CORRAL_LISTEN_URL: elsewhere.databaseUrl });
  const before = await newest();
  const watcher = await watch(deaf);
  await sleep(300);
  for (let i = 0; i < 3; i++) await site();
  await watcher.until(3);
  expect(watcher.numbers()).toEqual(range(before + 1, before + 3));
});
