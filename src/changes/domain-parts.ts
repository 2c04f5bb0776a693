/** A domain's XML taken apart into the properties that its host compares: as host/src/corral_host/domain_parts.py does. */
import { XMLParser } from 'fast-xml-parser';

/** Places of a property, as `vda driver@cache`, with their texts. */
export type Flat = Readonly<Record<string, string>>;

export const PROPERTIES = [
  'title',
  'metadata',
  'vcpus',
  'vcpus_max',
  'memory',
  'memory_max',
  'cpu_limit',
  'cpu',
  'boot',
  'clock',
  'disks',
  'disk_limits',
  'interfaces',
  'devices',
] as const;
export type Property = (typeof PROPERTIES)[number];

export interface Domain {
  /** kvm, qemu or lxc. */
  readonly type: string;
  readonly title: string;
  readonly parts: Readonly<Record<Property, Flat>>;
  /** The kind of each disk, and the bus that it is on, by target. */
  readonly disks: Readonly<Record<string, { readonly device: string; readonly bus: string }>>;
  /** What a virtio-mem device adds to the memory at start, and the size of its blocks, in KiB; 0 without one. */
  readonly device: { readonly size: number; readonly block: number };
}

/** An element as the parser gives it: attributes with `@`, text, children by name. */
interface Element {
  readonly [key: string]: string | readonly Element[] | undefined;
}

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseTagValue: false,
  parseAttributeValue: false,
  alwaysCreateTextNode: true,
  isArray: (_name, _path, _leaf, attribute) => !attribute,
});

const KEYS = ['@key', '@name', '@id'] as const;
const LEAVE: ReadonlySet<string> = new Set(['alias', 'boot', 'iotune', 'backingStore', 'mirror']);
const TOP: Readonly<Record<string, Property>> = {
  cputune: 'cpu_limit',
  os: 'boot',
  features: 'boot',
  pm: 'boot',
  on_poweroff: 'boot',
  on_reboot: 'boot',
  on_crash: 'boot',
  clock: 'clock',
};
const APART = new Set(['name', 'uuid', 'title', 'metadata', 'memory', 'currentMemory', 'maxMemory', 'vcpu', 'vcpus', 'cpu', 'blkiotune', 'devices']);

const children = (element: Element | undefined, name: string): readonly Element[] => (element?.[name] as readonly Element[] | undefined) ?? [];
const child = (element: Element | undefined, name: string): Element | undefined => children(element, name)[0];
const attribute = (element: Element | undefined, name: string): string => (element?.[`@${name}`] as string | undefined) ?? '';
const textOf = (element: Element | undefined): string => ((element?.['#text'] as string | undefined) ?? '').trim();
const named = (element: Element): [string, readonly Element[]][] =>
  Object.entries(element).filter((one): one is [string, readonly Element[]] => Array.isArray(one[1]));

