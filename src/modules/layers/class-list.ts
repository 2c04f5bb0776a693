import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
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
  summary: 'The classes that a Puppet environment knows. Where there is one, a layer with another class is refused, and so is a node that would get one.',
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
  computed: {
    lacking: {
      schema: z
        .record(z.string(), z.array(z.string()))
        .describe('Classes that nodes of the environment are given though the list lacks them, each with the layers that have it. Their catalogs fail.'),
      type: 'json',
      sql: (t) => sql`(select coalesce(json_object_agg(k.name, (select coalesce(json_agg(l.name order by l.name), '[]'::json) from layer l
          where jsonb_exists(l.classes, k.name) and coalesce(l.environment, ${sql.id(t)}.environment) = ${sql.id(t)}.environment) order by k.name), '{}'::json)
        from (select distinct c.name from node n join document d on d.node_id = n.id, json_object_keys(coalesce(d.head -> 'classes', '{}'::json)) as c (name)
          where n.environment = ${sql.id(t)}.environment and n.manager = 'puppet' and n.state <> 'deactivated') k
        where k.name <> all(${sql.id(t)}.classes))`,
    },
  },
  columns: ['environment', 'lacking', 'updated_at'],
  shared: true,
};
