/** Disks of a QEMU or KVM domain: https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms */
import type { StoragePool, Vm, Volume } from '../types.ts';
import { element, type XmlElement } from '../xml.ts';
import { refuse, type Refusal } from '../refusal.ts';
import type { BootOrder } from './boot.ts';
import { diskAddress } from './pci.ts';
import { monitorHosts, volumeFormat, volumePlace } from './source.ts';

/** QEMU's and libvirt's name for the n-th virtio disk: 0 is vda, 25 vdz, 26 vdaa. */
export function diskTarget(number: number): string {
  let letters = '';
  for (let rest = number; rest >= 0; rest = Math.floor(rest / 26) - 1) {
    letters = String.fromCharCode(97 + (rest % 26)) + letters;
  }
  return `vd${letters}`;
}

/** Volumes of a VM by their number; a volume without one (never from the loader) comes last. */
export function volumesInOrder(vm: Vm): Volume[] {
  return [...vm.volumes].sort((a, b) => (a.number ?? Number.MAX_SAFE_INTEGER) - (b.number ?? Number.MAX_SAFE_INTEGER) || a.id - b.id);
}

/** The `<disk>` elements of a VM's volumes, or why one of them cannot be attached. */
export function diskElements(vm: Vm, pools: ReadonlyMap<string, StoragePool>, boot: BootOrder): XmlElement[] | { readonly unsupported: Refusal } {
  const disks: XmlElement[] = [];
  for (const [place, volume] of volumesInOrder(vm).entries()) {
    const pool = pools.get(volume.pool);
    if (pool === undefined) {
      return refuse('pool_missing', `volume ${volume.name} lies in pool ${volume.pool}, which this host does not have`);
    }
    if (pool.kind === 'rbd' && pool.ceph_user !== null && pool.secret_uuid === null) {
      return refuse('pool_has_no_secret', `pool ${pool.name} names a Ceph user but no secret`);
    }
    disks.push(disk(vm, volume, pool, volume.number ?? place, boot));
  }
  return disks;
}

function disk(vm: Vm, volume: Volume, pool: StoragePool, number: number, boot: BootOrder): XmlElement {
  const place = volumePlace(volume, pool);
  return element(
    'disk',
    { type: place.kind === 'rbd' ? 'network' : place.kind, device: 'disk' },
    element('driver', {
      name: 'qemu',
      type: volumeFormat(volume),
      cache: volume.cache_option === 'default' ? null : volume.cache_option,
      io: place.kind === 'rbd' ? null : ioMode(volume.cache_option),
      discard: volume.discard ? 'unmap' : 'ignore',
    }),
    place.kind === 'rbd'
      ? element(
          'source',
          { protocol: 'rbd', name: place.image },
          ...monitorHosts(pool),
          pool.ceph_user !== null && element('auth', { username: pool.ceph_user }, element('secret', { type: 'ceph', uuid: pool.secret_uuid })),
        )
      : element('source', place.kind === 'block' ? { dev: place.path } : { file: place.path }),
    element('target', { dev: diskTarget(number), bus: 'virtio' }),
    // Virtio holds 20 bytes of serial number; guests see it as /dev/disk/by-id/virtio-<serial>.
    element('serial', null, `vol-${volume.id}`),
    ioTune(volume),
    boot('disk', number),
    diskAddress(vm.machine, number),
  );
}

/**
 * QEMU's native AIO works only on files opened with O_DIRECT, that is with cache none or directsync;
 * with any other it refuses to start. The default cache of QEMU is writeback.
 */
function ioMode(cache: Volume['cache_option']): 'native' | 'threads' {
  return cache === 'none' || cache === 'directsync' ? 'native' : 'threads';
}

/** Limits per disk in bytes/s and operations/s; nothing when the volume has none. */
function ioTune(volume: Volume): XmlElement | null {
  const limits: XmlElement[] = [];
  if (volume.read_bps !== null) limits.push(element('read_bytes_sec', null, volume.read_bps));
  if (volume.write_bps !== null) limits.push(element('write_bytes_sec', null, volume.write_bps));
  if (volume.read_iops !== null) limits.push(element('read_iops_sec', null, volume.read_iops));
  if (volume.write_iops !== null) limits.push(element('write_iops_sec', null, volume.write_iops));
  return limits.length === 0 ? null : element('iotune', null, ...limits);
}
