import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base, oneOf } from '../../db/base.ts';
import { at, f, ref, through, type Resource } from '../../kernel/resource.ts';
import { names, VirtMethod, virtMethods, VmObservedState, VmState, vmStates } from '../lists/lists.ts';
import { Customer } from '../people/customer.ts';
import { Project } from '../people/project.ts';
import { Hypervisor, hypervisor } from '../roles/hypervisor.ts';
import { vmExtras } from './vm-extras.ts';

const cpuModes = ['host-model', 'host-passthrough', 'maximum', 'custom'] as const;
const machines = ['q35', 'pc', 'virt'] as const;
const firmwares = ['bios', 'uefi', 'uefi-secure'] as const;
const clocks = ['utc', 'localtime'] as const;
const haPolicies = ['none', 'restart'] as const;
const bootDevices = ['disk', 'network', 'cdrom'] as const;

export const Vm = defineEntity({
  name: 'vm',
  tableName: 'vm',
  properties: {
    ...base,
    uuid: p.uuid().defaultRaw('gen_random_uuid()').unique(),
    name: p.text(),
    customer: () => p.manyToOne(Customer).nullable().deleteRule('no action').index(),
    project: () => p.manyToOne(Project).nullable().deleteRule('no action').index(),
    hypervisor: () => p.manyToOne(Hypervisor).index(),
    method: () => p.manyToOne(VirtMethod).joinColumn('method').index(),
    state: () => p.manyToOne(VmState).joinColumn('state').default('running').index(),
    cores: p.integer(),
    cores_max: p.integer(),
    ram: p.bigint('number'),
    ram_max: p.bigint('number'),
    cputime_limit: p.integer().nullable(),
    cpu_mode: p.text().default('host-model'),
    cpu_model: p.text().nullable(),
    machine: p.text().default('q35'),
    firmware: p.text().default('bios'),
    boot_order: p.array().default(['disk', 'network']),
    rtc: p.text().default('utc'),
    affinity_group: p.text().nullable(),
    ha_policy: p.text().default('none'),
    metadata: p.json<Record<string, unknown>>().default('{}'),
    cloud_init: p.json<Record<string, unknown>>().nullable(),
    /** What its host last reported; never part of a document. */
    observed_state: () => p.manyToOne(VmObservedState).joinColumn('observed_state').default('unknown').index(),
    observed_at: p.datetime(3).nullable(),
  },
  indexes: [{ name: 'vm_name', properties: ['name'] }],
  checks: [
    { name: 'vm_name', expression: 'length(name) between 1 and 200' },
    { name: 'vm_cores', expression: 'cores between 1 and 1024 and cores_max between cores and 1024' },
    { name: 'vm_ram', expression: 'ram >= 1048576 and ram_max >= ram' },
    { name: 'vm_cputime_limit', expression: 'cputime_limit between 1 and 100' },
    { name: 'vm_cpu', expression: `${oneOf('cpu_mode', cpuModes)} and (cpu_mode = 'custom') = (cpu_model is not null)` },
    { name: 'vm_machine', expression: oneOf('machine', machines) },
    {
      name: 'vm_firmware',
      expression: `${oneOf('firmware', firmwares)} and (firmware = 'bios' or machine <> 'pc') and (firmware <> 'bios' or machine <> 'virt')`,
    },
    { name: 'vm_rtc', expression: oneOf('rtc', clocks) },
    { name: 'vm_ha_policy', expression: oneOf('ha_policy', haPolicies) },
    { name: 'vm_boot_order', expression: `boot_order <@ array['disk', 'network', 'cdrom']` },
  ],
  triggers: [
    {
      name: 'vm_promise',
      timing: 'after',
      events: ['insert', 'update', 'delete'],
      body: `if tg_op = 'UPDATE' and (old.hypervisor_id, old.cores, old.ram) = (new.hypervisor_id, new.cores, new.ram) then
  return null;
end if;
if tg_op = 'UPDATE' and old.hypervisor_id = new.hypervisor_id then
  update hypervisor set allocated_cores = allocated_cores + new.cores - old.cores, allocated_ram = allocated_ram + new.ram - old.ram where id = new.hypervisor_id;
  return null;
end if;
if tg_op <> 'INSERT' then
  update hypervisor set allocated_cores = allocated_cores - old.cores, allocated_ram = allocated_ram - old.ram where id = old.hypervisor_id;
end if;
if tg_op <> 'DELETE' then
  update hypervisor set allocated_cores = allocated_cores + new.cores, allocated_ram = allocated_ram + new.ram where id = new.hypervisor_id;
end if;
return null;`,
    },
  ],
});

