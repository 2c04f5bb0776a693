import * as client from 'openid-client';
import { z } from 'zod';
import type { OidcSettings } from '../../kernel/config.oidc.ts';
import type { SecretBox } from '../../kernel/secret.ts';
import type { Directory } from '../directory.ts';
import { directoryOf } from './claims.ts';
import { loginFailed, problemOf } from './failure.ts';
import { providerOf } from './provider.ts';

/** Where the provider sends people back to; to be registered with the provider, below CORRAL_PUBLIC_URL. */
export const OIDC_CALLBACK = '/login/oidc/callback';
/** Seconds that a person has at the provider. */
export const OIDC_LOGIN_SECONDS = 600;

const CONTEXT = 'oidc-login';
const hintContext = ({ issuer, client_id: client }: OidcSettings): string => `oidc-logout ${issuer} ${client}`;
/** Browsers keep cookies of 4096 bytes with their names and attributes. */
const LONGEST_HINT = 3800;

/** What a login needs beside the request. */
export interface Oidc {
  readonly settings: OidcSettings;
  /** Seals the login under way, which a cookie carries. */
  readonly box: Pick<SecretBox, 'seal' | 'open'>;
  /** CORRAL_PUBLIC_URL: how browsers reach this Corral. */
  readonly origin: string;
}

const underWay = z.object({ issuer: z.string(), verifier: z.string(), state: z.string(), nonce: z.string(), next: z.string(), until: z.number() });

export interface OidcStart {
  /** Where to send the browser. */
  readonly url: string;
  /** For a cookie: HttpOnly, Secure, SameSite=Lax (the provider sends the browser back), for OIDC_LOGIN_SECONDS. */
  readonly cookie: string;
}

/** Begins a login. @throws Problem directory-failed */
export async function oidcStart({ settings, box, origin }: Oidc, next: string): Promise<OidcStart> {
  try {
    const provider = await providerOf(settings);
    const [verifier, state, nonce] = [client.randomPKCECodeVerifier(), client.randomState(), client.randomNonce()];
    const url = client.buildAuthorizationUrl(provider, {
      response_type: 'code',
      redirect_uri: callback(origin),
      scope: settings.scopes.join(' '),
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
      nonce,
      ...(settings.max_age === undefined ? {} : { max_age: String(settings.max_age) }),
    });
    const until = Date.now() + OIDC_LOGIN_SECONDS * 1000;
    return { url: url.href, cookie: box.seal(JSON.stringify({ issuer: settings.issuer, verifier, state, nonce, next, until }), CONTEXT) };
  } catch (error) {
    throw problemOf(error);
  }
}

export interface OidcFinish {
  readonly person: Directory;
  /** The page that the person wanted. */
  readonly next: string;
  /** For oidcLogout, and a cookie: the ID token, sealed; undefined where it is larger than cookies are. */
  readonly hint: string | undefined;
}

/**
 * Ends a login: checks that the browser is the one that began it, and what the provider says.
 * @param cookie as oidcStart gave it; to be deleted in any case
 * @param url of the request; its query is what counts
 * @throws Problem login-failed, directory-failed
 */
export async function oidcFinish({ settings, box, origin }: Oidc, cookie: string | undefined, url: string): Promise<OidcFinish> {
  const login = opened(box, cookie);
  if (login.issuer !== settings.issuer)
    throw loginFailed('The identity provider has been changed meanwhile. Start again at /login', 'the login began with another issuer');
  if (login.until < Date.now()) throw loginFailed('The login took too long. Start again at /login', 'the login under way has expired');
  try {
    const provider = await providerOf(settings);
    const here = new URL(callback(origin));
    here.search = new URL(url, origin).search;
    const tokens = await client.authorizationCodeGrant(provider, here, {
      pkceCodeVerifier: login.verifier,
      expectedState: login.state,
      expectedNonce: login.nonce,
      idTokenExpected: true,
      ...(settings.max_age === undefined ? {} : { maxAge: settings.max_age }),
    });
    const claims = tokens.claims()!;
    const person = await directoryOf(settings, provider, claims, tokens.access_token);
    const hint = box.seal(tokens.id_token!, hintContext(settings));
    return { person, next: login.next, hint: hint.length <= LONGEST_HINT ? hint : undefined };
  } catch (error) {
    throw problemOf(error);
  }
}

/**
 * Where to send the browser to end the session at the provider as well (OpenID Connect RP-Initiated Logout 1.0);
 * nothing when it does not offer that, or cannot be asked.
 * @param hint what oidcFinish gave: tells the provider whose session it is, so that it need not ask
 */
export async function oidcLogout({ settings, box, origin }: Oidc, hint?: string): Promise<string | undefined> {
  try {
    const provider = await providerOf(settings);
    if (provider.serverMetadata().end_session_endpoint === undefined) return undefined;
    const idToken = hint === undefined ? undefined : hinted(box, settings, hint);
    return client.buildEndSessionUrl(provider, {
      post_logout_redirect_uri: `${base(origin)}/login`,
      ...(idToken === undefined ? {} : { id_token_hint: idToken }),
    }).href;
  } catch {
    /* The session here has ended all the same. */
    return undefined;
  }
}

/** That of another provider, or sealed with a key that is gone, is none. */
function hinted(box: Oidc['box'], settings: OidcSettings, hint: string): string | undefined {
  try {
    return box.open(hint, hintContext(settings));
  } catch {
    return undefined;
  }
}

const base = (origin: string): string => origin.replace(/\/+$/, '');
const callback = (origin: string): string => `${base(origin)}${OIDC_CALLBACK}`;

function opened(box: Oidc['box'], cookie: string | undefined): z.output<typeof underWay> {
  if (cookie === undefined || cookie === '')
    throw loginFailed('This browser has no login under way. Start again at /login, and let it keep cookies', 'there is no cookie of a login under way');
  try {
    return underWay.parse(JSON.parse(box.open(cookie, CONTEXT)));
  } catch {
    throw loginFailed('The login under way cannot be read. Start again at /login', 'the cookie of the login under way cannot be opened');
  }
}
