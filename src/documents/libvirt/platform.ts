/** Machine, firmware, features and clock of a QEMU or KVM domain. */
import type { Vm } from '../types.ts';
import { element, fixed, type XmlElement } from '../xml.ts';

/**
 * `<os>`: the machine by its unversioned name (libvirt fixes the version when it defines the domain) and
 * the firmware by the features that it must have; libvirt picks the file from the host's descriptions.
 */
export function osElement(vm: Vm): XmlElement {
  const type = element('type', { arch: arch(vm), machine: vm.machine }, 'hvm');
  if (vm.firmware === 'bios') return element('os', null, type);
  const enabled = vm.firmware === 'uefi-secure' ? 'yes' : 'no';
  // Both are named either way: left open, libvirt takes the first description, which on Debian has
  // Secure Boot on. aarch64 firmware knows neither.
  const features = vm.machine !== 'virt' && [element('feature', { enabled, name: 'secure-boot' }), element('feature', { enabled, name: 'enrolled-keys' })];
  return element('os', { firmware: 'efi' }, type, features && element('firmware', null, ...features));
}

/** `<features>`: ACPI everywhere, SMM for Secure Boot, no VMware port on x86. */
export function featuresElement(vm: Vm): XmlElement {
  if (vm.machine === 'virt') return element('features', null, element('acpi'), element('gic'));
  return element(
    'features',
    null,
    element('acpi'),
    element('apic'),
    vm.firmware === 'uefi-secure' && element('smm', { state: 'on' }),
    element('vmport', { state: 'off' }),
  );
}

const X86_TIMERS = [
  element('timer', { name: 'rtc', tickpolicy: 'catchup' }),
  element('timer', { name: 'pit', tickpolicy: 'delay' }),
  element('timer', { name: 'hpet', present: 'no' }),
].map(fixed);

/** `<clock>`: UTC or the host's local time; on x86 lost ticks are caught up and the HPET is off. */
export function clockElement(vm: Vm): XmlElement {
  return element('clock', { offset: vm.rtc }, ...(vm.machine === 'virt' ? [] : X86_TIMERS));
}

/** The machine virt is aarch64's; q35 and pc are x86-64's. */
function arch(vm: Vm): 'aarch64' | 'x86_64' {
  return vm.machine === 'virt' ? 'aarch64' : 'x86_64';
}
