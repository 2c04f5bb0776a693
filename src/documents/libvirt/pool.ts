/** A storage pool: https://libvirt.org/formatstorage.html#storage-pool-xml */
import type { StoragePool } from '../types.ts';
import { element, serialise, type XmlElement } from '../xml.ts';
import { monitorHosts } from './source.ts';
import { nameUuid } from './uuid.ts';

/** The uuid of a pool: libvirt redefines a pool only under the uuid that it has, so it is made of the name. */
export function poolUuid(pool: { readonly name: string }): string {
  return nameUuid(`pool:${pool.name}`);
}

/** The pool XML: dir, logical (an LVM volume group), rbd (with its secret) or netfs. Throws nothing. */
export function poolXml(pool: StoragePool): string {
  const kind = ({ dir: 'dir', lvm: 'logical', rbd: 'rbd', nfs: 'netfs' } as const)[pool.kind];
  return serialise(element('pool', { type: kind }, element('name', null, pool.name), element('uuid', null, poolUuid(pool)), ...place(pool)));
}

function place(pool: StoragePool): XmlElement[] {
  switch (pool.kind) {
    case 'dir':
      return [element('target', null, element('path', null, pool.target))];
    case 'lvm':
      return [
        element('source', null, element('name', null, pool.target), element('format', { type: 'lvm2' })),
        element('target', null, element('path', null, `/dev/${pool.target}`)),
      ];
    case 'nfs':
      return [nfsSource(pool.source ?? ''), element('target', null, element('path', null, pool.target))];
    case 'rbd':
      return [
        element(
          'source',
          null,
          ...monitorHosts(pool),
          element('name', null, pool.target),
          pool.ceph_user !== null &&
            pool.secret_uuid !== null &&
            element('auth', { type: 'ceph', username: pool.ceph_user }, element('secret', { uuid: pool.secret_uuid })),
        ),
      ];
  }
}

/** `host:/export`, where an IPv6 host stands in brackets. */
function nfsSource(source: string): XmlElement {
  const [, bracketed, plain, path] = /^(?:\[([^\]]*)\]|([^:]*)):(.*)$/s.exec(source) ?? [];
  return element(
    'source',
    null,
    element('host', { name: bracketed ?? plain ?? source }),
    element('dir', { path: path ?? '/' }),
    element('format', { type: 'nfs' }),
  );
}
