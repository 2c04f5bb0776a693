import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { base } from '../../db/base.ts';
import { at, f, ref, type Resource } from '../../kernel/resource.ts';
import { Customer } from './customer.ts';
import { quotaCheck, quotaColumns, quotaFields } from './quota.ts';

export const Project = defineEntity({
  name: 'project',
  tableName: 'project',
  properties: {
    ...base,
    customer: () => p.manyToOne(Customer),
    name: p.text(),
    description: p.text().nullable(),
    ...quotaColumns,
  },
  uniques: [{ properties: ['customer', 'name'] }],
  checks: [{ name: 'project_quota', expression: quotaCheck }],
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
    ...quotaFields,
  },
  immutable: ['customer'],
  within: { customer: at('customer_id'), project: at('id') },
  columns: ['customer', 'name', 'description'],
  shared: true,
  affects: (ids) => sql`select h.node_id from vm v join hypervisor h on h.id = v.hypervisor_id where v.project_id = any(${ids}::bigint[])`,
};
