/** What a host is told to remove. */
import type { Tombstone } from './types.ts';

/** An entry that names a thing as gone, with what the host needs to find it. */
export type Absent = Readonly<Record<string, unknown>> & { readonly ensure: 'absent' };

/** Things by name, there or gone. */
export type Entries = Record<string, unknown>;

/** The absent entries of one kind by name. */
export function absent(tombstones: readonly Tombstone[], kind: Tombstone['kind']): Record<string, Absent> {
  return Object.fromEntries(tombstones.filter((one) => one.kind === kind).map(({ name, detail }) => [name, { ...detail, ensure: 'absent' as const }]));
}

/**
 * Absent and present entries together. A thing that is present again is present: a tombstone that was
 * left behind must never take what is modelled now.
 */
export function merged(gone: Record<string, Absent>, there: Entries): Entries {
  return { ...gone, ...there };
}
