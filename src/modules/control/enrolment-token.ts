import { defineEntity, p } from '@mikro-orm/core';
import { z } from 'zod';
import { base } from '../../db/base.ts';
import { f, ref, type Resource } from '../../kernel/resource.ts';
import { Site } from '../place/site.ts';

export const EnrolmentToken = defineEntity({
  name: 'enrolment_token',
  tableName: 'enrolment_token',
  properties: {
    ...base,
    name: p.text().unique(),
    /** SHA-256, as that of tokens. */
    hash: p.blob().unique().hidden(),
    site: () => p.manyToOne(Site).nullable().index().deleteRule('cascade'),
    pattern: p.text().default('*'),
    uses: p.integer().default(1),
    used: p.integer().default(0),
    expires_at: p.datetime(3).defaultRaw(`now() + interval '1 day'`),
    auto_approve: p.boolean().default(false),
    node: p.json<Record<string, unknown>>().nullable(),
  },
  checks: [
    { name: 'enrolment_token_hash', expression: 'length(hash) = 32' },
    { name: 'enrolment_token_uses', expression: 'uses between 1 and 10000 and used between 0 and uses' },
  ],
});

export const enrolmentToken: Resource = {
  noun: 'enrolment_token',
  plural: 'enrolment_tokens',
  title: 'Enrolment token',
  summary: 'What a new host shows once to enrol: see docs/identities.md. The token itself is shown once, when it is made.',
  area: 'Control',
  entity: EnrolmentToken,
  key: ['name'],
  fields: {
    name: f.name('What it is called'),
    site: ref('site').nullable().describe('Only for nodes of this site.'),
    pattern: z
      .string()
      .max(253)
      .regex(/^[a-z0-9.*-]+$/, 'must be a host name in lower case, with * for any part')
      .describe('Only for hosts of this name; * stands for any part of it, e.g. hv*.fra1.example.com.'),
    uses: z.int().min(1).max(10_000).describe('How many hosts may enrol with it.'),
    expires_at: z.iso.datetime({ offset: true }).describe('When it ends; a day from now when left out.'),
    auto_approve: z.boolean().describe('Hosts are let in without an operator, but for those whose node was let in before or has a token.'),
    node: f.json('What a node that is missing is made with, as POST /api/v1/nodes takes it, without fqdn and site; null: none is made.').nullable(),
  },
  computed: { used: { schema: z.int().describe('How many hosts did.') } },
  immutable: ['site', 'pattern', 'auto_approve', 'node'],
  columns: ['name', 'site', 'pattern', 'used', 'uses', 'expires_at', 'auto_approve'],
  constraints: { enrolment_token_uses: { pointer: '/uses', message: 'must not be less than hosts have enrolled with it' } },
};
