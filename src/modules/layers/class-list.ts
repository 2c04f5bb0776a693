import { defineEntity, p } from '@mikro-orm/core';
import { z } from 'zod';
import { base } from '../../db/base.ts';
import type { Resource } from '../../kernel/resource.ts';

export const ClassList = defineEntity({
  name: 'class_list',
  tableName: 'class_list',
  properties: { ...base, environment: p.text().unique(), classes: p.array() },
  checks: [{ name: 'class_list_environment', expression: `environment ~ '^[a-z0-9_]+$'` }],
});

export const classList: Resource = {
  noun: 'class_list',
  plural: 'class_lists',
  title: 'Class list',
  summary: 'The classes that a Puppet environment knows. Where there is one, a layer with another class is refused.',
  area: 'Layers',
  entity: ClassList,
  key: ['environment'],
  fields: {
    environment: z
      .string()
      .regex(/^[a-z0-9_]{1,63}$/, 'must be 1 to 63 of a-z, 0-9, underscore')
      .describe('The Puppet environment.'),
    classes: z
      .array(
        z
          .string()
          .regex(/^[a-z][a-z0-9_]*(::[a-z][a-z0-9_]*)*$/, 'must be the name of a class, e.g. profile::ntp')
          .max(200),
      )
      .max(50_000)
      .describe('Every class that it knows; corral classes import reads them from a listing.'),
  },
  columns: ['environment', 'updated_at'],
  shared: true,
};
