import { sql } from 'kysely';
import type { Model } from '../db/catalog.ts';
import { check, invalid } from '../db/check.ts';
import { isRetryable, toProblem } from '../db/errors.ts';
import { mapEach, RefusedAt } from '../db/many.ts';
import { idOf } from '../db/read.ts';
import { transaction, type Store, type Tx, type Values } from '../db/transaction.ts';
import { atHome, countOwner, deleteRow, insertRow, patchRow, uniqueKeys } from '../db/write.ts';
import { Problem } from '../kernel/problem.ts';
import { batchesOf } from './batches.ts';
import { substitute, type BulkRequest, type Operation } from './operations.ts';
import { Puts } from './put.ts';
import { Refusals } from './refusals.ts';
import { resolveMany } from './resolve.ts';
import { misplacedNodes } from './misplaced.ts';
import { keysOf, type BulkAnswer, type BulkResult, type Done } from './result.ts';
import { nodesWithoutRole } from './roles.ts';
import { ApplyingSet } from './set.ts';

/** Problems that are not about an operation. */
const OTHERS: ReadonlySet<string> = new Set(['plan-changed', 'idempotency-mismatch', 'idempotency-busy']);

/**
 * Carries out many operations in one transaction, all or none. Where it is refused it is done again with savepoints,
 * to say of which operations, and of as many as can be found.
 * @throws Problem with the places of all that was found, e.g. `/operations/17/body/cores`
 */
export async function bulk(store: Store, request: BulkRequest, onProgress?: Progress): Promise<BulkAnswer> {
  const models = [...new Set(request.operations.map((one) => one.model))];
  const shared = request.prune || models.some((model) => model.resource.shared);
  const put = new Set(request.operations.filter((one) => one.op === 'put').map((one) => one.model));
  const retryOn = models.flatMap((model) => [...(put.has(model) ? uniqueKeys(model) : []), ...(store.hooks[model.resource.noun]?.retryOn ?? [])]);
  try {
    return await transaction(store, (tx) => new Run(tx, request, false, onProgress).run(), { shared, retryOn, aloneAgain: true });
  } catch (error) {
    const about = error instanceof RefusedAt || (error instanceof Problem && error.status < 500 && !OTHERS.has(error.code));
    if (!about) throw error;
    return transaction(store, (tx) => new Run(tx, request, true, onProgress).run(), { shared, aloneAgain: true });
  }
}

/** Told how many operations are done; they may be undone yet. */
type Progress = (done: number, total: number) => void;

/** Operations that are done together at most, where progress is told. */
const STEP = 500;

/** Names of operations that were refused: what refers to them is not looked at. */
class Missing extends Error {}

class Run {
  readonly #tx: Tx;
  readonly #request: BulkRequest;
  readonly #careful: boolean;
  readonly #done: (Done | undefined)[];
  readonly #refs: ReadonlyMap<string, Operation>;
  readonly #onProgress: Progress | undefined;
  readonly #refusals = new Refusals();
  #set: ApplyingSet | undefined;

  constructor(tx: Tx, request: BulkRequest, careful: boolean, onProgress: Progress | undefined) {
    this.#tx = tx;
    this.#onProgress = onProgress;
    this.#request = request;
    this.#careful = careful;
    this.#done = Array.from({ length: request.operations.length });
    this.#refs = new Map(request.operations.flatMap((one) => (one.ref === undefined ? [] : [[one.ref, one] as const])));
  }

