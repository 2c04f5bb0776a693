import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { base } from '../../db/base.ts';
import { ip } from '../../kernel/net.ts';
import { ref, through, type Resource } from '../../kernel/resource.ts';
import { Subnet } from './subnet.ts';
import { VmInterface, vmInterface } from './vm-interface.ts';

export const Address = defineEntity({
  name: 'address',
  tableName: 'address',
  properties: {
    ...base,
    address: p.text().columnType('inet').unique(),
    subnet: () => p.manyToOne(Subnet).index().deleteRule('cascade'),
    /** Null: the address is free. */
    vm_interface: () => p.manyToOne(VmInterface).nullable().index().deleteRule('set null'),
  },
  indexes: [
    {
      name: 'address_free',
      expression: 'create index address_free on address (subnet_id, address) where vm_interface_id is null',
    },
  ],
  checks: [{ name: 'address_host', expression: 'masklen(address) = case family(address) when 4 then 32 else 128 end' }],
  triggers: [
    {
      name: 'address_in_subnet',
      timing: 'before',
      events: ['insert'],
      body: `perform 1 from subnet s where s.id = new.subnet_id and new.address <<= s.cidr and new.address is distinct from s.gateway
  and (family(s.cidr) = 6 or masklen(s.cidr) > 30 or host(new.address) not in (host(network(s.cidr)), host(broadcast(s.cidr))));
if not found then
  raise exception using errcode = '23514', constraint = 'address_in_subnet', message = 'the address does not lie in its subnet';
end if;
return new;`,
    },
  ],
});

export const address: Resource = {
  noun: 'address',
  plural: 'addresses',
  title: 'Address',
  summary: 'An address of a subnet: given to an interface, or free (vm_interface is null) for the next that asks.',
  area: 'Network',
  entity: Address,
  key: ['address'],
  fields: {
    address: ip('The address.'),
    subnet: ref('subnet').describe('The subnet that it lies in.'),
    vm_interface: ref('vm_interface').nullable().describe('The interface that has it; null: free.'),
  },
  immutable: ['address', 'subnet'],
  within: through('vm_interface_id', vmInterface),
  columns: ['address', 'subnet', 'vm_interface'],
  affects: (ids) =>
    sql`select h.node_id from address a join vm_interface i on i.id = a.vm_interface_id join vm v on v.id = i.vm_id join hypervisor h on h.id = v.hypervisor_id where a.id = any(${ids}::bigint[])`,
  constraints: { address_in_subnet: { pointer: '/address', message: 'must lie inside its subnet, and not be its gateway' } },
};
