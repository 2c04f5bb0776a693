import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ldapLogin, ldapTest } from '../../../src/auth/ldap/login.ts';
import { ldapSchema, type LdapSettings } from '../../../src/kernel/config.ldap.ts';
import { authority, type Authority } from './certificates.ts';
import { hasSlapd, startSlapd, type Slapd } from './slapd.ts';
import { BASE, group, groupDn, GROUPS, person, personDn, tree } from './tree.ts';

const odd = ['a*b', 'par(en)', 'back\\slash', 'comma, name', 'quo"te', 'plus+equals=', '#hash', 'Zoë Ünïcode 名前', 'x{name}', '$& $1', '<>;'];
const deep = Array.from({ length: 30 }, (_, at) => group(`deep${at}`, [at === 0 ? personDn('deep') : groupDn(`deep${at - 1}`)]));
const many = Array.from({ length: 620 }, (_, at) => group(`many${String(at).padStart(3, '0')}`, [personDn('many')]));

const entries = [
  ...['ada', 'bob', 'deep', 'many', 'loop', ...odd].map((uid) => person(uid)),
  person('blank', { userPassword: '' }).replace(/userPassword.*\n/, ''),
  person('twin1', { mail: 'twin@example.com' }),
  person('twin2', { mail: 'twin@example.com' }),
  group('staff', [personDn('ada'), personDn('bob')]),
  group('operators', [groupDn('staff')]),
  group('admins', [groupDn('operators')], GROUPS, true),
  group('others', [personDn('bob')]),
  group('elsewhere', [personDn('ada')], `ou=elsewhere,${BASE}`),
  group('through-elsewhere', [groupDn('elsewhere', `ou=elsewhere,${BASE}`)]),
  group(`cn=admins,${GROUPS}`, [personDn('bob')]),
  group('round', [personDn('loop'), groupDn('about')]),
  group('about', [groupDn('round'), groupDn('about')]),
  `dn: cn=posix,${GROUPS}\nobjectClass: posixGroup\ncn: posix\ngidNumber: 1000\nmemberUid: ada\n`,
  `dn: ou=branch,${BASE}\nobjectClass: referral\nobjectClass: extensibleObject\nou: branch\nref: ldap://127.0.0.1:1/ou=branch,${BASE}\n`,
  ...deep,
  ...many,
];

