import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { parseAllowed } from '../../src/webhooks/address.ts';
import { delayAfter, Dispatcher } from '../../src/webhooks/dispatcher.ts';
import { signed } from '../../src/webhooks/send.ts';
import { testCorral } from '../support/corral.ts';
import { call, refuses, type Answer } from '../modules/fleet.ts';
import { watch } from '../events/follow.ts';
import { receiver, verified } from './receiver.ts';

const corral = await testCorral({ CORRAL_ENCRYPTION_KEY: randomBytes(32).toString('base64') });
const dispatch = (options: Partial<ConstructorParameters<typeof Dispatcher>[0]> = {}): Dispatcher => {
  const { store, catalog, db, hub } = corral;
  const made = new Dispatcher({ store, catalog, db, hub, allowed: parseAllowed('127.0.0.1'), retryFor: 86_400, disableAfter: 86_400, logDays: 30, ...options });
  made.start();
  return made;
};
const dispatcher = dispatch();
afterAll(() => dispatcher.stop());

const post = (path: string, body: unknown = {}): Promise<Answer> => call(corral, 'POST', `/api/v1/${path}`, body);
const patch = (path: string, body: unknown): Promise<Answer> => call(corral, 'PATCH', `/api/v1/${path}`, body);
const get = async (path: string): Promise<Answer['body']> => (await call(corral, 'GET', `/api/v1/${path}`)).body;
type Delivery = Readonly<Record<string, unknown>> & { readonly id: number; readonly change: number };
const deliveries = async (webhook: string): Promise<Delivery[]> =>
  (await get(`webhook-deliveries?webhook=${webhook}&sort=change`))['webhook_deliveries'] as Delivery[];
const newest = async (): Promise<number> => Number((await corral.pool.query<{ n: string }>('select max(number) as n from change')).rows[0]!.n);
let made = 0;
const customer = async (): Promise<number> => {
  expect((await post('customers', { name: `c${++made}` })).status).toBe(201);
  return newest();
};
/** Makes all that waits due, and has the processes look. */
const due = async (where = 'true'): Promise<void> =>
  void (await corral.pool.query(
    `with due as (update webhook_delivery set next_at = now() where status = 'pending' and ${where}) select pg_notify('corral', '{"kind":"change"}')`,
  ));
/** Waits until the log of a webhook says so. */
const settles = async (webhook: string, what: (log: readonly Delivery[]) => boolean): Promise<Delivery[]> => {
  for (const end = performance.now() + 15_000; ;) {
    const log = await deliveries(webhook);
    if (what(log)) return log;
    if (performance.now() > end) expect.fail(JSON.stringify(log));
    await sleep(20);
  }
};
const all = (status: string) => (log: readonly Delivery[]) => log.length > 0 && log.every((one) => one['status'] === status);
/** A webhook for changes of customers. */
const hook = async (name: string, url: string, more: Record<string, unknown> = {}): Promise<Answer['body']> => {
  const { status, body } = await post('webhooks', { name, url, kinds: ['customer'], ...more });
  expect([status, body]).toEqual([201, expect.objectContaining({ name, url })]);
  return body;
};

