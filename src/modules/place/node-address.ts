import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { base } from '../../db/base.ts';
import { hostCidr, ip } from '../../kernel/net.ts';
import { ref, through, type Resource } from '../../kernel/resource.ts';
import { withPeers } from './affects.ts';
import { NodeInterface, nodeInterface } from './node-interface.ts';

export const NodeAddress = defineEntity({
  name: 'node_address',
  tableName: 'node_address',
  properties: {
    ...base,
    node_interface: () => p.manyToOne(NodeInterface).deleteRule('cascade'),
    address: p.text().columnType('inet'),
    gateway: p.text().columnType('inet').nullable(),
  },
  uniques: [{ properties: ['node_interface', 'address'] }],
  checks: [
    {
      name: 'node_address_gateway',
      expression: 'gateway is null or (family(gateway) = family(address) and gateway << network(address)::inet)',
    },
  ],
});

export const nodeAddress: Resource = {
  noun: 'node_address',
  plural: 'node_addresses',
  title: 'Node address',
  summary: "An address of a node's interface, with its gateway.",
  area: 'Place',
  entity: NodeAddress,
  key: ['node_interface', 'address'],
  fields: {
    node_interface: ref('node_interface').describe('The interface that has it.'),
    address: hostCidr('The address with its prefix length, e.g. 192.0.2.10/24.'),
    gateway: ip('The gateway inside that network.').nullable(),
  },
  immutable: ['node_interface'],
  within: through('node_interface_id', nodeInterface),
  columns: ['node_interface', 'address', 'gateway'],
  shared: true,
  affects: (ids) => withPeers(sql`select i.node_id from node_address a join node_interface i on i.id = a.node_interface_id where a.id = any(${ids}::bigint[])`),
  constraints: {
    node_address_gateway: { pointer: '/gateway', message: "must lie inside the address's network" },
  },
};
