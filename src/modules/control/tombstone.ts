import { z } from 'zod';
import { f, ref, through, type Resource } from '../../kernel/resource.ts';
import { node } from '../place/node.ts';
import { Tombstone, tombstoneKinds } from './document.ts';

export const tombstone: Resource = {
  noun: 'tombstone',
  plural: 'tombstones',
  title: 'Tombstone',
  summary:
    'A thing that a host is still told to remove. It goes when the host reports it gone; delete it only for a host that never comes back, or is fenced: a virtual machine that was moved away from it starts then.',
  area: 'Control',
  entity: Tombstone,
  key: ['node', 'kind', 'name'],
  label: 'name',
  fields: {
    node: ref('node').describe('The host that is to remove it.'),
    kind: z.enum(tombstoneKinds).describe('What it is.'),
    name: z.string().describe('What it is called there.'),
    detail: f.json('What the host needs to find it.'),
  },
  without: ['create', 'update'],
  within: through('node_id', node),
  columns: ['node', 'kind', 'name', 'created_at'],
};
