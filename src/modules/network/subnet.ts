import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base } from '../../db/base.ts';
import { cidr, ip } from '../../kernel/net.ts';
import { f, ref, through, type Resource } from '../../kernel/resource.ts';
import { Network, network, nodesOfNetworks } from './network.ts';

export const Subnet = defineEntity({
  name: 'subnet',
  tableName: 'subnet',
  properties: {
    ...base,
    network: () => p.manyToOne(Network).index(),
    cidr: p.text().columnType('cidr').unique(),
    gateway: p.text().columnType('inet').nullable(),
    dhcp: p.boolean().default(false),
    dns: p.array().columnType('inet[]').default([]),
    description: p.text().nullable(),
  },
  checks: [
    {
      name: 'subnet_gateway',
      expression: 'gateway is null or (gateway << cidr::inet and masklen(gateway) = case family(gateway) when 4 then 32 else 128 end)',
    },
  ],
  triggers: [
    {
      /* Addresses of two subnets never overlap: one address has one meaning in the fleet. */
      name: 'subnet_overlap',
      timing: 'before',
      events: ['insert'],
      body: `perform pg_advisory_xact_lock(hashtext('corral.subnet'));
perform 1 from subnet s where s.cidr && new.cidr;
if found then
  raise exception using errcode = '23514', constraint = 'subnet_overlap', message = 'the subnet overlaps another';
end if;
return new;`,
    },
  ],
});

export const subnet: Resource = {
  noun: 'subnet',
  plural: 'subnets',
  title: 'Subnet',
  summary:
    'An address range of a network. An IPv4 subnet fills the pool of free addresses with its hosts (the first 65,534); IPv6 addresses are made as they are needed.',
  area: 'Network',
  entity: Subnet,
  key: ['cidr'],
  fields: {
    cidr: cidr('The range, e.g. 203.0.113.0/24; it overlaps no other.'),
    network: ref('network').describe('The network that it lies in.'),
    gateway: ip('The router inside the range; it is never given to a virtual machine.').nullable(),
    dhcp: z.boolean().describe('Whether addresses are handed out by DHCP.'),
    dns: z.array(ip('A name server.')).max(8).describe('Name servers for those in the range.'),
    description: f.text('What it is for.').nullable(),
  },
  immutable: ['cidr', 'network'],
  within: through('network_id', network),
  seen: through('network_id', network, 'seen'),
  open: (a) => sql`${sql.id(a)}.network_id in (select w.id from network w where ${network.open!('w')})`,
  columns: ['cidr', 'network', 'gateway', 'dhcp', 'dns'],
  shared: true,
  affects: (ids) => nodesOfNetworks(sql`select s.network_id from subnet s where s.id = any(${ids}::bigint[])`),
  constraints: {
    subnet_gateway: { pointer: '/gateway', message: 'must be an address inside the range' },
    subnet_overlap: { pointer: '/cidr', message: 'overlaps a subnet that is there' },
  },
};
