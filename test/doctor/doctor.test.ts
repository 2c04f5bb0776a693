import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, inject, test } from 'vitest';
import { examine, type Told } from '../../src/doctor/doctor.ts';
import { audit } from '../../src/auth/audit.ts';
import { loadConfig } from '../../src/kernel/config.ts';
import { corral as run } from '../cli/support.ts';
import { ADMIN, testCorral } from '../support/corral.ts';
import { smallFleet } from '../http/samples.ts';

const folder = mkdtempSync(join(tmpdir(), 'corral-doctor-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const key = randomBytes(32).toString('base64');
const corral = await testCorral({ CORRAL_ENCRYPTION_KEY: key });
await smallFleet(corral);
await corral.make('ceph_key', { ceph_cluster: 'ceph', entity: 'client.corral', caps: { mon: 'profile rbd' } });
await audit(corral.pool, { kind: 'login', actor: 'jane' });

const base = { DATABASE_URL: corral.databaseUrl, CORRAL_ENCRYPTION_KEY: key, CORRAL_DATA: folder };
const look = async (only: string, env: Record<string, string> = {}, now?: Date): Promise<string[]> =>
  (await examine(loadConfig({ ...base, ...env }), { only: [only], ...(now ? { now } : {}) })).findings.map(({ verdict, says }: Told) => `${verdict} ${says}`);
const sql = (text: string, values: unknown[] = []) => corral.pool.query(text, values);
/** Makes a fault in truth, looks, and mends it. */
const during = async (fault: string, mend: string, only: string, env: Record<string, string> = {}): Promise<string[]> => {
  await sql(fault);
  try {
    return await look(only, env);
  } finally {
    await sql(mend);
  }
};
const has = (findings: readonly string[], wanted: RegExp): void => expect(findings).toEqual(expect.arrayContaining([expect.stringMatching(wanted)]));

/** A certificate of its own for some days. */
function certificate(name: string, days: number, host = 'corral.example.com'): Record<string, string> {
  const [cert, keyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  const times = [days < 0 ? -10 : -1, days].map((one) => `${new Date(Date.now() + one * 86_400_000).toISOString().replaceAll(/[-:T]|\.\d+/g, '')}`);
  const config = join(folder, `${name}.cnf`);
  writeFileSync(
    config,
    `[ca]\ndefault_ca=one\n[one]\ndatabase=${folder}/${name}.index\nnew_certs_dir=${folder}\nserial=${folder}/${name}.serial\ndefault_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n[x]\nsubjectAltName=DNS:${host}\n`,
  );
  writeFileSync(join(folder, `${name}.index`), '');
  writeFileSync(join(folder, `${name}.serial`), '01\n');
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' });
  openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', keyFile, '-out', `${cert}.csr`, '-subj', `/CN=${host}`);
  openssl(
    'ca',
    '-batch',
    '-notext',
    '-selfsign',
    '-config',
    config,
    '-extensions',
    'x',
    '-keyfile',
    keyFile,
    '-in',
    `${cert}.csr`,
    '-out',
    cert,
    '-startdate',
    times[0]!,
    '-enddate',
    times[1]!,
  );
  chmodSync(keyFile, 0o600);
  for (const rest of [`${cert}.csr`, config, `${name}.index`, `${name}.serial`]) chmodSync(rest.startsWith('/') ? rest : join(folder, rest), 0o600);
  return { CORRAL_TLS_CERT: cert, CORRAL_TLS_KEY: keyFile };
}

describe('TLS', () => {
  test('on this machine only, none is needed', async () => expect(await look('tls')).toEqual(['ok it answers on 127.0.0.1 only, so nothing goes over a wire']));
  test('good files are found good', async () => {
    const found = await look('tls', { ...certificate('good', 300), HOST: '0.0.0.0', CORRAL_PUBLIC_URL: 'https://corral.example.com' });
    expect(found.every((one) => one.startsWith('ok '))).toBe(true);
    expect(found).toHaveLength(3);
  });
  test('one that ends soon, has ended, or is for another host', async () => {
    has(await look('tls', certificate('soon', 20)), /^warn the certificate .*soon\.crt ends in (19|20) days/);
    has(await look('tls', certificate('ended', -2)), /^fail the certificate .*ended\.crt ended on/);
    has(
      await look('tls', { ...certificate('other', 300), CORRAL_PUBLIC_URL: 'https://other.example.com' }),
      /^warn the certificate is not for other\.example\.com/,
    );
  });
  test("another's key, one that all may read, and files that are not there", async () => {
    const [one, two] = [certificate('one', 300), certificate('two', 300)];
    has(await look('tls', { ...one, CORRAL_TLS_KEY: two['CORRAL_TLS_KEY']! }), /^fail the key .* does not belong to the certificate/);
    chmodSync(one['CORRAL_TLS_KEY']!, 0o644);
    has(await look('tls', one), /^fail everybody on this machine may use the key .*mode 644/);
    chmodSync(one['CORRAL_TLS_KEY']!, 0o600);
    has(await look('tls', { ...one, CORRAL_TLS_CERT: '/nonexistent' }), /^fail it could not be checked: ENOENT/);
  });
  test('the open network without it', async () => {
    has(await look('tls', { HOST: '0.0.0.0' }), /^fail it listens on 0\.0\.0\.0 without TLS/);
    has(
      await look('tls', { HOST: '0.0.0.0', CORRAL_TRUSTED_PROXIES: '192.0.2.1' }),
      /^warn it listens on 0\.0\.0\.0 without TLS, for the proxies 192\.0\.2\.1/,
    );
    has(await look('tls', { CORRAL_PUBLIC_URL: 'http://corral.example.com' }), /^fail clients are sent to http:\/\/corral\.example\.com/);
  });
});

describe('settings and keys', () => {
  test('that trust everybody, or limit nobody', async () => {
    expect(await look('settings')).toEqual(['ok no setting is at odds with another']);
    has(await look('settings', { CORRAL_TRUSTED_PROXIES: '0.0.0.0/0' }), /^fail .*believes everybody/);
    has(await look('settings', { CORRAL_RATE_LIMIT: '0', CORRAL_RATE_LIMIT_ADDRESS: '0' }), /^warn tokens may be guessed/);
    has(await look('settings', { CORRAL_WEBHOOK_ALLOW: '0.0.0.0/0' }), /^fail webhooks may reach every address/);
    const file = join(folder, 'corral.yaml');
    writeFileSync(file, 'admin_token: corral_admin_0123456789abcdef\n', { mode: 0o644 });
    chmodSync(file, 0o644);
    has(await look('settings', { CORRAL_CONFIG: file }), /^fail CORRAL_CONFIG: everybody on this machine may read/);
    chmodSync(file, 0o600);
    expect((await look('settings', { CORRAL_CONFIG: file })).join()).not.toContain('everybody on');
  });
  test('the admin token', async () => {
    expect(await look('admin-token')).toEqual(['ok no admin token lies about']);
    has(await look('admin-token', { CORRAL_ADMIN_TOKEN: ADMIN }), /^warn the token 'admin' stands in the environment/);
    has(
      await look('admin-token', { CORRAL_ADMIN_TOKEN: 'corral_admin_another_one_1234' }),
      /^warn CORRAL_ADMIN_TOKEN is set in the environment, and no token here/,
    );
    await sql(`insert into token (name, kind, hash) values ('weak', 'admin', sha256('admin-token-changeme'))`);
    has(await look('admin-token', { CORRAL_ADMIN_TOKEN: 'admin-token-changeme' }), /^fail the token 'weak' is one that can be guessed/);
    await sql(`delete from token where name = 'weak'`);
    has(
      await during(
        `update token set created_at = now() - interval '40 days', last_used_at = null where name = 'admin'`,
        `update token set created_at = now() where name = 'admin'`,
        'admin-token',
      ),
      /^warn the admin token 'admin' is 40 days old and was never used/,
    );
  });
  test('the encryption key: missing, open, or not random; nothing is made', async () => {
    expect(await look('encryption-key', { CORRAL_ENCRYPTION_KEY: '' })).toEqual([expect.stringMatching(/^fail there is no .*encryption\.key/)]);
    expect(await look('encryption-key', { CORRAL_ENCRYPTION_KEY: '' })).toEqual([expect.stringMatching(/^fail there is no/)]);
    has(await look('encryption-key', { CORRAL_ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64') }), /^fail the encryption key \w{8} is not random/);
    const file = join(folder, 'encryption.key');
    writeFileSync(file, `${key}\n`);
    chmodSync(file, 0o644);
    has(await look('encryption-key', { CORRAL_ENCRYPTION_KEY: '' }), /^fail others may read .*encryption\.key \(mode 644\)/);
    has(await look('files'), /^fail others may read .*encryption\.key/);
    chmodSync(file, 0o600);
    expect(await look('encryption-key', { CORRAL_ENCRYPTION_KEY: '' })).toEqual([expect.stringMatching(/^ok .*closed to others/)]);
    rmSync(file);
  });
  test('all secrets are opened, counted by their key', async () => {
    const good = await look('secrets');
    has(good, /^ok \d+ secrets? under the current key \w{8}$/);
    has(good, /^ok \d+ secrets? opened$/);
    const fresh = randomBytes(32).toString('base64');
    has(await look('secrets', { CORRAL_ENCRYPTION_KEY: fresh, CORRAL_ENCRYPTION_KEY_OLD: key }), /^warn \d+ secrets? under the older key/);
    const lost = await look('secrets', { CORRAL_ENCRYPTION_KEY: fresh });
    expect(lost).toEqual([expect.stringMatching(/^fail \d+ secrets? under key \w{8}, which is not here$/)]);
    const { rows } = await sql('select id, secret from ceph_key order by id limit 1');
    const { id, secret } = rows[0] as { id: string; secret: string };
    await sql('update ceph_key set secret = $2 where id = $1', [id, `${secret.slice(0, -2)}${secret.endsWith('AA') ? 'BB' : 'AA'}`]);
    has(await look('secrets'), new RegExp(`^fail 1 secret cannot be opened though the key is here: ceph_key ${id}$`));
    await sql('update ceph_key set secret = $2 where id = $1', [id, secret]);
  });
});

test('files that others may write to', async () => {
  expect(await look('files')).toEqual([expect.stringMatching(/^ok nobody else may write/)]);
  writeFileSync(join(folder, 'notes'), '');
  chmodSync(join(folder, 'notes'), 0o666);
  has(await look('files'), /^fail others may write to .*notes \(mode 666\)/);
  rmSync(join(folder, 'notes'));
  chmodSync(folder, 0o777);
  has(await look('files'), /^fail others may write to .*mode 777/);
  chmodSync(folder, 0o700);
});

test('the machine: its disk, Node and clock', async () => {
  expect((await look('disk'))[0]).toMatch(/^(ok|warn|fail) [\d.]+ GiB \(\d+ %\) of the disk of/);
  expect(await look('node')).toEqual([`ok Node ${process.versions.node}`]);
  has(await look('clock'), /^ok this clock is that of the database$/);
});

describe('PostgreSQL', () => {
  test('its version and care', async () => {
    has(await look('postgresql'), /^ok PostgreSQL \d+/);
    /* The template server of the tests saves time where it may. */
    has(await look('postgresql'), /^fail fsync is off/);
    has(await look('postgresql', {}, new Date('2040-01-01')), /^warn PostgreSQL \d+\.\d+ .*gets no more security fixes/);
  });
  test('what the role may', async () => {
    has(await look('database-rights'), /^warn Corral comes to PostgreSQL as the superuser corral/);
    const role = `r_${randomBytes(4).toString('hex')}`;
    await sql(`create role ${role} login`);
    await sql(`grant select on all tables in schema public to ${role}`);
    const url = new URL(corral.databaseUrl);
    url.username = role;
    const other = await look('database-rights', { DATABASE_URL: url.href });
    has(other, new RegExp(`^fail ${role} is not the owner of \\d+ tables`));
    expect(other.join()).not.toContain('superuser');
    await sql(`drop owned by ${role}`);
    await sql(`drop role ${role}`);
    has(
      await during('grant select on person to public', 'revoke all on person from public', 'database-rights'),
      /^fail every role of PostgreSQL may come to person/,
    );
  });
  test('migrations that did not run, or are newer, and a database of somebody else', async () => {
    has(await look('migrations'), /^ok all \d+ migrations ran/);
    const { rows } = await sql('select name from migration order by name desc limit 1');
    void rows;
    has(
      await during(`delete from migration where name = '0012-tokens'`, `insert into migration (name) values ('0012-tokens')`, 'migrations'),
      /^fail 1 migration did not run yet: 0012-tokens/,
    );
    has(
      await during(`insert into migration (name) values ('9999-later')`, `delete from migration where name = '9999-later'`, 'migrations'),
      /^fail the database was made by a newer version \(9999-later\)/,
    );
    has(await look('migrations', { DATABASE_URL: inject('server') }), /^fail this database is not one of Corral/);
  });
  test('the connection, the standbys and the slots', async () => {
    has(await look('database-connection'), /^ok the database is on this machine/);
    has(await look('database-connection', { CORRAL_POOL_SIZE: '400' }), /^fail one process may take 602 connections/);
    has(await look('replication'), /^warn there is no standby/);
    const slot = `s_${randomBytes(4).toString('hex')}`;
    has(
      await during(`select pg_create_physical_replication_slot('${slot}', true)`, `select pg_drop_replication_slot('${slot}')`, 'replication'),
      new RegExp(`^fail nobody reads the replication slot ${slot}`),
    );
  });
  test('backups, by their stamp or by the archiver', async () => {
    has(await look('backup'), /^warn nothing tells of backups/);
    const stamp = join(folder, 'stamp');
    has(await look('backup', { CORRAL_BACKUP_STAMP: stamp }), /^fail there is no .*stamp/);
    writeFileSync(stamp, '');
    has(await look('backup', { CORRAL_BACKUP_STAMP: stamp }), /^ok the last good backup was 0 hours ago/);
    const ago = (days: number) => new Date(Date.now() - days * 86_400_000);
    utimesSync(stamp, ago(2), ago(2));
    has(await look('backup', { CORRAL_BACKUP_STAMP: stamp }), /^warn the last good backup was 48 hours ago/);
    utimesSync(stamp, ago(9), ago(9));
    has(await look('backup', { CORRAL_BACKUP_STAMP: stamp }), /^fail the last good backup was 9 days ago/);
    rmSync(stamp);
  });
  test('that cannot be reached', async () => {
    const { findings, verdict } = await examine(loadConfig({ ...base, DATABASE_URL: 'postgres://corral:topsecret@127.0.0.1:1/corral' }));
    expect(verdict).toBe('fail');
    expect(findings[0]).toMatchObject({ check: 'database', verdict: 'fail', says: expect.stringMatching(/cannot be reached: connect ECONNREFUSED/) });
    expect(JSON.stringify(findings)).not.toContain('topsecret');
    expect(findings.some(({ check }) => check === 'disk')).toBe(true);
  });
});

describe('people, tokens and webhooks', () => {
  test('tokens', async () => {
    has(await look('tokens'), /^warn 1 token without an end: admin/);
    await sql(`update token set expires_at = now() + interval '60 days' where name = 'admin'`);
    expect(await look('tokens')).toEqual(['ok all tokens end, and are used']);
    has(
      await during(`update token set expires_at = now() + interval '3 days'`, `update token set expires_at = now() + interval '60 days'`, 'tokens'),
      /^warn 1 token ends within 14 days: admin/,
    );
  });
  test('people', async () => {
    await sql(`insert into person (name, admin, last_login) values ('jane', true, now()), ('joe', false, now() - interval '200 days')`);
    has(await look('people'), /^warn 1 admin has no second factor: jane/);
    has(await look('people'), /^warn 1 person did not log in for 180 days: joe/);
    await sql(`insert into person_secret (person_id, totp) select id, 'v1.x' from person where name = 'jane'`);
    expect((await look('people')).join()).not.toContain('second factor');
    await sql(`insert into binding (name, role, person_id) select 'joe-admin', 'admin', id from person where name = 'joe'`).catch(() => undefined);
    await sql(`insert into session (hash, person_id, idle, ends_at) select sha256('x'), id, 60, now() - interval '3 hours' from person where name = 'joe'`);
    has(await look('people'), /^warn 1 session ended hours ago and is still there/);
    await sql('delete from session');
    await sql('delete from person_secret');
    await sql(`delete from person where name = 'jane'`);
    has(await look('people'), /^warn no person is admin/);
  });
  test('webhooks', async () => {
    expect(await look('webhooks')).toEqual([]);
    await corral.make('webhook', { name: 'chat', url: 'https://chat.example.com/hook' });
    expect(await look('webhooks')).toEqual(['ok 1 webhook works']);
    await sql(`update webhook set enabled = false, disabled_reason = 'nothing arrived for a day'`);
    has(await look('webhooks'), /^warn the webhook chat was disabled: nothing arrived/);
    await sql(`update webhook set enabled = true, disabled_reason = null, failing_since = now() - interval '90 minutes', url = 'http://chat.example.com'`);
    has(await look('webhooks'), /^warn the webhook chat has failed for 90 minutes/);
    has(await look('webhooks'), /^warn the webhook chat goes out without TLS/);
  });
});

test('the audit log', async () => {
  for (let i = 0; i < 20; i++) await audit(corral.pool, { kind: 'login', actor: `p${i}` });
  has(await look('audit'), /^ok the newest \d+ entries of the audit log fit; head \d+:[0-9a-f]{64}$/);
  await sql('alter table audit_entry disable trigger audit_keep');
  has(await look('audit'), /^fail the audit log can be altered: its trigger is off/);
  const { rows } = await sql(`update audit_entry set actor = 'nobody' where actor = 'p7' returning number`);
  await sql('alter table audit_entry enable trigger audit_keep');
  has(await look('audit'), new RegExp(`^fail entry ${String((rows[0] as { number: string }).number)} of the audit log does not fit`));
  await sql('alter table audit_entry disable trigger audit_keep');
  await sql(`update audit_entry set actor = 'p7' where actor = 'nobody'`);
  await sql(`delete from audit_entry where actor = 'p9'`);
  await sql('alter table audit_entry enable trigger audit_keep');
  has(await look('audit'), /^fail entry \d+ of the audit log does not fit/);
  has(
    await during('alter table token disable trigger audit_rights', 'alter table token enable trigger audit_rights', 'audit'),
    /^fail changes of token are not told/,
  );
});

test('it changes nothing: its connection may only read', async () => {
  const dump = async () =>
    (await sql(`select (select count(*) from migration) as m, (select count(*) from audit_entry) as a, (select count(*) from change) as c`)).rows;
  const before = await dump();
  await examine(loadConfig(base));
  expect(await dump()).toEqual(before);
});

test('the command says it to people and to programs, and by its exit code', async () => {
  const bin = await run(['doctor', '--only', 'node', 'tls'], { env: base });
  expect([bin.code, bin.out]).toEqual([
    0,
    expect.stringMatching(/^ok {4}tls +it answers on 127\.0\.0\.1 only.*\nok {4}node +Node .*\n2 ok, 0 to look at, 0 to mend\n$/),
  ]);
  const failing = await run(['doctor', '--only', 'tls', '-o', 'json'], { env: { ...base, HOST: '0.0.0.0' } });
  expect(failing.code).toBe(1);
  expect(JSON.parse(failing.out)).toEqual({
    verdict: 'fail',
    findings: [{ check: 'tls', verdict: 'fail', says: expect.any(String), mend: expect.stringContaining('CORRAL_TLS_CERT') }],
  });
  expect((await run(['doctor', '--only', 'backup', '--strict', '--quiet'], { env: base })).code).toBe(1);
  expect((await run(['doctor', '--only', 'backup'], { env: base })).code).toBe(0);
  const strange = await run(['doctor', '--only', 'moon'], { env: base });
  expect([strange.code, strange.err]).toEqual([2, expect.stringContaining("there is no check 'moon'")]);
});
