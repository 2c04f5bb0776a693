import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base } from '../../db/base.ts';
import { ref, through, type Resource } from '../../kernel/resource.ts';
import { Network } from './network.ts';
import { VmInterface, vmInterface } from './vm-interface.ts';

export const NetworkMembership = defineEntity({
  name: 'network_membership',
  tableName: 'network_membership',
  properties: {
    ...base,
    vm_interface: () => p.manyToOne(VmInterface).deleteRule('cascade'),
    network: () => p.manyToOne(Network).index(),
    tagged: p.boolean().default(false),
  },
  uniques: [{ properties: ['vm_interface', 'network'] }],
  indexes: [
    {
      name: 'network_membership_untagged',
      expression: 'create unique index network_membership_untagged on network_membership (vm_interface_id) where not tagged',
    },
  ],
});

export const networkMembership: Resource = {
  noun: 'network_membership',
  plural: 'network_memberships',
  title: 'Network membership',
  summary: 'That an interface of a virtual machine is in a network: untagged in at most one, tagged in any number.',
  area: 'Network',
  entity: NetworkMembership,
  key: ['vm_interface', 'network'],
  fields: {
    vm_interface: ref('vm_interface').describe('The interface, e.g. 17-0.'),
    network: ref('network').describe('The network.'),
    tagged: z.boolean().describe('Whether the guest sees the traffic with the VLAN tag.'),
  },
  immutable: ['vm_interface', 'network'],
  within: through('vm_interface_id', vmInterface),
  columns: ['vm_interface', 'network', 'tagged'],
  affects: (ids) =>
    sql`select h.node_id from network_membership m join vm_interface i on i.id = m.vm_interface_id join vm v on v.id = i.vm_id join hypervisor h on h.id = v.hypervisor_id where m.id = any(${ids}::bigint[])`,
  constraints: {
    network_membership_untagged: { pointer: '/tagged', message: 'the interface is untagged in another network already; make this one tagged' },
  },
};
