import { defineEntity, p } from '@mikro-orm/core';
import { z } from 'zod';
import { base } from '../../db/base.ts';
import { ref, type Resource } from '../../kernel/resource.ts';
import { Person } from './person.ts';

export const Session = defineEntity({
  name: 'session',
  tableName: 'session',
  properties: {
    ...base,
    uuid: p.uuid().defaultRaw('gen_random_uuid()').unique(),
    /** SHA-256 of the cookie, name and value. */
    hash: p.blob().unique().hidden(),
    person: () => p.manyToOne(Person).index().deleteRule('cascade'),
    seen_at: p.datetime(3).defaultRaw('now()'),
    /** Seconds without a request after which it ends. */
    idle: p.integer(),
    ends_at: p.datetime(3),
    address: p.text().nullable(),
    agent: p.text().nullable(),
    factors: p.array().default([]),
    /** The second factor is missing: good for nothing but giving it. */
    pending: p.boolean().default(false),
  },
  indexes: [{ properties: ['ends_at'] }],
  checks: [{ name: 'session_hash', expression: 'length(hash) = 32' }],
});

export const session: Resource = {
  noun: 'session',
  plural: 'sessions',
  title: 'Session',
  summary: 'A browser in which a person is logged in. DELETE ends it at once.',
  area: 'People',
  entity: Session,
  key: ['uuid'],
  fields: {
    uuid: z.uuid().describe('What it is called.'),
    person: ref('person').describe('Who is logged in.'),
    seen_at: z.iso.datetime({ offset: true }).describe('When it was used last, to the minute.'),
    ends_at: z.iso.datetime({ offset: true }).describe('When it ends, however much it is used.'),
    idle: z.int().describe('Seconds without a request after which it ends.'),
    address: z.string().nullable().describe('Where the person logged in from.'),
    agent: z.string().nullable().describe('What the browser called itself.'),
    factors: z.array(z.string()).describe('What the person proved: password, ldap or oidc; totp or recovery.'),
    pending: z.boolean().describe('It waits for the second factor, and is good for nothing else.'),
  },
  readOnly: true,
  sort: '-id',
  columns: ['person', 'address', 'agent', 'factors', 'created_at', 'seen_at', 'ends_at'],
};
