import { sql, type RawBuilder } from 'kysely';
import type { Catalog } from '../../db/catalog.ts';
import { prepared } from '../../db/prepared.ts';
import type { Db } from '../../db/read.ts';
import { selectorSql } from './selector.ts';

/** Pairs (node, layer) of all layers that no selector decides on; each scope is a join of its own, so that indices serve. */
const pairs = (nodes: RawBuilder<unknown>, layers: RawBuilder<unknown>): RawBuilder<unknown> => sql`
  select n.id as node_id, l.id as layer_id from node n cross join layer l where l.scope = 'everything' and ${nodes} and ${layers}
  union all select n.id, l.id from node n join layer l on l.site_id = n.site_id where ${nodes} and ${layers}
  union all select n.id, l.id from node n join layer l on l.environment = n.environment where ${nodes} and ${layers}
  union all select n.id, l.id from node n join layer l on l.node_id = n.id where ${nodes} and ${layers}
  union all select n.id, l.id from node n cross join layer l where l.role is not null and ${nodes} and ${layers} and case l.role
    when 'hypervisor' then exists (select from hypervisor h where h.node_id = n.id)
    when 'ceph_osd' then exists (select from ceph_osd_node o where o.node_id = n.id)
    else exists (select from ceph_mon_node m where m.node_id = n.id) end
  union all select distinct n.id, l.id from layer l join vm v on v.customer_id = l.customer_id join hypervisor h on h.id = v.hypervisor_id
    join node n on n.id = h.node_id where ${nodes} and ${layers}`;

interface Group {
  readonly selector: string;
  readonly layers: readonly number[];
}

/** The layers that reach each of these nodes, by node; a node that none reaches is left out. */
export async function layersOfNodes(db: Db, catalog: Catalog, nodes: readonly number[]): Promise<Map<number, number[]>> {
  const { rows } = await sql<{ reach: { node: number; layers: number[] }[]; groups: Group[] }>`${prepared}select
    (select coalesce(json_agg(json_build_object('node', p.node_id, 'layers', p.layers)), '[]'::json) from
      (select node_id, json_agg(layer_id) as layers from (${pairs(sql`n.id = any(${nodes}::bigint[])`, sql`true`)}) x group by node_id) p) as reach,
    (select coalesce(json_agg(json_build_object('selector', g.selector, 'layers', (select json_agg(l.id) from layer l where l.node_group_id = g.id))), '[]'::json)
      from node_group g where exists (select from layer l where l.node_group_id = g.id)) as groups`.execute(db);
  const { reach, groups } = rows[0]!;
  const found = new Map(reach.map((one) => [one.node, one.layers]));
  for (const [i, members] of (await membersOf(db, catalog, groups, nodes)).entries()) {
    for (const node of members) found.set(node, [...(found.get(node) ?? []), ...groups[i]!.layers]);
  }
  return found;
}

/** The nodes that any of these layers reaches. */
export async function nodesOfLayers(db: Db, catalog: Catalog, layers: readonly number[]): Promise<Set<number>> {
  const { rows } = await sql<{ nodes: number[]; groups: Group[] }>`select
    (select coalesce(json_agg(distinct node_id), '[]'::json) from (${pairs(sql`true`, sql`l.id = any(${layers}::bigint[])`)}) x) as nodes,
    (select coalesce(json_agg(json_build_object('selector', g.selector, 'layers', '[]'::json)), '[]'::json)
      from node_group g where g.id in (select l.node_group_id from layer l where l.id = any(${layers}::bigint[]))) as groups`.execute(db);
  const members = await membersOf(db, catalog, rows[0]!.groups);
  return new Set([...rows[0]!.nodes, ...members.flat()]);
}

/** The members of each group, in the order of the groups; of these nodes only, where they are given. */
export async function membersOf(db: Db, catalog: Catalog, groups: readonly Pick<Group, 'selector'>[], nodes?: readonly number[]): Promise<number[][]> {
  const out = groups.map((): number[] => []);
  if (groups.length === 0) return out;
  const among = nodes ? sql`t.id = any(${nodes}::bigint[])` : sql`true`;
  const selects = groups.map(({ selector }, i) => sql`select ${sql.lit(i)} as i, t.id from node t where ${among} and ${selectorSql(catalog, selector)}`);
  const { rows } = await sql<{ i: number; id: string }>`${sql.join(selects, sql` union all `)}`.execute(db);
  for (const { i, id } of rows) out[i]!.push(Number(id));
  return out;
}
