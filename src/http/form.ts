import { isDeepStrictEqual } from 'node:util';
import type { Field, Model } from '../db/catalog.ts';
import { isRecord } from '../kernel/codec.ts';
import { Problem } from '../kernel/problem.ts';

/** Names in a form that are not fields. */
const CONTROL = new Set(['_method', '_etag', '_plan', '_message']);

/**
 * Brings the strings of an HTML form to the types of the fields. An empty input is left out at creation
 * and null at a change (where the field may be null); an unticked box is false. What cannot be brought
 * to its type stays a string, so that the API's own check says so.
 * @param creating whether a thing is made, not changed
 */
export function fromForm(model: Model, form: Readonly<Record<string, unknown>>, creating: boolean): Record<string, unknown> {
  const out = values(model.fields, form, creating);
  for (const [name, parts] of Object.entries(model.parts)) {
    const given = isRecord(form[name]) ? form[name] : {};
    const roles: Record<string, unknown> = {};
    for (const [part, inner] of Object.entries(parts)) {
      const entered = given[part];
      if (!isRecord(entered)) continue;
      const { _on: on, ...rest } = entered;
      if (on !== undefined)
        roles[part] = values(
          inner.fields.filter((field) => rest[field.name] !== undefined || field.list),
          rest,
          creating,
        );
      else if (!creating && rest['_was'] !== undefined) roles[part] = null;
    }
    if (creating || Object.keys(roles).length > 0) out[name] = roles;
  }
  for (const [name, value] of Object.entries(form)) {
    if (CONTROL.has(name) || name in out || model.field.has(name) || name in model.parts) continue;
    out[name] = parseExtra(value);
  }
  return Object.fromEntries(Object.entries(out).filter(([, value]) => value !== undefined));
}

/**
 * What a form changes of a row: it sends all fields, and those that are as they were are nobody's wish. Sent along they
 * would be one, such as the `cores_max` of before with more `cores`.
 */
export function changedFields(model: Model, row: Readonly<Record<string, unknown>>, input: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const out = differing(model, row, input);
  for (const [name, parts] of Object.entries(model.parts)) {
    const [given, saved] = [input[name], row[name]];
    if (!isRecord(given)) continue;
    const roles = Object.entries(given).flatMap(([part, value]): [string, unknown][] => {
      const before = isRecord(saved) ? saved[part] : undefined;
      if (!isRecord(value) || !isRecord(before) || !parts[part]) return [[part, value]];
      const changed = differing(parts[part], before, value);
      return Object.keys(changed).length === 0 ? [] : [[part, changed]];
    });
    if (roles.length === 0) delete out[name];
    else out[name] = Object.fromEntries(roles);
  }
  return out;
}

function differing(model: Model, row: Readonly<Record<string, unknown>>, input: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(input).filter(([name, value]) => {
      const field = model.field.get(name);
      if (!field || field.writeOnly) return true;
      /* Ticks have no order. */
      const comparable = (one: unknown): unknown => (field.choices && Array.isArray(one) ? [...(one as unknown[])].sort() : (one ?? null));
      return !isDeepStrictEqual(comparable(value), comparable(row[name]));
    }),
  );
}

function parseExtra(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  if (value.trim() === '') return undefined;
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value;
  }
}

function values(fields: readonly Field[], form: Readonly<Record<string, unknown>>, creating: boolean): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const field of fields) {
    if (field.readOnly) continue;
    const given = form[field.name];
    const value = coerce(field, given);
    if (value === '' || value === undefined) {
      if (given !== undefined && !creating && field.nullable) out[field.name] = null;
      else if (given !== undefined && !creating && field.type === 'array') out[field.name] = [];
      continue;
    }
    out[field.name] = value;
  }
  return out;
}

function coerce(field: Field, given: unknown): unknown {
  if (field.type === 'array') {
    if (given === undefined) return undefined;
    const items = (Array.isArray(given) ? (given as unknown[]) : [given])
      .flatMap((one) => (field.choices ? [String(one)] : String(one).split(/[\s,]+/)))
      .filter((one) => one !== '');
    return items.length === 0 ? undefined : items;
  }
  /* A box sends nothing when it is not ticked; a hidden 'false' before it stands for that. */
  const last: unknown = Array.isArray(given) ? given.at(-1) : given;
  if (typeof last !== 'string') return last;
  const text = last.trim();
  if (text === '') return '';
  if (field.type === 'boolean') return text === 'true' || text === 'on' ? true : text === 'false' ? false : text;
  if (field.ref !== undefined) return text;
  if (field.type === 'integer' || field.type === 'number') return field.unit === 'bytes' ? bytes(text) : /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
  if (field.type === 'object') {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      throw new Problem('invalid', `/${field.name} must be JSON`, { faults: [{ pointer: `/${field.name}`, message: 'must be JSON, e.g. {"key": "value"}' }] });
    }
  }
  /* A browser sends CRLF for each newline of a text area. */
  return last.replaceAll('\r\n', '\n');
}

const units: Readonly<Record<string, number>> = { '': 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40, p: 2 ** 50 };

/** `10 GiB`, `10G`, `512M` or plain bytes; powers of 1024. What is none of these stays text. */
export function bytes(text: string): number | string {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?$/i.exec(text.trim());
  return match ? Math.round(Number(match[1]) * units[match[2]!.toLowerCase()]!) : text;
}
