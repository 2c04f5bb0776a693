import { sql } from 'kysely';
import type { Model } from '../db/catalog.ts';
import { isRetryable, toProblem } from '../db/errors.ts';
import { insertRow } from '../db/write.ts';
import { transaction, type Store, type Tx, type Values } from '../db/transaction.ts';
import { Problem, pointer, type Fault } from '../kernel/problem.ts';
import { fillPool } from '../modules/network/allocate.ts';
import { newIds, reserveIds } from '../db/records.ts';
import { changeRows } from './change-rows.ts';
import { fleetRows, invalidFile, parseFleet } from './fleet-file.ts';
import { dropMade, insertRows, type Deferred } from './insert-rows.ts';
import { Keys } from './keys.ts';
import { planRows, type Planned } from './plan.ts';

/** What an import did, by plural noun; what was the same as in the file is in neither. */
export interface Imported {
  readonly created: Record<string, number>;
  readonly updated: Record<string, number>;
}

type Progress = (done: number, total: number) => void;

/** Rows that are written in one statement. */
const CHUNK = 1000;
/** Files with as many rows are worth statistics on the way. */
const ANALYZE_FROM = 5000;
/** Nodes whose documents are built between two reports of progress. */
const DOCUMENTS = 200;
/** After this many faults of one noun no more are looked for. */
const ENOUGH = 50;

/**
 * Imports a fleet file: what is not there is made, what is there is changed where the file says otherwise,
 * nothing is removed. One transaction, all or none; importing the same file again changes nothing.
 *
 * Rows are as the API takes them, so that a virtual machine with `cores`, `ram` and `method` is enough; it
 * is placed, and gets a disk, a card and addresses. Beside that a file may give the ids of virtual machines,
 * their cards and volumes, and the `secret_uuid` of Ceph keys, because documents name things by them: an
 * export carries them, and gives the same documents in an empty database.
 * @param source its text, or what that holds
 * @throws Problem bad-body, invalid with the place of every fault in the file (`/vms/3/ram`)
 */
export async function importFleet({ store }: { readonly store: Store }, source: string | Values, onProgress: Progress = () => undefined): Promise<Imported> {
  const file = typeof source === 'string' ? parseFleet(source) : source;
  return transaction(store, (tx) => new Import(tx, onProgress).run(file), { shared: true });
}

class Import {
  readonly #tx: Tx;
  readonly #onProgress: Progress;
  readonly #result: Imported = { created: {}, updated: {} };
  readonly #deferred: Deferred = { capacities: [], subnets: [] };
  #faults: Fault[] = [];
  #done = 0;
  #total = 0;

  constructor(tx: Tx, onProgress: Progress) {
    this.#tx = tx;
    this.#onProgress = onProgress;
  }

  async run(file: Record<string, unknown>): Promise<Imported> {
    const { catalog } = this.#tx.store;
    const rows = fleetRows(catalog, file);
    const keys = new Keys(catalog);
    for (const model of catalog.models) if (model.pk === 'id') await keys.load(this.#tx.db, model);
    const plan = planRows(catalog, rows, keys);
    if (plan.faults.length > 0) throw invalidFile(plan.faults);
    this.#total = [...plan.rows.values()].reduce((sum, list) => sum + list.length, 0);
    for (const model of catalog.models) {
      await this.#write(model, plan.rows.get(model)!);
      if (this.#faults.length > 0) throw invalidFile(this.#faults);
    }
    await this.#settle();
    await this.#checkWhole(plan.rows.get(catalog.byNoun('vm'))!);
    if (this.#faults.length > 0) throw invalidFile(this.#faults);
    await this.#rebuild();
    return this.#result;
  }

  async #write(model: Model, rows: readonly Planned[]): Promise<void> {
    const fresh = rows.filter((row) => !row.existing && !row.placed);
    const ids = fresh.flatMap((row) => (row.target.id === undefined ? [] : [row.target.id]));
    if (ids.length > 0)
      await reserveIds(
        this.#tx.db,
        model.table,
        ids.reduce((a, b) => Math.max(a, b)),
      );
    /* In the order of the file, whatever the order of insertion: an export is in the order of ids. */
    const without = fresh.filter((row) => row.target.id === undefined);
    for (const [i, id] of (await newIds(this.#tx.db, model.table, without.length)).entries()) without[i]!.target.id = id;
    await dropMade(this.#tx, model, fresh);
    for (const level of this.#levels(model, fresh)) {
      await this.#inChunks(level, async (chunk) => {
        await this.#guard(chunk, async (some) => {
          await insertRows(this.#tx, model, some, this.#deferred);
          this.#count('created', model, some.length);
        });
      });
    }
    /* Else triggers and foreign keys go on with plans that were made for an empty table. */
    if (this.#total >= ANALYZE_FROM && fresh.length > 0) await sql`analyze ${sql.id(model.table)}`.execute(this.#tx.db);
    const placed = rows.filter((row) => row.placed);
    if (placed.length > 0) await this.#settle();
    for (const row of placed) {
      await this.#guard([row], async () => {
        row.target.id = (await insertRow(this.#tx, model, row.input)).id;
        await findDisks(this.#tx, row);
        this.#count('created', model, 1);
      });
      this.#progress(1);
    }
    await this.#inChunks(
      rows.filter((row) => row.existing),
      async (chunk) => {
        await changeRows(this.#tx, model, chunk, async (row, change) => {
          await this.#guard([row], async () => {
            await change();
            this.#count('updated', model, 1);
          });
        });
        this.#tx.em.clear();
      },
    );
  }

  /** Rows that name others of their noun come after those: VLANs after what they lie on. */
  #levels(model: Model, rows: readonly Planned[]): Planned[][] {
    const own = model.fields.filter((field) => field.ref === model.resource.noun).map((field) => field.name);
    if (own.length === 0 || rows.length === 0) return [[...rows]];
    const levels: Planned[][] = [];
    for (let rest = [...rows]; rest.length > 0;) {
      const waiting = new Set(rest.map((row) => row.target));
      const ready = rest.filter((row) => !own.some((name) => waiting.has(row.values[name] as Planned['target'])));
      if (ready.length === 0) {
        for (const row of rest) this.#faults.push({ pointer: pointer(row.at), message: 'refers to itself, through others perhaps' });
        return levels;
      }
      const taken = new Set(ready);
      rest = rest.filter((row) => !taken.has(row));
      levels.push(ready);
    }
    return levels;
  }

