import { beforeEach, describe, expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { auditor, Browser, codeOf, codesIn, makePerson, PASSWORD, secretIn, setUp } from './people-support.ts';

const told = auditor();
const corral = await testCorral({}, { login: { audit: told.audit } });
const { pool } = corral;
const fresh = (headers: Record<string, string> = {}): Browser => new Browser(corral.base, headers);
/** Half a minute later, as far as codes that were taken are concerned. */
const later = () => pool.query('update person_secret set totp_step = 0');
/** A browser that has given the password. */
const half = async (name: string, headers: Record<string, string> = {}): Promise<Browser> => {
  const browser = fresh(headers);
  const answer = await browser.login(name, PASSWORD, '/changes');
  expect([answer.status, answer.headers.get('location')]).toEqual([303, '/login/factor?next=%2Fchanges']);
  return browser;
};

beforeEach(async () => {
  told.events.length = 0;
  await pool.query('delete from login_throttle');
});

describe('a second factor', () => {
  test('is set up with the password, a picture and a first code', async () => {
    const browser = await makePerson(corral, 'jane', { admin: true });
    const other = fresh();
    await other.login('jane');
    const refused = await browser.post('/account/factor', { current: 'wrong' });
    expect([refused.status, (await refused.text()).includes('This is not your password')]).toEqual([401, true]);
    expect((await browser.post('/account/factor', { current: PASSWORD })).headers.get('location')).toBe('/account/factor');
    const page = await browser.ask('/account/factor');
    const html = await page.text();
    expect([page.headers.get('cache-control'), html.includes('<svg'), html.includes('<script'), html.includes('style="')]).toEqual([
      'no-store',
      true,
      false,
      false,
    ]);
    const secret = secretIn(html);
    const wrong = await browser.post('/account/factor/confirm', { code: '000000' });
    expect([wrong.status, secretIn(await wrong.text())]).toEqual([401, secret]);
    expect((await (await corral.request('/api/v1/people/jane')).json()) as object).toMatchObject({ second_factor: false });
    const before = browser.copy();
    const done = await browser.post('/account/factor/confirm', { code: codeOf(secret) });
    expect([done.status, done.headers.get('cache-control'), codesIn(await done.text()).length]).toEqual([200, 'no-store', 10]);
    /* The cookie is another, the old one is good no more, and whoever else was in is out. */
    expect([await browser.isIn(), await before.isIn(), await other.isIn()]).toEqual([true, false, false]);
    expect((await (await corral.request('/api/v1/people/jane')).json()) as object).toMatchObject({ second_factor: true });
    const { rows } = await pool.query<{ text: string }>('select person_secret::text as text from person_secret');
    expect(rows.some(({ text }) => text.includes(secret))).toBe(false);
    expect(told.kinds()).toEqual(expect.arrayContaining(['password_refused', 'second_factor_set', 'session_ended']));
  });

  test('is asked for before anything else is possible', async () => {
    const browser = await makePerson(corral, 'ann');
    const { secret } = await setUp(browser);
    const waiting = await half('ann');
    const cookie = waiting.cookies.get('corral_session');
    for (const path of ['/account', '/', '/api/v1/people', '/account/factor']) expect((await waiting.ask(path)).headers.get('location')).toMatch(/^\/login\?/);
    expect((await waiting.post('/account/password', { current: PASSWORD, password: 'x'.repeat(20), repeated: 'x'.repeat(20) })).status).toBe(401);
    const page = await (await waiting.ask('/login/factor')).text();
    expect([page.includes('Code for ann'), page.includes('<svg')]).toEqual([true, false]);
    told.events.length = 0;
    const answer = await waiting.post('/login/factor', { code: codeOf(secret), next: '/changes' });
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/changes']);
    expect(waiting.cookies.get('corral_session')).not.toBe(cookie);
    expect(told.kinds()).toEqual(['login']);
    const { rows } = await pool.query<{ factors: string[] }>('select factors from session order by id desc limit 1');
    expect(rows[0]!.factors).toEqual(['password', 'totp']);
    const stolen = fresh();
    stolen.cookies.set('corral_session', cookie!);
    expect(await stolen.isIn()).toBe(false);
  });

  test('is never the same code twice, not even at once, and not an older one', async () => {
    const browser = await makePerson(corral, 'bob');
    const { secret } = await setUp(browser);
    const two = await Promise.all([half('bob'), half('bob'), half('bob')]);
    const code = codeOf(secret);
    const answers = await Promise.all(two.map((one) => one.post('/login/factor', { code })));
    expect(answers.map((one) => one.status).sort()).toEqual([303, 401, 401]);
    expect((await (await half('bob')).post('/login/factor', { code })).status).toBe(401);
    await pool.query('delete from login_throttle');
    expect((await (await half('bob')).post('/login/factor', { code: codeOf(secret, -1) })).status).toBe(401);
    expect((await (await half('bob')).post('/login/factor', { code: codeOf(secret, 1) })).status).toBe(303);
    expect(told.kinds()).toContain('second_factor_refused');
  });

  test('may be a recovery code, each once, also at once, in any case', async () => {
    const browser = await makePerson(corral, 'eve');
    const { codes } = await setUp(browser);
    expect(new Set(codes).size).toBe(10);
    const two = await Promise.all([half('eve'), half('eve')]);
    const answers = await Promise.all(two.map((one) => one.post('/login/factor', { code: codes[0]! })));
    expect(answers.map((one) => one.status).sort()).toEqual([303, 401]);
    const typed = codes[1]!.toUpperCase().replaceAll('-', ' ');
    expect((await (await half('eve')).post('/login/factor', { code: typed })).status).toBe(303);
    expect(await (await browser.ask('/account')).text()).toContain('8 recovery codes are left');
    const { rows } = await pool.query<{ text: string }>('select person_secret::text as text from person_secret');
    expect(rows.some(({ text }) => codes.some((code) => text.includes(code)))).toBe(false);
    expect(told.kinds()).toContain('recovery_code_used');
    /* Another person's is none. */
    await setUp(await makePerson(corral, 'mallory'));
    expect((await (await half('mallory')).post('/login/factor', { code: codes[2]! })).status).toBe(401);
  });

  test('gets new recovery codes, and is removed, with a code', async () => {
    const browser = await makePerson(corral, 'kim');
    const { secret, codes } = await setUp(browser);
    expect((await browser.post('/account/codes', { code: 'wrong' })).status).toBe(401);
    expect((await browser.post('/account/factor/remove', { code: '123456' })).status).toBe(401);
    const renewed = codesIn(await (await browser.post('/account/codes', { code: codeOf(secret) })).text());
    expect([renewed.length, renewed.some((code) => codes.includes(code))]).toEqual([10, false]);
    expect((await (await half('kim')).post('/login/factor', { code: codes[0]! })).status).toBe(401);
    expect((await browser.post('/account/factor', { current: PASSWORD })).status).toBe(409);
    expect((await browser.post('/account/factor/remove', { code: renewed[0]! })).headers.get('location')).toBe('/account?done=factor-removed');
    expect((await fresh().login('kim')).headers.get('location')).toBe('/account');
    expect(told.kinds()).toEqual(expect.arrayContaining(['recovery_codes_made', 'second_factor_removed']));
  });

  test('is guessed slowly: attempts are counted for the person and the address', async () => {
    const browser = await makePerson(corral, 'sam');
    const { secret } = await setUp(browser);
    await later();
    const statuses: number[] = [];
    for (let i = 0; i < 7; i++) statuses.push((await (await half('sam')).post('/login/factor', { code: '000000' })).status);
    expect(statuses.slice(0, 5)).toEqual([401, 401, 401, 401, 401]);
    expect(statuses).toContain(429);
    await pool.query(`update login_throttle set until = now() + interval '1 minute' where key like 'factor-pair:%'`);
    const answer = await (await half('sam')).post('/login/factor', { code: codeOf(secret) });
    expect([answer.status, Number(answer.headers.get('retry-after')) > 50]).toEqual([429, true]);
  });

  test('must be given soon after the password', async () => {
    const browser = await makePerson(corral, 'tim');
    const { secret } = await setUp(browser);
    const waiting = await half('tim');
    await pool.query(`update session set ends_at = now() where pending`);
    const answer = await waiting.post('/login/factor', { code: codeOf(secret, 1) });
    expect([answer.status, (await answer.text()).includes('took too long')]).toEqual([401, true]);
    expect((await waiting.ask('/login/factor?next=/changes')).headers.get('location')).toBe('/login?next=%2Fchanges');
  });

  test('is taken away by an admin, for who has lost it', async () => {
    const browser = await makePerson(corral, 'lost');
    await setUp(browser);
    const answer = await corral.request('/api/v1/people/lost/second-factor', { method: 'DELETE' });
    expect([answer.status, await answer.json()]).toEqual([200, { removed: true }]);
    expect(told.events.at(-1)).toMatchObject({ kind: 'second_factor_removed', name: 'lost', actor: 'admin' });
    expect((await fresh().login('lost')).headers.get('location')).toBe('/account');
  });
});

describe('where everyone must have a second factor', async () => {
  const strict = await testCorral({ CORRAL_SECOND_FACTOR: 'everyone' });
  const admins = await testCorral({ CORRAL_SECOND_FACTOR: 'admins' });

  test('it is set up at the first login, before anything else', async () => {
    const row = await strict.make('person', { name: 'new' });
    const browser = new Browser(strict.base);
    const link = new URL(String(row['login_link']), strict.base).searchParams.get('link')!;
    const answer = await browser.post('/login/first', { link, password: PASSWORD, repeated: PASSWORD });
    expect(answer.headers.get('location')).toBe('/login/factor?next=%2F');
    expect(await browser.isIn()).toBe(false);
    const html = await (await browser.ask('/login/factor')).text();
    const secret = secretIn(html);
    /* Looked at again it is the same: the picture was read already. */
    expect(secretIn(await (await browser.ask('/login/factor')).text())).toBe(secret);
    expect((await browser.post('/login/factor', { code: '000000' })).status).toBe(401);
    const done = await browser.post('/login/factor', { code: codeOf(secret), next: '/changes' });
    const text = await done.text();
    expect([done.status, codesIn(text).length, text.includes('href="/changes"'), await browser.isIn()]).toEqual([200, 10, true, true]);
  });

  test('and where only admins must, others need not', async () => {
    expect(await (await makePerson(admins, 'plain')).isIn()).toBe(true);
    const boss = await makePerson(admins, 'boss', { admin: true });
    expect([await boss.isIn(), (await boss.ask('/login/factor')).status]).toEqual([false, 200]);
  });
});
