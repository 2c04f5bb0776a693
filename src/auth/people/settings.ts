import { ldapSettings } from '../../kernel/config.ldap.ts';
import { oidcSettings, type OidcSettings } from '../../kernel/config.oidc.ts';
import { ConfigError, type Config } from '../../kernel/config.ts';
import { Problem } from '../../kernel/problem.ts';
import type { SecretBox } from '../../kernel/secret.ts';
import { audit } from '../audit.ts';
import { ldapLogin } from '../ldap/login.ts';
import { oidcFinish, oidcLogout, oidcStart, type Oidc } from '../oidc/login.ts';
import type { LoginAudit, LoginSettings, OidcLogin } from './types.ts';

/** What happens at logins, as the audit log has it. */
export const tell: LoginAudit = (db, { kind, person, name, actor, address, requestId, session, reason }) =>
  audit(db, {
    kind,
    actor: actor ?? name,
    subject: person === undefined ? undefined : `person:${person}`,
    address,
    requestId,
    detail: { ...(actor === undefined ? {} : { person: name }), ...(session === undefined ? {} : { session }), ...(reason === undefined ? {} : { reason }) },
  });

/** How people log in, as the process is configured. */
export function loginSettings(config: Config, box: SecretBox): LoginSettings {
  const ldap = ldapSettings(config);
  const oidc = oidcSettings(config);
  return {
    idle: config.session_idle,
    length: config.session_length,
    secondFactor: config.second_factor,
    audit: tell,
    ldap: ldap && ((name, password) => ldapLogin(ldap, name, password)),
    oidc: oidc && oidcLogin(oidc, box, config.public_url),
  };
}

/** The address is never taken from a request, whose Host header anybody writes. */
const NEEDS_ADDRESS = 'CORRAL_OIDC needs CORRAL_PUBLIC_URL: the identity provider sends people back to there';

/** Refuses settings with which people could not log in. @throws ConfigError */
export function checkLogins({ oidc, public_url }: Pick<Config, 'oidc' | 'public_url'>): void {
  if (oidc !== undefined && public_url === undefined) throw new ConfigError(NEEDS_ADDRESS);
}

function oidcLogin(settings: OidcSettings, box: SecretBox, address: string | undefined): OidcLogin {
  const oidc = (): Oidc => {
    if (address === undefined) throw new Problem('directory-failed', `This login is not set up: ${NEEDS_ADDRESS}`);
    return { settings, box, origin: address };
  };
  return {
    label: settings.label,
    start: async (next) => oidcStart(oidc(), next),
    finish: async (cookie, url) => {
      const { person, next, hint } = await oidcFinish(oidc(), cookie, url);
      return { directory: person, next, hint };
    },
    logout: async (hint) => oidcLogout(oidc(), hint),
  };
}
