import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { call, GIB, hypervisors, refuses, type Answer } from '../modules/fleet.ts';
import { beat, report, versionOf } from './reports.ts';

const env = { CORRAL_ENCRYPTION_KEY: randomBytes(32).toString('base64') };
const one = await testCorral(env);
const two = await testCorral({ ...env, DATABASE_URL: one.databaseUrl });
await hypervisors(one, 2);
await one.make('storage_pool', { name: 'nfs', kind: 'nfs', source: 'filer:/vms', target: '/srv/vms' });
for (const i of [1, 2]) await one.make('pool_attachment', { hypervisor: `hv${i}.example.com`, storage_pool: 'nfs' });
const HV = 'hv1.example.com';
const OTHER = 'hv2.example.com';

interface Waited {
  readonly status: number;
  readonly converged: string | null;
  readonly body: Answer['body'] & { convergence?: { state: string; why_not: string | null; observed: string | null } };
  readonly ms: number;
}

async function wait(path: string, query = 'wait=converged&timeout=5', corral = one, signal?: AbortSignal): Promise<Waited> {
  const begun = performance.now();
  const answer = await corral.request(`/api/v1/${path}?${query}`, signal ? { signal } : {});
  const body = (await answer.json()) as Waited['body'];
  return { status: answer.status, converged: answer.headers.get('corral-converged'), body, ms: performance.now() - begun };
}

const vm = async (extra: Record<string, unknown> = {}) => {
  const input = { method: 'KVM', cores: 1, ram: GIB, hypervisor: HV, volumes: [{ storage_pool: 'nfs', size: GIB }], ...extra };
  const { body } = await call(one, 'POST', '/api/v1/vms', input);
  return { id: Number(body['id']), uuid: String(body['uuid']) };
};

test('it answers as soon as another process took the report, not before, and then at once', async () => {
  const { id } = await vm();
  let answered = false;
  const waiting = wait(`vms/${id}`, 'wait=converged&timeout=10').finally(() => (answered = true));
  await sleep(300);
  expect(answered).toBe(false);
  const version = await versionOf(one, HV);
  await report(two, HV);
  const told = performance.now();
  const found = await waiting;
  expect(performance.now() - told).toBeLessThan(500);
  expect([found.status, found.converged, found.body['id'], found.body.convergence?.state]).toEqual([200, 'true', id, 'converged']);
  expect(await versionOf(one, HV)).toBe(version);
  const again = await wait(`vms/${id}`);
  expect([again.converged, again.ms < 1000]).toEqual(['true', true]);
  expect(one.hub.size).toBe(0);
});

test('what is observed counts: a domain that is down is not converged, and a heartbeat that sees it up is news', async () => {
  const { id, uuid } = await vm();
  const version = await versionOf(one, HV);
  await beat(two, HV, { [`vm-${id}`]: { uuid, state: 'stopped' } });
  await report(two, HV);
  const waiting = wait(`vms/${id}`, 'wait=converged&timeout=10');
  await sleep(200);
  await beat(two, HV, { [`vm-${id}`]: { uuid, state: 'running' } }, version);
  const found = await waiting;
  expect([found.converged, found.body.convergence?.observed]).toEqual(['true', 'running']);
  expect(found.ms).toBeLessThan(5000);
});

test('when the time is over it answers 200 with how far it is, and why', async () => {
  const { id } = await vm();
  const late = await wait(`vms/${id}`, 'wait=converged&timeout=1');
  expect([late.status, late.converged, late.body.convergence?.state]).toEqual([200, 'false', 'waiting']);
  expect(late.ms).toBeGreaterThan(950);
  expect(late.ms).toBeLessThan(3000);
  const now = await wait(`vms/${id}`, 'wait=converged&timeout=0');
  expect([now.converged, now.ms < 500]).toEqual(['false', true]);
  await report(two, HV, { failed: { [`Corral_domain[vm-${id}]`]: 'no such CPU model' } });
  const failed = await wait(`vms/${id}`, 'wait=converged&timeout=0');
  expect([failed.converged, failed.body.convergence?.state, failed.body.convergence?.why_not]).toEqual([
    'false',
    'failed',
    expect.stringContaining('no such CPU model'),
  ]);
  await report(two, HV);
});

test('nothing is asked of the database while nothing happens', async () => {
  const { id } = await vm();
  const client = new pg.Client({ connectionString: one.databaseUrl });
  await client.connect();
  const count = async (): Promise<number> => {
    await client.query('select pg_stat_force_next_flush()').catch(() => undefined);
    const { rows } = await client.query<{ n: string }>('select xact_commit + xact_rollback as n from pg_stat_database where datname = current_database()');
    return Number(rows[0]!.n);
  };
  const waiting = Array.from({ length: 20 }, () => wait(`vms/${id}`, 'wait=converged&timeout=4'));
  /* Other sessions tell their counts a second after their last statement. */
  await sleep(1500);
  const before = await count();
  await sleep(1500);
  const counted = (await count()) - before;
  expect(counted).toBeLessThan(10);
  expect((await Promise.all(waiting)).map((one) => one.converged)).toEqual(Array(20).fill('false'));
  await client.end();
});

