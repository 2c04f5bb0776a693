import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base, oneOf } from '../../db/base.ts';
import { f, ref, through, type Resource } from '../../kernel/resource.ts';
import { CephOsdNode, cephOsdNode } from './ceph-osd-node.ts';

const classes = ['hdd', 'ssd', 'nvme'] as const;

export const CephOsd = defineEntity({
  name: 'ceph_osd',
  tableName: 'ceph_osd',
  properties: {
    ...base,
    ceph_osd_node: () => p.manyToOne(CephOsdNode),
    uuid: p.uuid().defaultRaw('gen_random_uuid()').unique(),
    data_device: p.text(),
    db_device: p.text().nullable(),
    device_class: p.text().default('ssd'),
    weight: p.double().default(1),
  },
  uniques: [{ properties: ['ceph_osd_node', 'data_device'] }],
  checks: [
    { name: 'ceph_osd_class', expression: oneOf('device_class', classes) },
    { name: 'ceph_osd_weight', expression: 'weight >= 0' },
    { name: 'ceph_osd_devices', expression: 'db_device is null or db_device <> data_device' },
  ],
});

const device = (what: string) =>
  z
    .string()
    .regex(/^\/[A-Za-z0-9._/:+-]{1,250}$/, 'must be an absolute path, e.g. /dev/disk/by-id/nvme-eui.0025')
    .describe(what);

export const cephOsd: Resource = {
  noun: 'ceph_osd',
  plural: 'ceph_osds',
  title: 'Ceph OSD',
  summary: 'One OSD: a data device of an OSD node, with its db/journal device, class and weight.',
  area: 'Ceph',
  entity: CephOsd,
  key: ['uuid'],
  label: 'data_device',
  fields: {
    uuid: f.uuid("The OSD's fsid; made when left out."),
    ceph_osd_node: ref('ceph_osd_node').describe('The node that has the devices.'),
    data_device: device('Device or file that holds the data.'),
    db_device: device('Faster device for the database or journal.').nullable(),
    device_class: z.enum(classes).describe('CRUSH device class.'),
    weight: z.number().min(0).max(100_000).describe('CRUSH weight; by custom the size in TiB.'),
  },
  immutable: ['uuid', 'ceph_osd_node', 'data_device'],
  within: through('ceph_osd_node_id', cephOsdNode),
  columns: ['ceph_osd_node', 'data_device', 'db_device', 'device_class', 'weight'],
  observed: {
    kind: 'ceph_osd',
    name: (t) => sql`${sql.id(t)}.uuid::text`,
    nodes: (t) => sql`select n.node_id from ceph_osd_node n where n.id = ${sql.id(t)}.ceph_osd_node_id`,
    desired: () => sql`'running'`,
  },
  affects: (ids) => sql`select n.node_id from ceph_osd o join ceph_osd_node n on n.id = o.ceph_osd_node_id where o.id = any(${ids}::bigint[])`,
  constraints: { ceph_osd_devices: { pointer: '/db_device', message: 'must differ from the data device' } },
};
