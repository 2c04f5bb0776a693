import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import { LockMode } from '@mikro-orm/postgresql';
import { sql, type RawBuilder } from 'kysely';
import { z } from 'zod';
import { isRecord } from '../kernel/codec.ts';
import type { Guard } from '../kernel/etag.ts';
import { pointer, Problem, type Fault } from '../kernel/problem.ts';
import type { SecretBox } from '../kernel/secret.ts';
import { ownerField, type Catalog, type Field, type Model } from './catalog.ts';
import { isRetryable, toProblem } from './errors.ts';
import { prepared } from './prepared.ts';
import { idOfKey, splitKey } from './query.ts';
import { getRow, idOf, notFound, rowCondition, type Db, type Row } from './read.ts';

/** Key of the advisory lock that orders writes of shared rows against all others; any number will do. */
const DOCUMENT_LOCK = 4_101_956;
const ATTEMPTS = 8;
/** Faults of one input that are told. */
const MAX_FAULTS = 50;

/** What a module adds to the generic verbs of its noun. */
export interface Hooks {
  /** Before an insert: the values to store, from the input as parsed; may add properties that no client writes. */
  readonly prepare?: (tx: Tx, input: Values) => Promise<Values> | Values;
  /** In place of the insert: makes the thing and whatever belongs to it. @returns its id */
  readonly create?: (tx: Tx, input: Values) => Promise<number>;
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
}

export type Values = Record<string, unknown>;

/** What the verbs need; made once by the process. */
export interface Store {
  readonly orm: MikroORM;
  readonly catalog: Catalog;
  readonly hooks: Readonly<Record<string, Hooks>>;
  readonly secrets: SecretBox;
  /** Rebuilds the documents of these nodes inside the transaction. */
  readonly rebuild: (tx: Tx, nodes: readonly number[]) => Promise<void>;
  readonly placement: 'least_loaded' | 'round_robin' | 'sticky';
  readonly defaultVolumeSize: number;
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

/**
 * Runs one transaction: work, then the documents of the nodes that it touched, then the commit. When it
 * loses against another (deadlock, serialisation) it runs again.
 *
 * Writers take the document lock shared; writers of shared rows take it alone, so that no document is
 * built from a row that is changing under it.
 * @throws Problem for what the database refuses
 */
export async function transaction<T>(store: Store, work: (tx: Tx) => Promise<T>, options: TxOptions = {}): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      const outer = store.within?.fork({ clear: true, keepTransactionContext: true }) ?? store.orm.em.fork();
      return await outer.transactional(async (em) => {
        const db = em.getKysely() as unknown as Db;
        const tx: Tx = { store, em, db, touched: new Set() };
        /* What is rolled back in the end shows nobody a document, so it holds up no other writer. */
        if (!store.within)
          await sql`${prepared}select ${options.shared ? sql`pg_advisory_xact_lock` : sql`pg_advisory_xact_lock_shared`}(${sql.lit(DOCUMENT_LOCK)})`.execute(
            db,
          );
        const value = await work(tx);
        await em.flush();
        if (tx.touched.size > 0)
          await store.rebuild(
            tx,
            [...tx.touched].sort((a, b) => a - b),
          );
        /* There is no commit that would check what waits for one. */
        if (store.within || options.sandbox) await sql`set constraints all immediate`.execute(db);
        if (store.within) await sql`set constraints all deferred`.execute(db);
        if (options.sandbox) throw new Sandboxed(value);
        return value;
      });
    } catch (error) {
      if (error instanceof Sandboxed) return error.value as T;
      if (isRetryable(error, options.retryOn) && attempt < ATTEMPTS) continue;
      throw toProblem(error, store.catalog, options.model);
    }
  }
}

/** Adds the nodes whose documents these rows shape. */
export async function touch(tx: Tx, model: Model, ids: readonly number[]): Promise<void> {
  const nodes = model.resource.affects?.(ids);
  if (!nodes || ids.length === 0) return;
  const { rows } = await sql<{ node_id: string }>`${prepared}select distinct node_id from (${nodes}) as affected (node_id)`.execute(tx.db);
  for (const row of rows) tx.touched.add(Number(row.node_id));
}

/** Checks input against a schema; every fault at once, with its place. @throws Problem invalid */
export function check(schema: z.ZodType<Values>, input: unknown, prefix: readonly PropertyKey[] = []): Values {
  if (!isRecord(input))
    throw new Problem('invalid', 'The body must be an object with the fields of the thing', {
      faults: [{ pointer: pointer(prefix), message: 'must be an object' }],
    });
  const parsed = schema.safeParse(input, { reportInput: true });
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.slice(0, MAX_FAULTS).flatMap((issue) => faultsOf(issue, prefix));
  throw invalid(faults);
}

