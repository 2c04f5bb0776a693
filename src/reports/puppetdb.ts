import { z } from 'zod';
import { check } from '../db/check.ts';
import { isRecord } from '../kernel/codec.ts';
import { Problem } from '../kernel/problem.ts';
import { readPuppet } from './puppet.ts';
import type { Run } from './run.ts';

/** Commands of PuppetDB's wire that Corral takes, with the versions of their form. */
const commands = { store_report: [5, 8], replace_facts: [4, 5], replace_catalog: [4, 9], deactivate_node: [1, 3] } as const;
export type PuppetdbCommand = keyof typeof commands;

/**
 * The command that the parameters name; PuppetDB's clients write it with spaces or underscores.
 * @throws Problem bad-request
 */
export function puppetdbCommand(params: URLSearchParams): { command: PuppetdbCommand; certname: string } {
  const name = (params.get('command') ?? '').replaceAll(/[ -]/g, '_');
  if (!Object.hasOwn(commands, name)) {
    throw new Problem('bad-request', `The command must be one of ${Object.keys(commands).join(', ')}`, { extra: { parameter: 'command' } });
  }
  const command = name as PuppetdbCommand;
  const [least, most] = commands[command];
  const version = Number(params.get('version'));
  if (!Number.isInteger(version) || version < least || version > most) {
    throw new Problem('bad-request', `Versions ${least} to ${most} of ${command} are read, and this is '${(params.get('version') ?? '').slice(0, 20)}'`, {
      extra: { parameter: 'version' },
    });
  }
  const certname = params.get('certname') ?? '';
  if (certname === '' || certname.length > 300) throw new Problem('bad-request', "The parameter 'certname' is needed", { extra: { parameter: 'certname' } });
  return { command, certname: certname.toLowerCase() };
}

const wire = z.looseObject({
  certname: z.string(),
  start_time: z.string(),
  resources: z
    .array(
      z.looseObject({
        resource_type: z.string(),
        resource_title: z.unknown().optional(),
        skipped: z.boolean().nullish(),
        events: z.array(z.unknown()).nullish(),
      }),
    )
    .nullish(),
  metrics: z.array(z.looseObject({ category: z.string(), name: z.string(), value: z.number() })).nullish(),
});

/** A list that the wire gives plain, or as `{data: [...]}` with a link beside. */
const unwrapped = (value: unknown): unknown => (isRecord(value) && 'data' in value ? value['data'] : value);

/**
 * Reads a report of PuppetDB's wire, versions 5 to 8. It names only resources with events unless
 * `include_unchanged_resources` is set in puppetdb.conf: then it says nothing of the rest.
 * @throws Problem invalid
 */
export function readWireReport(input: unknown): Run {
  const plain = isRecord(input)
    ? { ...input, resources: unwrapped(input['resources']), metrics: unwrapped(input['metrics']), logs: unwrapped(input['logs']) }
    : input;
  const data = check(wire as unknown as z.ZodType<Record<string, unknown>>, plain) as z.infer<typeof wire>;
  const statuses = Object.fromEntries(
    (data.resources ?? []).map(({ resource_type, resource_title, skipped, events, ...rest }, i) => [
      String(i),
      { resource_type, title: resource_title, skipped, events, file: rest['file'], line: rest['line'] },
    ]),
  );
  const metrics: Record<string, { values: [string, string, number][] }> = {};
  for (const { category, name, value } of data.metrics ?? []) (metrics[category] ??= { values: [] }).values.push([name, name, value]);
  const quiet = (data.resources ?? []).some((one) => (one.events ?? []).length === 0 && one.skipped !== true);
  const run = readPuppet({ ...data, host: data.certname, time: data.start_time, resource_statuses: statuses, metrics }, quiet);
  const end = Date.parse(String(data['end_time']));
  return Number.isNaN(end) ? run : { ...run, ended_at: new Date(end) };
}

/** The facts of PuppetDB's wire. @throws Problem invalid */
export function readWireFacts(input: unknown): Record<string, unknown> {
  const form = z.looseObject({ certname: z.string(), values: z.record(z.string(), z.unknown()) });
  return check(form as unknown as z.ZodType<Record<string, unknown>>, input)['values'] as Record<string, unknown>;
}
