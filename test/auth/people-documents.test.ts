/** People who are logged in on the paths that are made for programs and hosts: documents, their news, and the watch. */
import { get } from 'node:http';
import { beforeEach, describe, expect, test } from 'vitest';
import { Browser, makePerson } from './people-support.ts';
import { watch } from '../events/follow.ts';
import { smallFleet } from '../http/samples.ts';
import { testCorral } from '../support/corral.ts';

const corral = await testCorral({}, { keepAlive: 100 });
const { pool } = corral;
await smallFleet(corral);
const NODE = 'mon0.example.com';
const json = { accept: 'application/json' };
for (const name of ['ada', 'fleet', 'local', 'plain', 'other']) await makePerson(corral, name, { admin: name === 'ada' });
await corral.make('role', { name: 'looks', permissions: ['document:read', 'change:read', 'node:read'] });
await corral.make('binding', { name: 'fleet', role: 'looks', person: 'fleet' });
await corral.make('binding', { name: 'local', role: 'looks', person: 'local', site: 'fra1' });

const logIn = async (name: string): Promise<Browser> => {
  const browser = new Browser(corral.base);
  expect((await browser.login(name)).status).toBe(303);
  return browser;
};
const cookieOf = ({ cookies }: Browser): string => [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
const paths = [
  '/documents/NODE.json',
  '/enc/NODE',
  '/hiera/NODE',
  '/hiera/NODE/corral::node',
  '/pillar/NODE',
  '/tops/NODE',
  '/enc/NODE.yaml?at=2100-01-01T00:00:00Z',
].map((path) => path.replace('NODE', NODE));

/** Statements that a piece of work asks of the pool of reads. */
async function statements(work: () => Promise<unknown>): Promise<string[]> {
  const seen: string[] = [];
  const query = pool.query.bind(pool);
  pool.query = ((given: { name?: string; text?: string } | string, ...rest: unknown[]) => {
    seen.push(typeof given === 'string' ? given : (given.name ?? given.text ?? ''));
    return (query as (...all: unknown[]) => unknown)(given, ...rest);
  }) as typeof pool.query;
  try {
    await work();
  } finally {
    pool.query = query;
  }
  return seen;
}

beforeEach(() => pool.query('delete from session'));

describe('documents', () => {
  test('are read by people who may read them, and by nobody else', async () => {
    for (const [name, status] of [
      ['ada', 200],
      ['fleet', 200],
      ['local', 403],
      ['plain', 403],
    ] as const) {
      const browser = await logIn(name);
      for (const path of paths) {
        const answer = await browser.ask(path, { headers: json });
        expect([name, path, answer.status]).toEqual([name, path, status]);
        expect(answer.headers.get('cache-control')).toBe('no-store');
        expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'");
        expect(answer.headers.get('cross-origin-resource-policy')).toBe('same-origin');
        expect(answer.headers.get('access-control-allow-origin')).toBeNull();
        if (status === 403) expect(await answer.json()).toMatchObject({ code: 'forbidden', permission: 'document:read' });
      }
    }
  });

  test('are what a token reads, also where a browser takes a page first', async () => {
    const browser = await logIn('fleet');
    const answer = await browser.ask(`/documents/${NODE}.json`);
    expect(await answer.json()).toEqual(await (await corral.request(`/documents/${NODE}.json`)).json());
    const again = await browser.ask(`/documents/${NODE}.json`, { headers: { 'if-none-match': answer.headers.get('etag')! } });
    expect(again.status).toBe(304);
    expect((await browser.ask('/documents/nobody.example.com.json')).status).toBe(404);
  });

  test('a session that has ended, in whatever way, reads nothing; who followed a link goes to log in', async () => {
    for (const end of [
      `update session set ends_at = now()`,
      `update session set seen_at = now() - interval '31 minutes'`,
      `update session set pending = true`,
      `update person set state = 'disabled' where name = 'fleet'`,
      `delete from session`,
    ]) {
      const browser = await logIn('fleet');
      expect((await browser.ask(paths[0]!)).status).toBe(200);
      await pool.query(end);
      const answer = await browser.ask(paths[0]!);
      expect([end, answer.status, answer.headers.get('location')]).toEqual([end, 303, `/login?next=${encodeURIComponent(paths[0]!)}`]);
      expect((await browser.ask(paths[0]!, { headers: json })).status).toBe(401);
      await pool.query(`update person set state = 'active'`);
    }
    const stranger = new Browser(corral.base);
    stranger.cookies.set('corral_session', 'x'.repeat(43));
    expect((await stranger.ask(paths[0]!, { headers: json })).status).toBe(401);
  });

  test('reading them is a use of the session', async () => {
    const browser = await logIn('fleet');
    await pool.query(`update session set seen_at = now() - interval '20 minutes'`);
    await browser.ask(paths[0]!);
    const idle = async (): Promise<boolean> =>
      (await pool.query<{ idle: boolean }>(`select seen_at < now() - interval '1 minute' as idle from session`)).rows[0]!.idle;
    await expect.poll(idle).toBe(false);
  });

  test('a token in Authorization counts alone, and costs no statement more', async () => {
    const browser = await logIn('ada');
    const bearer = (token: string) => browser.ask(`/enc/${NODE}`, { headers: { ...json, authorization: `Bearer ${token}` } });
    expect((await bearer('corral_reader_wrong')).status).toBe(401);
    const token = String((await corral.make('token', { name: 'server', kind: 'server' }))['token']);
    await bearer(token);
    const names = await statements(() => bearer(token));
    expect(names.filter((name) => name.includes('session') || name.includes('bindings'))).toEqual([]);
    expect((await statements(() => browser.ask(`/enc/${NODE}`, { headers: json }))).filter((name) => name === 'session_person')).toHaveLength(1);
  });

  test('are read only, and only by links from the pages of others', async () => {
    const browser = await logIn('ada');
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'])
      expect((await browser.ask(paths[0]!, { method, headers: { ...json, origin: 'https://evil.example' } })).status).toBe(405);
    /* Not with fetch, which says itself that it is no navigation. */
    const from = (site: string, mode: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const headers = { ...json, cookie: cookieOf(browser), 'sec-fetch-site': site, 'sec-fetch-mode': mode };
        get(corral.base + paths[0]!, { headers, agent: false }, (answer) => resolve(answer.resume().statusCode)).on('error', reject);
      });
    for (const [site, mode, status] of [
      ['same-origin', 'cors', 200],
      ['none', 'navigate', 200],
      ['cross-site', 'navigate', 200],
      ['same-site', 'no-cors', 403],
      ['cross-site', 'cors', 403],
    ] as const)
      expect([site, mode, await from(site, mode)]).toEqual([site, mode, status]);
  });

  test('a refusal names the person in the audit log', async () => {
    const browser = await logIn('other');
    await browser.ask(paths[0]!, { headers: { ...json, 'x-request-id': 'r-other' } });
    const find = async () => (await pool.query(`select actor, detail ->> 'permission' as permission from audit_entry where request_id = 'r-other'`)).rows;
    await expect.poll(find).toEqual([{ actor: 'other', permission: 'document:read' }]);
  });
});

