import { beforeEach, describe, expect, test } from 'vitest';
import { sweepLogins } from '../../src/auth/people/sessions.ts';
import { builtProgram } from '../support/process.ts';
import { testCorral } from '../support/corral.ts';
import { auditor, Browser, makePerson, PASSWORD } from './people-support.ts';

const told = auditor();
const corral = await testCorral({}, { login: { audit: told.audit } });
const { pool } = corral;
await makePerson(corral, 'jane', { admin: true });
await makePerson(corral, 'joe');
const logIn = async (name: string, headers: Record<string, string> = {}): Promise<Browser> => {
  const browser = new Browser(corral.base, headers);
  expect((await browser.login(name)).status).toBe(303);
  return browser;
};

beforeEach(() => {
  told.events.length = 0;
});

describe('a session', () => {
  test('is another after each login, and the one before ends', async () => {
    const browser = await logIn('jane');
    const before = browser.copy();
    await browser.login('jane');
    expect([await browser.isIn(), await before.isIn()]).toEqual([true, false]);
    /* One that somebody planted is not taken up. */
    const planted = new Browser(corral.base);
    planted.cookies.set('corral_session', 'x'.repeat(43));
    await planted.login('jane');
    expect(planted.cookies.get('corral_session')).not.toBe('x'.repeat(43));
  });

  test('ends with logging out, for whoever has the cookie', async () => {
    const browser = await logIn('jane');
    const thief = browser.copy();
    const answer = await browser.post('/logout', {});
    expect([answer.status, answer.headers.get('location'), browser.cookies.size]).toEqual([303, '/login', 0]);
    expect(answer.headers.getSetCookie()[0]).toMatch(/^corral_session=; Max-Age=0; Path=\/$/);
    expect(await thief.isIn()).toBe(false);
    expect(told.kinds()).toEqual(['login', 'logout']);
  });

  test('ends when it is not used, and in any case in the end', async () => {
    const browser = await logIn('jane');
    const mine = `hash = (select hash from session order by id desc limit 1)`;
    await pool.query(`update session set seen_at = now() - interval '29 minutes' where ${mine}`);
    expect(await browser.isIn()).toBe(true);
    await pool.query(`update session set seen_at = now() - interval '31 minutes' where ${mine}`);
    expect(await browser.isIn()).toBe(false);
    const other = await logIn('jane');
    const { rows } = await pool.query<{ hours: number }>(`select extract(epoch from ends_at - created_at)::float8 / 3600 as hours from session where ${mine}`);
    expect(Math.round(rows[0]!.hours * 100) / 100).toBe(12);
    await pool.query(`update session set ends_at = now() where ${mine}`);
    expect(await other.isIn()).toBe(false);
  });

  test('notes its use once a minute at most', async () => {
    const browser = await logIn('joe');
    const seen = async (): Promise<string> =>
      (await pool.query<{ at: string }>('select seen_at::text as at from session order by id desc limit 1')).rows[0]!.at;
    const first = await seen();
    for (let i = 0; i < 3; i++) await browser.isIn();
    expect(await seen()).toBe(first);
    await pool.query(`update session set seen_at = now() - interval '2 minutes'`);
    const old = await seen();
    await browser.isIn();
    await expect.poll(seen).not.toBe(old);
  });

  test('says where it is, to its owner, who ends it', async () => {
    await pool.query('delete from session');
    const here = await logIn('joe', { 'user-agent': 'Browser of the desk' });
    const phone = await logIn('joe', { 'user-agent': '<b>Phone</b>' });
    const other = await logIn('jane');
    const html = await (await here.ask('/account')).text();
    expect([html.includes('Browser of the desk'), html.includes('&lt;b&gt;Phone'), html.includes('This browser')]).toEqual([true, true, true]);
    const { rows } = await pool.query<{ uuid: string; name: string }>('select s.uuid, p.name from session s join person p on p.id = s.person_id');
    const strange = rows.find(({ name }) => name === 'jane')!.uuid;
    expect((await here.post('/account/sessions', { session: strange })).status).toBe(404);
    expect(await other.isIn()).toBe(true);
    const uuid = /name="session" value="([^"]+)"/.exec(html)![1]!;
    expect((await here.post('/account/sessions', { session: uuid })).headers.get('location')).toBe('/account?done=sessions');
    expect([await here.isIn(), await phone.isIn()]).toEqual([true, false]);
    const again = await logIn('joe');
    await here.post('/account/sessions', {});
    expect([await here.isIn(), await again.isIn(), await other.isIn()]).toEqual([true, false, true]);
    expect(told.kinds().filter((kind) => kind === 'session_ended')).toHaveLength(2);
  });

  test('is ended by an admin, one or all, and with the person', async () => {
    const [one, two] = [await logIn('joe'), await logIn('joe')];
    const list = (await (await corral.request('/api/v1/sessions?person=joe&limit=1&sort=-id')).json()) as {
      sessions: { uuid: string; person: string; factors: string[] }[];
    };
    expect(list.sessions[0]).toMatchObject({ person: 'joe', factors: ['password'] });
    const reader = String((await corral.make('token', { name: 'reader', kind: 'reader' }))['token']);
    expect((await corral.request(`/api/v1/sessions/${list.sessions[0]!.uuid}`, { method: 'DELETE', token: reader })).status).toBe(403);
    expect((await corral.request(`/api/v1/sessions/${list.sessions[0]!.uuid}`, { method: 'DELETE' })).status).toBe(204);
    expect((await corral.request(`/api/v1/sessions/${list.sessions[0]!.uuid}`, { method: 'DELETE' })).status).toBe(404);
    expect([await one.isIn(), await two.isIn()]).toEqual([true, false]);
    const all = await corral.request('/api/v1/people/joe/sessions', { method: 'DELETE' });
    expect([all.status, ((await all.json()) as { ended: number }).ended > 0, await one.isIn()]).toEqual([200, true, false]);
    expect(told.events.at(-1)).toMatchObject({ kind: 'session_ended', name: 'joe', actor: 'admin' });
    const third = await logIn('joe');
    await corral.request('/api/v1/people/joe', { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: '{"state":"disabled"}' });
    expect([await third.isIn(), (await new Browser(corral.base).login('joe')).status]).toEqual([false, 401]);
    await corral.request('/api/v1/people/joe', { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: '{"state":"active"}' });
    expect(await third.isIn()).toBe(false);
  });

  test('ends at other browsers when the password is changed', async () => {
    const [here, there] = [await logIn('joe'), await logIn('joe')];
    const next = 'another long password';
    for (const [current, password, repeated, status] of [
      ['wrong', next, next, 401],
      [PASSWORD, next, `${next}x`, 422],
      [PASSWORD, 'short', 'short', 422],
    ] as const)
      expect((await here.post('/account/password', { current, password, repeated })).status).toBe(status);
    expect(await there.isIn()).toBe(true);
    const before = here.copy();
    const { login_link: link } = (await (await corral.request('/api/v1/people/joe/reset', { method: 'POST' })).json()) as { login_link: string };
    expect((await here.post('/account/password', { current: PASSWORD, password: next, repeated: next })).headers.get('location')).toBe(
      '/account?done=password',
    );
    expect([await here.isIn(), await there.isIn(), await before.isIn()]).toEqual([true, false, false]);
    /* A link that somebody else may have is good no more either. */
    expect((await here.ask(link)).status).toBe(410);
    expect((await new Browser(corral.base).login('joe')).status).toBe(401);
    expect((await new Browser(corral.base).login('joe', next)).status).toBe(303);
  });

  test('does not let pages of other sites write', async () => {
    const browser = await logIn('jane');
    for (const path of ['/account/password', '/account/sessions', '/account/factor', '/logout', '/api/v1/people/joe/reset', '/api/v1/customers']) {
      for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }])
        expect([path, (await browser.post(path, {}, headers as Record<string, string>)).status]).toEqual([path, 403]);
    }
    expect(await browser.isIn()).toBe(true);
  });

  test('is of people: with a token there is no account', async () => {
    expect((await corral.request('/account')).status).toBe(403);
    expect((await corral.request('/account', { token: null, headers: { cookie: 'corral_token=corral_admin_for_tests_only' } })).status).toBe(403);
  });

  test('are not more than fifty for one person', async () => {
    const first = await logIn('jane');
    const { rows } = await pool.query<{ person_id: string }>('select person_id from session order by id desc limit 1');
    await pool.query(
      `insert into session (hash, person_id, idle, ends_at) select sha256(n::text::bytea), $1, 60, now() + interval '1 hour' from generate_series(1, 60) n`,
      [rows[0]!.person_id],
    );
    await logIn('jane');
    expect(await first.isIn()).toBe(false);
    expect((await pool.query(`select from session where person_id = $1`, [rows[0]!.person_id])).rowCount).toBe(50);
  });

  test('that has ended is swept away', async () => {
    await pool.query(
      `insert into session (hash, person_id, idle, ends_at) select sha256('old'), id, 60, now() - interval '1 second' from person where name = 'jane'`,
    );
    await pool.query(
      `insert into session (hash, person_id, idle, ends_at, seen_at) select sha256('idle'), id, 60, now() + interval '1 hour', now() - interval '2 minutes' from person where name = 'jane'`,
    );
    const stop = sweepLogins(pool, () => undefined);
    await expect.poll(async () => (await pool.query(`select from session where hash in (sha256('old'), sha256('idle'))`)).rowCount).toBe(0);
    stop();
  });

  test('is known to every process, and ended at every process', async () => {
    const start = await builtProgram();
    const other = await start(corral.databaseUrl, { CORRAL_ENCRYPTION_KEY: Buffer.alloc(32).toString('base64') });
    const here = await logIn('jane');
    const there = new Browser(other.base);
    for (const [name, value] of here.cookies) there.cookies.set(name, value);
    expect(await there.isIn()).toBe(true);
    await here.post('/logout', {});
    expect(await there.isIn()).toBe(false);
    await there.login('jane');
    const back = new Browser(corral.base);
    for (const [name, value] of there.cookies) back.cookies.set(name, value);
    expect(await back.isIn()).toBe(true);
    await corral.request('/api/v1/people/jane/sessions', { method: 'DELETE' });
    expect(await there.isIn()).toBe(false);
    await other.kill();
  });
});
