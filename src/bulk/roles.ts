import { sql } from 'kysely';
import type { Tx } from '../db/transaction.ts';
import { Problem } from '../kernel/problem.ts';
import type { Operation } from './operations.ts';
import type { Done } from './result.ts';

const ROLES = ['hypervisor', 'ceph_mon_node', 'ceph_osd_node'];

/** What the commit would refuse: nodes that are left without a role, with the operation that it is told of. */
export async function nodesWithoutRole(tx: Tx, operations: readonly Operation[], done: readonly (Done | undefined)[]): Promise<[number, Problem][]> {
  const last = new Map<number, number>();
  let any: number | undefined;
  for (const { index, model } of operations) {
    const id = done[index]?.id;
    if (model.resource.noun === 'node' && id !== undefined) last.set(id, index);
    if (ROLES.includes(model.resource.noun)) any = index;
  }
  if (any === undefined && last.size === 0) return [];
  const { rows } = await sql<{ id: string; fqdn: string }>`select n.id, n.fqdn from node n where ${sql.join(
    ROLES.map((role) => sql`not exists (select from ${sql.id(role)} r where r.node_id = n.id)`),
    sql` and `,
  )} order by n.id limit 50`.execute(tx.db);
  return rows.flatMap(({ id, fqdn }): [number, Problem][] => {
    const message = `the node ${fqdn} needs at least one role: hypervisor, ceph_mon or ceph_osd`;
    const index = last.get(Number(id)) ?? any;
    return index === undefined ? [] : [[index, new Problem('conflict', message, { faults: [{ pointer: last.has(Number(id)) ? '/roles' : '', message }] })]];
  });
}
