import { hashToken } from '../modules/control/token.verbs.ts';
import { Hidden } from '../kernel/hidden.ts';
import { installationKeys, keyIdOf } from '../kernel/secret.ts';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fail, ok, warn, type Check, type Finding } from './types.ts';

/** Fewer different characters than a random text of this length has, or a word that people put where a secret belongs. */
const weak = (text: string): boolean => new Set(text).size < 10 || /changeme|change-me|password|secret|example|12345678|admintoken|admin-token/i.test(text);

export const settingsCheck: Check = {
  name: 'settings',
  run: ({ config, file }) => {
    const out: Finding[] = [];
    for (const range of config.trusted_proxies)
      if (range.endsWith('/0'))
        out.push(fail(`CORRAL_TRUSTED_PROXIES=${range} believes everybody about where they come from`, 'Name the addresses of your proxies'));
    if (config.rate_limit === 0) out.push(warn('there is no limit to the requests of one identity', 'Unset CORRAL_RATE_LIMIT, or make it large'));
    if (config.rate_limit_address === 0)
      out.push(warn('tokens may be guessed as quickly as somebody can', 'Unset CORRAL_RATE_LIMIT_ADDRESS, or make it large'));
    if (/(^|[ ,])(0\.0\.0\.0|::)\/0/.test(config.webhook_allow))
      out.push(fail('webhooks may reach every address of your networks', 'Name in CORRAL_WEBHOOK_ALLOW those that they must reach'));
    if (config.oidc !== undefined && config.public_url === undefined)
      out.push(
        fail('OpenID Connect is set up without CORRAL_PUBLIC_URL, where people come back to', 'Set CORRAL_PUBLIC_URL; corral serve does not start without it'),
      );
    const closed: readonly (readonly [string, string | undefined])[] = [
      [
        'CORRAL_CONFIG',
        Object.values(config).some((one) => one instanceof Hidden) || config.ldap?.bind_password || config.oidc?.client_secret ? file : undefined,
      ],
      ['bind_password_file', config.ldap?.bind_password_file],
      ['client_secret_file', config.oidc?.client_secret_file],
    ];
    for (const [name, path] of closed) {
      if (path === undefined) continue;
      const stat = statSync(path, { throwIfNoEntry: false });
      if (!stat) out.push(fail(`${name}: there is no file ${path}`, 'Make it, or correct the setting'));
      else if ((stat.mode & 0o007) !== 0)
        out.push(
          fail(
            `${name}: everybody on this machine may read ${path} (mode ${(stat.mode & 0o777).toString(8)})`,
            `chmod 640 ${path}; and change the secrets in it, for they may have been read`,
          ),
        );
    }
    return out.length > 0 ? out : [ok('no setting is at odds with another')];
  },
};

export const adminTokenCheck: Check = {
  name: 'admin-token',
  needsDatabase: true,
  run: async ({ config, db, sources }) => {
    const out: Finding[] = [];
    const given = config.admin_token?.reveal();
    if (given !== undefined) {
      const { rows } = await db.query<{ name: string }>('select name from token where hash = $1 or (old_hash = $1 and old_until > now())', [hashToken(given)]);
      const where = sources.admin_token === 'file' ? 'the file of CORRAL_CONFIG' : 'the environment';
      if (rows[0] && weak(given))
        out.push(
          fail(
            `the token '${rows[0].name}' is one that can be guessed`,
            `corral token rotate ${rows[0].name} --overlap 0, and take CORRAL_ADMIN_TOKEN out of ${where}`,
          ),
        );
      else if (rows[0])
        out.push(
          warn(
            `the token '${rows[0].name}' stands in ${where}, where every process here finds it`,
            'Take CORRAL_ADMIN_TOKEN out: it is for the first start only. Better: corral token rotate, too',
          ),
        );
      else
        out.push(warn(`CORRAL_ADMIN_TOKEN is set in ${where}, and no token here is this one`, 'Take it out: it is for the first start of a new database only'));
    }
    const { rows } = await db.query<{ name: string; used: Date | null; days: number }>(
      `select name, last_used_at as used, floor(extract(epoch from now() - coalesce(last_used_at, created_at)) / 86400)::int as days from token
        where kind = 'admin' and (expires_at is null or expires_at > now()) and coalesce(last_used_at, created_at) < now() - interval '30 days' order by id`,
    );
    for (const { name, used, days } of rows)
      out.push(
        warn(
          `the admin token '${name}' ${used ? `was used last ${days} days ago` : `is ${days} days old and was never used`}`,
          `corral token delete ${name}, when people log in with their names`,
        ),
      );
    return out.length > 0 ? out : [ok('no admin token lies about')];
  },
};

export const encryptionKeyCheck: Check = {
  name: 'encryption-key',
  run: ({ config }) => {
    const file = join(config.data, 'encryption.key');
    const out: Finding[] = [];
    for (const path of [file, `${file}.old`]) {
      const stat = statSync(path, { throwIfNoEntry: false });
      if (!stat) continue;
      const mode = stat.mode & 0o777;
      const used = config.encryption_key === undefined || path !== file;
      if ((mode & 0o077) !== 0)
        out.push(
          fail(`others may read ${path} (mode ${mode.toString(8)})`, `chmod 600 ${path}; then corral keys rotate --generate, for it may have been read`),
        );
      else if (used) out.push(ok(`${path} is closed to others (mode ${mode.toString(8)})`));
    }
    if (config.encryption_key === undefined && !existsSync(file))
      return [
        ...out,
        fail(
          `there is no ${file}, and CORRAL_ENCRYPTION_KEY is not set`,
          'Bring the key back from the backup; a new one opens none of the secrets. On a new installation corral serve makes one',
        ),
      ];
    const { current } = installationKeys(config);
    if (new Set(current).size < 12)
      out.push(
        fail(
          `the encryption key ${keyIdOf(current)} is not random`,
          'Make one with openssl rand -base64 32, keep the present one in CORRAL_ENCRYPTION_KEY_OLD, and run corral keys rotate',
        ),
      );
    if (config.encryption_key_old !== undefined || existsSync(`${file}.old`))
      out.push(ok('older keys are there, too: keep them as long as backups from before the rotation are kept'));
    return out.length > 0 ? out : [ok(`the encryption key is ${keyIdOf(current)}, from the settings`)];
  },
};
