import { beforeEach, describe, expect, test } from 'vitest';
import type { Directory } from '../../src/auth/directory.ts';
import { Problem } from '../../src/kernel/problem.ts';
import { testCorral } from '../support/corral.ts';
import { auditor, Browser, codeOf, makePerson, PASSWORD, setUp } from './people-support.ts';

/* The directories themselves are tried with a real slapd and a real provider elsewhere; here it counts what is made of their answers. */
const told = auditor();
const people = new Map<string, { password: string; person: Directory | Error }>();
const asked: string[] = [];
let back: Directory | Error;
const corral = await testCorral(
  {},
  {
    login: {
      audit: told.audit,
      ldap: async (name, password) => {
        asked.push(name);
        const found = people.get(name);
        if (found?.person instanceof Error) throw found.person;
        return found?.password === password ? found.person : undefined;
      },
      oidc: {
        label: 'Example ID',
        start: async (next) => ({
          url: 'https://id.example/authorize',
          cookie: Buffer.from(next).toString('base64url'),
        }),
        finish: async (cookie, url) => {
          if (cookie === undefined || !url.includes('code=good')) throw new Problem('login-failed', 'No login under way');
          if (back instanceof Error) throw back;
          return { directory: back, next: Buffer.from(cookie, 'base64url').toString() };
        },
        logout: async () => undefined,
      },
    },
  },
);
const { pool } = corral;
const fresh = (): Browser => new Browser(corral.base);
const ann: Directory = {
  source: 'ldap',
  subject: 'uuid-ann',
  name: 'Ann',
  full_name: 'Ann Example',
  email: 'ann@example.com',
  groups: ['cn=ops,dc=example', 'ops'],
};
const row = async (name: string): Promise<Record<string, unknown>> =>
  (await (await corral.request(`/api/v1/people/${name}`)).json()) as Record<string, unknown>;
const groups = async (name: string): Promise<string[]> =>
  (await pool.query<{ name: string }>('select g.name from person_group g join person p on p.id = g.person_id where p.name = $1 order by 1', [name])).rows.map(
    (one) => one.name,
  );

beforeEach(async () => {
  told.events.length = 0;
  asked.length = 0;
  people.set('ann', { password: 'secret', person: ann });
  await pool.query('delete from login_throttle');
});

describe('a person of an LDAP directory', () => {
  test('is made at the first login, once, however many come at once', async () => {
    const answers = await Promise.all(Array.from({ length: 4 }, () => fresh().login('ANN', 'secret')));
    expect(answers.map((one) => one.status)).toEqual([303, 303, 303, 303]);
    expect(await row('ann')).toMatchObject({ source: 'ldap', full_name: 'Ann Example', email: 'ann@example.com', admin: false, has_password: false });
    expect(await groups('ann')).toEqual(['cn=ops,dc=example', 'ops']);
    expect(told.kinds().filter((kind) => kind === 'person_made')).toHaveLength(1);
    const { rows } = await pool.query<{ actor: string; n: number }>(
      `select c.actor, count(*)::int as n from change c join change_row r on r.change_id = c.id where r.noun = 'person' group by 1`,
    );
    expect(rows).toEqual([{ actor: 'ldap:ann', n: 1 }]);
  });

  test('is refused with the wrong password, and when nobody knows it', async () => {
    expect((await fresh().login('ann', 'wrong')).status).toBe(401);
    expect((await fresh().login('ann', '')).status).toBe(401);
    expect((await fresh().login('stranger', 'secret')).status).toBe(401);
    expect((await pool.query(`select from person where name = 'stranger'`)).rowCount).toBe(0);
  });

  test('is brought up to date at each login, under the old name where the new one is somebody else', async () => {
    people.set('ann', { password: 'secret', person: { source: 'ldap', subject: 'uuid-ann', name: 'anna', email: 'anna@example.com', groups: ['dev'] } });
    await fresh().login('ann', 'secret');
    expect(await row('anna')).toMatchObject({ full_name: null, email: 'anna@example.com' });
    expect(await groups('anna')).toEqual(['dev']);
    await makePerson(corral, 'taken');
    people.set('anna', { password: 'secret', person: { ...ann, name: 'taken' } });
    await fresh().login('anna', 'secret');
    expect(await row('anna')).toMatchObject({ full_name: 'Ann Example', source: 'ldap' });
    expect(await row('taken')).toMatchObject({ source: 'local' });
    people.set('anna', { password: 'secret', person: ann });
    await fresh().login('anna', 'secret');
    expect(await row('ann')).toMatchObject({ full_name: 'Ann Example' });
  });

  test('never takes over a local person of the same name, nor the other way round', async () => {
    await makePerson(corral, 'jane');
    people.set('jane', { password: 'secret', person: { ...ann, subject: 'uuid-jane', name: 'jane' } });
    asked.length = 0;
    expect((await fresh().login('jane', 'secret')).status).toBe(401);
    expect([asked, (await fresh().login('jane', PASSWORD)).status]).toEqual([[], 303]);
    /* By another login name of the directory. */
    people.set('j', { password: 'secret', person: { ...ann, subject: 'uuid-jane', name: 'jane' } });
    const answer = await fresh().login('j', 'secret');
    expect([answer.status, (await answer.text()).includes('Somebody else here')]).toEqual([409, true]);
    people.set('other', { password: 'secret', person: { ...ann, subject: 'uuid-other', name: 'ann' } });
    expect((await fresh().login('other', 'secret')).status).toBe(409);
    expect((await pool.query(`select from person where external in ('uuid-jane', 'uuid-other')`)).rowCount).toBe(0);
  });

  test('with a name that Corral does not take is told so', async () => {
    people.set('odd', { password: 'secret', person: { ...ann, subject: 'uuid-odd', name: 'Öde Name' } });
    expect((await fresh().login('odd', 'secret')).status).toBe(422);
  });

  test('that is disabled is refused, and stays so', async () => {
    await pool.query(`update person set state = 'disabled' where name = 'ann'`);
    expect((await fresh().login('ann', 'secret')).status).toBe(401);
    expect(told.events.at(-1)).toMatchObject({ kind: 'login_refused', reason: 'disabled' });
    await pool.query(`update person set state = 'active' where name = 'ann'`);
  });

  test('may have a second factor here, and has no password here', async () => {
    const browser = fresh();
    await browser.login('ann', 'secret');
    const { secret } = await setUp(browser);
    const html = await (await browser.ask('/account')).text();
    expect([html.includes('kept by the directory (ldap)'), html.includes('Change it'), html.includes('<li>ops</li>')]).toEqual([true, false, true]);
    const again = fresh();
    expect((await again.login('ann', 'secret')).headers.get('location')).toBe('/login/factor?next=%2Faccount');
    expect((await again.post('/login/factor', { code: codeOf(secret, 1) })).status).toBe(303);
    await pool.query('update person_secret set totp = null');
  });

  test('waits when the directory says nothing; people with a password here do not', async () => {
    people.set('ann', { password: 'secret', person: new Problem('directory-failed', 'The directory cannot be asked now') });
    const answer = await fresh().login('ann', 'secret');
    expect([answer.status, (await answer.text()).includes('cannot be asked now')]).toEqual([503, true]);
    expect((await fresh().login('jane')).status).toBe(303);
  });
});

