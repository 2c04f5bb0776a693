import { readFileSync } from 'node:fs';
import type { Client } from 'ldapts';
import type { LdapSettings } from '../../kernel/config.ldap.ts';
import { Problem } from '../../kernel/problem.ts';
import type { Directory } from '../directory.ts';
import { connect } from './connect.ts';
import { findPerson, type Found } from './entry.ts';
import { bindName, bindsByDn, isName } from './escape.ts';
import { LdapFailure } from './failure.ts';
import { groupsOf, type Group } from './groups.ts';
import { tracing, type StepReport, type Trace } from './trace.ts';

/** Servers that failed are asked last for so long, so that logins do not wait for each of them again. */
const REST = 30_000;
const LONGEST_PASSWORD = 1024;
const failedAt = new Map<string, number>();

/**
 * Checks a name and a password with the first server that answers.
 * @returns the person; nothing when name or password are wrong or the account is disabled
 * @throws Problem directory-failed, when no server could say
 */
export async function ldapLogin(settings: LdapSettings, name: string, password: string): Promise<Directory | undefined> {
  /* A bind with a DN and no password succeeds on many servers, as nobody (RFC 4513, section 5.1.2). */
  if (!isName(name) || !isPassword(password)) return undefined;
  const failures: string[] = [];
  const now = Date.now();
  const resting = (url: string): boolean => now - (failedAt.get(url) ?? -Infinity) < REST;
  for (const url of settings.urls.toSorted((a, b) => Number(resting(a)) - Number(resting(b)))) {
    try {
      const person = await attempt(
        settings,
        url,
        tracing(() => undefined),
        name,
        password,
      );
      failedAt.delete(url);
      return person;
    } catch (error) {
      if (!(error instanceof LdapFailure)) throw error;
      if (error.kind === 'refused') return undefined;
      failures.push(`${url}: ${error.step}: ${error.message}`);
      if (error.kind === 'settings') break;
      failedAt.set(url, Date.now());
    }
  }
  throw new Problem('directory-failed', 'The directory cannot be asked now. Try again later; an administrator finds the reason with corral ldap test', {
    cause: new Error(failures.join('; ')),
  });
}

/** What a test of one server found. */
export interface ServerTest {
  readonly server: string;
  readonly ok: boolean;
  readonly steps: readonly StepReport[];
  readonly person?: Directory;
}

/** Goes through the steps of a login on every server; with a name as far as the groups, with a password as that person too. */
export async function ldapTest(settings: LdapSettings, name?: string, password?: string): Promise<ServerTest[]> {
  const tests: ServerTest[] = [];
  for (const server of settings.urls) {
    const steps: StepReport[] = [];
    try {
      const trace = tracing((report) => void steps.push(report));
      const person = await attempt(settings, server, trace, name, password);
      tests.push({ server, ok: true, steps, ...(person ? { person } : {}) });
    } catch (error) {
      if (!(error instanceof LdapFailure)) throw error;
      tests.push({ server, ok: false, steps });
    }
  }
  return tests;
}

async function attempt(settings: LdapSettings, url: string, trace: Trace, name?: string, password?: string): Promise<Directory | undefined> {
  const connection = await connect(settings, url, trace);
  try {
    const { client } = connection;
    const person =
      settings.user_dn === undefined ? await bySearch(client, settings, trace, name, password) : await direct(client, settings, trace, name, password);
    if (person === undefined) return undefined;
    const groups = await trace(
      'groups',
      async () => {
        /* Groups are for the searching account to see, not for every person. */
        if (settings.user_dn === undefined && password !== undefined) await bindAsService(client, settings);
        return groupsOf(client, settings, person);
      },
      describeGroups,
    );
    const { subject, full_name, email } = person;
    return {
      source: 'ldap',
      subject,
      name: person.name,
      ...(full_name === undefined ? {} : { full_name }),
      ...(email === undefined ? {} : { email }),
      groups: groupNames(groups),
    };
  } finally {
    await connection.close();
  }
}

