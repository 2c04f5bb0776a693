/** What every kind of domain starts with: names, metadata, and what is common to memory and time. */
import type { Vm } from '../types.ts';
import { element, fixed, type XmlElement } from '../xml.ts';

/** Corral's XML namespace in a domain's `<metadata>`; libvirt keeps one element per namespace. */
export const METADATA_NAMESPACE = 'urn:corral:vm:1';

/** Length of a scheduling period in microseconds; quotas below are parts of it. */
export const CPU_PERIOD = 100_000;

/** libvirt's name of a VM: it never changes, while the name that people gave may. */
export function domainName(vm: { readonly id: number }): string {
  return `vm-${vm.id}`;
}

/** `<name>`, `<uuid>`, `<title>` and `<metadata>`. */
export function identity(vm: Vm): XmlElement[] {
  return [
    element('name', null, domainName(vm)),
    element('uuid', null, vm.uuid.toLowerCase()),
    element('title', null, title(vm.name)),
    element('metadata', null, metadata(vm)),
  ];
}

/** libvirt refuses a title with a line feed and an element without text is no title. */
function title(name: string): string | null {
  const line = name.replace(/[\r\n]+/g, ' ').trim();
  return line === '' ? null : line;
}

/**
 * Who the VM belongs to, for people on the host. The document's version is not here: it would change
 * with every other thing on the host. Metadata values that are not strings are JSON.
 */
function metadata(vm: Vm): XmlElement {
  const entries = Object.keys(vm.metadata)
    .sort()
    .map((key) => {
      const value = vm.metadata[key];
      return element('corral:entry', { key }, typeof value === 'string' ? value : JSON.stringify(value));
    });
  return element(
    'corral:vm',
    { 'xmlns:corral': METADATA_NAMESPACE, id: vm.id },
    element('corral:name', null, vm.name),
    vm.customer !== null && element('corral:customer', null, vm.customer),
    vm.project !== null && element('corral:project', null, vm.project),
    ...entries,
  );
}

/** Bytes as KiB, rounded up: the unit that libvirt itself prints memory in. */
export function kib(bytes: number): number {
  return Math.ceil(bytes / 1024);
}

/** Quota in microseconds of a period for a limit in per cent of one core; libvirt takes 1000 at least. */
export function cpuQuota(percent: number): number {
  return Math.max(1000, Math.round((percent * CPU_PERIOD) / 100));
}

/** What happens when the guest ends: off stays off, a reboot and a panic start it again. */
export const LIFECYCLE: readonly XmlElement[] = [
  element('on_poweroff', null, 'destroy'),
  element('on_reboot', null, 'restart'),
  element('on_crash', null, 'restart'),
].map(fixed);
