import { sql } from 'kysely';
import type pg from 'pg';
import { insertRow } from '../../db/write.ts';
import { transaction, withOrigin, type Store } from '../../db/transaction.ts';
import { Problem } from '../../kernel/problem.ts';
import { readLink, useLink, type LinkOf } from '../../modules/people/person.verbs.ts';
import type { Directory } from '../directory.ts';
import { refuseAlike } from './alike.ts';
import { personOfDirectory, type FoundPerson } from './directory.ts';
import { beginTotp, begunTotp, confirmTotp, hasFactor, takeCode } from './factors.ts';
import { checkPassword, demandPassword, hashPassword } from './passwords.ts';
import { endByCookie, endSessions, openSession, personPending, rotateSession, type LoggedIn, type Opened } from './sessions.ts';
import { attempt } from './throttle.ts';
import type { Client, LoginEvent, LoginSettings } from './types.ts';

export const defaults: LoginSettings = { idle: 1800, length: 43_200, secondFactor: 'optional' };

/** A login that was right. */
export interface LoggingIn extends Opened {
  /** The second factor is still missing. */
  readonly pending: boolean;
}

interface LocalRow extends FoundPerson {
  readonly source: string;
  readonly password: string | null;
}

/** One sentence for all that may be wrong, so that nobody learns which names there are. */
const refused = (): Problem => new Problem('bad-login', 'Name and password do not belong together, or the account may not be used');

/** When attempts that came too early were last told of, by whose they were: a flood of them must not fill the audit log. */
const toldAt = new Map<string, number>();
const TELL_EVERY = 60_000;
const TOLD = 10_000;

function firstOf(key: string): boolean {
  const now = performance.now();
  if (now - (toldAt.get(key) ?? -Infinity) < TELL_EVERY) return false;
  if (toldAt.size >= TOLD) toldAt.clear();
  toldAt.set(key, now);
  return true;
}

/** Logging in: what the pages and nothing else do. */
export class Logins {
  readonly pool: pg.Pool;
  readonly store: Store;
  readonly settings: LoginSettings;

  constructor(store: Store, pool: pg.Pool, settings: LoginSettings = defaults) {
    this.store = store;
    this.pool = pool;
    this.settings = settings;
  }

  /** Tells the audit log. */
  async tell(client: Client | undefined, event: LoginEvent): Promise<void> {
    await this.settings.audit?.(this.pool, { address: client?.address, requestId: client?.requestId, ...event });
  }