describe('a person of an OpenID Connect provider', () => {
  const bob: Directory = { source: 'oidc', subject: 'https://id.example bob', name: 'bob@example.com', groups: ['staff'] };

  test('goes there from the login page and comes back logged in', async () => {
    const browser = fresh();
    expect(await (await browser.ask('/login?next=/changes')).text()).toContain('href="/login/oidc?next=%2Fchanges">Log in with Example ID');
    const start = await browser.ask('/login/oidc?next=/changes');
    expect([start.status, start.headers.get('location')]).toEqual([303, 'https://id.example/authorize']);
    expect(start.headers.getSetCookie()[0]).toMatch(/^corral_oidc=[^;]+; Max-Age=600; Path=\/login\/oidc; HttpOnly; SameSite=Lax$/);
    back = bob;
    const end = await browser.ask('/login/oidc/callback?code=good&state=x', { headers: { 'sec-fetch-site': 'cross-site' } });
    expect([end.status, end.headers.get('location'), browser.cookies.has('corral_oidc')]).toEqual([303, '/changes', false]);
    expect(await browser.isIn()).toBe(true);
    expect(await row(encodeURIComponent('bob@example.com'))).toMatchObject({ source: 'oidc' });
    expect((await browser.ask('/login/oidc/callback?code=good&state=x')).status).toBe(401);
  });

  test('goes on nowhere else', async () => {
    const browser = fresh();
    await browser.ask('/login/oidc?next=//evil.example/');
    expect((await browser.ask('/login/oidc/callback?code=good')).headers.get('location')).toBe('/');
  });

  test('is refused in words when something was wrong, and when disabled', async () => {
    const browser = fresh();
    await browser.ask('/login/oidc');
    const answer = await browser.ask('/login/oidc/callback?error=access_denied');
    expect([answer.status, (await answer.text()).includes('No login under way'), await browser.isIn()]).toEqual([401, true, false]);
    await pool.query(`update person set state = 'disabled' where source = 'oidc'`);
    await browser.ask('/login/oidc');
    expect((await browser.ask('/login/oidc/callback?code=good')).status).toBe(401);
    await pool.query(`update person set state = 'active' where source = 'oidc'`);
  });

  test('never becomes somebody of another source, nor logs in with a password', async () => {
    back = { ...bob, subject: 'https://id.example mallory', name: 'jane' };
    const browser = fresh();
    await browser.ask('/login/oidc');
    expect((await browser.ask('/login/oidc/callback?code=good')).status).toBe(409);
    back = { ...bob, subject: 'uuid-ann', name: 'ann' };
    await browser.ask('/login/oidc');
    expect((await browser.ask('/login/oidc/callback?code=good')).status).toBe(409);
    people.set('bob@example.com', { password: 'secret', person: { ...ann, subject: 'uuid-bob', name: 'bob@example.com' } });
    asked.length = 0;
    expect([(await browser.login('bob@example.com', 'secret')).status, asked]).toEqual([401, []]);
  });
});
