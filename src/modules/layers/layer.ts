import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base, oneOf } from '../../db/base.ts';
import { f, ref, type Resource } from '../../kernel/resource.ts';
import { Customer } from '../people/customer.ts';
import { Node } from '../place/node.ts';
import { Site } from '../place/site.ts';
import { classFault, classParameterFault, keyFault, parameterFault } from './names.ts';
import { NodeGroup } from './node-group.ts';
import { targetSql } from './stored.ts';
import { roles, scopes, strategies, type Strategy, type Values } from './types.ts';

export const LayerEntity = defineEntity({
  name: 'layer',
  tableName: 'layer',
  properties: {
    ...base,
    name: p.text().unique(),
    scope: p.text(),
    site: () => p.manyToOne(Site).nullable().deleteRule('no action').index(),
    environment: p.text().nullable(),
    role: p.text().nullable(),
    customer: () => p.manyToOne(Customer).nullable().deleteRule('no action').index(),
    node_group: () => p.manyToOne(NodeGroup).nullable().deleteRule('no action').index(),
    node: () => p.manyToOne(Node).nullable().deleteRule('cascade').index(),
    weight: p.integer().default(0),
    classes: p.json<Record<string, Values>>().defaultRaw(`'{}'`),
    parameters: p.json<Values>().defaultRaw(`'{}'`),
    data: p.json<Values>().defaultRaw(`'{}'`),
    merge: p.json<Record<string, Strategy>>().defaultRaw(`'{}'`),
    schema: p.json<Values>().nullable(),
    /** By key, each sealed by itself; see src/kernel/secret.ts for the form. */
    secrets: p.json<Record<string, string>>().defaultRaw(`'{}'`).hidden(),
    description: p.text().nullable(),
  },
  checks: [
    { name: 'layer_scope', expression: oneOf('scope', scopes) },
    { name: 'layer_role', expression: oneOf('role', roles) },
    { name: 'layer_environment', expression: `environment ~ '^[a-z0-9_]+$'` },
    {
      name: 'layer_maps',
      expression: `jsonb_typeof(classes) = 'object' and jsonb_typeof(parameters) = 'object' and jsonb_typeof(data) = 'object' and jsonb_typeof(merge) = 'object' and jsonb_typeof(secrets) = 'object'`,
    },
    {
      name: 'layer_target',
      expression: `num_nonnulls(site_id, environment, role, customer_id, node_group_id, node_id) = case scope when 'everything' then 0 else 1 end and case scope when 'site' then site_id is not null when 'environment' then environment is not null when 'role' then role is not null when 'customer' then customer_id is not null when 'group' then node_group_id is not null when 'node' then node_id is not null else true end`,
    },
  ],
});

type Check = (name: string) => string | undefined;

/** Refuses names, each at its place. */
const named = (check: Check) => (value: Readonly<Record<string, unknown>>, context: z.RefinementCtx) => {
  for (const name of Object.keys(value)) {
    const message = check(name);
    if (message !== undefined) context.addIssue({ code: 'custom', path: [name], message });
  }
};

const mapping = (check: Check, description: string) => z.record(z.string(), z.json()).superRefine(named(check)).describe(description);

const classes = z
  .record(z.string(), z.record(z.string(), z.json()))
  .superRefine((value, context) => {
    named(classFault)(value, context);
    for (const [name, parameters] of Object.entries(value)) {
      for (const parameter of Object.keys(parameters)) {
        const message = classParameterFault(parameter);
        if (message !== undefined) context.addIssue({ code: 'custom', path: [name, parameter], message });
      }
    }
  })
  .describe(
    'Classes by name, each with the parameters that it is declared with, e.g. {"ntp": {"servers": ["192.0.2.1"]}}; for Salt the state a.b of a class a::b.',
  );

export const layer: Resource = {
  noun: 'layer',
  plural: 'layers',
  title: 'Layer',
  summary: 'Classes, parameters and data of your own for everything, a site, an environment, a role, a customer, a group of nodes, or one node.',
  area: 'Layers',
  entity: LayerEntity,
  key: ['name'],
  fields: {
    name: f.name('The layer'),
    scope: z
      .enum(scopes)
      .describe('What it is attached to, from least to most specific: everything, site, environment, role, customer, group, node. The more specific wins.'),
    site: ref('site').nullable().describe('Of scope site: the nodes there.'),
    environment: z
      .string()
      .regex(/^[a-z0-9_]{1,63}$/, 'must be 1 to 63 of a-z, 0-9, underscore')
      .nullable()
      .describe('Of scope environment: the nodes in it.'),
    role: z.enum(roles).nullable().describe('Of scope role: the nodes that have it.'),
    customer: ref('customer').nullable().describe('Of scope customer: the nodes that run a virtual machine of theirs.'),
    node_group: ref('node_group').nullable().describe('Of scope group: the nodes in it.'),
    node: ref('node').nullable().describe('Of scope node: that one.'),
    weight: z.int().min(-1_000_000).max(1_000_000).describe('Inside a scope the higher one wins.'),
    classes,
    parameters: mapping(parameterFault, "Top-scope variables of Puppet, as an ENC gives them; in Salt's pillar below corral:parameters."),
    data: mapping(keyFault, "Keys of Hiera, and of Salt's pillar. Text may hold Hiera's interpolation, but for scope customer."),
    merge: z
      .record(z.string(), z.enum(strategies))
      .superRefine(named(keyFault))
      .describe('How a key that several layers set becomes one value, as Hiera has it: first (the default), unique, hash or deep.'),
    schema: z.record(z.string(), z.json()).nullable().describe('A JSON Schema (2020-12) that the data and secrets of this layer must satisfy.'),
    secrets: mapping(
      keyFault,
      'Keys like those of data whose values are kept encrypted, are taken literally, and reach Puppet as Sensitive. They can be written and are never shown; those that are not given stay, and null removes one.',
    ).meta({
      writeOnly: true,
      secret: true,
    }),
    description: f.text('Anything worth knowing about it.').nullable(),
  },
  computed: {
    target: {
      schema: z.string().nullable().describe('The name of what it is attached to; null for everything.'),
      type: 'text',
      sql: (t) => targetSql(t),
    },
    secret_keys: {
      schema: z.array(z.string()).describe('The keys of its secrets.'),
      type: 'json',
      sql: (t) => sql`(select coalesce(json_agg(k order by k), '[]'::json) from jsonb_object_keys(${sql.id(t)}.secrets) as k)`,
    },
  },
  columns: ['name', 'scope', 'target', 'weight', 'description'],
  shared: true,
  constraints: {
    layer_target: {
      pointer: '/scope',
      message: 'needs exactly the field that it is about: site, environment, role, customer, node_group or node; everything needs none',
    },
  },
};
