import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ldapLogin, ldapTest } from '../../src/auth/ldap/login.ts';
import { ldapSchema, type LdapSettings } from '../../src/kernel/config.ldap.ts';
import { authority, type Authority } from '../auth/ldap/certificates.ts';
import { ADMIN_PASSWORD, DOMAIN, hasSamba, startSamba, type Samba } from './samba.ts';

const ADDRESS = '127.86.5.9';
const USERS = `CN=Users,${DOMAIN}`;

describe.skipIf(!hasSamba)('a login with Active Directory, as Samba serves it', () => {
  let folder: string;
  let ca: Authority;
  let samba: Samba;
  const settings = (more: object = {}): LdapSettings =>
    ldapSchema.parse({
      urls: `ldaps://${ADDRESS}`,
      kind: 'active-directory',
      ca_file: ca.cert,
      bind_dn: `CN=Administrator,${USERS}`,
      bind_password: ADMIN_PASSWORD,
      base: DOMAIN,
      ...more,
    });
  const login = (name: string, more: object = {}): ReturnType<typeof ldapLogin> => ldapLogin(settings(more), name, `${name}-Secret-1`);
  const direct = (user_dn: string): object => ({ bind_dn: undefined, bind_password: undefined, user_dn });
  const names = (groups: readonly string[]): string[] => groups.filter((one) => !one.includes('=')).toSorted();
  const why = async (name: string, password = `${name}-Secret-1`): Promise<object> => {
    const [test] = await ldapTest(settings(), name, password);
    return test!.steps.at(-1)!;
  };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'corral-ad-'));
    ca = authority(folder, 'ca');
    samba = await startSamba(join(folder, 'dc'), ADDRESS, ca.issue('dc1', `IP:${ADDRESS}`), ca.cert);
    for (const user of ['ada', 'off', 'late', 'must', 'mallory']) {
      await samba.tool('user', 'create', user, `${user}-Secret-1`, '--given-name', user, '--surname', 'Lovelace', '--mail-address', `${user}@corral.example`);
    }
    for (const group of ['staff', 'operators', 'admins (all)', 'everyone']) await samba.tool('group', 'add', group);
    await samba.tool('group', 'addmembers', 'staff', 'ada');
    await samba.tool('group', 'addmembers', 'operators', 'staff');
    await samba.tool('group', 'addmembers', 'admins (all)', 'operators');
    await samba.tool('group', 'addmembers', 'staff', 'admins (all)');
    await samba.tool('group', 'addmembers', 'everyone', 'Domain Users');
    await samba.tool('user', 'disable', 'off');
    await samba.modify(`dn: CN=late Lovelace,${USERS}\nchangetype: modify\nreplace: accountExpires\naccountExpires: 116444736010000000\n`);
    await samba.modify(`dn: CN=must Lovelace,${USERS}\nchangetype: modify\nreplace: pwdLastSet\npwdLastSet: 0\n`);
  }, 120_000);
  afterAll(async () => {
    await samba?.stop();
    rmSync(folder, { recursive: true });
  });

  test('tells who it is, with nested groups and the primary group', async () => {
    const ada = await login('ada');
    expect(ada).toMatchObject({ source: 'ldap', name: 'ada', full_name: 'ada Lovelace', email: 'ada@corral.example' });
    expect(names(ada!.groups)).toEqual(['Domain Users', 'Users', 'admins (all)', 'everyone', 'operators', 'staff']);
    expect(ada!.groups).toContain(`CN=admins (all),${USERS}`);
    const told = await samba.tool('user', 'show', 'ada', '--attributes=objectGUID');
    expect(told).toContain(ada!.subject);
    expect(names((await login('ada', { groups: { nested: false } }))!.groups)).toEqual(['Domain Users', 'staff']);
    expect(await login('ADA')).toBeUndefined();
    expect(await ldapLogin(settings(), 'ADA', 'ada-Secret-1')).toEqual(ada);
  });

  test('with StartTLS', async () => {
    expect(await login('ada', { urls: `ldap://${ADDRESS}` })).toMatchObject({ name: 'ada' });
  });

  test('refuses what Active Directory refuses, and says why in a test', async () => {
    expect(await ldapLogin(settings(), 'ada', 'wrong')).toBeUndefined();
    expect(await ldapLogin(settings(), 'ada', '')).toBeUndefined();
    for (const user of ['off', 'late', 'must']) expect(await login(user), user).toBeUndefined();
    expect(await why('ada', 'wrong')).toMatchObject({ step: 'user_bind', detail: 'the name or the password is wrong' });
    expect(await why('off')).toMatchObject({ step: 'search', detail: expect.stringContaining('is disabled') });
    expect(await why('late')).toMatchObject({ step: 'user_bind', detail: 'the account has expired' });
    expect(await why('must')).toMatchObject({ step: 'user_bind', detail: 'the password must be changed first' });
  });

  test('people may bind by themselves, with a name of the domain', async () => {
    for (const template of ['{name}@corral.example', 'CORRAL\\{name}']) {
      const ada = await login('ada', direct(template));
      expect(names(ada!.groups)).toContain('staff');
      for (const name of ['ada@corral.example', 'CORRAL\\ada', 'ada*', ''])
        expect(await ldapLogin(settings(direct(template)), name, 'ada-Secret-1')).toBeUndefined();
    }
  });

  test('the password must be that of the entry, whoever the name of the domain means', async () => {
    await samba.modify(`dn: CN=ada Lovelace,${USERS}\nchangetype: modify\nreplace: telephoneNumber\ntelephoneNumber: mallory\n`);
    const crossed = { ...direct('{name}@corral.example'), user_filter: '(telephoneNumber={name})' };
    expect(await login('mallory', crossed)).toBeUndefined();
    expect(await login('mallory', direct('{name}@corral.example'))).toMatchObject({ name: 'mallory' });
  });
});
