import { sql } from 'kysely';
import { mapEach } from '../../db/many.ts';
import { columnType, insertRecords, newIds } from '../../db/records.ts';
import type { Tx, Values } from '../../db/transaction.ts';
import { giveAddresses, type Wanting } from '../network/allocate-many.ts';
import { PlacingFleet, type Request } from './place-many.ts';
import type { Policy } from './vm-extras.ts';
import { look, setOwner, vmColumns, wantedOf, withHeadroom, type Wanted } from './wanted.ts';

/** Rows of one statement. */
const CHUNK = 1000;

/** One of many: what was asked for, what comes with it, and where it goes. */
interface Made {
  readonly id: number;
  readonly input: Values;
  readonly wanted: Wanted;
  readonly hypervisor: number;
}

/**
 * Makes many virtual machines as `create` makes each of them, one after the other: the same hosts, the same
 * addresses, the same rows. Hosts are locked once, and rows go in by the thousand.
 * @returns their ids, in order
 * @throws RefusedAt with the problem of the first that cannot be made; what the database refuses names none
 */
export async function createMany(tx: Tx, inputs: readonly Values[]): Promise<number[]> {
  const lookup = await look(tx, inputs);
  await setOwners(tx, inputs);
  const wanted = mapEach(inputs, (input) => wantedOf(lookup, input, tx.store.defaultVolumeSize));
  const requests = inputs.map((input, i): Request => ({
    demand: wanted[i]!.demand,
    policy: (input['placement'] as Policy | undefined) ?? tx.store.placement,
    named: input['hypervisor'] as number | undefined,
  }));
  const fleet = await PlacingFleet.open(tx, requests);
  const hosts = mapEach(requests, (request) => fleet.place(request));
  await fleet.close();
  const ids = await newIds(tx.db, 'vm', inputs.length);
  const all = inputs.map((input, i): Made => ({ id: ids[i]!, input, wanted: wanted[i]!, hypervisor: hosts[i]! }));
  await insertVms(tx, all);
  await insertVolumes(tx, all);
  await giveAddresses(tx, await insertCards(tx, all));
  for (const host of new Set(hosts)) tx.touched.add(fleet.nodeOf(host));
  return ids;
}

/** A virtual machine of a project is its customer's. */
async function setOwners(tx: Tx, inputs: readonly Values[]): Promise<void> {
  const projects = [...new Set(inputs.flatMap((input) => (input['project'] as number | null | undefined) ?? []))];
  if (projects.length === 0) return;
  const { rows } = await sql<{ id: number; customer: number }>`select id::float8 as id, customer_id::float8 as customer from project
    where id = any(${projects}::bigint[])`.execute(tx.db);
  const owners = new Map(rows.map((row) => [row.id, row.customer]));
  mapEach(inputs, (input) => {
    if (input['project'] != null) setOwner(input, owners.get(input['project'] as number)!);
  });
}

/** Rows with the columns that they give: the database fills in the others, as it does for one. */
async function insertVms(tx: Tx, all: readonly Made[]): Promise<void> {
  const model = tx.store.catalog.whole.byNoun('vm');
  const columns = vmColumns.map((name) => [name, model.field.get(name)!.column!, columnType(model, name)] as const);
  const groups = new Map<string, { types: Record<string, string>; records: Values[] }>();
  for (const { id, input, hypervisor } of all) {
    const values = withHeadroom({ ...input, hypervisor });
    const given = columns.filter(([name]) => values[name] !== undefined);
    const key = given.map(([name]) => name).join();
    let group = groups.get(key);
    if (!group) {
      const types = given.map(([, column, type]): [string, string] => [column, type]);
      group = { types: { id: 'bigint', name: 'text', ...Object.fromEntries(types) }, records: [] };
      groups.set(key, group);
    }
    const record: Values = { id, name: input['name'] ?? `vm-${id}` };
    for (const [name, column] of given) record[column] = values[name];
    group.records.push(record);
  }
  for (const { types, records } of groups.values()) await inChunks(tx, 'vm', types, records);
}

const volumeTypes = {
  name: 'text',
  storage_pool_id: 'bigint',
  hypervisor_id: 'bigint',
  vm_id: 'bigint',
  number: 'int',
  size: 'bigint',
  type: 'text',
  cache_option: 'text',
  read_iops: 'int',
  write_iops: 'int',
  read_bps: 'bigint',
  write_bps: 'bigint',
  discard: 'boolean',
  image_id: 'bigint',
} as const;

async function insertVolumes(tx: Tx, all: readonly Made[]): Promise<void> {
  const records = all.flatMap(({ id, wanted, hypervisor }) =>
    wanted.volumes.map((volume) => ({
      ...volume,
      name: volume.name ?? '',
      hypervisor_id: volume.shared ? null : hypervisor,
      vm_id: id,
      cache_option: volume.cache_option ?? 'default',
      discard: volume.discard ?? true,
    })),
  );
  await inChunks(tx, 'volume', volumeTypes, records);
}

/** Cards and what networks they are in. @returns what addresses they want */
async function insertCards(tx: Tx, all: readonly Made[]): Promise<Wanting[]> {
  const flat = all.flatMap(({ id, wanted }, index) => wanted.cards.map((card) => ({ vm: id, card, index })));
  const ids = await newIds(tx.db, 'vm_interface', flat.length);
  const cards = flat.map(({ vm, card }, i) => ({ id: ids[i]!, vm_id: vm, number: card.number, mac: card.mac ?? '00:00:00:00:00:00' }));
  await inChunks(tx, 'vm_interface', { id: 'bigint', vm_id: 'bigint', number: 'int', mac: 'macaddr' }, cards);
  const members = flat.flatMap(({ card }, i) => card.networks.map((one) => ({ vm_interface_id: ids[i]!, ...one })));
  await inChunks(tx, 'network_membership', { vm_interface_id: 'bigint', network_id: 'bigint', tagged: 'boolean' }, members);
  return flat.map(({ card, index }, i) => ({ vmInterface: ids[i]!, networks: card.networks, addresses: card.addresses, number: card.number, index }));
}

async function inChunks(tx: Tx, table: string, types: Readonly<Record<string, string>>, records: readonly Values[]): Promise<void> {
  for (let i = 0; i < records.length; i += CHUNK) await insertRecords(tx.db, table, types, records.slice(i, i + CHUNK));
}
