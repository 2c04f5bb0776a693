import { sql } from 'kysely';
import { notifyStatus } from '../db/notify.ts';
import { prepared } from '../db/prepared.ts';
import { transaction, type Store, type Tx } from '../db/transaction.ts';
import type { DocumentBody } from '../documents/document.ts';
import { openBody } from '../documents/rebuild.load.ts';
import { Problem } from '../kernel/problem.ts';
import { forgetting } from '../modules/control/tombstones.ts';
import { kinds } from '../modules/reports/observation.ts';
import type { Outcome } from '../modules/reports/status.ts';
import { entryDigests } from './entries.ts';
import type { Run, Thing } from './run.ts';

/** What the sender of a report is answered; the same again when it sends the report again. */
export interface Recorded {
  readonly node: string;
  readonly run: string;
  readonly outcome: Outcome;
}

export const noNode = (fqdn: string): Problem =>
  new Problem('not-found', `There is no node '${fqdn.slice(0, 300)}'; make it first, or look for a typing error in its certname or minion id`);

/** How a node stood before a run. */
interface Before {
  readonly node_id: number;
  /** When the newest run began, in milliseconds. */
  readonly run_at: number | null;
  readonly confirmed: string | null;
  /** Whether heartbeats say what runs there: they know better than a report. */
  readonly beating: boolean;
}

/** What a run came to: the first that is true. */
export function outcomeOf(run: Run, confirmed: string | null): Outcome {
  if (run.compile_failed) return 'compile_failed';
  if (run.failed) return 'failed';
  if (run.withheld) return 'pending';
  if (!run.changed) return 'converged';
  return run.corrective || (run.served !== null && run.served === confirmed) ? 'drift_corrected' : 'changed';
}

/**
 * Stores a run, once for each (node, run id). The newest run of a node makes its status, and says of each
 * thing how it went; what it has removed for good leaves the document. Older runs that come late are kept
 * for reading and change nothing else.
 * @throws Problem not-found
 */
export async function recordRun(store: Store, run: Run): Promise<Recorded> {
  return transaction(store, async (tx) => {
    const before = await lockStatus(tx, run.node);
    const began = new Date(Math.min(run.began_at.getTime(), Date.now()));
    const outcome = outcomeOf(run, before.confirmed);
    const known = await insertReport(tx, before.node_id, run, began, outcome);
    if (known !== undefined) return { node: run.node, run: run.run, outcome: known };
    if (before.run_at === null || began.getTime() >= before.run_at) {
      await updateThings(tx, before, run, began);
      if (!before.beating) await inferStates(tx, before.node_id, run, began);
      await updateStatus(tx, before.node_id, run, began, outcome);
      await dropTombstones(tx, before.node_id, run);
    }
    await notifyStatus(tx.db, before.node_id);
    return { node: run.node, run: run.run, outcome };
  });
}

/** Locks the status row, so that the reports of one node come one after another. @throws Problem not-found */
export async function lockStatus(tx: Tx, fqdn: string): Promise<Before> {
  const { rows } = await sql<Before>`${prepared}select s.node_id::float8 as node_id, floor(extract(epoch from s.run_at) * 1000)::float8 as run_at, s.confirmed,
    coalesce(s.heartbeat_at > now() - ${6 * tx.store.reporting.interval} * interval '1 second', false) as beating
    from node n join node_status s on s.node_id = n.id where n.fqdn = ${fqdn} for update of s`.execute(tx.db);
  if (!rows[0]) throw noNode(fqdn);
  return rows[0];
}

