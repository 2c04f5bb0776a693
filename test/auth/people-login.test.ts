import { beforeEach, describe, expect, test } from 'vitest';
import { hashPassword } from '../../src/auth/people/passwords.ts';
import { testCorral } from '../support/corral.ts';
import { auditor, Browser, makePerson, PASSWORD } from './people-support.ts';

const told = auditor();
const corral = await testCorral({}, { login: { audit: told.audit } });
const { pool } = corral;
await makePerson(corral, 'jane', { admin: true, full_name: 'Jane Doe' });
await makePerson(corral, 'joe');
const fresh = (headers: Record<string, string> = {}): Browser => new Browser(corral.base, headers);
const sessionLine = (answer: Response): string | undefined => answer.headers.getSetCookie().find((line) => line.includes('corral_session='));

beforeEach(async () => {
  told.events.length = 0;
  await pool.query('delete from login_throttle');
});

describe('name and password', () => {
  test('give a session in a cookie that no script and no other site gets, and go on', async () => {
    const browser = fresh();
    const answer = await browser.login(' Jane ', PASSWORD, '/api/v1/nodes?sort=fqdn');
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/api/v1/nodes?sort=fqdn']);
    expect(sessionLine(answer)).toMatch(/^corral_session=[A-Za-z0-9_-]{43}; Max-Age=43200; Path=\/; HttpOnly; SameSite=Lax$/);
    const page = await browser.ask('/api/v1/people');
    expect([page.status, (await page.text()).includes('Account of ')]).toEqual([200, true]);
    expect(told.kinds()).toEqual(['login']);
    expect(told.events[0]).toMatchObject({ name: 'jane', address: '127.0.0.1', session: expect.any(String), requestId: expect.any(String) });
  });

  test('over TLS give a cookie for this host alone, which is good under no other name', async () => {
    const browser = fresh({ 'x-forwarded-proto': 'https' });
    const answer = await browser.login('jane');
    expect(sessionLine(answer)).toMatch(/^__Host-corral_session=[A-Za-z0-9_-]{43}; Max-Age=43200; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
    expect(await browser.isIn()).toBe(true);
    const other = fresh();
    other.cookies.set('corral_session', browser.cookies.get('__Host-corral_session')!);
    expect(await other.isIn()).toBe(false);
  });

  test('keep only a hash of the cookie', async () => {
    const browser = fresh();
    await browser.login('jane');
    const value = browser.cookies.get('corral_session')!;
    const { rows } = await pool.query<{ text: string }>('select session::text as text from session');
    expect(rows.filter(({ text }) => text.includes(value) || text.includes(Buffer.from(value).toString('hex')))).toEqual([]);
  });

  test('that are wrong in any way are refused in the same words, and give nothing', async () => {
    await corral.make('person', { name: 'never' });
    await makePerson(corral, 'gone');
    await corral.request('/api/v1/people/gone', { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: '{"state":"disabled"}' });
    told.events.length = 0;
    const texts = new Set<string>();
    for (const [name, password] of [
      ['jane', 'wrong'],
      ['jane', ''],
      ['jane', PASSWORD.toUpperCase()],
      ['nobody', PASSWORD],
      ['never', PASSWORD],
      ['never', ''],
      ['gone', PASSWORD],
      ['', ''],
      ["' or 1=1 --", PASSWORD],
      ['x'.repeat(3000), PASSWORD],
    ] as const) {
      const answer = await fresh().login(name, password);
      expect([name, answer.status, sessionLine(answer), answer.headers.get('cache-control')]).toEqual([name, 401, undefined, 'no-store']);
      texts.add((await answer.text()).replaceAll(/value="[^"]*"/g, ''));
    }
    expect(texts.size).toBe(1);
    expect(new Set(told.kinds())).toEqual(new Set(['login_refused']));
    expect(JSON.stringify(told.events)).not.toContain(PASSWORD);
  });

  test('show what was typed as text only', async () => {
    const answer = await fresh().login('"><script>alert(1)</script>');
    expect(await answer.text()).not.toContain('<script');
  });

  test('from the page of another site are refused', async () => {
    for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }])
      expect((await fresh().post('/login', { name: 'jane', password: PASSWORD }, headers)).status).toBe(403);
  });

  test('say when a person was there last, in no change', async () => {
    const before = (await pool.query<{ n: number }>('select count(*)::int as n from change')).rows[0]!.n;
    await fresh().login('joe');
    const { rows } = await pool.query<{ recent: boolean; version: number }>(
      `select last_login > now() - interval '1 minute' as recent, version from person where name = 'joe'`,
    );
    expect(rows).toEqual([{ recent: true, version: 1 }]);
    expect((await pool.query<{ n: number }>('select count(*)::int as n from change')).rows[0]!.n).toBe(before);
  });

  test('are hashed anew when the parameters have changed', async () => {
    const old = await hashPassword(PASSWORD, { memory: 8192, passes: 1, parallelism: 1 });
    await pool.query(`update person_secret set password = $1 where person_id = (select id from person where name = 'joe')`, [old]);
    expect((await fresh().login('joe', 'wrong')).status).toBe(401);
    expect((await fresh().login('joe')).status).toBe(303);
    const { rows } = await pool.query<{ password: string }>(`select password from person_secret s join person p on p.id = s.person_id where p.name = 'joe'`);
    expect(rows[0]!.password).toContain('$m=19456,t=2,p=1$');
    expect((await fresh().login('joe')).status).toBe(303);
  });

  test('are nowhere to be read', async () => {
    for (const path of ['/api/v1/people?limit=100', '/api/v1/people/jane', '/api/v1/sessions', '/api/v1/people/jane?include=sessions', '/api/v1/changes']) {
      const text = await (await corral.request(path)).text();
      for (const secret of ['argon2', 'hash', 'totp_', '"password":', 'external']) expect([path, text.includes(secret)]).toEqual([path, false]);
    }
    const { rows } = await pool.query<{ n: number }>(
      `select count(*)::int as n from change_row where noun in ('person_secret', 'session', 'login_link', 'login_throttle', 'person_group')`,
    );
    expect(rows[0]!.n).toBe(0);
  });
});

