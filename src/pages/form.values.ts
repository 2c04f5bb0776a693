import { z } from 'zod';
import type { Field, Model } from '../db/catalog.ts';
import { isRecord } from '../kernel/codec.ts';
import type { Fault, ProblemDocument } from '../kernel/problem.ts';
import type { FormView } from './types.ts';
import { bytesExact } from './words.ts';

/** Where the values of a group of fields come from: what was entered goes before what is saved. */
export interface Scope {
  /** What leads the names of its inputs: `roles.hypervisor.`, or nothing. */
  readonly prefix: string;
  readonly entered: Readonly<Record<string, unknown>> | undefined;
  readonly row: Readonly<Record<string, unknown>> | undefined;
}

/** A value as it is edited, such that the form's decoder makes the same of it. */
export function textOf(field: Field, value: unknown): string {
  if (value === null || value === undefined) return '';
  if (field.unit === 'bytes' && typeof value === 'number') return bytesExact(value);
  if (Array.isArray(value)) return value.map(String).join(', ');
  if (typeof value === 'object') return JSON.stringify(value, null, 2);
  return String(value);
}

const listOf = (value: unknown): string[] =>
  (Array.isArray(value) ? value.map(String) : value === undefined || value === null ? [] : [String(value)]).filter((one) => one !== '');

/** The text of an input now. */
export function current(field: Field, { entered, row }: Scope): string {
  const given = entered?.[field.name];
  if (given !== undefined) return field.type === 'array' ? listOf(given).join(', ') : (listOf(given).at(-1) ?? '');
  return row ? textOf(field, row[field.name]) : '';
}

/** The items of a list now. */
export function currentItems(field: Field, { entered, row }: Scope): string[] {
  return listOf(entered?.[field.name] ?? row?.[field.name]);
}

/** Whether a box is ticked now; a new thing begins with the database's default. */
export function ticked(model: Model, field: Field, { entered, row }: Scope): boolean {
  const given = entered?.[field.name];
  if (given !== undefined) return ['true', 'on'].includes(listOf(given).at(-1) ?? '');
  if (entered === undefined && row) return row[field.name] === true;
  return defaultOf(model, field) === 'true';
}

/** What the database takes when a field is left out, where it is a plain value. */
export function defaultOf(model: Model, field: Field): string | undefined {
  const prop = (model.meta.properties as Record<string, { default?: unknown }>)[field.name];
  let value = prop?.default;
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') value = value.replace(/^'(.*)'$/s, '$1');
  if (field.type !== 'object' && !field.schema.safeParse(value).success) return undefined;
  return textOf(field, value);
}

/** What JSON Schema says of a field: for lengths and the items of lists. */
export function jsonOf(schema: z.ZodType): {
  maxLength?: number;
  maxItems?: number;
  items?: { enum?: string[]; properties?: Record<string, unknown> };
  enum?: string[];
} {
  const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Record<string, unknown>;
  const inner = (json['anyOf'] as Record<string, unknown>[] | undefined)?.find((one) => one['type'] !== 'null');
  return { ...inner, ...json };
}

/** A problem's faults by the input that they belong to; those without one under ''. */
export type Errors = ReadonlyMap<string, readonly string[]>;

export function placeFaults(view: FormView): Errors {
  const out = new Map<string, string[]>();
  for (const fault of faultsOf(view.problem)) {
    const { name, rest } = placeOf(view, fault.pointer);
    const message = rest === '' ? fault.message : `${rest}: ${fault.message}`;
    out.set(name, [...(out.get(name) ?? []), message]);
  }
  return out;
}

const faultsOf = (problem: ProblemDocument | undefined): readonly Fault[] => problem?.errors ?? [];

function placeOf({ model, values }: FormView, pointer: string): { name: string; rest: string } {
  const path = pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  const [first = '', second = '', third = '', ...others] = path;
  const own = model.field.get(first);
  if ((own && !own.readOnly) || first in (model.resource.extras ?? {})) return { name: first, rest: path.slice(1).join('/') };
  const parts = model.parts[first];
  if (parts) {
    const part = parts[second];
    if (part?.field.has(third)) return { name: `${first}.${second}.${third}`, rest: others.join('/') };
    return { name: part ? `${first}.${second}` : first, rest: path.slice(part ? 2 : 1).join('/') };
  }
  /* A part's own check names its field alone: it is a part that was asked for. */
  for (const [group, inner] of Object.entries(model.parts)) {
    const entered = values?.[group];
    for (const [name, part] of Object.entries(inner)) {
      const given = isRecord(entered) ? entered[name] : undefined;
      if (isRecord(given) && given['_on'] !== undefined && part.field.has(first)) return { name: `${group}.${name}.${first}`, rest: path.slice(1).join('/') };
    }
  }
  return { name: '', rest: pointer };
}

/** The id of an input. */
export const idOf = (name: string): string => `f-${name.replaceAll('.', '-')}`;
