/** The section `hypervisor` of a document: what libvirt and the network on this host shall have. */
import type { Hypervisor, NodeAggregate, StoragePool, Vm, Volume } from './types.ts';
import { present } from './canonical.ts';
import { domainName } from './libvirt/identity.ts';
import { domainXml, type DomainHost } from './libvirt/domain.ts';
import { poolUuid, poolXml } from './libvirt/pool.ts';
import { secretXml } from './libvirt/secret.ts';
import { seedPath } from './libvirt/devices.ts';
import { volumePlace } from './libvirt/source.ts';
import { volumeXml } from './libvirt/volume.ts';
import { bridges } from './network.ts';
import { absent, merged, type Entries } from './tombstones.ts';

/** Sections by noun; each maps names to `{ensure: present | absent, ...}`. */
export interface HypervisorSection {
  /**
   * By libvirt's name: state, uuid, autostart (always false), and `xml` or `unsupported`. `held` `{by: [nodes]}`:
   * other nodes have not removed it yet; it is stopped until they have, whatever it is asked to be.
   */
  readonly domains: Entries;
  /** By name: pool, size (bytes), type, path or image, where it is filled from, and `xml`. */
  readonly volumes: Entries;
  readonly pools: Entries;
  readonly bridges: Entries;
  /** By uuid, the name that disks and pools use: `value` is the key in base64. */
  readonly secrets: Entries;
}

/** The section, or null when the node is no hypervisor and has nothing to remove that one has. */
export function hypervisorSection(aggregate: NodeAggregate): HypervisorSection | null {
  const { hypervisor, tombstones, node } = aggregate;
  const gone = {
    domains: absent(tombstones, 'domain'),
    volumes: absent(tombstones, 'volume'),
    pools: absent(tombstones, 'pool'),
    bridges: absent(tombstones, 'bridge'),
    secrets: absent(tombstones, 'secret'),
  };
  if (hypervisor === null || node.state === 'deactivated') {
    return Object.values(gone).every((entries) => Object.keys(entries).length === 0) ? null : gone;
  }
  const pools = new Map(hypervisor.pools.map((pool) => [pool.name, pool]));
  const host: DomainHost = { local_path: hypervisor.local_path, pools };
  const named = <T>(items: readonly T[], name: (item: T) => string, entry: (item: T) => object): Entries =>
    Object.fromEntries(items.map((item) => [name(item), entry(item)]));
  return {
    domains: merged(
      gone.domains,
      named(hypervisor.vms, domainName, (vm) => domainEntry(vm, host)),
    ),
    volumes: merged(
      gone.volumes,
      named(
        volumesOf(hypervisor),
        (volume) => volume.name,
        (volume) => volumeEntry(volume, pools.get(volume.pool)),
      ),
    ),
    pools: merged(
      gone.pools,
      named(hypervisor.pools, (pool) => pool.name, poolEntry),
    ),
    bridges: merged(gone.bridges, bridges(aggregate, hypervisor.vms, hypervisor.networks)),
    secrets: merged(gone.secrets, secretEntries(hypervisor)),
  };
}

function domainEntry(vm: Vm, host: DomainHost): object {
  const made = domainXml(vm, host);
  const held = vm.held_by.length > 0;
  const entry = {
    ensure: 'present',
    state: held ? 'stopped' : vm.state,
    ...(held ? { held: { by: vm.held_by } } : {}),
    uuid: vm.uuid.toLowerCase(),
    autostart: false,
    ...present({ cloud_init: vm.cloud_init, cloud_init_seed: seedPath(vm, host) }),
    ...made,
  };
  if ('xml' in made) return entry;
  const { name, method, cores, ram, cputime_limit } = vm;
  const volumes = vm.volumes.map((volume) => volume.name);
  const interfaces = vm.interfaces.map((nic) => ({ name: nic.name, mac: nic.mac.toLowerCase() }));
  return { ...entry, ...present({ name, method, cores, ram, cputime_limit }), volumes, interfaces };
}

/** The host's volumes and those of its VMs, each once: the loader may name one in both places. */
function volumesOf(hypervisor: Hypervisor): Volume[] {
  const all = [...hypervisor.volumes, ...hypervisor.vms.flatMap((vm) => vm.volumes)];
  return [...new Map(all.map((volume) => [volume.name, volume])).values()];
}

function volumeEntry(volume: Volume, pool: StoragePool | undefined): object {
  const { size, type, image } = volume;
  const place = pool === undefined ? null : volumePlace(volume, pool);
  return {
    ensure: 'present',
    pool: volume.pool,
    size,
    type,
    ...(place === null ? {} : place.kind === 'rbd' ? { image_path: place.image } : { path: place.path }),
    ...(image === null ? {} : { filled_from: present(image) }),
    ...volumeXml(volume, pool),
  };
}

function poolEntry(pool: StoragePool): object {
  const { kind, target, source, cluster } = pool;
  return { ensure: 'present', uuid: poolUuid(pool), ...present({ kind, target, source, cluster }), xml: poolXml(pool) };
}

/** Only the keys that a pool on this host names. */
function secretEntries(hypervisor: Hypervisor): Entries {
  const used = new Set(hypervisor.pools.map((pool) => pool.secret_uuid));
  const entries: Entries = {};
  for (const { cluster, keys } of hypervisor.ceph) {
    for (const { entity, secret, secret_uuid: uuid } of keys) {
      if (!used.has(uuid)) continue;
      const xml = secretXml({ uuid, cluster: cluster.name, entity });
      entries[uuid] = { ensure: 'present', uuid, cluster: cluster.name, entity, value: secret, xml };
    }
  }
  return entries;
}
