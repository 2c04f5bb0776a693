/** Refused logins take alike, whatever the reason: they go through one pause, and hold nothing meanwhile. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { refuseAlike, REFUSE_AFTER } from '../../src/auth/people/alike.ts';
import { Problem } from '../../src/kernel/problem.ts';
import { testCorral } from '../support/corral.ts';
import { authority } from './ldap/certificates.ts';
import { hasSlapd, startSlapd } from './ldap/slapd.ts';
import { BASE, person, tree } from './ldap/tree.ts';
import { Browser, makePerson, PASSWORD } from './people-support.ts';

const folder = mkdtempSync(join(tmpdir(), 'corral-alike-'));
const ca = authority(folder, 'ca');
mkdirSync(join(folder, 'slapd'));
const slapd = hasSlapd ? await startSlapd(join(folder, 'slapd'), tree(person('ada')), ca.issue('slapd', 'IP:127.0.0.1')) : undefined;
const ldap = { urls: slapd?.url ?? 'ldap://127.0.0.1:1', ca_file: ca.cert, bind_dn: `cn=corral,${BASE}`, bind_password: 'corral-secret', base: BASE };

/** Refusals that wait, each with what lets it go on. */
const waiting: { readonly milliseconds: number; readonly goOn: () => void }[] = [];
const corral = await testCorral(slapd ? { CORRAL_LDAP: JSON.stringify(ldap) } : {}, {
  login: { refuseAfter: REFUSE_AFTER, pause: (milliseconds) => new Promise<void>((goOn) => waiting.push({ milliseconds, goOn })) },
});
await makePerson(corral, 'jane');
await makePerson(corral, 'gone');
await corral.pool.query(`update person set state = 'disabled' where name = 'gone'`);
await corral.make('person', { name: 'never' });
afterAll(async () => {
  await slapd?.stop();
  rmSync(folder, { recursive: true });
});
beforeEach(() => corral.pool.query('delete from login_throttle'));

const reasons: readonly (readonly [string, string, string])[] = [
  ['a wrong password', 'jane', 'wrong'],
  ['no password', 'jane', ''],
  ['a name that nobody has', 'nobody', PASSWORD],
  ['no name', '', ''],
  ['a person without a password', 'never', PASSWORD],
  ['a person who is disabled', 'gone', PASSWORD],
  ...(slapd ? ([['a wrong password of the directory', 'ada', 'wrong']] as const) : []),
];

describe('a login that is refused', () => {
  test.each(reasons)('for %s is answered after the pause, which holds no connection', async (_reason, name, password) => {
    let answered = false;
    const login = new Browser(corral.base).login(name, password).then((answer) => {
      answered = true;
      return answer;
    });
    await expect.poll(() => waiting.length).toBe(1);
    const [{ milliseconds, goOn }] = waiting.splice(0) as [(typeof waiting)[number]];
    expect(milliseconds).toBeGreaterThanOrEqual(0);
    expect(milliseconds).toBeLessThanOrEqual(REFUSE_AFTER);
    /* Others are served meanwhile, and the pool has all of its connections. */
    expect((await corral.request('/api/v1/sites')).status).toBe(200);
    await expect.poll(() => [corral.pool.totalCount - corral.pool.idleCount, corral.pool.waitingCount]).toEqual([0, 0]);
    const { rows } = await corral.pool.query<{ n: number }>(
      `select count(*)::int as n from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`,
    );
    expect([rows[0]!.n, answered]).toEqual([0, false]);
    goOn();
    expect((await login).status).toBe(401);
    expect(waiting).toEqual([]);
  });

  test('because too many were tried is told at once, for every name', async () => {
    for (const name of ['jane', 'nobody']) {
      for (let tries = 0; ; tries++) {
        const login = new Browser(corral.base).login(name, 'wrong');
        let over = false;
        void login.finally(() => (over = true));
        await expect.poll(() => over || waiting.length === 1).toBe(true);
        const paused = !over;
        for (const { goOn } of waiting.splice(0)) goOn();
        if (!paused) {
          expect([name, (await login).status, tries]).toEqual([name, 429, 5]);
          break;
        }
        expect((await login).status).toBe(401);
      }
    }
  });

  test('and one that is right goes on without a pause', async () => {
    expect((await new Browser(corral.base).login('jane')).status).toBe(303);
    if (slapd) expect((await new Browser(corral.base).login('ada', 'ada-secret')).status).toBe(303);
    expect(waiting).toEqual([]);
  });
});

test('one pause ends at a whole multiple of its length, whatever went wrong', async () => {
  for (const error of [new Problem('bad-login', 'x'), new Problem('conflict', 'x'), new Problem('directory-failed', 'x'), new Error('x')]) {
    const pauses: number[] = [];
    const work = refuseAlike(
      () => Promise.reject(error),
      1_000_000,
      (milliseconds) => Promise.resolve(pauses.push(milliseconds)),
    );
    await expect(work).rejects.toBe(error);
    expect(pauses).toEqual([expect.any(Number)]);
    expect(Math.ceil(pauses[0]! / 1_000_000)).toBe(1);
  }
  expect(
    await refuseAlike(
      () => Promise.resolve(1),
      1000,
      () => Promise.reject(new Error('no pause')),
    ),
  ).toBe(1);
});