  /**
   * Name and password: of a local person, else of the LDAP directory. All refusals take alike.
   * @param replaced the session cookie that the browser had
   * @throws Problem bad-login, too-many-attempts, unavailable
   */
  async withPassword(given: string, password: string, client: Client, replaced: string | undefined): Promise<LoggingIn> {
    return refuseAlike(() => this.#withPassword(given, password, client, replaced), this.settings.refuseAfter, this.settings.pause);
  }

  async #withPassword(given: string, password: string, client: Client, replaced: string | undefined): Promise<LoggingIn> {
    const name = given.trim().toLowerCase().slice(0, 200);
    const trying = await this.#attempt('name', name, client);
    const { rows } = await this.pool.query<LocalRow>(
      `select p.id::float8 as id, p.name, p.admin, p.state, p.source, s.password from person p left join person_secret s on s.person_id = p.id where p.name = $1`,
      [name],
    );
    const [row] = rows;
    const local = row?.source === 'local' ? row : undefined;
    const atDirectory = !local && (row === undefined || row.source === 'ldap') && password !== '' ? this.settings.ldap : undefined;
    /* A hash is made for whoever it is: the work is much the same, and `refuseAlike` covers what is not. */
    const [checked, directory] = await Promise.all([
      checkPassword(password.slice(0, 1000), local?.password),
      atDirectory?.(name, password).catch((error: unknown) => ({ error })),
    ]);
    if (directory && 'error' in directory) {
      await this.tell(client, { kind: 'login_refused', name, reason: 'the directory cannot be asked' });
      throw directory.error;
    }
    const person = local ? (checked.right ? local : undefined) : directory && (await this.#ofDirectory(directory, client));
    if (!person || person.state !== 'active') {
      const reason = person ? 'disabled' : row ? 'wrong password' : 'no such person';
      await this.tell(client, { kind: 'login_refused', person: row?.id, name, reason });
      throw refused();
    }
    if (checked.stale) await this.#rehash(person.id, local!.password!, password);
    const opened = await this.#open(person, local ? 'password' : 'ldap', client, replaced);
    await trying.succeeded(!opened.pending);
    return opened;
  }

  /** Somebody who comes back from the OpenID Connect provider. @throws Problem bad-login, conflict */
  async withDirectory(directory: Directory, client: Client, replaced: string | undefined): Promise<LoggingIn> {
    const person = await this.#ofDirectory(directory, client);
    if (person.state !== 'active') {
      await this.tell(client, { kind: 'login_refused', person: person.id, name: person.name, reason: 'disabled' });
      throw refused();
    }
    return this.#open(person, directory.source, client, replaced);
  }

  /**
   * The second factor of somebody who has given the first.
   * @throws Problem bad-login, too-many-attempts
   */
  async withCode(cookie: string | undefined, code: string, client: Client): Promise<Opened> {
    const person = await this.pending(cookie);
    const { taken, trying } = await this.#code(person, code, client);
    const opened = await this.#complete(person, cookie!, taken, client);
    await trying.succeeded(true);
    return opened;
  }

  /** Who has given the first factor only. @throws Problem bad-login when that is too long ago */
  async pending(cookie: string | undefined): Promise<LoggedIn> {
    const person = await personPending(this.pool, cookie);
    if (!person) throw new Problem('bad-login', 'That took too long; log in again');
    return person;
  }

  /** The secret that somebody sets up who must have a second factor and has none; undefined: they have one. */
  async enrolment(person: LoggedIn): Promise<string | undefined> {
    if (await hasFactor(this.pool, person.id)) return undefined;
    return (await begunTotp(this.pool, this.store.secrets, person.id)) ?? beginTotp(this.pool, this.store.secrets, person.id);
  }

  /** The first code of an app that had to be set up to log in. @returns the recovery codes too */
  async withFirstCode(cookie: string | undefined, code: string, client: Client): Promise<{ opened: Opened; codes: string[] }> {
    const person = await this.pending(cookie);
    if (await hasFactor(this.pool, person.id)) throw new Problem('bad-login', 'A second factor is set up already; log in with it');
    const trying = await this.#attempt('factor', person.name, client);
    const codes = await confirmTotp(this.pool, this.store.secrets, person.id, code);
    if (!codes) throw new Problem('bad-login', 'This code is wrong; take the next one that the app shows, and see that the clock of the phone is right');
    await this.tell(client, { kind: 'second_factor_set', person: person.id, name: person.name });
    const opened = await this.#complete(person, cookie!, 'totp', client);
    await trying.succeeded(true);
    return { opened, codes };
  }

  /** Whom a link is for. @throws Problem gone */
  async link(link: string): Promise<LinkOf> {
    return readLink(this.store.orm.em.fork().getKysely() as never, link);
  }

  /**
   * Sets the password that a link allows to set, once, and makes the first person with the first link. All sessions
   * of the person end; the second factor stays.
   * @throws Problem gone, invalid
   */
  async withLink(
    link: string,
    given: { readonly name: string; readonly fullName: string; readonly password: string; readonly repeated: string },
    client: Client,
    replaced: string | undefined,
  ): Promise<LoggingIn> {
    const seen = await this.link(link).catch(async (problem: unknown) => {
      await this.tell(client, { kind: 'link_refused' });
      throw problem;
    });
    const name = seen.name ?? given.name.trim().toLowerCase();
    demandPassword(given.password, given.repeated, { name, fullName: seen.full_name ?? given.fullName, email: seen.email });
    const hash = await hashPassword(given.password);
    const model = this.store.catalog.byNoun('person');
    const person = await transaction(
      withOrigin(this.store, { actor: name, requestId: client.requestId, message: seen.person === null ? 'The first person' : undefined }),
      async (tx) => {
        const of = await useLink(tx, link);
        const fullName = given.fullName.trim();
        const id = of.person ?? (await insertRow(tx, model, { name, admin: true, ...(fullName === '' ? {} : { full_name: fullName }) })).id;
        /* What was made for the new person along the way; this link did its work. */
        await sql`delete from login_link where person_id = ${id} and used_at is null`.execute(tx.db);
        await sql`insert into person_secret (person_id, password, password_at) values (${id}, ${hash}, now())
          on conflict (person_id) do update set password = excluded.password, password_at = excluded.password_at`.execute(tx.db);
        await sql`delete from session where person_id = ${id}`.execute(tx.db);
        const { rows } = await sql<FoundPerson>`select id::float8 as id, name, admin, state, false as made from person where id = ${id}`.execute(tx.db);
        return rows[0]!;
      },
      { model },
    );
    await this.tell(client, { kind: 'link_used', person: person.id, name: person.name });
    await this.tell(client, { kind: 'password_set', person: person.id, name: person.name });
    return this.#open(person, 'password', client, replaced);
  }

  /** Changes one's own password; every other session ends. @throws Problem bad-login, invalid, too-many-attempts */
  async changePassword(
    person: LoggedIn,
    given: { readonly current: string; readonly password: string; readonly repeated: string },
    client: Client,
  ): Promise<void> {
    await this.confirm(person, given.current, client);
    const { rows } = await this.pool.query<{ full_name: string | null; email: string | null }>('select full_name, email from person where id = $1', [
      person.id,
    ]);
    demandPassword(given.password, given.repeated, { name: person.name, fullName: rows[0]?.full_name ?? null, email: rows[0]?.email ?? null });
    await this.pool.query('update person_secret set password = $2, password_at = now() where person_id = $1', [person.id, await hashPassword(given.password)]);
    await this.pool.query('delete from login_link where person_id = $1 and used_at is null', [person.id]);
    await this.tell(client, { kind: 'password_set', person: person.id, name: person.name });
    await this.endOthers(person, client, 'the password was changed');
  }

  /** Has somebody who is logged in give the password again. Persons of directories have none here. @throws Problem bad-login, too-many-attempts */
  async confirm(person: LoggedIn, password: string, client: Client): Promise<void> {
    const { rows } = await this.pool.query<{ password: string | null }>(
      `select s.password from person p left join person_secret s on s.person_id = p.id where p.id = $1 and p.source = 'local'`,
      [person.id],
    );
    if (!rows[0]) return;
    const trying = await this.#attempt('name', person.name, client);
    if (!(await checkPassword(password.slice(0, 1000), rows[0].password)).right) {
      await this.tell(client, { kind: 'password_refused', person: person.id, name: person.name });
      throw new Problem('bad-login', 'This is not your password');
    }
    await trying.succeeded(true);
  }

  /** Takes a code of the second factor, or of recovery. @throws Problem bad-login, too-many-attempts */
  async #code(person: LoggedIn, code: string, client: Client): Promise<{ taken: 'totp' | 'recovery'; trying: Awaited<ReturnType<typeof attempt>> }> {
    const trying = await this.#attempt('factor', person.name, client);
    const taken = await takeCode(this.pool, this.store.secrets, person.id, code);
    if (taken === undefined) {
      await this.tell(client, { kind: 'second_factor_refused', person: person.id, name: person.name });
      throw new Problem('bad-login', 'This code is wrong, has ended, or was used already; take the next one that the app shows');
    }
    if (taken === 'recovery') await this.tell(client, { kind: 'recovery_code_used', person: person.id, name: person.name });
    return { taken, trying };
  }

