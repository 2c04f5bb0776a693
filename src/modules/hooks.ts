import { sql } from 'kysely';
import { insertRow } from '../db/write.ts';
import { invalid } from '../db/check.ts';
import type { Hooks, Tx, Values } from '../db/transaction.ts';
import { Problem } from '../kernel/problem.ts';
import { newCephKey } from '../kernel/secret.ts';
import { bury, forgetting } from './control/tombstones.ts';
import { enrolmentTokenHooks } from './control/enrolment.verbs.ts';
import { tokenHooks } from './control/token.verbs.ts';
import { webhookHooks } from './control/webhook.verbs.ts';
import { layerHooks, nodeGroupHooks } from './layers/hooks.ts';
import { movedNodeHooks, movedRoleHooks } from './layers/moved.ts';
import { changeGateway, dropDerived, fillPool, reserveForNode } from './network/allocate.ts';
import { bindingHooks, roleHooks } from './people/binding.verbs.ts';
import { networkHooks } from './network/network.verbs.ts';
import { personHooks } from './people/person.verbs.ts';
import { typeOfPool, vmHooks } from './vms/vm.verbs.ts';

/** Where a Ceph secret is kept: part of what it is encrypted with, so that it cannot be moved. */
export const cephKeyContext = (cluster: number, entity: string): string => `ceph_key:${cluster}:${entity}`;

/** The keys that every cluster needs to come up, with the capabilities that Ceph's own tools give them. */
const clusterKeys = [
  { entity: 'mon.', caps: { mon: 'allow *' } },
  { entity: 'client.admin', caps: { mon: 'allow *', osd: 'allow *', mgr: 'allow *', mds: 'allow *' } },
  { entity: 'client.bootstrap-osd', caps: { mon: 'profile bootstrap-osd' } },
];

const noNumber = (): Problem => invalid([{ pointer: '/number', message: 'only a volume of a virtual machine has a number' }]);

/** What a volume's declaration left out: the default pool, the pool's usual type, the host of its virtual machine. */
async function placeOfVolume(tx: Tx, input: Values): Promise<Values> {
  const { rows } = await sql<{ id: number; kind: keyof typeof typeOfPool; shared: boolean; host: number | null }>`select s.id::float8 as id, s.kind, s.shared,
    (select v.hypervisor_id::float8 from vm v where v.id = ${input['vm'] ?? null}) as host
    from storage_pool s where ${input['storage_pool'] ?? null}::bigint = s.id or (${input['storage_pool'] ?? null}::bigint is null and (s.is_default or (select count(*) from storage_pool) = 1))`.execute(
    tx.db,
  );
  const pool = rows[0];
  if (!pool) throw invalid([{ pointer: '/storage_pool', message: 'is needed: no storage pool is the default' }]);
  const hypervisor = input['hypervisor'] ?? (pool.shared ? null : pool.host);
  if (hypervisor === null && !pool.shared) throw invalid([{ pointer: '/hypervisor', message: 'is needed: the pool lies on each host by itself' }]);
  return { storage_pool: pool.id, type: input['type'] ?? typeOfPool[pool.kind], hypervisor };
}

/** One that comes back goes on counting: hosts refuse documents older than the one that they applied. */
async function startDocument(tx: Tx, node: number): Promise<void> {
  await sql`insert into document (node_id, number) select ${node}, coalesce(max(number), 0) from document_version where node_id = ${node}`.execute(tx.db);
}

/** The customer of the virtual machine that a volume belongs to. */
async function ownerOf(tx: Tx, volume: number): Promise<Values> {
  const { rows } = await sql<{
    customer: number | null;
  }>`select v.customer_id::float8 as customer from volume o join vm v on v.id = o.vm_id where o.id = ${volume}`.execute(tx.db);
  return rows[0]?.customer == null ? {} : { customer: rows[0].customer };
}

