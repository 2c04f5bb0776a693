import { defineEntity, p } from '@mikro-orm/core';
import { z } from 'zod';
import { base } from '../../db/base.ts';
import { f, type Resource } from '../../kernel/resource.ts';

export const NodeGroup = defineEntity({
  name: 'node_group',
  tableName: 'node_group',
  properties: {
    ...base,
    name: p.text().unique(),
    selector: p.text(),
    description: p.text().nullable(),
    /** Whether what hosts report can change who is in it. */
    uses_facts: p.boolean().generated(`(selector ~ '(^|&)facts[.]') stored`),
  },
  checks: [{ name: 'node_group_selector', expression: 'length(selector) between 1 and 2000' }],
});

export const nodeGroup: Resource = {
  noun: 'node_group',
  plural: 'node_groups',
  title: 'Node group',
  summary: 'Nodes by what they are: by any of their fields, their roles, or the facts that they report. Layers can be attached to it.',
  area: 'Layers',
  entity: NodeGroup,
  key: ['name'],
  fields: {
    name: f.name('The group'),
    selector: z
      .string()
      .min(1)
      .max(2000)
      .describe(
        'Which nodes: the filters of GET /api/v1/nodes as its query string has them, all of which must hold, e.g. site=fra1&role=hypervisor&facts.os.family=Debian. GET /api/v1/nodes with it lists the members.',
      ),
    description: f.text('Anything worth knowing about it.').nullable(),
  },
  columns: ['name', 'selector', 'description'],
  shared: true,
};
