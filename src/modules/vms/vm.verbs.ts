import { sql } from 'kysely';
import type { Hooks, Tx, Values } from '../../db/transaction.ts';
import { prepared } from '../../db/prepared.ts';
import { columnType } from '../../db/records.ts';
import { dropDerived, giveAddress, giveThisAddress, subnetsOf } from '../network/allocate.ts';
import { bury } from '../control/tombstones.ts';
import { moved } from './move.ts';
import { pickHypervisor, takeHypervisor } from './placement.ts';
import { createMany } from './create-many.ts';
import type { Policy } from './vm-extras.ts';
import { look, setOwner, vmColumns, wantedOf, withHeadroom, type CardRow, type VolumeRow } from './wanted.ts';

export { typeOfPool } from './wanted.ts';

/**
 * Makes a virtual machine with its disks, cards and addresses on a host that can take it; what was left
 * out is filled in. All in the caller's transaction.
 * @throws Problem no-capacity, hypervisor-unavailable, no-address, invalid, conflict
 */
async function create(tx: Tx, input: Values): Promise<number> {
  const lookup = await look(tx, [input]);
  const { volumes, cards, demand } = wantedOf(lookup, input, tx.store.defaultVolumeSize);
  await checkProject(tx, input);
  const named = input['hypervisor'] as number | undefined;
  const policy = (input['placement'] as Policy | undefined) ?? tx.store.placement;
  const hypervisor = named === undefined ? await pickHypervisor(tx, demand, policy) : await takeHypervisor(tx, named, demand);

  const made = await insertAll(tx, withHeadroom({ ...input, hypervisor }), volumes, cards);
  const networks = [...new Set(cards.flatMap((card) => card.networks.map((one) => one.network_id)))];
  const subnets = await subnetsOf(tx, networks);
  for (const card of cards) {
    const id = made.interfaces[card.number]!;
    const mine = new Set(card.networks.map((one) => one.network_id));
    if (card.addresses) {
      const reachable = subnets.filter((subnet) => mine.has(subnet.network_id));
      for (const [i, address] of card.addresses.entries()) await giveThisAddress(tx, id, reachable, address, `/interfaces/${card.number}/addresses/${i}`);
      continue;
    }
    const untagged = card.networks.find((one) => !one.tagged)?.network_id;
    const near = subnets.filter((subnet) => subnet.network_id === untagged);
    await giveAddress(tx, id, near, 4);
    await giveAddress(tx, id, near, 6);
  }
  return made.id;
}

async function checkProject(tx: Tx, input: Values): Promise<void> {
  const project = input['project'];
  if (project == null) return;
  const { rows } = await sql<{ customer_id: string }>`select customer_id from project where id = ${project}`.execute(tx.db);
  setOwner(input, Number(rows[0]?.customer_id));
}

/** The virtual machine, its disks, cards and memberships in one statement. */
async function insertAll(
  tx: Tx,
  vm: Values,
  volumes: readonly VolumeRow[],
  cards: readonly CardRow[],
): Promise<{ id: number; interfaces: Record<number, number> }> {
  const model = tx.store.catalog.whole.byNoun('vm');
  const given = vmColumns.filter((name) => vm[name] !== undefined);
  const value = (name: string): unknown => (name === 'metadata' || name === 'cloud_init' ? (vm[name] === null ? null : JSON.stringify(vm[name])) : vm[name]);
  const members = cards.flatMap((card) => card.networks.map((one) => ({ number: card.number, ...one })));
  const { rows } = await sql<{ id: string; interfaces: Record<number, number> }>`${prepared}
    with n as (select next_id('vm_id_seq') as id),
    v as (insert into vm (id, name, ${sql.join(given.map((name) => sql.id(model.field.get(name)!.column!)))})
      select n.id, coalesce(${vm['name'] ?? null}::text, 'vm-' || n.id), ${sql.join(given.map((name) => sql`${value(name)}::${sql.raw(columnType(model, name))}`))} from n returning id, hypervisor_id),
    o as (insert into volume (name, storage_pool_id, hypervisor_id, vm_id, number, size, type, cache_option, read_iops, write_iops, read_bps, write_bps, discard, image_id)
      select coalesce(x.name, ''), x.storage_pool_id, case when x.shared then null else v.hypervisor_id end, v.id, x.number, x.size, x.type,
        coalesce(x.cache_option, 'default'), x.read_iops, x.write_iops, x.read_bps, x.write_bps, coalesce(x.discard, true), x.image_id
      from v, json_to_recordset(${JSON.stringify(volumes)}::json) as x (name text, storage_pool_id bigint, shared boolean, number int, size bigint, type text,
        cache_option text, read_iops int, write_iops int, read_bps bigint, write_bps bigint, discard boolean, image_id bigint)),
    i as (insert into vm_interface (vm_id, number, mac)
      select v.id, x.number, coalesce(x.mac, '00:00:00:00:00:00') from v, json_to_recordset(${JSON.stringify(cards)}::json) as x (number int, mac macaddr)
      returning id, number),
    m as (insert into network_membership (vm_interface_id, network_id, tagged)
      select i.id, x.network_id, x.tagged from i join json_to_recordset(${JSON.stringify(members)}::json) as x (number int, network_id bigint, tagged boolean) on x.number = i.number)
    select v.id, (select json_object_agg(i.number, i.id) from i) as interfaces from v`.execute(tx.db);
  return { id: Number(rows[0]!.id), interfaces: rows[0]!.interfaces };
}

