import { defineEntity, p } from '@mikro-orm/core';
import { z } from 'zod';
import { base } from '../../db/base.ts';
import { f, type Resource } from '../../kernel/resource.ts';

/** Written by SQL alone: see migrations/0011-audit.sql. */
export const AuditEntry = defineEntity({
  name: 'audit_entry',
  tableName: 'audit_entry',
  properties: {
    ...base,
    created_at: p.datetime(3).defaultRaw('now()').index(),
    number: p.bigint('number').unique(),
    kind: p.text().index(),
    actor: p.text().nullable().index(),
    subject: p.text().nullable(),
    address: p.text().nullable(),
    request_id: p.text().nullable(),
    detail: p.json<Record<string, unknown>>().default('{}'),
    hash: p.blob().hidden(),
  },
  checks: [{ name: 'audit_entry_hash', expression: 'length(hash) = 32' }],
});

const text = (description: string): z.ZodType => z.string().nullable().describe(description);

export const auditEntry: Resource = {
  noun: 'audit_entry',
  plural: 'audit_entries',
  title: 'Audit entry',
  summary:
    'What matters for who may come in: logins, refusals, tokens, roles and bindings. Nothing here is changed or deleted; corral audit verify checks the chain of hashes.',
  area: 'Control',
  entity: AuditEntry,
  key: ['number'],
  fields: {
    kind: z.string().describe('login, login_refused, logout, refused, rights and the like.'),
    actor: text('Whose name was given, or who did it.'),
    subject: text('What that is: person:<id> or token:<id>; null: nobody known.'),
    address: text('Where it came from.'),
    request_id: text('The X-Request-Id of its request.'),
    detail: f.json('More, by kind; never a secret.'),
  },
  computed: {
    number: { schema: z.int().describe('Counts entries from 1, without gaps.') },
  },
  readOnly: true,
  sort: '-id',
  columns: ['number', 'created_at', 'kind', 'actor', 'address', 'detail'],
};
