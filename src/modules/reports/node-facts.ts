import { defineEntity, p } from '@mikro-orm/core';
import { z } from 'zod';
import { base } from '../../db/base.ts';
import { ref, through, type Resource } from '../../kernel/resource.ts';
import { Node, node } from '../place/node.ts';

/** What a host says it is made of; written when it changes. */
export const NodeFacts = defineEntity({
  name: 'node_facts',
  tableName: 'node_facts',
  properties: {
    ...base,
    node: () => p.oneToOne(Node).owner().deleteRule('cascade').unique(),
    facts: p.json<Record<string, unknown>>().default('{}'),
    observed_at: p.datetime(3).nullable(),
    tool_facts: p.json<Record<string, unknown>>().default('{}'),
    tool_at: p.datetime(3).nullable(),
  },
});

export const nodeFacts: Resource = {
  noun: 'node_facts',
  plural: 'node_facts',
  title: 'Facts of node',
  summary: 'What a host is made of, as the host itself says: cores, memory, CPU model, disks, and the versions of what runs on it.',
  area: 'Control',
  entity: NodeFacts,
  key: ['node'],
  fields: {
    node: ref('node').describe('Whose they are.'),
    facts: z
      .record(z.string(), z.json())
      .describe('cores, memory (bytes), cpu_model, os, kernel, disks, and versions: libvirt, qemu, ceph, puppet, salt, corral_host. null: not there.'),
    observed_at: z.string().nullable().describe('Since when they are so.'),
    tool_facts: z.record(z.string(), z.json()).describe("Facter's facts, where Puppet sends them through the PuppetDB wire."),
    tool_at: z.string().nullable().describe('When those came.'),
  },
  within: through('node_id', node),
  columns: ['node', 'observed_at', 'tool_at'],
  readOnly: true,
};
