import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base, oneOf } from '../../db/base.ts';
import { ip } from '../../kernel/net.ts';
import { at, f, ref, through, type Resource } from '../../kernel/resource.ts';
import { Customer, customer } from '../people/customer.ts';
import { purposes } from '../place/node-interface.ts';

const kinds = ['flat', 'vlan', 'vxlan', 'routed'] as const;

export const Network = defineEntity({
  name: 'network',
  tableName: 'network',
  properties: {
    ...base,
    name: p.text().unique(),
    kind: p.text().default('flat'),
    vlan_tag: p.integer().nullable().unique(),
    vxlan_id: p.integer().nullable().unique(),
    vxlan_group: p.text().columnType('inet').nullable(),
    mtu: p.integer().default(1500),
    purpose: p.text().default('public'),
    customer: () => p.manyToOne(Customer).nullable().deleteRule('no action').index(),
    is_default: p.boolean().default(false),
  },
  indexes: [{ name: 'network_default', expression: 'create unique index network_default on network (is_default) where is_default' }],
  checks: [
    { name: 'network_kind', expression: oneOf('kind', kinds) },
    { name: 'network_purpose', expression: oneOf('purpose', purposes) },
    { name: 'network_vlan', expression: `(kind = 'vlan') = (vlan_tag is not null) and (vlan_tag is null or vlan_tag between 1 and 4094)` },
    { name: 'network_vxlan', expression: `(kind = 'vxlan') = (vxlan_id is not null) and (vxlan_id is null or vxlan_id between 1 and 16777215)` },
    { name: 'network_group', expression: `vxlan_group is null or (kind = 'vxlan' and vxlan_group <<= any (array['224.0.0.0/4'::inet, 'ff00::/8'::inet]))` },
    { name: 'network_mtu', expression: 'mtu between 576 and 65535' },
  ],
});

/** The nodes that run a virtual machine with an interface in these networks. */
export const nodesOfNetworks = (networks: ReturnType<typeof sql>) => sql`
  select h.node_id from network_membership m
    join vm_interface i on i.id = m.vm_interface_id
    join vm v on v.id = i.vm_id
    join hypervisor h on h.id = v.hypervisor_id
    where m.network_id in (${networks})`;

export const network: Resource = {
  noun: 'network',
  plural: 'networks',
  title: 'Network',
  summary: "A network that virtual machines' interfaces are members of: flat, a VLAN, a VXLAN, or routed by the host.",
  area: 'Network',
  entity: Network,
  key: ['name'],
  fields: {
    name: f.name('The network'),
    kind: z.enum(kinds).describe("flat: the host's own link; vlan; vxlan; routed: no bridge to a wire, the host routes each address."),
    vlan_tag: f.vlan('802.1Q tag of a vlan, 1 to 4094.').nullable(),
    vxlan_id: z.int().min(1).max(16_777_215).nullable().describe('VXLAN network identifier, 1 to 16777215.'),
    vxlan_group: ip('Multicast group of a vxlan; null: 239. followed by the three bytes of vxlan_id.').nullable(),
    mtu: f.mtu(),
    purpose: z.enum(purposes).describe("Which of a host's interfaces carries it."),
    customer: ref('customer').nullable().describe('Whose it is: others do not see it; null: everybody may use it, if its purpose is public.'),
    is_default: z.boolean().describe('New virtual machines are members of it when nothing else is asked; at most one network is.'),
  },
  within: { customer: at('customer_id') },
  seen: through('customer_id', customer, 'seen'),
  sole: ['kind', 'vlan_tag', 'vxlan_id', 'vxlan_group', 'mtu', 'purpose', 'is_default'],
  open: (a) => sql`${sql.id(a)}.customer_id is null and ${sql.id(a)}.purpose = 'public'`,
  columns: ['name', 'kind', 'vlan_tag', 'vxlan_id', 'mtu', 'purpose', 'is_default'],
  shared: true,
  affects: (ids) => nodesOfNetworks(sql`select unnest(${ids}::bigint[])`),
  constraints: {
    network_vlan: { pointer: '/vlan_tag', message: 'a network of kind vlan needs a vlan_tag; other kinds have none' },
    network_vxlan: { pointer: '/vxlan_id', message: 'a network of kind vxlan needs a vxlan_id; other kinds have none' },
    network_group: { pointer: '/vxlan_group', message: 'must be a multicast address of a vxlan, e.g. 239.0.0.42' },
    network_default: { pointer: '/is_default', message: 'another network is the default; take that from it first' },
  },
};
