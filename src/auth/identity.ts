import type pg from 'pg';
import { Problem } from '../kernel/problem.ts';
import { Rights, type Grant } from '../db/rights.ts';
import { hashToken } from '../modules/control/token.verbs.ts';
import { actsOn, builtInRoles, includes } from './roles.ts';

/** Who asks. */
export interface Identity {
  /** A person who logged in, or the kind of a token. */
  readonly kind: 'person' | 'admin' | 'reader' | 'node' | 'server' | 'program';
  /** The person's or the token's name: the actor of changes. */
  readonly name: string;
  /** `person:7`, `token:3`: for limits and the audit log. */
  readonly subject: string;
  /** Of a node token: the node's name. */
  readonly node: string | null;
  /** What it may do, and where. */
  readonly rights: Rights;
  /** Of a person who logged in: the session. */
  readonly session?: number;
}

/** Cookie in which a browser keeps a token: not readable by script, not sent from other sites. */
export const COOKIE = 'corral_token';

/** The token of a request: `Authorization: Bearer`, or the cookie of the login page. */
export function tokenOf(authorization: string | null | undefined, cookie: string | null | undefined): string | undefined {
  const bearer = /^Bearer +([\x21-\x7e]{1,300})$/i.exec(authorization ?? '')?.[1];
  if (bearer !== undefined) return bearer;
  if (authorization) return undefined;
  return new RegExp(`(?:^|;\\s*)${COOKIE}=([A-Za-z0-9_-]{1,300})`).exec(cookie ?? '')?.[1];
}

/** The kinds of tokens. */
export type TokenKind = Exclude<Identity['kind'], 'person'>;

export interface TokenRow {
  readonly id: number;
  readonly scopes: readonly string[];
  readonly admin: boolean | null;
  readonly kind: TokenKind;
  readonly name: string;
  readonly node: string | null;
  readonly bindings: readonly BindingRow[] | null;
}

/** A binding as `bindingsSql` gives it. */
export interface BindingRow {
  readonly role: string;
  /** Of a role that is not built in. */
  readonly permissions: readonly string[] | null;
  readonly site: number | null;
  readonly customer: number | null;
  readonly project: number | null;
}

/** SQL of the bindings `b` that hold under a condition, as JSON; null when there are none. */
export const bindingsSql = (condition: string): string => `(select json_agg(json_build_object('role', b.role, 'permissions', r.permissions,
  'site', b.site_id, 'customer', b.customer_id, 'project', b.project_id) order by b.id) from binding b left join role r on r.name = b.role where ${condition})`;

/**
 * Looks a token up; asked anew for each request, so that a deleted token is refused at once everywhere.
 * @throws Problem no-token, bad-token
 */
export async function authenticate(pool: pg.Pool, token: string | undefined, address?: string): Promise<Identity> {
  if (token === undefined) throw noToken();
  const { rows } = await pool.query<TokenRow>({
    name: 'authenticate',
    text: `select t.id::float8 as id, t.kind, t.name, n.fqdn as node, ${TOKEN_COLUMNS}
      from token t left join node n on n.id = t.node_id where t.id = token_of($1) and ${goodFrom('$2')}`,
    values: [hashToken(token), plainAddress(address)],
  });
  const row = rows[0];
  if (!row) throw badToken();
  noteUse(pool, row.id, row.kind, address);
  return tokenIdentity(row);
}

/** SQL of what a token `t` may do. */
export const TOKEN_COLUMNS = `t.scopes, (select p.admin from person p where p.id = t.person_id) as admin,
  case when t.kind = 'program' then ${bindingsSql('b.token_id = t.id or b.person_id = t.person_id or b.directory_group in (select g.name from person_group g where g.person_id = t.person_id)')} end as bindings`;

/** SQL that a token `t` is still good, and used from where it may be; a process that does not know the address says null. */
export const goodFrom = (
  address: string,
): string => `(t.expires_at is null or t.expires_at > now()) and (t.sources = '{}' or ${address}::inet <<= any (t.sources))
  and not exists (select from person p where p.id = t.person_id and p.state <> 'active')`;

/** An IPv4 address in its own form, also where the socket takes both. */
export function plainAddress(address: string | undefined): string | null {
  return address?.replace(/^::ffff:(?=\d+\.)/, '').replace(/%.*$/, '') || null;
}

/** Seconds between two notes of a token's use. */
const NOTE_EVERY = 60;
const noted = new Map<number, number>();

/** Notes that a token was used, once a minute; nodes say more with their reports. */
export function noteUse(pool: pg.Pool, id: number, kind: TokenKind, address: string | undefined): void {
  if (kind === 'node') return;
  const now = performance.now();
  if (now - (noted.get(id) ?? Number.NEGATIVE_INFINITY) < NOTE_EVERY * 1000) return;
  if (noted.size >= KNOWN) noted.clear();
  noted.set(id, now);
  pool
    .query({
      name: 'note_use',
      text: `update token set last_used_at = now(), last_used_from = $2 where id = $1 and (last_used_at is null or last_used_at < now() - $3 * interval '1 second')`,
      values: [id, plainAddress(address), NOTE_EVERY],
    })
    /* It is noted the next time. */
    .catch(() => noted.delete(id));
}

