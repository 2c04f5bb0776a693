import { execFile } from 'node:child_process';
import { lstatSync, readdirSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DAY, fail, ok, warn, type Check, type Finding } from './types.ts';

const GIB = 2 ** 30;
/** The major version that Corral is made for. */
const NODE = 24;

export const nodeCheck: Check = {
  name: 'node',
  run: () => {
    const major = Number(process.versions.node.split('.')[0]);
    return [major >= NODE ? ok(`Node ${process.versions.node}`) : fail(`Node ${process.versions.node} is too old`, `Install Node ${NODE}`)];
  },
};

export const diskCheck: Check = {
  name: 'disk',
  run: ({ config }) => {
    const stat = statSync(config.data, { throwIfNoEntry: false });
    const path = stat ? config.data : '.';
    const { bavail, blocks, bsize, ffree, files } = statfsSync(path);
    const part = blocks === 0 ? 1 : bavail / blocks;
    const free = bavail * bsize;
    const says = `${(free / GIB).toFixed(1)} GiB (${Math.floor(part * 100)} %) of the disk of ${config.data} are free`;
    const mend = 'Make room; when the disk is full, PostgreSQL stops and no change can be made';
    if (files > 0 && ffree / files < 0.02) return [fail(`the disk of ${config.data} has hardly any inodes left`, mend)];
    return [part < 0.03 || free < GIB / 2 ? fail(says, mend) : part < 0.1 && free < 20 * GIB ? warn(says, mend) : ok(says)];
  },
};

export const filesCheck: Check = {
  name: 'files',
  run: ({ config, embedded }) => {
    const stat = statSync(config.data, { throwIfNoEntry: false });
    if (!stat) return embedded ? [fail(`there is no data folder ${config.data}`, 'Set CORRAL_DATA to the one of corral serve')] : [];
    const out: Finding[] = [];
    const look = (path: string, closed: boolean): void => {
      const found = lstatSync(path);
      /* Sockets and links: who may use them is said by what they lead to. */
      if (!found.isFile() && !found.isDirectory()) return;
      const { mode, uid } = found;
      const shown = `${path} (mode ${(mode & 0o777).toString(8)})`;
      if ((mode & 0o022) !== 0 && (mode & 0o1000) === 0) out.push(fail(`others may write to ${shown}`, `chmod go-w ${path}`));
      else if (closed && (mode & 0o077) !== 0) out.push(fail(`others may read ${shown}`, `chmod go= ${path}`));
      if (uid !== stat.uid && found.isFile()) out.push(warn(`${path} belongs to another user than its folder`, `chown it to the user of corral serve`));
    };
    look(config.data, false);
    for (const name of readdirSync(config.data)) look(join(config.data, name), /^encryption\.key|^postgres$/.test(name));
    return out.length > 0 ? out : [ok(`nobody else may write to ${config.data}`)];
  },
};

/** Seconds that the clocks may differ; from the second on tokens, codes and certificates go wrong. */
const NEAR = 2;
const FAR = 20;

export const clockCheck: Check = {
  name: 'clock',
  run: async ({ db }) => {
    const out: Finding[] = [];
    const patientDb = db as typeof db | undefined;
    if (patientDb) {
      const before = Date.now();
      const { rows } = await patientDb.query<{ at: number }>('select extract(epoch from clock_timestamp())::float8 * 1000 as at');
      const after = Date.now();
      const off = Math.max(0, before - rows[0]!.at, rows[0]!.at - after) / 1000;
      const says = `this clock and that of the database differ by ${off.toFixed(1)} s`;
      const mend = 'Let both take their time from the same servers (chrony or systemd-timesyncd)';
      out.push(off >= FAR ? fail(says, mend) : off >= NEAR ? warn(says, mend) : ok('this clock is that of the database'));
    }
    const told = await promisify(execFile)('timedatectl', ['show', '-p', 'NTPSynchronized', '--value'], { timeout: 3000 }).catch(() => undefined);
    if (told?.stdout.trim() === 'no') out.push(warn('this clock is set by no time server', 'timedatectl set-ntp true, or install chrony'));
    if (told?.stdout.trim() === 'yes') out.push(ok('this clock is set by a time server'));
    return out;
  },
};

const mendBackup = 'See docs/operations.md, Backup and restore; let what makes backups touch the file of CORRAL_BACKUP_STAMP when one was good';

export const backupCheck: Check = {
  name: 'backup',
  run: async ({ config, db, now }) => {
    const { backup_stamp: stamp } = config;
    if (stamp !== undefined) {
      const stat = statSync(stamp, { throwIfNoEntry: false });
      if (!stat) return [fail(`there is no ${stamp}: no backup was ever good`, mendBackup)];
      const hours = Math.floor((now.getTime() - stat.mtimeMs) / 3_600_000);
      const says = `the last good backup was ${hours < 72 ? `${hours} hours` : `${Math.floor(hours / 24)} days`} ago`;
      return [hours * 3_600_000 > 7 * DAY ? fail(says, mendBackup) : hours > 26 ? warn(says, mendBackup) : ok(says)];
    }
    const patientDb = db as typeof db | undefined;
    if (!patientDb) return [];
    const { rows } = await patientDb.query<{ mode: string; hours: number | null; failing: boolean }>(
      `select current_setting('archive_mode') as mode, floor(extract(epoch from now() - last_archived_time) / 3600)::int as hours,
        coalesce(last_failed_time > coalesce(last_archived_time, 'epoch'), false) as failing from pg_stat_archiver`,
    );
    const { mode, hours, failing } = rows[0]!;
    if (mode === 'off') return [warn('nothing tells of backups: PostgreSQL archives nothing, and CORRAL_BACKUP_STAMP is not set', mendBackup)];
    if (failing) return [fail('PostgreSQL cannot archive its log', 'See the log of PostgreSQL for what archive_command says')];
    if (hours === null) return [fail('PostgreSQL is to archive its log, and never did', 'See the log of PostgreSQL; is archive_command set?')];
    return [
      hours > 26 ? warn(`PostgreSQL archived its log ${hours} hours ago for the last time`, 'See the log of PostgreSQL') : ok('PostgreSQL archives its log'),
    ];
  },
};
