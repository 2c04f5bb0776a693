import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base, oneOf } from '../../db/base.ts';
import { f, type Resource } from '../../kernel/resource.ts';

export const personStates = ['active', 'disabled'] as const;
export const personSources = ['local', 'ldap', 'oidc'] as const;
export type PersonSource = (typeof personSources)[number];

export const Person = defineEntity({
  name: 'person',
  tableName: 'person',
  properties: {
    ...base,
    name: p.text().unique(),
    full_name: p.text().nullable(),
    email: p.text().nullable(),
    state: p.text().default('active'),
    source: p.text().default('local'),
    /** Who it is in its directory, whatever the name becomes there. */
    external: p.text().nullable(),
    admin: p.boolean().default(false),
    last_login: p.datetime(3).nullable(),
  },
  uniques: [{ properties: ['source', 'external'] }],
  checks: [
    { name: 'person_state', expression: oneOf('state', personStates) },
    { name: 'person_source', expression: oneOf('source', personSources) },
    { name: 'person_external', expression: `(source = 'local') = (external is null)` },
  ],
});

/** A name of a person: what f.name takes, and `@` and `+`, which names from directories have. */
export const PERSON_NAME = /^(?!\d+$)(?!.*\.(?:json|msgpack|html|yaml)$)[a-z0-9](?:[a-z0-9._@+-]{0,98}[a-z0-9])?$/;

const ofSecret = (t: string, condition: string) => sql`exists (select from person_secret s where s.person_id = ${sql.id(t)}.id and ${sql.raw(condition)})`;

export const person: Resource = {
  noun: 'person',
  plural: 'people',
  title: 'Person',
  summary: 'Somebody who logs in to the pages: with a password kept here, or through a directory.',
  area: 'People',
  entity: Person,
  key: ['name'],
  fields: {
    name: z
      .string()
      .regex(
        PERSON_NAME,
        'must be 1 to 100 of a-z, 0-9, dot, dash, underscore, @ and +, start and end with a letter or digit, not be a number, and not end like a file (.json, .html)',
      )
      .describe('The name to log in with: 1 to 100 of a-z, 0-9, dot, dash, underscore, @ and +.'),
    full_name: f.title('The name as the person writes it.').nullable(),
    email: z.email('must be an e-mail address').max(254).nullable().describe('Where to reach them.'),
    state: z.enum(personStates).describe('disabled: refused at login, and every session ends at once.'),
    admin: z.boolean().describe('May do everything, everywhere.'),
  },
  computed: {
    source: {
      schema: z.enum(personSources).describe('Where the password is checked: here (local), by the LDAP directory, or by the OpenID Connect provider.'),
    },
    has_password: {
      schema: z.boolean().describe('Whether a password is kept here.'),
      sql: (t) => ofSecret(t, 's.password is not null'),
      type: 'boolean',
    },
    second_factor: {
      schema: z.boolean().describe('Whether a code of an authenticator app is asked for at login.'),
      sql: (t) => ofSecret(t, 's.totp is not null'),
      type: 'boolean',
    },
    last_login: { schema: z.iso.datetime({ offset: true }).nullable().describe('When they logged in last.') },
  },
  columns: ['name', 'full_name', 'email', 'state', 'source', 'admin', 'second_factor', 'last_login'],
};