/** @returns what the report came to when it was stored before, else undefined */
async function insertReport(tx: Tx, node: number, run: Run, began: Date, outcome: Outcome): Promise<Outcome | undefined> {
  const { rows } =
    await sql`${prepared}insert into report (node_id, run, tool, tool_version, outcome, noop, environment, served, applied, began_at, ended_at, counts, message, resources, logs)
    values (${node}, ${run.run}, ${run.tool}, ${run.tool_version}, ${outcome}, ${run.noop}, ${run.environment}, ${run.served}, ${run.applied}, ${began}, ${run.ended_at},
      ${JSON.stringify(run.counts)}::jsonb, ${run.message}, ${JSON.stringify(run.entries)}::jsonb, ${JSON.stringify(run.logs)}::jsonb)
    on conflict (node_id, run) do nothing returning id`.execute(tx.db);
  if (rows.length === 0) {
    const { rows: stored } = await sql<{ outcome: Outcome }>`select outcome from report where node_id = ${node} and run = ${run.run}`.execute(tx.db);
    return stored[0]!.outcome;
  }
  await sql`${prepared}delete from report where node_id = ${node} and id in
    (select id from report where node_id = ${node} order by began_at desc, id desc offset ${tx.store.reporting.kept})`.execute(tx.db);
  return undefined;
}

async function updateStatus(tx: Tx, node: number, run: Run, began: Date, outcome: Outcome): Promise<void> {
  await sql`${prepared}update node_status s set outcome = ${outcome}, run_at = ${began}, tool = ${run.tool}, message = ${run.message}, reported_at = now(),
    stale_at = now() + ${tx.store.reporting.staleAfter} * interval '1 second',
    served = coalesce(${run.served}, s.served), served_at = case when ${run.served}::text is null then s.served_at else ${began} end,
    applied = coalesce(${run.applied}, s.applied),
    applied_at = case when ${run.applied}::text is null or ${run.applied} = s.applied then s.applied_at else now() end,
    confirmed = coalesce(${run.applied}, s.confirmed),
    restarts = (select count(*) from observation o where o.node_id = s.node_id and o.kind = 'domain' and o.pending <> '[]')
    where s.node_id = ${node}`.execute(tx.db);
}

const known: ReadonlySet<string> = new Set(kinds);

/** The things of a run that are kept: the record of the document itself is part of the status. */
const kept = (run: Run): Thing[] => run.things.filter((thing) => known.has(thing.kind) && thing.kind !== 'document');

/** Writes how each thing went, where that is other than before; of things that a complete report no longer names nothing stays. */
async function updateThings(tx: Tx, before: Before, run: Run, began: Date): Promise<void> {
  const node = before.node_id;
  const digests = await appliedEntries(tx, before, run);
  const things = JSON.stringify(
    kept(run).map((thing) => ({ ...thing, entry: thing.result === 'ok' ? (digests?.get(`${thing.kind} ${thing.name}`) ?? null) : null })),
  );
  await sql`${prepared}insert into observation as o (node_id, kind, name, result, error, result_at, pending, entry)
    select distinct on (x.kind, x.name) ${node}::bigint, x.kind, x.name, x.result, x.error, ${began}::timestamptz, x.pending, x.entry
    from jsonb_to_recordset(${things}::jsonb) as x (kind text, name text, result text, error text, pending jsonb, entry text)
    on conflict (node_id, kind, name) do update set result = excluded.result, error = excluded.error, result_at = excluded.result_at,
      pending = case when excluded.pending = '[]' or o.pending = '[]' then excluded.pending else o.pending end,
      entry = coalesce(excluded.entry, o.entry), version = o.version + 1, updated_at = now()
    where (o.result, o.error, o.entry, o.pending = '[]') is distinct from (excluded.result, excluded.error, coalesce(excluded.entry, o.entry), excluded.pending = '[]')`.execute(
    tx.db,
  );
  if (!run.complete) return;
  await sql`${prepared}with gone as (select o.id, o.state from observation o where o.node_id = ${node} and o.result is not null
      and (o.kind, o.name) not in (select x.kind, x.name from jsonb_to_recordset(${things}::jsonb) as x (kind text, name text))),
    forgotten as (delete from observation o using gone g where o.id = g.id and g.state is null)
    update observation o set result = null, error = null, result_at = null, entry = null, version = o.version + 1, updated_at = now()
    from gone g where o.id = g.id and g.state is not null`.execute(tx.db);
}

