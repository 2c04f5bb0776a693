import { sql } from 'kysely';
import type { Tx } from '../../db/transaction.ts';
import { Problem } from '../../kernel/problem.ts';
import { capacityProblem, hostsWithin, refusalOf, type Demand } from './placement.ts';
import { Queue } from './queue.ts';
import type { Policy } from './vm-extras.ts';

/** A host as it would be after the placements so far. */
interface Host {
  readonly id: number;
  readonly node: number;
  readonly fqdn: string;
  readonly state: string;
  readonly methods: ReadonlySet<string>;
  readonly coresLimit: number;
  readonly ramLimit: number;
  cores: number;
  ram: number;
  /** Order of round_robin: 0 and up as they were, then as they are placed on. */
  turn: number;
}

/** Space of a pool: of one host's part of it, or of all of a shared one. */
interface Space {
  readonly capacity: number | null;
  allocated: number;
}

export interface Request {
  readonly demand: Demand;
  readonly policy: Policy;
  /** The host that is asked for. */
  readonly named: number | undefined;
}

/** How loaded a host is: the column `load`, to the last bit. */
const loadOf = (host: Host): number => Math.max(host.cores / Math.max(host.coresLimit, 1), host.ram / Math.max(host.ramLimit, 1));

/** Why a host cannot take it, as in `reasons` of placement.ts, in its order. */
const tests: readonly (readonly [string, (fleet: PlacingFleet, host: Host, demand: Demand) => boolean])[] = [
  ['not_running', (_, host) => host.state !== 'running'],
  ['method', (_, host, demand) => !host.methods.has(demand.method)],
  ['cores', (_, host, demand) => host.cores + demand.cores > host.coresLimit],
  ['memory', (_, host, demand) => host.ram + demand.ram > host.ramLimit],
  ['pool', (fleet, host, demand) => [...demand.pools].some(([pool, bytes]) => !hasRoom(fleet.space(host.id, pool), bytes))],
];

const hasRoom = (space: Space | undefined, bytes: number): boolean =>
  space !== undefined && (space.capacity === null || space.allocated + bytes <= space.capacity);

/**
 * Places many virtual machines on hosts that are locked once, in memory, one after the other, by the rules of
 * placement.ts: each gets the host that it would have got alone.
 */
export class PlacingFleet {
  readonly #tx: Tx;
  readonly #hosts: Map<number, Host>;
  readonly #spaces: ReadonlyMap<string, Space>;
  readonly #near: ReadonlyMap<number, Set<number>>;
  readonly #queues = new Map<string, Queue<Host, Demand>>();
  /** The least that any request of a queue asks for: a host without that much is of no more use to it. */
  readonly #least = new Map<string, Demand>();
  #turn: number;
  readonly #placed = new Map<number, number>();

  private constructor(
    tx: Tx,
    requests: readonly Request[],
    hosts: readonly Host[],
    spaces: ReadonlyMap<string, Space>,
    near: ReadonlyMap<number, Set<number>>,
  ) {
    this.#tx = tx;
    for (const { demand, policy } of requests) {
      const key = keyOf(demand, policy);
      const least = this.#least.get(key);
      this.#least.set(key, least ? lesser(least, demand) : demand);
    }
    this.#hosts = new Map(hosts.map((host) => [host.id, host]));
    this.#spaces = spaces;
    this.#near = near;
    this.#turn = hosts.length;
  }

  /** Locks the hosts that can be meant, in the order of their ids, and then the space in the pools. */
  static async open(tx: Tx, requests: readonly Request[]): Promise<PlacingFleet> {
    const methods = [...new Set(requests.filter((one) => one.named === undefined).map((one) => one.demand.method))];
    const named = [...new Set(requests.flatMap((one) => one.named ?? []))];
    const pools = [...new Set(requests.flatMap((one) => [...one.demand.pools.keys()]))];
    const projects = [...new Set(requests.flatMap((one) => (one.policy === 'sticky' && one.demand.project !== null ? [one.demand.project] : [])))];
    await sql`select from hypervisor h where h.id = any(${named}::bigint[]) or (exists (select from node n where n.id = h.node_id and n.state = 'running')
      and exists (select from hypervisor_method m where m.hypervisor_id = h.id and m.virt_method = any(${methods}::text[]))) order by h.id for update of h`.execute(
      tx.db,
    );
    await sql`select from pool_attachment where storage_pool_id = any(${pools}::bigint[]) and capacity is not null order by id for no key update`.execute(
      tx.db,
    );
    await sql`select from storage_pool where id = any(${pools}::bigint[]) and shared and capacity is not null order by id for no key update`.execute(tx.db);
    const hosts = await sql<Omit<Host, 'methods'> & { methods: string[] }>`select h.id::float8 as id, h.node_id::float8 as node, n.fqdn, n.state,
      array(select m.virt_method from hypervisor_method m where m.hypervisor_id = h.id) as methods, h.cores_limit as "coresLimit", h.ram_limit::float8 as "ramLimit",
      h.allocated_cores as cores, h.allocated_ram::float8 as ram, (row_number() over (order by h.placed_at, h.id))::float8 - 1 as turn
      from hypervisor h join node n on n.id = h.node_id where ${hostsWithin(tx, 'h')} or h.id = any(${named}::bigint[]) order by h.id`.execute(tx.db);
    const spaces = await sql<{
      host: number;
      pool: number;
      shared: boolean;
      capacity: number | null;
      allocated: number;
    }>`select a.hypervisor_id::float8 as host,
      s.id::float8 as pool, s.shared, (case when s.shared then s.capacity else a.capacity end)::float8 as capacity,
      (case when s.shared then s.allocated else a.allocated end)::float8 as allocated
      from pool_attachment a join storage_pool s on s.id = a.storage_pool_id where s.id = any(${pools}::bigint[])`.execute(tx.db);
    const shared = new Map<number, Space>();
    const bySpot = new Map<string, Space>();
    for (const row of spaces.rows) {
      const own = { capacity: row.capacity, allocated: row.allocated };
      if (row.shared && !shared.has(row.pool)) shared.set(row.pool, own);
      bySpot.set(`${row.host} ${row.pool}`, (row.shared && shared.get(row.pool)) || own);
    }
    const near = new Map<number, Set<number>>(projects.map((project) => [project, new Set()]));
    const kin = await sql<{ project: number; host: number }>`select distinct project_id::float8 as project, hypervisor_id::float8 as host from vm
      where project_id = any(${projects}::bigint[])`.execute(tx.db);
    for (const row of kin.rows) near.get(row.project)!.add(row.host);
    return new PlacingFleet(
      tx,
      requests,
      hosts.rows.map((row) => ({ ...row, methods: new Set(row.methods) })),
      bySpot,
      near,
    );
  }

