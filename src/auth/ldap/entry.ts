import type { Client, Entry } from 'ldapts';
import type { LdapSettings } from '../../kernel/config.ldap.ts';
import { dnKey, dnParts, escapeDn, userFilter } from './escape.ts';
import { LdapFailure } from './failure.ts';

const BINARY = ['objectGUID', 'objectSid'];
/** Bit of Active Directory's userAccountControl. */
const ACCOUNTDISABLE = 2;

/** The entry of one person. */
export interface Found {
  readonly dn: string;
  readonly subject: string;
  readonly name: string;
  readonly full_name?: string;
  readonly email?: string;
  readonly entry: Entry;
}

/**
 * Finds the one entry of a name.
 * @param at of a person who bound with a DN: that DN
 */
export async function findPerson(client: Client, settings: LdapSettings, name: string, at?: string): Promise<Found> {
  const { attributes } = settings;
  const wanted = Object.values(attributes).filter((one) => one !== 'dn');
  const { searchEntries } = await client.search(at ?? settings.base, {
    scope: at === undefined ? 'sub' : 'base',
    filter: userFilter(settings.user_filter, name),
    attributes: [...new Set([...wanted, 'userAccountControl', 'memberOf', 'primaryGroupID', 'objectSid'])],
    explicitBufferAttributes: BINARY,
    sizeLimit: 2,
    timeLimit: Math.ceil(settings.timeout),
  });
  const entry = searchEntries[0];
  if (entry === undefined || entry.dn === '')
    throw new LdapFailure(
      'search',
      'refused',
      `no entry under ${at ?? settings.base} matches ${userFilter(settings.user_filter, name)}`,
      'Check base, user_filter, and what the account that searches may read.',
    );
  if (searchEntries.length > 1)
    throw new LdapFailure(
      'search',
      'refused',
      `more than one entry matches: ${searchEntries.map((one) => one.dn).join(' and ')}`,
      'Make user_filter or base narrower: a name must be the name of one person.',
    );
  if ((Number(texts(entry, 'userAccountControl')[0] ?? 0) & ACCOUNTDISABLE) !== 0)
    throw new LdapFailure('search', 'refused', `the account ${entry.dn} is disabled`, 'Enable it in Active Directory.');
  const full = valueOf(entry, attributes.full_name);
  const email = valueOf(entry, attributes.email);
  return {
    dn: entry.dn,
    subject: subjectOf(entry, attributes.uuid),
    name: needed(entry, attributes.name, 'name', valueOf(entry, attributes.name)),
    ...(full === undefined ? {} : { full_name: full }),
    ...(email === undefined ? {} : { email }),
    entry,
  };
}

function subjectOf(entry: Entry, attribute: string): string {
  if (attribute === 'dn') return dnKey(entry.dn);
  if (attribute.toLowerCase() !== 'objectguid') return needed(entry, attribute, 'uuid', valueOf(entry, attribute));
  const bytes = buffers(entry, attribute)[0];
  return needed(entry, attribute, 'uuid', bytes?.length === 16 ? guid(bytes) : undefined);
}

function needed(entry: Entry, attribute: string, setting: string, value: string | undefined): string {
  if (value !== undefined) return value;
  throw new LdapFailure(
    'search',
    'settings',
    `${entry.dn} has no ${attribute}, or it may not be read`,
    `Set attributes.${setting} to an attribute that every person has, and let the account that searches read it.`,
  );
}

/** A GUID as Windows writes it: the first three groups are little-endian. */
function guid(bytes: Buffer): string {
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
  const hex = order.map((at) => bytes[at]!.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/**
 * The value of an attribute that names an entry. Of several values it is the one in the DN, which its
 * owner cannot add to; else the first in order of the alphabet, so that it is always the same.
 */
export function valueOf(entry: Entry, attribute: string): string | undefined {
  const values = texts(entry, attribute).map((one) => one.trim());
  if (values.length < 2) return values[0] === '' ? undefined : values[0];
  const own = values.find((one) => dnParts(`${attribute}=${escapeDn(one)}`)[0] === dnParts(entry.dn)[0]);
  return own ?? values.toSorted()[0];
}

/** The values of an attribute, whatever the case in which the server writes its name. */
export function texts(entry: Entry, attribute: string): string[] {
  return raw(entry, attribute).map((one) => (Buffer.isBuffer(one) ? one.toString('utf8') : one));
}

export function buffers(entry: Entry, attribute: string): Buffer[] {
  return raw(entry, attribute).map((one) => (Buffer.isBuffer(one) ? one : Buffer.from(one, 'utf8')));
}

function raw(entry: Entry, attribute: string): (string | Buffer)[] {
  const key = Object.keys(entry).find((one) => one.toLowerCase() === attribute.toLowerCase());
  return key === undefined ? [] : [entry[key]!].flat();
}
