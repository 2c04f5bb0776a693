import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import type { Resource } from '../../kernel/resource.ts';

/**
 * Reference lists: the values that a field may have, as tables, so that SQL, other programs and foreign
 * keys know them. The migration fills them from here.
 */
function list(name: string) {
  return defineEntity({
    name,
    tableName: name,
    properties: { name: p.text().primary(), description: p.text() },
  });
}

export const NodeState = list('node_state');
export const VmState = list('vm_state');
export const VmObservedState = list('vm_observed_state');
export const VirtMethod = list('virt_method');
export const StorageType = list('storage_type');
export const CacheOption = list('cache_option');

export const nodeStates = {
  running: 'In service: takes new virtual machines',
  stopped: 'Switched off on purpose',
  maintenance: 'Being worked on: keeps what it has, takes nothing new',
  deactivated: 'Out of the fleet: its documents answer 410',
} as const;

export const vmStates = {
  running: 'Started and running',
  stopped: 'Defined and not running',
  paused: 'Started, and its vCPUs held',
} as const;

/** libvirt's virDomainState, and what is known before a host has reported. */
export const vmObservedStates = {
  nostate: 'libvirt: no state',
  running: 'libvirt: running',
  blocked: 'libvirt: blocked on a resource',
  paused: 'libvirt: paused by the user',
  shutdown: 'libvirt: being shut down',
  shutoff: 'libvirt: shut off',
  crashed: 'libvirt: crashed',
  pmsuspended: 'libvirt: suspended by guest power management',
  unknown: 'No host has reported it yet',
} as const;

export const virtMethods = {
  KVM: 'QEMU with hardware virtualisation, through libvirt',
  QEMU: 'QEMU with emulation, through libvirt',
  LXC: 'Linux containers, through libvirt',
  Docker: 'Docker containers',
  'systemd-nspawn': 'Containers of systemd-nspawn',
  'Parallels Cloud Server': 'Parallels Cloud Server',
  'Parallels Server Bare Metal': 'Parallels Server Bare Metal',
} as const;

export const storageTypes = {
  qcow2: 'A qcow2 file in a directory',
  raw: 'A raw file in a directory',
  lvm: 'A logical volume',
  rbd: 'A Ceph RBD image',
} as const;

export const cacheOptions = {
  default: "The hypervisor's default",
  none: 'Past the page cache (O_DIRECT)',
  writethrough: 'Page cache for reads; writes reach the disk first',
  writeback: 'Page cache; flushed when the guest asks',
  directsync: 'Past the page cache, each write synced',
  unsafe: 'Page cache; flushes are ignored: loses data on a crash',
} as const;

/** The names of a list, for zod and CHECK constraints. */
export function names<T extends string>(values: Readonly<Record<T, string>>): [T, ...T[]] {
  return Object.keys(values) as [T, ...T[]];
}

function resource(noun: string, plural: string, title: string, summary: string, entity: ReturnType<typeof list>): Resource {
  return {
    noun,
    plural,
    title,
    summary,
    area: 'Lists',
    entity,
    key: ['name'],
    fields: { name: z.string().describe('The value.'), description: z.string().describe('What it means.') },
    columns: ['name', 'description'],
    readOnly: true,
    open: () => sql`true`,
  };
}

export const listResources: readonly Resource[] = [
  resource('node_state', 'node_states', 'Node state', 'The states that a node may be asked to be in.', NodeState),
  resource('vm_state', 'vm_states', 'VM state', 'The states that a virtual machine may be asked to be in.', VmState),
  resource(
    'vm_observed_state',
    'vm_observed_states',
    'Observed VM state',
    "The states that a host may report of a virtual machine: libvirt's, and unknown.",
    VmObservedState,
  ),
  resource('virt_method', 'virt_methods', 'Virtualisation method', 'The ways of running a virtual machine that a hypervisor may support.', VirtMethod),
  resource('storage_type', 'storage_types', 'Storage type', 'The forms that a volume may have.', StorageType),
  resource('cache_option', 'cache_options', 'Cache option', "The ways in which a volume may use its host's page cache.", CacheOption),
];

/** The rows of each list, for the migration and its test. */
export const listRows: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  node_state: nodeStates,
  vm_state: vmStates,
  vm_observed_state: vmObservedStates,
  virt_method: virtMethods,
  storage_type: storageTypes,
  cache_option: cacheOptions,
};
