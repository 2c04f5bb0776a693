/** Boot order per device: libvirt refuses `<boot dev>` of `<os>` and `<boot order>` of devices together. */
import type { Vm } from '../types.ts';
import { element, type XmlElement } from '../xml.ts';

/** What a VM may boot from. */
export type BootClass = Vm['boot_order'][number];

/** The `<boot>` element of a device of a class by its number; null when the class is not booted from. */
export type BootOrder = (kind: BootClass, number: number) => XmlElement | null;

/**
 * Orders of one class are apart from those of the next by this much: a device that is plugged in takes
 * an order that no other has, where counting through would renumber those behind it (libvirt refuses
 * to plug in a device whose order is taken).
 */
const APART = 1000;

/**
 * The boot order of a VM: all disks, all interfaces and the CD-ROM, class by class as `boot_order` has
 * them; a class that is named twice counts once. An empty order boots from disks.
 */
export function bootOrder(vm: Vm): BootOrder {
  const classes: readonly BootClass[] = vm.boot_order.length === 0 ? ['disk'] : [...new Set(vm.boot_order)];
  return (kind, number) => {
    const place = classes.indexOf(kind);
    return place < 0 ? null : element('boot', { order: place * APART + number + 1 });
  };
}
