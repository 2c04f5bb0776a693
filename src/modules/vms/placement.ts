import { sql, type RawBuilder } from 'kysely';
import { prepared } from '../../db/prepared.ts';
import type { Tx } from '../../db/transaction.ts';
import { Problem } from '../../kernel/problem.ts';
import type { Policy } from './vm-extras.ts';

/** What a virtual machine needs of its host. */
export interface Demand {
  readonly method: string;
  readonly cores: number;
  readonly ram: number;
  /** Bytes wanted in each pool, by pool id. */
  readonly pools: ReadonlyMap<number, number>;
  readonly project: number | null;
}

export interface Place {
  readonly hypervisor: number;
}

interface Reason {
  readonly name: string;
  readonly says: string;
  readonly fails: RawBuilder<unknown>;
}

/** Why a hypervisor `h` of node `n` cannot take it, in the order in which it is said. */
function reasons(demand: Demand): Reason[] {
  return [
    { name: 'not_running', says: 'its node is not running', fails: sql`n.state <> 'running'` },
    {
      name: 'method',
      says: `does not support ${demand.method}`,
      fails: sql`not exists (select from hypervisor_method m where m.hypervisor_id = h.id and m.virt_method = ${demand.method})`,
    },
    { name: 'cores', says: 'has not that many cores left', fails: sql`h.allocated_cores + ${demand.cores} > h.cores_limit` },
    { name: 'memory', says: 'has not that much memory left', fails: sql`h.allocated_ram + ${demand.ram} > h.ram_limit` },
    ...[...demand.pools].map(([pool, bytes]) => ({
      name: 'pool',
      says: 'has not the storage pool, or not that much space in it',
      fails: sql`not exists (select from pool_attachment a join storage_pool s on s.id = a.storage_pool_id
        where a.hypervisor_id = h.id and a.storage_pool_id = ${pool}
        and case when s.shared then s.capacity is null or s.allocated + ${bytes} <= s.capacity
          else a.capacity is null or a.allocated + ${bytes} <= a.capacity end)`,
    })),
  ];
}

function fits(demand: Demand): RawBuilder<unknown> {
  return sql.join(
    reasons(demand).map((reason) => sql`not (${reason.fails})`),
    sql` and `,
  );
}

/**
 * Picks a host and locks its row until the commit, so that what fits now fits then. Hosts that other
 * creations hold are passed over; only when no other fits does it wait for them.
 * @throws Problem no-capacity with the count of hypervisors refused for each reason
 */
export async function pickHypervisor(tx: Tx, demand: Demand, policy: Policy): Promise<number> {
  const within = hostsWithin(tx, 'h');
  const order = policy === 'round_robin' ? sql`h.placed_at, h.id` : sql`h.load, h.id`;
  const near = sql`exists (select from vm v where v.hypervisor_id = h.id and v.project_id = ${demand.project})`;
  const search = async (also: RawBuilder<unknown>, lock: RawBuilder<unknown>): Promise<number | undefined> => {
    const { rows } = await sql<{ id: string }>`${prepared}select h.id from hypervisor h join node n on n.id = h.node_id
      where ${fits(demand)} and ${within} and ${also} order by ${order} limit 1 for update of h ${lock}`.execute(tx.db);
    return rows[0] && Number(rows[0].id);
  };
  let id = policy === 'sticky' && demand.project !== null ? await search(near, sql``) : undefined;
  id ??= await search(sql`true`, sql`skip locked`);
  id ??= await search(sql`true`, sql``);
  if (id === undefined) throw await noCapacity(tx, demand);
  if (policy === 'round_robin') await sql`update hypervisor set placed_at = clock_timestamp() where id = ${id}`.execute(tx.db);
  return id;
}

/** The hosts that may be picked, as `h`: those of a place, for who works in that place only; customers see none and may get any. */
export function hostsWithin({ store: { catalog, rights } }: Tx, alias: string): RawBuilder<unknown> {
  const condition = rights?.condition(catalog.whole.byNoun('hypervisor').resource, 'read', alias) ?? true;
  return typeof condition === 'boolean' ? sql`true` : condition;
}

async function noCapacity(tx: Tx, demand: Demand): Promise<Problem> {
  const list = reasons(demand);
  const choice = sql.join(
    list.map((reason) => sql`when ${reason.fails} then ${sql.lit(reason.name)}`),
    sql` `,
  );
  const { rows } = await sql<{ reason: string | null; n: number }>`select case ${choice} end as reason, count(*)::int as n
    from hypervisor h join node n on n.id = h.node_id where ${hostsWithin(tx, 'h')} group by 1 order by 2 desc`.execute(tx.db);
  return capacityProblem(
    tx,
    demand,
    rows.map((row) => ({ reason: row.reason ?? 'taken_meanwhile', n: row.n })),
  );
}

/** That no host can take it: how many are refused for what, most first. */
export function capacityProblem({ store: { rights } }: Tx, demand: Demand, rows: readonly { readonly reason: string; readonly n: number }[]): Problem {
  /* How many hosts there are is not for customers. */
  if (rights && !rights.may('hypervisor:read')) return new Problem('no-capacity', 'There is no room for it just now');
  const list = reasons(demand);
  const refused = Object.fromEntries(rows.map((row) => [row.reason, row.n]));
  const total = rows.reduce((sum, row) => sum + row.n, 0);
  const says = rows.map((row) => `${row.n} ${list.find((reason) => reason.name === row.reason)?.says ?? 'was taken meanwhile'}`);
  const detail = total === 0 ? 'There is no hypervisor; make one first' : `None of ${total} hypervisors can take it: ${says.join('; ')}`;
  return new Problem('no-capacity', detail, { extra: { hypervisors: total, refused } });
}

/**
 * Locks the host that a request names.
 * @throws Problem hypervisor-unavailable, no-capacity
 */
export async function takeHypervisor(tx: Tx, id: number, demand: Demand): Promise<number> {
  const list = reasons(demand);
  const { rows } = await sql<
    Record<string, boolean | string>
  >`select n.fqdn, n.state, ${sql.join(list.map((reason, i) => sql`${reason.fails} as ${sql.id(`f${i}`)}`))}
    from hypervisor h join node n on n.id = h.node_id where h.id = ${id} for update of h`.execute(tx.db);
  const row = rows[0];
  if (!row) throw new Problem('not-found', `There is no hypervisor '${id}'`);
  const failed = list.filter((_, i) => row[`f${i}`] === true);
  if (failed.length === 0) return id;
  throw refusalOf(
    String(row['fqdn']),
    String(row['state']),
    demand,
    failed.map((reason) => reason.name),
  );
}

/** That the host which was asked for cannot take it, for these reasons. */
export function refusalOf(fqdn: string, state: string, demand: Demand, names: readonly string[]): Problem {
  const list = reasons(demand);
  const unavailable = names.some((name) => name === 'not_running' || name === 'method');
  const says = names.map((name) => (name === 'not_running' ? `its node is ${state}` : list.find((reason) => reason.name === name)!.says)).join('; ');
  return new Problem(unavailable ? 'hypervisor-unavailable' : 'no-capacity', `The hypervisor ${fqdn} cannot take it: ${says}`, {
    faults: [{ pointer: '/hypervisor', message: says }],
    extra: { hypervisors: 1, refused: Object.fromEntries(names.map((name) => [name, 1])) },
  });
}
