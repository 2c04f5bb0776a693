/**
 * vCPUs and memory, with room to grow while the VM runs.
 *
 * vCPUs: `<vcpu current>` of a maximum; the rest is plugged in with `virsh setvcpus --live`.
 *
 * Memory: the VM starts with `ram` in its one NUMA cell; the headroom up to `ram_max` is one virtio-mem
 * device that starts with nothing plugged (`requested` 0) and is resized live, up and down, with
 * `virsh update-memory-device --requested-size`. The other two ways are less faithful: a balloon in a
 * VM that starts with `ram_max` leaves it to the guest's driver whether the VM has more than it paid
 * for, and DIMM slots grow only, each by what it is, until the slots are used up. Needs virtio_mem in
 * the guest (Linux 5.8 and later); a guest without it has `ram`, neither more nor less.
 * https://libvirt.org/formatdomain.html#memory-devices
 */
import type { Vm } from '../types.ts';
import { element, type XmlElement } from '../xml.ts';
import { refuse, type Refusal } from '../refusal.ts';
import { CPU_PERIOD, cpuQuota, kib } from './identity.ts';
import { singleAddress } from './pci.ts';

/** virtio-mem plugs blocks of this size: the smallest that x86 guests with 2 MiB pages take. */
const BLOCK = 2048;

/** Headroom in KiB, a whole number of blocks; 0 for none. */
function headroom(vm: Vm): number {
  return Math.ceil(Math.max(0, kib(vm.ram_max) - kib(vm.ram)) / BLOCK) * BLOCK;
}

/** vCPUs that the VM may have without a restart. */
function maximum(vm: Vm): number {
  return Math.max(vm.cores, vm.cores_max);
}

/** `<maxMemory>`, `<memory>`, `<currentMemory>`. libvirt's `<memory>` counts the memory devices. */
export function memoryElements(vm: Vm): XmlElement[] {
  const unit = 'KiB';
  const boot = kib(vm.ram);
  const total = boot + headroom(vm);
  return [
    ...(total > boot ? [element('maxMemory', { slots: 1, unit }, total)] : []),
    element('memory', { unit }, total),
    element('currentMemory', { unit }, boot),
  ];
}

/** The virtio-mem device that holds the headroom; null when there is none. */
export function memoryDevice(vm: Vm): XmlElement | null {
  const size = headroom(vm);
  if (size === 0) return null;
  const unit = 'KiB';
  return element(
    'memory',
    { model: 'virtio-mem' },
    element('target', null, element('size', { unit }, size), element('node', null, 0), element('block', { unit }, BLOCK), element('requested', { unit }, 0)),
    singleAddress(vm.machine, 'memory'),
  );
}

/** `<vcpu>` and, with a limit, `<cputune>`: period and quota hold for each vCPU by itself. */
export function cpuElements(vm: Vm): XmlElement[] {
  const max = maximum(vm);
  const vcpu = element('vcpu', { placement: 'static', current: vm.cores < max ? vm.cores : null }, max);
  if (vm.cputime_limit === null) return [vcpu];
  return [vcpu, element('cputune', null, element('period', null, CPU_PERIOD), element('quota', null, cpuQuota(vm.cputime_limit)))];
}

/**
 * `<cpu>`: mode and model, one socket with all vCPUs as its cores (guests that are licensed by socket
 * see one), and the NUMA cell that memory devices need. Without KVM there is no host processor to pass
 * through: `maximum` is then what the emulator can do, which is what passing through asks for.
 */
export function cpuModel(vm: Vm): XmlElement | { readonly unsupported: Refusal } {
  const mode = vm.cpu_mode === 'host-passthrough' && vm.method === 'QEMU' ? 'maximum' : vm.cpu_mode;
  if (mode === 'custom' && vm.cpu_model === null) {
    return refuse('cpu_model_missing', 'cpu_mode custom needs a cpu_model');
  }
  const max = maximum(vm);
  const topology = element('topology', { sockets: 1, dies: 1, cores: max, threads: 1 });
  const numa = headroom(vm) > 0 && element('numa', null, element('cell', { id: 0, cpus: max === 1 ? '0' : `0-${max - 1}`, memory: kib(vm.ram), unit: 'KiB' }));
  switch (mode) {
    case 'custom':
      return element('cpu', { mode, match: 'exact', check: 'partial' }, element('model', { fallback: 'forbid' }, vm.cpu_model), topology, numa);
    case 'host-model':
      return element('cpu', { mode, check: 'partial' }, topology, numa);
    case 'host-passthrough':
    case 'maximum':
      return element('cpu', { mode, check: 'none', migratable: 'on' }, topology, numa);
  }
}