function faultsOf(issue: z.core.$ZodIssue, prefix: readonly PropertyKey[]): Fault[] {
  const path = [...prefix, ...issue.path];
  if (issue.code === 'unrecognized_keys')
    return issue.keys.slice(0, MAX_FAULTS).map((key) => ({ pointer: pointer([...path, key.slice(0, 100)]), message: 'is not a field of this; see /docs' }));
  if (issue.code === 'invalid_type' && issue.input === undefined) return [{ pointer: pointer(path), message: 'is needed' }];
  return [{ pointer: pointer(path), message: issue.message.replace(/^Invalid input: /, '') }];
}

export function invalid(faults: readonly Fault[]): Problem {
  return new Problem('invalid', faults.map((one) => `${one.pointer} ${one.message}`).join('; '), { faults });
}

/**
 * Replaces keys by ids: one statement for all references of the input.
 * @throws Problem invalid that names each reference to nothing
 */
export async function resolve(tx: Tx, model: Model, input: Values): Promise<Values> {
  const refs: [Field, unknown][] = model.fields
    .filter((field) => field.ref !== undefined && input[field.name] != null)
    .map((field) => [field, input[field.name]]);
  if (refs.length === 0) return input;
  const columns = refs.map(([field, value], i): RawBuilder<unknown> => {
    const target = tx.store.catalog.byNoun(field.ref!);
    return sql`${idOfKey(tx.store.catalog, target, String(value))} as ${sql.id(`r${i}`)}`;
  });
  const { rows } = await sql<Record<string, string | null>>`${prepared}select ${sql.join(columns)}`.execute(tx.db);
  const out = { ...input };
  const faults: Fault[] = [];
  for (const [i, [field, value]] of refs.entries()) {
    const found = rows[0]![`r${i}`];
    if (found == null) {
      const title = tx.store.catalog.byNoun(field.ref!).resource.title;
      faults.push({ pointer: `/${field.name}`, message: `there is no ${/^[A-Z]{2}/.test(title) ? title : title.toLowerCase()} '${String(value)}'` });
    } else {
      out[field.name] = Number(found);
    }
  }
  if (faults.length > 0) throw invalid(faults);
  return out;
}

/** Makes a row from wire input. @returns its id, and what is shown once */
export async function insertRow(tx: Tx, model: Model, input: unknown): Promise<{ id: number; once: Values }> {
  const parsed = check(model.createSchema, input);
  const parts = takeParts(model, parsed);
  const values = await resolve(tx, model, parsed);
  const hooks = tx.store.hooks[model.resource.noun] ?? {};
  const id = hooks.create ? await hooks.create(tx, values) : await insert(tx, model, hooks.prepare ? await hooks.prepare(tx, values) : values);
  for (const { place, part, value } of parts)
    if (isRecord(value)) await within(tx, place, part, () => insertRow(tx, part, { ...value, [ownerField(part)]: id }));
  const once = (await hooks.created?.(tx, id, values)) ?? {};
  await touch(tx, model, [id]);
  return { id, once };
}

/** Stores values as they are, through the unit of work. */
export async function insert(tx: Tx, model: Model, values: Values): Promise<number> {
  const entity = tx.em.create(model.resource.entity, values as never, { partial: true }) as unknown as { id: number };
  await tx.em.persist(entity).flush();
  return entity.id;
}

interface GivenPart {
  /** JSON pointer of the part in the input. */
  readonly place: string;
  readonly part: Model;
  /** Null: the part is to go. */
  readonly value: unknown;
}

/** Takes the parts out of the input. */
function takeParts(model: Model, input: Values): GivenPart[] {
  const out: GivenPart[] = [];
  for (const [name, parts] of Object.entries(model.parts)) {
    const given = input[name] as Values | undefined;
    delete input[name];
    for (const [part, value] of Object.entries(given ?? {})) if (value !== undefined) out.push({ place: pointer([name, part]), part: parts[part]!, value });
  }
  return out;
}

/** Puts the place of a part before the places of what is wrong in it. */
async function within<T>(tx: Tx, place: string, part: Model, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const seen = toProblem(error, tx.store.catalog, part);
    if (!(seen instanceof Problem) || seen.faults.length === 0) throw error;
    const faults = seen.faults.map((one) => ({ pointer: place + one.pointer, message: one.message }));
    throw new Problem(seen.code, faults.map((one) => `${one.pointer} ${one.message}`).join('; '), { faults, extra: { ...seen.extra }, cause: error });
  }
}

