import { defineEntity, p } from '@mikro-orm/core';
import { base, oneOf } from '../../db/base.ts';
import { Node } from '../place/node.ts';
import { Change } from './change.ts';

/** The newest document of each node; its row is also the lock under which it is rebuilt. */
export const Document = defineEntity({
  name: 'document',
  tableName: 'document',
  properties: {
    node: () => p.oneToOne(Node).owner().primary().deleteRule('cascade'),
    /** Counts the node's documents from 1. */
    number: p.integer().default(0),
    /** First 16 hexadecimal digits of the SHA-256 of the body. */
    hash: p.text().default(''),
    built_at: base.created_at,
    /** How many documents the same change altered: their hosts do not all start at once. */
    wave: p.integer().default(1),
    /** The body with its sections emptied: what ENC and tops are made from. */
    head: p.text().columnType('json').defaultRaw(`'{}'`),
  },
});

/** Every document that a node was given, the newest among them. Without a foreign key to the node: history outlives it. */
export const DocumentVersion = defineEntity({
  name: 'document_version',
  tableName: 'document_version',
  properties: {
    node_id: p.bigint('number').primary(),
    number: p.integer().primary(),
    hash: p.text(),
    /** What gave it; null for those that are older than changes are kept. */
    change: () => p.manyToOne(Change).nullable().index().deleteRule('set null'),
    built_at: base.created_at,
    /** The canonical document without its version (see src/documents/document.ts); `{"sealed": ...}` where it holds secrets. */
    body: p.text().columnType('json'),
  },
});

export const tombstoneKinds = ['domain', 'volume', 'bridge', 'pool', 'secret', 'osd', 'mon', 'key'] as const;

/** What a host is told to remove, and why it may: the thing was deleted here. */
export const Tombstone = defineEntity({
  name: 'tombstone',
  tableName: 'tombstone',
  properties: {
    ...base,
    node: () => p.manyToOne(Node).deleteRule('cascade'),
    kind: p.text(),
    name: p.text(),
    detail: p.json<Record<string, unknown>>().default('{}'),
  },
  uniques: [{ properties: ['node', 'kind', 'name'] }],
  indexes: [{ name: 'tombstone_thing', properties: ['kind', 'name'] }],
  checks: [{ name: 'tombstone_kind', expression: oneOf('kind', tombstoneKinds) }],
});
