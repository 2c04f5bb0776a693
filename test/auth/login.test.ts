import { describe, expect, test } from 'vitest';
import { ADMIN, testCorral } from '../support/corral.ts';
import { smallFleet } from '../http/samples.ts';

const corral = await testCorral();
await smallFleet(corral);
const FORM = { 'content-type': 'application/x-www-form-urlencoded', accept: 'text/html' };
const login = (body: Record<string, string>, headers: Record<string, string> = {}) =>
  corral.request('/login', { method: 'POST', token: null, headers: { ...FORM, ...headers }, body: new URLSearchParams(body).toString() });
const cookieOf = (answer: Response): string => answer.headers.get('set-cookie')!.split(';', 1)[0]!;

describe('logging in', () => {
  test('begins at the login page for who asks for a page without a token', async () => {
    for (const path of ['/api/v1/nodes?sort=fqdn', '/enc/hv0.example.com', '/']) {
      const answer = await corral.request(path, { token: null, headers: { accept: 'text/html' } });
      expect([path, answer.status, answer.headers.get('location')]).toEqual([path, 303, `/login?next=${encodeURIComponent(path)}`]);
    }
  });

  test('with a good token sets a cookie that no script and no other site gets, and goes on', async () => {
    const answer = await login({ token: ` ${ADMIN}\n`, next: '/api/v1/nodes?sort=fqdn' });
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/api/v1/nodes?sort=fqdn']);
    const cookie = answer.headers.get('set-cookie')!;
    for (const part of ['HttpOnly', 'SameSite=Strict', 'Path=/', 'Max-Age=']) expect(cookie).toContain(part);
    expect(cookie).not.toContain('Secure');
    expect((await login({ token: ADMIN }, { 'x-forwarded-proto': 'https' })).headers.get('set-cookie')).toContain('Secure');
    const page = await corral.request('/api/v1/nodes', { token: null, headers: { cookie: `other=1; ${cookieOf(answer)}`, accept: 'text/html' } });
    expect([page.status, (await page.text()).includes('hv0.example.com')]).toEqual([200, true]);
  });

  test('with a bad token is refused on the page, without showing it, and sets nothing', async () => {
    for (const token of ['corral_admin_wrong', '', '"><script>', 'x'.repeat(500), 'a b']) {
      const answer = await login({ token, next: '/api/v1/nodes' });
      const text = await answer.text();
      expect([token, answer.status, answer.headers.get('set-cookie'), text.includes('"><script>')]).toEqual([token, 401, null, false]);
    }
  });

  test('goes to no other site', async () => {
    for (const next of [
      'https://evil.example/',
      '//evil.example/',
      '/\\evil.example/',
      '/\t/evil.example',
      '\\\\evil.example',
      'javascript:alert(1)',
      '/%0d%0aSet-Cookie:x=1\r\nSet-Cookie: y=1',
      '/\n/evil.example',
      ' //evil.example',
      '',
    ]) {
      const answer = await login({ token: ADMIN, next });
      const location = answer.headers.get('location')!;
      expect([next, answer.status, new URL(location, corral.base).origin]).toEqual([next, 303, corral.base]);
      expect(answer.headers.getSetCookie()).toHaveLength(1);
      expect((await corral.request(`/login?next=${encodeURIComponent(next)}`, { token: null })).status).toBe(200);
    }
  });

  test('ends with logging out', async () => {
    const answer = await corral.request('/logout', { method: 'POST', headers: { cookie: `corral_token=${ADMIN}` }, token: null });
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/login']);
    expect(answer.headers.get('set-cookie')).toMatch(/corral_token=;.*Max-Age=0/);
  });

  test('takes a body of its own size only, and of a form only', async () => {
    expect((await login({ token: 'x'.repeat(20_000) })).status).toBe(413);
    expect((await corral.request('/login', { method: 'POST', token: null, headers: { 'content-type': 'text/plain' }, body: 'x' })).status).toBe(415);
  });
});

describe('a write with the cookie', () => {
  const write = (headers: Record<string, string>) =>
    corral.request('/api/v1/customers', {
      method: 'POST',
      token: null,
      headers: { ...FORM, cookie: `corral_token=${ADMIN}`, ...headers },
      body: `name=c${Math.random().toString(36).slice(2)}`,
    });

  test.each([
    [{ 'sec-fetch-site': 'cross-site' }],
    [{ 'sec-fetch-site': 'same-site' }],
    [{ origin: 'https://evil.example' }],
    [{ origin: 'null' }],
    [{ origin: 'http://127.0.0.1:1' }],
    [{ origin: 'garbage' }],
    [{ origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }],
  ])('from another site is refused: %o', async (headers) => {
    const answer = await write(headers as Record<string, string>);
    expect(answer.status).toBe(403);
  });

  test.each([[{ 'sec-fetch-site': 'same-origin' }], [{ 'sec-fetch-site': 'none' }], [{ origin: corral.base }]])(
    'from our own pages is taken: %o',
    async (headers) => {
      const answer = await write(headers as Record<string, string>);
      expect([answer.status, answer.headers.get('location')]).toEqual([303, expect.stringMatching(/^\/api\/v1\/customers\/\d+$/)]);
    },
  );

  test('is not needed by programs: the header alone is enough, whatever the site', async () => {
    const answer = await corral.request('/api/v1/customers', {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: 'https://tool.example' },
      body: '{"name":"by-program"}',
    });
    expect(answer.status).toBe(201);
  });
});
