import { beforeEach, describe, expect, test } from 'vitest';
import { makeLink } from '../../src/modules/people/person.verbs.ts';
import { against, corral as run } from '../cli/support.ts';
import { testCorral } from '../support/corral.ts';
import { auditor, Browser, codeOf, makePerson, PASSWORD, setUp } from './people-support.ts';

const told = auditor();
const corral = await testCorral({}, { login: { audit: told.audit } });
const { pool } = corral;
const fresh = (): Browser => new Browser(corral.base);
const linkIn = (url: string): string => new URL(url, corral.base).searchParams.get('link')!;
const newLink = async (name: string): Promise<string> => {
  const answer = await corral.request(`/api/v1/people/${name}/reset`, { method: 'POST' });
  expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'no-store']);
  return linkIn(((await answer.json()) as { login_link: string }).login_link);
};
const use = (link: string, password = PASSWORD, more: Record<string, string> = {}): Promise<Response> =>
  fresh().post('/login/first', { link, password, repeated: password, ...more });

beforeEach(() => {
  told.events.length = 0;
});

describe('the link of the first start', () => {
  test('makes one person, an admin, however many use it at once', async () => {
    const link = await makeLink(corral.db(), undefined);
    const page = await (await fresh().ask(`/login/first?link=${link}`)).text();
    expect(page).toContain('The first person');
    const answers = await Promise.all(Array.from({ length: 5 }, (_, i) => use(link, PASSWORD, { name: `first-${i}`, full_name: 'The First' })));
    expect(answers.map((one) => one.status).sort()).toEqual([303, 410, 410, 410, 410]);
    const { rows } = await pool.query<{ name: string; admin: boolean; full_name: string }>('select name, admin, full_name from person');
    expect(rows).toEqual([{ name: expect.stringMatching(/^first-\d$/), admin: true, full_name: 'The First' }]);
    expect((await fresh().login(rows[0]!.name)).status).toBe(303);
    const { rows: changes } = await pool.query<{ actor: string }>('select actor from change order by id desc limit 1');
    expect(changes[0]!.actor).toBe(rows[0]!.name);
    expect(told.kinds()).toEqual(expect.arrayContaining(['link_used', 'password_set', 'login']));
    expect(JSON.stringify(told.events)).not.toContain(link);
  });

  test('is good after a name or a password that was refused', async () => {
    const link = await makeLink(corral.db(), undefined);
    for (const [name, password, status, says] of [
      ['Ä', PASSWORD, 422, 'must be 1 to 100'],
      ['second', 'short', 422, 'at least 12'],
      ['second-person', 'second-person', 422, 'must not be the name'],
      ['second', 'password1234', 422, 'tried first'],
    ] as const) {
      const answer = await use(link, password, { name });
      const text = await answer.text();
      expect([name, answer.status, text.includes(says), text.includes(password === PASSWORD ? PASSWORD : '\0')]).toEqual([name, status, true, false]);
    }
    const differs = await fresh().post('/login/first', { link, name: 'second', password: PASSWORD, repeated: `${PASSWORD}x` });
    expect([differs.status, (await differs.text()).includes('differs')]).toEqual([422, true]);
    const taken = (await pool.query<{ name: string }>('select name from person limit 1')).rows[0]!.name;
    expect((await use(link, PASSWORD, { name: taken })).status).toBe(409);
    expect((await use(link, PASSWORD, { name: 'second' })).status).toBe(303);
  });
});

