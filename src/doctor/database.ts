import { migrationFiles } from '../db/migrate.ts';
import { loopback } from '../kernel/config.ldap.ts';
import { count, fail, ok, some, warn, type Check, type Finding } from './types.ts';

/** When the community ends its care for a version (postgresql.org/support/versioning). */
const ENDS: Readonly<Record<number, string>> = { 14: '2026-11-12', 15: '2027-11-11', 16: '2028-11-09', 17: '2029-11-08', 18: '2030-11-14' };
const OLDEST = 14;

export const versionCheck: Check = {
  name: 'postgresql',
  needsDatabase: true,
  run: async ({ db, now }) => {
    const { rows } = await db.query<{
      number: number;
      version: string;
      fsync: string;
      full: string;
      commit: string;
      age: number;
      standby: boolean;
      most: number;
    }>(
      `select current_setting('server_version_num')::int as number, current_setting('server_version') as version, current_setting('fsync') as fsync,
        current_setting('full_page_writes') as full, current_setting('synchronous_commit') as commit, pg_is_in_recovery() as standby,
        current_setting('max_connections')::int as most, (select age(datfrozenxid)::float8 from pg_database where datname = current_database()) as age`,
    );
    const { number, version, fsync, full, commit, age, standby } = rows[0]!;
    const major = Math.floor(number / 10_000);
    const end = ENDS[major];
    const out: Finding[] = [];
    if (major < OLDEST) out.push(fail(`PostgreSQL ${version} is too old`, `Upgrade to ${OLDEST} or later`));
    else if (end !== undefined && Date.parse(end) < now.getTime())
      out.push(warn(`PostgreSQL ${version} gets no more security fixes since ${end}`, 'Upgrade it'));
    else out.push(ok(`PostgreSQL ${version}`));
    if (standby)
      out.push(
        fail(
          'this database is a standby: nothing can be changed',
          'Set DATABASE_URL to the primary; several hosts and target_session_attrs=read-write find it',
        ),
      );
    for (const [name, value] of Object.entries({ fsync, full_page_writes: full, synchronous_commit: commit }))
      if (value === 'off') out.push(fail(`${name} is off: what was acknowledged may be lost`, `Set ${name} = on in postgresql.conf, and reload`));
    if (age > 1_500_000_000) out.push(fail('the database is about to run out of transaction ids', 'vacuumdb --freeze, and see why autovacuum does not'));
    return out;
  },
};

export const migrationsCheck: Check = {
  name: 'migrations',
  needsDatabase: true,
  run: async ({ db }) => {
    const { rows: there } = await db.query<{ there: boolean }>(`select to_regclass('migration') is not null as there`);
    if (!there[0]!.there) return [fail('this database is not one of Corral', 'Start corral serve on it, or correct DATABASE_URL')];
    const { rows } = await db.query<{ name: string }>(`select name from migration where name ~ '^[0-9]'`);
    const done = new Set(rows.map(({ name }) => name));
    const files = migrationFiles().map(({ name }) => name);
    const missing = files.filter((name) => !done.has(name));
    const newer = [...done].filter((name) => !files.includes(name));
    if (newer.length > 0) return [fail(`the database was made by a newer version (${some(newer)})`, 'Run the newer version here, too')];
    if (missing.length > 0) return [fail(`${count(missing.length, 'migration')} did not run yet: ${some(missing)}`, 'corral migrate, or start corral serve')];
    return [ok(`all ${files.length} migrations ran`)];
  },
};

export const rightsCheck: Check = {
  name: 'database-rights',
  needsDatabase: true,
  run: async ({ db, embedded }) => {
    const { rows } = await db.query<{ me: string; super: boolean; createrole: boolean; foreign: string[]; everybody: string[] }>(
      `select current_user as me, r.rolsuper as super, r.rolcreaterole as createrole,
        array(select c.relname::text from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and not pg_has_role(c.relowner, 'member') order by 1) as foreign,
        array(select c.relname::text from pg_class c, aclexplode(c.relacl) a where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.grantee = 0 group by 1 order by 1) as everybody
      from pg_roles r where r.rolname = current_user`,
    );
    const { me, foreign, everybody, ...role } = rows[0]!;
    const out: Finding[] = [];
    if (role.super && !embedded)
      out.push(
        warn(
          `Corral comes to PostgreSQL as the superuser ${me}`,
          `create role corral login password '...'; and make it the owner: reassign owned by ${me} to corral does not work for a superuser that owns more, so use pg_dump -O and restore as corral`,
        ),
      );
    else if (role.createrole && !embedded) out.push(warn(`the role ${me} may make other roles`, `alter role ${me} nocreaterole`));
    if (foreign.length > 0)
      out.push(fail(`${me} is not the owner of ${count(foreign.length, 'table')}, and cannot migrate: ${some(foreign)}`, `alter table ... owner to ${me}`));
    if (everybody.length > 0)
      out.push(fail(`every role of PostgreSQL may come to ${some(everybody)}`, `revoke all on all tables in schema public from public`));
    return out.length > 0 ? out : [ok(embedded ? 'the embedded PostgreSQL lets in nobody but its account' : `${me} owns the tables, and is no superuser`)];
  },
};

