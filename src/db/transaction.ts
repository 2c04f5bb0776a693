import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { sql, type RawBuilder } from 'kysely';
import type { SecretBox } from '../kernel/secret.ts';
import type { Catalog, Model } from './catalog.ts';
import { isRetryable, toProblem } from './errors.ts';
import { planChanged, type Plan } from './plan.ts';
import { prepared } from './prepared.ts';
import type { Rights } from './rights.ts';
import type { Db } from './read.ts';

/** Key of the advisory lock that orders writes of shared rows against all others; any number will do. */
const DOCUMENT_LOCK = 4_101_956;
const ATTEMPTS = 8;

/** What a module adds to the generic verbs of its noun. */
export interface Hooks {
  /** Before an insert: the values to store, from the input as parsed; may add properties that no client writes. */
  readonly prepare?: (tx: Tx, input: Values) => Promise<Values> | Values;
  /** In place of the insert: makes the thing and whatever belongs to it. @returns its id */
  readonly create?: (tx: Tx, input: Values) => Promise<number>;
  /** The same for many, in few statements; touches their nodes too. @returns their ids @throws RefusedAt */
  readonly createMany?: (tx: Tx, inputs: readonly Values[]) => Promise<number[]>;
  /** After an insert. What it returns is added to the answer of the creation, and never shown again. */
  readonly created?: (tx: Tx, id: number, input: Values) => Promise<Values | undefined> | Values | undefined;
  /** Before an update: the values to store. */
  readonly change?: (tx: Tx, id: number, patch: Values) => Promise<Values> | Values;
  /** After an update. */
  readonly changed?: (tx: Tx, id: number, patch: Values) => Promise<void>;
  /** Constraints that a creation may run into because others were quicker: it is tried again. */
  readonly retryOn?: readonly string[];
  /** Before a deletion. */
  readonly deleting?: (tx: Tx, id: number) => Promise<void>;
  /** After a deleted row was brought back as it was, in place of `create` and `created`. */
  readonly restored?: (tx: Tx, id: number) => Promise<void>;
}

export type Values = Record<string, unknown>;

/** How hosts' reports are dealt with. */
export interface Reporting {
  /** Largest body, unpacked, in bytes. */
  readonly limit: number;
  /** Reports of each node that are kept. */
  readonly kept: number;
  /** Seconds after which a node that says nothing is stale. */
  readonly staleAfter: number;
  /** Seconds between heartbeats. */
  readonly interval: number;
}

/** Whose write it is, and how it is meant. */
export interface Origin {
  /** Who: a token's name, `cli:<user>`, `console:<user>` or `corral`. */
  readonly actor: string;
  readonly requestId?: string | undefined;
  /** Why, in the writer's words. */
  readonly message?: string | undefined;
  /** Number of the change that it undoes. */
  readonly reverts?: number | undefined;
  /** `only`: a dry run. A digest: it is committed only if its effect is the one that was planned. */
  readonly plan?: 'only' | { readonly digest: string } | undefined;
  /** Inside the transaction, before the work. */
  readonly first?: (tx: Tx) => Promise<void>;
  /** Inside the transaction, when all else is done. */
  readonly last?: (tx: Tx, value: unknown) => Promise<void>;
  /** After the commit, with the number of the change; undefined when nothing changed. */
  readonly committed?: (change: number | undefined) => void;
}

/** What the verbs need; made once by the process. */
export interface Store {
  readonly orm: MikroORM;
  readonly catalog: Catalog;
  readonly hooks: Readonly<Record<string, Hooks>>;
  readonly secrets: SecretBox;
  /** Rebuilds the documents of these nodes inside the transaction. */
  readonly rebuild: (tx: Tx, nodes: readonly number[]) => Promise<void>;
  /** What the transaction has done so far: of its rows, its documents and their hosts. */
  readonly plan: (tx: Tx) => Promise<Plan>;
  /** Of a request's store: whose writes they are. */
  readonly origin?: Origin;
  /** Of a request's store: what its writer may do; without them everything. */
  readonly rights?: Rights;
  readonly placement: 'least_loaded' | 'round_robin' | 'sticky';
  readonly defaultVolumeSize: number;
  /** How clients reach this Corral, where that is known. */
  readonly publicUrl?: string | undefined;
  readonly reporting: Reporting;
  /** A transaction that all verbs become savepoints of, and that its owner ends: the console's sandbox. */
  readonly within?: EntityManager;
}

/** One transaction. */
export interface Tx {
  readonly store: Store;
  readonly em: EntityManager;
  readonly db: Db;
  /** Nodes whose documents are rebuilt before the commit. */
  readonly touched: Set<number>;
}

export interface TxOptions {
  /** The transaction writes rows that documents of many nodes read. */
  readonly shared?: boolean;
  /** When it lost against another, run it again while no other writes: of many rows it would lose again. */
  readonly aloneAgain?: boolean;
  /** The noun that errors are told of. */
  readonly model?: Model;
  /** Constraints after whose violation the transaction is run again. */
  readonly retryOn?: readonly string[] | undefined;
  /** Roll back instead of committing. */
  readonly sandbox?: boolean;
}

class Sandboxed {
  readonly value: unknown;
  constructor(value: unknown) {
    this.value = value;
  }
}

