import { expect, test } from 'vitest';
import { ADMIN, testCorral } from '../support/corral.ts';
import { json, send, smallFleet, type WireProblem } from '../http/samples.ts';
import { call } from '../modules/fleet.ts';

const corral = await testCorral();
await smallFleet(corral);
const reader = String((await corral.make('token', { name: 'watcher', kind: 'reader' }))['token']);

const routes = [
  '/',
  '/api/v1',
  '/api/v1/nodes',
  '/api/v1/nodes/hv0.example.com',
  '/api/v1/tokens',
  '/openapi.json',
  '/docs',
  '/documents',
  '/metrics',
  '/enc/hv0.example.com',
  '/hiera/hv0.example.com',
  '/hiera/hv0.example.com/corral::roles',
  '/pillar/hv0.example.com',
  '/tops/hv0.example.com',
  '/documents/hv0.example.com',
  '/forms/nodes',
  '/nothing',
];

test.each(routes)('%s needs a token that is known, and says how', async (path) => {
  for (const [headers, code] of [
    [{}, 'no-token'],
    [{ authorization: 'Basic YTpi' }, 'no-token'],
    [{ authorization: 'Bearer ' }, 'no-token'],
    [{ authorization: `Bearer ${ADMIN} ${ADMIN}` }, 'no-token'],
    [{ authorization: 'Bearer corral_admin_nobody' }, 'bad-token'],
    [{ authorization: `Bearer ${ADMIN.slice(0, -1)}` }, 'bad-token'],
    [{ authorization: `Bearer ${ADMIN.toUpperCase()}` }, 'bad-token'],
    [{ cookie: 'corral_token=nobody' }, 'bad-token'],
    [{ authorization: 'Bearer corral_admin_nobody', cookie: `corral_token=${ADMIN}` }, 'bad-token'],
  ] as const) {
    const answer = await corral.request(path, { token: null, headers });
    expect([headers, answer.status, answer.headers.get('www-authenticate')]).toEqual([headers, 401, 'Bearer realm="corral"']);
    expect(await json<WireProblem>(answer)).toMatchObject({ code, status: 401 });
  }
});

test('a write without a token changes nothing', async () => {
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
    const path = method === 'POST' ? '/api/v1/sites' : '/api/v1/sites/fra1';
    const answer = await corral.request(path, { token: null, ...send(method, { name: 'fra1', description: 'stolen' }) });
    expect([method, answer.status]).toEqual([method, 401]);
  }
  expect(await json(corral.request('/api/v1/sites/fra1'))).toMatchObject({ description: null, version: 1 });
});

test('health, readiness, the login page and the stylesheet are open to all', async () => {
  for (const path of ['/healthz', '/readyz', '/login', '/style.css']) {
    const answer = await corral.request(path, { token: null });
    expect([path, answer.status]).toEqual([path, 200]);
    await answer.arrayBuffer();
  }
});

test('a reader reads all and writes nothing', async () => {
  for (const path of routes.filter((one) => !['/forms/nodes', '/nothing', '/metrics'].includes(one))) {
    const answer = await corral.request(path, { token: reader });
    expect([path, answer.status]).toEqual([path, 200]);
    await answer.arrayBuffer();
  }
  for (const [method, path] of [
    ['POST', '/api/v1/sites'],
    ['PUT', '/api/v1/sites/new'],
    ['PATCH', '/api/v1/sites/fra1'],
    ['DELETE', '/api/v1/sites/fra1'],
    ['POST', '/api/v1/tokens'],
    ['DELETE', '/api/v1/tokens/admin'],
    ['POST', '/api/v1/sites/fra1'],
  ] as const) {
    const answer = await corral.request(path, { token: reader, ...send(method, { name: 'x', kind: 'admin' }) });
    expect([method, path, answer.status, (await json<WireProblem>(answer)).code]).toEqual([method, path, 403, 'forbidden']);
  }
  expect((await corral.request('/forms/nodes', { token: reader })).status).toBe(403);
});

test('a write in the form of a page does not get round it', async () => {
  const form = (path: string, body: string) =>
    corral.request(path, { method: 'POST', token: reader, headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'text/html' }, body });
  expect((await form('/api/v1/sites/fra1', '_method=DELETE&_etag=*')).status).toBe(403);
  expect((await form('/api/v1/sites', 'name=x')).status).toBe(403);
  expect((await corral.request('/api/v1/sites/fra1')).status).toBe(200);
});

test('a deleted token is refused at once, everywhere', async () => {
  const token = String((await corral.make('token', { name: 'short-lived', kind: 'admin' }))['token']);
  expect((await corral.request('/api/v1/sites', { token })).status).toBe(200);
  expect((await corral.request('/enc/hv0.example.com', { token })).status).toBe(200);
  expect((await corral.request('/api/v1/tokens/short-lived', { method: 'DELETE' })).status).toBe(204);
  expect((await corral.request('/api/v1/sites', { token })).status).toBe(401);
  expect((await corral.request('/enc/hv0.example.com', { token })).status).toBe(401);
});

test('the token is shown once, when it is made, and is nowhere in the database', async () => {
  const made = await call(corral, 'POST', '/api/v1/tokens', { name: 'shown-once', kind: 'admin' });
  const token = String(made.body['token']);
  expect(token).toMatch(/^corral_admin_[\w-]{43}$/);
  for (const path of [
    '/api/v1/tokens/shown-once',
    '/api/v1/tokens',
    '/api/v1/tokens.html',
    '/api/v1/tokens/shown-once.html',
    '/api/v1/tokens?q=corral_admin',
  ]) {
    const text = await (await corral.request(path)).text();
    expect([path, text.includes(token), text.includes('"hash"')]).toEqual([path, false, false]);
  }
  for (const query of ['hash=x', 'sort=hash', 'fields=hash', 'token=x']) expect((await corral.request(`/api/v1/tokens?${query}`)).status).toBe(400);
  const { rows } = await corral.pool.query<{ xml: string }>("select database_to_xml(true, true, '')::text as xml");
  expect(rows[0]!.xml).toContain('shown-once');
  for (const secret of [token, ADMIN, reader, Buffer.from(token).toString('base64'), Buffer.from(token).toString('hex')])
    expect(rows[0]!.xml.includes(secret)).toBe(false);
});

test('nobody chooses the text of a token, or its hash', async () => {
  for (const extra of [{ token: 'mine' }, { hash: 'x' }])
    expect((await call(corral, 'POST', '/api/v1/tokens', { name: 'chosen', kind: 'admin', ...extra })).status).toBe(422);
});
