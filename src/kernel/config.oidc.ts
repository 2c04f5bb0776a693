import { z } from 'zod';
import { loopback } from './config.ldap.ts';
import { hidden, type Hidden } from './hidden.ts';

const claim = z.string().min(1).max(200);

/** How people log in through an OpenID Connect provider. */
export const oidcSchema = z
  .strictObject({
    issuer: z.url(),
    client_id: z.string().min(1).max(500),
    client_secret: hidden.optional(),
    client_secret_file: z.string().min(1).optional(),
    client_auth: z.enum(['basic', 'post', 'none']).optional(),
    label: z.string().min(1).max(60).default('OpenID Connect'),
    scopes: z
      .array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,100}$/))
      .max(30)
      .default(['openid', 'profile', 'email']),
    claims: z
      .strictObject({
        name: claim.default('preferred_username'),
        full_name: claim.default('name'),
        email: claim.default('email'),
        groups: claim.default('groups'),
      })
      .prefault({}),
    ca_file: z.string().min(1).optional(),
    clock_tolerance: z.int().min(0).max(300).default(30),
    max_age: z.int().min(0).max(31_536_000).optional(),
    timeout: z.number().min(0.1).max(60).default(5),
  })
  .superRefine((value, context) => {
    const wrong = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
    const { protocol, hostname } = new URL(value.issuer);
    if (protocol !== 'https:' && !(protocol === 'http:' && loopback(hostname))) wrong('issuer', 'must be https://');
    if (value.client_secret !== undefined && value.client_secret_file !== undefined)
      wrong('client_secret_file', 'give client_secret or client_secret_file, not both');
    if (!value.scopes.includes('openid')) wrong('scopes', 'must include openid');
  });

export type OidcSettings = z.output<typeof oidcSchema>;

/** The settings with the secret that has a variable of its own. */
export function oidcSettings(config: { readonly oidc?: OidcSettings | undefined; readonly oidc_client_secret?: Hidden | undefined }): OidcSettings | undefined {
  if (config.oidc === undefined || config.oidc_client_secret === undefined) return config.oidc;
  return { ...config.oidc, client_secret: config.oidc_client_secret, client_secret_file: undefined };
}
