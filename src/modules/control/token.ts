import { defineEntity, p } from '@mikro-orm/core';
import { z } from 'zod';
import { base, oneOf } from '../../db/base.ts';
import { f, ref, type Resource } from '../../kernel/resource.ts';
import { cidr } from '../../kernel/net.ts';
import { Person } from '../people/person.ts';
import { Node } from '../place/node.ts';

export const tokenKinds = ['admin', 'reader', 'node', 'server', 'program'] as const;

export const Token = defineEntity({
  name: 'token',
  tableName: 'token',
  properties: {
    ...base,
    name: p.text().unique(),
    kind: p.text(),
    node: () => p.manyToOne(Node).nullable().index().deleteRule('cascade'),
    /** SHA-256 of the token: it has 256 random bits, so that no slow hash is needed. */
    hash: p.blob().unique().hidden(),
    /** Who it acts for; it may no more than they may. */
    person: () => p.manyToOne(Person).nullable().index().deleteRule('cascade'),
    scopes: p.array().default([]),
    sources: p.array().columnType('cidr[]').default([]),
    expires_at: p.datetime(3).nullable(),
    last_used_at: p.datetime(3).nullable(),
    last_used_from: p.text().nullable(),
    /** The one before it was renewed, good until `old_until`. */
    old_hash: p.blob().nullable().unique().hidden(),
    old_until: p.datetime(3).nullable(),
  },
  checks: [
    { name: 'token_kind', expression: oneOf('kind', tokenKinds) },
    { name: 'token_node', expression: `(kind = 'node') = (node_id is not null)` },
    { name: 'token_hash', expression: 'length(hash) = 32' },
    { name: 'token_old_hash', expression: 'length(old_hash) = 32 and (old_hash is null) = (old_until is null)' },
  ],
});

export const token: Resource = {
  noun: 'token',
  plural: 'tokens',
  title: 'Token',
  summary: 'What a person or program shows to be let in. The token itself is shown once, when it is made.',
  area: 'Control',
  entity: Token,
  key: ['name'],
  fields: {
    name: f.name('What it is called'),
    kind: z
      .enum(tokenKinds)
      .describe(
        'admin may do all; reader may read all; node reads the documents of its node and reports for it; server, for a puppetserver or salt-master, does so for every node; program may do what bindings give it.',
      ),
    node: ref('node').nullable().describe('Of a node token: the node.'),
    person: ref('person').nullable().describe('Of a program token: the person whom it acts for; it may what they may, and ends when they are disabled.'),
    scopes: z
      .array(z.string().regex(/^(\*|[a-z][a-z_]*):(\*|[a-z]+)$/, 'must be <noun>:<verb>, e.g. vm:read'))
      .max(200)
      .describe('Only these permissions of all that it would have, e.g. vm:read, *:read; empty: all.'),
    sources: z.array(cidr('A range, e.g. 192.0.2.0/24.')).max(100).describe('Only from these addresses; empty: from everywhere.'),
    expires_at: z.iso.datetime({ offset: true }).nullable().describe('When it ends; null: never.'),
  },
  computed: {
    last_used_at: {
      schema: z.iso.datetime({ offset: true }).nullable().describe('When it was used last, to the minute; of node tokens their reports say more.'),
    },
    last_used_from: { schema: z.string().nullable().describe('From which address.') },
    old_until: { schema: z.iso.datetime({ offset: true }).nullable().describe('Until when the one before it was renewed is good, too.') },
  },
  immutable: ['kind', 'node', 'person'],
  optional: ['scopes', 'sources'],
  columns: ['name', 'kind', 'node', 'person', 'expires_at', 'last_used_at'],
  constraints: { token_node: { pointer: '/node', message: 'a node token names its node; other kinds name none' } },
};