/** Thrown by a dry run when it is rolled back: what the write would do, and what it would return. */
export class Planned extends Error {
  readonly plan: Plan;
  readonly value: unknown;
  constructor(plan: Plan, value: unknown) {
    super('a dry run was rolled back');
    this.plan = plan;
    this.value = value;
  }
}

/** The store for the writes of one request. */
export function withOrigin(store: Store, origin: Origin): Store {
  return { ...store, origin };
}

/**
 * Runs one transaction: work, then the documents of the nodes that it touched, then the number of its change, then
 * the commit. When it loses against another (deadlock, serialisation) it runs again.
 *
 * Writers take the document lock shared; writers of shared rows take it alone, so that no document is
 * built from a row that is changing under it.
 * @throws Problem for what the database refuses, and plan-changed
 * @throws Planned when the store's origin asks for a plan only
 */
export async function transaction<T>(store: Store, work: (tx: Tx) => Promise<T>, options: TxOptions = {}): Promise<T> {
  const { origin } = store;
  for (let attempt = 1; ; attempt++) {
    try {
      let change: number | undefined;
      const outer = store.within?.fork({ clear: true, keepTransactionContext: true }) ?? store.orm.em.fork();
      const value = await outer.transactional(async (em) => {
        const db = em.getKysely() as unknown as Db;
        const tx: Tx = { store, em, db, touched: new Set() };
        await begin(tx, options.shared || (attempt > 1 && options.aloneAgain));
        await origin?.first?.(tx);
        const done = await work(tx);
        await settle(tx);
        /* There is no commit that would check what waits for one. */
        if (store.within || options.sandbox || origin?.plan) await sql`set constraints all immediate`.execute(db);
        if (store.within) await sql`set constraints all deferred`.execute(db);
        if (origin?.plan) await compare(tx, origin.plan, done);
        if (options.sandbox) throw new Sandboxed(done);
        await origin?.last?.(tx, done);
        if (!store.within) change = await finish(db);
        return done;
      });
      origin?.committed?.(change);
      return value;
    } catch (error) {
      if (error instanceof Sandboxed) return error.value as T;
      if (error instanceof Planned) throw error;
      if (isRetryable(error, options.retryOn, origin?.plan === 'only') && attempt < ATTEMPTS) continue;
      throw toProblem(error, store.catalog, options.model);
    }
  }
}

/** Takes the lock, and says to the triggers that keep changes whose this one is. */
async function begin({ store, db }: Tx, alone: boolean | undefined): Promise<void> {
  const { origin } = store;
  const set = (name: string, value: string | number | undefined): RawBuilder<unknown> => sql`set_config(${sql.lit(name)}, ${String(value ?? '')}, true)`;
  const settings = [
    set('corral.managed', 'on'),
    set('corral.actor', origin?.actor ?? 'corral'),
    set('corral.request_id', origin?.requestId),
    set('corral.message', origin?.message),
    set('corral.reverts', origin?.reverts),
    set('corral.plan', origin?.plan === 'only' ? 'on' : ''),
  ];
  /* What is rolled back in the end shows nobody a document, so the console's sandbox holds up no other writer. */
  const lock = alone ? sql`pg_advisory_xact_lock` : sql`pg_advisory_xact_lock_shared`;
  const first = store.within ? settings : [sql`${lock}(${sql.lit(DOCUMENT_LOCK)})`, ...settings];
  await sql`${prepared}select ${sql.join(first)}`.execute(db);
}

/** Ends a dry run, or refuses a write whose effect is no longer the planned one. */
async function compare(tx: Tx, wanted: NonNullable<Origin['plan']>, value: unknown): Promise<void> {
  const plan = seenPlan(await tx.store.plan(tx), tx.store.rights);
  if (wanted === 'only') throw new Planned(plan, value);
  if (plan.digest !== wanted.digest) throw planChanged(plan);
}

/** A plan as its writer may see it: hosts and their documents are not for customers. The digest is that of all of it. */
function seenPlan(plan: Plan, rights: Rights | undefined): Plan {
  return rights === undefined || rights.mayEverywhere('document:read') ? plan : { ...plan, documents: [], hosts: [] };
}

/** The change's number; undefined when nothing changed. From here to the commit no other change is numbered. */
async function finish(db: Db): Promise<number | undefined> {
  const { rows } = await sql<{ number: string | null }>`${prepared}select finish_change() as number`.execute(db);
  return rows[0]!.number === null ? undefined : Number(rows[0]!.number);
}

/** Writes what is pending, and rebuilds the documents of the nodes touched so far: what is read after it is as it will be committed. */
export async function settle(tx: Tx): Promise<void> {
  await tx.em.flush();
  const nodes = [...tx.touched].sort((a, b) => a - b);
  if (nodes.length > 0) await tx.store.rebuild(tx, nodes);
  tx.touched.clear();
}

/** Adds the nodes whose documents these rows shape. */
export async function touch(tx: Tx, model: Model, ids: readonly number[]): Promise<void> {
  const nodes = model.resource.affects?.(ids);
  if (!nodes || ids.length === 0) return;
  const { rows } = await sql<{ node_id: string }>`${prepared}select distinct node_id from (${nodes}) as affected (node_id)`.execute(tx.db);
  for (const row of rows) tx.touched.add(Number(row.node_id));
}