export const vm: Resource = {
  noun: 'vm',
  plural: 'vms',
  title: 'Virtual machine',
  summary: 'A virtual machine as it was asked for. Cores, memory and a method are enough: Corral fills in the rest and picks the host.',
  area: 'Virtual machines',
  entity: Vm,
  key: ['uuid'],
  label: 'name',
  fields: {
    name: f.title('What people call it; vm-<id> when left out.'),
    uuid: f.uuid('Its id for libvirt and the guest; made when left out.'),
    customer: ref('customer').nullable().describe('Whose it is.'),
    project: ref('project').nullable().describe("The customer's project, e.g. acme:web."),
    method: z.enum(names(virtMethods)).describe('How it is virtualised.'),
    cores: z.int().min(1).max(1024).describe('vCPUs.'),
    ram: z
      .int()
      .min(1_048_576)
      .max(Number.MAX_SAFE_INTEGER)
      .multipleOf(1024)
      .describe('Memory in bytes, a multiple of 1024, at least 1 MiB.')
      .meta({ unit: 'bytes' }),
    cores_max: z.int().min(1).max(1024).describe('vCPUs that it can be given without a restart; cores when left out.'),
    ram_max: z
      .int()
      .min(1_048_576)
      .max(Number.MAX_SAFE_INTEGER)
      .multipleOf(1024)
      .describe('Memory in bytes that it can be given without a restart; ram when left out.')
      .meta({ unit: 'bytes' }),
    state: z.enum(names(vmStates)).describe('What it is asked to be.'),
    hypervisor: ref('hypervisor').describe(
      'The host, by the name of its node; picked when left out. Changing it moves a stopped one whose volumes are shared.',
    ),
    cputime_limit: z.int().min(1).max(100).nullable().describe('Per cent of a host core that each vCPU may use, 1 to 100; null: no limit.'),
    cpu_mode: z.enum(cpuModes).describe("libvirt's CPU mode; custom names a cpu_model."),
    cpu_model: z
      .string()
      .regex(/^[A-Za-z0-9_.-]{1,64}$/, 'must be a CPU model, e.g. Skylake-Server')
      .nullable()
      .describe('CPU model of cpu_mode custom.'),
    machine: z.enum(machines).describe('Machine type.'),
    firmware: z.enum(firmwares).describe('bios (not on virt), uefi or uefi-secure (not on pc).'),
    boot_order: z.array(z.enum(bootDevices)).max(3).describe('What to boot from, first to last.'),
    rtc: z.enum(clocks).describe("What the guest's clock starts from."),
    affinity_group: f.name('A group to be placed by').nullable(),
    ha_policy: z.enum(haPolicies).describe('What is wanted when its host fails. The model keeps it; nothing acts on it yet.'),
    metadata: f.json('Anything that programs want to keep with it.'),
    cloud_init: f.json('cloud-init data: user_data, network_config and so on.').nullable(),
  },
  computed: {
    observed_state: { schema: z.string().describe('What its host last reported.') },
    observed_at: { schema: z.string().nullable().describe('When that was.') },
  },
  optional: ['name', 'hypervisor', 'cores_max', 'ram_max'],
  extras: vmExtras,
  immutable: ['uuid', 'method'],
  within: { customer: at('customer_id'), project: at('project_id'), ...through('hypervisor_id', hypervisor) },
  sole: ['uuid'],
  columns: ['id', 'name', 'customer', 'cores', 'ram', 'state', 'observed_state', 'hypervisor', 'method'],
  affects: (ids) => sql`select h.node_id from vm v join hypervisor h on h.id = v.hypervisor_id where v.id = any(${ids}::bigint[])`,
  observed: {
    kind: 'domain',
    name: (t) => sql`'vm-' || ${sql.id(t)}.id`,
    nodes: (t) => sql`select h.node_id from hypervisor h where h.id = ${sql.id(t)}.hypervisor_id`,
    desired: (t) => sql`${sql.id(t)}.state`,
    held: (t) =>
      sql`(select n.fqdn from tombstone x join node n on n.id = x.node_id where x.kind = 'domain' and x.name = 'vm-' || ${sql.id(t)}.id
        and x.node_id <> (select h.node_id from hypervisor h where h.id = ${sql.id(t)}.hypervisor_id) order by n.fqdn limit 1)`,
  },
  constraints: {
    vm_cores: { pointer: '/cores_max', message: 'must be at least cores and at most 1024' },
    vm_ram: { pointer: '/ram_max', message: 'must be at least ram' },
    vm_cpu: { pointer: '/cpu_model', message: 'is needed by cpu_mode custom, and only by that' },
    vm_firmware: { pointer: '/firmware', message: 'pc has no uefi, and virt has no bios; use q35 for either' },
    hypervisor_cores_promised: { pointer: '/hypervisor', message: 'has not that many cores left' },
    hypervisor_ram_promised: { pointer: '/hypervisor', message: 'has not that much memory left' },
  },
};
