import type { Difference } from './convergence.ts';

/** Most of each that is kept of one run; the rest is counted. */
export const MAX_ENTRIES = 500;
export const MAX_LOGS = 200;
const MAX_CHANGES = 20;
const MAX_TEXT = 2000;
const MAX_VALUE = 500;

/** One property that a run changed, or would have. */
export interface Change {
  readonly property: string | null;
  readonly before: string | null;
  readonly after: string | null;
  readonly message: string | null;
}

/** A resource or state that did not simply stay as it was. */
export interface Entry {
  readonly type: string;
  readonly title: string;
  readonly result: 'changed' | 'failed' | 'skipped' | 'noop' | 'pending';
  readonly changes: readonly Change[];
  readonly error: string | null;
  readonly pending: readonly Difference[];
  /** Where it is declared: file and line, or the SLS. */
  readonly source: string | null;
}

/** What came of one of Corral's own things. */
export interface Thing {
  readonly kind: string;
  readonly name: string;
  readonly result: 'ok' | 'failed' | 'skipped' | 'noop';
  readonly error: string | null;
  readonly pending: readonly Difference[];
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly source: string | null;
  readonly at: string | null;
}

/** A run of Puppet or Salt, whatever form it was reported in. */
export interface Run {
  readonly tool: 'puppet' | 'salt';
  readonly node: string;
  /** The run's own id. */
  readonly run: string;
  readonly tool_version: string | null;
  readonly environment: string | null;
  readonly began_at: Date;
  readonly ended_at: Date | null;
  readonly noop: boolean;
  readonly compile_failed: boolean;
  readonly failed: boolean;
  /** Something would have been changed, had it been allowed to. */
  readonly withheld: boolean;
  /** Something beside the record of the document itself was changed. */
  readonly changed: boolean;
  /** The tool's own judgement that somebody else had changed the host. */
  readonly corrective: boolean;
  readonly served: string | null;
  readonly applied: string | null;
  readonly counts: Readonly<Record<string, number>>;
  readonly message: string | null;
  readonly entries: readonly Entry[];
  readonly things: readonly Thing[];
  /** Whether every one of Corral's things is named, also those where nothing happened. */
  readonly complete: boolean;
  readonly logs: readonly LogLine[];
}

/** A document's version, as the last resource of a run names it. */
export const VERSION = /^\d{1,9}-[0-9a-f]{16}$/;

/** Text as PostgreSQL takes it, no longer than `max`. */
export function bounded(value: unknown, max = MAX_TEXT): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  const clean = text.toWellFormed().replaceAll('\0', '\uFFFD');
  return clean.length > max ? `${clean.slice(0, max - 1).toWellFormed()}…` : clean;
}

/** A value of a property, for people; null stays. */
export const valueText = (value: unknown): string | null => (value === null || value === undefined ? null : bounded(value, MAX_VALUE));
export const optionalText = (value: unknown): string | null => (value === null || value === undefined || value === '' ? null : bounded(value));

/** Differences as the host package writes them; what is none is left out. */
export function differences(value: unknown): Difference[] {
  if (!Array.isArray(value)) return [];
  return value.slice(0, MAX_CHANGES).flatMap((one: unknown) => {
    if (typeof one !== 'object' || one === null) return [];
    const { property, current, wanted, reason } = one as Record<string, unknown>;
    return [{ property: valueText(property), current: valueText(current), wanted: valueText(wanted), reason: valueText(reason) }];
  });
}

/** The worst first, no more than fit. */
export function boundedEntries(entries: readonly Entry[]): Entry[] {
  const order = ['failed', 'changed', 'pending', 'noop', 'skipped'];
  return [...entries]
    .sort((a, b) => order.indexOf(a.result) - order.indexOf(b.result))
    .slice(0, MAX_ENTRIES)
    .map((entry) => ({ ...entry, changes: entry.changes.slice(0, MAX_CHANGES) }));
}

/** Errors and warnings before the rest, no more than fit, in the order in which they were said. */
export function boundedLogs(lines: readonly LogLine[]): LogLine[] {
  const told = lines.filter((line) => line.level !== 'debug' && line.level !== 'info');
  if (told.length <= MAX_LOGS) return told;
  const grave = told.filter((line) => line.level !== 'notice').slice(0, MAX_LOGS);
  const room = new Set([...grave, ...told.filter((line) => line.level === 'notice').slice(0, MAX_LOGS - grave.length)]);
  return told.filter((line) => room.has(line));
}
