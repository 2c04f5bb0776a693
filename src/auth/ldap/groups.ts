import { AndFilter, EqualityFilter, ExtensibleFilter, FilterParser, OrFilter, type Client, type Entry, type Filter } from 'ldapts';
import type { LdapSettings } from '../../kernel/config.ldap.ts';
import { buffers, texts, valueOf, type Found } from './entry.ts';
import { dnKey, isUnder } from './escape.ts';
import { code, codeOf, LdapFailure } from './failure.ts';

/** Active Directory follows membership through groups itself: LDAP_MATCHING_RULE_IN_CHAIN. */
const IN_CHAIN = '1.2.840.113556.1.4.1941';
/** Groups that one search asks about. */
const BATCH = 50;
const PAGE = 100;

export interface Group {
  readonly dn: string;
  readonly name: string | undefined;
}

/**
 * All groups of a person, also through other groups. Only groups below groups.base count, on the way too:
 * elsewhere in the tree, others may be free to make groups.
 */
export async function groupsOf(client: Client, settings: LdapSettings, person: Found): Promise<Group[]> {
  const found = new Map<string, Group>();
  const add = (entry: Entry): boolean => {
    const key = dnKey(entry.dn);
    if (found.has(key)) return false;
    if (found.size >= settings.groups.limit)
      throw new LdapFailure(
        'groups',
        'settings',
        `${person.dn} is in more than ${settings.groups.limit} groups`,
        'Make groups.base or groups.filter narrower, or set groups.limit.',
      );
    found.set(key, { dn: entry.dn, name: valueOf(entry, settings.groups.name) });
    return true;
  };
  if (settings.groups.search === 'chain') await byChain(client, settings, person, add);
  if (settings.groups.search === 'member') await byMember(client, settings, person, add);
  if (settings.groups.search === 'member_of') await byMemberOf(client, settings, person, add);
  return [...found.values()];
}

type Add = (entry: Entry) => boolean;

async function byChain(client: Client, settings: LdapSettings, person: Found, add: Add): Promise<void> {
  const of = (dn: string): Filter =>
    settings.groups.nested ? new ExtensibleFilter({ matchType: 'member', rule: IN_CHAIN, value: dn }) : new EqualityFilter({ attribute: 'member', value: dn });
  for await (const entry of search(client, settings, of(person.dn))) add(entry);
  /* The primary group ("Domain Users") has no member: it is a number in the person's entry. */
  const sid = buffers(person.entry, 'objectSid')[0];
  const primary = Number(texts(person.entry, 'primaryGroupID')[0]);
  if (sid === undefined || sid.length < 12 || !Number.isInteger(primary)) return;
  const group = Buffer.from(sid);
  group.writeUInt32LE(primary, group.length - 4);
  for await (const entry of search(client, settings, new EqualityFilter({ attribute: 'objectSid', value: group }))) {
    add(entry);
    if (settings.groups.nested) for await (const above of search(client, settings, of(entry.dn))) add(above);
  }
}

async function byMember(client: Client, settings: LdapSettings, person: Found, add: Add): Promise<void> {
  let members = [person.dn];
  for (let first = true; members.length > 0 && (first || settings.groups.nested); first = false) {
    const next: string[] = [];
    for (let at = 0; at < members.length; at += BATCH) {
      const batch = members.slice(at, at + BATCH);
      const filters = settings.groups.member.flatMap((attribute) => {
        /* Groups of POSIX accounts hold names and no groups. */
        const values = attribute.toLowerCase() === 'memberuid' ? (first ? [person.name] : []) : batch;
        return values.map((value) => new EqualityFilter({ attribute, value }));
      });
      if (filters.length === 0) continue;
      for await (const entry of search(client, settings, new OrFilter({ filters }))) if (add(entry)) next.push(entry.dn);
    }
    members = next;
  }
}

async function byMemberOf(client: Client, settings: LdapSettings, person: Found, add: Add): Promise<void> {
  const seen = new Set<string>();
  let waiting = texts(person.entry, 'memberOf');
  for (let first = true; waiting.length > 0 && (first || settings.groups.nested); first = false) {
    const next: string[] = [];
    for (const dn of waiting) {
      if (seen.has(dnKey(dn)) || !isUnder(dn, settings.groups.base)) continue;
      seen.add(dnKey(dn));
      for await (const entry of search(client, settings, undefined, dn)) if (add(entry)) next.push(...texts(entry, 'memberOf'));
    }
    waiting = next;
  }
}

/** Groups that match, page by page; without a filter the one at `base`. Referrals are left alone. */
async function* search(client: Client, settings: LdapSettings, filter: Filter | undefined, base = settings.groups.base): AsyncGenerator<Entry> {
  const filters = [...(filter ? [filter] : []), ...(settings.groups.filter === undefined ? [] : [FilterParser.parseString(settings.groups.filter)])];
  const pages = client.searchPaginated(base, {
    scope: filter === undefined ? 'base' : 'sub',
    ...(filters.length === 0 ? {} : { filter: filters.length === 1 ? filters[0]! : new AndFilter({ filters }) }),
    attributes: [...new Set([settings.groups.name, ...(settings.groups.search === 'member_of' ? ['memberOf'] : [])])],
    timeLimit: Math.ceil(settings.timeout),
    paged: { pageSize: PAGE },
  });
  try {
    for await (const page of pages) yield* page.searchEntries;
  } catch (error) {
    /* A group that has gone, or that may not be seen, gives nothing. */
    if (filter === undefined && codeOf(error) === code.noSuchObject) return;
    throw error;
  }
}
