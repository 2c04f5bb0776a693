import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base } from '../../db/base.ts';
import { f, ref, through, type Resource } from '../../kernel/resource.ts';
import { Hypervisor, hypervisor } from '../roles/hypervisor.ts';
import { StoragePool } from './storage-pool.ts';

export const PoolAttachment = defineEntity({
  name: 'pool_attachment',
  tableName: 'pool_attachment',
  properties: {
    ...base,
    hypervisor: () => p.manyToOne(Hypervisor).deleteRule('cascade'),
    storage_pool: () => p.manyToOne(StoragePool).index(),
    capacity: p.bigint('number').nullable(),
    /** A trigger on volume keeps it. */
    allocated: p.bigint('number').default(0),
  },
  uniques: [{ properties: ['hypervisor', 'storage_pool'] }],
  checks: [{ name: 'pool_attachment_space', expression: 'allocated >= 0 and (allocated = 0 or capacity is null or allocated <= capacity)' }],
});

export const poolAttachment: Resource = {
  noun: 'pool_attachment',
  plural: 'pool_attachments',
  title: 'Pool attachment',
  summary: 'That a hypervisor has a storage pool, and for a local pool how much space it has there.',
  area: 'Storage',
  entity: PoolAttachment,
  key: ['hypervisor', 'storage_pool'],
  fields: {
    hypervisor: ref('hypervisor').describe('The hypervisor, by the name of its node.'),
    storage_pool: ref('storage_pool').describe('The pool.'),
    capacity: f.bytes('Space of a local pool on this host that may be given out; null: not limited.').nullable(),
  },
  computed: { allocated: { schema: z.int().describe('Space that is given out here. In bytes.').meta({ unit: 'bytes' }) } },
  immutable: ['hypervisor', 'storage_pool'],
  within: through('hypervisor_id', hypervisor),
  columns: ['hypervisor', 'storage_pool', 'capacity', 'allocated'],
  observed: {
    kind: 'pool',
    name: (t) => sql`(select s.name from storage_pool s where s.id = ${sql.id(t)}.storage_pool_id)`,
    nodes: (t) => sql`select h.node_id from hypervisor h where h.id = ${sql.id(t)}.hypervisor_id`,
  },
  affects: (ids) => sql`select h.node_id from pool_attachment a join hypervisor h on h.id = a.hypervisor_id where a.id = any(${ids}::bigint[])`,
  constraints: { pool_attachment_space: { pointer: '/capacity', message: 'less than what is given out, or not enough space left on that host' } },
};