  /** Has somebody who is logged in give a code. @throws Problem bad-login, too-many-attempts */
  async confirmCode(person: LoggedIn, code: string, client: Client): Promise<void> {
    const { trying } = await this.#code(person, code, client);
    await trying.succeeded(true);
  }

  /** Ends all sessions of a person but this one. */
  async endOthers(person: LoggedIn, client: Client, reason: string): Promise<number> {
    const ended = await endSessions(this.pool, person.id, person.session);
    for (const { uuid } of ended) await this.tell(client, { kind: 'session_ended', person: person.id, name: person.name, session: uuid, reason });
    return ended.length;
  }

  /** @returns what had been proved in the session */
  async logout(cookie: string, client: Client): Promise<readonly string[]> {
    const ended = await endByCookie(this.pool, cookie);
    if (ended) await this.tell(client, { kind: 'logout', person: ended.person, name: ended.name, session: ended.uuid });
    return ended?.factors ?? [];
  }

  /** Whether a person must have a second factor. The provider of OpenID Connect asks for its own. */
  async mustHaveFactor(person: { readonly id: number; readonly admin: boolean }, factors: readonly string[]): Promise<boolean> {
    const { secondFactor, needsFactor } = this.settings;
    if (factors.includes('oidc')) return false;
    return secondFactor === 'everyone' || (secondFactor === 'admins' && person.admin) || ((await needsFactor?.(person)) ?? false);
  }