  space(host: number, pool: number): Space | undefined {
    return this.#spaces.get(`${host} ${pool}`);
  }

  nodeOf(host: number): number {
    return this.#hosts.get(host)!.node;
  }

  /** Picks the host of the next one. @throws Problem no-capacity, hypervisor-unavailable, not-found */
  place({ demand, policy, named }: Request): number {
    const host = named === undefined ? this.#pick(demand, policy) : this.#take(named, demand);
    host.cores += demand.cores;
    host.ram += demand.ram;
    for (const [pool, bytes] of demand.pools) this.space(host.id, pool)!.allocated += bytes;
    if (demand.project !== null) this.#near.get(demand.project)?.add(host.id);
    if (named === undefined && policy === 'round_robin') {
      host.turn = this.#turn++;
      this.#placed.set(host.id, host.turn);
    }
    return host.id;
  }

  /** Stores whose turn it was. The hosts are locked, so that no other's turn lies between. */
  async close(): Promise<void> {
    if (this.#placed.size === 0) return;
    const rows = [...this.#placed].map(([id, turn]) => ({ id, turn }));
    const least = Math.min(...this.#placed.values());
    await sql`update hypervisor h set placed_at = greatest((select clock_timestamp()), (select max(placed_at) from hypervisor)) + (x.turn - ${least} + 1) * interval '1 microsecond'
      from json_to_recordset(${JSON.stringify(rows)}::json) as x (id bigint, turn int) where h.id = x.id`.execute(this.#tx.db);
  }

  #why(host: Host, demand: Demand): string | undefined {
    return tests.find(([, fails]) => fails(this, host, demand))?.[0];
  }

  #pick(demand: Demand, policy: Policy): Host {
    const found =
      (policy === 'sticky' && demand.project !== null ? this.#pickNear(demand, demand.project) : undefined) ?? this.#queue(demand, policy).next(demand);
    if (found) return found;
    const refused = new Map<string, number>();
    for (const host of this.#hosts.values()) {
      const why = this.#why(host, demand) ?? 'taken_meanwhile';
      refused.set(why, (refused.get(why) ?? 0) + 1);
    }
    throw capacityProblem(
      this.#tx,
      demand,
      [...refused].map(([reason, n]) => ({ reason, n })).sort((a, b) => b.n - a.n),
    );
  }

  #pickNear(demand: Demand, project: number): Host | undefined {
    let best: Host | undefined;
    for (const id of this.#near.get(project) ?? []) {
      const host = this.#hosts.get(id)!;
      const before = !best || loadOf(host) < loadOf(best) || (loadOf(host) === loadOf(best) && host.id < best.id);
      if (before && this.#why(host, demand) === undefined) best = host;
    }
    return best;
  }

  /** The hosts that can ever take it, in the policy's order. */
  #queue(demand: Demand, policy: Policy): Queue<Host, Demand> {
    const key = keyOf(demand, policy);
    let queue = this.#queues.get(key);
    if (!queue) {
      const able = [...this.#hosts.values()].filter(
        (host) => host.state === 'running' && host.methods.has(demand.method) && [...demand.pools.keys()].every((pool) => this.space(host.id, pool)),
      );
      const rankOf = policy === 'round_robin' ? (host: Host): number => host.turn : loadOf;
      queue = new Queue(able, rankOf, (host, wanted) => this.#why(host, wanted) === undefined, this.#least.get(key)!);
      this.#queues.set(key, queue);
    }
    return queue;
  }

  #take(id: number, demand: Demand): Host {
    const host = this.#hosts.get(id);
    if (!host) throw new Problem('not-found', `There is no hypervisor '${id}'`);
    const failed = tests.filter(([name, fails]) => name !== 'pool' && fails(this, host, demand)).map(([name]) => name);
    for (const [pool, bytes] of demand.pools) if (!hasRoom(this.space(host.id, pool), bytes)) failed.push('pool');
    if (failed.length > 0) throw refusalOf(host.fqdn, host.state, demand, failed);
    return host;
  }
}

/** Demands that the same hosts can ever meet, in the same order. */
const keyOf = (demand: Demand, policy: Policy): string =>
  JSON.stringify([policy === 'round_robin', demand.method, [...demand.pools.keys()].sort((a, b) => a - b)]);

const lesser = (a: Demand, b: Demand): Demand => ({
  ...a,
  cores: Math.min(a.cores, b.cores),
  ram: Math.min(a.ram, b.ram),
  pools: new Map([...a.pools].map(([pool, bytes]) => [pool, Math.min(bytes, b.pools.get(pool)!)])),
});
