/**
 * What a host does when its document becomes another: at once, and at the next start of its domains. Derived from the
 * two documents and the rules of host/src/corral_host; see docs/hosts.md. A host removes only what the document calls
 * absent, so what merely is no longer named is left alone.
 */
import type { Json } from '../documents/canonical.ts';
import { isObject, textOf } from '../documents/classes.ts';
import type { DocumentBody } from '../documents/document.ts';
import { differing } from './diff.ts';
import { cephEffects } from './effects.ceph.ts';
import { amount, domainChange, titled, type Effects } from './effects.domain.ts';
import { redacted } from './redact.ts';

/** An entry of a document's section, such as a domain. */
export type Entry = Readonly<Record<string, Json>>;

export interface HostEffects extends Effects {
  readonly acts: boolean;
  readonly why?: string;
}

/** What becomes of the entries of one kind. */
interface Kind {
  readonly section: string;
  /** Where the host does so. */
  readonly cite: string;
  readonly comes: (name: string, entry: Entry, out: Effects) => void;
  readonly goes: (name: string, entry: Entry, out: Effects) => void;
  readonly changes: (name: string, before: Entry, after: Entry, out: Effects) => void;
}

/** In the order in which a run applies them: KINDS in host/src/corral_host/kinds/__init__.py. */
export const HYPERVISOR: readonly Kind[] = [
  {
    section: 'secrets',
    cite: 'kinds/secret.py',
    comes: (_, entry, { live }) => live.push(`set the secret for ${text(entry, 'entity')} of ${text(entry, 'cluster')}`),
    goes: (name, _, { live }) => live.push(`remove the secret ${name}`),
    changes: (_, before, after, { live }) =>
      live.push(
        `set the ${before['value'] === after['value'] ? 'definition' : 'value'} of the secret for ${text(after, 'entity')} of ${text(after, 'cluster')}`,
      ),
  },
  {
    section: 'bridges',
    cite: 'kinds/bridge.py',
    comes: (name, entry, { live }) => {
      live.push(`create bridge ${name}`);
      refusedNetworks(name, entry, live);
    },
    goes: (name, _, { live }) => live.push(`remove bridge ${name}`),
    changes: bridgeChange,
  },
  {
    section: 'pools',
    cite: 'kinds/pool.py',
    comes: (name, _, { live }) => live.push(`define and start storage pool ${name}`),
    goes: (name, _, { live }) => live.push(`forget storage pool ${name} (what is in it stays)`),
    changes: (name, before, after, { live }) => {
      if (before['xml'] !== after['xml']) live.push(`define storage pool ${name} anew, and start it again (what is open stays open)`);
    },
  },
  {
    section: 'volumes',
    cite: 'kinds/volume.py',
    comes: (name, entry, { live }) => {
      if (isObject(entry['unsupported'])) return void live.push(`refuse volume ${name}: ${text(entry['unsupported'], 'reason')}`);
      const filled = isObject(entry['filled_from']) ? `, filled from ${text(entry['filled_from'], 'name')}` : '';
      live.push(`create volume ${name} in pool ${text(entry, 'pool')} (${size(entry)}${filled}), unless it is there`);
    },
    goes: (name, entry, { live }) => live.push(`remove volume ${name} of pool ${text(entry, 'pool')} with its data`),
    changes: volumeChange,
  },
  {
    section: 'domains',
    cite: 'kinds/domain.py',
    comes: domainComes,
    goes: (name, _, { live }) => live.push(`remove domain ${name} (stopped first; its disks stay)`),
    changes: domainChanges,
  },
];

/** What a host does about its new document. `before` null: it had none; secrets may be in both, and are in no line. */
export function effectsOf(before: DocumentBody | null, after: DocumentBody): HostEffects {
  const state = textOf(after, 'state');
  if (state === 'deactivated') return { acts: false, why: 'it is deactivated: its documents answer 410', live: [], restart: [] };
  const out: Effects = { live: [], restart: [] };
  const [left, right] = redacted(before, after);
  if (left !== null && left['environment'] !== right!['environment']) out.live.push(`take its code from the environment ${textOf(right!, 'environment')}`);
  cephEffects(part(left, 'ceph'), part(right, 'ceph'), textOf(after, 'node'), out);
  const [was, is] = [part(left, 'hypervisor'), part(right, 'hypervisor')];
  for (const kind of HYPERVISOR) eachEntry(kind, part(was, kind.section), part(is, kind.section), out);
  layerEffects(left, right!, out);
  if (state === 'stopped') return { acts: false, why: 'it is stopped: it does this when it runs again', ...out };
  return { acts: true, ...out };
}

/** Compares the entries of a kind, by name. */
export function eachEntry(kind: Pick<Kind, 'comes' | 'goes' | 'changes'>, before: Entry, after: Entry, out: Effects): void {
  const changed = differing(before, after);
  if (changed === undefined) return;
  for (const name of Object.keys(changed[1] as Entry)) {
    const [was, is] = [before[name], after[name]];
    if (!isObject(is)) continue;
    const there = isObject(was) && was['ensure'] === 'present';
    if (is['ensure'] === 'absent') {
      if (!isObject(was) || there) kind.goes(name, is, out);
    } else if (there) kind.changes(name, was, is, out);
    else kind.comes(name, is, out);
  }
}

