import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { dnKey, escapeDn, isUnder, userFilter } from '../../src/auth/ldap/escape.ts';
import { ldapSettings } from '../../src/kernel/config.ldap.ts';
import { oidcSettings } from '../../src/kernel/config.oidc.ts';
import { explainConfig, loadConfig } from '../../src/kernel/config.ts';
import { FilterParser } from 'ldapts';

const folder = mkdtempSync(join(tmpdir(), 'corral-directories-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const file = (text: string): string => {
  const path = join(folder, `${files++}.yaml`);
  writeFileSync(path, text);
  return path;
};
const ldap = { urls: 'ldaps://ldap.example.com', base: 'dc=example,dc=com', bind_dn: 'cn=corral,dc=example,dc=com', bind_password: 'ldap-secret' };
const oidc = { issuer: 'https://id.example.com', client_id: 'corral', client_secret: 'oidc-secret' };
const given = (env: Record<string, string>, wrong = false): string | ReturnType<typeof loadConfig> => {
  try {
    return loadConfig(env);
  } catch (error) {
    if (wrong) return (error as Error).message;
    throw error;
  }
};
const load = (env: Record<string, string>): ReturnType<typeof loadConfig> => given(env) as ReturnType<typeof loadConfig>;

test('directories come from the file, from JSON, or from a file of their own', () => {
  const inFile = load({ CORRAL_CONFIG: file(`ldap:\n  urls: [ldaps://a, ldap://b:1389]\n  base: dc=example,dc=com\noidc: ${JSON.stringify(oidc)}\n`) }).config;
  expect(inFile.ldap).toMatchObject({ urls: ['ldaps://a', 'ldap://b:1389'], user_filter: '(uid={name})', timeout: 5, start_tls: true });
  expect(inFile.ldap).toMatchObject({ attributes: { name: 'uid', uuid: 'entryUUID' }, groups: { base: 'dc=example,dc=com', search: 'member', nested: true } });
  expect(inFile.oidc).toMatchObject({ issuer: 'https://id.example.com', scopes: ['openid', 'profile', 'email'], claims: { groups: 'groups' } });
  expect(load({ CORRAL_LDAP: JSON.stringify(ldap) }).config.ldap).toMatchObject({ urls: ['ldaps://ldap.example.com'] });
  expect(load({ CORRAL_LDAP: file('urls: ldaps://c\nkind: active-directory\nbase: DC=example,DC=com\n') }).config.ldap).toMatchObject({
    urls: ['ldaps://c'],
    attributes: { name: 'sAMAccountName', uuid: 'objectGUID' },
    groups: { search: 'chain' },
  });
  expect(load({}).config.ldap).toBeUndefined();
});

test('secrets may have variables of their own, and are never shown', () => {
  const loaded = load({
    CORRAL_LDAP: JSON.stringify(ldap),
    CORRAL_OIDC: JSON.stringify(oidc),
    CORRAL_LDAP_BIND_PASSWORD: 'other-ldap-secret',
    CORRAL_OIDC_CLIENT_SECRET: 'other-oidc-secret',
  });
  expect(ldapSettings(loaded.config)!.bind_password!.reveal()).toBe('other-ldap-secret');
  expect(oidcSettings(loaded.config)!.client_secret!.reveal()).toBe('other-oidc-secret');
  const { ldap_bind_password: _, ...without } = loaded.config;
  expect(ldapSettings(without)!.bind_password!.reveal()).toBe('ldap-secret');
  const shown = `${JSON.stringify(explainConfig(loaded))} ${JSON.stringify(loaded.config)} ${inspect(loaded, { depth: 9 })} ${String(loaded.config.ldap!.bind_password)}`;
  expect(shown).not.toMatch(/ldap-secret|oidc-secret/);
  expect(explainConfig(loaded).find((one) => one.setting === 'ldap')!.value).toMatchObject({ base: 'dc=example,dc=com', bind_password: '(hidden)' });
});

test.each([
  [{ CORRAL_LDAP: '{' }, 'CORRAL_LDAP: must be JSON, or the path of a YAML file'],
  [{ CORRAL_LDAP: '/no/such/file' }, 'CORRAL_LDAP: there is no file /no/such/file'],
  [{ CORRAL_LDAP: JSON.stringify({ ...ldap, urls: 'http://x' }) }, 'CORRAL_LDAP.urls: '],
  [
    { CORRAL_LDAP: JSON.stringify({ ...ldap, urls: ['ldap://x'], start_tls: false }) },
    'CORRAL_LDAP.urls.0: start_tls: false would send passwords in the clear',
  ],
  [{ CORRAL_LDAP: JSON.stringify({ ...ldap, urls: 'ldap://user@x' }) }, 'CORRAL_LDAP.urls: '],
  [{ CORRAL_LDAP: JSON.stringify({ ...ldap, base: 'example.com' }) }, 'CORRAL_LDAP.base: must be a distinguished name'],
  [{ CORRAL_LDAP: JSON.stringify({ ...ldap, user_filter: '(uid=x)' }) }, 'CORRAL_LDAP.user_filter: must hold {name}'],
  [{ CORRAL_LDAP: JSON.stringify({ ...ldap, user_filter: '(uid={name})(x=y)' }) }, 'CORRAL_LDAP.user_filter: must be a filter in parentheses'],
  [{ CORRAL_LDAP: JSON.stringify({ ...ldap, user_dn: '{name}' }) }, 'CORRAL_LDAP.user_dn: must be a DN'],
  [{ CORRAL_LDAP: JSON.stringify({ ...ldap, user_dn: '{name}@x' }) }, 'CORRAL_LDAP.user_dn: give bind_dn or user_dn, not both'],
  [{ CORRAL_LDAP: JSON.stringify({ ...ldap, bind_dn: undefined }) }, 'CORRAL_LDAP.bind_dn: is needed with a password'],
  [{ CORRAL_LDAP: JSON.stringify({ ...ldap, verify: false }) }, 'CORRAL_LDAP: Unrecognized key: "verify"'],
  [{ CORRAL_LDAP: JSON.stringify({ ...ldap, groups: { limit: 0 } }) }, 'CORRAL_LDAP.groups.limit: '],
  [{ CORRAL_OIDC: JSON.stringify({ ...oidc, issuer: 'http://id.example.com' }) }, 'CORRAL_OIDC.issuer: must be https://'],
  [{ CORRAL_OIDC: JSON.stringify({ ...oidc, scopes: ['profile'] }) }, 'CORRAL_OIDC.scopes: must include openid'],
])('what is wrong is said with its place: %j', (env, said) => {
  const message = given(env as Record<string, string>, true);
  expect(message).toContain(said);
  expect(message).not.toMatch(/ldap-secret|oidc-secret/);
});

test('a value in a filter is that value, whatever it holds', () => {
  const letters = ['(', ')', '*', '\\', '\0', '&', '|', '!', '=', ':', '~', '<', '>', '5c', '28', ' ', 'é', '😀', 'a', '{name}', '$&'];
  let seed = 7;
  const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  for (let round = 0; round < 2000; round++) {
    const name = Array.from({ length: 1 + random(8) }, () => letters[random(letters.length)]).join('');
    const filter = FilterParser.parseString(userFilter('(&(objectClass=person)(uid={name}))', name)) as unknown as { filters: object[] };
    expect(filter.filters).toHaveLength(2);
    expect(filter.filters[1]).toMatchObject({ attribute: 'uid', value: name });
  }
});

test('names in DNs are escaped, and DNs are compared as directories do', () => {
  expect(escapeDn('Lovelace, Ada <x>;"+\\=')).toBe('Lovelace\\, Ada \\<x\\>\\;\\"\\+\\\\\\=');
  expect([escapeDn('#x'), escapeDn(' x '), escapeDn('a\0')]).toEqual(['\\#x', '\\ x\\ ', 'a\\00']);
  expect(dnKey('CN=Lovelace\\2C Ada, OU = People,dc=Example')).toBe(dnKey('cn=lovelace\\, ada,ou=people,DC=example'));
  expect(dnKey('cn=Zo\\C3\\AB,dc=x')).toBe(dnKey('cn=zoë,dc=x'));
  expect(dnKey('cn=a\\\\2C,dc=x')).not.toBe(dnKey('cn=a\\2C,dc=x'));
  expect(isUnder('cn=a,OU=Groups,dc=x', 'ou=groups,dc=x')).toBe(true);
  expect(isUnder('cn=a\\,ou=groups,dc=x', 'ou=groups,dc=x')).toBe(false);
  expect(isUnder('cn=a,ou=othergroups,dc=x', 'ou=groups,dc=x')).toBe(false);
});
