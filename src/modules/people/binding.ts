import { defineEntity, p } from '@mikro-orm/core';
import { z } from 'zod';
import { base } from '../../db/base.ts';
import { at, f, ref, type Resource } from '../../kernel/resource.ts';
import { Token } from '../control/token.ts';
import { Site } from '../place/site.ts';
import { Customer } from './customer.ts';
import { Person } from './person.ts';
import { Project } from './project.ts';

export const Binding = defineEntity({
  name: 'binding',
  tableName: 'binding',
  properties: {
    ...base,
    name: p.text().unique(),
    /** A built-in role, or a row of `role`. */
    role: p.text(),
    person: () => p.manyToOne(Person).nullable().index().deleteRule('cascade'),
    token: () => p.manyToOne(Token).nullable().index().deleteRule('cascade'),
    directory_group: p.text().nullable().index(),
    site: () => p.manyToOne(Site).nullable().index().deleteRule('cascade'),
    customer: () => p.manyToOne(Customer).nullable().index().deleteRule('cascade'),
    project: () => p.manyToOne(Project).nullable().index().deleteRule('cascade'),
  },
  checks: [
    { name: 'binding_subject', expression: 'num_nonnulls(person_id, token_id, directory_group) = 1' },
    { name: 'binding_place', expression: 'num_nonnulls(site_id, customer_id, project_id) <= 1' },
  ],
});

export const binding: Resource = {
  noun: 'binding',
  plural: 'bindings',
  title: 'Binding',
  summary: 'Gives a role to a person, a token or a directory group: for everything, or for one site, customer or project.',
  area: 'People',
  entity: Binding,
  key: ['name'],
  fields: {
    name: f.name('The binding, e.g. acme-admins'),
    role: z.string().min(1).max(63).describe('viewer, operator, admin, customer-admin, customer-user, or a role of your own.'),
    person: ref('person').nullable().describe('Who gets it.'),
    token: ref('token').nullable().describe('Or the token that gets it.'),
    directory_group: z
      .string()
      .min(1)
      .max(500)
      .nullable()
      .describe('Or the group of the LDAP directory or OpenID Connect provider whose people get it: its name or its whole DN.'),
    site: ref('site').nullable().describe('It holds for what is at this site only.'),
    customer: ref('customer').nullable().describe('It holds for what this customer has only.'),
    project: ref('project').nullable().describe('It holds for what this project has only.'),
  },
  within: { site: at('site_id'), customer: at('customer_id'), project: at('project_id') },
  columns: ['name', 'role', 'person', 'token', 'directory_group', 'site', 'customer', 'project'],
  constraints: {
    binding_subject: { pointer: '/person', message: 'a binding names one of person, token and directory_group' },
    binding_place: { pointer: '/customer', message: 'a binding holds for one of site, customer and project, or for everything when it names none' },
  },
};
