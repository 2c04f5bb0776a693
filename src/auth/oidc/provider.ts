import { readFileSync } from 'node:fs';
import * as client from 'openid-client';
import type { OidcSettings } from '../../kernel/config.oidc.ts';
import { providerFetch } from './fetch.ts';

/** Milliseconds that what a provider says about itself is believed. */
const FRESH = 600_000;

const cache = new WeakMap<OidcSettings, { readonly until: number; readonly metadata: Promise<client.ServerMetadata> }>();

/**
 * The provider, ready for one login. Its keys are fetched anew for each: a key that was replaced or taken
 * back counts at once, and the code of a login cannot be tried twice.
 */
export async function providerOf(settings: OidcSettings): Promise<client.Configuration> {
  const metadata = await discovered(settings);
  const config = new client.Configuration(
    { ...metadata },
    settings.client_id,
    { [client.clockTolerance]: settings.clock_tolerance },
    clientAuth(settings, metadata),
  );
  config[client.customFetch] = providerFetch(settings);
  config.timeout = settings.timeout;
  /* The signature too, though the token comes from the provider itself over TLS. */
  client.enableNonRepudiationChecks(config);
  if (insecure(settings)) client.allowInsecureRequests(config);
  return config;
}

/** Settings allow http: for this machine only. */
const insecure = (settings: OidcSettings): boolean => settings.issuer.startsWith('http:');

async function discovered(settings: OidcSettings): Promise<client.ServerMetadata> {
  const known = cache.get(settings);
  if (known !== undefined && known.until > Date.now()) return known.metadata;
  const metadata = client
    .discovery(new URL(settings.issuer), settings.client_id, undefined, client.None(), {
      timeout: settings.timeout,
      [client.customFetch]: providerFetch(settings),
      execute: insecure(settings) ? [client.allowInsecureRequests] : [],
    })
    .then((config) => config.serverMetadata());
  cache.set(settings, { until: Date.now() + FRESH, metadata });
  /* Only what succeeded is kept. */
  metadata.catch(() => cache.delete(settings));
  return metadata;
}

function clientAuth(settings: OidcSettings, metadata: client.ServerMetadata): client.ClientAuth {
  const secret =
    settings.client_secret?.reveal() ?? (settings.client_secret_file === undefined ? undefined : readFileSync(settings.client_secret_file, 'utf8').trim());
  if (settings.client_auth === 'none' || (secret === undefined && settings.client_auth === undefined)) return client.None();
  const post =
    settings.client_auth === 'post' ||
    (settings.client_auth === undefined && metadata.token_endpoint_auth_methods_supported?.includes('client_secret_basic') === false);
  return post ? client.ClientSecretPost(secret) : client.ClientSecretBasic(secret);
}
