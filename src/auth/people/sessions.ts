import { createHash, randomBytes } from 'node:crypto';
import type pg from 'pg';
import type { Client, LoginSettings, Queryable } from './types.ts';

/**
 * The cookie. Over TLS it has the prefix `__Host-`, with which browsers take it from this very host only, for all
 * paths, and Secure. Lax, not Strict: the page after a login at an OpenID Connect provider is reached from the
 * provider's page, and Strict would show the login page again. Writes are refused by where they come from.
 */
export const PLAIN = 'corral_session';
export const HOST = `__Host-${PLAIN}`;
/** Seconds in which the second factor must be given, or set up. */
export const PENDING = 600;
/** Sessions that one person may have; the oldest end. */
const MOST = 50;

/** Name and value are hashed together: a session that began over TLS is none under the other name, which neighbours may set. */
export function hashSession(name: string, value: string): Buffer {
  return createHash('sha256').update(`${name}=${value}`).digest();
}

/** The session cookie of a request, as `name=value`. */
export function sessionCookie(cookie: string | null | undefined): string | undefined {
  const of = (name: string): string | undefined => new RegExp(`(?:^|;\\s*)(${name}=[A-Za-z0-9_-]{43})(?:;|\\s*$)`).exec(cookie ?? '')?.[1];
  return of(HOST) ?? of(PLAIN);
}

const hashOf = (cookie: string): Buffer => createHash('sha256').update(cookie).digest();

/** Somebody who is logged in. */
export interface LoggedIn {
  readonly id: number;
  readonly name: string;
  readonly admin: boolean;
  /** Id of the session. */
  readonly session: number;
  /** What was proved: password, ldap or oidc; totp or recovery. */
  readonly factors: readonly string[];
}

const FIND = (
  pending: boolean,
): string => `select p.id::float8 as id, p.name, p.admin, s.id::float8 as session, s.factors, s.seen_at < now() - interval '1 minute' as old
  from session s join person p on p.id = s.person_id where s.hash = $1 and ${pending ? '' : 'not '}s.pending and s.ends_at > now()
  and s.seen_at > now() - make_interval(secs => s.idle) and p.state = 'active'`;

async function find(pool: Queryable, cookie: string | undefined, pending: boolean): Promise<(LoggedIn & { old: boolean }) | undefined> {
  if (cookie === undefined) return undefined;
  const { rows } = await pool.query<LoggedIn & { old: boolean }>({
    name: `session_${pending ? 'pending' : 'person'}`,
    text: FIND(pending),
    values: [hashOf(cookie)],
  });
  return rows[0];
}

/**
 * Who is logged in with a session cookie; asked anew for each request, so that one that was ended is refused at once everywhere.
 * @param cookie what `sessionCookie` found
 * @param used it is a request of the person, which keeps the session from its idle end
 */
export async function personOfSession(pool: Queryable, cookie: string | undefined, used = true): Promise<LoggedIn | undefined> {
  const found = await find(pool, cookie, false);
  if (!found) return undefined;
  const { old, ...person } = found;
  /* Not waited for: it is no reason to be late, or to fail. */
  if (old && used)
    pool.query(`update session set seen_at = now() where id = $1 and seen_at < now() - interval '1 minute'`, [person.session]).catch(() => undefined);
  return person;
}

/** Who has given the first factor, and has yet to give or set up the second. */
export async function personPending(pool: Queryable, cookie: string | undefined): Promise<LoggedIn | undefined> {
  const found = await find(pool, cookie, true);
  return found && { id: found.id, name: found.name, admin: found.admin, session: found.session, factors: found.factors };
}

/** A new cookie. */
function fresh(client: Client): { name: string; value: string; hash: Buffer } {
  const name = client.secure ? HOST : PLAIN;
  const value = randomBytes(32).toString('base64url');
  return { name, value, hash: hashSession(name, value) };
}

export interface Opened {
  readonly cookie: { readonly name: string; readonly value: string };
  readonly id: number;
  readonly uuid: string;
}

/**
 * Opens a session, in place of the one that the browser had.
 * @param replaced the cookie that came with the request
 */
