import { defineEntity, p } from '@mikro-orm/core';
import { z } from 'zod';
import { base, oneOf } from '../../db/base.ts';
import { f, ref, type Resource } from '../../kernel/resource.ts';
import { Node } from '../place/node.ts';

export const tokenKinds = ['admin', 'reader', 'node', 'server'] as const;

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
  },
  checks: [
    { name: 'token_kind', expression: oneOf('kind', tokenKinds) },
    { name: 'token_node', expression: `(kind = 'node') = (node_id is not null)` },
    { name: 'token_hash', expression: 'length(hash) = 32' },
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
        'admin may do all; reader may read all; node reads the documents of its node and reports for it; server, for a puppetserver or salt-master, does so for every node.',
      ),
    node: ref('node').nullable().describe('Of a node token: the node.'),
  },
  immutable: ['kind', 'node'],
  columns: ['name', 'kind', 'node', 'created_at'],
  constraints: { token_node: { pointer: '/node', message: 'a node token names its node; other kinds name none' } },
};