/**
 * Changes a row by a merge patch.
 * @param versions that the row may have, from If-Match
 * @returns whether anything is other than before
 * @throws Problem stale-version, not-found, invalid
 */
export async function patchRow(tx: Tx, model: Model, id: number, input: unknown, versions?: Guard): Promise<boolean> {
  const parsed = check(model.updateSchema, input);
  const parts = takeParts(model, parsed);
  const entity = await lockRow(tx, model, id, versions);
  const before = entity['version'];
  const values = await resolve(tx, model, parsed);
  refuseImmutable(model, entity, values);
  await touch(tx, model, [id]);
  const hooks = tx.store.hooks[model.resource.noun] ?? {};
  const stored = hooks.change ? await hooks.change(tx, id, values) : values;
  let elsewhere = model.fields.some((field) => field.list && field.name in stored && !sameList(entity[field.name], stored[field.name]));
  tx.em.assign(entity as object, stored as never);
  await tx.em.flush();
  let changed = entity['version'] !== before;
  for (const { place, part, value } of parts) elsewhere = (await within(tx, place, part, () => changePart(tx, part, id, value))) || elsewhere;
  /* A part or a list is kept in another table; the row's version counts it all the same. */
  if (elsewhere && !changed) await sql`update ${sql.id(model.table)} set version = version + 1, updated_at = now() where id = ${id}`.execute(tx.db);
  changed ||= elsewhere;
  await hooks.changed?.(tx, id, values);
  await touch(tx, model, [id]);
  return changed;
}

/** Whether a loaded N:M collection holds just these names. */
function sameList(collection: unknown, wanted: unknown): boolean {
  const names = (collection as { getIdentifiers(): unknown[] }).getIdentifiers().map(String).sort();
  return JSON.stringify(names) === JSON.stringify([...new Set((wanted as unknown[]).map(String))].sort());
}

/** @returns whether the part was made, changed or deleted */
async function changePart(tx: Tx, part: Model, owner: number, value: unknown): Promise<boolean> {
  const field = part.field.get(ownerField(part))!;
  const { rows } = await sql<{ id: string }>`select id from ${sql.id(part.table)} where ${sql.id(field.column!)} = ${owner}`.execute(tx.db);
  const existing = rows[0] && Number(rows[0].id);
  if (value === null) {
    if (existing !== undefined) await deleteRow(tx, part, existing);
    return existing !== undefined;
  }
  if (existing !== undefined) return patchRow(tx, part, existing, value);
  await insertRow(tx, part, { ...(value as Values), [field.name]: owner });
  return true;
}

async function lockRow(tx: Tx, model: Model, id: number, versions: Guard): Promise<Values> {
  const lists = model.fields.filter((field) => field.list).map((field) => field.name);
  const entity = (await tx.em.findOne(model.resource.entity, { id } as never, { lockMode: LockMode.PESSIMISTIC_WRITE, refresh: true })) as unknown as
    | (Values & { version: number })
    | null;
  if (!entity) throw notFound(model, String(id));
  if (lists.length > 0) await tx.em.populate(entity as object, lists as never);
  if (Array.isArray(versions) && !versions.includes(entity.version)) {
    throw new Problem('stale-version', 'It was changed by somebody else since you read it; read it again and repeat your change', {
      extra: { version: entity.version },
    });
  }
  return entity;
}

function refuseImmutable(model: Model, entity: Values, values: Values): void {
  const faults: Fault[] = [];
  for (const field of model.fields) {
    if (!field.immutable || !(field.name in values)) continue;
    const now = entity[field.name];
    const current = field.ref !== undefined && typeof now === 'object' && now !== null ? (now as { id: unknown }).id : now;
    const plain = typeof current === 'object' && current !== null && 'name' in current ? (current as { name: unknown }).name : current;
    if ((plain ?? null) !== (values[field.name] ?? null)) faults.push({ pointer: `/${field.name}`, message: 'cannot be changed once it is made' });
    else delete values[field.name];
  }
  if (faults.length > 0) throw invalid(faults);
}

/** Deletes a row and what belongs to it. @throws Problem in-use, stale-version, not-found */
export async function deleteRow(tx: Tx, model: Model, id: number, versions?: Guard): Promise<void> {
  if (versions) await lockRow(tx, model, id, versions);
  await touch(tx, model, [id]);
  await tx.store.hooks[model.resource.noun]?.deleting?.(tx, id);
  const { numAffectedRows } = await sql`delete from ${sql.id(model.table)} where id = ${id}`.execute(tx.db);
  if (numAffectedRows === 0n) throw notFound(model, String(id));
  tx.em.clear();
}

