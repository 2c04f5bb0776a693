import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base } from '../../db/base.ts';
import { f, idList, ref, through, type Resource } from '../../kernel/resource.ts';
import { cacheOptions, CacheOption, names, StorageType, storageTypes } from '../lists/lists.ts';
import { Customer } from '../people/customer.ts';
import { Hypervisor, hypervisor } from '../roles/hypervisor.ts';
import { Vm } from '../vms/vm.ts';
import { Image } from './image.ts';
import { StoragePool } from './storage-pool.ts';

export const Volume = defineEntity({
  name: 'volume',
  tableName: 'volume',
  properties: {
    ...base,
    /** A trigger makes it vol-<id> when left out. */
    name: p.text().default('').unique(),
    storage_pool: () => p.manyToOne(StoragePool).index(),
    /** Where it lies: null for shared pools. */
    hypervisor: () => p.manyToOne(Hypervisor).nullable().deleteRule('no action').index(),
    vm: () => p.manyToOne(Vm).nullable().deleteRule('set null'),
    /** Place among its VM's volumes; a trigger gives the next when left out. */
    number: p.integer().nullable(),
    size: p.bigint('number'),
    type: () => p.manyToOne(StorageType).joinColumn('type').index(),
    cache_option: () => p.manyToOne(CacheOption).joinColumn('cache_option').default('default').index(),
    read_iops: p.integer().nullable(),
    write_iops: p.integer().nullable(),
    read_bps: p.bigint('number').nullable(),
    write_bps: p.bigint('number').nullable(),
    discard: p.boolean().default(true),
    /** Whose it is while no virtual machine has it. */
    customer: () => p.manyToOne(Customer).nullable().deleteRule('no action').index(),
    image: () => p.manyToOne(Image).nullable().deleteRule('no action').index(),
  },
  uniques: [{ properties: ['vm', 'number'] }],
  indexes: [{ name: 'volume_place', expression: 'create index volume_place on volume (storage_pool_id, hypervisor_id)' }],
  checks: [
    { name: 'volume_size', expression: 'size >= 512 and size % 512 = 0' },
    { name: 'volume_number', expression: '(vm_id is null) = (number is null) and (number is null or number between 0 and 255)' },
    { name: 'volume_limits', expression: 'read_iops > 0 and write_iops > 0 and read_bps > 0 and write_bps > 0' },
  ],
  triggers: [
    {
      name: 'volume_defaults',
      timing: 'before',
      events: ['insert', 'update'],
      body: `if new.name = '' then new.name := 'vol-' || new.id; end if;
if new.vm_id is null then
  new.number := null;
elsif new.number is null then
  select coalesce(max(o.number), -1) + 1 into new.number from volume o where o.vm_id = new.vm_id and o.id <> new.id;
end if;
return new;`,
    },
    {
      name: 'volume_place',
      timing: 'after',
      events: ['insert', 'update', 'delete'],
      body: `if tg_op = 'UPDATE' and (old.storage_pool_id, old.hypervisor_id, old.size, old.type, old.vm_id) is not distinct from (new.storage_pool_id, new.hypervisor_id, new.size, new.type, new.vm_id) then
  return null;
end if;
if tg_op <> 'DELETE' then
  perform 1 from storage_pool s where s.id = new.storage_pool_id and s.shared = (new.hypervisor_id is null)
    and case s.kind when 'lvm' then new.type = 'lvm' when 'rbd' then new.type = 'rbd' else new.type in ('qcow2', 'raw') end;
  if not found then
    raise exception using errcode = '23514', constraint = 'volume_fits_pool', message = 'the volume does not fit its pool';
  end if;
  perform 1 from vm v where v.id = new.vm_id and new.hypervisor_id is not null and v.hypervisor_id is distinct from new.hypervisor_id;
  if found then
    raise exception using errcode = '23514', constraint = 'volume_with_vm', message = 'the volume lies on another host than its vm';
  end if;
end if;
if tg_op <> 'INSERT' and old.hypervisor_id is null then
  update storage_pool set allocated = allocated - old.size where id = old.storage_pool_id and capacity is not null;
elsif tg_op <> 'INSERT' then
  update pool_attachment set allocated = allocated - old.size where storage_pool_id = old.storage_pool_id and hypervisor_id = old.hypervisor_id;
end if;
if tg_op <> 'DELETE' and new.hypervisor_id is null then
  update storage_pool set allocated = allocated + new.size where id = new.storage_pool_id and capacity is not null;
elsif tg_op <> 'DELETE' then
  update pool_attachment set allocated = allocated + new.size where storage_pool_id = new.storage_pool_id and hypervisor_id = new.hypervisor_id;
  if not found then
    raise exception using errcode = '23514', constraint = 'volume_pool_attached', message = 'the pool is not attached to that host';
  end if;
end if;
return null;`,
    },
  ],
});

