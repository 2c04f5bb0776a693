import { sql } from 'kysely';
import { invalid } from '../../db/check.ts';
import type { Hooks, Tx, Values } from '../../db/transaction.ts';
import { prepared } from '../../db/prepared.ts';
import { idOfKey } from '../../db/query.ts';
import type { Fault } from '../../kernel/problem.ts';
import { dropDerived, giveAddress, giveThisAddress, subnetsOf } from '../network/allocate.ts';
import { bury } from '../control/tombstones.ts';
import { moved } from './move.ts';
import { pickHypervisor, takeHypervisor, type Demand } from './placement.ts';
import type { NewInterface, NewVolume, Policy } from './vm-extras.ts';

interface PoolRow {
  readonly id: number;
  readonly kind: 'dir' | 'lvm' | 'rbd' | 'nfs';
  readonly shared: boolean;
}

interface ImageRow {
  readonly id: number;
  readonly size: number | null;
}

/** The type of volume that a pool of each kind usually holds. */
export const typeOfPool = { dir: 'qcow2', nfs: 'qcow2', lvm: 'lvm', rbd: 'rbd' } as const;

/**
 * Makes a virtual machine with its disks, cards and addresses on a host that can take it; what was left
 * out is filled in. All in the caller's transaction.
 * @throws Problem no-capacity, hypervisor-unavailable, no-address, invalid, conflict
 */
