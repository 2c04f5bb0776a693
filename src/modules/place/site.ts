import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { base } from '../../db/base.ts';
import { at, f, type Resource } from '../../kernel/resource.ts';

export const Site = defineEntity({
  name: 'site',
  tableName: 'site',
  properties: { ...base, name: p.text().unique(), description: p.text().nullable() },
});

export const site: Resource = {
  noun: 'site',
  plural: 'sites',
  title: 'Site',
  summary: 'A place where nodes stand: a data centre, a room, a region.',
  area: 'Place',
  entity: Site,
  key: ['name'],
  fields: { name: f.name('The site, e.g. fra1'), description: f.text('Anything worth knowing about it.').nullable() },
  within: { site: at('id') },
  columns: ['name', 'description'],
  shared: true,
  affects: (ids) => sql`select n.id from node n where n.site_id = any(${ids}::bigint[])`,
};
