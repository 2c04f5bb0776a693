import { z } from 'zod';
import { hidden, type Hidden } from './hidden.ts';

const attribute = z.string().regex(/^[A-Za-z][A-Za-z0-9-]{0,99}$/, 'must be the name of an attribute');
const dn = z
  .string()
  .max(1000)
  .regex(/^[A-Za-z0-9.-]+ *=/, 'must be a distinguished name, e.g. dc=example,dc=com');
const filter = z.string().max(2000).refine(balanced, 'must be a filter in parentheses (RFC 4515), e.g. (objectClass=person)');

const url = z
  .string()
  .regex(/^ldaps?:\/\/[^/?#@\s]+\/?$/i, 'must be ldap://host, ldaps://host, or one of them with :port')
  .refine((value) => URL.canParse(value), 'must be a URL');

const given = z.strictObject({
  urls: z.union([url.transform((one) => [one]), z.array(url).min(1).max(10)]),
  kind: z.enum(['openldap', 'active-directory']).default('openldap'),
  start_tls: z.boolean().default(true),
  ca_file: z.string().min(1).optional(),
  bind_dn: z.string().min(1).max(1000).optional(),
  bind_password: hidden.optional(),
  bind_password_file: z.string().min(1).optional(),
  user_dn: z
    .string()
    .max(1000)
    .refine((value) => value.split('{name}').length === 2, 'must hold {name} once')
    .refine((value) => /[=@\\]/.test(value), 'must be a DN, or the name with a domain: uid={name},ou=people,dc=example,dc=com or {name}@example.com')
    .optional(),
  base: dn,
  user_filter: filter.refine((value) => value.includes('{name}'), 'must hold {name}').optional(),
  attributes: z
    .strictObject({ name: attribute.optional(), full_name: attribute.optional(), email: attribute.optional(), uuid: attribute.optional() })
    .default({}),
  groups: z
    .strictObject({
      base: dn.optional(),
      search: z.enum(['member', 'member_of', 'chain', 'none']).optional(),
      nested: z.boolean().default(true),
      member: z.array(attribute).min(1).max(5).default(['member', 'uniqueMember']),
      filter: filter.optional(),
      name: attribute.default('cn'),
      limit: z.int().min(1).max(10_000).default(1000),
    })
    .prefault({}),
  timeout: z.number().min(0.1).max(60).default(5),
});

/** How people of an LDAP directory or Active Directory are found and checked. */
export const ldapSchema = given
  .superRefine((value, context) => {
    const wrong = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
    if (value.bind_dn !== undefined && value.user_dn !== undefined) wrong('user_dn', 'give bind_dn or user_dn, not both');
    if (value.bind_password !== undefined && value.bind_password_file !== undefined)
      wrong('bind_password_file', 'give bind_password or bind_password_file, not both');
    if (value.bind_dn === undefined && (value.bind_password ?? value.bind_password_file) !== undefined) wrong('bind_dn', 'is needed with a password');
    for (const [at, one] of value.urls.entries()) {
      const { protocol, hostname } = new URL(one);
      /* Passwords go over this connection. */
      if (protocol === 'ldap:' && !value.start_tls && !loopback(hostname))
        context.addIssue({ code: 'custom', path: ['urls', at], message: 'start_tls: false would send passwords in the clear; it is for this machine only' });
    }
  })
  .transform((value) => {
    const ad = value.kind === 'active-directory';
    return {
      ...value,
      user_filter: value.user_filter ?? (ad ? '(&(objectCategory=person)(objectClass=user)(sAMAccountName={name}))' : '(uid={name})'),
      attributes: {
        name: value.attributes.name ?? (ad ? 'sAMAccountName' : 'uid'),
        full_name: value.attributes.full_name ?? (ad ? 'displayName' : 'cn'),
        email: value.attributes.email ?? 'mail',
        uuid: value.attributes.uuid ?? (ad ? 'objectGUID' : 'entryUUID'),
      },
      groups: { ...value.groups, base: value.groups.base ?? value.base, search: value.groups.search ?? (ad ? ('chain' as const) : ('member' as const)) },
    };
  });

export type LdapSettings = z.output<typeof ldapSchema>;

/** The settings with the password that has a variable of its own. */
export function ldapSettings(config: { readonly ldap?: LdapSettings | undefined; readonly ldap_bind_password?: Hidden | undefined }): LdapSettings | undefined {
  if (config.ldap === undefined || config.ldap_bind_password === undefined) return config.ldap;
  return { ...config.ldap, bind_password: config.ldap_bind_password, bind_password_file: undefined };
}

/** This machine itself: what goes there is on no wire. */
export function loopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

function balanced(text: string): boolean {
  let open = 0;
  for (const [at, char] of [...text].entries()) {
    if (char === '(') open++;
    if (char === ')') open--;
    if (open < 0 || (open === 0 && at < [...text].length - 1)) return false;
  }
  return open === 0 && text.startsWith('(');
}
