import { sql } from 'kysely';
import type { Model } from '../db/catalog.ts';
import { touch, type Tx, type Values } from '../db/transaction.ts';
import { columnType, insertRecords } from '../db/records.ts';
import type { Target } from './keys.ts';
import type { Planned } from './plan.ts';

/**
 * What is done once for many rows instead of at each: limits of shared pools, which would count every
 * volume in one row, and pools of free addresses, which are made of what the file has not given away.
 */
export interface Deferred {
  readonly capacities: { readonly row: Planned; readonly pool: number; readonly capacity: number }[];
  readonly subnets: number[];
}

/** Makes new rows of a noun, whose ids are given, in few statements, with what its hooks add. */
export async function insertRows(tx: Tx, model: Model, rows: readonly Planned[], deferred: Deferred): Promise<void> {
  const { noun } = model.resource;
  const hooks = tx.store.hooks[noun] ?? {};
  const groups = new Map<string, Values[]>();
  const given: Values[] = [];
  const later: Deferred = { capacities: [], subnets: [] };
  for (const row of rows) {
    const id = row.target.id!;
    const values = plainValues(model, row.values);
    given.push(values);
    const stored = complete(model, id, hooks.prepare ? await hooks.prepare(tx, { ...values, id }) : values);
    if (noun === 'storage_pool' && (stored['kind'] === 'rbd' || stored['kind'] === 'nfs') && typeof stored['capacity'] === 'number') {
      later.capacities.push({ row, pool: id, capacity: stored['capacity'] });
      delete stored['capacity'];
    }
    if (noun === 'subnet' && row.kept['fill'] !== false) later.subnets.push(id);
    const record: Values = { id, ...(row.kept['secret_uuid'] === undefined ? {} : { secret_uuid: row.kept['secret_uuid'] }) };
    for (const field of model.fields) if (field.column !== undefined && stored[field.name] !== undefined) record[field.column] = stored[field.name];
    const signature = Object.keys(record).join();
    const group = groups.get(signature);
    if (group) group.push(record);
    else groups.set(signature, [record]);
  }
  const types = new Map(model.fields.filter((field) => field.column !== undefined).map((field) => [field.column!, columnType(model, field.name)]));
  types.set('id', 'bigint');
  for (const group of groups.values())
    await insertRecords(tx.db, model.table, Object.fromEntries(Object.keys(group[0]!).map((name) => [name, types.get(name)!])), group);
  await insertLists(tx, model, rows);
  if (hooks.created && noun !== 'subnet') for (const [i, row] of rows.entries()) await hooks.created(tx, row.target.id!, given[i]!);
  await touch(
    tx,
    model,
    rows.map((row) => row.target.id!),
  );
  deferred.capacities.push(...later.capacities);
  deferred.subnets.push(...later.subnets);
}

/** Rows of N:M tables with the names of lists, such as a hypervisor's methods. */
async function insertLists(tx: Tx, model: Model, rows: readonly Planned[]): Promise<void> {
  for (const field of model.fields) {
    if (!field.list) continue;
    const { pivotTable, joinColumns, inverseJoinColumns } = field.list;
    const [own, other] = [joinColumns[0]!, inverseJoinColumns[0]!];
    const records = rows.flatMap((row) =>
      [...new Set((row.values[field.name] as string[] | undefined) ?? [])].map((name) => ({ [own]: row.target.id!, [other]: name })),
    );
    await insertRecords(tx.db, pivotTable, { [own]: 'bigint', [other]: 'text' }, records);
  }
}

/** References as ids. */
function plainValues(model: Model, values: Values): Values {
  const isRef = (name: string, value: unknown): value is Target => value !== null && model.field.get(name)?.ref !== undefined;
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, isRef(name, value) ? value.id : value]));
}

/** What the verb of a virtual machine fills in where it makes one. */
function complete(model: Model, id: number, values: Values): Values {
  if (model.resource.noun !== 'vm') return { ...values };
  return { ...values, name: values['name'] ?? `vm-${id}`, cores_max: values['cores_max'] ?? values['cores'], ram_max: values['ram_max'] ?? values['ram'] };
}

/** Takes away what hooks of this import made by themselves and the file gives: a cluster's first keys, free addresses. */
export async function dropMade(tx: Tx, model: Model, rows: readonly Planned[]): Promise<void> {
  if (rows.length === 0) return;
  if (model.resource.noun === 'ceph_key') {
    const clusters = rows.map((row) => (row.values['ceph_cluster'] as Target).id!);
    const entities = rows.map((row) => row.values['entity'] as string);
    await sql`delete from ceph_key k using unnest(${clusters}::bigint[], ${entities}::text[]) as x (cluster, entity) where k.ceph_cluster_id = x.cluster and k.entity = x.entity`.execute(
      tx.db,
    );
  }
  if (model.resource.noun === 'address') {
    const addresses = rows.map((row) => row.values['address'] as string);
    await sql`delete from address a where a.address = any(${addresses}::inet[]) and a.vm_interface_id is null`.execute(tx.db);
  }
}
