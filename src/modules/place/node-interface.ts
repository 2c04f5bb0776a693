import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base, oneOf } from '../../db/base.ts';
import { f, ref, through, type Resource } from '../../kernel/resource.ts';
import { withPeers } from './affects.ts';
import { Node, node } from './node.ts';

export const purposes = ['public', 'storage', 'backup', 'management'] as const;
const kinds = ['physical', 'bond', 'vlan'] as const;

export const NodeInterface = defineEntity({
  name: 'node_interface',
  tableName: 'node_interface',
  properties: {
    ...base,
    node: () => p.manyToOne(Node).deleteRule('cascade'),
    name: p.text(),
    kind: p.text().default('physical'),
    parent: () => p.manyToOne(NodeInterface).nullable().deleteRule('no action').index(),
    bond: () => p.manyToOne(NodeInterface).nullable().deleteRule('no action').index(),
    vlan_tag: p.integer().nullable(),
    mac: p.text().columnType('macaddr').nullable(),
    mtu: p.integer().default(1500),
    purpose: p.text().default('public'),
  },
  uniques: [{ properties: ['node', 'name'] }],
  checks: [
    { name: 'node_interface_name', expression: `name ~ '^[A-Za-z0-9._-]{1,15}$'` },
    { name: 'node_interface_kind', expression: oneOf('kind', kinds) },
    { name: 'node_interface_purpose', expression: oneOf('purpose', purposes) },
    { name: 'node_interface_mtu', expression: 'mtu between 576 and 65535' },
    {
      name: 'node_interface_vlan',
      expression: `(kind = 'vlan' and vlan_tag is not null and vlan_tag between 1 and 4094 and parent_id is not null) or (kind <> 'vlan' and vlan_tag is null and parent_id is null)`,
    },
    { name: 'node_interface_bond', expression: `bond_id is null or kind = 'physical'` },
  ],
  triggers: [
    {
      name: 'node_interface_of_same_node',
      timing: 'before',
      events: ['insert', 'update'],
      body: `if new.parent_id is not null then
  perform 1 from node_interface i where i.id = new.parent_id and i.node_id = new.node_id and i.id <> new.id;
  if not found then
    raise exception using errcode = '23514', constraint = 'node_interface_parent', message = 'the parent is not an interface of the same node';
  end if;
end if;
if new.bond_id is not null then
  perform 1 from node_interface i where i.id = new.bond_id and i.node_id = new.node_id and i.kind = 'bond';
  if not found then
    raise exception using errcode = '23514', constraint = 'node_interface_of_bond', message = 'the bond is not a bond of the same node';
  end if;
end if;
return new;`,
    },
  ],
});

export const nodeInterface: Resource = {
  noun: 'node_interface',
  plural: 'node_interfaces',
  title: 'Node interface',
  summary: 'A network interface of a node: physical, a bond of physical ones, or a VLAN on another.',
  area: 'Place',
  entity: NodeInterface,
  key: ['node', 'name'],
  fields: {
    node: ref('node').describe('Whose interface it is.'),
    name: z
      .string()
      .regex(/^[A-Za-z0-9._-]{1,15}$/, 'must be 1 to 15 of A-Z, a-z, 0-9, dot, dash, underscore')
      .describe("The kernel's name for it, e.g. eno1."),
    kind: z.enum(kinds).describe('physical, bond or vlan.'),
    parent: ref('node_interface').nullable().describe('For a VLAN: the interface below, e.g. hv1.example.com:eno1.'),
    bond: ref('node_interface').nullable().describe('For a member of a bond: the bond.'),
    vlan_tag: f.vlan('For a VLAN: its 802.1Q tag, 1 to 4094.').nullable(),
    mac: f.mac().nullable(),
    mtu: f.mtu(),
    purpose: z.enum(purposes).describe('What the interface carries; networks attach by purpose.'),
  },
  immutable: ['node'],
  within: through('node_id', node),
  columns: ['node', 'name', 'kind', 'purpose', 'vlan_tag', 'mac', 'mtu'],
  shared: true,
  affects: (ids) => withPeers(sql`select i.node_id from node_interface i where i.id = any(${ids}::bigint[])`),
  constraints: {
    node_interface_vlan: { pointer: '/vlan_tag', message: 'a VLAN needs vlan_tag and parent; other kinds have neither' },
    node_interface_parent: { pointer: '/parent', message: 'must be another interface of the same node' },
    node_interface_of_bond: { pointer: '/bond', message: 'must be an interface of kind bond of the same node' },
    node_interface_bond: { pointer: '/bond', message: 'only a physical interface can be a member of a bond' },
  },
};
