import { sql, type RawBuilder } from 'kysely';
import { statement } from '../db/prepared.ts';
import type { Catalog } from '../db/catalog.ts';
import type { Db } from '../db/read.ts';
import type { SecretBox } from '../kernel/secret.ts';
import { loadLayers } from './layers.load.ts';
import type { CephKey, NodeAggregate } from './types.ts';

/** A list of rows as JSON, in order, never null. */
const list = (select: RawBuilder<unknown>): RawBuilder<unknown> => sql`(select coalesce(json_agg(x), '[]'::json) from (${select}) x)`;
const one = (select: RawBuilder<unknown>): RawBuilder<unknown> => sql`(select row_to_json(x) from (${select}) x)`;

const monitors = (cluster: RawBuilder<unknown>): RawBuilder<unknown> =>
  list(sql`select split_part(mn.fqdn, '.', 1) as name, mn.fqdn as host, m.port, m.id = min(m.id) over () as founder,
    (select host(na.address) from node_interface ni join node_address na on na.node_interface_id = ni.id
      join ceph_cluster mc on mc.id = m.ceph_cluster_id
      where ni.node_id = mn.id and host(na.address)::inet <<= mc.public_network order by na.id limit 1) as address
    from ceph_mon_node m join node mn on mn.id = m.node_id where m.ceph_cluster_id = ${cluster} and mn.state <> 'deactivated' order by mn.fqdn`);

const cluster = (id: RawBuilder<unknown>): RawBuilder<unknown> =>
  one(sql`select cl.name, cl.fsid, cl.public_network, cl.cluster_network, ${monitors(sql`cl.id`)} as monitors from ceph_cluster cl where cl.id = ${id}`);

/** Keys with their secret still sealed; the cluster's id is part of what opens it. */
const keys = (where: RawBuilder<unknown>): RawBuilder<unknown> =>
  list(sql`select k.entity, k.caps, k.secret, k.secret_uuid, k.ceph_cluster_id as cluster_id from ceph_key k where ${where} order by k.entity`);

const volumeColumns = sql`o.id, o.name, (select s.name from storage_pool s where s.id = o.storage_pool_id) as pool, o.size, o.type, o.number, o.cache_option,
  o.read_iops, o.write_iops, o.read_bps, o.write_bps, o.discard,
  (select json_build_object('name', g.name, 'url', g.url, 'type', g.type, 'checksum', g.checksum) from image g where g.id = o.image_id) as image`;

const vmInterfaces = list(sql`select i.number, i.name, i.mac,
  coalesce((select min(w.mtu) from network_membership m join network w on w.id = m.network_id where m.vm_interface_id = i.id), 1500) as mtu,
  ${list(sql`select host(a.address) as address, s.cidr as subnet, host(s.gateway) as gateway from address a join subnet s on s.id = a.subnet_id
    where a.vm_interface_id = i.id order by family(a.address), a.address`)} as addresses,
  ${list(sql`select w.name as network, m.tagged from network_membership m join network w on w.id = m.network_id where m.vm_interface_id = i.id order by w.name`)} as networks
  from vm_interface i where i.vm_id = v.id order by i.number`);

const vms = list(sql`select v.id, v.uuid, v.name, (select c.name from customer c where c.id = v.customer_id) as customer,
  (select p.name from project p where p.id = v.project_id) as project, v.cores, v.cores_max, v.ram, v.ram_max, v.cputime_limit,
  v.cpu_mode, v.cpu_model, v.machine, v.firmware, v.boot_order, v.rtc, v.state,
  (select coalesce(json_agg(x.fqdn order by x.fqdn), '[]'::json) from tombstone t join node x on x.id = t.node_id
    where t.kind = 'domain' and t.name = 'vm-' || v.id and t.node_id <> h.node_id) as held_by, v.method, v.metadata, v.cloud_init,
  ${list(sql`select ${volumeColumns} from volume o where o.vm_id = v.id order by o.number`)} as volumes, ${vmInterfaces} as interfaces
  from vm v where v.hypervisor_id = h.id order by v.id`);

const pools = list(sql`select s.name, s.kind, s.source,
  coalesce(s.target, case s.kind when 'dir' then h.local_path when 'lvm' then h.volume_group when 'rbd' then c.name end, '') as target,
  cc.name as cluster, case when s.kind = 'rbd' then regexp_replace(k.entity, '^client\\.', '') end as ceph_user, k.secret_uuid,
  case when s.kind = 'rbd' then ${list(sql`select coalesce(y.address, y.host) as host, y.port from json_to_recordset(${monitors(sql`cc.id`)}) as y (host text, address text, port int)`)} else '[]'::json end as monitors
  from pool_attachment a join storage_pool s on s.id = a.storage_pool_id
  left join ceph_pool c on c.id = s.ceph_pool_id left join ceph_cluster cc on cc.id = c.ceph_cluster_id left join ceph_key k on k.id = s.ceph_key_id
  where a.hypervisor_id = h.id order by s.name`);

const networks = list(sql`select w.name, w.kind, w.vlan_tag, w.vxlan_id, host(w.vxlan_group) as vxlan_group, w.mtu, w.purpose,
  ${list(sql`select s.cidr, host(s.gateway) as gateway, s.dhcp, to_json(s.dns) as dns from subnet s where s.network_id = w.id order by s.cidr`)} as subnets
  from network w where w.id in (select m.network_id from vm v join vm_interface i on i.vm_id = v.id join network_membership m on m.vm_interface_id = i.id
    where v.hypervisor_id = h.id) order by w.name`);

const usedPools = (also: RawBuilder<unknown>): RawBuilder<unknown> => sql`pool_attachment a join storage_pool s on s.id = a.storage_pool_id
  join ceph_pool p on p.id = s.ceph_pool_id where a.hypervisor_id = h.id and ${also}`;

