import { sql } from 'kysely';
import type { Catalog } from '../db/catalog.ts';
import type { Db } from '../db/read.ts';
import type { SecretBox } from '../kernel/secret.ts';
import { layersOfNodes } from '../modules/layers/reach.ts';
import { readLayers } from '../modules/layers/stored.ts';
import { byPrecedence, type Layer } from '../modules/layers/types.ts';

/**
 * The layers that reach each of these nodes now, in order of precedence, secrets opened; a node that none
 * reaches is left out. Nodes that the same layers reach share one list.
 */
export async function loadLayers(db: Db, catalog: Catalog, secrets: SecretBox, nodes: readonly number[]): Promise<Map<number, readonly Layer[]>> {
  const reach = await layersOfNodes(db, catalog, nodes);
  const ids = [...new Set([...reach.values()].flat())];
  if (ids.length === 0) return new Map();
  const layers = (await readLayers(db, secrets, sql`l.id = any(${ids}::bigint[])`)).sort(byPrecedence);
  const place = new Map(layers.map((layer, i) => [layer.id, i]));
  const lists = new Map<string, readonly Layer[]>();
  const out = new Map<number, readonly Layer[]>();
  for (const [node, found] of reach) {
    const places = found.map((id) => place.get(id)!).sort((a, b) => a - b);
    const key = places.join();
    const list = lists.get(key) ?? places.map((i) => layers[i]!);
    lists.set(key, list);
    out.set(node, list);
  }
  return out;
}
