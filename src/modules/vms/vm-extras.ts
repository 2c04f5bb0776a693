import { z } from 'zod';
import { ip } from '../../kernel/net.ts';
import { f, ref } from '../../kernel/resource.ts';
import { cacheOptions, names, storageTypes } from '../lists/lists.ts';

export const policies = ['least_loaded', 'round_robin', 'sticky'] as const;
export type Policy = (typeof policies)[number];

/** A disk that is made with its virtual machine: all fields may be left out. */
export const newVolume = z.strictObject({
  name: f.name('The volume; vol-<id> when left out').optional(),
  storage_pool: ref('storage_pool').optional().describe('Where it lies; the default pool when left out.'),
  size: z
    .int()
    .min(512)
    .max(Number.MAX_SAFE_INTEGER)
    .multipleOf(512)
    .optional()
    .describe("Size in bytes; the image's, or CORRAL_DEFAULT_VOLUME_SIZE, when left out.")
    .meta({ unit: 'bytes' }),
  type: z.enum(names(storageTypes)).optional().describe("Its form; the pool's usual one when left out: qcow2, lvm or rbd."),
  cache_option: z.enum(names(cacheOptions)).optional(),
  read_iops: f.iops('Limit of reads.').nullable().optional(),
  write_iops: f.iops('Limit of writes.').nullable().optional(),
  read_bps: f.rate('Limit of reads.').nullable().optional(),
  write_bps: f.rate('Limit of writes.').nullable().optional(),
  discard: z.boolean().optional(),
  image: ref('image').nullable().optional().describe('What it is first filled from.'),
});
export type NewVolume = z.infer<typeof newVolume>;

/** A card that is made with its virtual machine. */
export const newInterface = z.strictObject({
  mac: f.mac().optional(),
  networks: z
    .array(z.strictObject({ network: ref('network'), tagged: z.boolean().default(false) }))
    .max(64)
    .optional()
    .describe('The networks that it is a member of; the default network, untagged, when left out.'),
  addresses: z.array(ip('An address.')).max(32).optional().describe('Addresses that it gets; a free IPv4 and IPv6 one of its untagged network when left out.'),
});
export type NewInterface = z.infer<typeof newInterface>;

export const vmExtras = {
  volumes: z.array(newVolume).min(1).max(32).describe('Its disks, first to last; one of the default size in the default pool when left out.'),
  interfaces: z.array(newInterface).min(1).max(16).describe('Its cards; one in the default network when left out.'),
  placement: z.enum(policies).describe('How the host is picked this time; CORRAL_PLACEMENT when left out.'),
} as const;