  async run(): Promise<BulkAnswer> {
    const { operations, set, prune } = this.#request;
    if (set !== undefined) this.#set = await ApplyingSet.open(this.#tx, set);
    for (const batch of batchesOf(operations, (model) => this.#createMany(model) !== undefined, this.#onProgress ? STEP : operations.length)) {
      if (this.#refusals.enough) break;
      if (batch[0]!.op === 'put') await this.#put(batch);
      else if (batch[0]!.op === 'create' && this.#createMany(batch[0]!.model)) await this.#create(batch);
      else await this.#guard(batch, (some) => this.#one(some[0]!));
      this.#onProgress?.(batch.at(-1)!.index + 1, operations.length);
    }
    if (this.#careful && this.#refusals.none)
      for (const [index, problem] of await nodesWithoutRole(this.#tx, operations, this.#done)) this.#refusals.add(operations[index], problem);
    if (this.#careful && this.#refusals.none)
      for (const [index, problem] of await misplacedNodes(this.#tx, operations, this.#done)) this.#refusals.add(operations[index ?? -1], problem);
    if (this.#set) await this.#set.keep(this.#members());
    const pruned = this.#set && prune ? await this.#prune(this.#set) : undefined;
    this.#refusals.end();
    return { results: await this.#results(), ...(pruned ? { pruned } : {}) };
  }

  #createMany(model: Model) {
    return this.#tx.store.hooks[model.resource.noun]?.createMany;
  }

  /** The body and key with the ids of what they refer to. @throws Missing, Problem invalid */
  async #filled({ key, body, needs }: Operation): Promise<{ key: string | undefined; body: Values }> {
    if (needs.size === 0) return { key: key as string | undefined, body };
    const idOfRef = async (name: string): Promise<number> => {
      const [base = '', list, number] = name.split('/');
      const target = this.#refs.get(base)!;
      const done = this.#done[target.index];
      if (!done) throw new Missing();
      if (list === undefined) return done.id;
      const table = list === 'volumes' ? 'volume' : 'vm_interface';
      const { rows } =
        target.model.resource.noun === 'vm'
          ? await sql<{ id: string }>`select id from ${sql.id(table)} where vm_id = ${done.id} and number = ${Number(number)}`.execute(this.#tx.db)
          : { rows: [] };
      if (!rows[0]) throw invalid([{ pointer: '', message: `'${name}' is nothing that there is` }]);
      return Number(rows[0].id);
    };
    const filled = await substitute({ key, body }, idOfRef);
    return { body: filled.body, key: filled.key === undefined ? undefined : String(filled.key) };
  }

  /** One that stands alone. */
  async #one(operation: Operation): Promise<void> {
    const { model, op, index } = operation;
    const { key, body } = await this.#filled(operation);
    const versions = operation.ifVersion === undefined ? undefined : [operation.ifVersion];
    if (op === 'create') {
      const { id, once } = await insertRow(this.#tx, model, body);
      await countOwner(this.#tx, model, id);
      this.#done[index] = { id, status: 'created', ...(Object.keys(once).length > 0 ? { once } : {}) };
    } else {
      const id = await idOf(this.#tx.db, this.#tx.store.catalog, model, key!);
      if (op === 'update') {
        const changed = await patchRow(this.#tx, model, id, body, versions);
        if (changed) await countOwner(this.#tx, model, id);
        this.#done[index] = { id, status: changed ? 'updated' : 'unchanged' };
      } else {
        const known = (await keysOf(this.#tx, model, [id])).get(id);
        await countOwner(this.#tx, model, id);
        await deleteRow(this.#tx, model, id, versions);
        this.#done[index] = { id, status: 'deleted', ...(known === undefined ? {} : { key: known }) };
      }
    }
    this.#tx.em.clear();
  }

  async #create(batch: readonly Operation[]): Promise<void> {
    await this.#guard(batch, async (some) => {
      const bodies: Values[] = [];
      for (const one of some) bodies.push((await this.#filled(one)).body);
      await this.#makeMany(some, bodies);
    });
  }

  /** Makes things of a noun together. */
  async #makeMany(some: readonly Operation[], bodies: readonly Values[]): Promise<void> {
    const { model } = some[0]!;
    const parsed = mapEach(bodies, (body) => check(model.createSchema, body));
    const values = await resolveMany(this.#tx, model, parsed);
    for (const one of values) atHome(this.#tx, model, one);
    const ids = await this.#createMany(model)!(this.#tx, values);
    await this.#tx.store.rights?.permit(this.#tx.db, model, 'create', ...ids);
    for (const [i, one] of some.entries()) this.#done[one.index] = { id: ids[i]!, status: 'created' };
  }

  async #put(batch: readonly Operation[]): Promise<void> {
    const puts = new Puts(this.#tx, batch[0]!.model, this.#set?.id);
    const bodies = new Map<Operation, { key: string | undefined; body: Values }>();
    for (let rest = [...batch]; rest.length > 0;) {
      const part: Operation[] = [];
      await this.#guard(rest, async (some) => {
        for (const one of some) if (!bodies.has(one)) bodies.set(one, await this.#filled(one));
        part.push(...(await puts.find(some, bodies)));
      });
      if (part.length === 0) return;
      /* What one of them makes the next ones may be about. */
      const seen = new Set(part);
      rest = rest.filter((one) => !seen.has(one) && !this.#refusals.has(one));
      const fresh: Operation[] = [];
      for (const one of part) {
        if (puts.idOf(one) === undefined) fresh.push(one);
        else
          await this.#guard([one], async () => {
            this.#done[one.index] = await puts.change(one);
            this.#tx.em.clear();
          });
      }
      if (fresh.length === 0) continue;
      const together = this.#createMany(batch[0]!.model) !== undefined;
      if (together)
        await this.#guard(fresh, (some) =>
          this.#makeMany(
            some,
            mapEach(some, (one) => puts.newBody(one)),
          ),
        );
      else
        for (const [i, one] of fresh.entries())
          await this.#guard([one], async () => {
            /* Told in other words, it may be what one before it has made: then it is looked at again. */
            if (i > 0 && (await puts.isThereNow(one))) {
              rest.push(one);
              return;
            }
            this.#done[one.index] = await puts.make(one);
            this.#tx.em.clear();
          });
    }
  }

  /**
   * Does work; in the careful run behind a savepoint, and what is refused is put down and left out. Where it is not
   * known which of several it was, halves are tried.
   */
  async #guard(some: readonly Operation[], work: (some: readonly Operation[]) => Promise<void>): Promise<void> {
    if (!this.#careful) {
      await work(some);
      return;
    }
    if (this.#refusals.enough || some.length === 0) return;
    const { db, em, store } = this.#tx;
    await sql`savepoint operation`.execute(db);
    try {
      await work(some);
      await sql`release savepoint operation`.execute(db);
    } catch (error) {
      if (isRetryable(error)) throw error;
      await sql`rollback to savepoint operation`.execute(db);
      await sql`release savepoint operation`.execute(db);
      em.clear();
      if (error instanceof RefusedAt) {
        for (const { index, cause } of error.refusals) this.#refusals.add(some[index], toProblem(cause, store.catalog, some[0]!.model));
        const without = new Set(error.refusals.map((one) => one.index));
        await this.#guard(
          some.filter((_, i) => !without.has(i)),
          work,
        );
      } else if (some.length > 1) {
        const middle = Math.ceil(some.length / 2);
        await this.#guard(some.slice(0, middle), work);
        await this.#guard(some.slice(middle), work);
      } else if (!(error instanceof Missing)) this.#refusals.add(some[0], toProblem(error, store.catalog, some[0]!.model));
    }
  }

  #members(): { noun: string; id: number; created: boolean }[] {
    return this.#request.operations.flatMap(({ model, index }) => {
      const done = this.#done[index];
      return done && done.status !== 'deleted' ? [{ noun: model.resource.noun, id: done.id, created: done.status === 'created' }] : [];
    });
  }

  async #prune(set: ApplyingSet): Promise<BulkResult[]> {
    const out: BulkResult[] = [];
    for (const { model, id } of await set.superfluous()) {
      if (this.#refusals.enough) break;
      const key = (await keysOf(this.#tx, model, [id])).get(id);
      /* It went with something else. */
      if (key === undefined) continue;
      const { db, em, store } = this.#tx;
      await sql`savepoint pruning`.execute(db);
      try {
        await set.remove(model, id);
        await sql`release savepoint pruning`.execute(db);
        out.push({ noun: model.resource.noun, id, key, status: 'deleted' });
      } catch (error) {
        if (isRetryable(error)) throw error;
        await sql`rollback to savepoint pruning`.execute(db);
        em.clear();
        const problem = toProblem(error, store.catalog, model);
        if (!(problem instanceof Problem)) throw problem;
        const message = `cannot delete the ${model.resource.title.toLowerCase()} '${key}': ${problem.message}`;
        this.#refusals.add(undefined, new Problem(problem.code, message, { faults: [{ pointer: '/prune', message }] }));
      }
    }
    return out;
  }

  async #results(): Promise<BulkResult[]> {
    const { operations } = this.#request;
    const ids = Map.groupBy(operations, (one) => one.model);
    const keys = new Map<Model, Map<number, string>>();
    for (const [model, some] of ids)
      keys.set(
        model,
        await keysOf(
          this.#tx,
          model,
          some.map((one) => this.#done[one.index]!.id),
        ),
      );
    return operations.map(({ model, ref, index }) => {
      const { id, status, key, once } = this.#done[index]!;
      return {
        ...(ref === undefined ? {} : { ref }),
        noun: model.resource.noun,
        id,
        key: keys.get(model)!.get(id) ?? key ?? null,
        status,
        ...(once ? { once } : {}),
      };
    });
  }
}
