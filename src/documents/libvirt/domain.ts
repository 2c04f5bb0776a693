/** A VM as a libvirt domain: https://libvirt.org/formatdomain.html, as of libvirt 9.0. */
import type { Hypervisor, StoragePool, Vm } from '../types.ts';
import { element, serialise } from '../xml.ts';
import { refuse, type XmlOrRefusal } from '../refusal.ts';
import { bootOrder } from './boot.ts';
import { cpuElements, cpuModel, memoryDevice, memoryElements } from './capacity.ts';
import { cdromElements, commonDevices, interfaceElements, seedPath } from './devices.ts';
import { diskElements } from './disks.ts';
import { LIFECYCLE, identity } from './identity.ts';
import { lxcXml } from './lxc.ts';
import { rootPorts } from './pci.ts';
import { clockElement, featuresElement, osElement } from './platform.ts';

/** What a domain needs of its host. `pools` by name. */
export interface DomainHost {
  readonly local_path: Hypervisor['local_path'];
  readonly pools: ReadonlyMap<string, StoragePool>;
}

const DOMAIN_TYPES: Readonly<Record<string, 'kvm' | 'qemu' | 'lxc'>> = { KVM: 'kvm', QEMU: 'qemu', LXC: 'lxc' };

/**
 * The domain XML of a VM, or why there is none: methods that libvirt has no driver for here (Docker,
 * systemd-nspawn, Parallels), a volume in a pool that the host does not have, and settings that exclude
 * each other. Whether the VM runs, and autostart, are not part of the XML.
 */
export function domainXml(vm: Vm, host: DomainHost): XmlOrRefusal {
  const type = Object.hasOwn(DOMAIN_TYPES, vm.method) ? DOMAIN_TYPES[vm.method] : undefined;
  if (type === undefined) {
    return refuse('method_without_libvirt', `Corral builds no libvirt domain for the method ${vm.method}`);
  }
  if (type === 'lxc') return lxcXml(vm, host.pools);
  if (vm.firmware === 'uefi-secure' && vm.machine !== 'q35') {
    return refuse('secure_boot_needs_q35', `Secure Boot needs the machine q35, not ${vm.machine}`);
  }
  const boot = bootOrder(vm);
  const disks = diskElements(vm, host.pools, boot);
  if ('unsupported' in disks) return disks;
  const cpu = cpuModel(vm);
  if ('unsupported' in cpu) return cpu;
  const root = element(
    'domain',
    { type },
    ...identity(vm),
    ...memoryElements(vm),
    ...cpuElements(vm),
    osElement(vm),
    featuresElement(vm),
    cpu,
    clockElement(vm),
    ...LIFECYCLE,
    element(
      'devices',
      null,
      element('controller', { type: 'usb', model: 'none' }),
      rootPorts(vm.machine),
      ...disks,
      ...cdromElements(vm, seedPath(vm, host), boot),
      ...interfaceElements(vm, boot),
      ...commonDevices(vm),
      memoryDevice(vm),
    ),
  );
  return { xml: serialise(root) };
}
