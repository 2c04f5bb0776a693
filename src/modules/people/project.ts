import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { base } from '../../db/base.ts';
import { f, ref, type Resource } from '../../kernel/resource.ts';
import { Customer } from './customer.ts';

export const Project = defineEntity({
  name: 'project',
  tableName: 'project',
  properties: {
    ...base,
    customer: () => p.manyToOne(Customer),
    name: p.text(),
    description: p.text().nullable(),
  },
  uniques: [{ properties: ['customer', 'name'] }],
});

export const project: Resource = {
  noun: 'project',
  plural: 'projects',
  title: 'Project',
  summary: "A group of a customer's virtual machines; sticky placement keeps them together.",
  area: 'People',
  entity: Project,
  key: ['customer', 'name'],
  fields: {
    customer: ref('customer').describe('Whose project it is.'),
    name: f.name('The project'),
    description: f.text('What it is for.').nullable(),
  },
  immutable: ['customer'],
  columns: ['customer', 'name', 'description'],
  shared: true,
  affects: (ids) => sql`select h.node_id from vm v join hypervisor h on h.id = v.hypervisor_id where v.project_id = any(${ids}::bigint[])`,
};
