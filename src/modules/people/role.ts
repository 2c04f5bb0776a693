import { defineEntity, p } from '@mikro-orm/core';
import { z } from 'zod';
import { base } from '../../db/base.ts';
import { f, type Resource } from '../../kernel/resource.ts';

export const Role = defineEntity({
  name: 'role',
  tableName: 'role',
  properties: { ...base, name: p.text().unique(), summary: p.text().nullable(), permissions: p.array() },
});

/** `vm:read`, `vm:*`, `*:read`; `!` before it takes it out again. */
const PERMISSION = /^!?(\*|[a-z][a-z_]*):(\*|[a-z]+)$/;

export const role: Resource = {
  noun: 'role',
  plural: 'roles',
  title: 'Role',
  summary: 'A named set of permissions of your own, beside viewer, operator, admin, customer-admin and customer-user; a binding gives it to somebody.',
  area: 'People',
  entity: Role,
  key: ['name'],
  fields: {
    name: f.name('The role'),
    summary: f.title('What it is for.').nullable(),
    permissions: z
      .array(z.string().regex(PERMISSION, 'must be <noun>:<verb>, e.g. vm:read; * stands for all, ! before it takes it out again'))
      .min(1)
      .max(500)
      .describe('Permissions <noun>:<verb>: verbs are read, create, update and delete; * stands for all nouns or verbs, ! before one takes it out again.'),
  },
  columns: ['name', 'summary', 'permissions'],
};
