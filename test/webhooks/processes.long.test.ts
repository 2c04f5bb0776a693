import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { builtProgram } from '../support/process.ts';
import { call } from '../modules/fleet.ts';
import { range } from '../events/follow.ts';
import { receiver, verified } from './receiver.ts';

const env = { CORRAL_ENCRYPTION_KEY: randomBytes(32).toString('base64') };
const corral = await testCorral(env);
const start = await builtProgram();
const serving = { ...env, CORRAL_WEBHOOK_ALLOW: '127.0.0.0/8' };

let made = 0;
const customers = async (count: number, through: readonly Pick<typeof corral, 'request'>[] = [corral]): Promise<void> => {
  for (let i = 0; i < count; i++) expect((await call(through[i % through.length]!, 'POST', '/api/v1/customers', { name: `c${++made}` })).status).toBe(201);
};
const newest = async (): Promise<number> => Number((await corral.pool.query<{ n: string }>('select max(number) as n from change')).rows[0]!.n);
const states = async (): Promise<Record<string, number>> => {
  const { rows } = await corral.pool.query<{ status: string; n: number }>('select status, count(*)::int as n from webhook_delivery group by 1');
  return Object.fromEntries(rows.map((row) => [row.status, row.n]));
};
const forget = () => corral.pool.query(`update webhook set enabled = false; delete from webhook_delivery`);

test('three processes share the deliveries: each change comes once, in order', async () => {
  const processes = await Promise.all([1, 2, 3].map(() => start(corral.databaseUrl, serving)));
  const target = await receiver();
  const { body } = await call(corral, 'POST', '/api/v1/webhooks', { name: 'shared', url: target.url, kinds: ['customer'] });
  const before = await newest();
  await customers(60, processes);
  await target.until(60);
  await expect.poll(states).toEqual({ delivered: 60 });
  expect(target.numbers()).toEqual(range(before + 1, before + 60));
  for (const one of target.received) expect(await verified(one, String(body['secret']))).toBe(true);
  await Promise.all(processes.map((one) => one.kill()));
  await forget();
});

test('a process that is killed in the middle of a delivery: another one makes it when its time is over, and none is lost', async () => {
  const one = await start(corral.databaseUrl, serving);
  const target = await receiver();
  await call(corral, 'POST', '/api/v1/webhooks', { name: 'killed', url: target.url, kinds: ['customer'] });
  const before = await newest();
  target.reply = () => 'hang';
  await customers(5);
  await target.until(1);
  await expect.poll(states).toEqual({ pending: 5 });
  await one.kill();
  target.reply = () => 200;
  const two = await start(corral.databaseUrl, serving);
  await customers(1);
  /* The next ones wait for it: nobody else takes it while the first process might still be at it. */
  expect(target.received).toHaveLength(1);
  await corral.pool.query(`update webhook_delivery set next_at = now() where status = 'pending'`);
  await corral.pool.query(`notify corral, '{"kind":"change"}'`);
  await target.until(7);
  await expect.poll(states).toEqual({ delivered: 6 });
  expect(target.numbers()).toEqual([before + 1, ...range(before + 1, before + 6)]);
  expect(new Set(target.received.slice(0, 2).map((each) => each.headers['webhook-id'])).size).toBe(1);
  await two.kill('SIGTERM');
  await forget();
});

test('killed again and again while changes are made, no change is lost', async () => {
  const target = await receiver();
  await call(corral, 'POST', '/api/v1/webhooks', { name: 'chaos', url: target.url, kinds: ['customer'] });
  const before = await newest();
  for (let round = 0; round < 3; round++) {
    const one = await start(corral.databaseUrl, serving);
    const seen = target.received.length;
    const writing = customers(20);
    await target.until(seen + 5);
    await one.kill();
    await writing;
    await corral.pool.query(`update webhook_delivery set next_at = now() where status = 'pending'`);
  }
  const last = await start(corral.databaseUrl, serving);
  await expect.poll(states, { timeout: 20_000 }).toEqual({ delivered: 60 });
  expect([...new Set(target.numbers())]).toEqual(range(before + 1, before + 60));
  await last.kill();
  await forget();
});

test('certificates are checked: one of an unknown authority is refused, of a known one it is not', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'corral-tls-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const file = (name: string): string => join(folder, name);
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=hook',
      '-addext',
      'subjectAltName=IP:127.0.0.1',
    ].concat(['-keyout', file('key.pem'), '-out', file('cert.pem')]),
    { stdio: 'ignore' },
  );
  const target = await receiver({ key: readFileSync(file('key.pem'), 'utf8'), cert: readFileSync(file('cert.pem'), 'utf8') });
  const doubting = await start(corral.databaseUrl, serving);
  const { body } = await call(corral, 'POST', '/api/v1/webhooks', { name: 'tls', url: target.url, kinds: ['customer'] });
  await customers(1);
  const error = async (): Promise<string> => String((await corral.pool.query<{ error: string }>('select error from webhook_delivery')).rows[0]?.error);
  await expect.poll(error, { timeout: 10_000 }).toMatch(/self.signed certificate/);
  expect(target.received).toEqual([]);
  await doubting.kill('SIGTERM');
  const trusting = await start(corral.databaseUrl, { ...serving, NODE_EXTRA_CA_CERTS: file('cert.pem') });
  await corral.pool.query(`update webhook_delivery set next_at = now()`);
  await corral.pool.query(`notify corral, '{"kind":"change"}'`);
  expect(await verified(await target.until(1), String(body['secret']))).toBe(true);
  await trusting.kill('SIGTERM');
});

test('a process that would allow nonsense does not start', async () => {
  await expect(start(corral.databaseUrl, { ...env, CORRAL_WEBHOOK_ALLOW: '10.0.0.0/99' })).rejects.toThrow(/CORRAL_WEBHOOK_ALLOW: '10.0.0.0\/99' is neither/);
});
