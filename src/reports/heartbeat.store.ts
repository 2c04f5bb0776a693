import { sql } from 'kysely';
import type pg from 'pg';
import { CHANNEL, notifyStatus } from '../db/notify.ts';
import { prepared } from '../db/prepared.ts';
import { transaction, type Store, type Tx } from '../db/transaction.ts';
import type { Heartbeat, Seen } from './heartbeat.ts';
import { touchForFacts } from '../modules/layers/facts.ts';
import { idOfDomain, lockStatus, noNode } from './run.store.ts';

/** What a host is answered. */
export interface HeartbeatAnswer {
  /** Seconds to its next heartbeat. */
  readonly interval: number;
  /** The newest version of its document. */
  readonly document: string;
  /** Seconds over which hosts start at random; heartbeats are spread by themselves, so none. */
  readonly spread: number;
}

/**
 * A whole heartbeat in one small statement: an update in place of one narrow row. It says what was taken
 * over last, so that only a change needs more, and tells who waits when another document was applied or a run began or ended.
 */
const BEAT = `with old as (
    select s.node_id, s.seen, s.applied is distinct from coalesce($9, s.applied) as moved, (s.running_since is null) <> ($8::timestamptz is null) as turned
    from node n join node_status s on s.node_id = n.id where n.fqdn = $1 for update of s),
  beat as (update node_status s set heartbeat_at = now(), boot_id = $2, uptime = $3, load = $4, memory_total = $5, memory_free = $6, disks = $7, running_since = $8,
    applied = coalesce($9, s.applied), applied_at = case when old.moved then now() else s.applied_at end from old where s.node_id = old.node_id)
  select old.seen, d.number || '-' || d.hash as document,
    case when old.moved or old.turned then pg_notify('${CHANNEL}', json_build_object('kind', 'status', 'node', old.node_id)::text) end
  from old join document d on d.node_id = old.node_id`;

/** Takes a heartbeat in. @throws Problem not-found */
export async function recordHeartbeat(pool: pg.Pool, store: Store, beat: Heartbeat): Promise<HeartbeatAnswer> {
  const { rows } = await pool.query<{ seen: string; document: string }>({
    name: 'heartbeat',
    text: BEAT,
    values: [
      beat.node,
      beat.boot_id,
      beat.uptime,
      beat.load,
      beat.memory?.total ?? null,
      beat.memory?.free ?? null,
      beat.disks,
      beat.running_since,
      beat.document,
    ],
  });
  const row = rows[0];
  if (!row) throw noNode(beat.node);
  if (beat.facts || beat.things || (beat.domains && beat.seen !== row.seen)) await transaction(store, async (tx) => observe(tx, beat));
  return { interval: store.reporting.interval, document: row.document, spread: 0 };
}

/** Takes over what a host sees; only what differs is written. */
async function observe(tx: Tx, beat: Heartbeat): Promise<void> {
  const { node_id: node } = await lockStatus(tx, beat.node);
  let changes = 0;
  if (beat.things) changes += await takeThings(tx, node, beat.things);
  if (beat.domains) changes += await takeStates(tx, node, beat.domains, beat.things?.['domain'] === undefined);
  const states = beat.domains ?? beat.things?.['domain'];
  if (states) changes += await takeVmStates(tx, node, states);
  if (beat.facts) changes += await takeFacts(tx, node, beat.facts);
  await sql`${prepared}update node_status s set seen = case when ${beat.domains !== undefined} then ${beat.seen} else s.seen end,
    restarts = (select count(*) from observation o where o.node_id = s.node_id and o.kind = 'domain' and o.pending <> '[]') where s.node_id = ${node}`.execute(
    tx.db,
  );
  if (changes > 0) await notifyStatus(tx.db, node);
}

/** Everything that the host sees of some kinds; what it no longer sees is absent, or forgotten where no report names it. */
async function takeThings(tx: Tx, node: number, things: Readonly<Record<string, readonly Seen[]>>): Promise<number> {
  const seen = JSON.stringify(Object.entries(things).flatMap(([kind, list]) => list.map((one) => ({ kind, ...one }))));
  const { numAffectedRows: written } = await sql`${prepared}insert into observation as o (node_id, kind, name, state, managed, pending, detail, observed_at)
    select distinct on (x.kind, x.name) ${node}::bigint, x.kind, x.name, coalesce(x.state, 'present'), x.managed, x.pending, x.detail, now()
    from jsonb_to_recordset(${seen}::jsonb) as x (kind text, name text, state text, managed boolean, pending jsonb, detail jsonb)
    on conflict (node_id, kind, name) do update set state = excluded.state, managed = excluded.managed, pending = excluded.pending, detail = excluded.detail,
      observed_at = case when o.state is distinct from excluded.state then now() else o.observed_at end, version = o.version + 1, updated_at = now()
    where (o.state, o.managed, o.pending, o.detail) is distinct from (excluded.state, excluded.managed, excluded.pending, excluded.detail)`.execute(tx.db);
  return Number(written ?? 0) + (await forget(tx, node, Object.keys(things), seen));
}

