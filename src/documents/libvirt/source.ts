/** Where a volume lies, in the terms of libvirt: shared by domain, volume and pool XML. */
import type { StoragePool, Volume } from '../types.ts';
import { element, type XmlElement } from '../xml.ts';

/** The place of a volume on the host: a file or block device by path, or an image in a Ceph pool. */
export type VolumePlace = { readonly kind: 'file' | 'block'; readonly path: string } | { readonly kind: 'rbd'; readonly image: string };

/**
 * The place of a volume in its pool. A file is `<target>/<name>`, a logical volume `/dev/<group>/<name>`,
 * an RBD image `<ceph pool>/<name>`: the same that `virsh vol-path` answers.
 */
export function volumePlace(volume: Volume, pool: StoragePool): VolumePlace {
  switch (pool.kind) {
    case 'lvm':
      return { kind: 'block', path: `/dev/${pool.target}/${volume.name}` };
    case 'rbd':
      return { kind: 'rbd', image: `${pool.target}/${volume.name}` };
    case 'dir':
    case 'nfs':
      return { kind: 'file', path: `${trimSlash(pool.target)}/${volume.name}` };
  }
}

/** The format that QEMU opens the volume with: qcow2, or raw for all others. */
export function volumeFormat(volume: Volume): 'qcow2' | 'raw' {
  return volume.type === 'qcow2' ? 'qcow2' : 'raw';
}

/** `<host>` elements of the monitors of an RBD pool, IPv6 without brackets as libvirt wants it. */
export function monitorHosts(pool: StoragePool): XmlElement[] {
  return pool.monitors.map(({ host, port }) => element('host', { name: host.replace(/^\[(.*)\]$/, '$1'), port }));
}

function trimSlash(path: string): string {
  return path.replace(/\/+$/, '');
}
