import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testCorral, type TestCorral } from '../support/corral.ts';
import { authority } from './ldap/certificates.ts';
import { hasSlapd, startSlapd, type Slapd } from './ldap/slapd.ts';
import { BASE, group, groupDn, GROUPS, person, personDn, tree } from './ldap/tree.ts';
import { CLIENT, ORIGIN, SECRET, startProvider, type Rig } from './oidc/provider.ts';
import { Browser } from './people-support.ts';

const folder = mkdtempSync(join(tmpdir(), 'corral-people-'));
const ca = authority(folder, 'ca');
afterAll(() => rmSync(folder, { recursive: true }));

const groupsOf = async ({ pool }: TestCorral, name: string): Promise<string[]> =>
  (await pool.query<{ name: string }>('select g.name from person_group g join person p on p.id = g.person_id where p.name = $1 order by 1', [name])).rows.map(
    (one) => one.name,
  );
const personOf = async ({ request }: TestCorral, name: string): Promise<Record<string, unknown>> =>
  (await (await request(`/api/v1/people/${name}`)).json()) as Record<string, unknown>;

describe.skipIf(!hasSlapd)('with a real slapd', () => {
  let slapd: Slapd;
  let corral: TestCorral;
  beforeAll(async () => {
    mkdirSync(join(folder, 'slapd'));
    const entries = [person('ada'), person('bob'), group('staff', [personDn('ada')]), group('operators', [groupDn('staff')])];
    slapd = await startSlapd(join(folder, 'slapd'), tree(...entries), ca.issue('slapd', 'IP:127.0.0.1'));
    const ldap = {
      urls: slapd.url,
      ca_file: ca.cert,
      bind_dn: `cn=corral,${BASE}`,
      bind_password: 'corral-secret',
      base: BASE,
      groups: { base: GROUPS },
      timeout: 2,
    };
    corral = await testCorral({ CORRAL_LDAP: JSON.stringify(ldap) });
  });
  afterAll(() => slapd.stop());

  test('people log in with the form of all others, with their nested groups, and are written down', async () => {
    const browser = new Browser(corral.base);
    expect((await browser.login('ada', 'ada-secret')).status).toBe(303);
    expect(await browser.isIn()).toBe(true);
    expect(await personOf(corral, 'ada')).toMatchObject({ source: 'ldap', full_name: 'ada Lovelace', email: 'ada@example.com', has_password: false });
    expect(await groupsOf(corral, 'ada')).toEqual(expect.arrayContaining(['operators', 'staff', groupDn('operators')]));
    expect((await new Browser(corral.base).login('ada', 'bob-secret')).status).toBe(401);
    expect((await new Browser(corral.base).login('nobody', 'bob-secret')).status).toBe(401);
    const { rows } = await corral.pool.query<{ kind: string; actor: string }>('select kind, actor from audit_entry order by number');
    expect(rows).toEqual(
      expect.arrayContaining([
        { kind: 'person_made', actor: 'ada' },
        { kind: 'login', actor: 'ada' },
        { kind: 'login_refused', actor: 'nobody' },
      ]),
    );
  });

  test('that says nothing is told of, and holds nobody up who has a password here', async () => {
    slapd.pause();
    const answer = await new Browser(corral.base).login('bob', 'bob-secret');
    slapd.resume();
    expect(answer.status).toBe(503);
  });
});

describe('with a real OpenID Connect provider', () => {
  let rig: Rig;
  let corral: TestCorral;
  const browser = (): Browser => new Browser(corral.base, { 'x-forwarded-proto': 'https' });
  beforeAll(async () => {
    rig = await startProvider(ca.issue('localhost', 'DNS:localhost'), ca.cert);
    corral = await testCorral({
      CORRAL_PUBLIC_URL: ORIGIN,
      CORRAL_OIDC: JSON.stringify({ issuer: rig.issuer, client_id: CLIENT, client_secret: SECRET, ca_file: ca.cert, label: 'Example' }),
    });
  });
  afterAll(() => rig.stop());
  const path = (url: string): string => new URL(url).pathname + new URL(url).search;

  test('people go there and come back logged in, to the page that they wanted', async () => {
    const ada = browser();
    expect(await (await ada.ask('/login')).text()).toContain('Log in with Example');
    const start = await ada.ask('/login/oidc?next=/changes');
    const end = await ada.ask(path(await rig.browse(start.headers.get('location')!)));
    expect([end.status, end.headers.get('location')]).toEqual([303, '/changes']);
    expect([...ada.cookies.keys()]).toEqual(['corral_oidc_logout', '__Host-corral_session']);
    expect(await ada.isIn()).toBe(true);
    expect(await personOf(corral, 'ada')).toMatchObject({ source: 'oidc', full_name: 'Ada Lovelace', email: 'ada@example.com' });
    expect(await groupsOf(corral, 'ada')).toEqual(['operators', 'staff']);
  });

  test('an answer that another browser asked for, or that came before, is refused', async () => {
    const ada = browser();
    const start = await ada.ask('/login/oidc');
    const callback = path(await rig.browse(start.headers.get('location')!));
    const mallory = browser();
    expect((await mallory.ask(callback)).status).toBe(401);
    const thief = ada.copy();
    expect((await ada.ask(callback)).status).toBe(303);
    expect((await thief.ask(callback)).status).toBe(401);
    expect([await mallory.isIn(), await thief.isIn()]).toEqual([false, false]);
  });
});