const grantOf = (permissions: readonly string[], where?: Grant['where']): Grant => ({
  has: (wanted) => includes(permissions, wanted),
  acts: (action) => actsOn(permissions, action),
  where,
});
const everywhere = (permissions: readonly string[]): readonly Grant[] => [grantOf(permissions)];

/** What the kinds of tokens may do without any binding. */
const byKind: Readonly<Record<TokenKind, readonly Grant[]>> = {
  admin: everywhere(builtInRoles['admin']!.permissions),
  reader: everywhere(builtInRoles['reader']!.permissions),
  server: everywhere(builtInRoles['server']!.permissions),
  /* A node reads and reports for itself alone: see `allow` and `nodeOf`. */
  node: [],
  program: [],
};

/** Rights of tokens without bindings, which need not be made anew for each request. */
const known = new Map<string, Rights>();
const KNOWN = 10_000;

/** The identity of a token. */
export function tokenIdentity({ id, kind, name, node, scopes, admin, bindings }: TokenRow): Identity {
  const key = JSON.stringify([kind, name, bindings, scopes, admin]);
  let rights = known.get(key);
  if (!rights) {
    if (known.size >= KNOWN) known.clear();
    const grants = [...byKind[kind], ...(admin ? byKind.admin : []), ...grantsOf(bindings ?? [])];
    rights = new Rights(`The token '${name}'`, scopes.length === 0 ? grants : grants.map((grant) => within(grant, scopes)));
    known.set(key, rights);
  }
  return { kind, name, subject: `token:${id}`, node, rights };
}

/** A grant without all that no scope names. */
function within(grant: Grant, scopes: readonly string[]): Grant {
  return { ...grant, has: (wanted) => grant.has(wanted) && includes(scopes, wanted), acts: (action) => grant.acts(action) && actsOn(scopes, action) };
}

/** The bindings of a person: their own, and those of the directory groups that they are in. */
export async function bindingsOfPerson(pool: Pick<pg.Pool, 'query'>, id: number): Promise<readonly BindingRow[]> {
  const { rows } = await pool.query<{ bindings: readonly BindingRow[] | null }>({
    name: 'bindings_of_person',
    text: `select ${bindingsSql('b.person_id = $1 or b.directory_group in (select g.name from person_group g where g.person_id = $1)')} as bindings`,
    values: [id],
  });
  return rows[0]!.bindings ?? [];
}

/** The identity of a person who logged in. */
export function personIdentity(
  person: { readonly id: number; readonly name: string; readonly admin: boolean; readonly session: number },
  bindings: readonly BindingRow[],
): Identity {
  const key = JSON.stringify(['person', person.name, person.admin, bindings]);
  let rights = known.get(key);
  if (!rights) {
    if (known.size >= KNOWN) known.clear();
    rights = new Rights(person.name, [...(person.admin ? byKind.admin : []), ...grantsOf(bindings)]);
    known.set(key, rights);
  }
  return { kind: 'person', name: person.name, subject: `person:${person.id}`, node: null, rights, session: person.session };
}

/** A role that is gone gives nothing. */
function grantsOf(bindings: readonly BindingRow[]): Grant[] {
  return bindings.map(({ role, permissions, site, customer, project }) => {
    const list = builtInRoles[role]?.permissions ?? permissions ?? [];
    const where =
      site !== null
        ? ({ place: 'site', id: site } as const)
        : customer !== null
          ? ({ place: 'customer', id: customer } as const)
          : project !== null
            ? ({ place: 'project', id: project } as const)
            : undefined;
    return grantOf(list, where);
  });
}

export const noToken = (): Problem => new Problem('no-token', 'Send Authorization: Bearer and a token, or log in at /login');
export const badToken = (): Problem => new Problem('bad-token', 'This token is not known here; it may have been deleted, or belong to another Corral');

/** What a route that is no noun's asks for: any reading or writing, reports of a node, the documents of all, or a permission. */
export type Verb = 'read' | 'write' | 'report' | 'documents' | `${string}:${string}`;

/**
 * Refuses who may not.
 * @param node of a report: whom it is about
 * @throws Problem forbidden
 */
export function allow(identity: Identity, verb: Verb, node?: string): void {
  const { rights } = identity;
  if (identity.kind === 'node') {
    if (verb === 'report' && (node === undefined || node === identity.node)) return;
    throw new Problem('forbidden', `${rights.who} may only read the documents of ${identity.node} and report for it`);
  }
  if (verb === 'read' || verb === 'write') {
    if (verb === 'read' ? rights.reads : rights.writes) return;
    throw new Problem('forbidden', `${rights.who} may not ${verb} anything here`, { extra: { permission: verb === 'read' ? '*:read' : '*:update' } });
  }
  rights.demand(verb === 'report' ? 'report:create' : verb === 'documents' ? 'document:read' : verb, { everywhere: true });
}
