import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base } from '../../db/base.ts';
import { f, ref, through, type Resource } from '../../kernel/resource.ts';
import { Vm, vm } from '../vms/vm.ts';

export const VmInterface = defineEntity({
  name: 'vm_interface',
  tableName: 'vm_interface',
  properties: {
    ...base,
    vm: () => p.manyToOne(Vm).deleteRule('cascade'),
    /** Counted within the VM from 0; a trigger gives the next when left out. */
    number: p.integer().default(-1),
    name: p.text().generated(`((vm_id::text || '-'::text) || number::text) stored`).unique(),
    /** A trigger makes it from the id when left out: 02:c0 and four bytes. */
    mac: p.text().columnType('macaddr').unique().defaultRaw(`'00:00:00:00:00:00'`),
  },
  uniques: [{ properties: ['vm', 'number'] }],
  checks: [{ name: 'vm_interface_number', expression: 'number between 0 and 63' }],
  triggers: [
    {
      name: 'vm_interface_defaults',
      timing: 'before',
      events: ['insert'],
      body: `if new.number < 0 then
  select coalesce(max(i.number), -1) + 1 into new.number from vm_interface i where i.vm_id = new.vm_id;
end if;
if new.mac = '00:00:00:00:00:00' then
  new.mac := ('02c0' || lpad(to_hex(new.id), 8, '0'))::macaddr;
end if;
return new;`,
    },
  ],
});

export const vmInterface: Resource = {
  noun: 'vm_interface',
  plural: 'vm_interfaces',
  title: 'VM interface',
  summary: 'A network card of a virtual machine. Its device on the host is <vm>-<number>, its bridge br-<vm>-<number>.',
  area: 'Network',
  entity: VmInterface,
  key: ['name'],
  fields: {
    vm: ref('vm').describe('Whose card it is.'),
    number: z.int().min(0).max(63).describe('Place among the cards of the VM, from 0; the next when left out.'),
    mac: f.mac().describe('Hardware address; made when left out.'),
  },
  computed: { name: { schema: z.string().describe("<vm id>-<number>: the device's name on the host.") } },
  immutable: ['vm', 'number'],
  within: through('vm_id', vm),
  sole: ['mac'],
  columns: ['name', 'vm', 'mac'],
  observed: {
    kind: 'bridge',
    name: (t) => sql`'br-' || ${sql.id(t)}.name`,
    nodes: (t) => sql`select h.node_id from vm v join hypervisor h on h.id = v.hypervisor_id where v.id = ${sql.id(t)}.vm_id`,
  },
  affects: (ids) =>
    sql`select h.node_id from vm_interface i join vm v on v.id = i.vm_id join hypervisor h on h.id = v.hypervisor_id where i.id = any(${ids}::bigint[])`,
};
