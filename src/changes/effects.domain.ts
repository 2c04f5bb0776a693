/**
 * What a host does about a domain whose document changed: at once, or at the domain's next start. The truth is
 * host/src/corral_host (domain_judge.py, domain_live.py), told in docs/hosts.md under Domains; each row of the table
 * names its place there. What runs is taken to be what the document asked for before.
 */
import { domainOf, elementOf, memberOf, members, placesOf, type Domain, type Property } from './domain-parts.ts';

/** Lines for people: done at once, and waiting for the next start. */
export interface Effects {
  readonly live: string[];
  readonly restart: string[];
}

interface Change {
  /** What it is called: vm-17 (web). */
  readonly name: string;
  readonly before: Domain;
  readonly after: Domain;
  /** Places of the property that are not the same. */
  readonly places: readonly string[];
}

interface Rule {
  readonly property: Property;
  /** Where the host decides so. */
  readonly cite: string;
  readonly says: (change: Change) => Partial<Effects>;
}

const live = (...lines: string[]): Partial<Effects> => ({ live: lines });
const restart = (...lines: string[]): Partial<Effects> => ({ restart: lines });

/** KiB as people write them. */
export function amount(kib: number): string {
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let [value, unit] = [kib, 0];
  while (value >= 1024 && value % 1024 === 0 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${value} ${units[unit]}`;
}

const vcpus = (n: number): string => `${n} vCPU${n === 1 ? '' : 's'}`;

/** Elements of an interface that change while the domain runs: `_NIC_LIVE` in domain_judge.py. */
const WIRING = new Set(['source', 'link', 'bandwidth', 'filterref']);
/** Buses that QEMU plugs nothing into while it runs: libvirt's qemu_hotplug.c. */
const COLD = new Set(['sata', 'ide', 'fdc']);

const BOOT: readonly [RegExp, string][] = [
  [/^os type/, 'another machine'],
  [/^os/, 'another firmware'],
  [/^features/, 'other features of the machine'],
  [/^order of/, 'another boot order'],
  [/^/, 'what happens when it ends'],
];

export const RULES: readonly Rule[] = [
  { property: 'title', cite: 'domain_live.py _title', says: ({ name, after }) => live(`name ${name} '${after.title}'`) },
  { property: 'metadata', cite: 'domain_live.py _metadata', says: ({ name }) => live(`write the metadata of ${name}`) },
  { property: 'vcpus', cite: 'domain_live.py _vcpus, domain_judge.py _can', says: vcpuChange },
  {
    property: 'vcpus_max',
    cite: 'domain_judge.py HOT: not in it',
    says: ({ name, after }) => restart(`${name}: room for ${vcpus(Number(after.parts.vcpus_max['vcpus']))}`),
  },
  { property: 'memory', cite: 'domain_live.py _memory, domain_memory.py reachable', says: memoryChange },
  {
    property: 'memory_max',
    cite: 'domain_judge.py HOT: not in it',
    says: ({ name, after }) => restart(`${name}: room for ${amount(Number(after.parts.memory_max['KiB']))} of memory`),
  },
  { property: 'cpu_limit', cite: 'domain_live.py _cpu_limit', says: ({ name }) => live(`set the limit of processor time of ${name}`) },
  {
    property: 'cpu',
    cite: 'domain_judge.py HOT: not in it',
    says: ({ name, places, after }) => restart(places.includes('domain@type') ? `${name}: run by ${after.type}` : `${name}: another processor`),
  },
  {
    property: 'boot',
    cite: 'domain_judge.py HOT: not in it; _known_orders',
    says: ({ name, places, before, after }) => {
      const both = (member: string): boolean =>
        (['disks', 'interfaces'] as const).some((one) => members(before.parts[one]).has(member) && members(after.parts[one]).has(member));
      const kept = places.filter((place) => !place.startsWith('order of ') || both(place.slice('order of '.length)));
      const what = new Set(kept.map((place) => BOOT.find(([pattern]) => pattern.test(place))![1]));
      return restart(...[...what].map((one) => `${name}: ${one}`));
    },
  },
  { property: 'clock', cite: 'domain_judge.py HOT: not in it', says: ({ name }) => restart(`${name}: another clock`) },
  { property: 'disks', cite: 'domain_judge.py _plugged, _media; domain_live.py _plug', says: diskChange },
  {
    property: 'disk_limits',
    cite: 'domain_live.py _disk_limits',
    says: ({ name, places, before, after }) => {
      const stays = (place: string): boolean => before.disks[memberOf(place)] !== undefined && after.disks[memberOf(place)] !== undefined;
      const disks = [...new Set(places.filter(stays).map(memberOf))];
      const files = places.some((place) => place.startsWith('blkiotune'));
      return {
        live: disks.map((disk) => `set the limits of disk ${disk} of ${name}`),
        restart: files ? [`${name}: the limits of a container's block devices`] : [],
      };
    },
  },
  { property: 'interfaces', cite: 'domain_judge.py _NIC_LIVE, _plugged; domain_live.py _interfaces', says: cardChange },
  { property: 'devices', cite: 'domain_judge.py HOT: not in it', says: ({ name }) => restart(`${name}: other devices`) },
];

