/** Boot order per device: libvirt refuses `<boot dev>` of `<os>` and `<boot order>` of devices together. */
import type { Vm } from '../types.ts';
import { element, type XmlElement } from '../xml.ts';

/** What a VM may boot from. */
export type BootClass = Vm['boot_order'][number];

/** Hands each device of a class its place, in the order in which the devices ask. */
export interface BootOrder {
  /** The `<boot>` element of the next device of the class, or null when the class is not booted from. */
  element(kind: BootClass): XmlElement | null;
}

/**
 * The boot order of a VM: all disks, all interfaces and the CD-ROM, class by class as `boot_order` has
 * them; a class that is named twice counts once. An empty order boots from disks.
 */
export function bootOrder(vm: Vm): BootOrder {
  const classes = vm.boot_order.length === 0 ? (['disk'] as const) : [...new Set(vm.boot_order)];
  const sizes: Record<BootClass, number> = { disk: vm.volumes.length, network: vm.interfaces.length, cdrom: 1 };
  const next = new Map<BootClass, number>();
  let place = 1;
  for (const kind of classes) {
    next.set(kind, place);
    place += sizes[kind];
  }
  return {
    element(kind) {
      const order = next.get(kind);
      if (order === undefined) return null;
      next.set(kind, order + 1);
      return element('boot', { order });
    },
  };
}