export const connectionCheck: Check = {
  name: 'database-connection',
  needsDatabase: true,
  run: async ({ config, db, embedded }) => {
    if (embedded) return [ok('the embedded PostgreSQL is reached over a socket')];
    const url = new URL(config.database_url!.reveal());
    const out: Finding[] = [];
    const { rows } = await db.query<{ ssl: boolean | null; version: string | null; address: string | null; most: number; taken: number }>(
      `select s.ssl, s.version, host(inet_server_addr()) as address, current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as most,
        (select count(*)::int from pg_stat_activity where datname = current_database()) as taken from (select 1) one left join pg_stat_ssl s on s.pid = pg_backend_pid()`,
    );
    const { ssl, version, address, most, taken } = rows[0]!;
    const mode = url.searchParams.get('sslmode');
    if (address === null || loopback(address) || address === '::1') out.push(ok('the database is on this machine'));
    else if (!ssl)
      out.push(
        fail(
          `the connection to ${url.hostname} is not encrypted: secrets and passwords go over the wire in the clear`,
          'Add ?sslmode=verify-full&sslrootcert=/path/ca.pem to DATABASE_URL, and hostssl to pg_hba.conf',
        ),
      );
    else if (mode === 'no-verify')
      out.push(
        warn(
          `the connection to ${url.hostname} is encrypted, and anybody could be at its other end`,
          'Use sslmode=verify-full in DATABASE_URL, and sslrootcert',
        ),
      );
    else out.push(ok(`the connection to ${url.hostname} is encrypted (${version})`));
    /* The pool of writes, half of it for reads, the watcher, and one to spare. */
    const wanted = config.pool_size + Math.max(2, Math.floor(config.pool_size / 2)) + 2;
    if (wanted > most)
      out.push(fail(`one process may take ${wanted} connections, and PostgreSQL gives ${most}`, 'Raise max_connections, or lower CORRAL_POOL_SIZE'));
    else if (taken > most * 0.8) out.push(warn(`${taken} of ${most} connections are taken`, 'Raise max_connections, or lower CORRAL_POOL_SIZE'));
    return out;
  },
};

export const replicationCheck: Check = {
  name: 'replication',
  needsDatabase: true,
  run: async ({ db, embedded }) => {
    const { rows } = await db.query<{ name: string; state: string | null; sync: string | null; lag: number | null; seen: boolean }>(
      `select application_name as name, state, sync_state as sync, extract(epoch from replay_lag)::float8 as lag, pg_has_role('pg_monitor', 'member') as seen from pg_stat_replication`,
    );
    const { rows: slots } = await db.query<{ name: string; bytes: string | null }>(
      `select slot_name::text as name, pg_size_pretty(pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, restart_lsn)) as bytes
        from pg_replication_slots where not active`,
    );
    const out: Finding[] = slots.map(({ name, bytes }) =>
      fail(
        `nobody reads the replication slot ${name}: ${bytes ?? 'some'} of log is kept for it, until the disk is full`,
        `Start its standby, or select pg_drop_replication_slot('${name}')`,
      ),
    );
    if (rows.length === 0) {
      const more = embedded
        ? 'The embedded PostgreSQL has none: use a PostgreSQL of your own (DATABASE_URL) where the fleet must not wait for a restored backup'
        : 'Set up a standby, so that the fleet does not wait for a restored backup';
      return [...out, warn('there is no standby: with this database goes everything since the last backup', more)];
    }
    for (const { name, state, lag, seen } of rows) {
      if (!seen && state === null) out.push(warn(`how the standby ${name} does cannot be seen`, 'grant pg_monitor to the role of Corral'));
      else if (state !== 'streaming') out.push(warn(`the standby ${name} is not up to date (${state ?? 'unknown'})`, 'See its log'));
      else if ((lag ?? 0) > 60) out.push(warn(`the standby ${name} is ${Math.round(lag!)} s behind`, 'See its log, and its disk'));
      else out.push(ok(`the standby ${name} follows`));
    }
    if (rows.some(({ state }) => state !== null) && !rows.some(({ sync }) => sync === 'sync' || sync === 'quorum'))
      out.push(
        warn('no standby is synchronous: a failover loses what was acknowledged in the last moments', "Set synchronous_standby_names, e.g. 'ANY 1 (*)'"),
      );
    return out;
  },
};
