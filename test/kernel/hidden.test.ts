import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { format, inspect } from 'node:util';
import { Console } from 'node:console';
import { serialize } from 'node:v8';
import { dump } from 'js-yaml';
import { pino } from 'pino';
import { afterAll, describe, expect, test } from 'vitest';
import { loginSettings } from '../../src/auth/people/settings.ts';
import { ldapSettings } from '../../src/kernel/config.ldap.ts';
import { oidcSettings } from '../../src/kernel/config.oidc.ts';
import { explainConfig, loadConfig, settings } from '../../src/kernel/config.ts';
import { Hidden } from '../../src/kernel/hidden.ts';
import { installationBox, installationKeys } from '../../src/kernel/secret.ts';

const folder = mkdtempSync(join(tmpdir(), 'corral-hidden-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const key = Buffer.alloc(32, 'a-secret-a-secret').toString('base64');
const old = Buffer.alloc(32, 'b-secret-b-secret').toString('base64');
/** Each secret setting of its own; a new one that is not here fails below. */
const secrets: Readonly<Record<string, string>> = {
  DATABASE_URL: 'postgres://corral:topsecret1@127.0.0.1:1/corral',
  CORRAL_LISTEN_URL: 'postgres://corral:topsecret2@127.0.0.1:1/corral',
  CORRAL_ADMIN_TOKEN: 'corral_admin_topsecret3',
  CORRAL_ENCRYPTION_KEY: key,
  CORRAL_ENCRYPTION_KEY_OLD: old,
  CORRAL_LDAP_BIND_PASSWORD: 'topsecret4',
  CORRAL_OIDC_CLIENT_SECRET: 'topsecret5',
};
const within = {
  CORRAL_LDAP: JSON.stringify({
    urls: 'ldaps://ldap.example.com',
    bind_dn: 'cn=corral,dc=example,dc=com',
    bind_password: 'topsecret6',
    base: 'dc=example,dc=com',
  }),
  CORRAL_OIDC: JSON.stringify({ issuer: 'https://id.example.com', client_id: 'corral', client_secret: 'topsecret7' }),
};
const told = /topsecret\d|a-secret|b-secret/;
const shows = (text: string): boolean => told.test(text) || text.includes(key.slice(0, 20)) || text.includes(old.slice(0, 20));

/** All the ways in which somebody prints something without thinking. */
const ways: Readonly<Record<string, (value: unknown) => string>> = {
  'JSON.stringify': (value) => JSON.stringify(value),
  'JSON.stringify of what is in an error': (value) => JSON.stringify(Object.assign(new Error('x'), { value })),
  inspect: (value) => inspect(value, { depth: 20 }),
  'inspect of all that can be seen': (value) => inspect(value, { depth: 20, showHidden: true, getters: true, showProxy: true }),
  'inspect without custom ones': (value) => inspect(value, { depth: 20, customInspect: false, showHidden: true }),
  format: (value) => format('%s %o %O %j', value, value, value, value),
  'a template': (value) => `${String(value)} ${Object.values(value as object).join(' ')}`,
  yaml: (value) => dump(value, { skipInvalid: true }),
  'structured clone': (value) => inspect(structuredClone(JSON.parse(JSON.stringify(value))), { depth: 20 }),
  'a copy': (value) => inspect({ ...(value as object) }, { depth: 20 }) + JSON.stringify(Object.entries(value as object)),
  pino: (value) => {
    let out = '';
    const log = pino({ level: 'trace' }, { write: (line) => (out += line) });
    log.fatal({ value, err: Object.assign(new Error('failed', { cause: value }), { value }) }, '%o %s', value as object, value as object);
    log.trace(value as object);
    return out;
  },
  console: (value) => {
    let out = '';
    const stream = new Writable({ write: (chunk: Buffer, _encoding, done) => ((out += chunk.toString()), done()) });
    const console = new Console(stream);
    console.log(value);
    console.dir(value, { depth: 20, showHidden: true });
    console.table(value);
    return out;
  },
};

const file = join(folder, 'corral.yaml');
const names = Object.fromEntries(Object.entries(settings).map(([name, { env }]) => [env, name]));
writeFileSync(file, dump(Object.fromEntries(Object.entries(secrets).map(([env, value]) => [names[env], value]))));
const fromEnvironment = loadConfig({ ...secrets, ...within, CORRAL_DATA: folder });
const fromFile = loadConfig({ CORRAL_CONFIG: file, ...within, CORRAL_DATA: folder });
const box = installationBox(fromEnvironment.config);

describe.each(Object.entries(ways))('%s', (_name, print) => {
  test('shows what is not hidden', () => expect(shows(print({ password: 'topsecret1' }))).toBe(true));
  test.each([
    ['the settings of the environment', fromEnvironment],
    ['the settings of the file', fromFile],
    ['one by one', Object.values(fromFile.config)],
    ['as corral config shows them', explainConfig(fromEnvironment)],
    ['of LDAP', ldapSettings(fromEnvironment.config)],
    ['of OpenID Connect', oidcSettings(fromEnvironment.config)],
    ['of logins', loginSettings(fromEnvironment.config, box)],
    ['the box of the keys', { box }],
  ])('shows no secret of %s', (_what, value) => {
    const text = print(value);
    expect(shows(text), text).toBe(false);
  });
});

test('each setting that holds a secret is in this test, and is of the type that hides it', () => {
  const hidden = Object.entries(fromEnvironment.config).filter(([, value]) => value instanceof Hidden);
  expect(hidden.map(([name]) => settings[name as keyof typeof settings].env).sort()).toEqual(Object.keys(secrets).sort());
  /* By name, what might be one. */
  const suspects = Object.entries(settings).filter(([name]) => /token|password|secret|_key$|_key_|database|listen_url/.test(name));
  for (const [name, { env }] of suspects.filter(([one]) => one !== 'tls_key')) expect([name, Object.hasOwn(secrets, env)]).toEqual([name, true]);
});

test('what is wrong with a secret is told without it', () => {
  for (const [name, value] of Object.entries({
    DATABASE_URL: 'mysql://u:topsecret1@h',
    CORRAL_ADMIN_TOKEN: 'topsecret2',
    CORRAL_ENCRYPTION_KEY: 'topsecret3',
  })) {
    let message = '';
    try {
      loadConfig({ [name]: value });
    } catch (error) {
      message = inspect(error, { depth: 20 });
    }
    expect(message).toContain(name);
    expect(shows(message), message).toBe(false);
  }
});

test('the secrets are there for whoever needs them', () => {
  expect(fromFile.config.database_url!.reveal()).toBe(secrets['DATABASE_URL']);
  expect(fromEnvironment.config.admin_token!.reveal()).toBe(secrets['CORRAL_ADMIN_TOKEN']);
  expect(installationKeys(fromFile.config)).toEqual({ current: Buffer.from(key, 'base64'), old: [Buffer.from(old, 'base64')] });
  expect(String(fromFile.config.database_url)).toBe('(hidden)');
  /* A message to another thread holds nothing. */
  expect(shows(serialize(new Hidden('topsecret1')).toString('latin1'))).toBe(false);
});