  async #attempt(kind: 'name' | 'factor', name: string, client: Client): ReturnType<typeof attempt> {
    try {
      return await attempt(this.pool, kind, name, client.address);
    } catch (error) {
      if (error instanceof Problem && firstOf(`${kind} ${name} ${client.address}`))
        await this.tell(client, { kind: kind === 'name' ? 'login_refused' : 'second_factor_refused', name, reason: 'too many attempts' });
      throw error;
    }
  }

  async #ofDirectory(directory: Directory, client: Client): Promise<FoundPerson> {
    const person = await personOfDirectory(this.store, this.pool, directory).catch(async (problem: unknown) => {
      await this.tell(client, { kind: 'login_refused', name: directory.name, reason: problem instanceof Problem ? problem.message : 'failed' });
      throw problem;
    });
    if (person.made) await this.tell(client, { kind: 'person_made', person: person.id, name: person.name, reason: directory.source });
    return person;
  }

  async #open(person: FoundPerson, factor: string, client: Client, replaced: string | undefined): Promise<LoggingIn> {
    const pending = (await hasFactor(this.pool, person.id)) || (await this.mustHaveFactor(person, [factor]));
    const opened = await openSession(this.pool, person.id, [factor], { client, settings: this.settings, pending, replaced });
    if (!pending) await this.#loggedIn(person, opened, client);
    return { ...opened, pending };
  }

  async #complete(person: LoggedIn, cookie: string, factor: string, client: Client): Promise<Opened> {
    const opened = await rotateSession(this.pool, cookie, factor, { client, settings: this.settings });
    if (!opened) throw new Problem('bad-login', 'That took too long; log in again');
    await this.#loggedIn(person, opened, client);
    return opened;
  }

  async #loggedIn(person: { readonly id: number; readonly name: string }, opened: Opened, client: Client): Promise<void> {
    await this.pool.query('update person set last_login = now() where id = $1', [person.id]);
    await this.tell(client, { kind: 'login', person: person.id, name: person.name, session: opened.uuid });
  }

  /** Hashes a password with the parameters of today, unless it was changed meanwhile. */
  async #rehash(person: number, before: string, password: string): Promise<void> {
    await this.pool.query('update person_secret set password = $3 where person_id = $1 and password = $2', [person, before, await hashPassword(password)]);
  }
}
