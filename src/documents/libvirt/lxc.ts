/**
 * Containers under libvirt: https://libvirt.org/drvlxc.html. The first volume is the root, the others
 * are mounted below /mnt. What the driver cannot do is refused: RBD images (the kernel's client would
 * have to map them first) and limits on files (its limits are for block devices).
 */
import type { StoragePool, Vm, Volume } from '../types.ts';
import { element, serialise, type XmlElement } from '../xml.ts';
import { refuse, type Refusal, type XmlOrRefusal } from '../refusal.ts';
import { wiring } from './devices.ts';
import { volumesInOrder } from './disks.ts';
import { CPU_PERIOD, LIFECYCLE, cpuQuota, identity, kib } from './identity.ts';
import { volumeFormat, volumePlace } from './source.ts';

/**
 * The XML of a container, or why there is none. A container has no vCPUs: its share is `cores` times
 * what one may use, for all of its processes together. Memory and shares change live without headroom.
 */
export function lxcXml(vm: Vm, pools: ReadonlyMap<string, StoragePool>): XmlOrRefusal {
  const filesystems: XmlElement[] = [];
  const limits: XmlElement[] = [];
  for (const [place, volume] of volumesInOrder(vm).entries()) {
    const pool = pools.get(volume.pool);
    if (pool === undefined) {
      return refuse('pool_missing', `volume ${volume.name} lies in pool ${volume.pool}, which this host does not have`);
    }
    const made = filesystem(volume, pool, place);
    if ('unsupported' in made) return made;
    filesystems.push(made.filesystem);
    if (made.limit !== null) limits.push(made.limit);
  }
  const memory = kib(vm.ram);
  const root = element(
    'domain',
    { type: 'lxc' },
    ...identity(vm),
    element('memory', { unit: 'KiB' }, memory),
    element('currentMemory', { unit: 'KiB' }, memory),
    limits.length > 0 && element('blkiotune', null, ...limits),
    element('vcpu', { placement: 'static' }, vm.cores),
    element('cputune', null, element('period', null, CPU_PERIOD), element('quota', null, vm.cores * cpuQuota(vm.cputime_limit ?? 100))),
    element('os', null, element('type', { arch: 'x86_64' }, 'exe'), element('init', null, '/sbin/init')),
    element('clock', { offset: vm.rtc }),
    ...LIFECYCLE,
    element(
      'devices',
      null,
      ...filesystems,
      ...[...vm.interfaces]
        .sort((a, b) => a.number - b.number)
        .map((nic) => element('interface', { type: 'bridge' }, ...wiring(nic), element('guest', { dev: `eth${nic.number}` }))),
      element('console', { type: 'pty' }, element('target', { type: 'lxc', port: 0 })),
    ),
  );
  return { xml: serialise(root) };
}

interface Mounted {
  readonly filesystem: XmlElement;
  readonly limit: XmlElement | null;
}

function filesystem(volume: Volume, pool: StoragePool, place: number): Mounted | { readonly unsupported: Refusal } {
  const at = volumePlace(volume, pool);
  if (at.kind === 'rbd') return refuse('lxc_volume', `a container cannot mount the RBD image ${at.image}`);
  const target = element('target', { dir: place === 0 ? '/' : `/mnt/${volume.name}` });
  if (at.kind === 'block') {
    return {
      filesystem: element('filesystem', { type: 'block' }, element('source', { dev: at.path }), target),
      limit: blockLimit(volume, at.path),
    };
  }
  if (blockLimit(volume, at.path) !== null) {
    return refuse('lxc_limit', `a container's volume in a file, as ${volume.name} is, cannot be limited`);
  }
  const format = volumeFormat(volume);
  const driver = element('driver', { type: format === 'raw' ? 'loop' : 'nbd', format });
  return {
    filesystem: element('filesystem', { type: 'file' }, driver, element('source', { file: at.path }), target),
    limit: null,
  };
}

function blockLimit(volume: Volume, path: string): XmlElement | null {
  const limits: XmlElement[] = [];
  if (volume.read_iops !== null) limits.push(element('read_iops_sec', null, volume.read_iops));
  if (volume.write_iops !== null) limits.push(element('write_iops_sec', null, volume.write_iops));
  if (volume.read_bps !== null) limits.push(element('read_bytes_sec', null, volume.read_bps));
  if (volume.write_bps !== null) limits.push(element('write_bytes_sec', null, volume.write_bps));
  return limits.length === 0 ? null : element('device', null, element('path', null, path), ...limits);
}
