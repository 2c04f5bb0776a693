import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base, oneOf } from '../../db/base.ts';
import { f, ref, type Resource } from '../../kernel/resource.ts';
import { CephKey } from '../ceph/ceph-key.ts';
import { CephPool } from '../ceph/ceph-pool.ts';

export const poolKinds = ['dir', 'lvm', 'rbd', 'nfs'] as const;
const shared = `kind = any (array['rbd', 'nfs'])`;

export const StoragePool = defineEntity({
  name: 'storage_pool',
  tableName: 'storage_pool',
  properties: {
    ...base,
    name: p.text().unique(),
    kind: p.text().default('dir'),
    target: p.text().nullable(),
    source: p.text().nullable(),
    ceph_pool: () => p.manyToOne(CephPool).nullable().deleteRule('no action').index(),
    ceph_key: () => p.manyToOne(CephKey).nullable().deleteRule('no action').index(),
    /** Space of a shared pool; local pools have theirs on each attachment. */
    capacity: p.bigint('number').nullable(),
    allocated: p.bigint('number').default(0),
    is_default: p.boolean().default(false),
    shared: p.boolean().generated(`(${shared}) stored`),
  },
  indexes: [{ name: 'storage_pool_default', expression: 'create unique index storage_pool_default on storage_pool (is_default) where is_default' }],
  checks: [
    { name: 'storage_pool_kind', expression: oneOf('kind', poolKinds) },
    { name: 'storage_pool_ceph', expression: `(kind = 'rbd') = (ceph_pool_id is not null) and (ceph_key_id is null or kind = 'rbd')` },
    { name: 'storage_pool_source', expression: `(kind = 'nfs') = (source is not null)` },
    { name: 'storage_pool_target', expression: `case kind when 'rbd' then target is null when 'nfs' then target is not null else true end` },
    { name: 'storage_pool_capacity', expression: `(${shared}) or capacity is null` },
    { name: 'storage_pool_space', expression: 'allocated >= 0 and (allocated = 0 or capacity is null or allocated <= capacity)' },
  ],
  triggers: [
    {
      /* Pools without a capacity are not counted, so that creations do not queue for one row. */
      name: 'storage_pool_counted',
      timing: 'before',
      events: ['update'],
      body: `if new.kind in ('rbd', 'nfs') and old.capacity is null and new.capacity is not null then
  select coalesce(sum(o.size), 0) into new.allocated from volume o where o.storage_pool_id = new.id;
elsif new.capacity is null then
  new.allocated := 0;
end if;
return new;`,
    },
  ],
});

/** The nodes whose hypervisors have these pools. */
export const nodesOfPools = (pools: ReturnType<typeof sql>) => sql`
  select h.node_id from pool_attachment a join hypervisor h on h.id = a.hypervisor_id where a.storage_pool_id in (${pools})`;

export const storagePool: Resource = {
  noun: 'storage_pool',
  plural: 'storage_pools',
  title: 'Storage pool',
  summary: 'Where volumes lie: a directory or volume group of each attached hypervisor, an NFS export or a Ceph pool that they share.',
  area: 'Storage',
  entity: StoragePool,
  key: ['name'],
  fields: {
    name: f.name('The pool'),
    kind: z.enum(poolKinds).describe('dir and lvm lie on each attached hypervisor; rbd and nfs are shared by all of them.'),
    target: z
      .string()
      .regex(/^[A-Za-z0-9/_.+-]{1,200}$/, 'must be a path or the name of a volume group')
      .nullable()
      .describe("dir, nfs: the directory on the host; lvm: the volume group. Null: the hypervisor's local_path or volume_group."),
    source: z
      .string()
      .regex(/^[A-Za-z0-9.:[\]-]{1,253}:\/[A-Za-z0-9/_.-]{0,200}$/, 'must be host:/export')
      .nullable()
      .describe('nfs: host:/export.'),
    ceph_pool: ref('ceph_pool').nullable().describe('rbd: the Ceph pool, e.g. ceph:vms.'),
    ceph_key: ref('ceph_key').nullable().describe('rbd: the key that hypervisors use, e.g. ceph:client.libvirt.'),
    capacity: f.bytes('Space of a shared pool that may be given out; null: not limited.').nullable(),
    is_default: z.boolean().describe('New virtual machines get their volume here when nothing else is asked; at most one pool is.'),
  },
  computed: {
    allocated: { schema: z.int().describe('Space of a shared pool that is given out. In bytes.').meta({ unit: 'bytes' }) },
    shared: { schema: z.boolean().describe('Whether all attached hypervisors see the same volumes.') },
  },
  immutable: ['kind'],
  open: () => sql`true`,
  columns: ['name', 'kind', 'target', 'ceph_pool', 'capacity', 'allocated', 'is_default'],
  shared: true,
  affects: (ids) => nodesOfPools(sql`select unnest(${ids}::bigint[])`),
  constraints: {
    storage_pool_ceph: { pointer: '/ceph_pool', message: 'an rbd pool needs a ceph_pool (and may have a ceph_key); other kinds have neither' },
    storage_pool_source: { pointer: '/source', message: 'an nfs pool needs a source; other kinds have none' },
    storage_pool_target: { pointer: '/target', message: 'an nfs pool needs a target; an rbd pool has none' },
    storage_pool_capacity: { pointer: '/capacity', message: 'only a shared pool has a capacity; local pools have theirs on each attachment' },
    storage_pool_space: { pointer: '/capacity', message: 'less than what is given out, or not enough space left' },
    storage_pool_default: { pointer: '/is_default', message: 'another pool is the default; take that from it first' },
  },
};
