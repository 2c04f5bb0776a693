import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { installationBox, secretBox } from '../../src/kernel/secret.ts';
import { KeyRotation, sum } from '../../src/modules/keys/rotate.ts';
import { testCorral } from '../support/corral.ts';
import { call, expectConsistent, GIB } from './fleet.ts';

const data = mkdtempSync(join(tmpdir(), 'corral-rotate-'));
const corral = await testCorral({ CORRAL_DATA: data });
afterAll(() => rmSync(data, { recursive: true, force: true }));

const first = Buffer.alloc(32, 1);
const box = (key: Buffer, ...old: Buffer[]) => secretBox({ current: key, old });
const documents = async (): Promise<string[]> =>
  Promise.all(
    ['hv1', 'mon1'].map(async (name) =>
      (await corral.request(`/hiera/${name}.example.com`)).text().then((text) => text.replace(/"corral::document":"[^"]*"/, '')),
    ),
  );

beforeAll(async () => {
  await corral.make('site', { name: 'fra1' });
  await corral.make('ceph_cluster', { name: 'ceph', public_network: '192.0.2.0/24' });
  await corral.make('node', { fqdn: 'mon1.example.com', site: 'fra1', roles: { ceph_mon: { ceph_cluster: 'ceph' } } });
  await corral.make('node', { fqdn: 'hv1.example.com', site: 'fra1', roles: { hypervisor: { methods: ['KVM'], cores: 8, ram: 8 * GIB } } });
  await corral.make('ceph_key', { ceph_cluster: 'ceph', entity: 'client.gone', caps: {} });
  await call(corral, 'DELETE', '/api/v1/ceph-keys/ceph:client.gone');
  for (let i = 0; i < 30; i++)
    await corral.make('layer', { name: `layer-${i}`, scope: 'everything', weight: i, data: {}, secrets: { [`a_${i}`]: `secret ${i}`, shared: { i } } });
  await call(corral, 'PATCH', '/api/v1/layers/layer-3', { secrets: { a_3: 'changed', more: 1 } });
  await call(corral, 'DELETE', '/api/v1/layers/layer-4');
  await corral.make('webhook', { name: 'hook', url: 'https://example.com/hook' });
  const answer = JSON.stringify({ sealed: corral.store.secrets.seal('{}', 'idempotency:admin:once') });
  await corral.pool.query(`insert into idempotency_key (identity, key, fingerprint, answer) values ('admin', 'once', 'x', $1)`, [answer]);
  const person = await corral.pool.query<{ id: string }>(`insert into person (name) values ('ann') returning id`);
  const id = Number(person.rows[0]!.id);
  await corral.pool.query('insert into person_secret (person_id, totp) values ($1, $2)', [id, corral.store.secrets.seal('TOTP', `totp:${id}`)]);
});

const changes = async (): Promise<unknown> => (await corral.pool.query('select count(*)::int as n, max(number)::int as last from change')).rows;

test('every sealed value in the database is known to the list: none is left under the old key', async () => {
  const before = [await documents(), await changes()];
  const old = corral.store.secrets.keyId;
  const key = randomBytes(32);
  const own = Buffer.from(readFileSync(join(data, 'encryption.key'), 'utf8').trim(), 'base64');
  const result = await new KeyRotation(corral.pool, box(key, own)).run();
  expect([result.left, result.reasons]).toEqual([{}, []]);
  expect(Object.keys(result.rotated).sort()).toEqual(['ceph_key', 'change_row', 'document_version', 'idempotency_key', 'layer', 'person_secret', 'webhook']);
  const { rows } = await corral.pool.query<{ xml: string }>(`select database_to_xml(true, true, '')::text as xml`);
  expect(rows[0]!.xml).not.toContain(`v1.${old}.`);
  expect(rows[0]!.xml).toContain(`v1.${box(key).keyId}.`);
  expect(await changes()).toEqual(before[1]);
  await expectConsistent({ ...corral, store: { ...corral.store, secrets: box(key) } });
  expect(await new KeyRotation(corral.pool, box(key)).count()).toEqual({});
  /* Back, for the tests that follow: the server opens with its own key. */
  await new KeyRotation(corral.pool, box(own, key)).run();
  expect(await documents()).toEqual(before[0]);
});

test('a value whose key is not there stays, is counted, and stops nothing', async () => {
  const sealed = box(first).seal('lost', 'ceph_key:1:client.lost');
  await corral.pool.query(`insert into ceph_key (ceph_cluster_id, entity, secret) select id, 'client.lost', $1 from ceph_cluster`, [sealed]);
  const rotation = new KeyRotation(corral.pool, corral.store.secrets);
  const result = await rotation.run();
  expect(result.left).toEqual({ ceph_key: 1, change_row: 1 });
  expect(result.reasons.join()).toContain(`encrypted with key ${box(first).keyId}`);
  await corral.pool.query(`delete from ceph_key where entity = 'client.lost'`);
  await corral.pool.query(`delete from change_row where before ->> 'entity' = 'client.lost' or after ->> 'entity' = 'client.lost'`);
});

test('the command makes a key, is killed in the middle, and goes on; a running server takes the new key', async () => {
  /* The command itself, without a build. */
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const program = `import { Command } from 'commander'; import { keysCommand } from './src/cli/commands/keys.ts';
    const corral = new Command(); keysCommand(corral); await corral.parseAsync(process.argv.slice(1), { from: 'user' });`;
  const cli = (...args: string[]) =>
    spawn(process.execPath, ['--input-type=module', '-e', program, '--', ...args], {
      cwd: root,
      env: { ...process.env, DATABASE_URL: corral.databaseUrl, CORRAL_DATA: data },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  const before = await documents();
  const total = sum(await new KeyRotation(corral.pool, secretBox({ current: randomBytes(32), old: [] })).count());
  const left = async (): Promise<number> => sum(await new KeyRotation(corral.pool, installationBox({ data })).count());
  const waiting = async (): Promise<number | null> =>
    (await corral.pool.query(`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`)).rowCount;
  /* One row is held, so that the command stops there with some done and some not. */
  const client = await corral.pool.connect();
  try {
    await client.query('begin');
    await client.query('select from document_version order by node_id desc, number desc limit 1 for update');
    const killed = cli('keys', 'rotate', '--generate');
    await expect.poll(waiting, { timeout: 50_000 }).toBe(1);
    expect(await left()).toBeLessThan(total);
    killed.kill('SIGKILL');
    await new Promise((resolve) => killed.once('exit', resolve));
  } finally {
    await client.query('rollback');
    client.release();
  }
  expect(await left()).toBeGreaterThan(0);
  expect(readFileSync(join(data, 'encryption.key.old'), 'utf8').trim().split('\n')).toHaveLength(1);
  /* Half is under either key: the server, which was not restarted, serves and writes. */
  expect(await documents()).toEqual(before);
  const patched = await call(corral, 'PATCH', '/api/v1/layers/layer-5', { secrets: { a_5: 'under the new key' } });
  expect(patched.status).toBe(200);
  const { rows } = await corral.pool.query<{ sealed: string }>(`select secrets ->> 'a_5' as sealed from layer where name = 'layer-5'`);
  expect(rows[0]!.sealed).toContain(`v1.${installationBox({ data: data }).keyId}.`);
  const done = cli('keys', 'rotate');
  let text = '';
  done.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  done.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
  expect([await new Promise((resolve) => done.once('exit', resolve)), text]).toEqual([0, expect.stringContaining('Nothing is left under an older key')]);
  expect(await left()).toBe(0);
});
