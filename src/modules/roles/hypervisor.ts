import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base } from '../../db/base.ts';
import { f, ref, through, type Resource } from '../../kernel/resource.ts';
import { names, VirtMethod, virtMethods } from '../lists/lists.ts';
import { Node, node } from '../place/node.ts';
import { roleCheck } from '../place/role-check.ts';

const coresLimit = 'floor(cores * cpu_overcommit)::int - reserve_cores';
const ramLimit = 'floor(ram * ram_overcommit)::bigint - reserve_ram';

export const Hypervisor = defineEntity({
  name: 'hypervisor',
  tableName: 'hypervisor',
  properties: {
    ...base,
    node: () => p.oneToOne(Node).owner().deleteRule('cascade').unique(),
    methods: () =>
      p
        .manyToMany(VirtMethod)
        .pivotEntity(() => HypervisorMethod)
        .joinColumn('hypervisor_id')
        .inverseJoinColumn('virt_method'),
    cores: p.integer(),
    ram: p.bigint('number'),
    cpu_overcommit: p.decimal('number').precision(6).scale(2).default(4),
    ram_overcommit: p.decimal('number').precision(6).scale(2).default(1),
    reserve_cores: p.integer().default(0),
    reserve_ram: p.bigint('number').default(0),
    local_path: p.text().default('/var/lib/corral/volumes'),
    volume_group: p.text().nullable(),
    /** What its virtual machines were promised; a trigger on vm keeps it. */
    allocated_cores: p.integer().default(0),
    allocated_ram: p.bigint('number').default(0),
    cores_limit: p.integer().generated(`(${coresLimit}) stored`),
    ram_limit: p.bigint('number').generated(`(${ramLimit}) stored`),
    /** Share of the scarcer of cores and memory that is promised, 0 to 1. */
    load: p
      .double()
      .generated(
        `(greatest(allocated_cores / greatest(${coresLimit}, 1)::double precision, allocated_ram / greatest(${ramLimit}, 1)::double precision)) stored`,
      ),
    /** When placement last chose it: what round robin goes by. */
    placed_at: p.datetime(6).defaultRaw(`'epoch'`),
  },
  indexes: [
    { name: 'hypervisor_load', expression: 'create index hypervisor_load on hypervisor (load, id)' },
    { name: 'hypervisor_placed_at', expression: 'create index hypervisor_placed_at on hypervisor (placed_at, id)' },
  ],
  checks: [
    { name: 'hypervisor_cores', expression: 'cores between 1 and 65536' },
    { name: 'hypervisor_ram', expression: 'ram > 0' },
    { name: 'hypervisor_overcommit', expression: 'cpu_overcommit >= 0.1 and ram_overcommit >= 0.1' },
    { name: 'hypervisor_reserve', expression: 'reserve_cores >= 0 and reserve_ram >= 0' },
    { name: 'hypervisor_cores_promised', expression: `allocated_cores >= 0 and (allocated_cores = 0 or allocated_cores <= ${coresLimit})` },
    { name: 'hypervisor_ram_promised', expression: `allocated_ram >= 0 and (allocated_ram = 0 or allocated_ram <= ${ramLimit})` },
  ],
  triggers: [roleCheck('hypervisor', 'delete', 'node_id')],
});

/** N:M of hypervisors and methods. */
export const HypervisorMethod = defineEntity({
  name: 'hypervisor_method',
  tableName: 'hypervisor_method',
  properties: {
    hypervisor: () => p.manyToOne(Hypervisor).primary().deleteRule('cascade'),
    virt_method: () => p.manyToOne(VirtMethod).joinColumn('virt_method').primary().index(),
  },
});

const overcommit = (what: string) =>
  z.number().min(0.1).max(1000).multipleOf(0.01).describe(`How many times over the ${what} may be promised to virtual machines.`);
const path = z.string().regex(/^\/[A-Za-z0-9._/-]{0,200}$/, 'must be an absolute path of letters, digits, dot, dash, underscore');

export const hypervisor: Resource = {
  noun: 'hypervisor',
  plural: 'hypervisors',
  title: 'Hypervisor',
  summary: 'The role of a node that runs virtual machines: what it has, what may be promised of it, and how it virtualises.',
  area: 'Roles',
  entity: Hypervisor,
  key: ['node'],
  fields: {
    node: ref('node').describe('The node that has this role.'),
    methods: z
      .array(z.enum(names(virtMethods)))
      .min(1)
      .max(16)
      .describe('The ways of virtualising that it supports.'),
    cores: z.int().min(1).max(65_536).describe('Cores (threads) of the host.'),
    ram: f.bytes('Memory of the host.'),
    cpu_overcommit: overcommit('cores'),
    ram_overcommit: overcommit('memory'),
    reserve_cores: z.int().min(0).max(65_536).describe('Cores kept back for the host, after overcommit.'),
    reserve_ram: z.int().min(0).max(Number.MAX_SAFE_INTEGER).describe('Memory kept back for the host, after overcommit. In bytes.').meta({ unit: 'bytes' }),
    local_path: path.describe('Where directory pools without a target of their own keep their files.'),
    volume_group: z
      .string()
      .regex(/^[A-Za-z0-9+_.][A-Za-z0-9+_.-]{0,100}$/, 'must be the name of a volume group')
      .nullable()
      .describe('The LVM volume group of LVM pools without a target of their own.'),
  },
  computed: {
    allocated_cores: { schema: z.int().describe('Cores promised to its virtual machines.') },
    allocated_ram: { schema: z.int().describe('Memory promised to its virtual machines. In bytes.').meta({ unit: 'bytes' }) },
    cores_limit: { schema: z.int().describe('Cores that may be promised: cores × cpu_overcommit − reserve_cores.') },
    ram_limit: { schema: z.int().describe('Memory that may be promised: ram × ram_overcommit − reserve_ram. In bytes.').meta({ unit: 'bytes' }) },
    load: { schema: z.number().describe('Share of the scarcer of cores and memory that is promised, 0 to 1.') },
  },
  immutable: ['node'],
  within: through('node_id', node),
  columns: ['node', 'methods', 'cores', 'ram', 'allocated_cores', 'allocated_ram', 'load'],
  affects: (ids) => sql`select h.node_id from hypervisor h where h.id = any(${ids}::bigint[])`,
  constraints: {
    hypervisor_cores_promised: { pointer: '/cores', message: 'more cores are promised to its virtual machines than would be left; move or shrink some first' },
    hypervisor_ram_promised: { pointer: '/ram', message: 'more memory is promised to its virtual machines than would be left; move or shrink some first' },
  },
};
