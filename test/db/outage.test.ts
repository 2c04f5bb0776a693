import { randomBytes } from 'node:crypto';
import { createServer, connect, type Server, type Socket } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, expect, inject, onTestFinished, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { json, send, smallFleet, GIB, HV, type WireProblem } from '../http/samples.ts';
import { call, expectConsistent } from '../modules/fleet.ts';

/** Stands between Corral and PostgreSQL, so that the database can go and come back without the others noticing. */
class Wire {
  readonly folder = mkdtempSync(join(tmpdir(), 'corral-wire-'));
  readonly #sockets = new Set<Socket>();
  readonly #target: string;
  #server: Server | undefined;
  constructor(target: string) {
    this.#target = target;
  }
  async up(): Promise<void> {
    this.#server = createServer((near) => {
      const far = connect(this.#target);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(one);
        one.on('error', () => other.destroy());
        one.on('close', () => {
          this.#sockets.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
    });
    await new Promise<void>((resolve) => this.#server!.listen(join(this.folder, '.s.PGSQL.5432'), resolve));
  }
  async down(): Promise<void> {
    const closed = new Promise((resolve) => this.#server!.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

/* The database is cloned by the first Corral; the one under test reaches it through the wire. */
const env = { CORRAL_ENCRYPTION_KEY: randomBytes(32).toString('base64') };
const plain = await testCorral(env);
await smallFleet(plain);
const url = new URL(inject('server'));
const wire = new Wire(join(url.searchParams.get('host')!, `.s.PGSQL.${url.port || '5432'}`));
await wire.up();
const through = new URL(plain.databaseUrl);
through.searchParams.set('host', wire.folder);
through.port = '';
const corral = await testCorral({ ...env, DATABASE_URL: through.href, CORRAL_POOL_SIZE: '4' });
afterAll(async () => {
  await wire.down().catch(() => undefined);
  rmSync(wire.folder, { recursive: true, force: true });
});

/** A connection that ends the others. */
async function administrator(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: plain.databaseUrl, application_name: 'administrator' });
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}
const END_SESSIONS = `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name <> 'administrator'`;

const requests: readonly [string, RequestInit][] = [
  ['/readyz', {}],
  ['/api/v1/nodes', {}],
  ['/api/v1/nodes/hv0.example.com', { headers: { accept: 'text/html' } }],
  [`/enc/${HV}`, {}],
  [`/hiera/${HV}`, {}],
  [`/pillar/${HV}`, { headers: { accept: 'text/html' } }],
  ['/api/v1/vms', send('POST', { method: 'KVM', cores: 1, ram: GIB })],
  ['/api/v1/sites/fra1', send('PATCH', { description: 'x' })],
  ['/api/v1/snapshots/1', { method: 'DELETE' }],
];

async function unavailable(): Promise<void> {
  for (const [path, init] of requests) {
    const answer = await corral.request(path, init);
    expect([path, init.method, answer.status, answer.headers.get('retry-after')]).toEqual([path, init.method, 503, expect.stringMatching(/^\d+$/)]);
    const page = answer.headers.get('content-type')!.startsWith('text/html');
    const text = await answer.text();
    expect(text).not.toMatch(/ECONN|ENOENT|\.s\.PGSQL|terminat|node_modules/);
    expect(page || (JSON.parse(text) as WireProblem).code === 'unavailable').toBe(true);
  }
  expect((await corral.request('/healthz')).status).toBe(200);
}

async function works(): Promise<void> {
  for (const path of ['/readyz', '/api/v1/nodes', `/enc/${HV}`]) {
    const answer = await corral.request(path);
    expect([path, answer.status]).toEqual([path, 200]);
    await answer.arrayBuffer();
  }
  expect((await call(corral, 'POST', '/api/v1/vms', { method: 'KVM', cores: 1, ram: GIB })).status).toBe(201);
}

test('while the database is gone requests are answered with 503, and when it is back they work, twice', async () => {
  for (let round = 0; round < 2; round++) {
    await works();
    await wire.down();
    await unavailable();
    await wire.up();
    await works();
  }
});

test('sessions that the database ends between requests go unnoticed, or are a 503 that the next request does not see', async () => {
  const admin = await administrator();
  for (let round = 0; round < 3; round++) {
    await works();
    await admin.query(END_SESSIONS);
    const statuses = await Promise.all(requests.slice(1, 6).map(async ([path, init]) => (await corral.request(path, init)).status));
    expect(statuses.filter((status) => status !== 200 && status !== 503)).toEqual([]);
    await Promise.all(Array.from({ length: 12 }, async () => (await corral.request('/api/v1/nodes')).arrayBuffer()));
    await works();
  }
});

test('sessions that end in the middle of writes leave nothing half-written, and every 201 is kept', async () => {
  const admin = await administrator();
  const writes = Array.from({ length: 40 }, async (_, i) =>
    call(corral, 'POST', '/api/v1/vms', { method: 'KVM', cores: 1, cores_max: 1, ram: GIB, name: `cut-${i}`, interfaces: [{ networks: [] }] }),
  );
  for (let i = 0; i < 6; i++) {
    await admin.query(END_SESSIONS);
    await admin.query('select pg_sleep(0.03)');
  }
  const answers = await Promise.all(writes);
  expect(
    answers
      .map(({ status, body }) => (status === 201 ? 201 : `${status} ${String(body.code)}`))
      .filter((one) => one !== 201 && one !== '503 unavailable' && one !== '409 no-capacity'),
  ).toEqual([]);
  const { rows } = await admin.query<{ name: string }>(`select name from vm where name like 'cut-%'`);
  const kept = new Set(rows.map((row) => row.name));
  expect(answers.filter(({ status }) => status === 201).every(({ body }) => kept.has(String(body['name'])))).toBe(true);
  await expectConsistent(plain);
  expect(await json(corral.request('/readyz'))).toEqual({ status: 'ready' });
});
