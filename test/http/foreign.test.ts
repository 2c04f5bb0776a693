import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { createApp } from '../../src/app.ts';
import type { Services } from '../../src/http/answer.ts';
import { pages } from '../../src/pages/index.tsx';
import { ADMIN, testCorral } from '../support/corral.ts';

const corral = await testCorral();
const services: Services = { ...corral, pages, bodyLimit: 1000, version: 'test' };
const app = createApp({ services, documents: corral.documents, log: pino({ level: 'silent' }) });

/** Every route that is no GET, as the server has it: a new one is in this test by itself. */
const writes = [
  ...new Set(
    app.routes
      .filter(({ method, path }) => !['GET', 'HEAD'].includes(method) && !path.includes('*'))
      .flatMap(({ method, path }) => (method === 'ALL' ? ['POST', 'PUT', 'PATCH', 'DELETE'] : [method]).map((one) => `${one} ${path}`)),
  ),
].sort();
const posts = writes.filter((one) => one.startsWith('POST '));

const send = async (route: string, headers: Record<string, string>) => {
  const [method, path] = route.split(' ') as [string, string];
  const url = path.replaceAll(/:(\w+)(\{[^}]*\})?/g, (_all, _name, pattern) => (pattern === undefined || !/\[0-9\]/.test(pattern as string) ? 'x' : '1'));
  const answer = await corral.request(url, {
    method,
    token: null,
    headers: { cookie: `corral_token=${ADMIN}`, 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json', ...headers },
    body: method === 'DELETE' ? undefined : '',
  });
  const text = await answer.text();
  return { status: answer.status, foreign: text.includes('comes from the page of another site') };
};

test('the routes that people know are among them', () => {
  const known = ['/login', '/login/factor', '/login/first', '/logout', '/account/password', '/account/factor', '/account/sessions', '/api/v1/bulk'];
  expect(posts.map((one) => one.slice(5))).toEqual(expect.arrayContaining(known));
  expect(posts.length).toBeGreaterThan(20);
});

describe.each([
  ['the page of another site', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }],
  ['another host of our site', { 'sec-fetch-site': 'same-site', origin: 'http://other.localhost' }],
  ['another site, from a browser without Sec-Fetch-Site', { origin: 'https://evil.example' }],
  ['another port, from a browser without Sec-Fetch-Site', { origin: 'http://127.0.0.1:1' }],
  ['a frame or a file', { origin: 'null' }],
  ['something that is no origin', { origin: 'evil' }],
] as [string, Record<string, string>][])('with the cookie, from %s', (_name, headers) => {
  test.each(writes)('%s is refused', async (route) => {
    expect(await send(route, headers)).toEqual({ status: 403, foreign: true });
  });
});

describe('with the cookie, from our own pages', () => {
  test.each(posts)('%s is no foreign request', async (route) => {
    for (const headers of [{ 'sec-fetch-site': 'same-origin', origin: corral.base }, { origin: corral.base }] as Record<string, string>[])
      expect((await send(route, headers)).foreign).toBe(false);
  });
});

test('what shows a token of its own may come from anywhere', async () => {
  const answer = await corral.request('/api/v1/sites', {
    method: 'POST',
    headers: { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example', 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'fra1' }),
  });
  expect(answer.status).toBe(201);
});

test('nothing is written with GET, whatever it says', async () => {
  const before = (await corral.pool.query('select count(*) as n from change')).rows;
  for (const route of writes) {
    const path = route.split(' ')[1]!.replaceAll(/:(\w+)(\{[^}]*\})?/g, 'x');
    await corral.request(`${path}?_method=DELETE`, { headers: { 'x-http-method-override': 'DELETE' } }).then((answer) => answer.body?.cancel());
  }
  expect((await corral.pool.query('select count(*) as n from change')).rows).toEqual(before);
});
