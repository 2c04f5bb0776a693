import { z } from 'zod';
import { check } from '../db/check.ts';
import { isRecord } from '../kernel/codec.ts';
import type { Difference } from './convergence.ts';
import { bounded, boundedEntries, boundedLogs, optionalText, valueText, VERSION, type Change, type Entry, type LogLine, type Run, type Thing } from './run.ts';

const time = z.string().refine((text) => !Number.isNaN(Date.parse(text)), 'must be a time, e.g. 2026-11-21T04:00:50.204Z');
const flag = z.boolean().nullish();

/** One event of a resource, in Puppet's words; the PuppetDB wire says old_value and new_value. */
const event = z.looseObject({ status: z.string().nullish(), property: z.unknown().optional(), message: z.unknown().optional() });

const resourceStatus = z.looseObject({
  resource_type: z.string(),
  title: z.unknown().optional(),
  failed: flag,
  failed_to_restart: flag,
  changed: flag,
  skipped: flag,
  out_of_sync: flag,
  events: z.array(event).nullish(),
});

/** Puppet's report as `report.to_data_hash` gives it, formats 10 to 12; what is not used is not looked at. */
const report = z.looseObject({
  host: z.string().min(1).max(300),
  time,
  status: z.enum(['failed', 'changed', 'unchanged']),
  transaction_uuid: z.string().max(200).nullish(),
  noop: flag,
  noop_pending: flag,
  corrective_change: flag,
  cached_catalog_status: z.string().nullish(),
  logs: z.array(z.looseObject({ level: z.string(), message: z.unknown().optional(), source: z.unknown().optional(), time: z.unknown().optional() })).nullish(),
  resource_statuses: z.record(z.string(), resourceStatus),
});

type Status = z.infer<typeof resourceStatus>;
type Log = NonNullable<z.infer<typeof report>['logs']>[number];

/** Values of a metric of Puppet's, `[[name, label, value], ...]`, as a mapping. */
function metric(metrics: unknown, name: string): Record<string, number> {
  const one = isRecord(metrics) ? metrics[name] : undefined;
  const values = isRecord(one) && Array.isArray(one['values']) ? (one['values'] as unknown[]) : [];
  return Object.fromEntries(values.flatMap((row) => (Array.isArray(row) && typeof row[2] === 'number' ? [[String(row[0]), row[2]] as const] : [])));
}

/** `Corral_domain` is a thing of Corral's of the kind `domain`. */
function kindOf(type: string): string | undefined {
  return /^Corral_([a-z_]+)$/i.exec(type)?.[1]?.toLowerCase();
}

function resultOf(status: Status): Entry['result'] | 'ok' {
  if (status.failed || status.failed_to_restart || status.events?.some((one) => one.status === 'failure')) return 'failed';
  if (status.skipped) return 'skipped';
  if (status.events?.some((one) => one.status === 'noop')) return 'noop';
  return status.changed || status.events?.some((one) => one.status === 'success') ? 'changed' : 'ok';
}

function changesOf(status: Status): Change[] {
  return (status.events ?? []).map((one) => ({
    property: valueText(one.property),
    before: valueText(one['previous_value'] ?? one['old_value']),
    after: valueText(one['desired_value'] ?? one['new_value']),
    message: valueText(one.message),
  }));
}

/** What each thing is logged to wait for: `vm-8 waits for a restart: vcpus_max 4 → 8 (reason), ...`. */
function waits(logs: readonly Log[]): Map<string, Difference[]> {
  const out = new Map<string, Difference[]>();
  for (const { level, message, source } of logs) {
    const resource = /(Corral_[a-z_]+\[.+\])(?:\/[a-z_]+)?$/i.exec(String(source))?.[1];
    const text = level === 'warning' ? /waits for a restart: ([^]*)$/.exec(String(message))?.[1] : undefined;
    if (resource === undefined || text === undefined) continue;
    const parts = text.split(/, (?=[a-z_]+ \S.* (?:→|->) )/).map((part): Difference => {
      const match = /^([a-z_]+) (.*?) (?:→|->) (.*?)(?: \((.*)\))?$/.exec(part);
      return match
        ? { property: match[1]!, current: valueText(match[2]), wanted: valueText(match[3]), reason: valueText(match[4]) }
        : { property: null, current: null, wanted: null, reason: valueText(part) };
    });
    out.set(resource, parts.slice(0, 20));
  }
  return out;
}

/** The errors of one thing: its failed events, else what was logged of it. */
function errorOf(status: Status, name: string, logs: readonly Log[]): string | null {
  const failures = (status.events ?? []).filter((one) => one.status === 'failure').map((one) => String(one.message ?? ''));
  const logged = logs.filter((line) => line.level === 'err' && String(line.source).includes(name)).map((line) => String(line.message ?? ''));
  return optionalText([...new Set(failures.length > 0 ? failures : logged)].join('; '));
}

