/** Devices of a QEMU or KVM domain other than disks: https://libvirt.org/formatdomain.html#devices */
import type { Hypervisor, Vm, VmInterface } from '../types.ts';
import { bridgeName } from '../names.ts';
import { element, fixed, type XmlElement } from '../xml.ts';
import type { BootOrder } from './boot.ts';
import { domainName } from './identity.ts';
import { interfaceAddress, singleAddress } from './pci.ts';

/** `<interface>` elements in the order of their numbers. */
export function interfaceElements(vm: Vm, boot: BootOrder): XmlElement[] {
  return [...vm.interfaces]
    .sort((a, b) => a.number - b.number)
    .map((nic) =>
      element(
        'interface',
        { type: 'bridge' },
        ...wiring(nic),
        element('model', { type: 'virtio' }),
        element('mtu', { size: nic.mtu }),
        boot('network', nic.number),
        interfaceAddress(vm.machine, nic.number),
      ),
    );
}

/** MAC, bridge and the name of the host's end, the same for machines and containers. */
export function wiring(nic: VmInterface): XmlElement[] {
  return [element('mac', { address: nic.mac.toLowerCase() }), element('source', { bridge: bridgeName(nic) }), element('target', { dev: nic.name })];
}

/** Where the host puts the cloud-init seed of a VM; null when it has none. */
export function seedPath(vm: Vm, hypervisor: Pick<Hypervisor, 'local_path'>): string | null {
  if (vm.cloud_init === null) return null;
  return `${hypervisor.local_path.replace(/\/+$/, '')}/seed/${domainName(vm)}.iso`;
}

/**
 * CD-ROM drives: an empty one to boot from when the boot order names it, and the cloud-init seed.
 * `startupPolicy` optional starts the VM even when the seed is not there.
 */
export function cdromElements(vm: Vm, seed: string | null, boot: BootOrder): XmlElement[] {
  const drives: XmlElement[] = [];
  if (vm.boot_order.includes('cdrom')) drives.push(cdrom(vm, drives.length, null, boot('cdrom', 0)));
  if (seed !== null) drives.push(cdrom(vm, drives.length, seed, null));
  return drives;
}

function cdrom(vm: Vm, place: number, file: string | null, order: XmlElement | null): XmlElement {
  const [bus, prefix] = ({ q35: ['sata', 'sd'], pc: ['ide', 'hd'], virt: ['scsi', 'sd'] } as const)[vm.machine];
  return element(
    'disk',
    { type: 'file', device: 'cdrom' },
    element('driver', { name: 'qemu', type: 'raw' }),
    file !== null && element('source', { file, startupPolicy: 'optional' }),
    element('target', { dev: `${prefix}${'ab'.charAt(place)}`, bus }),
    element('readonly'),
    order,
  );
}

/**
 * What every VM has: serial console, guest agent's channel, random numbers, balloon (it gives pages
 * that the guest has freed back to the host, and counts memory every 10 s), and on x86 a device that
 * tells of a kernel panic, without which on_crash never happens.
 */
export function commonDevices(vm: Vm): readonly XmlElement[] {
  return COMMON[vm.machine];
}

const COMMON = { q35: common('q35'), pc: common('pc'), virt: common('virt') };

function common(machine: Vm['machine']): readonly XmlElement[] {
  const at = (device: Parameters<typeof singleAddress>[1]): XmlElement => singleAddress(machine, device);
  const agent = { type: 'virtio', name: 'org.qemu.guest_agent.0' };
  const devices = [
    element('controller', { type: 'virtio-serial', index: 0 }, at('serial')),
    element('serial', { type: 'pty' }, element('target', { port: 0 })),
    element('console', { type: 'pty' }, element('target', { type: 'serial', port: 0 })),
    element('channel', { type: 'unix' }, element('target', agent)),
    element('rng', { model: 'virtio' }, element('backend', { model: 'random' }, '/dev/urandom'), at('rng')),
    element('memballoon', { model: 'virtio', freePageReporting: 'on' }, element('stats', { period: 10 }), at('balloon')),
    // The CD-ROM drives of the machine virt are on it.
    machine === 'virt' ? element('controller', { type: 'scsi', index: 0, model: 'virtio-scsi' }, at('scsi')) : element('panic', { model: 'isa' }),
  ];
  return devices.map(fixed);
}