const clients = list(sql`select ${cluster(sql`c.id`)} as cluster,
  ${keys(sql`k.ceph_cluster_id = c.id and k.id in (select s.ceph_key_id from ${usedPools(sql`true`)})`)} as keys
  from ceph_cluster c where c.id in (select p.ceph_cluster_id from ${usedPools(sql`true`)}) order by c.name`);

const hypervisor = one(sql`select h.cores, h.ram, h.local_path, h.volume_group,
  (select coalesce(json_agg(m.virt_method order by m.virt_method), '[]'::json) from hypervisor_method m where m.hypervisor_id = h.id) as methods,
  ${vms} as vms, ${pools} as pools,
  ${list(sql`select ${volumeColumns} from volume o where o.hypervisor_id = h.id and o.vm_id is null order by o.id`)} as volumes,
  ${networks} as networks, ${clients} as ceph
  from hypervisor h where h.node_id = n.id`);

const cephMon = one(sql`select ${cluster(sql`m.ceph_cluster_id`)} as cluster, m.port,
  ${list(sql`select p.name, p.size, p.min_size, p.pg_num, p.application from ceph_pool p where p.ceph_cluster_id = m.ceph_cluster_id order by p.name`)} as pools,
  ${keys(sql`k.ceph_cluster_id = m.ceph_cluster_id`)} as keys from ceph_mon_node m where m.node_id = n.id`);

const cephOsd = one(sql`select ${cluster(sql`o.ceph_cluster_id`)} as cluster,
  ${list(sql`select d.uuid, d.data_device, d.db_device, d.device_class, d.weight from ceph_osd d where d.ceph_osd_node_id = o.id order by d.data_device`)} as osds,
  ${keys(sql`k.ceph_cluster_id = o.ceph_cluster_id and k.entity = 'client.bootstrap-osd'`)} as keys from ceph_osd_node o where o.node_id = n.id`);

/** The one statement that reads all that documents are made from, for the nodes of an SQL list of ids. */
export const aggregateSql = (nodes: RawBuilder<unknown>): RawBuilder<{ aggregate: NodeAggregate }> => sql`select json_build_object(
  'node', json_build_object('id', n.id, 'fqdn', n.fqdn, 'location', n.location, 'state', n.state, 'environment', n.environment, 'manager', n.manager,
    'site', (select s.name from site s where s.id = n.site_id)),
  'interfaces', ${list(sql`select i.name, i.kind, (select p.name from node_interface p where p.id = i.parent_id) as parent,
    (select b.name from node_interface b where b.id = i.bond_id) as bond, i.vlan_tag, i.mac, i.mtu, i.purpose,
    ${list(sql`select a.address, host(a.gateway) as gateway from node_address a where a.node_interface_id = i.id order by family(a.address), a.address`)} as addresses
    from node_interface i where i.node_id = n.id order by i.name`)},
  'hypervisor', ${hypervisor}, 'ceph_mon', ${cephMon}, 'ceph_osd', ${cephOsd},
  'tombstones', ${list(sql`select t.kind, t.name, t.detail from tombstone t where t.node_id = n.id order by t.kind, t.name`)}
  ) as aggregate from node n where n.id in (${nodes}) order by n.id`;

const load = statement(() => aggregateSql(sql`select unnest(${sql.raw('$1')}::bigint[])`));

type Sealed = CephKey & { readonly cluster_id: number };

/**
 * Loads nodes with all that shapes their documents, secrets opened: one statement for what is theirs, two for layers.
 * @param ids of nodes; those that do not exist are left out
 * @throws Error when a secret was sealed with another key
 */
export async function loadNodes(db: Db, ids: readonly number[], secrets: SecretBox, catalog: Catalog): Promise<NodeAggregate[]> {
  const rows = await load(db, [ids]);
  const layers = await loadLayers(db, catalog, secrets, ids);
  return rows.map(({ aggregate }) => {
    const found = layers.get(aggregate.node.id);
    return { ...gatherVolumes(openSecrets(aggregate, secrets)), ...(found ? { layers: found } : {}) };
  });
}

/** The statement gives free volumes beside each virtual machine's own; the aggregate has all of them, by id. */
function gatherVolumes(aggregate: NodeAggregate): NodeAggregate {
  const { hypervisor } = aggregate;
  if (hypervisor) Object.assign(hypervisor, { volumes: [...hypervisor.volumes, ...hypervisor.vms.flatMap((vm) => vm.volumes)].sort((a, b) => a.id - b.id) });
  return aggregate;
}

/** Replaces each key's sealed secret by the secret, in place: the aggregate was just parsed and is nobody else's. */
export function openSecrets(aggregate: NodeAggregate, secrets: SecretBox): NodeAggregate {
  for (const sealed of keysOf(aggregate) as (Sealed & { secret: string })[]) {
    (sealed as { secret: string }).secret = secrets.open(sealed.secret, `ceph_key:${sealed.cluster_id}:${sealed.entity}`);
    delete (sealed as { cluster_id?: number }).cluster_id;
  }
  return aggregate;
}

function keysOf(aggregate: NodeAggregate): CephKey[] {
  const lists = [aggregate.ceph_mon?.keys, aggregate.ceph_osd?.keys, ...(aggregate.hypervisor?.ceph.map((client) => client.keys) ?? [])];
  return lists.flatMap((keysOfOne) => keysOfOne ?? []);
}

/** Whether the document made from this holds secrets. */
export function hasSecrets(aggregate: NodeAggregate): boolean {
  return keysOf(aggregate).length > 0 || (aggregate.layers ?? []).some((layer) => Object.keys(layer.secrets).length > 0);
}