async function create(tx: Tx, input: Values): Promise<number> {
  const wantedVolumes = (input['volumes'] as NewVolume[] | undefined) ?? [{}];
  const wantedInterfaces = (input['interfaces'] as NewInterface[] | undefined) ?? [{}];
  const lookup = await look(tx, wantedVolumes, wantedInterfaces);
  const volumes = wantedVolumes.map((volume, number) => {
    const pool = lookup.pool(volume.storage_pool, `/volumes/${number}/storage_pool`);
    const image = volume.image == null ? undefined : lookup.image(volume.image, `/volumes/${number}/image`);
    const size = volume.size ?? roundUp(image?.size ?? tx.store.defaultVolumeSize);
    if (image?.size != null && size < image.size) throw invalid([{ pointer: `/volumes/${number}/size`, message: `is less than the image's ${image.size}` }]);
    return { ...volume, number, storage_pool_id: pool.id, shared: pool.shared, image_id: image?.id ?? null, size, type: volume.type ?? typeOfPool[pool.kind] };
  });
  const interfaces = wantedInterfaces.map((card, number) => ({ ...card, number, networks: lookup.networks(card, `/interfaces/${number}/networks`) }));

  const cores = input['cores'] as number;
  const ram = input['ram'] as number;
  const demand: Demand = {
    method: input['method'] as string,
    cores,
    ram,
    pools: volumes.reduce((sums, volume) => sums.set(volume.storage_pool_id, (sums.get(volume.storage_pool_id) ?? 0) + volume.size), new Map<number, number>()),
    project: (input['project'] as number | null | undefined) ?? null,
  };
  await checkProject(tx, input);
  const named = input['hypervisor'] as number | undefined;
  const policy = (input['placement'] as Policy | undefined) ?? tx.store.placement;
  const hypervisor = named === undefined ? await pickHypervisor(tx, demand, policy) : await takeHypervisor(tx, named, demand);

  const made = await insertAll(tx, { ...input, hypervisor, cores_max: input['cores_max'] ?? cores, ram_max: input['ram_max'] ?? ram }, volumes, interfaces);
  const networks = [...new Set(interfaces.flatMap((card) => card.networks.map((one) => one.network_id)))];
  const subnets = await subnetsOf(tx, networks);
  for (const card of interfaces) {
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

const roundUp = (size: number): number => Math.ceil(size / 512) * 512;

async function checkProject(tx: Tx, input: Values): Promise<void> {
  const project = input['project'];
  if (project == null) return;
  const { rows } = await sql<{ customer_id: string }>`select customer_id from project where id = ${project}`.execute(tx.db);
  const owner = Number(rows[0]?.customer_id);
  input['customer'] ??= owner;
  if ((input['customer'] ?? owner) !== owner || input['customer'] === null) throw invalid([{ pointer: '/project', message: 'belongs to another customer' }]);
}

interface Membership {
  readonly network_id: number;
  readonly tagged: boolean;
}

/** One statement for all pools, images and networks that are named, and the defaults. */
async function look(tx: Tx, volumes: readonly NewVolume[], cards: readonly NewInterface[]) {
  const { catalog } = tx.store;
  const pools = [...new Set(volumes.flatMap((volume) => (volume.storage_pool === undefined ? [] : [String(volume.storage_pool)])))];
  const images = [...new Set(volumes.flatMap((volume) => (volume.image == null ? [] : [String(volume.image)])))];
  const networks = [...new Set(cards.flatMap((card) => card.networks ?? []).map((one) => String(one.network)))];
  const pick = (noun: string, columns: string, key: string) => {
    const model = catalog.byNoun(noun);
    return sql`(select json_build_object('id', x.id${sql.raw(columns)}) from ${sql.id(model.table)} x where x.id = ${idOfKey(catalog, model, key)})`;
  };
  const poolColumns = `, 'kind', x.kind, 'shared', x.shared`;
  const columns = [
    sql`(select json_build_object('id', x.id${sql.raw(poolColumns)}) from storage_pool x where x.is_default or (select count(*) from storage_pool) = 1) as default_pool`,
    sql`(select x.id::float8 from network x where x.is_default or (select count(*) from network) = 1) as default_network`,
    ...pools.map((key, i) => sql`${pick('storage_pool', poolColumns, key)} as ${sql.id(`p${i}`)}`),
    ...images.map((key, i) => sql`${pick('image', `, 'size', x.size`, key)} as ${sql.id(`i${i}`)}`),
    ...networks.map((key, i) => sql`(${idOfKey(catalog, catalog.byNoun('network'), key)})::float8 as ${sql.id(`n${i}`)}`),
  ];
  const row = (await sql<Record<string, unknown>>`${prepared}select ${sql.join(columns)}`.execute(tx.db)).rows[0]!;
  const found = <T>(value: unknown, pointer: string, message: string): T => {
    if (value == null) throw invalid([{ pointer, message } satisfies Fault]);
    return value as T;
  };
  return {
    pool: (key: string | number | undefined, pointer: string): PoolRow =>
      key === undefined
        ? found<PoolRow>(row['default_pool'], pointer, 'is needed: no storage pool is the default')
        : found<PoolRow>(row[`p${pools.indexOf(String(key))}`], pointer, `there is no storage pool '${key}'`),
    image: (key: string | number, pointer: string): ImageRow => found<ImageRow>(row[`i${images.indexOf(String(key))}`], pointer, `there is no image '${key}'`),
    networks: (card: NewInterface, pointer: string): Membership[] =>
      card.networks
        ? card.networks.map((one, i) => ({
            network_id: found<number>(row[`n${networks.indexOf(String(one.network))}`], `${pointer}/${i}/network`, `there is no network '${one.network}'`),
            tagged: one.tagged,
          }))
        : [{ network_id: found<number>(row['default_network'], pointer, 'is needed: no network is the default'), tagged: false }],
  };
}

interface VolumeRow extends NewVolume {
  readonly number: number;
  readonly storage_pool_id: number;
  readonly shared: boolean;
  readonly image_id: number | null;
  readonly size: number;
}

interface CardRow {
  readonly number: number;
  readonly mac?: string | undefined;
  readonly networks: readonly Membership[];
}

/** The virtual machine, its disks, cards and memberships in one statement. */
async function insertAll(
  tx: Tx,
  vm: Values,
  volumes: readonly VolumeRow[],
  cards: readonly CardRow[],
): Promise<{ id: number; interfaces: Record<number, number> }> {
  const columns = [
    'uuid',
    'customer',
    'project',
    'hypervisor',
    'method',
    'state',
    'cores',
    'cores_max',
    'ram',
    'ram_max',
    'cputime_limit',
    'cpu_mode',
    'cpu_model',
    'machine',
    'firmware',
    'boot_order',
    'rtc',
    'affinity_group',
    'ha_policy',
    'metadata',
    'cloud_init',
  ];
  const model = tx.store.catalog.byNoun('vm');
  const given = columns.filter((name) => vm[name] !== undefined);
  const value = (name: string): unknown => (name === 'metadata' || name === 'cloud_init' ? (vm[name] === null ? null : JSON.stringify(vm[name])) : vm[name]);
  const members = cards.flatMap((card) => card.networks.map((one) => ({ number: card.number, ...one })));
  const { rows } = await sql<{ id: string; interfaces: Record<number, number> }>`${prepared}
    with n as (select next_id('vm_id_seq') as id),
    v as (insert into vm (id, name, ${sql.join(given.map((name) => sql.id(model.field.get(name)!.column!)))})
      select n.id, coalesce(${vm['name'] ?? null}::text, 'vm-' || n.id), ${sql.join(given.map((name) => sql`${value(name)}::${sql.raw(columnType(tx, name))}`))} from n returning id, hypervisor_id),
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

function columnType(tx: Tx, name: string): string {
  const meta = tx.store.catalog.byNoun('vm').meta.properties as Record<string, { columnTypes: string[] }>;
  return meta[name]!.columnTypes[0]!;
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

export const vmHooks: Hooks = { create, change, deleting, retryOn };