/** Searches as the account of the settings (or nobody), and checks the password with the DN that was found. */
async function bySearch(client: Client, settings: LdapSettings, trace: Trace, name?: string, password?: string): Promise<Found | undefined> {
  await trace(
    'bind',
    () => bindAsService(client, settings),
    () => settings.bind_dn ?? 'nobody: bind_dn is not set',
  );
  if (name === undefined) {
    await trace(
      'search',
      () => client.search(settings.base, { scope: 'base', attributes: ['1.1'] }),
      () => `${settings.base} is there`,
    );
    return undefined;
  }
  const person = await trace(
    'search',
    () => findPerson(client, settings, name),
    (found) => found.dn,
  );
  if (password === undefined) return person;
  await trace(
    'user_bind',
    () => bindAs(client, person.dn, password),
    () => `the password of ${person.dn} is right`,
  );
  return person;
}

/** Binds as the person, who then reads their own entry. */
async function direct(client: Client, settings: LdapSettings, trace: Trace, name?: string, password?: string): Promise<Found | undefined> {
  if (name === undefined || password === undefined) return undefined;
  const template = settings.user_dn!;
  const who = bindName(template, name);
  await trace(
    'user_bind',
    async () => {
      if (who === undefined)
        throw new LdapFailure(
          'user_bind',
          'refused',
          'the name has characters that a name of the domain cannot have',
          'Give the name alone, without the domain.',
        );
      await bindAs(client, who, password);
    },
    () => `the password of ${who} is right`,
  );
  const person = await trace(
    'search',
    () => findPerson(client, settings, name, bindsByDn(template) ? who : undefined),
    (found) => found.dn,
  );
  /* The name of the domain and the filter may mean two people: the password must be that of the entry. */
  if (!bindsByDn(template))
    await trace(
      'user_bind',
      () => bindAs(client, person.dn, password),
      () => `and it is that of ${person.dn}`,
    );
  return person;
}

async function bindAsService(client: Client, settings: LdapSettings): Promise<void> {
  if (settings.bind_dn !== undefined) await client.bind(settings.bind_dn, bindPassword(settings));
}

async function bindAs(client: Client, dn: string, password: string): Promise<void> {
  if (!isPassword(password)) throw new LdapFailure('user_bind', 'refused', 'an empty password is never right', 'Give the password.');
  await client.bind(dn, password);
}

const isPassword = (password: string): boolean => password !== '' && password.length <= LONGEST_PASSWORD && !password.includes('\0');

/** The password of bind_dn; a file is read each time, so that a new one counts at once. */
function bindPassword(settings: LdapSettings): string {
  const failed = (message: string): LdapFailure => new LdapFailure('bind', 'settings', message, 'Set bind_password_file or CORRAL_LDAP_BIND_PASSWORD.');
  if (settings.bind_password !== undefined) return settings.bind_password.reveal();
  if (settings.bind_password_file === undefined) throw failed('bind_dn has no password');
  let text: string;
  try {
    text = readFileSync(settings.bind_password_file, 'utf8').replace(/\r?\n$/, '');
  } catch {
    throw failed(`bind_password_file ${settings.bind_password_file} cannot be read`);
  }
  if (text === '') throw failed(`bind_password_file ${settings.bind_password_file} is empty`);
  return text;
}

/** DNs, then names; a name that looks like a DN could pass for one, so it is left out. */
function groupNames(groups: readonly Group[]): string[] {
  const names = groups.map((one) => one.name).filter((name) => name !== undefined && !name.includes('='));
  return [...new Set([...groups.map((one) => one.dn), ...(names as string[])])];
}

function describeGroups(groups: readonly Group[]): string {
  const names = groups.map((one) => one.name ?? one.dn);
  return names.length === 0 ? 'none' : `${names.length}: ${names.slice(0, 20).join(', ')}${names.length > 20 ? ', ...' : ''}`;
}
