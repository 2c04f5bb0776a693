import { sql } from 'kysely';
import type { Hooks, Tx } from '../../db/transaction.ts';

/** A node that a write has put somewhere: layers may reach it now that did not before. */
export interface Moved {
  /** Where a refusal points in what was written; undefined: at no field. */
  readonly pointer: string | undefined;
  /** It was not Puppet's before: whatever it has is new. */
  readonly anew: boolean;
}

const moved = new WeakMap<Tx, Map<number, Moved>>();

/** Has the classes of a node compared with those that its environment knows, before the commit. */
export function noteMoved(tx: Tx, node: number, { pointer, anew = false }: Partial<Moved> = {}): void {
  const nodes = moved.get(tx) ?? new Map<number, Moved>();
  moved.set(tx, nodes);
  const before = nodes.get(node);
  nodes.set(node, { pointer: pointer ?? before?.pointer, anew: anew || before?.anew === true });
}

/** The nodes among these that were put somewhere, once. */
export function takeMoved(tx: Tx, nodes: readonly number[]): Map<number, Moved> {
  const all = moved.get(tx);
  const out = new Map<number, Moved>();
  for (const node of nodes) {
    const one = all?.get(node);
    if (one) out.set(node, one);
    all?.delete(node);
  }
  return out;
}

/** What nodes do beside storing their rows. */
export const movedNodeHooks: Required<Pick<Hooks, 'created' | 'change' | 'restored'>> = {
  created: (tx, id) => void noteMoved(tx, id, { pointer: '/environment' }),
  change: async (tx, id, patch) => {
    const { rows } = patch['manager'] === 'puppet' ? await sql`select from node where id = ${id} and manager <> 'puppet'`.execute(tx.db) : { rows: [] };
    noteMoved(tx, id, { pointer: '/environment', anew: rows.length > 0 });
    return patch;
  },
  restored: async (tx, id) => noteMoved(tx, id, { pointer: '/environment' }),
};

/** What roles do: with or without one, a node may be in other groups. */
export function movedRoleHooks(table: 'hypervisor' | 'ceph_mon_node' | 'ceph_osd_node'): Hooks {
  const note = async (tx: Tx, id: number): Promise<void> => {
    const { rows } = await sql<{ node_id: string }>`select node_id from ${sql.id(table)} where id = ${id}`.execute(tx.db);
    if (rows[0]) noteMoved(tx, Number(rows[0].node_id));
  };
  return { created: (tx, _id, input) => void noteMoved(tx, input['node'] as number), deleting: note, restored: note };
}
