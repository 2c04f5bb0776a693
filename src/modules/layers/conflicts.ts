import { sql, type RawBuilder } from 'kysely';
import { Problem, pointer, type Fault } from '../../kernel/problem.ts';
import type { Tx } from '../../db/transaction.ts';
import { membersOf, nodesOfLayers } from './reach.ts';
import { keysOf, strategyConflicts, valueConflicts } from './rules.ts';
import { readLayers, type StoredLayer } from './stored.ts';
import type { Strategy } from './types.ts';

const conflict = (faults: readonly Fault[]): Problem =>
  new Problem('layer-conflict', faults.map((one) => `${one.pointer} ${one.message}`).join('; '), { faults });

const any = (column: string, names: readonly string[]): RawBuilder<unknown> => sql`jsonb_exists_any(${sql.id('l', column)}, ${[...names]}::text[])`;

/** Layers that set or declare any of these keys. */
function holders(tx: Tx, keys: readonly string[]): Promise<StoredLayer[]> {
  return readLayers(tx.db, tx.store.secrets, sql`(${any('data', keys)} or ${any('secrets', keys)} or ${any('merge', keys)})`);
}

/**
 * Layers that one may contradict, itself among them: those that declare a strategy of its keys, those that set a key
 * whose strategy it declares, and those of its scope and weight that may reach the same nodes and set the same.
 */
function rivals(tx: Tx, layer: StoredLayer): Promise<StoredLayer[]> {
  const keys = keysOf(layer);
  const declared = Object.keys(layer.merge);
  const same = sql`l.scope = ${layer.scope} and l.weight = ${layer.weight}
    and exists (select from layer o where o.id = ${layer.id} and (l.site_id, l.environment, l.node_id) is not distinct from (o.site_id, o.environment, o.node_id))
    and (${any('data', keys)} or ${any('secrets', keys)} or ${any('parameters', Object.keys(layer.parameters))} or ${any('classes', Object.keys(layer.classes))})`;
  return readLayers(tx.db, tx.store.secrets, sql`(${any('merge', keys)} or ${any('data', declared)} or ${any('secrets', declared)} or ${same})`);
}

const declaredBy = (layers: readonly StoredLayer[]): Record<string, Strategy> => Object.fromEntries(layers.flatMap((one) => Object.entries(one.merge)));

/** Whether some node is reached by both: of one scope and weight already. Nodes have one site and environment, and any roles and customers. */
async function meet(tx: Tx, a: StoredLayer, b: StoredLayer): Promise<boolean> {
  if (a.scope === 'site' || a.scope === 'environment' || a.scope === 'node') return a.target === b.target;
  if (a.scope !== 'group' || a.group === b.group) return true;
  const { rows } = await sql<{ selector: string }>`select g.selector from node_group g where g.id = any(${[a.group, b.group]}::bigint[])`.execute(tx.db);
  const [one = [], other = []] = await membersOf(tx.db, tx.store.catalog, rows);
  const known = new Set(one);
  return other.some((node) => known.has(node));
}

/**
 * Refuses a layer that was just written when it contradicts another one, or names a class that an environment
 * which it reaches does not know.
 * @param dropped keys whose strategy the write took away: other layers may contradict each other now
 * @throws Problem layer-conflict
 */
export async function checkConflicts(tx: Tx, layer: StoredLayer, dropped: readonly string[] = []): Promise<void> {
  const found = await rivals(tx, layer);
  const others = found.filter((one) => one.id !== layer.id);
  const faults = strategyConflicts(layer, others);
  const declared = declaredBy(found);
  for (const other of others) {
    if (other.scope !== layer.scope || other.weight !== layer.weight) continue;
    const differing = valueConflicts(layer, other, declared);
    if (differing.length > 0 && (await meet(tx, layer, other))) faults.push(...differing);
  }
  if (faults.length > 0) throw conflict(faults);
  await checkDropped(tx, dropped);
  await checkClasses(tx, layer);
}

/**
 * Refuses to take a strategy away where layers would contradict each other without it.
 * @param leaving a layer that is about to be deleted
 * @throws Problem layer-conflict
 */
export async function checkDropped(tx: Tx, keys: readonly string[], leaving?: number): Promise<void> {
  if (keys.length === 0) return;
  const found = (await holders(tx, keys)).filter((one) => one.id !== leaving);
  const declared = declaredBy(found);
  const gone = keys.filter((key) => !Object.hasOwn(declared, key));
  for (const [i, a] of found.entries()) {
    for (const b of found.slice(i + 1)) {
      if (a.scope !== b.scope || a.weight !== b.weight) continue;
      const key = gone.find((one) =>
        valueConflicts(a, b, declared).some(({ pointer: at }) => at === pointer(['data', one]) || at === pointer(['secrets', one])),
      );
      if (key !== undefined && (await meet(tx, a, b)))
        throw conflict([
          {
            pointer: pointer(['merge', key]),
            message: `is needed: the layers ${a.name} and ${b.name} have the same scope and weight and set it to different values`,
          },
        ]);
    }
  }
}

/** @throws Problem layer-conflict */
async function checkClasses(tx: Tx, layer: StoredLayer): Promise<void> {
  const names = Object.keys(layer.classes);
  const { rows: lists } = await sql<{ environment: string }>`select environment from class_list`.execute(tx.db);
  if (names.length === 0 || lists.length === 0) return;
  const nodes = [...(await nodesOfLayers(tx.db, tx.store.catalog, [layer.id]))];
  const { rows } = await sql<{
    environment: string;
    name: string;
  }>`select c.environment, x.name from class_list c cross join unnest(${names}::text[]) as x (name)
    where x.name <> all(c.classes) and (c.environment = ${layer.scope === 'environment' ? layer.target : null}
      or c.environment in (select n.environment from node n where n.id = any(${nodes}::bigint[]) and n.manager = 'puppet')) order by c.environment, x.name`.execute(
    tx.db,
  );
  if (rows.length > 0)
    throw conflict(
      rows.map(({ environment, name }) => ({
        pointer: pointer(['classes', name]),
        message: `is not a class that the environment ${environment} knows; look for a typing error, or import its classes again`,
      })),
    );
}