function vcpuChange({ name, before, after }: Change): Partial<Effects> {
  const [now, wanted, most] = [before.parts.vcpus['vcpus'], after.parts.vcpus['vcpus'], before.parts.vcpus_max['vcpus']].map(Number) as [
    number,
    number,
    number,
  ];
  const can = Math.min(wanted, most);
  if (can < now) {
    if (before.type === 'kvm') return live(`take ${vcpus(now - can)} from ${name}, if its guest lets go`);
    const why = before.type === 'qemu' ? 'without KVM, QEMU does not survive that one is taken away' : 'a container is not asked for its vCPUs while it runs';
    return restart(`${name}: ${vcpus(now - can)} fewer (${why})`);
  }
  return {
    live: can > now ? [`plug ${vcpus(can - now)} into ${name}`] : [],
    restart: wanted > can ? [`${name}: ${vcpus(wanted - can)} more (it was started with room for ${most})`] : [],
  };
}

function memoryChange({ name, before, after }: Change): Partial<Effects> {
  const [now, wanted] = [Number(before.parts.memory['KiB']), Number(after.parts.memory['KiB'])];
  const { size, block } = before.device;
  const boot = Number(before.parts.memory_max['KiB']) - size;
  const can = size === 0 || wanted <= boot ? Math.min(wanted, boot) : boot + Math.min(Math.ceil((wanted - boot) / block) * block, size);
  return {
    live:
      can === now
        ? []
        : [
            can > now
              ? `give ${name} ${amount(can)} of memory (it has ${amount(now)})`
              : `take ${amount(now - can)} of memory from ${name}, as far as its guest lets go`,
          ],
    restart: wanted > can ? [`${name}: ${amount(wanted)} of memory (it was started with room for ${amount(boot + size)})`] : [],
  };
}

function diskChange({ name, before, after, places }: Change): Partial<Effects> {
  const out: Effects = { live: [], restart: [] };
  for (const key of new Set(places.map(memberOf))) {
    const [was, is] = [before.disks[key], after.disks[key]];
    const drive = was?.device === 'cdrom' || is?.device === 'cdrom';
    const what = drive ? `CD drive ${key}` : `disk ${key}`;
    if (was && is) {
      /* The medium of a drive is left to people. */
      const kept = places.filter((place) => memberOf(place) === key && !(drive && ['source', 'driver'].includes(elementOf(place))));
      if (kept.length > 0)
        out.restart.push(`${name}: ${what} changes (${[...new Set(kept.map((place) => place.slice(key.length).trim() || what))].join(', ')})`);
    } else if (COLD.has((was ?? is)!.bus)) {
      out.restart.push(`${name}: ${what} ${is ? 'comes' : 'goes'} (QEMU does not plug one while it runs)`);
    } else {
      out.live.push(is ? `attach ${what} to ${name}${serialOf(after, key)}` : `detach ${what} from ${name}${serialOf(before, key)}`);
    }
  }
  return out;
}

const serialOf = (domain: Domain, key: string): string => {
  const serial = domain.parts.disks[`${key} serial`];
  return serial === undefined ? '' : `: ${serial}`;
};

function cardChange({ name, before, after, places }: Change): Partial<Effects> {
  const out: Effects = { live: [], restart: [] };
  for (const mac of new Set(places.map(memberOf))) {
    const [was, is] = [before, after].map((side) => members(side.parts.interfaces).has(mac)) as [boolean, boolean];
    const card = `card ${(is ? after : before).parts.interfaces[`${mac} target@dev`] ?? ''} (${mac})`;
    if (was && is) {
      const mine = places.filter((place) => memberOf(place) === mac);
      const cold = mine.filter((place) => !WIRING.has(elementOf(place)));
      if (cold.length < mine.length) out.live.push(`rewire ${card} of ${name}`);
      if (cold.length > 0) out.restart.push(`${name}: ${card} changes (${cold.map((place) => place.slice(mac.length).trim()).join(', ')})`);
    } else out.live.push(is ? `plug ${card} into ${name}` : `take ${card} from ${name}`);
  }
  return out;
}

/** What becomes of a domain that runs, and is to have this other XML. */
export function domainChange(id: string, beforeXml: string, afterXml: string): Effects {
  const [before, after] = [domainOf(beforeXml), domainOf(afterXml)];
  const name = nameOf(id, after);
  const out: Effects = { live: [], restart: [] };
  for (const { property, says } of RULES) {
    const places = placesOf(before.parts[property], after.parts[property]);
    if (places.length === 0) continue;
    const effects = says({ name, before, after, places });
    out.live.push(...(effects.live ?? []));
    out.restart.push(...(effects.restart ?? []));
  }
  return out;
}

const nameOf = (id: string, { title }: { readonly title: string }): string => (title === '' || title === id ? id : `${id} (${title})`);

const TITLE = /<title>([^<]*)<\/title>/;

/** What people know a domain by, without taking its XML apart. */
export function titled(id: string, xml: unknown): string {
  const title = typeof xml === 'string' ? (TITLE.exec(xml)?.[1] ?? '') : '';
  return title === '' || title === id ? id : `${id} (${domainTitle(title)})`;
}

const ENTITIES: Readonly<Record<string, string>> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&apos;': "'" };
const domainTitle = (text: string): string => text.replaceAll(/&(?:amp|lt|gt|quot|apos);/g, (entity) => ENTITIES[entity]!);