export const volume: Resource = {
  noun: 'volume',
  plural: 'volumes',
  title: 'Volume',
  summary: 'A disk: of one virtual machine, or free. Deleting a virtual machine frees its volumes and never deletes their data.',
  area: 'Storage',
  entity: Volume,
  key: ['name'],
  fields: {
    name: f.name('The file, logical volume or image; vol-<id> when left out'),
    storage_pool: ref('storage_pool').describe('Where it lies.'),
    hypervisor: ref('hypervisor').nullable().describe('On which host, for local pools; null for shared ones.'),
    vm: ref('vm').nullable().describe('Whose disk it is; null: free.'),
    number: z.int().min(0).max(255).nullable().describe('Place among the disks of the VM, from 0 (vda); the next when left out.'),
    size: z.int().min(512).max(Number.MAX_SAFE_INTEGER).multipleOf(512).describe('Size in bytes, a multiple of 512.').meta({ unit: 'bytes' }),
    type: z.enum(names(storageTypes)).describe('Its form: qcow2 or raw in directories, lvm, rbd.'),
    cache_option: z.enum(names(cacheOptions)).describe("How the host's page cache is used."),
    read_iops: f.iops('Limit of reads.').nullable(),
    write_iops: f.iops('Limit of writes.').nullable(),
    read_bps: f.rate('Limit of reads.').nullable(),
    write_bps: f.rate('Limit of writes.').nullable(),
    discard: z.boolean().describe("Whether the guest's discards free space below."),
    customer: ref('customer').nullable().describe('Whose it is while no virtual machine has it; one that is freed stays with the customer.'),
    image: ref('image').nullable().describe('What it is first filled from.'),
  },
  optional: ['type', 'storage_pool'],
  immutable: ['type', 'image'],
  within: {
    ...through('hypervisor_id', hypervisor),
    customer: (a, ids) =>
      sql`(${sql.id(a)}.vm_id in (select w.id from vm w where w.customer_id = any(${idList(ids)})) or ${sql.id(a)}.vm_id is null and ${sql.id(a)}.customer_id = any(${idList(ids)}))`,
    project: (a, ids) => sql`${sql.id(a)}.vm_id in (select w.id from vm w where w.project_id = any(${idList(ids)}))`,
  },
  sole: ['name'],
  columns: ['name', 'vm', 'number', 'size', 'type', 'storage_pool', 'hypervisor'],
  affects: (ids) =>
    sql`select h.node_id from volume o left join vm v on v.id = o.vm_id join hypervisor h on h.id in (o.hypervisor_id, v.hypervisor_id) where o.id = any(${ids}::bigint[])`,
  observed: {
    kind: 'volume',
    name: (t) => sql`${sql.id(t)}.name`,
    nodes: (t) =>
      sql`select h.node_id from hypervisor h where h.id = coalesce(${sql.id(t)}.hypervisor_id, (select v.hypervisor_id from vm v where v.id = ${sql.id(t)}.vm_id))`,
  },
  constraints: {
    volume_fits_pool: {
      pointer: '/type',
      message:
        'does not fit the pool: lvm volumes lie in lvm pools, rbd in rbd, qcow2 and raw in dir and nfs; a hypervisor is named for local pools and only for those',
    },
    volume_with_vm: { pointer: '/hypervisor', message: 'lies on another host than its virtual machine' },
    volume_pool_attached: { pointer: '/storage_pool', message: 'is not attached to that hypervisor' },
    volume_number: { pointer: '/number', message: 'only a volume of a virtual machine has a number' },
    pool_attachment_space: { pointer: '/size', message: 'there is not that much space left in the pool on that host' },
    storage_pool_space: { pointer: '/size', message: 'there is not that much space left in the pool' },
  },
};
