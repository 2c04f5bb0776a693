/** Logging in and out through the pages, with a real provider. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { checkLogins } from '../../../src/auth/people/settings.ts';
import { settingsCheck } from '../../../src/doctor/settings.ts';
import { loadConfig } from '../../../src/kernel/config.ts';
import { serve } from '../../../src/serve.ts';
import { testCorral } from '../../support/corral.ts';
import { authority } from '../ldap/certificates.ts';
import { Browser, makePerson } from '../people-support.ts';
import { CLIENT, ORIGIN, SECRET, startProvider } from './provider.ts';

const folder = mkdtempSync(join(tmpdir(), 'corral-oidc-'));
const ca = authority(folder, 'ca');
const rig = await startProvider(ca.issue('localhost', 'DNS:localhost'), ca.cert);
const oidc = JSON.stringify({ issuer: rig.issuer, client_id: CLIENT, client_secret: SECRET, ca_file: ca.cert, timeout: 1, label: 'Company login' });
const corral = await testCorral({ CORRAL_OIDC: oidc, CORRAL_PUBLIC_URL: ORIGIN });
afterAll(async () => {
  await rig.stop();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  rig.hang = undefined;
  rig.requests.length = 0;
});

/** Logs in at the provider, whose cookies are in the jar. */
async function logIn(jar: Map<string, string>, headers: Record<string, string> = {}): Promise<Browser> {
  const browser = new Browser(corral.base, headers);
  const start = await browser.ask('/login/oidc?next=/account');
  const back = new URL(await rig.browse(start.headers.get('location')!, jar));
  const end = await browser.ask(back.pathname + back.search);
  expect([end.status, end.headers.get('location'), await browser.isIn()]).toEqual([303, '/account', true]);
  return browser;
}
const refreshOf = (answer: Response): string => /^0; url=(https:\S+)$/.exec(answer.headers.get('refresh')!)![1]!;
const sessions = async (): Promise<number> => (await corral.pool.query('select from session')).rowCount!;

test('a logout ends the session here, and then that at the provider', async () => {
  const jar = new Map<string, string>();
  const browser = await logIn(jar);
  const thief = browser.copy();
  expect(browser.cookies.get('corral_oidc_logout')).not.toMatch(/eyJ/);
  /* While it lasts, the provider asks nothing. */
  rig.requests.length = 0;
  await logIn(jar);
  expect(rig.requests.filter((one) => one.includes('/interaction/'))).toEqual([]);
  const answer = await browser.post('/logout', {});
  expect([answer.status, [...browser.cookies.keys()], await thief.isIn()]).toEqual([200, [], false]);
  expect(answer.headers.get('content-security-policy')).toContain("form-action 'self'");
  const html = await answer.text();
  const url = refreshOf(answer);
  expect(html).toContain('You are logged out here');
  expect(html).toContain('Log out of Company login');
  expect(Object.fromEntries(new URL(url).searchParams)).toEqual({
    client_id: CLIENT,
    id_token_hint: expect.stringMatching(/^eyJ/),
    post_logout_redirect_uri: `${ORIGIN}/login`,
  });
  expect(await rig.leave(url, jar)).toBe(`${ORIGIN}/login`);
  rig.requests.length = 0;
  await logIn(jar);
  expect(rig.requests.filter((one) => one.includes('/interaction/'))).not.toEqual([]);
});

test('without the cookie that tells who it is the provider asks, and ends it as well', async () => {
  const jar = new Map<string, string>();
  const browser = await logIn(jar);
  browser.cookies.delete('corral_oidc_logout');
  const url = refreshOf(await browser.post('/logout', {}));
  expect([...new URL(url).searchParams.keys()].sort()).toEqual(['client_id', 'post_logout_redirect_uri']);
  expect(await rig.leave(url, jar)).toBe(`${ORIGIN}/login`);
});

test('people who came otherwise stay here, whatever cookie they have', async () => {
  await makePerson(corral, 'jane');
  const jane = new Browser(corral.base);
  await jane.login('jane');
  jane.cookies.set('corral_oidc_logout', (await logIn(new Map())).cookies.get('corral_oidc_logout')!);
  const answer = await jane.post('/logout', {});
  expect([answer.status, answer.headers.get('location'), [...jane.cookies.keys()]]).toEqual([303, '/login', []]);
});

test('when the provider is down the session here ends all the same', async () => {
  const other = await testCorral({ CORRAL_OIDC: oidc, CORRAL_PUBLIC_URL: ORIGIN, DATABASE_URL: corral.databaseUrl });
  const browser = await logIn(new Map());
  const before = await sessions();
  rig.hang = /well-known/;
  /* A process that has not asked the provider yet; the sessions are those of the database. */
  const there = new Browser(other.base);
  for (const [name, value] of browser.cookies) there.cookies.set(name, value);
  const answer = await there.post('/logout', {});
  expect([answer.status, answer.headers.get('location'), await browser.isIn(), await sessions()]).toEqual([303, '/login', false, before - 1]);
});

test('no Host header says where people come back to', async () => {
  const start = await new Browser(corral.base, { host: 'evil.example', 'x-forwarded-host': 'evil.example' }).ask('/login/oidc');
  expect(new URL(start.headers.get('location')!).searchParams.get('redirect_uri')).toBe(`${ORIGIN}/login/oidc/callback`);
});

test('without CORRAL_PUBLIC_URL nothing starts, doctor says so, and nobody is sent to the provider', async () => {
  const { config, sources, file } = loadConfig({ CORRAL_OIDC: oidc, CORRAL_DATA: join(folder, 'data') });
  const needs = 'CORRAL_OIDC needs CORRAL_PUBLIC_URL';
  expect(() => checkLogins(config)).toThrow(needs);
  await expect(serve(config)).rejects.toThrow(needs);
  const found = await settingsCheck.run({ config, sources, file, db: undefined as never, embedded: true, now: new Date() });
  expect(found).toEqual([expect.objectContaining({ verdict: 'fail', says: expect.stringContaining('CORRAL_PUBLIC_URL') })]);
  const without = await testCorral({ CORRAL_OIDC: oidc });
  for (const path of ['/login/oidc', '/login/oidc/callback?code=x&state=y']) {
    const answer = await new Browser(without.base).ask(path);
    expect([path, answer.status, (await answer.text()).includes(needs)]).toEqual([path, 503, true]);
  }
  expect(rig.requests).toEqual([]);
});