/** A deleted virtual machine leaves its disks free, its addresses free, and what its host must remove. */
async function deleting(tx: Tx, id: number): Promise<void> {
  const { rows } = await sql<{ node_id: string; uuid: string; cards: string[] | null }>`select h.node_id, v.uuid,
    (select json_agg(i.name order by i.number) from vm_interface i where i.vm_id = v.id) as cards
    from vm v join hypervisor h on h.id = v.hypervisor_id where v.id = ${id} for update of v`.execute(tx.db);
  const row = rows[0];
  if (!row) return;
  const node = Number(row.node_id);
  await bury(tx, node, 'domain', `vm-${id}`, { uuid: row.uuid });
  for (const card of row.cards ?? []) await bury(tx, node, 'bridge', `br-${card}`, {});
  await dropDerived(tx, sql`select i.id from vm_interface i where i.vm_id = ${id}`);
  /* Its disks stay with the customer. */
  await sql`update volume o set customer_id = v.customer_id, version = o.version + 1, updated_at = now() from vm v
    where v.id = ${id} and o.vm_id = v.id and v.customer_id is not null and o.customer_id is distinct from v.customer_id`.execute(tx.db);
}

async function change(tx: Tx, id: number, patch: Values): Promise<Values> {
  const grown = await headroom(tx, id, patch);
  return { ...(await whose(tx, id, patch)), ...grown, ...(await moved(tx, id, patch)) };
}

/** A virtual machine that grows beyond its headroom gets as much headroom, where the patch does not say. */
async function headroom(tx: Tx, id: number, patch: Values): Promise<Values> {
  if (patch['cores'] === undefined && patch['ram'] === undefined) return {};
  const { rows } = await sql<{ cores_max: number; ram_max: number }>`select cores_max, ram_max::float8 as ram_max from vm where id = ${id}`.execute(tx.db);
  const out: Values = {};
  for (const name of ['cores', 'ram'] as const) {
    const wanted = patch[name] as number | undefined;
    if (wanted !== undefined && patch[`${name}_max`] === undefined && wanted > rows[0]![`${name}_max`]) out[`${name}_max`] = wanted;
  }
  return out;
}

async function whose(tx: Tx, id: number, patch: Values): Promise<Values> {
  if (patch['project'] === undefined && patch['customer'] === undefined) return patch;
  const { rows } = await sql<{
    customer: number | null;
    project: number | null;
  }>`select customer_id::float8 as customer, project_id::float8 as project from vm where id = ${id}`.execute(tx.db);
  const values = { customer: rows[0]?.customer ?? undefined, project: rows[0]?.project, ...patch };
  await checkProject(tx, values);
  return values;
}

/* The space left in a pool is judged before its row is locked; who loses that race looks again. */
const retryOn = ['pool_attachment_space', 'storage_pool_space'];

export const vmHooks: Hooks = { create, createMany, change, deleting, retryOn };