/** Digests of the entries of the document that the run was given, while that is the newest and was not yet applied in full. */
async function appliedEntries(tx: Tx, before: Before, run: Run): Promise<Map<string, string> | undefined> {
  if (run.served === null || run.noop || run.served === before.confirmed) return undefined;
  const { rows } = await sql<{
    version: string;
    body: DocumentBody;
  }>`${prepared}select number || '-' || d.hash as version, v.body from document d join document_version v using (node_id, number) where node_id = ${before.node_id}`.execute(
    tx.db,
  );
  const row = rows[0];
  return row?.version === run.served ? entryDigests(openBody(tx.store.secrets, before.node_id, row.body)) : undefined;
}

/**
 * Without heartbeats the state of a virtual machine is what a run left it in: what was asked, unless
 * that changed since the run began.
 */
async function inferStates(tx: Tx, node: number, run: Run, began: Date): Promise<void> {
  const ids = run.noop ? [] : run.things.flatMap((thing) => (thing.kind === 'domain' && thing.result === 'ok' ? idOfDomain(thing.name) : []));
  if (ids.length === 0) return;
  /* One that another host has not let go of yet is kept down. */
  const stopped = sql`v.state = 'stopped' or exists (select from tombstone t where t.kind = 'domain' and t.name = 'vm-' || v.id and t.node_id <> ${node})`;
  const { numAffectedRows } = await sql`${prepared}update vm v set observed_state = case when ${stopped} then 'shutoff' else v.state end, observed_at = now()
    where v.id = any(${ids}::bigint[]) and v.hypervisor_id = (select h.id from hypervisor h where h.node_id = ${node}) and v.updated_at <= ${began}
      and v.observed_state is distinct from case when ${stopped} then 'shutoff' else v.state end`.execute(tx.db);
  /* The next heartbeat, should one come, says what there really is. */
  if (numAffectedRows) await sql`${prepared}update node_status set seen = '' where node_id = ${node}`.execute(tx.db);
}

/** The id of the virtual machine of a domain `vm-<id>`, in a list; empty for domains of others. */
export function idOfDomain(name: string): number[] {
  const id = /^vm-(\d{1,15})$/.exec(name)?.[1];
  return id === undefined ? [] : [Number(id)];
}

const tombstoneKinds: Readonly<Record<string, string>> = { osd: 'ceph_osd', mon: 'ceph_mon', key: 'ceph_key' };

/**
 * A run that applied the newest document has removed what that names as gone: its tombstones leave, but for
 * those whose removal failed. Under the lock of the document, so that none leaves that came after the run.
 */
async function dropTombstones(tx: Tx, node: number, run: Run): Promise<void> {
  if (run.applied === null || run.noop) return;
  const { rows: buried } = await sql<{ id: number; kind: string; name: string }>`${prepared}select t.id::float8 as id, t.kind, t.name
    from tombstone t join document d on d.node_id = t.node_id where t.node_id = ${node} and d.number || '-' || d.hash = ${run.applied} order by t.id`.execute(
    tx.db,
  );
  /* A key is named with its cluster on the host, and without it here. */
  const left = new Set(
    run.things.flatMap((thing) => (thing.result === 'ok' ? [] : [`${thing.kind} ${thing.name}`, `${thing.kind} ${thing.name.replace(/^[^/]+\//, '')}`])),
  );
  const ids = buried.filter(({ kind, name }) => !left.has(`${tombstoneKinds[kind] ?? kind} ${name}`)).map((one) => one.id);
  if (ids.length === 0) return;
  /* Locks virtual machines, which come before documents in every transaction. */
  await forgetting(tx, ids);
  const { rows } = await sql<{ version: string }>`${prepared}select number || '-' || hash as version from document where node_id = ${node} for update`.execute(
    tx.db,
  );
  if (rows[0]?.version === run.applied) await sql`${prepared}delete from tombstone where id = any(${ids}::bigint[])`.execute(tx.db);
}
