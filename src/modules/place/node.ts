import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base, oneOf } from '../../db/base.ts';
import { at, f, ref, type Resource } from '../../kernel/resource.ts';
import { names, NodeState, nodeStates } from '../lists/lists.ts';
import { nodeStatusFields } from '../reports/status.ts';
import { holders } from '../control/tombstones.ts';
import { withPeers } from './affects.ts';
import { nodeFilters } from './node-filters.ts';
import { roleCheck } from './role-check.ts';
import { Site } from './site.ts';

/** Lower-case host name of labels of letters, digits and dashes (RFC 1123), at most 253 characters. */
export const FQDN = /^(?=.{1,253}$)(?!\d+$)(?!.*\.(?:json|msgpack|html|yaml)$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

const managers = ['puppet', 'salt'] as const;

export const Node = defineEntity({
  name: 'node',
  tableName: 'node',
  properties: {
    ...base,
    fqdn: p.text().unique(),
    location: p.text().nullable(),
    state: () => p.manyToOne(NodeState).joinColumn('state').default('running').index(),
    environment: p.text().default('production'),
    manager: p.text().default('puppet'),
    site: () => p.manyToOne(Site).index(),
  },
  checks: [
    { name: 'node_fqdn', expression: `fqdn ~ '^[a-z0-9.-]{1,253}$'` },
    { name: 'node_environment', expression: `environment ~ '^[a-z0-9_]+$'` },
    { name: 'node_manager', expression: oneOf('manager', managers) },
  ],
  triggers: [
    roleCheck('node', 'insert', 'id'),
    {
      /* Each node has its status row from the start: reports and heartbeats only ever update. */
      name: 'node_has_status',
      timing: 'after',
      events: ['insert'],
      body: `insert into node_status (node_id) values (new.id);
return null;`,
    },
  ],
});

export const node: Resource = {
  noun: 'node',
  plural: 'nodes',
  title: 'Node',
  summary: 'A host that Puppet or Salt manages. It has one or more roles: hypervisor, Ceph monitor, Ceph OSD node.',
  area: 'Place',
  entity: Node,
  key: ['fqdn'],
  fields: {
    fqdn: z
      .string()
      .regex(FQDN, 'must be a lower-case host name, e.g. hv1.example.com')
      .describe("Fully qualified name: Puppet's certname and Salt's minion id."),
    site: ref('site').describe('Where it stands.'),
    location: f.text('Room, rack, height unit.').nullable(),
    state: z.enum(names(nodeStates)).describe('Only a running node takes new virtual machines; the documents of a deactivated one answer 410.'),
    environment: z
      .string()
      .regex(/^[a-z0-9_]{1,63}$/, 'must be 1 to 63 of a-z, 0-9, underscore')
      .describe('Puppet environment; the Salt environment, where production is base.'),
    manager: z.enum(managers).describe('Which of the two converges it.'),
  },
  parts: { roles: { hypervisor: 'hypervisor', ceph_mon: 'ceph_mon_node', ceph_osd: 'ceph_osd_node' } },
  computed: nodeStatusFields,
  filters: nodeFilters,
  observed: { name: (t) => sql`${sql.id(t)}.fqdn`, nodes: (t) => sql`select ${sql.id(t)}.id`, desired: () => sql`'converged'` },
  within: { site: at('site_id') },
  columns: ['fqdn', 'site', 'state', 'status', 'roles', 'environment', 'manager', 'location'],
  shared: true,
  /* Documents of hosts that wait for this one name it. */
  affects: (ids) => sql`${withPeers(sql`select unnest(${ids}::bigint[])`)} union ${holders(sql`t.node_id = any(${ids}::bigint[])`)}`,
  constraints: {
    node_has_role: {
      pointer: '/roles',
      message: 'a node needs at least one role: hypervisor, ceph_mon or ceph_osd; to take a node out of the fleet, deactivate or delete it',
    },
  },
};
