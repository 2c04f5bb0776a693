import { z } from 'zod';
import type { Catalog, Model } from '../db/catalog.ts';
import { check, invalid } from '../db/check.ts';
import type { Values } from '../db/transaction.ts';
import { isRecord } from '../kernel/codec.ts';
import { pointer, Problem, type Fault } from '../kernel/problem.ts';

/** Most operations of one request. */
export const MAX_OPERATIONS = 10_000;
/** Faults that are looked for. */
export const MAX_FAULTS = 50;

const refName = z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, 'must be 1 to 64 of A-Z, a-z, 0-9, underscore, dot and dash');
const key = z.union([z.string().min(1).max(1000), z.int().positive(), z.strictObject({ $ref: z.string() })], {
  error: 'must be an id, a natural key, or {"$ref": ...}',
});

const operationSchema = z.strictObject({
  op: z.enum(['create', 'update', 'put', 'delete']).describe('put makes the thing of this natural key, or sets the fields that are given.'),
  noun: z.string().max(60).describe('As in /api/v1, e.g. vm or vms.'),
  key: key.optional().describe('Of update, delete and put: the id, the natural key, or a reference. A put may leave it out where its body tells the thing.'),
  ref: refName.optional().describe('A name for what it makes or changes, for later operations.'),
  body: z.record(z.string().max(200), z.unknown()).optional().describe('The fields; {"$ref": "name"} stands for an earlier thing wherever a value may stand.'),
  if_version: z.int().min(1).optional().describe('Of update, put and delete: only if the row still has this version.'),
});

export const bulkSchema = z.strictObject({
  operations: z.array(operationSchema).max(MAX_OPERATIONS),
  set: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/, 'must be 1 to 63 of a-z, 0-9, dot, dash and underscore, and start and end with a letter or digit')
    .optional()
    .describe('A named set that all things named here become members of.'),
  prune: z.boolean().optional().describe('Delete the members of the set that no operation names.'),
});

/** One operation, checked as far as that goes without the database. */
export interface Operation {
  readonly index: number;
  readonly op: 'create' | 'update' | 'put' | 'delete';
  readonly model: Model;
  readonly key: string | { readonly $ref: string } | undefined;
  readonly ref: string | undefined;
  readonly body: Values;
  readonly ifVersion: number | undefined;
  /** Names of the earlier operations that it refers to. */
  readonly needs: ReadonlySet<string>;
}

export interface BulkRequest {
  readonly operations: readonly Operation[];
  readonly set: string | undefined;
  readonly prune: boolean;
}

/** @throws Problem invalid with the place of every fault, up to MAX_FAULTS */
export function parseBulk(catalog: Catalog, input: unknown): BulkRequest {
  const given = isRecord(input) ? input['operations'] : undefined;
  /* Said before each of them is looked at. */
  if (Array.isArray(given) && given.length > MAX_OPERATIONS)
    throw invalid([{ pointer: '/operations', message: `are ${given.length}; at most ${MAX_OPERATIONS} go into one transaction` }]);
  const { operations, set, prune = false } = check(bulkSchema, input) as z.output<typeof bulkSchema>;
  const faults: Fault[] = [];
  const names = refNames(operations, faults);
  const nouns = new Map(catalog.models.flatMap((model) => [model.resource.noun, model.resource.plural, model.route].map((name) => [name, model] as const)));
  const out: Operation[] = [];
  for (const [index, one] of operations.entries()) {
    const fault = (path: readonly PropertyKey[], message: string): number => faults.push({ pointer: pointer(['operations', index, ...path]), message });
    const model = nouns.get(one.noun);
    if (!model) {
      fault(['noun'], `is no noun; /api/v1 lists them`);
      continue;
    }
    checkForm(one, model, fault);
    const needs = new Set<string>();
    for (const { path, name } of [...refsOf(one.key, ['key']), ...refsOf(one.body, ['body'])]) {
      const [base = '', ...below] = name.split('/');
      const at = names.get(base);
      if (at === undefined) fault(path, `names '${name}', which is the ref of no operation`);
      else if (at >= index) fault(path, `names '${name}', which operation ${at} makes only ${at === index ? 'here' : 'later'}; put it before`);
      else if (operations[at]!.op === 'delete') fault(path, `names '${name}', which operation ${at} deletes`);
      else if (below.length > 0 && !/^(volumes|interfaces)\/\d{1,3}$/.test(below.join('/')))
        fault(path, `'${name}' is no form of a reference; there are name, name/volumes/0 and name/interfaces/0`);
      needs.add(base);
    }
    out.push({
      index,
      op: one.op,
      model,
      key: typeof one.key === 'number' ? String(one.key) : one.key,
      ref: one.ref,
      body: one.body ?? {},
      ifVersion: one.if_version,
      needs,
    });
  }
  if (prune && set === undefined) faults.push({ pointer: '/prune', message: 'is possible within a named set only; give set' });
  if (operations.length === 0 && !prune) faults.push({ pointer: '/operations', message: 'must hold at least one operation' });
  if (faults.length > 0) throw invalid(faults.slice(0, MAX_FAULTS));
  return { operations: out, set, prune };
}

