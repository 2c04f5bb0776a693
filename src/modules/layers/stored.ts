import { sql, type RawBuilder } from 'kysely';
import type { Db } from '../../db/read.ts';
import type { SecretBox } from '../../kernel/secret.ts';
import type { Layer, Value, Values } from './types.ts';

/** Where a secret of a layer is kept: part of what it is encrypted with, so that it cannot be moved. */
export const layerSecretContext = (layer: number, key: string): string => `layer:${layer}:${key}`;

export function sealSecrets(box: SecretBox, layer: number, secrets: Values): Record<string, string> {
  return Object.fromEntries(Object.entries(secrets).map(([key, value]) => [key, box.seal(JSON.stringify(value), layerSecretContext(layer, key))]));
}

/** @throws Error when one was sealed with another key */
export function openSecrets(box: SecretBox, layer: number, sealed: Readonly<Record<string, string>>): Values {
  return Object.fromEntries(Object.entries(sealed).map(([key, text]) => [key, JSON.parse(box.open(text, layerSecretContext(layer, key))) as Value]));
}

/** A layer as it is stored, with what it is attached to. */
export interface StoredLayer extends Layer {
  readonly group: number | null;
  readonly schema: Values | null;
  /** As they are stored. */
  readonly sealed: Readonly<Record<string, string>>;
}

/** SQL of the name of what the layer of this alias is attached to. */
export function targetSql(alias: string): RawBuilder<unknown> {
  const t = sql.id(alias);
  return sql`coalesce(${t}.environment, ${t}.role, (select s.name from site s where s.id = ${t}.site_id), (select c.name from customer c where c.id = ${t}.customer_id),
    (select g.name from node_group g where g.id = ${t}.node_group_id), (select n.fqdn from node n where n.id = ${t}.node_id))`;
}

/** Layers of a condition on `l`, secrets opened. */
export async function readLayers(db: Db, box: SecretBox, where: RawBuilder<unknown>): Promise<StoredLayer[]> {
  type Row = Omit<StoredLayer, 'secrets'>;
  const { rows } = await sql<Row>`select l.id::float8 as id, l.name, l.scope, l.weight, l.classes, l.parameters, l.data, l.merge, l.schema, l.secrets as sealed,
    l.node_group_id::float8 as group, ${targetSql('l')} as target
    from layer l where ${where} order by l.id`.execute(db);
  return rows.map((row) => ({ ...row, secrets: openSecrets(box, row.id, row.sealed) }));
}
