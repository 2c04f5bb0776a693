import type { Model } from '../db/catalog.ts';
import { check } from '../db/check.ts';
import { mapEach, RefusedAt } from '../db/many.ts';
import { notFound } from '../db/read.ts';
import type { Tx, Values } from '../db/transaction.ts';
import { countOwner, insertRow, patchRow, withKey } from '../db/write.ts';
import { secretOf } from '../fleet/change-rows.ts';
import { Problem } from '../kernel/problem.ts';
import { difference, withoutShown } from './differ.ts';
import { findAll, identityOf, rowsOf, type Subject } from './identify.ts';
import type { Operation } from './operations.ts';
import type { Done } from './result.ts';
import { spreadVm } from './spread.ts';

/** Puts of one noun: what they are about is looked up for many at once, and those that differ in nothing end there. */
export class Puts {
  readonly #tx: Tx;
  readonly #model: Model;
  readonly #set: number | undefined;
  readonly #ids = new Map<Operation, number | undefined>();
  readonly #names = new Map<string, Operation>();
  #subjects: ReadonlyMap<Operation, Subject> = new Map();
  #rows: Awaited<ReturnType<typeof rowsOf>> = new Map();

  constructor(tx: Tx, model: Model, set: number | undefined) {
    this.#tx = tx;
    this.#model = model;
    this.#set = set;
  }

  /**
   * Finds what they are about.
   * @returns the first of them, up to the one before the second that is about the same thing
   * @throws RefusedAt
   */
  async find(operations: readonly Operation[], subjects: ReadonlyMap<Operation, Subject>): Promise<Operation[]> {
    this.#subjects = subjects;
    const seen = new Set<string>();
    const identities = mapEach(operations, (one) => identityOf(this.#tx, this.#model, subjects.get(one)!));
    const end = identities.findIndex((one) => seen.size === seen.add(one.text).size);
    const some = operations.slice(0, end < 0 ? operations.length : end);
    mapEach(operations, (one, i) => {
      const { name, text } = identities[i]!;
      const first = this.#names.get(text) ?? one;
      this.#names.set(text, first);
      if (name !== undefined && first !== one)
        throw new Problem('invalid', `/name is that of operation ${first.index} too`, {
          faults: [{ pointer: '/name', message: `is that of operation ${first.index} too; give both their uuids` }],
        });
    });
    const found = await findAll(this.#tx, this.#model, identities.slice(0, some.length), this.#set);
    mapEach(some, (one, i) => {
      const id = found[i];
      if (id instanceof Problem) throw id;
      this.#ids.set(one, id);
    });
    const ids = new Set<number>();
    const twice = found.findIndex((id) => typeof id === 'number' && ids.size === ids.add(id).size);
    this.#rows = await rowsOf(this.#tx, this.#model, [...ids]);
    return some.slice(0, twice < 0 ? some.length : twice);
  }

  /** Whether something made since it was looked up is what it is about. */
  async isThereNow(operation: Operation): Promise<boolean> {
    const [found] = await findAll(this.#tx, this.#model, [identityOf(this.#tx, this.#model, this.#subjects.get(operation)!)], this.#set);
    return found !== undefined;
  }

  idOf(operation: Operation): number | undefined {
    return this.#ids.get(operation);
  }

  /** The body of one that is not there yet. */
  newBody(operation: Operation): Values {
    const { key, body } = this.#subjects.get(operation)!;
    if (operation.ifVersion !== undefined)
      throw new Problem('stale-version', `There is no ${this.#model.resource.title.toLowerCase()} that if_version could match`);
    if (key === undefined) return body;
    if (/^\d{1,15}$/.test(key) || this.#model.resource.key.some((name) => this.#model.field.get(name)!.readOnly)) throw notFound(this.#model, key);
    return withKey(this.#tx.store.catalog, this.#model, key, body);
  }

  async make(operation: Operation): Promise<Done> {
    const { id, once } = await insertRow(this.#tx, this.#model, this.newBody(operation));
    await countOwner(this.#tx, this.#model, id);
    return { id, status: 'created', ...(Object.keys(once).length > 0 ? { once } : {}) };
  }

  /** Changes one that is there, where the body says otherwise than its row. */
  async change(operation: Operation): Promise<Done> {
    const id = this.#ids.get(operation)!;
    const known = this.#rows.get(id);
    if (!known) throw new RefusedAt([{ index: 0, cause: notFound(this.#model, String(id)) }]);
    const { key, body } = this.#subjects.get(operation)!;
    const full = key === undefined ? body : withKey(this.#tx.store.catalog, this.#model, key, body);
    const given = withoutShown(this.#model, full, known.row);
    const extras: Values = {};
    for (const name of Object.keys(this.#model.resource.extras ?? {})) {
      if (Object.hasOwn(given, name)) extras[name] = given[name];
      delete given[name];
    }
    const parsed = check(this.#model.updateSchema, given);
    const patch = difference(this.#model, parsed, known.row, known.refs, await this.#secrets(id, parsed));
    const versions = operation.ifVersion === undefined ? undefined : [operation.ifVersion];
    let changed = (Object.keys(patch).length > 0 || versions !== undefined) && (await patchRow(this.#tx, this.#model, id, patch, versions));
    if (changed) await countOwner(this.#tx, this.#model, id);
    if (this.#model.resource.noun === 'vm') changed = (await spreadVm(this.#tx, id, extras)) || changed;
    return { id, status: changed ? 'updated' : 'unchanged' };
  }

  async #secrets(id: number, parsed: Values): Promise<Values> {
    if (this.#model.resource.noun !== 'ceph_key' || parsed['secret'] === undefined) return {};
    return { secret: await secretOf(this.#tx, id) };
  }
}