/** Writes attributes, text and children of an element below a place. */
function flatten(element: Element, place: string, out: Record<string, string>, leave: ReadonlySet<string> = new Set()): void {
  out[place] = textOf(element);
  for (const [name, value] of Object.entries(element)) if (name.startsWith('@')) out[`${place}${name}`] = String(value);
  for (const [name, all] of named(element)) {
    if (leave.has(name)) continue;
    const seen = new Map<string, number>();
    for (const one of all) {
      const key = KEYS.map((attr) => one[attr]).find((value) => value !== undefined);
      const step = key === undefined ? name : `${name}[${String(key)}]`;
      const n = (seen.get(step) ?? 0) + 1;
      seen.set(step, n);
      flatten(one, `${place} ${step}${n > 1 ? `#${n}` : ''}`, out, leave);
    }
  }
}

const number = (element: Element | undefined): number => Number(textOf(element)) || 0;

/** Takes a domain that Corral has written apart. */
export function domainOf(xml: string): Domain {
  const root = child(parser.parse(xml) as Element, 'domain') ?? {};
  const parts = Object.fromEntries(PROPERTIES.map((name) => [name, {}])) as Record<Property, Record<string, string>>;
  const disks: Record<string, { device: string; bus: string }> = {};
  parts.cpu['domain@type'] = attribute(root, 'type');
  const title = textOf(child(root, 'title'));
  if (title !== '') parts.title['title'] = title;
  for (const [name, all] of named(root)) {
    if (!APART.has(name)) for (const one of all) flatten(one, name, parts[TOP[name] ?? 'devices']);
  }
  delete parts.cpu_limit['cputune'];
  const ours = child(child(root, 'metadata'), 'corral:vm');
  if (ours) flatten(ours, 'vm', parts.metadata);
  for (const tune of children(root, 'blkiotune')) flatten(tune, 'blkiotune', parts.disk_limits);
  const mem = children(child(root, 'devices'), 'memory').find((one) => attribute(one, 'model') === 'virtio-mem');
  const target = child(mem, 'target');
  capacity(root, parts);
  devices(root, parts, disks);
  return { type: attribute(root, 'type'), title, parts, disks, device: { size: number(child(target, 'size')), block: number(child(target, 'block')) || 2048 } };
}

function capacity(root: Element, parts: Record<Property, Record<string, string>>): void {
  const vcpu = child(root, 'vcpu');
  const most = textOf(vcpu) || '1';
  parts.vcpus_max['vcpus'] = most;
  parts.vcpus['vcpus'] = attribute(vcpu, 'current') || most;
  parts.memory['KiB'] = String(number(child(root, 'currentMemory') ?? child(root, 'memory')));
  parts.memory_max['KiB'] = String(number(child(root, 'memory')));
  const cpu = child(root, 'cpu');
  if (!cpu) return;
  flatten(cpu, 'cpu', parts.cpu, new Set(['topology', 'numa']));
  const topology = child(cpu, 'topology');
  if (topology) flatten(topology, 'topology', parts.vcpus_max);
}

function devices(root: Element, parts: Record<Property, Record<string, string>>, disks: Record<string, { device: string; bus: string }>): void {
  const seen = new Map<string, number>();
  for (const [tag, all] of named(child(root, 'devices') ?? {})) {
    for (const device of all) {
      let key = otherKey(tag, device);
      const target = child(device, 'target');
      if (tag === 'disk' || tag === 'filesystem') {
        key = attribute(target, 'dev') || attribute(target, 'dir');
        disks[key] = { device: attribute(device, 'device') || tag, bus: attribute(target, 'bus') };
        flatten(device, key, parts.disks, LEAVE);
        for (const [name, limits] of named(child(device, 'iotune') ?? {})) parts.disk_limits[`${key} ${name}`] = textOf(limits[0]);
      } else if (tag === 'interface') {
        key = attribute(child(device, 'mac'), 'address').toLowerCase();
        flatten(device, key, parts.interfaces, LEAVE);
      } else if (attribute(device, 'model') !== 'virtio-mem') {
        const n = (seen.get(key) ?? 0) + 1;
        seen.set(key, n);
        flatten(device, n > 1 ? `${key}#${n}` : key, parts.devices, LEAVE);
      }
      const order = attribute(child(device, 'boot'), 'order');
      if (order !== '') parts.boot[`order of ${key}`] = order;
    }
  }
}

function otherKey(tag: string, device: Element): string {
  if (tag === 'controller') return `controller ${attribute(device, 'type')} ${attribute(device, 'index') || '0'}`;
  const target = child(device, 'target');
  return tag === 'channel' && target ? `channel ${attribute(target, 'name')}` : tag;
}

/** The devices of `disks` or `interfaces`. */
export const members = (flat: Flat): Set<string> => new Set(Object.keys(flat).map(memberOf));

/** The device of a place. */
export const memberOf = (place: string): string => place.split(/[@ ]/, 1)[0]!;

/** The first element below a device: `source` of `02:c0:… source@bridge`; empty for the device's own attributes. */
export const elementOf = (place: string): string => (/ ([^@ [#]+)/.exec(place) ?? ['', ''])[1]!;

/** Places that are not the same on both sides. */
export const placesOf = (before: Flat, after: Flat): string[] =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((place) => before[place] !== after[place]).sort();