function refNames(operations: readonly z.output<typeof operationSchema>[], faults: Fault[]): Map<string, number> {
  const names = new Map<string, number>();
  for (const [i, { ref }] of operations.entries()) {
    if (ref === undefined) continue;
    const before = names.get(ref);
    if (before === undefined) names.set(ref, i);
    else faults.push({ pointer: pointer(['operations', i, 'ref']), message: `is that of operation ${before} already` });
  }
  return names;
}

function checkForm(one: z.output<typeof operationSchema>, model: Model, fault: (path: readonly PropertyKey[], message: string) => void): void {
  const without = new Set(model.resource.readOnly ? ['create', 'update', 'delete'] : model.resource.without);
  const verbs = one.op === 'put' ? ['create', 'update'] : [one.op];
  if (verbs.some((verb) => without.has(verb))) fault(['op'], `is not possible for ${model.resource.plural.replaceAll('_', ' ')}`);
  if (one.op === 'create' && one.key !== undefined) fault(['key'], 'is not part of a create; put makes a thing under a key');
  if ((one.op === 'update' || one.op === 'delete') && one.key === undefined) fault(['key'], 'is needed');
  if (one.op === 'delete' && one.body !== undefined) fault(['body'], 'is not part of a delete');
  if (one.op !== 'delete' && one.body === undefined) fault(['body'], 'is needed');
  if (one.op === 'create' && one.if_version !== undefined) fault(['if_version'], 'is not part of a create');
}

const isRef = (value: unknown): value is { $ref: string } => isRecord(value) && typeof value['$ref'] === 'string' && Object.keys(value).length === 1;

function refsOf(value: unknown, path: readonly PropertyKey[]): { path: readonly PropertyKey[]; name: string }[] {
  if (isRef(value)) return [{ path, name: value.$ref }];
  if (Array.isArray(value)) return value.flatMap((one, i) => refsOf(one, [...path, i]));
  if (isRecord(value)) return Object.entries(value).flatMap(([name, one]) => refsOf(one, [...path, name]));
  return [];
}

/** The value with what its references stand for in their places. */
export async function substitute<T>(value: T, idOf: (name: string) => Promise<number>): Promise<T> {
  if (isRef(value)) return (await idOf(value.$ref)) as T;
  if (Array.isArray(value)) return (await Promise.all(value.map((one: unknown) => substitute(one, idOf)))) as T;
  if (!isRecord(value)) return value;
  const out: Values = {};
  for (const [name, one] of Object.entries(value)) out[name] = await substitute(one, idOf);
  return out as T;
}

/** The problem of an operation, with its places in the request. */
export function placed(index: number, op: Operation['op'], problem: Problem): Fault[] {
  const at = pointer(['operations', index]);
  if (problem.code === 'stale-version') return [{ pointer: `${at}/if_version`, message: problem.message }];
  if (problem.faults.length === 0) return [{ pointer: problem.code === 'not-found' && op !== 'create' ? `${at}/key` : at, message: problem.message }];
  return problem.faults.map((one) => ({ pointer: op === 'delete' ? at : `${at}/body${one.pointer}`, message: one.message }));
}
