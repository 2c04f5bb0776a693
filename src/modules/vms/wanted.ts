import { sql } from 'kysely';
import { invalid } from '../../db/check.ts';
import { preparedFor } from '../../db/prepared.ts';
import { idOfKey } from '../../db/query.ts';
import type { Tx, Values } from '../../db/transaction.ts';
import type { Fault } from '../../kernel/problem.ts';
import type { Demand } from './placement.ts';
import type { NewInterface, NewVolume } from './vm-extras.ts';

/** Columns that a creation may give. */
export const vmColumns = [
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
] as const;

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

export interface Membership {
  readonly network_id: number;
  readonly tagged: boolean;
}

/** A disk with what was left out. */
export interface VolumeRow extends NewVolume {
  readonly number: number;
  readonly storage_pool_id: number;
  readonly shared: boolean;
  readonly image_id: number | null;
  readonly size: number;
}

export interface CardRow {
  readonly number: number;
  readonly mac?: string | undefined;
  readonly networks: readonly Membership[];
  /** Undefined: a free one of each family. */
  readonly addresses?: readonly string[] | undefined;
}

/** A virtual machine that is to be made: what comes with it, and what its host must have. */
export interface Wanted {
  readonly volumes: readonly VolumeRow[];
  readonly cards: readonly CardRow[];
  readonly demand: Demand;
}

/** Columns of one statement; PostgreSQL takes 1664. */
const COLUMNS = 500;

export interface Lookup {
  /** Refuses the choice of what is unique over all customers, where a refusal would tell of others. @throws Problem invalid */
  choose(noun: 'volume' | 'vm_interface', name: string, pointer: string): void;
  pool(key: string | number | undefined, pointer: string): PoolRow;
  image(key: string | number, pointer: string): ImageRow;
  networks(card: NewInterface, pointer: string): Membership[];
}

const volumesOf = (input: Values): readonly NewVolume[] => (input['volumes'] as NewVolume[] | undefined) ?? [{}];
const cardsOf = (input: Values): readonly NewInterface[] => (input['interfaces'] as NewInterface[] | undefined) ?? [{}];

/**
 * What the creation of this virtual machine makes beside it.
 * @throws Problem invalid
 */
export function wantedOf(lookup: Lookup, input: Values, defaultVolumeSize: number): Wanted {
  const volumes = volumesOf(input).map((volume, number): VolumeRow => {
    if (volume.name !== undefined) lookup.choose('volume', 'name', `/volumes/${number}/name`);
    const pool = lookup.pool(volume.storage_pool, `/volumes/${number}/storage_pool`);
    const image = volume.image == null ? undefined : lookup.image(volume.image, `/volumes/${number}/image`);
    const size = volume.size ?? roundUp(image?.size ?? defaultVolumeSize);
    if (image?.size != null && size < image.size) throw invalid([{ pointer: `/volumes/${number}/size`, message: `is less than the image's ${image.size}` }]);
    return { ...volume, number, storage_pool_id: pool.id, shared: pool.shared, image_id: image?.id ?? null, size, type: volume.type ?? typeOfPool[pool.kind] };
  });
  const cards = cardsOf(input).map((card, number): CardRow => {
    if (card.mac !== undefined) lookup.choose('vm_interface', 'mac', `/interfaces/${number}/mac`);
    return { ...card, number, networks: lookup.networks(card, `/interfaces/${number}/networks`) };
  });
  const demand: Demand = {
    method: input['method'] as string,
    cores: input['cores'] as number,
    ram: input['ram'] as number,
    pools: volumes.reduce((sums, volume) => sums.set(volume.storage_pool_id, (sums.get(volume.storage_pool_id) ?? 0) + volume.size), new Map<number, number>()),
    project: (input['project'] as number | null | undefined) ?? null,
  };
  return { volumes, cards, demand };
}

const roundUp = (size: number): number => Math.ceil(size / 512) * 512;

/** With the headroom that it has when none is asked for. */
export function withHeadroom(input: Values): Values {
  return { ...input, cores_max: input['cores_max'] ?? input['cores'], ram_max: input['ram_max'] ?? input['ram'] };
}

/** A virtual machine of a project is its customer's. @throws Problem invalid */
export function setOwner(input: Values, owner: number): void {
  input['customer'] ??= owner;
  if ((input['customer'] ?? owner) !== owner || input['customer'] === null) throw invalid([{ pointer: '/project', message: 'belongs to another customer' }]);
}

/** One statement for all pools, images and networks that are named, and the defaults. */
export async function look(tx: Tx, inputs: readonly Values[]): Promise<Lookup> {
  const volumes = inputs.flatMap(volumesOf);
  const cards = inputs.flatMap(cardsOf);
  const { catalog } = tx.store;
  const seen = catalog.byNoun('network').source;
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
    /* Never one that its maker may not see. */
    sql`(select x.id::float8 from ${seen} x where x.is_default or (select count(*) from ${seen} y) = 1) as default_network`,
    ...pools.map((key, i) => sql`${pick('storage_pool', poolColumns, key)} as ${sql.id(`p${i}`)}`),
    ...images.map((key, i) => sql`${pick('image', `, 'size', x.size`, key)} as ${sql.id(`i${i}`)}`),
    ...networks.map((key, i) => sql`(${idOfKey(catalog, catalog.byNoun('network'), key)})::float8 as ${sql.id(`n${i}`)}`),
  ];
  const row: Record<string, unknown> = {};
  for (let i = 0; i < columns.length; i += COLUMNS) {
    const some = columns.slice(i, i + COLUMNS);
    /* Of many keys no two statements are the same. */
    const found = await sql<Record<string, unknown>>`${some.length <= 8 ? preparedFor(tx.store.catalog) : sql``}select ${sql.join(some)}`.execute(tx.db);
    Object.assign(row, found.rows[0]);
  }
  const found = <T>(value: unknown, pointer: string, message: string): T => {
    if (value == null) throw invalid([{ pointer, message } satisfies Fault]);
    return value as T;
  };
  return {
    choose: (noun, name, pointer) => {
      if (catalog.models.find((model) => model.resource.noun === noun)?.field.get(name)?.readOnly ?? true)
        throw invalid([{ pointer, message: 'cannot be chosen: it is made' }]);
    },
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