describe.skipIf(!hasSlapd)('a login with LDAP', () => {
  let folder: string;
  let ca: Authority;
  const settings = (more: object = {}): LdapSettings =>
    ldapSchema.parse({ urls: slapd.url, ca_file: ca.cert, bind_dn: `cn=corral,${BASE}`, bind_password: 'corral-secret', base: BASE, timeout: 2, ...more });
  const grouped = (groups: object): LdapSettings => settings({ groups: { base: GROUPS, ...groups } });
  let slapd: Slapd;

  const start = (name: string, names = 'IP:127.0.0.1', days?: readonly [number, number], extra?: string): Promise<Slapd> => {
    mkdirSync(join(folder, name));
    return startSlapd(join(folder, name), tree(...entries), ca.issue(name, names, days), extra);
  };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'corral-ldap-'));
    ca = authority(folder, 'ca');
    slapd = await start('first', 'IP:127.0.0.1,DNS:localhost');
  });
  afterAll(async () => {
    await slapd.stop();
    rmSync(folder, { recursive: true });
  });

  test('tells who it is, with all groups', async () => {
    const ada = await ldapLogin(grouped({}), 'ada', 'ada-secret');
    expect(ada).toMatchObject({ source: 'ldap', name: 'ada', full_name: 'ada Lovelace', email: 'ada@example.com' });
    expect(ada!.subject).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-/);
    expect(ada!.groups.toSorted()).toEqual([groupDn('admins'), groupDn('operators'), groupDn('staff'), 'admins', 'operators', 'staff'].toSorted());
    expect(await ldapLogin(grouped({}), 'ADA', 'ada-secret')).toEqual(ada);
  });

  test('refuses wrong passwords, unknown names, and every way to have no password', async () => {
    for (const [name, password] of [
      ['ada', 'wrong'],
      ['ada', ''],
      ['ada', '\0'],
      ['ada', 'ada-secret\0'],
      ['ada', 'x'.repeat(2000)],
      ['nobody', 'ada-secret'],
      ['', 'ada-secret'],
      [' ', 'ada-secret'],
      ['ada\0', 'ada-secret'],
      ['blank', 'blank-secret'],
      ['\ud800', 'ada-secret'],
    ] as const) {
      expect(await ldapLogin(settings(), name, password), JSON.stringify([name, password])).toBeUndefined();
    }
  });

  test('a server that takes binds without a password gets none', async () => {
    const lax = await start('lax', undefined, undefined, 'allow bind_anon_cred bind_anon_dn');
    try {
      expect(await ldapLogin(settings({ urls: lax.url }), 'ada', '')).toBeUndefined();
      const direct = { urls: lax.url, bind_dn: undefined, bind_password: undefined, user_dn: `uid={name},ou=people,${BASE}` };
      expect(await ldapLogin(settings(direct), 'ada', '')).toBeUndefined();
      const test = await ldapTest(settings({ urls: lax.url }), 'ada', '');
      expect(test[0]!.steps.at(-1)).toMatchObject({ step: 'user_bind', ok: false, detail: 'an empty password is never right' });
    } finally {
      await lax.stop();
    }
  });

  test.each(odd)('the name %s is a name', async (name) => {
    expect(await ldapLogin(settings(), name, `${name}-secret`)).toMatchObject({ name });
    const direct = settings({ bind_dn: undefined, bind_password: undefined, user_dn: `uid={name},ou=people,${BASE}`, groups: { search: 'none' } });
    expect(await ldapLogin(direct, name, `${name}-secret`)).toMatchObject({ name });
  });

  test.each([
    '*',
    'a*',
    'ada)(uid=*',
    '*)(objectClass=*',
    'ada\\',
    '\\61da',
    'ada)(|(uid=bob)',
    'x)(|(uid=ada',
    'ada,ou=people',
    `ada,ou=people,${BASE}`,
    'ada+cn=ada Lovelace',
    'uid=ada',
  ])('the name %s is no filter and no DN', async (name) => {
    expect(await ldapLogin(settings(), name, 'ada-secret')).toBeUndefined();
    expect(await ldapLogin(settings({ user_filter: '(&(objectClass=inetOrgPerson)(|(uid={name})(mail={name})))' }), name, 'ada-secret')).toBeUndefined();
    const direct = settings({ bind_dn: undefined, bind_password: undefined, user_dn: `uid={name},ou=people,${BASE}` });
    expect(await ldapLogin(direct, name, 'ada-secret')).toBeUndefined();
  });

  test('a name that means two people is refused', async () => {
    const byMail = settings({ user_filter: '(mail={name})' });
    expect(await ldapLogin(byMail, 'ada@example.com', 'ada-secret')).toMatchObject({ name: 'ada' });
    expect(await ldapLogin(byMail, 'twin@example.com', 'twin1-secret')).toBeUndefined();
    const [test] = await ldapTest(byMail, 'twin@example.com');
    expect(test!.steps.at(-1)!.detail).toContain('more than one entry matches');
  });

  test('groups: directly, through memberOf, of POSIX, without nesting, in circles and in depth', async () => {
    const names = async (uid: string, groups: object): Promise<string[]> =>
      (await ldapLogin(grouped(groups), uid, `${uid}-secret`))!.groups.filter((one) => !one.includes('=')).toSorted();
    expect(await names('ada', { nested: false })).toEqual(['staff']);
    expect(await names('ada', { search: 'member_of' })).toEqual(['operators', 'staff']);
    expect(await names('ada', { search: 'member_of', nested: false })).toEqual(['staff']);
    expect(await names('ada', { search: 'none' })).toEqual([]);
    expect(await names('ada', { member: ['member', 'memberUid'] })).toEqual(['operators', 'posix', 'staff']);
    expect(await names('ada', { filter: '(objectClass=groupOfUniqueNames)' })).toEqual([]);
    expect(await names('ada', { base: BASE })).toEqual(['admins', 'elsewhere', 'operators', 'staff', 'through-elsewhere']);
    expect(await names('loop', {})).toEqual(['about', 'round']);
    expect(await names('loop', { search: 'member_of' })).toEqual(['about', 'round']);
    expect(await names('deep', {})).toHaveLength(30);
    expect(await names('many', {})).toHaveLength(620);
  });

  test('a group whose name looks like a DN does not pass for that DN', async () => {
    const bob = await ldapLogin(grouped({ nested: false }), 'bob', 'bob-secret');
    expect(bob!.groups).toContain(groupDn('others'));
    expect(bob!.groups).not.toContain(groupDn('admins'));
  });

  test('more groups than the limit are a failure, not fewer groups', async () => {
    await expect(ldapLogin(grouped({ limit: 600 }), 'many', 'many-secret')).rejects.toMatchObject({ code: 'directory-failed' });
    const [test] = await ldapTest(grouped({ limit: 600 }), 'many');
    expect(test!.steps.at(-1)).toMatchObject({ step: 'groups', ok: false, detail: expect.stringContaining('more than 600 groups') });
  });

  test('a subject may be another attribute; one that is missing is said', async () => {
    const login = (uuid: string): Promise<unknown> => ldapLogin(settings({ attributes: { uuid } }), 'ada', 'ada-secret');
    expect(await login('dn')).toMatchObject({ subject: personDn('ada') });
    expect(await login('mail')).toMatchObject({ subject: 'ada@example.com' });
    await expect(login('employeeNumber')).rejects.toMatchObject({ code: 'directory-failed' });
  });

  test('referrals are not followed: those below the base are passed over, a base that is one is a wrong setting', async () => {
    expect(await ldapLogin(settings(), 'ada', 'ada-secret')).toMatchObject({ name: 'ada' });
    const [test] = await ldapTest(settings({ base: `ou=branch,${BASE}` }), 'ada');
    expect(test!.steps.at(-1)).toMatchObject({ step: 'search', ok: false, detail: expect.stringContaining('referrals are not followed') });
  });

  test('the password of bind_dn comes from a file, read each time', async () => {
    const file = join(folder, 'password');
    const from = settings({ bind_password: undefined, bind_password_file: file });
    writeFileSync(file, 'wrong\n');
    await expect(ldapLogin(from, 'ada', 'ada-secret')).rejects.toMatchObject({ code: 'directory-failed' });
    writeFileSync(file, 'corral-secret\n');
    expect(await ldapLogin(from, 'ada', 'ada-secret')).toMatchObject({ name: 'ada' });
  });
});
