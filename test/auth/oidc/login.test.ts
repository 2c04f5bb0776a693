import { createHmac, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { oidcFinish, oidcLogout, oidcStart, type Oidc, type OidcFinish } from '../../../src/auth/oidc/login.ts';
import { oidcSchema } from '../../../src/kernel/config.oidc.ts';
import { Problem } from '../../../src/kernel/problem.ts';
import { secretBox } from '../../../src/kernel/secret.ts';
import { authority } from '../ldap/certificates.ts';
import { CLIENT, ORIGIN, SECRET, startProvider, type Rig, type Tamper } from './provider.ts';

describe('a login with OpenID Connect', () => {
  const folder = mkdtempSync(join(tmpdir(), 'corral-oidc-'));
  const ca = authority(folder, 'ca');
  const box = secretBox(randomBytes(32));
  const oidc = (more: object = {}): Oidc => ({
    settings: oidcSchema.parse({ issuer: rig.issuer, client_id: CLIENT, client_secret: SECRET, ca_file: ca.cert, timeout: 1, ...more }),
    box,
    origin: ORIGIN,
  });
  let rig: Rig;
  const usual = { preferred_username: 'ada', name: 'Ada Lovelace', email: 'ada@example.com', email_verified: true, groups: ['staff', 'operators'] };

  beforeAll(async () => {
    rig = await startProvider(ca.issue('localhost', 'DNS:localhost'), ca.cert);
  });
  afterEach(() => {
    Object.assign(rig, { claims: usual, tamper: undefined, hang: undefined });
  });
  afterAll(async () => {
    await rig.stop();
    rmSync(folder, { recursive: true });
  });

  async function login(with_: Oidc = oidc(), next = '/vms?sort=name'): Promise<OidcFinish> {
    const { url, cookie } = await oidcStart(with_, next);
    return oidcFinish(with_, cookie, await rig.browse(url));
  }

  async function problem(work: Promise<unknown>): Promise<Problem> {
    const error = await work.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(Problem);
    /* Three parts with dots between: a token. */
    const shown = `${inspect(error, { depth: 20, showHidden: true })} ${JSON.stringify((error as Problem).toDocument())}`;
    expect(shown).not.toMatch(/eyJ[\w-]+\.[\w-]*\.|code=|code_verifier/);
    expect(shown).not.toContain(SECRET);
    return error as Problem;
  }

  test('tells who it is', async () => {
    const { person, next } = await login();
    expect(person).toEqual({
      source: 'oidc',
      subject: `${rig.issuer}|account-1`,
      name: 'ada',
      full_name: 'Ada Lovelace',
      email: 'ada@example.com',
      groups: ['staff', 'operators'],
    });
    expect(next).toBe('/vms?sort=name');
  });

  test('asks with PKCE, state and nonce, new each time; discovery is asked for once', async () => {
    const same = oidc();
    rig.requests.length = 0;
    const [a, b] = [await oidcStart(same, '/'), await oidcStart(same, '/')];
    const query = new URL(a.url).searchParams;
    expect(Object.fromEntries(query)).toMatchObject({
      client_id: CLIENT,
      response_type: 'code',
      code_challenge_method: 'S256',
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      scope: 'openid profile email',
      redirect_uri: `${ORIGIN}/login/oidc/callback`,
    });
    for (const name of ['state', 'nonce', 'code_challenge']) expect(query.get(name)).not.toBe(new URL(b.url).searchParams.get(name));
    expect(rig.requests).toEqual(['GET /.well-known/openid-configuration']);
    expect(a.cookie).not.toContain(query.get('state'));
  });

  test('a code with another verifier is refused by the provider', async () => {
    const { url, cookie } = await oidcStart(oidc(), '/');
    const state = JSON.parse(box.open(cookie, 'oidc-login')) as object;
    const other = box.seal(JSON.stringify({ ...state, verifier: 'x'.repeat(43) }), 'oidc-login');
    const refused = await problem(oidcFinish(oidc(), other, await rig.browse(url)));
    expect(refused).toMatchObject({ code: 'login-failed', status: 401, message: expect.stringContaining('invalid_grant') });
  });

  test('a login works once', async () => {
    const { url, cookie } = await oidcStart(oidc(), '/');
    const back = await rig.browse(url);
    await oidcFinish(oidc(), cookie, back);
    expect(await problem(oidcFinish(oidc(), cookie, back))).toMatchObject({ code: 'login-failed', message: expect.stringContaining('invalid_grant') });
  });

  test('the answer to the login of another browser is refused, before the code is used', async () => {
    const [mine, theirs] = [await oidcStart(oidc(), '/'), await oidcStart(oidc(), '/')];
    const back = await rig.browse(theirs.url);
    rig.requests.length = 0;
    expect(await problem(oidcFinish(oidc(), mine.cookie, back))).toMatchObject({ code: 'login-failed', message: expect.stringContaining('state') });
    expect(await problem(oidcFinish(oidc(), undefined, back))).toMatchObject({ code: 'login-failed' });
    expect(await problem(oidcFinish(oidc(), `${mine.cookie}x`, back))).toMatchObject({ code: 'login-failed' });
    const noState = new URL(back);
    noState.searchParams.delete('state');
    expect(await problem(oidcFinish(oidc(), theirs.cookie, noState.href))).toMatchObject({ code: 'login-failed' });
    expect(rig.requests).not.toContain('POST /token');
  });

  test('a login that took too long, or began with another provider, is refused', async () => {
    const { url, cookie } = await oidcStart(oidc(), '/');
    const back = await rig.browse(url);
    const state = JSON.parse(box.open(cookie, 'oidc-login')) as object;
    const with_ = (more: object): string => box.seal(JSON.stringify({ ...state, ...more }), 'oidc-login');
    expect(await problem(oidcFinish(oidc(), with_({ until: Date.now() - 1 }), back))).toMatchObject({
      code: 'login-failed',
      message: expect.stringContaining('too long'),
    });
    expect(await problem(oidcFinish(oidc(), with_({ issuer: 'https://other.example.com' }), back))).toMatchObject({ code: 'login-failed' });
    expect(await problem(oidcFinish(oidc(), box.seal(JSON.stringify(state), 'another-place'), back))).toMatchObject({ code: 'login-failed' });
  });

  test('what the provider refuses is said by its code alone', async () => {
    const { url, cookie } = await oidcStart(oidc(), '/');
    const state = new URL(url).searchParams.get('state');
    const back = (error: string): string =>
      `${ORIGIN}/login/oidc/callback?${new URLSearchParams({ error, error_description: '<script>', state: state!, iss: rig.issuer }).toString()}`;
    const denied = await problem(oidcFinish(oidc(), cookie, back('access_denied')));
    expect(denied.message).toBe('The identity provider refused the login (access_denied). Start again at /login');
    expect((await problem(oidcFinish(oidc(), cookie, back('<b>x</b>')))).message).toContain('(unknown_error)');
  });

  const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const now = (): number => Math.floor(Date.now() / 1000);
  const hs256: Tamper = (claims, header) => {
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const body = `${part({ ...header, alg: 'HS256' })}.${part(claims)}`;
    return `${body}.${createHmac('sha256', SECRET).update(body).digest('base64url')}`;
  };
  test.each<[string, Tamper]>([
    ['another nonce', (claims, header, sign) => sign(header, { ...claims, nonce: 'other' })],
    ['no nonce', (claims, header, sign) => sign(header, { ...claims, nonce: undefined })],
    ['another audience', (claims, header, sign) => sign(header, { ...claims, aud: 'other' })],
    ['more than one audience, and issued to another', (claims, header, sign) => sign(header, { ...claims, aud: [CLIENT, 'other'], azp: 'other' })],
    ['another issuer', (claims, header, sign) => sign(header, { ...claims, iss: 'https://other.example.com' })],
    ['an end in the past', (claims, header, sign) => sign(header, { ...claims, exp: now() - 40 })],
    ['a start in the future', (claims, header, sign) => sign(header, { ...claims, nbf: now() + 40 })],
    ['no end', (claims, header, sign) => sign(header, { ...claims, exp: undefined })],
    ['no subject', (claims, header, sign) => sign(header, { ...claims, sub: undefined })],
    ['the signature of another key', (claims, header, sign) => sign(header, claims, stranger)],
    ['the signature of a key that is not the provider’s', (claims, header, sign) => sign({ ...header, kid: 'other' }, claims, stranger)],
    [
      'no signature',
      (claims, header, sign) =>
        `${sign({ ...header, alg: 'none' }, claims)
          .split('.')
          .slice(0, 2)
          .join('.')}.`,
    ],
    ['a signature with the client secret', hs256],
    [
      'a changed claim',
      (claims, header, sign) => sign(header, claims).replace(/\..*\./, `.${Buffer.from(JSON.stringify({ ...claims, sub: 'root' })).toString('base64url')}.`),
    ],
  ])('an ID token with %s is refused', async (_, tamper) => {
    rig.tamper = tamper;
    expect(await problem(login())).toMatchObject({ code: 'login-failed', status: 401 });
  });

  test('clocks may differ a little', async () => {
    rig.tamper = (claims, header, sign) => sign(header, { ...claims, exp: now() - 5, nbf: now() + 5 });
    expect((await login()).person.name).toBe('ada');
    expect(await problem(login(oidc({ clock_tolerance: 0 })))).toMatchObject({ code: 'login-failed' });
  });

  test('userinfo of another subject is refused', async () => {
    rig.tamper = (claims, header, sign) => sign(header, { ...claims, sub: 'account-2' });
    expect(await problem(login())).toMatchObject({ code: 'login-failed' });
  });

  test('keys of the provider may change at any time, and old ones count no more', async () => {
    const same = oidc();
    expect((await login(same)).person.name).toBe('ada');
    let old: string | undefined;
    rig.tamper = (claims, header, sign) => (old = sign(header, claims));
    await login(same);
    rig.tamper = undefined;
    rig.rotate();
    expect((await login(same)).person.name).toBe('ada');
    rig.tamper = () => old!;
    expect(await problem(login(same))).toMatchObject({ code: 'login-failed' });
  });

  test('claims may have other names; without a name there is no login', async () => {
    rig.claims = { ...usual, preferred_username: undefined };
    expect(await problem(login())).toMatchObject({ code: 'login-failed', message: expect.stringContaining('preferred_username') });
    rig.claims = { ...usual, preferred_username: 'a\nb' };
    expect(await problem(login())).toMatchObject({ code: 'login-failed' });
    rig.claims = { ...usual, email_verified: false, groups: { roles: ['x', 'x', 7, ''] } };
    const { person } = await login(oidc({ claims: { name: 'email', groups: 'groups.roles' } }));
    expect(person).toEqual({ source: 'oidc', subject: `${rig.issuer}|account-1`, name: 'ada@example.com', full_name: 'Ada Lovelace', groups: ['x'] });
    rig.claims = { ...usual, groups: 'one' };
    expect((await login()).person.groups).toEqual(['one']);
    rig.claims = { ...usual, groups: Array.from({ length: 1001 }, String) };
    expect(await problem(login())).toMatchObject({ code: 'login-failed', message: expect.stringContaining('1000 groups') });
  });

  test('a secret that is wrong is for the administrator', async () => {
    const wrong = await problem(login(oidc({ client_secret: 'wrong' })));
    expect(wrong).toMatchObject({ code: 'directory-failed', status: 503, cause: { message: expect.stringContaining('client_secret') } });
    expect(wrong.message).not.toContain('client_secret');
    expect((await problem(login(oidc({ client_secret: undefined })))).cause).toMatchObject({ message: expect.stringContaining('client_secret') });
    expect((await login(oidc({ client_auth: 'basic' }))).person.name).toBe('ada');
  });

  test('a provider that is down, hangs, or is another is a failure of the provider', async () => {
    const failed = { code: 'directory-failed', status: 503 };
    const reason = async (more: object): Promise<string> => {
      const seen = await problem(oidcStart(oidc(more), '/'));
      expect(seen).toMatchObject(failed);
      return (seen.cause as Error).message;
    };
    expect(await reason({ issuer: 'https://localhost:1' })).toContain('ECONNREFUSED');
    expect(await reason({ issuer: rig.issuer.replace('localhost', '127.0.0.1') })).toContain('ERR_TLS_CERT_ALTNAME_INVALID');
    expect(await reason({ ca_file: undefined })).toMatch(/SELF_SIGNED|UNABLE_TO/);
    expect(await reason({ issuer: `${rig.issuer}/no-such-place` })).toContain('RESPONSE_IS_NOT_CONFORM');
    const with_ = oidc({ timeout: 0.3 });
    const { url, cookie } = await oidcStart(with_, '/');
    const back = await rig.browse(url);
    rig.hang = /well-known/;
    expect(await reason({ timeout: 0.3 })).toContain('TIMEOUT');
    for (const path of [/token/, /jwks/, /\/me/]) {
      rig.hang = undefined;
      const again = await oidcStart(with_, '/');
      const there = await rig.browse(again.url);
      rig.hang = path;
      expect(await problem(oidcFinish(with_, again.cookie, there)), path.source).toMatchObject(failed);
    }
    rig.hang = undefined;
    expect((await oidcFinish(with_, cookie, back)).person.name).toBe('ada');
  });

  test('a provider that names another issuer, or answers without end, is refused', async () => {
    const server = createServer((request, response) => {
      response.setHeader('content-type', 'application/json');
      if (request.url!.startsWith('/large')) response.end(`{"issuer":"${'x'.repeat(2_000_000)}"}`);
      else response.end(JSON.stringify({ issuer: rig.issuer, authorization_endpoint: `${rig.issuer}/auth` }));
    });
    await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
    const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      for (const one of [issuer, `${issuer}/large`]) await problem(oidcStart(oidc({ issuer: one }), '/'));
    } finally {
      await new Promise((done) => server.close(done));
    }
  });

  test('a logout goes to the provider too, when it offers that', async () => {
    const with_ = oidc();
    const { hint } = await login(with_);
    const asked = async (...given: Parameters<typeof oidcLogout>): Promise<object> => {
      const url = new URL((await oidcLogout(...given))!);
      expect(url.pathname).toBe('/session/end');
      return Object.fromEntries(url.searchParams);
    };
    const plain = { client_id: CLIENT, post_logout_redirect_uri: `${ORIGIN}/login` };
    /* A token is kept sealed only. */
    expect(hint).not.toMatch(/eyJ/);
    expect(await asked(with_, hint)).toEqual({ ...plain, id_token_hint: expect.stringMatching(/^eyJ[\w-]+\.[\w-]+\.[\w-]+$/) });
    for (const none of [undefined, '', hint!.slice(0, -8), box.seal('x', 'oidc-login')]) expect(await asked(with_, none)).toEqual(plain);
    expect(await asked({ ...with_, box: secretBox(randomBytes(32)) }, hint)).toEqual(plain);
    rig.claims = { ...usual, groups: Array.from({ length: 300 }, (_, i) => `a group with a long name ${i}`) };
    rig.tamper = (claims, header, sign) => sign(header, { ...claims, groups: rig.claims['groups'] });
    expect((await login(with_)).hint).toBeUndefined();
    expect(await oidcLogout(oidc({ issuer: 'https://localhost:1' }))).toBeUndefined();
  });

  test('the secret may be in a file', async () => {
    const file = join(folder, 'secret');
    writeFileSync(file, `${SECRET}\n`);
    expect((await login(oidc({ client_secret: undefined, client_secret_file: file }))).person.name).toBe('ada');
  });
});
