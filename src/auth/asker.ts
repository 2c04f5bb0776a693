import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type pg from 'pg';
import type { Proxies } from '../kernel/proxy.ts';
import type { ClientCertificates } from './certificates.ts';
import { authenticate, bindingsOfPerson, personIdentity, tokenOf, type Identity } from './identity.ts';
import { personOfSession, sessionCookie } from './people/sessions.ts';

/** The cookie of a session, as `name=value`; a token in Authorization counts alone. */
export function sessionOf({ authorization, cookie }: Pick<IncomingHttpHeaders, 'authorization' | 'cookie'>): string | undefined {
  return authorization !== undefined || cookie === undefined ? undefined : sessionCookie(cookie);
}

/**
 * Who is logged in with a session.
 * @param again a stream that goes on asks whether it still may: that is no use that keeps the session from its idle end
 */
export async function personOf(pool: pg.Pool, session: string | undefined, again = false): Promise<Identity | undefined> {
  const person = await personOfSession(pool, session, !again);
  return person && personIdentity(person, await bindingsOfPerson(pool, person.id));
}

/** What a request shows to say who asks. */
export interface Shown {
  readonly session: string | undefined;
  readonly token: string | undefined;
  /** By a certificate: where neither Authorization nor a token came. */
  readonly certified: Identity | undefined;
  readonly address: string;
}

/** @throws Problem bad-certificate */
export function shownBy(
  { certificates, proxies }: { readonly certificates?: ClientCertificates | undefined; readonly proxies: Proxies },
  request: Pick<IncomingMessage, 'socket' | 'headers'>,
): Shown {
  const { authorization, cookie } = request.headers;
  const certified = certificates?.identityOf(request);
  const token = tokenOf(authorization, cookie);
  return {
    session: sessionOf(request.headers),
    token,
    certified: token === undefined && authorization === undefined ? certified : undefined,
    address: proxies.addressOf(request),
  };
}

/**
 * Who asks: the person who is logged in, else whose token it is, else whose certificate. Asked anew for each request.
 * @throws Problem no-token, bad-token
 */
export async function identify(pool: pg.Pool, { session, token, certified, address }: Shown, again = false): Promise<Identity> {
  const person = session === undefined ? undefined : await personOf(pool, session, again);
  return person ?? certified ?? authenticate(pool, token, address);
}
