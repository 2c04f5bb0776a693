import { defineEntity, p } from '@mikro-orm/core';
import { z } from 'zod';
import { base, oneOf } from '../../db/base.ts';
import { ref, through, type Resource } from '../../kernel/resource.ts';
import { Node, node } from '../place/node.ts';
import { outcomes } from './status.ts';

export const tools = ['puppet', 'salt'] as const;

/** One run of Puppet or Salt on a node, as it was reported. */
export const Report = defineEntity({
  name: 'report',
  tableName: 'report',
  properties: {
    ...base,
    node: () => p.manyToOne(Node).deleteRule('cascade'),
    run: p.text(),
    tool: p.text(),
    tool_version: p.text().nullable(),
    outcome: p.text(),
    noop: p.boolean().default(false),
    environment: p.text().nullable(),
    served: p.text().nullable(),
    applied: p.text().nullable(),
    began_at: p.datetime(3),
    ended_at: p.datetime(3).nullable(),
    counts: p.json<Record<string, number>>().default('{}'),
    message: p.text().nullable(),
    resources: p.json<readonly unknown[]>().default('[]'),
    logs: p.json<readonly unknown[]>().default('[]'),
  },
  uniques: [{ properties: ['node', 'run'] }],
  indexes: [{ name: 'report_newest', expression: 'create index report_newest on report (node_id, began_at, id)' }],
  checks: [
    { name: 'report_tool', expression: oneOf('tool', tools) },
    { name: 'report_outcome', expression: oneOf('outcome', Object.keys(outcomes)) },
  ],
});

const text = (description: string) => z.string().describe(description);

export const report: Resource = {
  noun: 'report',
  plural: 'reports',
  title: 'Report',
  summary: 'A run of Puppet or Salt on a node: what it was given, what it changed and what failed. The newest of each node are kept.',
  area: 'Control',
  entity: Report,
  key: ['node', 'run'],
  fields: {
    node: ref('node').describe('Where it ran.'),
    run: text("The run's own id: Puppet's transaction_uuid, Salt's jid."),
    tool: z.enum(tools).describe('What ran.'),
    tool_version: text('Its version.').nullable(),
    outcome: z.enum(Object.keys(outcomes) as [string, ...string[]]).describe('What it came to; see /docs#node-states.'),
    noop: z.boolean().describe('Whether it was told to change nothing.'),
    environment: text("Puppet's or Salt's environment.").nullable(),
    served: text('The document version that it was given; null when it got none.').nullable(),
    applied: text('The document version that it applied in full; null when it did not.').nullable(),
    began_at: text("When it began, by the host's clock, never later than it came."),
    ended_at: text('When it ended.').nullable(),
    counts: z.record(z.string(), z.int()).describe('Resources: total, changed, failed, skipped, noop.'),
    message: text('The first error.').nullable(),
    resources: z.array(z.json()).describe('Those that changed, failed, were skipped, would have changed or wait for a restart, with changes and errors.'),
    logs: z.array(z.json()).describe('What it logged from notice up: level, message, source, at.'),
  },
  within: through('node_id', node),
  columns: ['began_at', 'node', 'outcome', 'tool', 'applied', 'message'],
  sort: '-began_at',
  readOnly: true,
};