  async #inChunks(rows: readonly Planned[], work: (chunk: readonly Planned[]) => Promise<void>): Promise<void> {
    for (let i = 0; i < rows.length && this.#faults.length < ENOUGH; i += CHUNK) {
      const chunk = rows.slice(i, i + CHUNK);
      await work(chunk);
      this.#progress(chunk.length);
    }
  }

  /** Does work behind a savepoint. Where it is refused, halves find the rows that are to blame. */
  async #guard(rows: readonly Planned[], work: (rows: readonly Planned[]) => Promise<void>): Promise<void> {
    const { db, store } = this.#tx;
    await sql`savepoint fleet_rows`.execute(db);
    try {
      await work(rows);
      await sql`release savepoint fleet_rows`.execute(db);
    } catch (error) {
      if (isRetryable(error)) throw error;
      await sql`rollback to savepoint fleet_rows`.execute(db);
      await sql`release savepoint fleet_rows`.execute(db);
      this.#tx.em.clear();
      const problem = toProblem(error, store.catalog, rows[0]?.model);
      if (!(problem instanceof Problem) || problem.code === 'unavailable') throw problem;
      if (rows.length > 1 && this.#faults.length < ENOUGH) {
        const middle = Math.ceil(rows.length / 2);
        await this.#guard(rows.slice(0, middle), work);
        await this.#guard(rows.slice(middle), work);
      } else {
        this.#faults.push(...faultsAt(rows[0], problem));
      }
    }
  }

  /** Does what was put off: before a machine is placed, which asks for it, and at the end. */
  async #settle(): Promise<void> {
    const { db } = this.#tx;
    for (const { row, pool, capacity } of this.#deferred.capacities.splice(0)) {
      await this.#guard([row], async () => {
        await sql`update storage_pool set capacity = ${capacity} where id = ${pool}`.execute(db);
      });
    }
    for (const subnet of this.#deferred.subnets.splice(0)) await fillPool(this.#tx, subnet);
  }

  /** The verbs see to it that a virtual machine has a disk and a card; lists could leave them out. */
  async #checkWhole(vms: readonly Planned[]): Promise<void> {
    const listed = new Map(vms.filter((row) => !row.existing && !row.placed).map((row) => [row.target.id!, row]));
    if (listed.size === 0) return;
    const { rows } = await sql<{
      id: string;
      disks: boolean;
      cards: boolean;
    }>`select * from (select v.id, exists (select from volume o where o.vm_id = v.id) as disks,
      exists (select from vm_interface i where i.vm_id = v.id) as cards from unnest(${[...listed.keys()]}::bigint[]) as v (id)) x where not (disks and cards)`.execute(
      this.#tx.db,
    );
    for (const { id, disks } of rows)
      this.#faults.push({ pointer: pointer(listed.get(Number(id))!.at), message: disks ? 'needs at least one interface' : 'needs at least one volume' });
  }

  async #rebuild(): Promise<void> {
    const { touched, store } = this.#tx;
    const nodes = [...touched].sort((a, b) => a - b);
    this.#total = this.#done + nodes.length;
    for (let i = 0; i < nodes.length; i += DOCUMENTS) {
      const some = nodes.slice(i, i + DOCUMENTS);
      await store.rebuild(this.#tx, some);
      this.#progress(some.length);
    }
    touched.clear();
  }

  #count(what: keyof Imported, model: Model, by: number): void {
    this.#result[what][model.resource.plural] = (this.#result[what][model.resource.plural] ?? 0) + by;
  }

  #progress(by: number): void {
    this.#done += by;
    this.#onProgress(this.#done, this.#total);
  }
}

/** The ids of the disks that a virtual machine was made with. */
async function findDisks(tx: Tx, { target, disks }: Planned): Promise<void> {
  if (disks.length === 0) return;
  const { rows } = await sql<{ id: string; name: string }>`select id, name from volume where vm_id = ${target.id}`.execute(tx.db);
  for (const disk of disks) disk.id = Number(rows.find((row) => row.name === disk.key)!.id);
}

function faultsAt(row: Planned | undefined, problem: Problem): Fault[] {
  const at = pointer(row?.at ?? []);
  if (problem.faults.length === 0) return [{ pointer: at, message: problem.message }];
  return problem.faults.map((one) => ({ pointer: at + one.pointer, message: one.message }));
}
