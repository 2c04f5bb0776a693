import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base } from '../../db/base.ts';
import { f, type Resource } from '../../kernel/resource.ts';

const formats = ['qcow2', 'raw'] as const;

export const Image = defineEntity({
  name: 'image',
  tableName: 'image',
  properties: {
    ...base,
    name: p.text().unique(),
    url: p.text(),
    type: p.text().default('qcow2'),
    size: p.bigint('number').nullable(),
    checksum: p.text().nullable(),
  },
  checks: [
    { name: 'image_type', expression: `type in ('qcow2', 'raw')` },
    { name: 'image_size', expression: 'size > 0' },
    { name: 'image_checksum', expression: `checksum ~ '^sha256:[0-9a-f]{64}$'` },
  ],
});

export const image: Resource = {
  noun: 'image',
  plural: 'images',
  title: 'Image',
  summary: 'What a new volume is first filled from.',
  area: 'Storage',
  entity: Image,
  key: ['name'],
  fields: {
    name: f.name('The image, e.g. debian-13'),
    url: z
      .url({ protocol: /^(https?|file)$/, error: 'must be an http, https or file URL' })
      .max(1000)
      .describe('Where hosts fetch it.'),
    type: z.enum(formats).describe('Its form.'),
    size: f.bytes('The size of a disk made from it, at the least.').nullable(),
    checksum: z
      .string()
      .regex(/^sha256:[0-9a-f]{64}$/, 'must be sha256: and 64 hexadecimal digits')
      .nullable()
      .describe('sha256: and 64 hexadecimal digits of the file.'),
  },
  open: () => sql`true`,
  columns: ['name', 'type', 'size', 'url'],
  shared: true,
  affects: (ids) =>
    sql`select h.node_id from volume o left join vm v on v.id = o.vm_id join hypervisor h on h.id = coalesce(o.hypervisor_id, v.hypervisor_id) where o.image_id = any(${ids}::bigint[])`,
};
