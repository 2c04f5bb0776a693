import pg from 'pg';
import type { LoadedConfig } from '../kernel/config.ts';
import { attachEmbedded } from '../db/embedded.ts';
import { connectionCheck, migrationsCheck, replicationCheck, rightsCheck, versionCheck } from './database.ts';
import { secretsCheck } from './keys.ts';
import { backupCheck, clockCheck, diskCheck, filesCheck, nodeCheck } from './machine.ts';
import { auditCheck, peopleCheck, tokensCheck, webhooksCheck } from './people.ts';
import { adminTokenCheck, encryptionKeyCheck, settingsCheck } from './settings.ts';
import { tlsCheck } from './tls.ts';
import { fail, type Check, type Finding, type Patient, type Verdict } from './types.ts';

/** All checks, in the order in which they are told. */
export const checks: readonly Check[] = [
  settingsCheck,
  tlsCheck,
  encryptionKeyCheck,
  filesCheck,
  diskCheck,
  nodeCheck,
  clockCheck,
  versionCheck,
  connectionCheck,
  rightsCheck,
  migrationsCheck,
  replicationCheck,
  backupCheck,
  secretsCheck,
  adminTokenCheck,
  tokensCheck,
  peopleCheck,
  webhooksCheck,
  auditCheck,
];

/** A finding, and the check that found it. */
export interface Told extends Finding {
  readonly check: string;
}

export interface Report {
  readonly verdict: Verdict;
  readonly findings: readonly Told[];
}

/** What an error says, without what a driver might add of its own. */
function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return (message || code || 'it failed').split('\n', 1)[0]!.slice(0, 200);
}

/**
 * Looks a deployment over. Nothing in it is changed: no migration runs, no file is made.
 * @param only names of checks; all when left out
 */
export async function examine(loaded: LoadedConfig, { only, now = new Date() }: { only?: readonly string[]; now?: Date } = {}): Promise<Report> {
  const { config, sources, file } = loaded;
  const chosen = checks.filter(({ name }) => !only || only.includes(name));
  const findings: Told[] = [];
  let client: pg.Client | undefined;
  try {
    const url = config.database_url?.reveal() ?? (await attachEmbedded(config.data));
    if (url === undefined) throw new Error(`no corral serve runs on ${config.data}, and DATABASE_URL is not set`);
    const opened = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000, application_name: 'corral doctor' });
    opened.on('error', () => undefined);
    await opened.connect();
    client = opened;
    await client.query(`set default_transaction_read_only = on; set statement_timeout = '120s'`);
  } catch (error) {
    if (chosen.some(({ needsDatabase }) => needsDatabase))
      findings.push({
        check: 'database',
        ...fail(
          `the database cannot be reached: ${reasonOf(error)}`,
          'Start it, or corral serve; and run this with the settings of the server (DATABASE_URL, CORRAL_DATA)',
        ),
      });
  }
  const patient: Patient = { config, sources, file, db: client, embedded: config.database_url === undefined, now };
  try {
    for (const { name, needsDatabase = false, run } of chosen) {
      if (needsDatabase && !client) continue;
      try {
        for (const finding of await run(patient as Patient & { db: pg.Client })) findings.push({ check: name, ...finding });
      } catch (error) {
        findings.push({
          check: name,
          ...fail(`it could not be checked: ${reasonOf(error)}`, 'See that this runs as the user of corral serve, with its settings'),
        });
      }
    }
  } finally {
    await client?.end().catch(() => undefined);
  }
  const has = (verdict: Verdict): boolean => findings.some((one) => one.verdict === verdict);
  return { verdict: has('fail') ? 'fail' : has('warn') ? 'warn' : 'ok', findings };
}
