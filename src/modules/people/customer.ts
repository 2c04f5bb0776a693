import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base } from '../../db/base.ts';
import { at, f, idList, type Resource } from '../../kernel/resource.ts';
import { quotaCheck, quotaColumns, quotaFields } from './quota.ts';

export const Customer = defineEntity({
  name: 'customer',
  tableName: 'customer',
  properties: { ...base, name: p.text().unique(), title: p.text().nullable(), email: p.text().nullable(), ...quotaColumns },
  checks: [{ name: 'customer_quota', expression: quotaCheck }],
});

export const customer: Resource = {
  noun: 'customer',
  plural: 'customers',
  title: 'Customer',
  summary: 'Whom virtual machines belong to.',
  area: 'People',
  entity: Customer,
  key: ['name'],
  fields: {
    name: f.name('The customer'),
    title: f.title('The name as the customer writes it.').nullable(),
    email: z.email('must be an e-mail address').max(254).nullable().describe('Where to reach them.'),
    ...quotaFields,
  },
  within: { customer: at('id') },
  seen: {
    project: (a, ids) => sql`${sql.id(a)}.id in (select p.customer_id from project p where p.id = any(${idList(ids)}))`,
  },
  columns: ['name', 'title', 'email'],
  shared: true,
  affects: (ids) => sql`select h.node_id from vm v join hypervisor h on h.id = v.hypervisor_id where v.customer_id = any(${ids}::bigint[])`,
};
