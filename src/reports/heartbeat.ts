import { createHash } from 'node:crypto';
import { z } from 'zod';
import { check } from '../db/check.ts';
import { kinds } from '../modules/reports/observation.ts';
import type { Difference } from './convergence.ts';
import { bounded, differences, VERSION } from './run.ts';

const bytes = z.int().min(0);
const space = z.strictObject({ total: bytes, free: bytes });
const name = z.string().min(1).max(300);
const state = z.string().max(40);

const thing = z.looseObject({
  state: state.nullish(),
  managed: z.boolean().nullish(),
  uuid: z.string().max(100).nullish(),
  pending: z.unknown().optional(),
  detail: z.record(z.string(), z.unknown()).nullish(),
});

const facts = z.record(z.string().max(100), z.json());
const observation = z.looseObject({ facts: facts.nullish(), things: z.record(z.string(), z.record(name, thing)).nullish() });

const heartbeat = z.looseObject({
  node: name,
  boot_id: z.string().max(100).nullish(),
  uptime: z.number().min(0).max(1e11).nullish(),
  load: z.array(z.number().min(0).max(1e9)).max(3).nullish(),
  memory: space.nullish(),
  disks: z.record(z.string().max(200), space).nullish(),
  document: z.string().regex(VERSION, 'must be a document version, e.g. 41-9f2c0a1b2c3d4e5f').nullish(),
  run: z.looseObject({ running: z.boolean().nullish(), started_at: z.string().max(60).nullish() }).nullish(),
  domains: z.record(name, z.looseObject({ uuid: z.string().max(100).nullish(), state })).nullish(),
  observation: observation.nullish(),
});

/** Names that observations use for what the document calls otherwise. */
const aliases: Readonly<Record<string, string>> = { osd: 'ceph_osd', mon: 'ceph_mon', key: 'ceph_key' };
const known: ReadonlySet<string> = new Set(kinds);
const MAX_DISKS = 32;
const MAX_THINGS = 20_000;
const MAX_DETAIL = 4000;
const MAX_FACTS = 65_536;

/** One thing as the host sees it. */
export interface Seen {
  readonly name: string;
  readonly state: string | null;
  readonly managed: boolean | null;
  readonly uuid: string | null;
  readonly pending: readonly Difference[];
  readonly detail: Readonly<Record<string, unknown>>;
}

/** A heartbeat, read. */
export interface Heartbeat {
  readonly node: string;
  readonly boot_id: string | null;
  readonly uptime: number | null;
  readonly load: readonly number[] | null;
  readonly memory: { readonly total: number; readonly free: number } | null;
  /** JSON text. */
  readonly disks: string | null;
  readonly document: string | null;
  readonly running_since: Date | null;
  /** States of all domains; undefined: the host did not say. */
  readonly domains: readonly { readonly name: string; readonly uuid: string | null; readonly state: string }[] | undefined;
  /** Digest of those. */
  readonly seen: string;
  readonly facts: Readonly<Record<string, unknown>> | undefined;
  /** All things of each kind that is there; kinds that are left out were not looked at. */
  readonly things: Readonly<Record<string, readonly Seen[]>> | undefined;
}

/** Reads a heartbeat. @throws Problem invalid with the places */
export function readHeartbeat(input: unknown, now: Date): Heartbeat {
  const data = check(heartbeat as unknown as z.ZodType<Record<string, unknown>>, input) as z.infer<typeof heartbeat>;
  const { memory, disks, run, domains, observation: seen } = data;
  const states =
    domains &&
    Object.entries(domains)
      .slice(0, MAX_THINGS)
      .map(([one, { uuid, state: now }]) => ({ name: one, uuid: uuid ?? null, state: bounded(now, 40) }));
  const started = Date.parse(run?.started_at ?? '');
  return {
    node: data.node.toLowerCase(),
    boot_id: data.boot_id ? bounded(data.boot_id, 100) : null,
    uptime: data.uptime === null || data.uptime === undefined ? null : Math.floor(data.uptime),
    load: data.load ?? null,
    memory: memory ?? null,
    disks: disks
      ? JSON.stringify(
          Object.fromEntries(
            Object.entries(disks)
              .slice(0, MAX_DISKS)
              .map(([path, one]) => [bounded(path, 200), one]),
          ),
        )
      : null,
    document: data.document ?? null,
    running_since: run?.running ? (Number.isNaN(started) ? now : new Date(Math.min(started, now.getTime()))) : null,
    domains: states ?? undefined,
    seen: states ? digest(states) : '',
    facts: seen?.facts ? factsOf(seen.facts) : undefined,
    things: seen?.things ? thingsOf(seen.things) : undefined,
  };
}

function digest(states: readonly { readonly name: string; readonly uuid: string | null; readonly state: string }[]): string {
  const lines = states.map((one) => `${one.name}\t${one.uuid ?? ''}\t${one.state}`).sort();
  return createHash('sha256').update(lines.join('\n')).digest('base64url').slice(0, 16);
}

/** Data that PostgreSQL takes, no larger than told. */
function plain(value: unknown, max: number): Record<string, unknown> {
  const text = JSON.stringify(value, (_key, one: unknown) => (typeof one === 'string' ? bounded(one, 2000) : one)).replaceAll('\\u0000', '\\ufffd');
  return text.length > max ? { omitted: `${text.length} characters are more than the ${max} that are kept` } : (JSON.parse(text) as Record<string, unknown>);
}

const factsOf = (given: unknown): Record<string, unknown> => plain(given, MAX_FACTS);

function thingsOf(given: Readonly<Record<string, Readonly<Record<string, z.infer<typeof thing>>>>>): Record<string, Seen[]> {
  const out: Record<string, Seen[]> = {};
  for (const [kind, things] of Object.entries(given)) {
    const own = aliases[kind] ?? kind;
    /* A newer host package may see more than this Corral knows of. */
    if (!known.has(own)) continue;
    out[own] = Object.entries(things)
      .slice(0, MAX_THINGS)
      .map(([one, { state, managed, uuid, pending, detail }]) => ({
        name: bounded(one, 300),
        state: state ? bounded(state, 40) : null,
        managed: managed ?? null,
        uuid: uuid ?? null,
        pending: differences(pending),
        detail: { ...(uuid ? { uuid: bounded(uuid, 100) } : {}), ...(detail ? plain(detail, MAX_DETAIL) : {}) },
      }));
  }
  return out;
}

/** The facts of Facter or of the host package in one form; what neither gives is null. */
export function factsOfFacter(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const at = (...path: string[]): unknown =>
    path.reduce<unknown>((inner, part) => (typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>)[part] : undefined), values) ?? null;
  const disks = at('disks');
  const models = at('processors', 'models');
  return plain(
    {
      cores: at('processors', 'count'),
      memory: at('memory', 'system', 'total_bytes'),
      cpu_model: Array.isArray(models) ? models[0] : null,
      os: [at('os', 'name'), at('os', 'release', 'full')].filter((part) => typeof part === 'string').join(' ') || null,
      kernel: at('kernelrelease') ?? at('kernel'),
      disks:
        typeof disks === 'object' && disks !== null
          ? Object.entries(disks as Record<string, Record<string, unknown>>).map(([disk, one]) => ({
              name: disk,
              size: one['size_bytes'] ?? null,
              rotational: one['type'] === 'hdd',
              model: one['model'] ?? null,
            }))
          : [],
      puppet: at('puppetversion'),
    },
    MAX_FACTS,
  );
}

/** Facter's facts, as large as they may be kept. */
export const toolFacts = (values: Readonly<Record<string, unknown>>): Record<string, unknown> => plain(values, 1_048_576);
