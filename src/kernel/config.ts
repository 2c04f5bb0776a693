import { existsSync, readFileSync } from 'node:fs';
import { load } from 'js-yaml';
import { z } from 'zod';
import { Proxies } from './proxy.ts';
import { ldapSchema } from './config.ldap.ts';
import { oidcSchema } from './config.oidc.ts';
import { hidden, hiddenAs } from './hidden.ts';

const flag = z
  .union([z.boolean(), z.enum(['0', '1', 'true', 'false', 'yes', 'no'])])
  .transform((value) => value === true || value === '1' || value === 'true' || value === 'yes');
const whole = (min: number, max: number) =>
  z.union([z.number(), z.string().regex(/^\d+$/, 'must be a whole number').transform(Number)]).pipe(z.int().min(min).max(max));

/** A mapping: in the file as it is, in the environment as JSON or as the path of a YAML file. */
const mapping = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value, context) => {
    if (typeof value !== 'string') return value;
    try {
      return value.trimStart().startsWith('{') ? JSON.parse(value) : readConfigFile(value);
    } catch (error) {
      const message = error instanceof ConfigError ? error.message.replace('CORRAL_CONFIG: ', '') : 'must be JSON, or the path of a YAML file';
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    }
  }, schema.optional());

/** Whether a check throws. */
function failing(check: () => unknown): boolean {
  try {
    check();
    return false;
  } catch {
    return true;
  }
}

interface Setting<T extends z.ZodType> {
  readonly env: string;
  readonly schema: T;
  readonly meaning: string;
}

function setting<T extends z.ZodType>(env: string, schema: T, meaning: string): Setting<T> {
  return { env, schema, meaning };
}

