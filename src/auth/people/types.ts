import type pg from 'pg';
import type { Directory } from '../directory.ts';
import type { Pause } from './alike.ts';

/** A pool, or a connection in a transaction. */
export type Queryable = Pick<pg.Pool, 'query'>;

/** The browser that asks. */
export interface Client {
  /** Its address; of a proxy that is not trusted, the proxy's. */
  readonly address: string;
  /** It reached us over TLS, be it through a proxy. */
  readonly secure: boolean;
  readonly agent: string | undefined;
  readonly requestId: string;
}

/** Asks a directory. @returns undefined when name or password are wrong */
export type LdapLogin = (name: string, password: string) => Promise<Directory | undefined>;

/** A login at an OpenID Connect provider. */
export interface OidcLogin {
  /** What its button says. */
  readonly label: string;
  /** @param next the page that is wanted @returns where to go, and what a cookie carries @throws Problem directory-failed */
  start(next: string): Promise<{ readonly url: string; readonly cookie: string }>;
  /**
   * @param cookie what `start` gave
   * @param url that the browser came back with
   * @returns also what a cookie carries for `logout`, sealed
   * @throws Problem login-failed, directory-failed
   */
  finish(cookie: string | undefined, url: string): Promise<{ readonly directory: Directory; readonly next: string; readonly hint?: string | undefined }>;
  /** @param hint what `finish` gave @returns where the login at the provider ends; undefined: it offers that not, or cannot be asked */
  logout(hint: string | undefined): Promise<string | undefined>;
}

export type LoginEventKind =
  | 'login'
  | 'login_refused'
  | 'logout'
  | 'session_ended'
  | 'person_made'
  | 'password_set'
  | 'password_refused'
  | 'second_factor_set'
  | 'second_factor_removed'
  | 'second_factor_refused'
  | 'recovery_codes_made'
  | 'recovery_code_used'
  | 'link_made'
  | 'link_used'
  | 'link_refused';

/** What the audit log is told. Never holds a password, a code, a cookie or a link. */
export interface LoginEvent {
  readonly kind: LoginEventKind;
  /** Of the person that it is about, as far as one is known. */
  readonly person?: number | undefined;
  /** The person's name, or the one that was tried. */
  readonly name?: string | undefined;
  /** Who did it, where that is another: an admin. */
  readonly actor?: string | undefined;
  readonly address?: string | undefined;
  readonly requestId?: string | undefined;
  /** Of a session: its uuid. */
  readonly session?: string | undefined;
  readonly reason?: string | undefined;
}

export type LoginAudit = (db: Queryable, event: LoginEvent) => Promise<void>;

/** How people log in. */
export interface LoginSettings {
  /** Seconds without a request after which a session ends. */
  readonly idle: number;
  /** Seconds after which it ends in any case. */
  readonly length: number;
  /** Milliseconds after which a login is refused; REFUSE_AFTER when left out. */
  readonly refuseAfter?: number | undefined;
  readonly pause?: Pause | undefined;
  /** Who must give a second factor; those who have one set up always do. */
  readonly secondFactor: 'optional' | 'admins' | 'everyone';
  readonly ldap?: LdapLogin | undefined;
  readonly oidc?: OidcLogin | undefined;
  readonly audit?: LoginAudit | undefined;
  /** Roles may ask for a second factor too. */
  readonly needsFactor?: ((person: { readonly id: number; readonly admin: boolean }) => Promise<boolean>) | undefined;
}