describe('streams', () => {
  const ends: readonly (readonly [string, string])[] = [
    ['the session is ended', 'delete from session'],
    ['its time is over', 'update session set ends_at = now()'],
    ['it was not used', `update session set seen_at = now() - interval '31 minutes'`],
    ['the person is disabled', `update person set state = 'disabled' where name = 'fleet'`],
    ['the right is gone', `delete from binding where name = 'fleet'`],
  ];
  test.each(ends)('of a person end when %s; those of others go on', async (_name, end) => {
    const browser = await logIn('fleet');
    const [events, other] = [await watch(corral, { cookie: cookieOf(browser) }), await watch(corral)];
    const lines = await watch(corral, { cookie: cookieOf(browser), accept: 'application/x-ndjson' });
    const news = await browser.ask(`/documents/${NODE}/events`, { headers: { accept: 'text/event-stream' } });
    expect([events.status, lines.status, news.status]).toEqual([200, 200, 200]);
    await corral.make('site', { name: `s${Date.now()}` });
    await Promise.all([events.until(1), lines.until(1)]);
    await pool.query(end);
    await Promise.all([events.ended, lines.ended, news.text()]);
    await corral.make('site', { name: `s${Date.now()}` });
    await other.until(2);
    await pool.query(`update person set state = 'active'`);
    if (end.includes('binding')) await corral.make('binding', { name: 'fleet', role: 'looks', person: 'fleet' });
  });

  test('are for those who may see all changes', async () => {
    for (const name of ['local', 'plain']) {
      const refused = await watch(corral, { cookie: cookieOf(await logIn(name)) });
      await refused.ended;
      expect([refused.status, refused.problem()]).toEqual([403, expect.objectContaining({ permission: 'change:read' })]);
    }
  });

  test('keep no session from its idle end', async () => {
    const browser = await logIn('fleet');
    const watcher = await watch(corral, { cookie: cookieOf(browser) });
    const news = await browser.ask(`/documents/${NODE}/events`, { headers: { accept: 'text/event-stream' } });
    await pool.query(`update session set seen_at = now() - interval '20 minutes'`);
    const seen = await pool.query('select seen_at::text from session');
    const beats = (): number => watcher.text().match(/^: keep-alive$/gm)?.length ?? 0;
    const before = beats();
    await expect.poll(beats).toBeGreaterThan(before + 3);
    expect((await pool.query('select seen_at::text from session')).rows).toEqual(seen.rows);
    await news.body?.cancel();
  });
});