describe('a link', () => {
  test('comes with a person, sets the password once, and logs in', async () => {
    const row = await corral.make('person', { name: 'joe' });
    const link = linkIn(String(row['login_link']));
    expect(((await (await corral.request('/api/v1/people/joe')).json()) as Record<string, unknown>)['login_link']).toBeUndefined();
    for (let i = 0; i < 3; i++) expect((await fresh().ask(`/login/first?link=${link}`)).status).toBe(200);
    const browser = fresh();
    const answer = await browser.post('/login/first', { link, password: PASSWORD, repeated: PASSWORD, name: 'other' });
    expect([answer.status, answer.headers.get('location'), await browser.isIn()]).toEqual([303, '/', true]);
    expect((await use(link)).status).toBe(410);
    expect((await fresh().ask(`/login/first?link=${link}`)).status).toBe(410);
  });

  test('is used by one of two at once, whose password it is', async () => {
    const link = await newLink('joe');
    const passwords = ['one of the two passwords', 'the other of the two'];
    const answers = await Promise.all(passwords.map((password) => use(link, password)));
    expect(answers.map((one) => one.status).sort()).toEqual([303, 410]);
    const won = answers.findIndex((one) => one.status === 303);
    expect((await fresh().login('joe', passwords[won])).status).toBe(303);
    expect((await fresh().login('joe', passwords[1 - won])).status).toBe(401);
  });

  test('ends after an hour, with a newer one, and with the person', async () => {
    const [old, link] = [await newLink('joe'), await newLink('joe')];
    expect((await use(old)).status).toBe(410);
    await pool.query(`update login_link set ends_at = ends_at - interval '59 minutes'`);
    expect((await fresh().ask(`/login/first?link=${link}`)).status).toBe(200);
    await pool.query(`update login_link set ends_at = ends_at - interval '1 minute'`);
    expect((await use(link)).status).toBe(410);
    const disabled = await newLink('joe');
    await pool.query(`update person set state = 'disabled' where name = 'joe'`);
    expect((await use(disabled)).status).toBe(410);
    await pool.query(`update person set state = 'active' where name = 'joe'`);
    await pool.query(`delete from person where name = 'joe'`);
    expect((await use(disabled)).status).toBe(410);
    expect(told.kinds()).toContain('link_refused');
  });

  test.each(['', 'x', 'x'.repeat(43), "'", 'x'.repeat(5000)])('that nobody made is refused: %s', async (link) => {
    expect((await fresh().ask(`/login/first?link=${encodeURIComponent(link)}`)).status).toBe(410);
    expect((await use(link, PASSWORD, { name: 'intruder' })).status).toBe(410);
    expect((await pool.query(`select from person where name = 'intruder'`)).rowCount).toBe(0);
  });

  test('ends every session, and leaves the second factor', async () => {
    const browser = await makePerson(corral, 'ann');
    const { secret } = await setUp(browser);
    expect(await browser.isIn()).toBe(true);
    const thief = fresh();
    const answer = await thief.post('/login/first', { link: await newLink('ann'), password: 'another long password', repeated: 'another long password' });
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/login/factor?next=%2F']);
    expect([await browser.isIn(), await thief.isIn()]).toEqual([false, false]);
    expect((await thief.post('/login/factor', { code: codeOf(secret, 1) })).status).toBe(303);
    expect(await thief.isIn()).toBe(true);
  });

  test('is made by those who may change people, for those who have a password here', async () => {
    const reader = String((await corral.make('token', { name: 'reader', kind: 'reader' }))['token']);
    expect((await corral.request('/api/v1/people/ann/reset', { method: 'POST', token: reader })).status).toBe(403);
    expect((await corral.request('/api/v1/people/ann/reset', { method: 'POST', token: null })).status).toBe(401);
    expect((await corral.request('/api/v1/people/nobody/reset', { method: 'POST' })).status).toBe(404);
    expect((await corral.request('/api/v1/people/ann/reset')).status).toBe(405);
    await pool.query(`insert into person (name, source, external) values ('abroad', 'ldap', 'x')`);
    expect((await corral.request('/api/v1/people/abroad/reset', { method: 'POST' })).status).toBe(409);
  });
});

describe('the command line', () => {
  test('makes a person, and new links, through the API and on the database', async () => {
    for (const [i, how] of [[], ['--local']].entries()) {
      const env =
        how.length === 0
          ? against(corral)
          : {
              DATABASE_URL: corral.databaseUrl,
              CORRAL_DATA: '/tmp/none',
              CORRAL_PUBLIC_URL: corral.base,
              CORRAL_ENCRYPTION_KEY: Buffer.alloc(32).toString('base64'),
            };
      const made = await run(['person', 'create', `cli-${i}`, '--admin', '--full-name', 'C. Line', ...how], { env });
      expect([made.code, made.err]).toEqual([0, expect.stringContaining('not shown again')]);
      expect(made.out).toMatch(new RegExp(`^${corral.base}/login/first\\?link=[A-Za-z0-9_-]{43}\\n$`));
      const again = await run(['person', 'reset', `cli-${i}`, '--second-factor', '-o', 'json', ...how], { env });
      expect([again.code, again.err]).toEqual([0, '']);
      const { login_link: link } = JSON.parse(again.out) as { login_link: string };
      expect((await use(linkIn(made.out.trim()))).status).toBe(410);
      expect((await use(linkIn(link))).status).toBe(303);
      expect((await fresh().login(`cli-${i}`)).status).toBe(303);
      const missing = await run(['person', 'reset', 'nobody', ...how], { env });
      expect([missing.code, missing.out]).toEqual([3, '']);
    }
  });
});
