import { ldapSettings } from '../../kernel/config.ldap.ts';
import { oidcSettings } from '../../kernel/config.oidc.ts';
import type { Config } from '../../kernel/config.ts';
import type { SecretBox } from '../../kernel/secret.ts';
import { audit } from '../audit.ts';
import { ldapLogin } from '../ldap/login.ts';
import { oidcFinish, oidcStart } from '../oidc/login.ts';
import type { LoginAudit, LoginSettings } from './types.ts';

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
    oidc: oidc && {
      label: oidc.label,
      start: (origin, next) => oidcStart({ settings: oidc, box, origin }, next),
      finish: async (origin, cookie, url) => {
        const { person, next } = await oidcFinish({ settings: oidc, box, origin }, cookie, url);
        return { directory: person, next };
      },
    },
  };
}
