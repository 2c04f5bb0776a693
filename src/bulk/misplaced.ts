import { sql } from 'kysely';
import { settle, type Tx } from '../db/transaction.ts';
import { unknownProblem, type Unknown } from '../documents/class-lists.load.ts';
import { Problem } from '../kernel/problem.ts';
import type { Operation } from './operations.ts';
import type { Done } from './result.ts';

/** What building the documents would refuse: nodes that get classes which their environment does not know, with the operation that put them there. */
export async function misplacedNodes(tx: Tx, operations: readonly Operation[], done: readonly (Done | undefined)[]): Promise<[number | undefined, Problem][]> {
  try {
    await settle(tx);
    return [];
  } catch (error) {
    const unknown = error instanceof Problem ? (error.extra['unknown_classes'] as readonly Unknown[] | undefined) : undefined;
    if (!unknown) throw error;
    const names = [...new Set(unknown.map(({ node }) => node))];
    const { rows } = await sql<{ id: string; fqdn: string }>`select id, fqdn from node where fqdn = any(${names}::text[])`.execute(tx.db);
    const indices = new Map(rows.map(({ id, fqdn }) => [fqdn, lastOf(operations, done, Number(id))]));
    return names.map((name) => [
      indices.get(name),
      unknownProblem(
        unknown.filter(({ node }) => node === name),
        indices.get(name) === undefined ? undefined : '/environment',
      ),
    ]);
  }
}

/** The last operation that is about the node. */
function lastOf(operations: readonly Operation[], done: readonly (Done | undefined)[], node: number): number | undefined {
  return operations.findLast(({ index, model }) => model.resource.noun === 'node' && done[index]?.id === node)?.index;
}
