import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ADMIN, testCorral } from '../support/corral.ts';
import { builtProgram, type Process } from '../support/process.ts';
import { call } from '../modules/fleet.ts';
import { range, watch } from './follow.ts';

const env = { CORRAL_ENCRYPTION_KEY: randomBytes(32).toString('base64') };
const corral = await testCorral(env, { keepAlive: 500 });
const start = await builtProgram();

const newest = async (): Promise<number> => Number((await corral.pool.query<{ n: string | null }>('select max(number) as n from change')).rows[0]!.n ?? 0);
let made = 0;

/** So many changes by so many writers at once, through these processes. */
async function write(through: readonly Pick<Process, 'request'>[], changes: number, writers: number): Promise<void> {
  let left = changes;
  const writer = async (i: number): Promise<void> => {
    for (; left > 0;) {
      left--;
      const { status } = await call(through[i % through.length]!, 'POST', '/api/v1/customers', { name: `c${++made}` });
      expect(status).toBe(201);
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, i) => writer(i)));
}

/** Resident memory of a process, in MB. */
const resident = ({ child }: Process): number => Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1]) / 1024;

/** A change of so many bytes, by SQL. */
const large = async (bytes: number): Promise<void> =>
  void (await corral.pool
    .query(`insert into customer (name, title) values ($1, repeat('x', 200))`, [`l${++made}`])
    .then(() =>
      corral.pool.query('update change_row set after = after || jsonb_build_object($1::text, repeat($2, $3)) where id = (select max(id) from change_row)', [
        'title',
        'y',
        bytes,
      ]),
    ));

test('500 changes of concurrent writers through two processes come to each watcher of both once, and in order', async () => {
  const [one, two] = await Promise.all([start(corral.databaseUrl, env), start(corral.databaseUrl, env)]);
  const before = await newest();
  const early = await Promise.all([watch(one), watch(two), watch(two, { accept: 'application/x-ndjson' }), watch(one, { query: '?kinds=customer' })]);
  const writing = write([one, two], 500, 16);
  await early[0]!.until(100);
  const late = await Promise.all([watch(one, { query: `?since=${before}` }), watch(two, { query: `?since=${before}` })]);
  await writing;
  for (const watcher of [...early, ...late]) {
    await watcher.until(500, 60_000);
    expect(watcher.numbers()).toEqual(range(before + 1, before + 500));
  }
  const names = early.map((watcher) => watcher.seen.map(({ change }) => change.rows[0]!.after!['name']));
  expect(new Set(names[0]).size).toBe(500);
  for (const other of names) expect(other).toEqual(names[0]);
  await Promise.all([one.kill(), two.kill()]);
});

test('a process that is killed in the middle: its watcher goes on at another one with Last-Event-ID, and misses nothing', async () => {
  const [one, two] = await Promise.all([start(corral.databaseUrl, env), start(corral.databaseUrl, env)]);
  const before = await newest();
  const first = await watch(one);
  const stays = await watch(two);
  const writing = write([two], 200, 8);
  await first.until(40);
  await one.kill();
  await first.ended;
  const second = await watch(two, { last: first.lastId()! });
  await writing;
  await second.until(200 - first.seen.length);
  await stays.until(200);
  expect([...first.numbers(), ...second.numbers()]).toEqual(range(before + 1, before + 200));
  expect(stays.numbers()).toEqual(range(before + 1, before + 200));
  await two.kill();
});

test('a reader that stops to read holds up no other, costs no memory, and gets all when it reads again', async () => {
  const one = await start(corral.databaseUrl, env);
  const before = await newest();
  const slow = await watch(one);
  const lines = await watch(one, { accept: 'application/x-ndjson' });
  for (const each of [slow, lines]) each.pause();
  /* Some that never read at all. */
  const { hostname, port } = new URL(one.base);
  const stuck = Array.from({ length: 20 }, () => {
    const socket = connect(Number(port), hostname).on('error', () => undefined);
    socket.write(`GET /watch?since=${before} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN}\r\n\r\n`);
    return socket.pause();
  });
  const quick = await watch(one);
  const total = 400;
  const memory = resident(one);
  for (let i = 0; i < total; i++) await large(100_000);
  await quick.until(total, 60_000);
  expect(quick.numbers()).toEqual(range(before + 1, before + total));
  /* 40 MB went by, for each of 23 readers: far more than sockets take, and than memory grew by. */
  expect(resident(one) - memory).toBeLessThan(200);
  expect([slow, lines].every((each) => each.seen.length < total)).toBe(true);
  for (const each of [slow, lines]) {
    each.resume();
    await each.until(total, 60_000);
    expect(each.numbers()).toEqual(range(before + 1, before + total));
  }
  for (const socket of stuck) socket.destroy();
  await one.kill();
});

test('who asks for changes that were dropped is told so with 410 and what there is; who falls behind while it is slow, too', async () => {
  const before = await newest();
  const slow = await watch(corral);
  const lines = await watch(corral, { accept: 'application/x-ndjson' });
  for (const each of [slow, lines]) each.pause();
  for (let i = 0; i < 400; i++) await large(100_000);
  const oldest = before + 390;
  await sleep(200);
  await corral.pool.query('delete from change where number < $1', [oldest]);
  for (const each of [slow, lines]) {
    each.resume();
    await each.ended;
    const told = each.others[0]!;
    expect([each.others.length, JSON.parse(told.data)]).toEqual([1, expect.objectContaining({ code: 'fallen-behind', oldest, status: 410 })]);
    const seen = each.numbers();
    expect(seen.length).toBeLessThan(390);
    expect(seen).toEqual(range(before + 1, before + seen.length));
  }
  expect(slow.others[0]!.event).toBe('fallen-behind');
  const refused = await watch(corral, { last: slow.lastId()! });
  await refused.ended;
  expect([refused.status, refused.problem()]).toEqual([410, expect.objectContaining({ code: 'fallen-behind', oldest })]);
  const again = await watch(corral, { query: `?since=${oldest - 1}` });
  await again.until(11);
  expect(again.numbers()).toEqual(range(oldest, before + 400));
});

test('a change of very many rows goes out without them, and says how many there are', async () => {
  const watcher = await watch(corral, { query: '?kinds=customer' });
  await corral.pool.query(`insert into customer (name) select 'many' || i from generate_series(1, 1500) i`);
  const { change } = await watcher.until(1);
  expect([change.rows, (change as { rows_left_out?: number }).rows_left_out]).toEqual([[], 1500]);
});