/** Every setting: its environment variable, its form and default, and what it means. */
export const settings = {
  data: setting('CORRAL_DATA', z.string().min(1).default('./data'), 'Folder of the embedded PostgreSQL and of the encryption key.'),
  database_url: setting(
    'DATABASE_URL',
    hiddenAs(z.string().startsWith('postgres')).optional(),
    'An existing PostgreSQL (14 or later) instead of the embedded one.',
  ),
  listen_url: setting(
    'CORRAL_LISTEN_URL',
    hiddenAs(z.string().startsWith('postgres')).optional(),
    'PostgreSQL itself, for LISTEN, where DATABASE_URL goes through a pooler of transactions, which gives no notifications.',
  ),
  host: setting('HOST', z.string().min(1).default('127.0.0.1'), 'Address to listen on.'),
  port: setting('PORT', whole(0, 65_535).default(8080), 'Port to listen on; 0 takes a free one.'),
  trusted_proxies: setting(
    'CORRAL_TRUSTED_PROXIES',
    z
      .union([
        z.array(z.string()),
        z.string().transform((text) =>
          text
            .split(',')
            .map((one) => one.trim())
            .filter((one) => one !== ''),
        ),
      ])
      .default([])
      .refine((ranges) => !failing(() => new Proxies(ranges)), 'must be addresses or ranges, e.g. 192.0.2.10,10.0.0.0/8'),
    'Proxies in front of this server, whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses or ranges with a comma between.',
  ),
  tls_cert: setting(
    'CORRAL_TLS_CERT',
    z.string().min(1).optional(),
    "The server's certificate and those between it and its CA, a PEM file: then it answers with TLS. New files are used without a restart.",
  ),
  tls_key: setting('CORRAL_TLS_KEY', z.string().min(1).optional(), 'The key of that certificate, a PEM file.'),
  tls_client_ca: setting(
    'CORRAL_TLS_CLIENT_CA',
    z.string().min(1).optional(),
    'The Puppet CA, up to its root, a PEM file: nodes may show its certificates in place of a token.',
  ),
  tls_crl: setting('CORRAL_TLS_CRL', z.string().min(1).optional(), 'The lists of certificates that those CAs revoked, a PEM file.'),
  public_url: setting('CORRAL_PUBLIC_URL', z.url().optional(), 'How clients reach this API, when it stands behind a proxy. OpenID Connect needs it.'),
  admin_token: setting('CORRAL_ADMIN_TOKEN', hiddenAs(z.string().min(16).max(200)).optional(), 'The admin token of a new database, instead of a random one.'),
  demo: setting('CORRAL_DEMO', flag.default(true), 'Load the demonstration fleet into a new database.'),
  encryption_key: setting(
    'CORRAL_ENCRYPTION_KEY',
    hiddenAs(z.string().regex(/^[A-Za-z0-9+/]{43}=$/, 'must be 32 bytes in base64')).optional(),
    'Key of the secrets in the database, 32 bytes in base64. Else the file encryption.key in the data folder, made when missing.',
  ),
  encryption_key_old: setting(
    'CORRAL_ENCRYPTION_KEY_OLD',
    hiddenAs(z.string().regex(/^[A-Za-z0-9+/]{43}=(,[A-Za-z0-9+/]{43}=)*$/, 'must be keys of 32 bytes in base64, with a comma between')).optional(),
    'Other keys that secrets in the database may be opened with, e.g. the one before; new secrets never use them. Also the file encryption.key.old in the data folder. corral keys rotate leaves none in use.',
  ),
  log_level: setting('CORRAL_LOG_LEVEL', z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'), 'Least level that is logged.'),
  pool_size: setting('CORRAL_POOL_SIZE', whole(2, 500).default(16), 'Database connections of this process.'),
  rate_limit: setting(
    'CORRAL_RATE_LIMIT',
    whole(0, 100_000_000).default(12_000),
    'Requests a minute of one person, token or node; as many may come at once. 0 is any number. Tokens of kind server, and documents, may have 100 times as many.',
  ),
  rate_limit_address: setting(
    'CORRAL_RATE_LIMIT_ADDRESS',
    whole(0, 100_000_000).default(600),
    'Requests a minute from one address that come without a login or token that is good; a wrong one counts as ten. 0 is any number.',
  ),
  rate_store: setting(
    'CORRAL_RATE_STORE',
    z.enum(['memory', 'postgresql']).default('memory'),
    'Where requests are counted: memory, each process for itself, or postgresql, all processes on one database together.',
  ),
  connections: setting(
    'CORRAL_CONNECTIONS',
    whole(0, 10_000_000).default(20_000),
    'Connections that may be open; further ones are closed at once. 0 is any number. Each takes a file descriptor (LimitNOFILE of systemd).',
  ),
  connections_address: setting(
    'CORRAL_CONNECTIONS_ADDRESS',
    whole(0, 10_000_000).default(2000),
    'Connections that may be open from one address (of IPv6 one /64) that is no trusted proxy. 0 is any number. Each host that waits for news holds one.',
  ),
  body_limit: setting('CORRAL_BODY_LIMIT', whole(1024, 1_073_741_824).default(1_048_576), 'Largest body of a request, in bytes.'),
  bulk_limit: setting('CORRAL_BULK_LIMIT', whole(1024, 1_073_741_824).default(33_554_432), 'Largest body of POST /bulk, in bytes.'),
  report_limit: setting('CORRAL_REPORT_LIMIT', whole(1024, 268_435_456).default(16_777_216), 'Largest report or fact set of a host, unpacked, in bytes.'),
  reports_kept: setting('CORRAL_REPORTS_KEPT', whole(1, 10_000).default(20), 'Reports of each node that are kept; the oldest go as new ones come.'),
  stale_after: setting(
    'CORRAL_STALE_AFTER',
    whole(60, 31_536_000).default(7200),
    "Seconds after its last report at which a node counts as stale; four of Puppet's usual half hours.",
  ),
  heartbeat_interval: setting('CORRAL_HEARTBEAT_INTERVAL', whole(1, 3600).default(10), 'Seconds between the heartbeats that hosts are told to send.'),
  cache_size: setting('CORRAL_CACHE_SIZE', whole(0, 4_294_967_296).default(67_108_864), 'Rendered documents kept in memory, in bytes.'),
  placement: setting(
    'CORRAL_PLACEMENT',
    z.enum(['least_loaded', 'round_robin', 'sticky']).default('least_loaded'),
    'How a host is picked when a request does not say: least_loaded, round_robin, or sticky (near the rest of the project).',
  ),
  default_volume_size: setting(
    'CORRAL_DEFAULT_VOLUME_SIZE',
    whole(512, Number.MAX_SAFE_INTEGER).default(10_737_418_240),
    'Size of the volume that a virtual machine gets when none is given, in bytes.',
  ),
  converge_rate: setting(
    'CORRAL_CONVERGE_RATE',
    whole(1, 100_000).default(20),
    'Hosts that may start to converge in one second: when one change gives more hosts than that another document, they start over so many seconds.',
  ),
  webhook_allow: setting(
    'CORRAL_WEBHOOK_ALLOW',
    z.string().max(10_000).default(''),
    'Private and local addresses that webhooks may reach all the same: networks in CIDR form and host names, with a comma between.',
  ),
  webhook_retry_for: setting(
    'CORRAL_WEBHOOK_RETRY_FOR',
    whole(60, 2_592_000).default(86_400),
    'Seconds after its first attempt at which a delivery is given up.',
  ),
  webhook_disable_after: setting(
    'CORRAL_WEBHOOK_DISABLE_AFTER',
    whole(60, 31_536_000).default(86_400),
    'Seconds without a delivery that succeeded, while some failed, after which a webhook is disabled.',
  ),
  webhook_log_days: setting('CORRAL_WEBHOOK_LOG_DAYS', whole(1, 3650).default(30), 'Days that webhook deliveries are kept once they are done.'),
  history_days: setting(
    'CORRAL_HISTORY_DAYS',
    whole(0, 36_500).default(365),
    'Days that changes and the documents of the past are kept; 0 keeps them for ever. The newest of each document stays, and what its host has.',
  ),
  ldap: setting(
    'CORRAL_LDAP',
    mapping(ldapSchema),
    'The LDAP directory or Active Directory that people may log in with (docs/identities.md): JSON, or the path of a YAML file.',
  ),
  ldap_bind_password: setting('CORRAL_LDAP_BIND_PASSWORD', hidden.optional(), 'The password of bind_dn in ldap, in place of the one there.'),
  oidc: setting(
    'CORRAL_OIDC',
    mapping(oidcSchema),
    'The OpenID Connect provider that people may log in with (docs/identities.md): JSON, or the path of a YAML file.',
  ),
  oidc_client_secret: setting('CORRAL_OIDC_CLIENT_SECRET', hidden.optional(), 'The client secret in oidc, in place of the one there.'),
  session_idle: setting('CORRAL_SESSION_IDLE', whole(60, 604_800).default(1800), 'Seconds without a request after which a person is logged out.'),
  session_length: setting('CORRAL_SESSION_LENGTH', whole(300, 2_592_000).default(43_200), 'Seconds after which a person must log in again in any case.'),
  second_factor: setting(
    'CORRAL_SECOND_FACTOR',
    z.enum(['optional', 'admins', 'everyone']).default('optional'),
    'Who must have a second factor (TOTP): those who are admins, or everyone with a password here or in LDAP. Who has set one up is always asked for it.',
  ),
  backup_stamp: setting(
    'CORRAL_BACKUP_STAMP',
    z.string().min(1).optional(),
    'A file that is touched after each good backup: corral doctor tells of one that is old.',
  ),
  stop_timeout: setting('CORRAL_STOP_TIMEOUT', whole(0, 3600).default(30), 'Seconds that a stop waits for requests in flight.'),
} as const;

type Settings = typeof settings;
type Name = keyof Settings;

/** The parsed configuration of one process. */
export type Config = { readonly [K in Name]: z.output<Settings[K]['schema']> };

export type Source = 'default' | 'environment' | 'file';

export interface LoadedConfig {
  readonly config: Config;
  readonly sources: Readonly<Record<Name, Source>>;
  readonly file: string | undefined;
}

/** Thrown with one line for each setting that is wrong. */
export class ConfigError extends Error {}

/**
 * Reads settings from the environment, then from the YAML file that CORRAL_CONFIG names (names as in
 * `settings`), then defaults.
 * @throws ConfigError that names each wrong setting and where it was set
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): LoadedConfig {
  const file = env['CORRAL_CONFIG'] || undefined;
  const fromFile = file === undefined ? {} : readConfigFile(file);
  const faults = Object.keys(fromFile)
    .filter((name) => !Object.hasOwn(settings, name))
    .map((name) => `${file}: unknown setting '${name}'`);
  const config: Record<string, unknown> = {};
  const sources: Record<string, Source> = {};
  for (const [name, { env: variable, schema }] of Object.entries(settings)) {
    const given = env[variable];
    const source: Source = given !== undefined && given !== '' ? 'environment' : fromFile[name] !== undefined ? 'file' : 'default';
    const raw = source === 'environment' ? given : source === 'file' ? fromFile[name] : undefined;
    const parsed = schema.safeParse(raw);
    if (parsed.success) config[name] = parsed.data;
    else {
      const where = source === 'file' ? `${file}: ${name}` : variable;
      faults.push(...parsed.error.issues.map(({ path, message }) => `${[where, ...path].join('.')}: ${message}`));
    }
    sources[name] = source;
  }
  if (faults.length > 0) throw new ConfigError(faults.join('\n'));
  return { config: config as unknown as Config, sources: sources as Record<Name, Source>, file };
}

function readConfigFile(file: string): Record<string, unknown> {
  if (!existsSync(file)) throw new ConfigError(`CORRAL_CONFIG: there is no file ${file}`);
  const text = readFileSync(file, 'utf8');
  /* js-yaml refuses what holds no document; a file of comments is an empty one. */
  if (text.split('\n').every((line) => /^\s*(#.*)?$/.test(line))) return {};
  let value: unknown;
  try {
    value = load(text);
  } catch (error) {
    throw new ConfigError(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (value === null || value === undefined) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw new ConfigError(`${file}: must hold a mapping of settings`);
  return value as Record<string, unknown>;
}

export interface ExplainedSetting {
  readonly setting: string;
  readonly variable: string;
  readonly value: unknown;
  readonly source: Source;
  readonly meaning: string;
}

/** Every setting with its value, source and meaning; secrets show only that they are set. */
export function explainConfig(loaded: LoadedConfig): ExplainedSetting[] {
  return Object.entries(settings).map(([name, { env, meaning }]) => {
    const value = loaded.config[name as Name];
    return {
      setting: name,
      variable: env,
      /* Through JSON, in which what is hidden stays so. */
      value: typeof value === 'object' ? (JSON.parse(JSON.stringify(value)) as unknown) : (value ?? null),
      source: loaded.sources[name as Name],
      meaning,
    };
  });
}
