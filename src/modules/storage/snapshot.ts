import { defineEntity, p } from '@mikro-orm/core';
import { base } from '../../db/base.ts';
import { f, ref, through, type Resource } from '../../kernel/resource.ts';
import { Volume, volume } from './volume.ts';

export const Snapshot = defineEntity({
  name: 'snapshot',
  tableName: 'snapshot',
  properties: {
    ...base,
    volume: () => p.manyToOne(Volume),
    name: p.text(),
    description: p.text().nullable(),
  },
  uniques: [{ properties: ['volume', 'name'] }],
});

export const snapshot: Resource = {
  noun: 'snapshot',
  plural: 'snapshots',
  title: 'Snapshot',
  summary: 'A snapshot of a volume, by name. The model keeps it; hosts do not act on it yet.',
  area: 'Storage',
  entity: Snapshot,
  key: ['volume', 'name'],
  fields: {
    volume: ref('volume').describe('The volume.'),
    name: f.name('The snapshot'),
    description: f.text('Why it was taken.').nullable(),
  },
  immutable: ['volume', 'name'],
  within: through('volume_id', volume),
  columns: ['volume', 'name', 'description', 'created_at'],
};