/** The constraints that a second PUT of the same new key runs into; tried again, it finds the first one's row. */
function uniqueKeys(model: Model): string[] {
  const columns = model.resource.key.map((name) => model.field.get(name)!.column!);
  return [`${model.table}_${columns.join('_')}_unique`];
}

/** A part that is written by itself changes its whole: a hypervisor its node. */
async function countOwner(tx: Tx, model: Model, id: number): Promise<void> {
  const whole = tx.store.catalog.models.find((one) => Object.values(one.parts).some((parts) => Object.values(parts).includes(model)));
  if (!whole) return;
  const column = model.field.get(ownerField(model))!.column!;
  await sql`update ${sql.id(whole.table)} set version = version + 1, updated_at = now() where id = (select ${sql.id(column)} from ${sql.id(model.table)} where id = ${id})`.execute(
    tx.db,
  );
}

const options = (model: Model): TxOptions => ({ model, shared: model.resource.shared ?? false });

/** POST: makes a thing. */
export async function createThing(store: Store, model: Model, input: unknown): Promise<Row> {
  return transaction(
    store,
    async (tx) => {
      const { id, once } = await insertRow(tx, model, input);
      await countOwner(tx, model, id);
      return { ...(await getRow(tx.db, store.catalog, model, String(id))), ...once };
    },
    { ...options(model), retryOn: store.hooks[model.resource.noun]?.retryOn },
  );
}

/** PATCH: a merge patch of the thing that a path names. */
export async function changeThing(store: Store, model: Model, key: string, patch: unknown, versions?: Guard): Promise<Row> {
  return transaction(
    store,
    async (tx) => {
      const id = await idOf(tx.db, store.catalog, model, key);
      if (await patchRow(tx, model, id, patch, versions)) await countOwner(tx, model, id);
      return getRow(tx.db, store.catalog, model, String(id));
    },
    options(model),
  );
}

/** PUT: makes the thing of this natural key, or sets the fields that are given; what is left out stays. */
export async function putThing(store: Store, model: Model, key: string, input: unknown, versions?: Guard): Promise<{ row: Row; created: boolean }> {
  return transaction(
    store,
    async (tx) => {
      if (!isRecord(input)) check(model.createSchema, input);
      const body = withKey(store.catalog, model, key, input as Values);
      const condition = rowCondition(store.catalog, model, key);
      const { rows } = condition
        ? await sql<{ id: string }>`select t.id from ${sql.id(model.table)} as t where ${condition} for update`.execute(tx.db)
        : { rows: [] };
      let id = rows[0] && Number(rows[0].id);
      const created = id === undefined;
      let changed = created;
      if (id === undefined) {
        if (/^\d{1,15}$/.test(key)) throw notFound(model, key);
        if (versions) throw new Problem('stale-version', `There is no ${model.resource.title.toLowerCase()} '${key}' that If-Match could match`);
        ({ id } = await insertRow(tx, model, body));
      } else {
        for (const name of Object.keys(model.resource.extras ?? {})) delete body[name];
        changed = await patchRow(tx, model, id, body, versions);
      }
      if (changed) await countOwner(tx, model, id);
      return { row: await getRow(tx.db, store.catalog, model, String(id)), created };
    },
    { ...options(model), retryOn: [...uniqueKeys(model), ...(store.hooks[model.resource.noun]?.retryOn ?? [])] },
  );
}

/** The body with the key fields that the path gives; a body that says otherwise is refused. */
function withKey(catalog: Catalog, model: Model, key: string, input: Values): Values {
  if (/^\d{1,15}$/.test(key)) return input;
  const parts = splitKey(catalog, model, key);
  if (!parts) throw notFound(model, key);
  const out = { ...input };
  for (const [i, name] of model.resource.key.entries()) {
    const field = model.field.get(name)!;
    if (field.readOnly) continue;
    out[name] ??= field.type === 'integer' ? Number(parts[i]) : parts[i];
    const same = (one: unknown): string => JSON.stringify(field.schema.safeParse(one).data ?? one);
    if (field.ref === undefined && same(out[name]) !== same(field.type === 'integer' ? Number(parts[i]) : parts[i]))
      throw invalid([{ pointer: `/${name}`, message: `differs from '${parts[i]}' in the path; to rename a thing use PATCH` }]);
  }
  return out;
}

/** DELETE. */
export async function deleteThing(store: Store, model: Model, key: string, versions?: Guard): Promise<void> {
  await transaction(
    store,
    async (tx) => {
      const id = await idOf(tx.db, store.catalog, model, key);
      await countOwner(tx, model, id);
      await deleteRow(tx, model, id, versions);
    },
    options(model),
  );
}
