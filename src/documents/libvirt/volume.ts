/** A storage volume: https://libvirt.org/formatstorage.html#storage-volume-xml */
import type { StoragePool, Volume } from '../types.ts';
import { element, serialise } from '../xml.ts';
import { refuse, type XmlOrRefusal } from '../refusal.ts';
import { volumeFormat, volumePlace } from './source.ts';

/**
 * The volume XML, or why there is none (its pool is not on this host). Files start small and grow; a
 * logical volume is allocated in full, because libvirt makes anything less a snapshot.
 */
export function volumeXml(volume: Volume, pool: StoragePool | undefined): XmlOrRefusal {
  if (pool === undefined) return refuse('pool_missing', `this host does not have the pool ${volume.pool}`);
  const place = volumePlace(volume, pool);
  const unit = 'bytes';
  const format = volumeFormat(volume);
  const root = element(
    'volume',
    { type: place.kind === 'rbd' ? 'network' : place.kind },
    element('name', null, volume.name),
    element('capacity', { unit }, volume.size),
    pool.kind !== 'rbd' && element('allocation', { unit }, pool.kind === 'lvm' ? volume.size : 0),
    element(
      'target',
      null,
      place.kind !== 'rbd' && element('path', null, place.path),
      pool.kind !== 'lvm' && element('format', { type: format }),
      format === 'qcow2' && element('compat', null, '1.1'),
    ),
  );
  return { xml: serialise(root) };
}