test("the signature is the specification's own example", () => {
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
  expect(signed({ id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', body: '{"test": 2432232314}', secret }, 1_614_265_330)).toEqual({
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  });
});

test('changes come signed, in order, each once, only those of its kinds; the log says so, and no bookkeeping is a change', async () => {
  const target = await receiver();
  const { secret } = await hook('order', target.url);
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  const before = await newest();
  const watcher = await watch(corral);
  for (let i = 0; i < 20; i++) {
    await customer();
    if (i % 5 === 0) await post('sites', { name: `site${i}` });
  }
  await target.until(20);
  await watcher.until(24);
  const customers = watcher.seen.filter(({ change }) => change.rows[0]!.noun === 'customer');
  expect(target.received.map((one) => one.change)).toEqual(customers.map(({ change }) => change));
  for (const one of target.received) {
    expect(await verified(one, String(secret))).toBe(true);
    expect(await verified({ ...one, body: `${one.body} ` }, String(secret))).toBe(false);
    expect(Math.abs(Number(one.headers['webhook-timestamp']) - Date.now() / 1000)).toBeLessThan(60);
    expect(one.headers['content-type']).toBe('application/json');
  }
  expect(new Set(target.received.map((one) => one.headers['webhook-id'])).size).toBe(20);
  const log = await settles('order', all('delivered'));
  expect(log.map((one) => [one.change, one['attempts'], one['last_status'], `msg_${String(one['event'])}`])).toEqual(
    target.received.map((one) => [one.change.number, 1, 204, one.headers['webhook-id']]),
  );
  expect(await get('webhooks/order')).toMatchObject({ delivered: target.numbers().at(-1), failing_since: null, waiting: 0 });
  expect(await newest()).toBe(before + 24);
});

test('the secret is made and shown once, or given, and never shown; what is in the database is sealed', async () => {
  const target = await receiver();
  const own = `whsec_${randomBytes(24).toString('base64')}`;
  const body = await hook('sealed', target.url, { secret: own });
  expect(body['secret']).toBeUndefined();
  expect(JSON.stringify(await get('webhooks/sealed'))).not.toContain('whsec');
  const { rows } = await corral.pool.query<{
    all: string;
  }>(`select secret || (select string_agg(r.after::text, '') from change_row r where noun = 'webhook') as all
    from webhook where name = 'sealed'`);
  expect(rows[0]!.all).not.toContain(own.slice(6));
  await customer();
  expect(await verified(await target.until(1), own)).toBe(true);
  const other = `whsec_${randomBytes(64).toString('base64')}`;
  expect((await patch('webhooks/sealed', { secret: other })).status).toBe(200);
  await customer();
  expect(await verified(await target.until(2), other)).toBe(true);
  const log = await watch(corral, { query: '?since=0&kinds=webhook' });
  await log.until(2);
  await sleep(100);
  expect(log.text()).not.toMatch(/whsec_|v1\.[0-9a-f]{8}\./);
  await patch('webhooks/sealed', { enabled: false });
});

test('what is no webhook is refused', async () => {
  const refused = (more: Record<string, unknown>, pointer: string) =>
    refuses(post('webhooks', { name: 'bad', url: 'https://example.com/', ...more }), 422, 'invalid', pointer);
  await refused({ url: 'ftp://example.com/' }, '/url');
  await refused({ url: 'example.com' }, '/url');
  await refused({ url: 'https://user:secret@example.com/' }, '/url');
  await refused({ kinds: ['customer', 'horse'] }, '/kinds/1');
  await refused({ kinds: ['report'] }, '/kinds/0');
  for (const secret of ['short', 'whsec_c2hvcnQ=', `whsec_${randomBytes(65).toString('base64')}`, randomBytes(32).toString('base64')])
    await refused({ secret }, '/secret');
  await refused({ delivered: 5 }, '/delivered');
  const token = String((await post('tokens', { name: 'reads', kind: 'reader' })).body['token']);
  const as = { request: (path: string, init?: RequestInit) => corral.request(path, { ...init, token }) };
  await refuses(call(as, 'POST', '/api/v1/webhooks', { name: 'bad', url: 'https://example.com/' }), 403, 'forbidden');
  await refuses(call(as, 'POST', '/api/v1/webhook-deliveries/1/redeliver'), 403, 'forbidden');
  await refuses(post('webhook-deliveries/999999/redeliver'), 404, 'not-found');
  await refuses(post('webhook-deliveries', {}), 405, 'method-not-allowed');
  await refuses(call(corral, 'GET', '/api/v1/webhook-deliveries/1/redeliver'), 405, 'method-not-allowed');
});

test('a failed delivery is tried again later with the same id, holds up the next ones for three attempts, and then no longer', async () => {
  const target = await receiver();
  const { secret } = await hook('retry', target.url);
  target.reply = (one) => (one.change.number === bad ? 503 : 200);
  let bad = (await newest()) + 1;
  await customer();
  await customer();
  await customer();
  const one = await settles('retry', (log) => log.length === 3 && log[0]!['attempts'] === 1);
  expect(one[0]).toMatchObject({ status: 'pending', last_status: 503, error: 'it answered 503' });
  expect(Date.parse(String(one[0]!['next_at'])) - Date.parse(String(one[0]!['updated_at']))).toBeGreaterThan(3000);
  expect((await get('webhooks/retry'))['failing_since']).toEqual(expect.any(String));
  await due(`change = ${bad}`);
  await settles('retry', (log) => log[0]!['attempts'] === 2);
  expect(target.numbers()).toEqual([bad, bad]);
  await due(`change = ${bad}`);
  await target.until(5);
  await settles('retry', (log) => log.every((each, i) => each['status'] === (i === 0 ? 'pending' : 'delivered')));
  expect(target.numbers()).toEqual([bad, bad, bad, bad + 1, bad + 2]);
  expect((await get('webhooks/retry'))['failing_since']).toBeNull();
  const last = bad;
  bad = 0;
  await due(`change = ${last}`);
  await settles('retry', all('delivered'));
  const same = target.received.filter((each) => each.change.number === last);
  expect([same.length, new Set(same.map((each) => each.headers['webhook-id'])).size]).toEqual([4, 1]);
  for (const each of same) expect(await verified(each, String(secret))).toBe(true);
});

test('the wait grows from 5 s to an hour, a quarter more or less by chance, and is what Retry-After asks where that is longer', async () => {
  expect([1, 2, 3, 4, 10, 11, 30].map((failed) => delayAfter(failed, 0.5))).toEqual([5, 10, 20, 40, 2560, 3600, 3600]);
  expect([delayAfter(1, 0), delayAfter(1, 1)]).toEqual([3.75, 6.25]);
  const target = await receiver();
  target.reply = () => ({ status: 429, headers: { 'retry-after': '600' } });
  await hook('slow', target.url);
  await customer();
  const [log] = await settles('slow', ([first]) => first?.['attempts'] === 1);
  expect(Date.parse(String(log!['next_at'])) - Date.parse(String(log!['updated_at']))).toBeGreaterThan(590_000);
  await patch('webhooks/slow', { enabled: false });
});

test('redirects are not followed, and no answer within the time is a failure', async () => {
  const target = await receiver();
  const other = await receiver();
  target.reply = () => ({ status: 307, headers: { location: other.url } });
  await hook('moved', target.url);
  await customer();
  const [log] = await settles('moved', ([first]) => first?.['attempts'] === 1);
  expect([log!['last_status'], log!['error'], other.received]).toEqual([307, expect.stringContaining('redirects are not followed'), []]);
  target.reply = () => 'hang';
  await due(`change = ${log!.change}`);
  const [hung] = await settles('moved', ([first]) => first!['attempts'] === 2);
  expect([hung!['last_status'], hung!['error'], Number(hung!['ms'])]).toEqual([null, 'no answer within 10 s', expect.closeTo(10_000, -3)]);
  await patch('webhooks/moved', { enabled: false });
});

test('after a day a delivery is given up; it can be sent again by hand, with the same id', async () => {
  const target = await receiver();
  await hook('given', target.url);
  target.reply = () => 500;
  const change = await customer();
  await settles('given', ([first]) => first?.['attempts'] === 1);
  await corral.pool.query(`update webhook_delivery set first_at = now() - interval '1 day' where change = $1`, [change]);
  await due(`change = ${change}`);
  const [over] = await settles('given', all('failed'));
  expect(over).toMatchObject({ attempts: 2, next_at: null, done_at: expect.any(String), last_status: 500 });
  target.reply = () => 200;
  const again = await post(`webhook-deliveries/${over!.id}/redeliver`);
  expect([again.status, again.body['change']]).toEqual([200, change]);
  await settles('given', all('delivered'));
  expect(new Set(target.received.map((one) => one.headers['webhook-id'])).size).toBe(1);
  /* One that was delivered, too. */
  await post(`webhook-deliveries/${over!.id}/redeliver`);
  await target.until(4);
});

test('a webhook that failed for a day is disabled by a change of Corral; enabled again it goes on where it stopped', async () => {
  const target = await receiver();
  await hook('dead', target.url);
  const watcher = await watch(corral, { query: '?kinds=webhook' });
  target.reply = () => 500;
  const change = await customer();
  await settles('dead', ([first]) => first?.['attempts'] === 1);
  await corral.pool.query(`update webhook set failing_since = now() - interval '25 hours' where name = 'dead'`);
  await due(`change = ${change}`);
  const { change: told } = await watcher.until(1);
  expect(told).toMatchObject({ actor: 'corral', message: expect.stringMatching(/^Webhook dead is disabled: no delivery succeeded for 25 hours/) });
  expect(told.rows).toEqual([
    expect.objectContaining({
      noun: 'webhook',
      key: 'dead',
      op: 'update',
      before: expect.objectContaining({ enabled: true }),
      after: expect.objectContaining({ enabled: false }),
    }),
  ]);
  expect(await get('webhooks/dead')).toMatchObject({ enabled: false, disabled_reason: expect.stringContaining('25 hours') });
  const [first] = await deliveries('dead');
  await refuses(post(`webhook-deliveries/${first!.id}/redeliver`), 409, 'conflict');
  const tries = target.received.length;
  const missed = await customer();
  await due();
  await sleep(200);
  expect(target.received.length).toBe(tries);
  target.reply = () => 200;
  expect((await patch('webhooks/dead', { enabled: true })).body).toMatchObject({ enabled: true, disabled_reason: null, failing_since: null });
  await settles('dead', (log) => log.length === 2 && all('delivered')(log));
  expect(target.numbers().slice(tries)).toEqual([change, missed]);
});

test('410 disables at once', async () => {
  const target = await receiver();
  target.reply = () => 410;
  await hook('gone', target.url);
  await customer();
  for (let row = await get('webhooks/gone'); row['enabled'] !== false; row = await get('webhooks/gone')) await sleep(20);
  expect((await get('webhooks/gone'))['disabled_reason']).toMatch(/410/);
  expect(target.received).toHaveLength(1);
});

test('a webhook that slept past the end of the log says so, and goes on from the oldest change that there is', async () => {
  const target = await receiver();
  await hook('asleep', target.url);
  await patch('webhooks/asleep', { enabled: false });
  const before = await newest();
  for (let i = 0; i < 4; i++) await customer();
  await corral.pool.query('delete from change where number between 1 and $1', [before + 2]);
  await patch('webhooks/asleep', { enabled: true });
  await target.until(2);
  const log = await settles('asleep', (each) => each.length === 3 && each.slice(1).every((one) => one['status'] === 'delivered'));
  expect(log.map((one) => one.change)).toEqual([expect.any(Number), before + 3, before + 4]);
  expect(log[0]).toMatchObject({ status: 'failed', attempts: 0, error: expect.stringMatching(new RegExp(`to ${before + 2} are no longer kept`)) });
});

test('one that was deleted and is brought back sends what comes, with its old secret, and nothing of before', async () => {
  const target = await receiver();
  const { secret } = await hook('back', target.url);
  await customer();
  await target.until(1);
  await settles('back', all('delivered'));
  expect((await call(corral, 'DELETE', '/api/v1/webhooks/back')).status).toBe(204);
  const gone = await newest();
  await customer();
  expect((await post(`changes/${gone}/revert`)).status).toBe(201);
  const change = await customer();
  const one = await target.until(2);
  expect([one.change.number, await verified(one, String(secret))]).toEqual([change, true]);
  await settles('back', all('delivered'));
});

test('deliveries that were done long ago are dropped', async () => {
  const old = await corral.pool.query<{ id: string }>(
    `update webhook_delivery set done_at = now() - interval '31 days' where done_at is not null returning id`,
  );
  expect(old.rowCount).toBeGreaterThan(0);
  const { dropOld } = await import('../../src/webhooks/deliveries.load.ts');
  await dropOld(corral.db(), 30);
  /* Others may have been done since. */
  expect((await corral.pool.query(`select from webhook_delivery where id = any($1)`, [old.rows.map(({ id }) => id)])).rows).toEqual([]);
});