test('a node and a volume can be waited for; a thing that no host builds is not, and strange words are refused', async () => {
  await report(two, HV);
  expect((await wait(`nodes/${HV}`)).converged).toBe('true');
  const { id } = await vm();
  const volume = ((await call(one, 'GET', `/api/v1/volumes?vm=${id}`)).body['volumes'] as { id: number }[])[0]!.id;
  const waiting = wait(`volumes/${volume}`);
  await sleep(100);
  await report(two, HV);
  expect((await waiting).converged).toBe('true');
  const free = await one.make('volume', { storage_pool: 'nfs', size: GIB });
  const unknown = await wait(`volumes/${String(free['id'])}`);
  expect([unknown.converged, unknown.body.convergence?.state, unknown.ms < 1000]).toEqual(['false', 'unknown', true]);
  const get = (path: string): Promise<Answer> => call(one, 'GET', `/api/v1/${path}`);
  await refuses(get('vms/999999?wait=converged'), 404, 'not-found');
  await refuses(get(`vms/${id}?wait=changed`), 400, 'bad-request', '/wait');
  await refuses(get(`vms/${id}?timeout=5`), 400, 'bad-request', '/wait');
  await refuses(get(`vms/${id}?wait=converged&timeout=601`), 400, 'bad-request', '/timeout');
  await refuses(get(`vms/${id}?wait=converged&timeout=x`), 400, 'bad-request', '/timeout');
  await refuses(get('sites/fra1?wait=converged'), 400, 'bad-request', '/wait');
  await refuses(get('vms?wait=converged'), 400, 'unknown-parameter');
  await refuses(call(one, 'PATCH', `/api/v1/vms/${id}?wait=converged`, { cores: 1 }), 400, 'unknown-parameter');
});

test('one that is moved while somebody waits: held, and converged when both hosts have reported', async () => {
  const { id } = await vm({ state: 'stopped' });
  await report(two, HV);
  await report(two, OTHER);
  await call(one, 'PATCH', `/api/v1/vms/${id}`, { hypervisor: OTHER, state: 'running' });
  const held = await wait(`vms/${id}`, 'wait=converged&timeout=0');
  expect([held.body.convergence?.state, held.body.convergence?.why_not]).toEqual(['held', expect.stringContaining(HV)]);
  const observed = async (): Promise<unknown> => (await call(one, 'GET', `/api/v1/vms/${id}`)).body['observed_state'];
  let answered = false;
  const waiting = wait(`vms/${id}`, 'wait=converged&timeout=20').finally(() => (answered = true));
  /* The new host is quicker, and has it defined only. */
  await report(two, OTHER);
  expect(await observed()).toBe('shutoff');
  await sleep(200);
  expect(answered).toBe(false);
  await report(two, HV);
  await sleep(200);
  expect(answered).toBe(false);
  await report(two, OTHER);
  expect([(await waiting).converged, (await call(one, 'GET', '/api/v1/tombstones')).body['tombstones']]).toEqual(['true', []]);
});

test('a waiter hears of a move: it follows to the new host', async () => {
  const { id } = await vm({ state: 'stopped' });
  const waiting = wait(`vms/${id}`, 'wait=converged&timeout=20', two);
  await sleep(200);
  await call(one, 'PATCH', `/api/v1/vms/${id}`, { hypervisor: OTHER });
  await report(one, HV);
  await sleep(100);
  await report(one, OTHER);
  expect((await waiting).body).toMatchObject({ hypervisor: OTHER, convergence: { state: 'converged' } });
});

test('a client that goes away is forgotten; a process that stops says so; one that is deleted is 404', async () => {
  const { id } = await vm();
  const control = new AbortController();
  const left = wait(`vms/${id}`, 'wait=converged&timeout=60', one, control.signal).catch(() => 'left');
  await sleep(200);
  expect(one.hub.size).toBe(1);
  control.abort();
  expect(await left).toBe('left');
  await sleep(200);
  expect(one.hub.size).toBe(0);
  const gone = wait(`vms/${id}`, 'wait=converged&timeout=20');
  await sleep(200);
  await call(two, 'DELETE', `/api/v1/vms/${id}`);
  expect((await gone).status).toBe(404);
  const three = await testCorral({ ...env, DATABASE_URL: one.databaseUrl });
  const other = await vm();
  const stopped = wait(`vms/${other.id}`, 'wait=converged&timeout=60', three);
  await sleep(200);
  three.hub.drain();
  const told = await stopped;
  expect([told.status, told.body.code]).toEqual([503, 'unavailable']);
});

test('a broken listening connection loses no report', async () => {
  const { id } = await vm();
  const waiting = wait(`vms/${id}`, 'wait=converged&timeout=20');
  await sleep(200);
  await one.pool.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'corral-events' and datname = current_database()`);
  await report(two, HV);
  const found = await waiting;
  expect([found.converged, found.ms < 5000]).toEqual(['true', true]);
});