/** What each noun does beyond storing its row, by noun. */
export const hooks: Readonly<Record<string, Hooks>> = {
  vm: vmHooks,
  token: tokenHooks,
  enrolment_token: enrolmentTokenHooks,
  person: personHooks,
  role: roleHooks,
  binding: bindingHooks,
  webhook: webhookHooks,
  layer: layerHooks,
  node_group: nodeGroupHooks,
  tombstone: { deleting: (tx, id) => forgetting(tx, [id]) },
  node: {
    created: async (tx, id, input) => {
      await startDocument(tx, id);
      return movedNodeHooks.created(tx, id, input);
    },
    change: movedNodeHooks.change,
    restored: async (tx, id) => {
      await startDocument(tx, id);
      await movedNodeHooks.restored(tx, id);
    },
  },
  hypervisor: movedRoleHooks('hypervisor'),
  ceph_mon_node: movedRoleHooks('ceph_mon_node'),
  ceph_osd_node: movedRoleHooks('ceph_osd_node'),
  ceph_cluster: {
    created: async (tx, id) => {
      for (const key of clusterKeys) await insertRow(tx, tx.store.catalog.byNoun('ceph_key'), { ...key, ceph_cluster: id });
      return undefined;
    },
    deleting: async (tx, id) => {
      const names = clusterKeys.map((key) => key.entity);
      await sql`delete from ceph_key where ceph_cluster_id = ${id} and entity = any(${names}::text[])`.execute(tx.db);
    },
  },
  ceph_key: {
    prepare: (tx, input) => {
      const secret = (input['secret'] as string | undefined) ?? newCephKey();
      return { ...input, secret: tx.store.secrets.seal(secret, cephKeyContext(input['ceph_cluster'] as number, input['entity'] as string)) };
    },
    change: async (tx, id, patch) => {
      if (patch['secret'] === undefined) return patch;
      const { rows } = await sql<{ ceph_cluster_id: string; entity: string }>`select ceph_cluster_id, entity from ceph_key where id = ${id}`.execute(tx.db);
      const { ceph_cluster_id, entity } = rows[0]!;
      return { ...patch, secret: tx.store.secrets.seal(patch['secret'] as string, cephKeyContext(Number(ceph_cluster_id), entity)) };
    },
  },
  network: networkHooks,
  subnet: {
    created: async (tx, id) => {
      await fillPool(tx, id);
      return undefined;
    },
    restored: fillPool,
    change: async (tx, id, patch) => {
      if (patch['gateway'] !== undefined) await changeGateway(tx, id, patch['gateway'] as string | null);
      return patch;
    },
    deleting: async (tx, id) => {
      const { rows } = await sql<{ n: number }>`select count(*)::int as n from address where subnet_id = ${id} and vm_interface_id is not null`.execute(tx.db);
      if (rows[0]!.n > 0) throw new Problem('in-use', `${rows[0]!.n} of its addresses belong to interfaces; free them first`);
    },
  },
  node_address: {
    created: async (tx, id) => {
      await reserveForNode(tx, id);
      return undefined;
    },
    changed: async (tx, id) => reserveForNode(tx, id),
    restored: reserveForNode,
  },
  vm_interface: {
    deleting: async (tx, id) => {
      await sql`select from vm where id = (select vm_id from vm_interface where id = ${id}) for update`.execute(tx.db);
      const { rows } = await sql<{ node_id: string; name: string }>`select h.node_id, i.name from vm_interface i
        join vm v on v.id = i.vm_id join hypervisor h on h.id = v.hypervisor_id where i.id = ${id}
        and (select count(*) from vm_interface o where o.vm_id = i.vm_id) > 1`.execute(tx.db);
      if (!rows[0]) throw new Problem('conflict', 'A virtual machine needs at least one interface; add another first');
      await bury(tx, Number(rows[0].node_id), 'bridge', `br-${rows[0].name}`, {});
      await dropDerived(tx, sql`${id}::bigint`);
    },
  },
  volume: {
    prepare: async (tx, input) => {
      if (input['number'] != null && input['vm'] == null) throw noNumber();
      return { ...input, ...(await placeOfVolume(tx, input)) };
    },
    deleting: async (tx, id) => {
      const { rows } = await sql<{
        node_id: string | null;
        name: string;
        vm_id: string | null;
        type: string;
        pool: string;
      }>`select o.name, o.vm_id, o.type, s.name as pool,
        coalesce((select h.node_id from hypervisor h where h.id = o.hypervisor_id),
          (select h.node_id from pool_attachment a join hypervisor h on h.id = a.hypervisor_id where a.storage_pool_id = o.storage_pool_id order by a.id limit 1)) as node_id
        from volume o join storage_pool s on s.id = o.storage_pool_id where o.id = ${id} for update of o`.execute(tx.db);
      const row = rows[0];
      if (!row) return;
      if (row.vm_id !== null) throw new Problem('in-use', `It is a disk of virtual machine ${row.vm_id}; free it first (set vm to null)`);
      if (row.node_id !== null) await bury(tx, Number(row.node_id), 'volume', row.name, { pool: row.pool, type: row.type });
    },
    change: async (tx, id, patch) => {
      if (patch['number'] != null && patch['vm'] === null) throw noNumber();
      if (patch['vm'] === undefined && patch['storage_pool'] === undefined && patch['hypervisor'] === undefined) return patch;
      /* It neither moves away while its volume goes elsewhere, nor loses two volumes at a time. */
      await sql`select from vm where id = (select vm_id from volume where id = ${id}) for update`.execute(tx.db);
      if (patch['vm'] === undefined) return patch;
      const { rows } =
        await sql`select from volume o where o.id = ${id} and o.vm_id is distinct from ${patch['vm']} and (select count(*) from volume x where x.vm_id = o.vm_id) = 1`.execute(
          tx.db,
        );
      if (rows.length > 0)
        throw new Problem('conflict', 'A virtual machine needs at least one volume; add another first', {
          faults: [{ pointer: '/vm', message: 'this is its only volume' }],
        });
      /* Its number at the old virtual machine says nothing at the new one: the next is given. Freed, it stays with whose it was. */
      const owner = patch['vm'] === null && patch['customer'] === undefined ? await ownerOf(tx, id) : {};
      return { number: null, ...owner, ...patch };
    },
  },
  pool_attachment: {
    deleting: async (tx, id) => {
      await sql`select from pool_attachment where id = ${id} for update`.execute(tx.db);
      const { rows } = await sql<{ n: number }>`select count(*)::int as n from pool_attachment a join volume o on o.storage_pool_id = a.storage_pool_id
        left join vm v on v.id = o.vm_id where a.id = ${id} and a.hypervisor_id in (o.hypervisor_id, v.hypervisor_id)`.execute(tx.db);
      if (rows[0]!.n > 0) throw new Problem('in-use', `${rows[0]!.n} volumes of that host lie in the pool; move or delete them first`);
    },
  },
};
