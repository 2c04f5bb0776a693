/** A Ceph key as a libvirt secret: https://libvirt.org/formatsecret.html */
import { element, serialise } from '../xml.ts';

/**
 * The secret XML; the value is not part of it and is set apart. The usage name is unique per host: the
 * same entity may exist in two clusters. `private` keeps the value from being read back.
 */
export function secretXml(secret: { readonly uuid: string; readonly cluster: string; readonly entity: string }): string {
  return serialise(
    element(
      'secret',
      { ephemeral: 'no', private: 'yes' },
      element('uuid', null, secret.uuid.toLowerCase()),
      element('description', null, `Ceph key ${secret.entity} of the cluster ${secret.cluster}`),
      element('usage', { type: 'ceph' }, element('name', null, `${secret.cluster} ${secret.entity}`)),
    ),
  );
}
