import { sql, type RawBuilder } from 'kysely';
import type { PoolClient } from 'pg';
import type { Corral } from '../corral.ts';
import { columnsSql, type Field, type Model } from '../db/catalog.ts';
import type { Values } from '../db/transaction.ts';
import { toYaml } from '../documents/yaml.ts';
import { cephKeyContext } from '../modules/hooks.ts';
import { openSecrets } from '../modules/layers/stored.ts';
import { fleetModels, keptFields } from './fleet-file.ts';
import { isFilled, poolIsWhole } from './free-pool.ts';

export interface ExportOptions {
  /** Write the secrets of Ceph keys and of layers too, in clear. */
  readonly secrets?: boolean;
}

/** Rows that are read, and held in memory, at a time. */
const PAGE = 500;

/**
 * Writes the whole fleet as a fleet file, in chunks, in constant memory: pages of one snapshot, each noun
 * in the order in which its rows were made. Imported into an empty database it gives the same fleet, and
 * with `secrets` the same documents, byte for byte.
 *
 * Left out are what is computed, ids (but those of virtual machines, their cards and volumes, which
 * documents name), versions and times; observed states; what hosts are told to remove; tokens, of which only hashes are kept; and free
 * addresses that their subnet brings by itself. A subnet some of whose free addresses were taken away
 * says `fill: false`, and lists the others.
 */
export async function* exportFleet({ pool, catalog, store }: Pick<Corral, 'pool' | 'catalog' | 'store'>, options: ExportOptions = {}): AsyncGenerator<string> {
  const client = await pool.connect();
  let broken = true;
  try {
    await client.query('begin transaction isolation level repeatable read, read only');
    yield heading(options);
    for (const model of fleetModels(catalog)) {
      const open = options.secrets ? await secretsOf(client, store, model) : undefined;
      let first = true;
      for await (const rows of pages(client, { catalog, store }, model)) {
        const chunk = rows.map((row) => listItem(wireRow(model, row, open))).join('');
        yield first ? `\n${model.resource.plural}:\n${chunk}` : chunk;
        first = false;
      }
    }
    await client.query('commit');
    broken = false;
  } finally {
    /* When the reader goes away in the middle the connection goes with it: its snapshot must not stay. */
    client.release(broken);
  }
}

function heading({ secrets }: ExportOptions): string {
  const about = secrets
    ? '# It holds the secrets of Ceph keys and layers: keep it as you keep those.\n'
    : '# Secrets are left out: an import into an empty database makes new ones of Ceph keys, and none of layers.\n';
  return `# A fleet, as \`corral export\` wrote it; \`corral import\` reads it. Sizes and memory are bytes.\n${about}# Tokens are left out, and free addresses that their subnet brings by itself.\n`;
}

async function* pages(client: PoolClient, { catalog, store }: Pick<Corral, 'catalog' | 'store'>, model: Model): AsyncGenerator<Values[]> {
  const db = store.orm.em.fork().getKysely();
  /* Once for all addresses: it counts the addresses of each subnet. */
  const gaps =
    model.resource.noun === 'address'
      ? (await client.query<{ id: number }>(sql`select s.id::float8 as id from subnet s where not ${poolIsWhole(sql`s`)}`.compile(db).sql)).rows.map(
          (row) => row.id,
        )
      : [];
  for (let after = 0; ;) {
    const { sql: text, parameters } = sql`select t.id::float8 as id, ${secretUuid(model)} as secret_uuid, ${fillOf(model)} as fill, row_to_json(x) as row
      from ${sql.id(model.table)} as t, lateral (select ${columnsSql(catalog, model)}) x
      where t.id > ${after} and ${isWanted(model, gaps)} order by t.id limit ${PAGE}`.compile(db);
    const { rows } = await client.query<{ id: number; secret_uuid: string | null; fill: boolean; row: Values }>(text, [...parameters]);
    const wire = rows.map(({ id, secret_uuid, fill, row }): Values => ({
      ...row,
      id,
      ...(secret_uuid === null ? {} : { secret_uuid }),
      ...(fill ? {} : { fill }),
    }));
    if (wire.length > 0) yield wire;
    if (rows.length < PAGE) return;
    after = rows.at(-1)!.id;
  }
}

const secretUuid = (model: Model): RawBuilder<unknown> => (model.resource.noun === 'ceph_key' ? sql`t.secret_uuid` : sql`null`);
const fillOf = (model: Model): RawBuilder<unknown> => (model.resource.noun === 'subnet' ? poolIsWhole(sql`t`) : sql`true`);

/** Free addresses are written only where their subnet would not bring them; `gaps` are the subnets that lack some. */
function isWanted(model: Model, gaps: readonly number[]): RawBuilder<unknown> {
  if (model.resource.noun !== 'address') return sql`true`;
  return sql`(t.vm_interface_id is not null or exists (select from subnet s where s.id = t.subnet_id and t.address is distinct from s.gateway
    and (s.id = any(${gaps}::bigint[]) or not ${isFilled(sql`t.address`, sql`s`)})))`;
}

/** What of a row is written, in the order of the declaration. */
function wireRow(model: Model, row: Values, secrets: ReadonlyMap<number, unknown> | undefined): Values {
  const out: Values = {};
  for (const name of Object.keys(keptFields[model.resource.noun] ?? {})) if (row[name] !== undefined && name === 'id') out[name] = row[name];
  for (const field of model.fields) {
    if (field.readOnly) continue;
    if (!field.writeOnly) put(out, field, row[field.name]);
    else if (secrets?.has(row['id'] as number)) out[field.name] = secrets.get(row['id'] as number);
  }
  for (const name of ['secret_uuid', 'fill']) if (row[name] !== undefined) out[name] = row[name];
  for (const [name, parts] of Object.entries(model.parts)) {
    const there = row[name] as Values;
    out[name] = Object.fromEntries(
      Object.entries(parts)
        .filter(([part]) => there[part] !== undefined)
        .map(([part, inner]) => [part, partRow(inner, there[part] as Values)]),
    );
  }
  return out;
}

function partRow(model: Model, row: Values): Values {
  const out: Values = {};
  for (const field of model.fields) if (!field.readOnly && !field.writeOnly && row[field.name] !== undefined) put(out, field, row[field.name]);
  return out;
}

/** A null that may not be written is what comes of leaving the field out. */
function put(out: Values, field: Field, value: unknown): void {
  if (value !== null || field.schema.safeParse(null).success) out[field.name] = value;
}

/** Text is in double quotes on one line, so that lines can be moved to the right as they are. */
function listItem(row: Values): string {
  return toYaml([row]).replace(/^(?=.)/gm, '  ');
}

/** What a noun's write-only field holds, in clear, by id; undefined for a noun whose secrets are not part of a fleet. */
async function secretsOf(client: PoolClient, store: Corral['store'], model: Model): Promise<Map<number, unknown> | undefined> {
  if (model.resource.noun === 'layer') {
    const { rows } = await client.query<{ id: string; secrets: Record<string, string> }>("select id, secrets from layer where secrets <> '{}'");
    return new Map(rows.map((row) => [Number(row.id), openSecrets(store.secrets, Number(row.id), row.secrets)]));
  }
  if (model.resource.noun !== 'ceph_key') return undefined;
  const { rows } = await client.query<{ id: string; ceph_cluster_id: string; entity: string; secret: string }>(
    'select id, ceph_cluster_id, entity, secret from ceph_key',
  );
  return new Map(rows.map((row) => [Number(row.id), store.secrets.open(row.secret, cephKeyContext(Number(row.ceph_cluster_id), row.entity))]));
}
