import { z } from 'zod';
import { check } from '../db/check.ts';
import { isRecord } from '../kernel/codec.ts';
import { bounded, boundedEntries, differences, optionalText, valueText, VERSION, type Change, type Entry, type Run, type Thing } from './run.ts';

const time = z.string().refine((text) => !Number.isNaN(Date.parse(text)), 'must be a time, e.g. 2026-11-21T04:00:50.204Z');

const state = z.looseObject({ result: z.boolean().nullable(), changes: z.unknown().optional(), comment: z.unknown().optional() });

/** Salt's job return, as a returner gets it; `test`, `started` and `finished` are added by Corral's. */
const job = z.looseObject({
  id: z.string().min(1).max(300),
  jid: z.union([z.string().min(1).max(100), z.int()]).transform(String),
  fun: z.enum(['state.apply', 'state.highstate', 'state.sls', 'state.single', 'state.sls_id', 'state.top']),
  return: z.union([z.record(z.string(), state), z.array(z.unknown()), z.string()], { error: 'must be the mapping of states, or the errors' }),
  success: z.boolean().nullish(),
  test: z.boolean().nullish(),
  started: time.nullish(),
  finished: time.nullish(),
});

type State = z.infer<typeof state>;

/** The parts of a state's key: module, id, name, function. */
function partsOf(key: string): readonly [string, string, string, string] {
  const [module = '', id = '', name = '', fun = ''] = key.split('_|-');
  return [module, id, name, fun];
}

/** A job's id is the time at which it was made, in UTC unless the master says otherwise. */
function timeOfJid(jid: string): Date | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d{3})/.exec(jid);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second, milli] = match;
  const at = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}.${milli}Z`);
  return Number.isNaN(at.getTime()) ? undefined : at;
}

const isSkipped = (one: State): boolean =>
  one.result === false && (one['__state_ran__'] === false || String(one.comment).startsWith('One or more requisite failed'));

function resultOf(one: State): Entry['result'] | 'ok' {
  if (isSkipped(one)) return 'skipped';
  if (one.result === false) return 'failed';
  const changes = isRecord(one.changes) ? Object.keys(one.changes).length > 0 : Boolean(one.changes);
  if (one.result === null) return 'noop';
  return changes ? 'changed' : 'ok';
}

/** `{property: {old, new}}`, or whatever else a state gives. */
function changesOf(one: State): Change[] {
  if (!isRecord(one.changes)) return one.changes ? [{ property: null, before: null, after: null, message: valueText(one.changes) }] : [];
  return Object.entries(one.changes).map(([property, value]) => {
    const pair = isRecord(value) && ('old' in value || 'new' in value);
    return pair
      ? { property: bounded(property, 200), before: valueText(value['old']), after: valueText(value['new']), message: null }
      : { property: bounded(property, 200), before: null, after: valueText(value), message: null };
  });
}

/** States that Salt makes up to say that there was nothing to do, or that it could not begin. */
const isMadeUp = (key: string): boolean => key.startsWith('no_|-');

/**
 * Reads a job return of Salt.
 * @param now taken for the time of a run whose jid is none
 * @throws Problem invalid with the places
 */
export function readSalt(input: unknown, now: Date): Run {
  const data = check(job as unknown as z.ZodType<Record<string, unknown>>, input) as z.infer<typeof job>;
  const given = data.return;
  const errors = typeof given === 'string' ? [given] : Array.isArray(given) ? given.map((line) => bounded(line)) : [];
  const states = isRecord(given) ? (Object.entries(given) as [string, State][]).filter(([key]) => !isMadeUp(key)) : [];
  if (isRecord(given))
    for (const [key, one] of Object.entries(given) as [string, State][]) if (isMadeUp(key) && one.result === false) errors.push(bounded(one.comment));
  const began = data.started ? new Date(data.started) : (timeOfJid(data.jid) ?? now);
  const entries: Entry[] = [];
  const things: Thing[] = [];
  let served: string | null = null;
  let applied: string | null = null;
  let changed = false;
  for (const [key, one] of states) {
    const [module, id, name, fun] = partsOf(key);
    const result = resultOf(one);
    const pending = differences(one['pending']);
    const error = result === 'failed' || result === 'skipped' ? optionalText(one.comment) : null;
    const title = bounded(name || id, 500);
    if (module === 'corral') {
      if (fun === 'document' && VERSION.test(title)) {
        served = title;
        if (one.result === true && data.test !== true) applied = title;
      }
      things.push({ kind: fun, name: title, result: result === 'changed' ? 'ok' : result, error, pending } as Thing);
    }
    if (result === 'changed' && !(module === 'corral' && fun === 'document')) changed = true;
    const told = result === 'ok' && pending.length > 0 ? 'pending' : result;
    if (told === 'ok') continue;
    entries.push({ type: `${module}.${fun}`, title, result: told, changes: changesOf(one), error, pending, source: optionalText(one['__sls__']) });
  }
  const count = (result: Entry['result']): number => states.filter(([, one]) => resultOf(one) === result).length;
  const first = entries.find((one) => one.result === 'failed' && one.error !== null);
  return {
    tool: 'salt',
    node: data.id.toLowerCase(),
    run: data.jid,
    tool_version: null,
    environment: null,
    began_at: began,
    ended_at: data.finished ? new Date(data.finished) : null,
    noop: data.test === true,
    compile_failed: errors.length > 0,
    failed: errors.length > 0 || count('failed') > 0,
    withheld: count('noop') > 0,
    changed,
    corrective: false,
    served,
    applied: things.some((thing) => thing.result === 'noop') ? null : applied,
    counts: { total: states.length, changed: count('changed'), failed: count('failed'), skipped: count('skipped'), noop: count('noop') },
    message: errors[0] !== undefined ? optionalText(errors[0]) : first ? bounded(`${first.type} ${first.title}: ${first.error}`) : null,
    entries: boundedEntries(entries),
    things,
    complete: served !== null,
    logs: errors.slice(0, 50).map((message) => ({ level: 'err', message, source: null, at: null })),
  };
}
