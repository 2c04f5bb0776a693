import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { afterAll, expect, test } from 'vitest';
import { ConfigError } from '../../src/kernel/config.ts';
import { checkedLookup, parseAllowed, refusalOf } from '../../src/webhooks/address.ts';
import { Dispatcher } from '../../src/webhooks/dispatcher.ts';
import { send } from '../../src/webhooks/send.ts';
import { testCorral } from '../support/corral.ts';
import { call } from '../modules/fleet.ts';
import { receiver } from './receiver.ts';

const nobody = parseAllowed('');
const message = (url: string) => ({ url, id: 'msg_1', body: '{}', secret: `whsec_${randomBytes(32).toString('base64')}` });

test.each([
  ['loopback', ['127.0.0.1', '127.255.255.254', '::1']],
  ['private', ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', 'fc00::1', 'fdff::1']],
  ['link-local', ['169.254.169.254', 'fe80::1', 'febf::1', 'fec0::1']],
  ['carrier NAT', ['100.64.0.1', '100.127.255.255']],
  ['multicast and broadcast', ['224.0.0.1', '239.255.255.255', '255.255.255.255', 'ff02::1']],
  ['unspecified', ['0.0.0.0', '0.1.2.3', '::']],
  [
    'IPv4 in IPv6',
    ['::ffff:127.0.0.1', '::ffff:8.8.8.8', '::ffff:7f00:1', '::127.0.0.1', '::8.8.8.8', '64:ff9b::7f00:1', '64:ff9b:1::1', '2002:7f00:1::', '2001:0:1::1'],
  ],
  ['reserved', ['192.0.0.1', '192.0.2.1', '198.18.0.1', '198.51.100.1', '203.0.113.1', '240.0.0.1', '2001:db8::1', '100::1', '3fff::1', '5f00::1', '4000::1']],
])('%s addresses are refused', (_kind, addresses) => {
  for (const address of addresses) expect([address, refusalOf(address, nobody)]).toEqual([address, expect.stringContaining('CORRAL_WEBHOOK_ALLOW')]);
});

test('public addresses are not', () => {
  for (const address of ['8.8.8.8', '1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700:4700::1111', '2a00:1450:4001:80b::200e'])
    expect([address, refusalOf(address, nobody)]).toEqual([address, undefined]);
});

test('what is allowed is read, and nothing else is', () => {
  const allowed = parseAllowed('10.0.0.0/8, hooks.example.com,192.168.1.1,FD00::/8');
  for (const address of ['10.1.2.3', '192.168.1.1', 'fd00::5', '::ffff:10.1.2.3']) expect([address, refusalOf(address, allowed)]).toEqual([address, undefined]);
  for (const address of ['11.0.0.1', '127.0.0.1', '192.168.1.2', 'fc00::5', '::ffff:192.168.1.2'].slice(1))
    expect(refusalOf(address, allowed)).toEqual(expect.any(String));
  expect([...allowed.hosts]).toEqual(['hooks.example.com']);
  for (const wrong of ['10.0.0.0/33', '10.0.0', '1', 'a b', 'http://x', '10.0.0.0/8;x']) expect(() => parseAllowed(wrong)).toThrow(ConfigError);
});

test('every way to write this machine as a URL is refused, and nothing arrives', async () => {
  const [four, six] = [await receiver(), await receiver(undefined, '::1').catch(() => undefined)];
  const hosts = ['127.0.0.1', '127.1', '2130706433', '0x7f000001', '0x7f.1', '017700000001', '0', '0.0.0.0', 'localhost', 'LOCALHOST', 'localhost.'];
  const literals = ['[::1]', '[::]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[0:0:0:0:0:ffff:127.0.0.1]', '[::127.0.0.1]'];
  for (const host of [...hosts, ...literals]) {
    const outcome = await send(message(`http://${host}:${four.port}/`), nobody);
    expect([host, outcome.ok, outcome.status, outcome.error]).toEqual([host, false, null, expect.stringMatching(/not public|ENOTFOUND|EAI_AGAIN/)]);
  }
  expect([four.received, six?.received ?? []]).toEqual([[], []]);
});

test('a name is refused for what it resolves to; the address that was checked is the one that is connected to', async () => {
  const target = await receiver();
  expect((await lookup('localhost', { family: 4 })).address).toBe('127.0.0.1');
  const url = `http://localhost:${target.port}/`;
  expect((await send(message(url), nobody)).error).toMatch(/^localhost: the address (127\.0\.0\.1|::1) is not public \(loopback\)/);
  /* Allowed by network, or by name, it arrives. */
  expect(await send(message(url), parseAllowed('127.0.0.0/8'))).toMatchObject({ ok: true, status: 204 });
  expect(await send(message(url), parseAllowed('localhost'))).toMatchObject({ ok: true, status: 204 });
  /* The name is free, the address written out is not. */
  expect((await send(message(target.url), parseAllowed('localhost'))).ok).toBe(false);
  expect(target.received).toHaveLength(2);
  const given = await new Promise((resolve, reject) =>
    checkedLookup(parseAllowed('127.0.0.0/8'))('localhost', { all: true }, (error, addresses) => (error ? reject(error) : resolve(addresses))),
  );
  expect(given).toEqual([{ address: '127.0.0.1', family: 4 }]);
});

test('a redirect to a private address is not followed, and an allowed name does not free what it redirects to', async () => {
  const [target, secret] = [await receiver(), await receiver()];
  target.reply = () => ({ status: 302, headers: { location: secret.url } });
  expect(await send(message(`http://localhost:${target.port}/`), parseAllowed('localhost'))).toMatchObject({ ok: false, status: 302 });
  expect(secret.received).toEqual([]);
});

const corral = await testCorral();
test('a refused delivery says why in its log, and is checked anew at each attempt', async () => {
  const { store, catalog, db, hub } = corral;
  const settings = { store, catalog, db, hub, retryFor: 86_400, disableAfter: 86_400, logDays: 30 };
  const strict = new Dispatcher({ ...settings, allowed: nobody });
  strict.start();
  const target = await receiver();
  await call(corral, 'POST', '/api/v1/webhooks', { name: 'inner', url: target.url, kinds: ['customer'] });
  await call(corral, 'POST', '/api/v1/customers', { name: 'c1' });
  const first = async (): Promise<Record<string, unknown>> => {
    const { body } = await call(corral, 'GET', '/api/v1/webhook-deliveries?webhook=inner');
    return (body['webhook_deliveries'] as Record<string, unknown>[])[0] ?? {};
  };
  await expect
    .poll(first, { timeout: 10_000 })
    .toMatchObject({ attempts: 1, status: 'pending', last_status: null, error: expect.stringContaining('127.0.0.1 is not public') });
  expect(target.received).toEqual([]);
  await strict.stop();
  const open = new Dispatcher({ ...settings, allowed: parseAllowed('127.0.0.1') });
  afterAll(() => open.stop());
  open.start();
  await corral.pool.query(`update webhook_delivery set next_at = now()`);
  await corral.pool.query(`notify corral, '{"kind":"change"}'`);
  await target.until(1);
});