export async function openSession(
  db: Queryable,
  person: number,
  factors: readonly string[],
  { client, settings, pending, replaced }: { client: Client; settings: Pick<LoginSettings, 'idle' | 'length'>; pending: boolean; replaced: string | undefined },
): Promise<Opened> {
  const { name, value, hash } = fresh(client);
  if (replaced !== undefined) await db.query('delete from session where hash = $1', [hashOf(replaced)]);
  const { rows } = await db.query<{ id: string; uuid: string }>(
    `insert into session (hash, person_id, idle, ends_at, address, agent, factors, pending)
      values ($1, $2, $3, now() + make_interval(secs => $4), $5, $6, $7, $8) returning id, uuid`,
    [
      hash,
      person,
      pending ? PENDING : settings.idle,
      pending ? PENDING : settings.length,
      client.address,
      client.agent?.replaceAll('\0', '').slice(0, 300) ?? null,
      factors,
      pending,
    ],
  );
  await db.query('delete from session where id in (select id from session where person_id = $1 order by id desc offset $2)', [person, MOST]);
  return { cookie: { name, value }, id: Number(rows[0]!.id), uuid: rows[0]!.uuid };
}

/**
 * Gives a session another cookie, because more was proved.
 * @returns undefined when it is gone, or another request was quicker
 */
export async function rotateSession(
  db: Queryable,
  cookie: string,
  factor: string,
  { client, settings }: { client: Client; settings: Pick<LoginSettings, 'idle' | 'length'> },
): Promise<Opened | undefined> {
  const { name, value, hash } = fresh(client);
  const { rows } = await db.query<{ id: string; uuid: string }>(
    `update session set hash = $2, factors = array_append(array_remove(factors, $3), $3), seen_at = now(),
      idle = $4, ends_at = case when pending then now() + make_interval(secs => $5) else ends_at end, pending = false
      where hash = $1 and ends_at > now() returning id, uuid`,
    [hashOf(cookie), hash, factor, settings.idle, settings.length],
  );
  return rows[0] && { cookie: { name, value }, id: Number(rows[0].id), uuid: rows[0].uuid };
}

/** What ended. */
export interface Ended {
  readonly uuid: string;
  readonly person: number;
  readonly name: string;
}

const ENDED = 'using person p where p.id = s.person_id';
const GIVEN = 'returning s.uuid, p.id::float8 as person, p.name';

/** Logging out: the session of this cookie. */
export async function endByCookie(db: Queryable, cookie: string): Promise<(Ended & Pick<LoggedIn, 'factors'>) | undefined> {
  const { rows } = await db.query<Ended & Pick<LoggedIn, 'factors'>>(`delete from session s ${ENDED} and s.hash = $1 ${GIVEN}, s.factors`, [hashOf(cookie)]);
  return rows[0];
}

/** The session of a uuid; only if it is this person's, where one is given. */
export async function endByUuid(db: Queryable, uuid: string, person?: number): Promise<Ended | undefined> {
  if (!/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(uuid)) return undefined;
  return (await db.query<Ended>(`delete from session s ${ENDED} and s.uuid = $1 and ($2::bigint is null or p.id = $2) ${GIVEN}`, [uuid, person ?? null]))
    .rows[0];
}

/** All sessions of a person, but one. */
export async function endSessions(db: Queryable, person: number, except?: number): Promise<Ended[]> {
  return (await db.query<Ended>(`delete from session s ${ENDED} and p.id = $1 and s.id is distinct from $2 ${GIVEN}`, [person, except ?? null])).rows;
}

/** A session as its owner sees it. */
export interface SessionRow {
  readonly id: number;
  readonly uuid: string;
  readonly created_at: Date;
  readonly seen_at: Date;
  readonly ends_at: Date;
  readonly address: string | null;
  readonly agent: string | null;
  readonly factors: readonly string[];
}

/** The sessions of a person that are alive, the newest first. */
export async function sessionsOf(db: Queryable, person: number): Promise<SessionRow[]> {
  const { rows } = await db.query<SessionRow>(
    `select id::float8 as id, uuid, created_at, seen_at, ends_at, address, agent, factors from session
      where person_id = $1 and not pending and ends_at > now() and seen_at > now() - make_interval(secs => idle) order by id desc`,
    [person],
  );
  return rows;
}

/** How often what has ended is swept away, in milliseconds. */
const SWEEPING = 3_600_000;

/** Drops sessions and links that have ended, and counts that are old, now and every hour. @returns what ends it */
export function sweepLogins(pool: pg.Pool, warn: (message: string, error: unknown) => void): () => void {
  const sweep = async (): Promise<void> => {
    try {
      await pool.query(`delete from session where ends_at < now() or seen_at < now() - make_interval(secs => idle)`);
      await pool.query(`delete from login_link where ends_at < now() - interval '7 days'`);
      await pool.query(`delete from login_throttle where at < now() - case when key like 'known:%' then interval '90 days' else interval '1 day' end`);
    } catch (error) {
      warn('old sessions cannot be dropped; it is tried again in an hour', error);
    }
  };
  void sweep();
  const timer = setInterval(() => void sweep(), SWEEPING);
  timer.unref();
  return () => clearInterval(timer);
}
