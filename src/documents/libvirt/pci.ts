/**
 * Fixed PCI places, so that adding or taking away one device never moves another: a guest names its
 * interfaces after their place (enp2s0), and one that moved is an interface without configuration.
 * Every device that Corral writes has a place: libvirt gives the others the lowest that is free, which
 * would be that of an interface or disk still to come. Interfaces and disks from the ninth on get theirs
 * from libvirt.
 */
import type { Vm } from '../types.ts';
import { element, fixed, type XmlElement } from '../xml.ts';

/** Interfaces and disks that have a fixed place; the rest of 24 ports stays free for other devices. */
const FIXED = 8;

/** Root ports of q35 and virt: without spare ones nothing can be plugged in while the VM runs. */
const ROOT_PORTS = 24;

/** Devices that every VM has once, in the order of their places. */
const SINGLE = ['serial', 'balloon', 'rng', 'memory', 'scsi'] as const;

/** On the i440fx the slots 0 to 2 are the chipset's; 3 to 7 hold the single devices. */
const PC_SINGLE = 0x03;
const PC_INTERFACES = 0x08;
const PC_DISKS = 0x10;

/** The `<address>` of interface n, or null when libvirt picks it. */
export function interfaceAddress(machine: Vm['machine'], number: number): XmlElement | null {
  if (number >= FIXED) return null;
  return machine === 'pc' ? address(0, PC_INTERFACES + number) : address(1 + number, 0);
}

/** The `<address>` of disk n, or null when libvirt picks it. */
export function diskAddress(machine: Vm['machine'], number: number): XmlElement | null {
  if (number >= FIXED) return null;
  return machine === 'pc' ? address(0, PC_DISKS + number) : address(1 + FIXED + number, 0);
}

/** The `<address>` of a device that a VM has once. */
export function singleAddress(machine: Vm['machine'], device: (typeof SINGLE)[number]): XmlElement {
  const place = SINGLE.indexOf(device);
  return machine === 'pc' ? address(0, PC_SINGLE + place) : address(1 + 2 * FIXED + place, 0);
}

const LAST_ROOT_PORT = fixed(element('controller', { type: 'pci', index: ROOT_PORTS, model: 'pcie-root-port' }));

/** The last root port: libvirt adds all those below it by itself. The i440fx plugs into its one bus. */
export function rootPorts(machine: Vm['machine']): XmlElement | null {
  return machine === 'pc' ? null : LAST_ROOT_PORT;
}

function address(bus: number, slot: number): XmlElement {
  return element('address', { type: 'pci', domain: '0x0000', bus: hex(bus), slot: hex(slot), function: '0x0' });
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`;
}
