/** The steps of a login, in their order. */
export const steps = ['resolve', 'connect', 'tls', 'start_tls', 'bind', 'search', 'user_bind', 'groups'] as const;

export type Step = (typeof steps)[number];

/**
 * What a failed step means for a login: `refused`, the person is not let in; `server`, another server
 * may do better; `settings`, the answer would be the same everywhere.
 */
export type Kind = 'refused' | 'server' | 'settings';

/** A step that failed, why, and what to do about it. Never holds a password. */
export class LdapFailure extends Error {
  readonly step: Step;
  readonly kind: Kind;
  readonly advice: string;

  constructor(step: Step, kind: Kind, message: string, advice: string) {
    super(message);
    this.name = 'LdapFailure';
    this.step = step;
    this.kind = kind;
    this.advice = advice;
  }
}

/** Windows' codes in Active Directory's refusals, `data 775`. */
const windows: Readonly<Record<string, string>> = {
  '525': 'there is no such account',
  '52e': 'the name or the password is wrong',
  '530': 'the account may not log in at this hour',
  '531': 'the account may not log in from here',
  '532': 'the password has expired',
  '533': 'the account is disabled',
  '701': 'the account has expired',
  '773': 'the password must be changed first',
  '775': 'the account is locked',
};

/** LDAP result codes (RFC 4511, appendix A). */
export const code = {
  operations: 1,
  sizeLimit: 4,
  strongAuth: 8,
  referral: 10,
  confidentiality: 13,
  constraint: 19,
  noSuchObject: 32,
  invalidDn: 34,
  inappropriateAuth: 48,
  invalidCredentials: 49,
  insufficientAccess: 50,
  busy: 51,
  unavailable: 52,
  unwilling: 53,
} as const;

const refusals: ReadonlySet<number> = new Set([
  code.constraint,
  code.noSuchObject,
  code.invalidDn,
  code.inappropriateAuth,
  code.invalidCredentials,
  code.insufficientAccess,
  code.unwilling,
]);
const elsewhere: ReadonlySet<number> = new Set([code.operations, code.busy, code.unavailable]);

export function codeOf(error: unknown): number | undefined {
  const at = (error as { code?: unknown } | undefined)?.code;
  return typeof at === 'number' ? at : undefined;
}

/** Brings what the library threw to a failure of a step. */
export function failureOf(step: Step, error: unknown): LdapFailure {
  if (error instanceof LdapFailure) return error;
  const result = codeOf(error);
  const said = clean(error);
  if (result === undefined) {
    const timedOut = /timed out|timeout/i.test(said);
    return new LdapFailure(
      step,
      'server',
      timedOut ? 'the server did not answer in time' : `the connection broke: ${said}`,
      'See the log of the server; timeout is the seconds that are waited.',
    );
  }
  if (elsewhere.has(result)) return new LdapFailure(step, 'server', `the server cannot do it now: ${said}`, 'See the log of the server.');
  if (result === code.confidentiality || result === code.strongAuth)
    return new LdapFailure(step, 'settings', `the server demands encryption: ${said}`, 'Use ldaps://, or leave start_tls on.');
  if (result === code.referral)
    return new LdapFailure(
      step,
      'settings',
      'the server refers to another server, and referrals are not followed',
      'Set base to a part of the tree that this server holds itself.',
    );
  const why = windows[/\bdata ([0-9a-f]{3,4})\b/i.exec(said)?.[1]?.toLowerCase() ?? ''];
  if (step === 'user_bind' && refusals.has(result))
    return new LdapFailure(
      step,
      'refused',
      why ?? (result === code.invalidCredentials ? 'the password is wrong, or the account may not log in' : said),
      'Try the same name and password with another program, e.g. ldapwhoami.',
    );
  if (step === 'bind')
    return new LdapFailure(
      step,
      'settings',
      `the server refused bind_dn: ${why ?? said}`,
      'Check bind_dn and its password: bind_password, bind_password_file or CORRAL_LDAP_BIND_PASSWORD.',
    );
  if (result === code.noSuchObject)
    return new LdapFailure(
      step,
      'settings',
      `the server has no such entry: ${said}`,
      `Check ${step === 'groups' ? 'groups.base' : 'base'}; a server also says so of what bind_dn may not see.`,
    );
  return new LdapFailure(step, 'settings', said, `Check the settings for this step, and the rights of the account that searches.`);
}

/** One line of what was said, with nothing that a terminal would obey. */
function clean(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim()
    .slice(0, 300);
}
