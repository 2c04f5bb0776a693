import { expect, test } from 'vitest';
import { Limits } from '../../src/limits/limits.ts';
import { ADMIN, testCorral } from '../support/corral.ts';

const corral = await testCorral({ CORRAL_RATE_LIMIT: '40', CORRAL_RATE_LIMIT_ADDRESS: '100', CORRAL_TRUSTED_PROXIES: '127.0.0.1', CORRAL_DEMO: '0' });
await corral.make('site', { name: 'fra1' });
const token = async (name: string, kind: string, more = {}): Promise<string> => String((await corral.make('token', { name, kind, ...more }))['token']);
await corral.make('ceph_cluster', { name: 'ceph', public_network: '10.0.0.0/24' });
await corral.make('node', { fqdn: 'hv1.example.com', site: 'fra1', roles: { ceph_mon: { ceph_cluster: 'ceph' } } });

const ask = (path: string, credential: string | null, from: string, headers = {}) =>
  corral.request(path, { token: credential, headers: { 'x-forwarded-for': from, ...headers } });

/** What says how much may be asked. */
const fields = ({ headers }: Response): (string | null)[] => ['ratelimit-policy', 'ratelimit', 'retry-after'].map((name) => headers.get(name));

test('answers say how much is left, and then 429 says when to come again', async () => {
  const mine = await token('busy', 'reader');
  const first = await ask('/api/v1/sites', mine, '192.0.2.1');
  expect([first.headers.get('ratelimit-policy'), first.headers.get('ratelimit')]).toEqual(['"identity";q=40;w=60', '"identity";r=39;t=2']);
  const statuses: number[] = [];
  let last: Response | undefined;
  for (let i = 0; i < 80 && last?.status !== 429; i++) {
    last = await ask('/api/v1/sites', mine, `192.0.2.${i}`);
    statuses.push(last.status);
  }
  expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(39);
  expect(last!.status).toBe(429);
  expect(await last!.json()).toEqual({
    type: '/docs#too-many-requests',
    title: 'Too many requests',
    status: 429,
    code: 'too-many-requests',
    detail: expect.stringMatching(/^You have sent too many requests; try again in \d seconds?$/),
    retry_after: expect.any(Number),
    policy: 'identity',
  });
  expect(last!.headers.get('retry-after')).toMatch(/^[12]$/);
  expect(last!.headers.get('ratelimit')).toMatch(/^"identity";r=0;t=[12]$/);
  expect(last!.headers.get('content-type')).toBe('application/problem+json');
  /* Others at the same addresses go on. */
  expect((await ask('/api/v1/sites', ADMIN, '192.0.2.1')).status).toBe(200);
});

test('a token of kind server may ask for many hosts', async () => {
  const server = await token('puppetserver', 'server');
  const answer = await ask('/documents', server, '192.0.2.2');
  await answer.body?.cancel();
  expect(answer.headers.get('ratelimit-policy')).toBe('"identity";q=4000;w=60');
});

test('wrong tokens are throttled by address, and good ones that are in use there go on', async () => {
  const known = await token('known', 'reader');
  expect((await ask('/api/v1/sites', known, '198.51.100.7')).status).toBe(200);
  const statuses: number[] = [];
  for (let i = 0; i < 15; i++) statuses.push((await ask('/api/v1/sites', `corral_admin_guess${i}`, '198.51.100.7')).status);
  expect(statuses.slice(0, 10)).toEqual(new Array(10).fill(401));
  expect(statuses.at(-1)).toBe(429);
  const refused = await ask('/api/v1/sites', 'corral_admin_guess', '198.51.100.7');
  expect([refused.status, await refused.json()]).toEqual([429, expect.objectContaining({ policy: 'address' })]);
  expect(fields(refused)).toEqual(['"address";q=100;w=60', expect.stringMatching(/^"address";r=0;t=\d+$/), expect.stringMatching(/^\d+$/)]);
  expect((await ask('/api/v1/sites', known, '198.51.100.7')).status).toBe(200);
  expect((await ask('/api/v1/sites', 'corral_admin_guess', '198.51.100.8')).status).toBe(401);
  /* On the path of documents, too. */
  for (const path of ['/enc/hv1.example.com', '/documents/hv1.example.com/events', '/watch']) {
    const bare = await ask(path, 'corral_admin_guess', '198.51.100.7');
    expect([path, bare.status, await bare.json()]).toEqual([path, 429, expect.objectContaining({ code: 'too-many-requests', policy: 'address' })]);
    expect(fields(bare)).toEqual(['"address";q=100;w=60', `"address";r=0;t=${bare.headers.get('retry-after')}`, expect.stringMatching(/^\d+$/)]);
  }
  expect((await ask('/enc/hv1.example.com', known, '198.51.100.7')).status).not.toBe(429);
});

