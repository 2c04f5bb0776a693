import { LockMode } from '@mikro-orm/postgresql';
import { sql } from 'kysely';
import { isRecord } from '../kernel/codec.ts';
import type { Guard } from '../kernel/etag.ts';
import { pointer, Problem, type Fault } from '../kernel/problem.ts';
import { ownerField, type Catalog, type Model } from './catalog.ts';
import { check, invalid, resolve } from './check.ts';
import { toProblem } from './errors.ts';
import { splitKey } from './query.ts';
import { getRow, idOf, notFound, rowCondition, type Row } from './read.ts';
import { settle, touch, transaction, type Store, type Tx, type TxOptions, type Values } from './transaction.ts';

/** Makes a row from wire input. @returns its id, and what is shown once */
export async function insertRow(tx: Tx, model: Model, input: unknown): Promise<{ id: number; once: Values }> {
  const { rights } = tx.store;
  rights?.tryToMake(model);
  const parsed = check(model.createSchema, input);
  const parts = takeParts(model, parsed);
  const values = await resolve(tx, model, parsed);
  atHome(tx, model, values);
  const hooks = tx.store.hooks[model.resource.noun] ?? {};
  const id = hooks.create ? await hooks.create(tx, values) : await insert(tx, model, hooks.prepare ? await hooks.prepare(tx, values) : values);
  for (const { place, part, value } of parts)
    if (isRecord(value)) await within(tx, place, part, () => insertRow(tx, part, { ...value, [ownerField(part)]: id }));
  const once = (await hooks.created?.(tx, id, values)) ?? {};
  await rights?.permit(tx.db, model, 'create', id);
  await touch(tx, model, [id]);
  return { id, once };
}

/** Who works in one place only makes things there, unless the input says something else. */
export function atHome({ store: { rights } }: Tx, model: Model, values: Values): void {
  for (const place of ['site', 'customer', 'project'] as const) {
    const home = rights?.home(place);
    if (home !== undefined && model.field.get(place)?.ref === place) values[place] ??= home;
  }
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
  await tx.store.rights?.permit(tx.db, model, 'update', id);
  const entity = await lockRow(tx, model, id, versions);
  const limits = Object.keys(parsed).some((name) => name.startsWith('quota_') && (entity[name] ?? null) !== (parsed[name] ?? null));
  if (limits) await tx.store.rights?.permitLimits(tx.db, model, id);
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
  /* Nor may it be given away. */
  if (changed) await tx.store.rights?.permit(tx.db, model, 'update', id);
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
  await tx.store.rights?.permit(tx.db, model, 'delete', id);
  if (versions) await lockRow(tx, model, id, versions);
  await touch(tx, model, [id]);
  await tx.store.hooks[model.resource.noun]?.deleting?.(tx, id);
  const { numAffectedRows } = await sql`delete from ${sql.id(model.table)} where id = ${id}`.execute(tx.db);
  if (numAffectedRows === 0n) throw notFound(model, String(id));
  tx.em.clear();
}

/** The constraints that a second PUT of the same new key runs into; tried again, it finds the first one's row. */
export function uniqueKeys(model: Model): string[] {
  const columns = model.resource.key.map((name) => model.field.get(name)!.column!);
  return [`${model.table}_${columns.join('_')}_unique`];
}

/** A part that is written by itself changes its whole: a hypervisor its node. */
export async function countOwner(tx: Tx, model: Model, id: number): Promise<void> {
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
      await settle(tx);
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
      await settle(tx);
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
      const { rows } = condition ? await sql<{ id: string }>`select t.id from ${model.source} as t where ${condition} for update`.execute(tx.db) : { rows: [] };
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
      await settle(tx);
      return { row: await getRow(tx.db, store.catalog, model, String(id)), created };
    },
    { ...options(model), retryOn: [...uniqueKeys(model), ...(store.hooks[model.resource.noun]?.retryOn ?? [])] },
  );
}

/** The body with the key fields that the path gives; a body that says otherwise is refused. */
export function withKey(catalog: Catalog, model: Model, key: string, input: Values): Values {
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