describe('a person is a noun', () => {
  test('who says where the login is checked, and cannot be told so', async () => {
    const row = (await (await corral.request('/api/v1/people/jane')).json()) as Record<string, unknown>;
    expect(row).toMatchObject({
      name: 'jane',
      full_name: 'Jane Doe',
      state: 'active',
      source: 'local',
      admin: true,
      has_password: true,
      second_factor: false,
      last_login: expect.any(String),
    });
    const answer = await corral.request('/api/v1/people/jane', { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: '{"source":"ldap"}' });
    expect(answer.status).toBe(422);
  });

  test.each(['Jane', '-x', '7', 'a b', 'x.json', 'x'.repeat(101), '', 'ä'])('cannot be called %s', async (name) => {
    const answer = await corral.request('/api/v1/people', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ name }) });
    expect(answer.status).toBe(422);
  });

  test('with a name as directories have them', async () => {
    await makePerson(corral, 'jane+ops@example.com');
    expect((await fresh().login('Jane+Ops@Example.com')).status).toBe(303);
    expect((await corral.request(`/api/v1/people/${encodeURIComponent('jane+ops@example.com')}`)).status).toBe(200);
  });
});

describe('too many attempts', () => {
  const until = (kind: string) =>
    pool.query<{ failures: number; wait: number }>(
      `select failures, greatest(0, extract(epoch from until - at))::int as wait from login_throttle where key like $1`,
      [`${kind}:%`],
    );
  const ready = () => pool.query('update login_throttle set until = now()');

  test('wait ever longer, are told how long, and are not looked at until then', async () => {
    const answers: number[] = [];
    for (let i = 0; i < 6; i++) answers.push((await fresh().login('joe', `wrong ${i}`)).status);
    expect(answers).toEqual([401, 401, 401, 401, 401, 429]);
    const early = await fresh().login('joe');
    expect([early.status, early.headers.get('retry-after'), sessionLine(early)]).toEqual([429, '1', undefined]);
    expect((await until('name-pair')).rows).toEqual([{ failures: 5, wait: 1 }]);
    for (const wait of [2, 4, 8]) {
      await ready();
      expect((await fresh().login('joe', 'wrong')).status).toBe(401);
      expect((await until('name-pair')).rows[0]!.wait).toBe(wait);
    }
    await pool.query('update login_throttle set failures = 500, until = now()');
    await fresh().login('joe', 'wrong');
    expect([(await until('name-pair')).rows[0]!.wait, (await until('address')).rows[0]!.wait]).toEqual([900, 900]);
    expect(told.events.at(-1)).toMatchObject({ kind: 'login_refused' });
  });

  test('are forgotten after a success, and after an hour', async () => {
    for (let i = 0; i < 4; i++) await fresh().login('joe', 'wrong');
    expect((await fresh().login('joe')).status).toBe(303);
    expect((await until('name-pair')).rows).toEqual([]);
    for (let i = 0; i < 5; i++) await fresh().login('joe', 'wrong');
    await pool.query(`update login_throttle set at = now() - interval '61 minutes', until = now()`);
    await fresh().login('joe', 'wrong');
    expect((await until('name-pair')).rows).toEqual([{ failures: 1, wait: 0 }]);
  });

  test('cannot be had by sending them all at once', async () => {
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => fresh().login('joe', `wrong ${i}`)));
    /* More than the free ones only because time goes by. */
    const looked = answers.filter((one) => one.status === 401).length;
    expect(told.events.filter(({ reason }) => reason === 'too many attempts').length).toBeLessThanOrEqual(1);
    expect([looked >= 5, looked < 12, answers.filter((one) => one.status === 429).length]).toEqual([true, true, 40 - looked]);
  });

  test('from elsewhere delay the owner by seconds, and not at all where the owner has been before', async () => {
    const { attempt } = await import('../../src/auth/people/throttle.ts');
    const from = (address: string): Promise<unknown> => attempt(pool, 'name', 'joe', address);
    /* An attacker with many addresses, who goes on whatever comes. */
    for (let i = 0; i < 400; i++) await from(`2001:db8:${i.toString(16)}::1`).catch(() => undefined);
    expect((await until('name')).rows[0]!.failures).toBeGreaterThanOrEqual(10);
    await pool.query(`update login_throttle set failures = 400 where key like 'name:%'`);
    await pool.query('update login_throttle set until = now()');
    await from('2001:db8:f000::1');
    expect((await until('name')).rows[0]!.wait).toBe(30);
    await expect(from('198.51.100.1')).rejects.toMatchObject({ code: 'too-many-attempts' });
    /* Where the owner has logged in before. */
    await pool.query(`delete from login_throttle where key like 'name:%'`);
    expect((await fresh().login('joe')).status).toBe(303);
    for (let i = 0; i < 12; i++) await from(`203.0.113.${i}`).catch(() => undefined);
    await expect(from('198.51.100.1')).rejects.toMatchObject({ code: 'too-many-attempts' });
    expect((await fresh().login('joe')).status).toBe(303);
  });

  test('at many names from one address are counted for the address, and one good account does not clear that', async () => {
    const answers: number[] = [];
    for (let i = 0; i < 34; i++) {
      answers.push((await fresh().login(`nobody-${i}`, 'wrong')).status);
      if (i % 5 === 0) answers.push((await fresh().login('joe')).status);
    }
    expect(answers.filter((status) => status === 401)).toHaveLength(30);
    expect(answers.at(-1)).toBe(429);
  });

  test('count in every process', async () => {
    const { attempt } = await import('../../src/auth/people/throttle.ts');
    const { createPool } = await import('../../src/db/orm.ts');
    const other = createPool(corral.databaseUrl, 2);
    for (let i = 0; i < 5; i++) await attempt(other, 'name', 'joe', '127.0.0.1');
    await other.end();
    expect((await fresh().login('joe')).status).toBe(429);
  });
});