async function forget(tx: Tx, node: number, kinds: readonly string[], seen: string): Promise<number> {
  const { rows } = await sql<{ n: number }>`${prepared}with gone as (select o.id, o.result from observation o where o.node_id = ${node}
      and o.kind = any(${[...kinds]}::text[]) and o.state is not null and (o.state <> 'absent' or o.result is null)
      and (o.kind, o.name) not in (select x.kind, x.name from jsonb_to_recordset(${seen}::jsonb) as x (kind text, name text))),
    forgotten as (delete from observation o using gone g where o.id = g.id and g.result is null),
    absent as (update observation o set state = 'absent', pending = '[]', observed_at = now(), version = o.version + 1, updated_at = now()
      from gone g where o.id = g.id and g.result is not null)
    select count(*)::int as n from gone`.execute(tx.db);
  return rows[0]!.n;
}

type DomainState = NonNullable<Heartbeat['domains']>[number];

/** The states of all domains, which every heartbeat has; the rest of them stays as it was seen last. */
async function takeStates(tx: Tx, node: number, domains: readonly DomainState[], all: boolean): Promise<number> {
  const seen = JSON.stringify(domains.map((one) => ({ kind: 'domain', ...one })));
  const { numAffectedRows: written } = await sql`${prepared}insert into observation as o (node_id, kind, name, state, detail, observed_at)
    select ${node}::bigint, x.kind, x.name, x.state, jsonb_strip_nulls(jsonb_build_object('uuid', x.uuid)), now()
    from jsonb_to_recordset(${seen}::jsonb) as x (kind text, name text, state text, uuid text)
    on conflict (node_id, kind, name) do update set state = excluded.state, observed_at = now(), version = o.version + 1, updated_at = now()
    where o.state is distinct from excluded.state`.execute(tx.db);
  return Number(written ?? 0) + (all ? await forget(tx, node, ['domain'], seen) : 0);
}

/** What hosts call a state, in libvirt's words. */
const observedStates: Readonly<Record<string, string>> = { running: 'running', paused: 'paused', stopped: 'shutoff', crashed: 'crashed' };

/** The observed state of the host's virtual machines: neither their version nor any document knows of it. */
async function takeVmStates(tx: Tx, node: number, domains: readonly { name: string; uuid: string | null; state: string | null }[]): Promise<number> {
  const states = domains.flatMap(({ name, uuid, state }) => idOfDomain(name).map((id) => ({ id, uuid, state: observedStates[state ?? ''] ?? 'nostate' })));
  const { numAffectedRows: changed } = await sql`${prepared}update vm v set observed_state = x.state, observed_at = now()
    from jsonb_to_recordset(${JSON.stringify(states)}::jsonb) as x (id bigint, uuid text, state text)
    where v.id = x.id and v.hypervisor_id = (select h.id from hypervisor h where h.node_id = ${node})
      and (x.uuid is null or lower(x.uuid) = v.uuid::text) and v.observed_state <> x.state`.execute(tx.db);
  const { numAffectedRows: lost } = await sql`${prepared}update vm v set observed_state = 'nostate', observed_at = now()
    where v.hypervisor_id = (select h.id from hypervisor h where h.node_id = ${node}) and v.observed_state not in ('unknown', 'nostate')
      and v.id <> all(${states.map((one) => one.id)}::bigint[])`.execute(tx.db);
  return Number(changed ?? 0) + Number(lost ?? 0);
}

/** What the host is made of, as its own package says. */
async function takeFacts(tx: Tx, node: number, facts: Readonly<Record<string, unknown>>): Promise<number> {
  const { numAffectedRows } =
    await sql`${prepared}insert into node_facts as f (node_id, facts, observed_at) values (${node}, ${JSON.stringify(facts)}::jsonb, now())
    on conflict (node_id) do update set facts = excluded.facts, observed_at = now(), version = f.version + 1, updated_at = now()
    where f.facts is distinct from excluded.facts`.execute(tx.db);
  if (numAffectedRows) await touchForFacts(tx, node);
  return Number(numAffectedRows ?? 0);
}

/** Takes over Facter's facts; they stand in for the host's own until those come. @throws Problem not-found */
export async function recordToolFacts(
  store: Store,
  fqdn: string,
  facts: Readonly<Record<string, unknown>>,
  all: Readonly<Record<string, unknown>>,
): Promise<void> {
  await transaction(store, async (tx) => {
    const { node_id: node } = await lockStatus(tx, fqdn);
    await sql`${prepared}insert into node_facts as f (node_id, facts, tool_facts, tool_at) values (${node}, ${JSON.stringify(facts)}::jsonb, ${JSON.stringify(all)}::jsonb, now())
      on conflict (node_id) do update set facts = case when f.observed_at is null then excluded.facts else f.facts end, tool_facts = excluded.tool_facts,
        tool_at = now(), version = f.version + 1, updated_at = now()`.execute(tx.db);
    await touchForFacts(tx, node);
  });
}
