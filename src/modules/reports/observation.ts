import { defineEntity, p } from '@mikro-orm/core';
import { z } from 'zod';
import { base, oneOf } from '../../db/base.ts';
import { ref, through, type Resource } from '../../kernel/resource.ts';
import { Node, node } from '../place/node.ts';

/** Kinds of things on hosts, as the host package names them. */
export const kinds = [
  'bridge',
  'ceph_config',
  'ceph_key',
  'ceph_keyring',
  'ceph_mon',
  'ceph_osd',
  'ceph_pool',
  'document',
  'domain',
  'pool',
  'secret',
  'volume',
] as const;

export const results = ['ok', 'failed', 'skipped', 'noop'] as const;

/** What is known of one thing on one host: seen there, or named in its last report. Written when it changes. */
export const Observation = defineEntity({
  name: 'observation',
  tableName: 'observation',
  properties: {
    ...base,
    node: () => p.manyToOne(Node).deleteRule('cascade'),
    kind: p.text(),
    name: p.text(),
    state: p.text().nullable(),
    managed: p.boolean().nullable(),
    pending: p.json<readonly unknown[]>().default('[]'),
    detail: p.json<Record<string, unknown>>().default('{}'),
    observed_at: p.datetime(3).nullable(),
    result: p.text().nullable(),
    error: p.text().nullable(),
    result_at: p.datetime(3).nullable(),
    /** Digest of the document's entry that was applied, so that a change elsewhere in the document does not count. */
    entry: p.text().nullable(),
  },
  uniques: [{ properties: ['node', 'kind', 'name'] }],
  indexes: [{ name: 'observation_unmanaged', expression: 'create index observation_unmanaged on observation (node_id, kind) where managed = false' }],
  checks: [
    { name: 'observation_kind', expression: oneOf('kind', kinds) },
    { name: 'observation_result', expression: oneOf('result', results) },
  ],
});

export const observation: Resource = {
  noun: 'observation',
  plural: 'observations',
  title: 'Observation',
  summary: 'A thing on a host: what the host sees of it, and what its last report said. Things that Corral did not make are not managed, and left alone.',
  area: 'Control',
  entity: Observation,
  key: ['node', 'kind', 'name'],
  label: 'name',
  fields: {
    node: ref('node').describe('Where it is.'),
    kind: z.enum(kinds).describe('What it is, as the host package names it: domain is a virtual machine.'),
    name: z.string().describe('What it is called there, e.g. vm-7.'),
    state: z.string().nullable().describe('Running, paused, stopped or crashed of a domain; absent when it is gone; null when nobody looked.'),
    managed: z.boolean().nullable().describe('Whether Corral made it; null when nobody looked.'),
    pending: z.array(z.json()).describe('Differences that wait for its next start: property, current, wanted, reason.'),
    detail: z.record(z.string(), z.json()).describe('What else the host says of it.'),
    observed_at: z.string().nullable().describe('Since when its host sees it so.'),
    result: z.enum(results).nullable().describe('What came of it in the last report that named it.'),
    error: z.string().nullable().describe('Why it failed or was skipped.'),
    result_at: z.string().nullable().describe('When the run began that first said so.'),
  },
  within: through('node_id', node),
  columns: ['node', 'kind', 'name', 'state', 'managed', 'result', 'error'],
  /* What Corral did not make comes first. */
  sort: 'managed,kind,name',
  readOnly: true,
};