test('wrong tokens on the path of documents, and on the login page, count as well', async () => {
  const statuses: number[] = [];
  for (let i = 0; i < 15; i++) statuses.push((await ask('/enc/hv1.example.com', `corral_node_guess${i}`, '198.51.100.20')).status);
  expect([statuses[0], statuses.at(-1)]).toEqual([401, 429]);
  const login = (i: number) =>
    corral.request('/login', {
      method: 'POST',
      token: null,
      headers: { 'x-forwarded-for': '2001:db8:1:2::7', 'content-type': 'application/x-www-form-urlencoded' },
      body: `token=guess${i}`,
    });
  const logins: number[] = [];
  for (let i = 0; i < 15; i++) logins.push((await login(i)).status);
  expect([logins[0], logins.at(-1)]).toEqual([401, 429]);
  expect(fields(await login(16))).toEqual(['"address";q=100;w=60', expect.stringMatching(/^"address";r=0;t=\d+$/), expect.stringMatching(/^\d+$/)]);
  /* Who has one address of an IPv6 network has all of it. */
  expect((await ask('/api/v1/sites', 'guess', '2001:db8:1:2:9::1')).status).toBe(429);
  expect((await ask('/api/v1/sites', 'guess', '2001:db8:1:3::1')).status).toBe(401);
});

test('requests without any token are counted by address, but for what costs nothing', async () => {
  const answer = await ask('/login', null, '203.0.113.1');
  expect(answer.headers.get('ratelimit-policy')).toBe('"address";q=100;w=60');
  for (let i = 0; i < 130; i++) await ask('/login', null, '203.0.113.1');
  expect((await ask('/login', null, '203.0.113.1')).status).toBe(429);
  expect((await ask('/healthz', null, '203.0.113.1')).status).toBe(200);
  expect((await ask('/style.css', null, '203.0.113.1')).status).toBe(200);
  expect((await ask('/api/v1/sites', ADMIN, '203.0.113.1')).status).toBe(200);
});

test('guesses, however many, do not push out the tokens that are in use', async () => {
  const known = await token('in-use', 'reader');
  expect((await ask('/enc/hv1.example.com', known, '198.51.100.30')).status).not.toBe(401);
  for (let i = 0; i < 12; i++) await ask('/enc/hv1.example.com', `corral_x_${i}`, '198.51.100.30');
  const limits = new Limits({ identity: 40, address: 100, store: 'memory' }, corral.pool);
  limits.note('Bearer good', { kind: 'reader' });
  for (let i = 0; i < 100_000; i++) {
    limits.known(`Bearer guess${i}`, '198.51.100.30');
    limits.note(`Bearer guess${i}`, undefined);
  }
  expect(limits.known('Bearer good', '198.51.100.30')).toMatchObject({ good: true });
  expect((await ask('/enc/hv1.example.com', 'corral_x', '198.51.100.30')).status).toBe(429);
  expect((await ask('/enc/hv1.example.com', known, '198.51.100.30')).status).not.toBe(429);
});

test('the documents of one host may be asked for as often as an identity may ask', async () => {
  const node = await token('hv1', 'node', { node: 'hv1.example.com' });
  const statuses: number[] = [];
  for (let i = 0; i < 60; i++) statuses.push((await ask('/enc/hv1.example.com', node, '192.0.2.77')).status);
  expect([statuses[0], statuses.at(-1)]).toEqual([200, 429]);
  const last = await ask('/enc/hv1.example.com', node, '192.0.2.77');
  expect([last.headers.get('retry-after'), last.headers.get('x-content-type-options')]).toEqual([expect.stringMatching(/^[12]$/), 'nosniff']);
  expect(fields(last).slice(0, 2)).toEqual(['"identity";q=40;w=60', expect.stringMatching(/^"identity";r=0;t=[12]$/)]);
});

test('who may not is in the audit log, on the path of documents, too', async () => {
  const other = await token('hv2', 'node', { node: 'hv1.example.com' });
  expect((await ask('/enc/hv9.example.com', other, '192.0.2.99', { 'x-request-id': 'r-forbidden' })).status).toBe(403);
  expect((await ask('/watch', other, '192.0.2.99', { 'x-request-id': 'r-watch' })).status).toBe(403);
  expect((await ask('/enc/hv1.example.com', 'corral_node_wrong', '192.0.2.98', { 'x-request-id': 'r-wrong' })).status).toBe(401);
  const find = async () =>
    (
      await corral.pool.query(
        `select kind, actor, address, request_id, detail->>'path' as path, detail->>'code' as code from audit_entry where request_id like 'r-%' order by number`,
      )
    ).rows;
  await expect.poll(find).toHaveLength(3);
  expect(await find()).toEqual(
    expect.arrayContaining([
      { kind: 'refused', actor: 'hv2', address: '192.0.2.99', request_id: 'r-forbidden', path: '/enc/hv9.example.com', code: null },
      { kind: 'refused', actor: 'hv2', address: '192.0.2.99', request_id: 'r-watch', path: '/watch', code: null },
      { kind: 'refused', actor: null, address: '192.0.2.98', request_id: 'r-wrong', path: '/enc/hv1.example.com', code: 'bad-token' },
    ]),
  );
});
