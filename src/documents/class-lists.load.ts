import { sql } from 'kysely';
import type { Tx } from '../db/transaction.ts';
import { Problem, type Fault } from '../kernel/problem.ts';
import type { Moved } from '../modules/layers/moved.ts';
import type { NodeAggregate } from './types.ts';

/** A class that a layer gives a node, and that the node's environment does not know. */
export interface Unknown {
  readonly node: string;
  readonly environment: string;
  readonly class: string;
  /** Null: the writer may not see it. */
  readonly layer: string | null;
}

/**
 * Refuses a write that puts a node where it gets a class which its environment's list lacks. What it had there
 * before stays: that came with the list, or without a write. To be asked before the new documents are stored.
 * @throws Problem layer-conflict that names class, layer and environment
 */
export async function refuseUnknownClasses(tx: Tx, aggregates: readonly NodeAggregate[], moved: ReadonlyMap<number, Moved>): Promise<void> {
  const given = aggregates.flatMap(({ node, layers = [] }) => {
    const one = moved.get(node.id);
    if (!one || node.manager !== 'puppet') return [];
    const { id, fqdn, environment } = node;
    return layers.flatMap(({ name, classes }) =>
      Object.keys(classes).map((known) => ({ id, node: fqdn, environment, class: known, layer: name, anew: one.anew })),
    );
  });
  if (given.length === 0) return;
  const { rows } = await sql<Unknown & { readonly id: number }>`with given as (select * from json_to_recordset(${JSON.stringify(given)}::json)
      as x (id bigint, node text, environment text, class text, layer text, anew boolean)),
    unknown as (select x.environment, x.class from (select distinct environment, class from given) x join class_list c on c.environment = x.environment
      where x.class <> all(c.classes))
    select g.id::float8 as id, g.node, g.environment, g.class, g.layer from given g join unknown using (environment, class) join document d on d.node_id = g.id
    where g.anew or (d.head ->> 'environment') is distinct from g.environment or not coalesce(jsonb_exists((d.head -> 'classes')::jsonb, g.class), false)
    order by g.node, g.class, g.layer limit 50`.execute(tx.db);
  if (rows.length === 0) return;
  const pointers = new Set(rows.map(({ id }) => moved.get(id)?.pointer));
  const named = tx.store.catalog.byRoute('layers') !== undefined;
  throw unknownProblem(
    rows.map(({ id: _id, ...one }) => (named ? one : { ...one, layer: null })),
    pointers.size === 1 ? [...pointers][0] : undefined,
  );
}

/** The refusal of them; `pointer` says where, for each or for none. */
export function unknownProblem(found: readonly Unknown[], pointer: string | undefined): Problem {
  const messages = found.map(
    (one) =>
      `the class list of the environment ${one.environment} lacks ${one.class}, which ${one.layer === null ? 'a layer' : `the layer ${one.layer}`} would give ${one.node}; import its classes again, or change the layer`,
  );
  const faults = pointer === undefined ? [] : messages.map((message): Fault => ({ pointer, message }));
  const detail = messages.map((message) => (pointer === undefined ? message : `${pointer} ${message}`)).join('; ');
  return new Problem('layer-conflict', detail, { faults, extra: { unknown_classes: found } });
}

/** Those of a node's classes that its environment does not know. */
export async function unknownClasses(db: Tx['db'], environment: string, classes: readonly string[]): Promise<Set<string>> {
  if (classes.length === 0) return new Set();
  const { rows } = await sql<{ name: string }>`select x.name from class_list c cross join unnest(${[...classes]}::text[]) as x (name)
    where c.environment = ${environment} and x.name <> all(c.classes)`.execute(db);
  return new Set(rows.map((row) => row.name));
}