/**
 * Reads Puppet's report.
 * @param complete whether it names every resource of Corral's
 * @throws Problem invalid with the places
 */
export function readPuppet(input: unknown, complete = true): Run {
  const data = check(report as unknown as z.ZodType<Record<string, unknown>>, input) as z.infer<typeof report>;
  const logs = data.logs ?? [];
  const waiting = waits(logs);
  const totals = metric(data['metrics'], 'resources');
  const statuses = Object.values(data.resource_statuses).map((status) => {
    const name = `${status.resource_type}[${bounded(status.title, 500)}]`;
    const result = resultOf(status);
    return { status, name, result, pending: waiting.get(name) ?? [], error: result === 'failed' || result === 'skipped' ? errorOf(status, name, logs) : null };
  });
  const things: Thing[] = [];
  const entries: Entry[] = [];
  let served: string | null = null;
  let applied: string | null = null;
  for (const { status, name, result, pending, error } of statuses) {
    const kind = kindOf(status.resource_type);
    const title = bounded(status.title, 500);
    if (kind === 'document' && VERSION.test(title)) {
      served = title;
      if ((result === 'ok' || result === 'changed') && data.noop !== true) applied = title;
    }
    if (kind !== undefined)
      things.push({
        kind,
        name: title,
        result: result === 'changed' ? 'ok' : result,
        error: error ?? (result === 'skipped' ? 'something that it needs failed' : null),
        pending,
      } as Thing);
    const told = result === 'ok' && pending.length > 0 ? 'pending' : result;
    if (told === 'ok') continue;
    const source = typeof status['file'] === 'string' ? `${status['file']}:${String(status['line'] ?? '')}` : null;
    entries.push({ type: status.resource_type, title, result: told, changes: changesOf(status), error, pending, source: optionalText(source) });
    void name;
  }
  const count = (result: Entry['result']): number => statuses.filter((one) => one.result === result).length;
  const total = totals['total'] ?? statuses.length;
  const fallback = data.cached_catalog_status === 'on_failure';
  const failed = data.status === 'failed' || count('failed') > 0 || (totals['failed_to_restart'] ?? 0) > 0;
  const changed =
    statuses.some((one) => one.result === 'changed' && kindOf(one.status.resource_type) !== 'document') || (totals['changed'] ?? 0) > count('changed');
  const took = metric(data['metrics'], 'time')['total'];
  const began = new Date(data.time);
  return {
    tool: 'puppet',
    node: data.host.toLowerCase(),
    run: data.transaction_uuid || began.toISOString(),
    tool_version: valueText(data['puppet_version']),
    environment: valueText(data['environment']),
    began_at: began,
    ended_at: endOf(logs, began, took),
    noop: data.noop === true,
    compile_failed: fallback || (failed && total === 0),
    failed,
    withheld: data.noop_pending === true || count('noop') > 0,
    changed,
    corrective: data.corrective_change === true,
    served,
    applied: things.some((thing) => thing.result === 'noop') ? null : applied,
    counts: {
      total,
      changed: totals['changed'] ?? count('changed'),
      failed: totals['failed'] ?? count('failed'),
      skipped: totals['skipped'] ?? count('skipped'),
      noop: count('noop'),
    },
    message: failed || fallback ? firstError(entries, logs) : null,
    entries: boundedEntries(entries),
    things,
    complete: complete && served !== null,
    logs: boundedLogs(logs.map(logLine)),
  };
}

function logLine(line: Log): LogLine {
  const at = Date.parse(String(line.time));
  return {
    level: bounded(line.level, 20),
    message: bounded(line.message),
    source: line.source === 'Puppet' ? null : valueText(line.source),
    at: Number.isNaN(at) ? null : new Date(at).toISOString(),
  };
}

/** When the last line was logged, or as long after the beginning as the metrics say. */
function endOf(logs: readonly Log[], began: Date, took: number | undefined): Date | null {
  const times = logs.map((line) => Date.parse(String(line.time))).filter((at) => !Number.isNaN(at));
  const end = Math.max(...times, began.getTime() + (took ?? 0) * 1000);
  return end > began.getTime() ? new Date(end) : null;
}

function firstError(entries: readonly Entry[], logs: readonly Log[]): string | null {
  const failed = entries.find((one) => one.result === 'failed' && one.error !== null);
  if (failed) return bounded(`${failed.type}[${failed.title}]: ${failed.error}`);
  const line = logs.find((one) => one.level === 'err' || one.level === 'crit' || one.level === 'alert' || one.level === 'emerg');
  return line ? optionalText(line.message) : null;
}
