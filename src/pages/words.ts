import type { Field, Model } from '../db/catalog.ts';

const capitals = new Set([
  'api',
  'bps',
  'cidr',
  'cpu',
  'db',
  'dhcp',
  'dns',
  'fqdn',
  'fsid',
  'ha',
  'id',
  'ip',
  'iops',
  'mac',
  'mtu',
  'osd',
  'pg',
  'ram',
  'rbd',
  'rtc',
  'url',
  'uuid',
  'vlan',
  'vm',
  'vxlan',
]);
const whole: Readonly<Record<string, string>> = {
  ceph_mon: 'Ceph monitor',
  ceph_osd: 'Ceph OSD',
  cputime_limit: 'CPU time limit',
  is_default: 'Default',
  pg_num: 'Placement groups',
};

/** What people read for a wire name: `cores_max` is `Cores max`, `fqdn` is `FQDN`. */
export function labelOf(name: string): string {
  const known = whole[name];
  if (known !== undefined) return known;
  const words = name.split('_').map((word) => (capitals.has(word) ? word.toUpperCase() : word));
  return words.join(' ').replace(/^./, (first) => first.toUpperCase());
}

/** The plural of a noun for people: `Virtual machines`, `Addresses`. */
export function pluralOf(model: Model): string {
  const { title } = model.resource;
  if (title === 'Person') return 'People';
  if (title.endsWith('s')) return `${title}es`;
  return /[^aeiou]y$/.test(title) ? `${title.slice(0, -1)}ies` : `${title}s`;
}

/** The singular inside a sentence: `virtual machine`, but `VM interface`. */
export function nounOf(model: Model): string {
  const { title } = model.resource;
  return /^(?:[A-Z]{2}|Ceph)/.test(title) ? title : title.replace(/^./, (first) => first.toLowerCase());
}

export const article = (noun: string): string => (/^[aeio]/i.test(noun) ? 'an' : 'a');

const steps = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** Bytes for reading, rounded to a tenth: `1.5 GiB`. */
export function bytesShort(bytes: number): string {
  let step = 0;
  let value = bytes;
  while (Math.abs(value) >= 1024 && step < steps.length - 1) {
    value /= 1024;
    step++;
  }
  return `${String(Math.round(value * 10) / 10)} ${steps[step]!}`;
}

/** Bytes for editing: in the largest unit that divides them, so that nothing is lost on the way back. */
export function bytesExact(bytes: number): string {
  let step = 0;
  let value = bytes;
  while (value !== 0 && value % 1024 === 0 && step < steps.length - 1) {
    value /= 1024;
    step++;
  }
  return step === 0 ? String(value) : `${String(value)} ${steps[step]!}`;
}

/** Whether a field counts bytes per second. */
export const isRate = (field: Field): boolean => field.unit === 'bytes' && /per second/.test(field.description);

/** A field's description without what the page itself says better. */
export function helpOf(field: Field): string {
  return field.unit === 'bytes'
    ? field.description.replace(/ In bytes\./, '').replace(/ In bytes per second; null is no limit\./, ' No limit when empty.')
    : field.description.replace(/ In operations per second; null is no limit\./, ' In operations per second; no limit when empty.');
}

export const count = (n: number): string => String(n).replace(/\B(?=(\d{3})+$)/g, '\u202f');