/** An object inside of one; empty where there is none. */
export const part = (body: Json | undefined, key: string): Entry => {
  const value = isObject(body ?? undefined) ? (body as Entry)[key] : undefined;
  return isObject(value) ? value : {};
};

export const text = (entry: Entry, key: string): string => (entry[key] === undefined || entry[key] === null ? '' : String(entry[key]));

const size = (entry: Entry): string => {
  const bytes = Number(entry['size']);
  return bytes % 1024 === 0 ? amount(bytes / 1024) : `${bytes} bytes`;
};

const BRIDGE: readonly (readonly [string, string])[] = [
  ['mtu', 'MTU'],
  ['addresses', 'addresses'],
  ['routes', 'routes'],
  ['routed', 'forwarding'],
  ['ports', 'ports'],
  ['vlan_filtering', 'VLAN filtering'],
];

function bridgeChange(name: string, before: Entry, after: Entry, { live }: Effects): void {
  const what = BRIDGE.filter(([key]) => differing(before[key] ?? null, after[key] ?? null) !== undefined).map(([, said]) => said);
  if (what.length > 0) live.push(`set ${what.join(', ')} of bridge ${name}`);
  if (differing(before['unsupported'] ?? null, after['unsupported'] ?? null) !== undefined) refusedNetworks(name, after, live);
}

function refusedNetworks(name: string, entry: Entry, live: string[]): void {
  for (const one of Array.isArray(entry['unsupported']) ? (entry['unsupported'] as Entry[]) : [])
    live.push(`refuse bridge ${name} as a member of network ${text(one, 'network')}: ${text(one, 'reason')}`);
}

/** `_compare_present` in kinds/volume.py: larger is done live, smaller and another format never. */
function volumeChange(name: string, before: Entry, after: Entry, { live }: Effects): void {
  if (isObject(after['unsupported'])) return void live.push(`refuse volume ${name}: ${text(after['unsupported'], 'reason')}`);
  if (before['type'] !== after['type']) live.push(`refuse volume ${name}: a volume keeps its format`);
  if (before['pool'] !== after['pool']) live.push(`create volume ${name} in pool ${text(after, 'pool')} (${size(after)}), unless it is there`);
  else if (Number(after['size']) > Number(before['size'])) live.push(`enlarge volume ${name} to ${size(after)}`);
  else if (before['size'] !== after['size']) live.push(`refuse volume ${name}: it is never made smaller`);
}

/** A domain that was not there, or of which nothing could be made. */
function domainComes(name: string, entry: Entry, { live }: Effects): void {
  const called = titled(name, entry['xml']);
  if (isObject(entry['unsupported'])) return void live.push(`leave ${name} as it is: ${text(entry['unsupported'], 'reason')}`);
  const held = part(entry, 'held')['by'];
  if (Array.isArray(held)) return void live.push(`define ${called}, stopped until ${held.join(', ')} removed it`);
  live.push({ running: `define and start ${called}`, paused: `define ${called}, and start it paused` }[text(entry, 'state')] ?? `define ${called}, stopped`);
}

/** State changes by `set_state` in domain_power.py. */
const STATES: Readonly<Record<string, string>> = {
  'stopped running': 'start',
  'stopped paused': 'start, paused,',
  'running stopped': 'stop',
  'paused stopped': 'stop',
  'running paused': 'pause',
  'paused running': 'resume',
};

function domainChanges(name: string, before: Entry, after: Entry, out: Effects): void {
  const called = titled(name, after['xml']);
  if (isObject(after['unsupported'])) return void out.live.push(`leave ${name} as it is: ${text(after['unsupported'], 'reason')}`);
  if (isObject(before['unsupported'])) return domainComes(name, after, out);
  const [was, is] = [text(before, 'state'), text(after, 'state')];
  if (differing(before['cloud_init'] ?? null, after['cloud_init'] ?? null) !== undefined)
    out.live.push(`write the cloud-init seed of ${called} anew: its guest reads it when it next looks`);
  if (before['xml'] !== after['xml']) {
    const runs = was !== 'stopped' && is !== 'stopped';
    if (runs) {
      const effects = domainChange(name, text(before, 'xml'), text(after, 'xml'));
      out.live.push(...effects.live);
      out.restart.push(...effects.restart);
    } else out.live.push(`define ${called} anew${is === 'stopped' ? '' : ' before it starts'}`);
  }
  const act = STATES[`${was} ${is}`];
  if (act !== undefined) out.live.push(`${act} ${called}${is === 'running' && before['held'] !== undefined ? ': no other host has it any more' : ''}`);
  const held = part(after, 'held')['by'];
  if (Array.isArray(held) && before['held'] === undefined) out.live.push(`keep ${called} stopped until ${held.join(', ')} removed it`);
}

/** What layers give, as a document holds it: what it does is the business of its classes. */
const LAYERED = { classes: 'classes', parameters: 'parameters', data: 'data' } as const;

function layerEffects(before: DocumentBody | null, after: DocumentBody, { live }: Effects): void {
  for (const [key, said] of Object.entries(LAYERED)) {
    const found = differing(part(before ?? {}, key), part(after, key));
    if (found === undefined) continue;
    const names = new Set([...Object.keys(found[0] as Entry), ...Object.keys(found[1] as Entry)]);
    live.push(`apply other ${said} of its layers: ${[...names].sort().join(', ')}`);
  }
}
