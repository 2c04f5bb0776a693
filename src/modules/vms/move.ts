import { sql } from 'kysely';
import type { Tx, Values } from '../../db/transaction.ts';
import { Problem } from '../../kernel/problem.ts';
import { bury } from '../control/tombstones.ts';
import { takeHypervisor } from './placement.ts';

interface Placed {
  readonly hypervisor: number;
  readonly node: number;
  readonly fqdn: string;
  readonly uuid: string;
  readonly state: string;
  readonly method: string;
  readonly cores: number;
  readonly ram: number;
  readonly cards: readonly string[];
  readonly volumes: readonly { readonly name: string; readonly pool: string; readonly pool_id: number; readonly shared: boolean }[];
}

const refuse = (detail: string, message: string): Problem => new Problem('conflict', detail, { faults: [{ pointer: '/hypervisor', message }] });

/**
 * Moves a virtual machine that is asked to be stopped to the host that a patch names. The old host is told to
 * remove the domain and its bridges, never a volume; until it has reported that, the document of the new host
 * holds the domain stopped (`held`), so that it never runs on both. The caller has locked the virtual machine.
 * @returns what else is stored
 * @throws Problem conflict, no-capacity, hypervisor-unavailable
 */
export async function moved(tx: Tx, id: number, patch: Values): Promise<Values> {
  const target = patch['hypervisor'] as number | undefined;
  if (target === undefined) return {};
  const { rows } = await sql<{ vm: Placed }>`select row_to_json(x) as vm from (select v.hypervisor_id as hypervisor, h.node_id as node,
    (select n.fqdn from node n where n.id = h.node_id) as fqdn, v.uuid, v.state, v.method, v.cores, v.ram,
    (select coalesce(json_agg(i.name order by i.number), '[]'::json) from vm_interface i where i.vm_id = v.id) as cards,
    (select coalesce(json_agg(json_build_object('name', o.name, 'pool', s.name, 'pool_id', s.id, 'shared', s.shared) order by o.number), '[]'::json)
      from volume o join storage_pool s on s.id = o.storage_pool_id where o.vm_id = v.id) as volumes
    from vm v join hypervisor h on h.id = v.hypervisor_id where v.id = ${id}) x`.execute(tx.db);
  const vm = rows[0]!.vm;
  if (vm.hypervisor === target) return {};
  if (vm.state !== 'stopped')
    throw refuse(
      `It is asked to be ${vm.state}, and only a stopped virtual machine can be moved: set state to stopped, wait until it is (GET ?wait=converged), then move it; state may be set to running in the same request`,
      `is changed only while state is stopped, and it is ${vm.state}`,
    );
  const local = vm.volumes.filter((volume) => !volume.shared).map((volume) => `${volume.name} (pool ${volume.pool})`);
  if (local.length > 0)
    throw refuse(
      `Its volumes ${local.join(', ')} lie on ${vm.fqdn} itself; only one whose volumes all lie in shared pools (rbd, nfs) can be moved`,
      `cannot be changed: volumes lie on ${vm.fqdn} itself`,
    );
  /* Both, in order: of two that change places neither waits for the other for ever. */
  await sql`select from hypervisor where id in (${vm.hypervisor}, ${target}) order by id for update`.execute(tx.db);
  const pools = vm.volumes.map((volume) => volume.pool_id);
  await sql`select from pool_attachment where hypervisor_id = ${target} and storage_pool_id = any(${pools}::bigint[]) order by id for share`.execute(tx.db);
  await takeHypervisor(tx, target, {
    method: vm.method,
    cores: (patch['cores'] as number | undefined) ?? vm.cores,
    ram: (patch['ram'] as number | undefined) ?? vm.ram,
    /* Their space is taken already. */
    pools: new Map(pools.map((pool) => [pool, 0])),
    project: null,
  });
  const domain = `vm-${id}`;
  const bridges = vm.cards.map((card) => `br-${card}`);
  await bury(tx, vm.node, 'domain', domain, { uuid: vm.uuid });
  for (const bridge of bridges) await bury(tx, vm.node, 'bridge', bridge, {});
  /* Where it comes back to a host that has not removed it yet, there is nothing to remove any more. */
  await sql`delete from tombstone where node_id = (select node_id from hypervisor where id = ${target})
    and (kind = 'domain' and name = ${domain} or kind = 'bridge' and name = any(${bridges}::text[]))`.execute(tx.db);
  return { observed_state: 'unknown', observed_at: null };
}
