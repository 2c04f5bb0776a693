import * as client from 'openid-client';
import type { OidcSettings } from '../../kernel/config.oidc.ts';
import type { Directory } from '../directory.ts';
import { loginFailed } from './failure.ts';

const MOST_GROUPS = 1000;
type Claims = Readonly<Record<string, unknown>>;

/** The person of an ID token; what it leaves out is asked of the userinfo endpoint. */
export async function directoryOf(settings: OidcSettings, provider: client.Configuration, token: client.IDToken, accessToken: string): Promise<Directory> {
  const wanted = Object.values(settings.claims);
  let claims: Claims = token;
  if (wanted.some((name) => claimOf(claims, name) === undefined) && provider.serverMetadata().userinfo_endpoint !== undefined) {
    /* The token is signed, so it comes first. */
    claims = { ...(await client.fetchUserInfo(provider, accessToken, token.sub)), ...token };
  }
  const name = textOf(claims, settings.claims.name);
  if (name === undefined)
    throw loginFailed(
      `The identity provider does not say the name: it gives no claim ${settings.claims.name}. An administrator can set claims.name or scopes`,
      `there is no claim ${settings.claims.name}`,
    );
  const full = textOf(claims, settings.claims.full_name);
  const email = claims['email_verified'] === false ? undefined : textOf(claims, settings.claims.email);
  return {
    source: 'oidc',
    subject: `${token.iss}|${token.sub}`,
    name,
    ...(full === undefined ? {} : { full_name: full }),
    ...(email === undefined ? {} : { email }),
    groups: groupsOf(claimOf(claims, settings.claims.groups)),
  };
}

/** A claim by its name, or by a path into claims that are objects: `realm_access.roles`. */
function claimOf(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let at: unknown = claims;
  for (const part of name.split('.')) at = typeof at === 'object' && at !== null && Object.hasOwn(at, part) ? (at as Claims)[part] : undefined;
  return at;
}

function textOf(claims: Claims, name: string): string | undefined {
  const value = claimOf(claims, name);
  if (typeof value !== 'string') return undefined;
  const text = value.trim();
  return text === '' || text.length > 256 || /\p{Cc}/u.test(text) ? undefined : text;
}

function groupsOf(value: unknown): string[] {
  const groups = [value].flat().filter((one): one is string => typeof one === 'string' && one !== '' && one.length <= 1000);
  if (groups.length > MOST_GROUPS)
    throw loginFailed(
      `The identity provider names more than ${MOST_GROUPS} groups. An administrator can have it name fewer`,
      `more than ${MOST_GROUPS} groups`,
    );
  return [...new Set(groups)];
}
