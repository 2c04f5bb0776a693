/** What one layer, or two of them, may not hold. Pure. */
import { pointer, type Fault } from '../../kernel/problem.ts';
import { interpolates } from './names.ts';
import { checkSchema } from './schema.ts';
import { fits, isMapping, sameValue, targetFields, type Layer, type Scope, type Strategy, type Value, type Values } from './types.ts';

const article: Readonly<Record<Strategy, string>> = {
  first: 'anything',
  unique: 'a list or a single value',
  hash: 'a mapping',
  deep: 'anything',
};

/** What of the fields that say what a layer is attached to does not fit its scope. */
export function targetFaults(scope: Scope, given: Readonly<Record<string, unknown>>): Fault[] {
  const wanted = targetFields[scope];
  return Object.values(targetFields).flatMap((field): Fault[] => {
    if (field === undefined) return [];
    if (field === wanted) return given[field] == null ? [{ pointer: `/${field}`, message: `is needed: the scope is ${scope}` }] : [];
    return given[field] == null ? [] : [{ pointer: `/${field}`, message: `does not belong to the scope ${scope}; leave it out` }];
  });
}

/** Faults of a layer by itself: keys given twice, values that its own strategies cannot merge, its schema, text of customers. */
export function layerFaults(layer: Pick<Layer, 'scope' | 'data' | 'merge' | 'secrets'>, schema: Values | null): Fault[] {
  const faults: Fault[] = [];
  for (const key of Object.keys(layer.secrets))
    if (Object.hasOwn(layer.data, key)) faults.push({ pointer: pointer(['secrets', key]), message: 'is in data, too' });
  for (const [key, strategy] of Object.entries(layer.merge)) {
    const place = placeOf(layer, key);
    if (place && !fits(strategy, valueOf(layer, key)!)) faults.push({ pointer: place, message: `must be ${article[strategy]}: it is merged by ${strategy}` });
  }
  if (layer.scope === 'customer') faults.push(...interpolationFaults(layer.data, ['data']));
  if (schema === null) return faults;
  const checked = checkSchema(schema, { ...layer.data, ...layer.secrets });
  if (checked.schema) return [...faults, checked.schema];
  for (const { pointer: at, message } of checked.faults) {
    const [, first = ''] = at.split('/');
    const key = first.replaceAll('~1', '/').replaceAll('~0', '~');
    faults.push({ pointer: `/${Object.hasOwn(layer.secrets, key) ? 'secrets' : 'data'}${at}`, message });
  }
  return faults;
}

function interpolationFaults(value: Value, at: readonly (string | number)[]): Fault[] {
  const refuse = (path: readonly (string | number)[]): Fault => ({
    pointer: pointer(path),
    message: "must not hold %{ in data of a customer, because Hiera would interpolate it; to mean the characters themselves write %{literal('%')}{",
  });
  if (typeof value === 'string') return interpolates(value) ? [refuse(at)] : [];
  if (Array.isArray(value)) return value.flatMap((one: Value, i) => interpolationFaults(one, [...at, i]));
  if (!isMapping(value)) return [];
  return Object.entries(value).flatMap(([key, one]) => [...(interpolates(key) ? [refuse([...at, key])] : []), ...interpolationFaults(one, [...at, key])]);
}

/** Where a layer sets a key of data or of secrets. */
function placeOf(layer: Pick<Layer, 'data' | 'secrets'>, key: string): string | undefined {
  if (Object.hasOwn(layer.data, key)) return pointer(['data', key]);
  return Object.hasOwn(layer.secrets, key) ? pointer(['secrets', key]) : undefined;
}

function valueOf(layer: Pick<Layer, 'data' | 'secrets'>, key: string): Value | undefined {
  if (Object.hasOwn(layer.data, key)) return layer.data[key];
  return Object.hasOwn(layer.secrets, key) ? layer.secrets[key] : undefined;
}

/** Keys of data that a layer sets or declares. */
export const keysOf = (layer: Pick<Layer, 'data' | 'secrets' | 'merge'>): string[] => [
  ...new Set([...Object.keys(layer.data), ...Object.keys(layer.secrets), ...Object.keys(layer.merge)]),
];

/** A key has one strategy wherever it is declared, and all its values can be merged by it. Places are those of `layer`. */
export function strategyConflicts(layer: Layer, others: readonly Layer[]): Fault[] {
  const faults: Fault[] = [];
  for (const other of others) {
    for (const [key, strategy] of Object.entries(layer.merge)) {
      const theirs = Object.hasOwn(other.merge, key) ? other.merge[key] : undefined;
      const value = valueOf(other, key);
      if (theirs !== undefined && theirs !== strategy) faults.push({ pointer: pointer(['merge', key]), message: `is ${theirs} in the layer ${other.name}` });
      else if (value !== undefined && !fits(strategy, value))
        faults.push({ pointer: pointer(['merge', key]), message: `cannot be ${strategy}: the layer ${other.name} does not set it to ${article[strategy]}` });
    }
    for (const [key, strategy] of Object.entries(other.merge)) {
      const value = valueOf(layer, key);
      if (value !== undefined && !Object.hasOwn(layer.merge, key) && !fits(strategy, value))
        faults.push({ pointer: placeOf(layer, key)!, message: `must be ${article[strategy]}: the layer ${other.name} has it merged by ${strategy}` });
    }
  }
  return faults;
}

/**
 * What two layers of one scope and weight that can reach the same node set to different values, so that
 * nothing but their names would decide. Places are those of `layer`. Keys with another strategy than first are merged.
 */
export function valueConflicts(layer: Layer, other: Layer, declared: Readonly<Record<string, Strategy>>): Fault[] {
  const faults: Fault[] = [];
  const compare = (path: readonly string[], a: Value | undefined, b: Value | undefined): void => {
    if (a !== undefined && b !== undefined && !sameValue(a, b))
      faults.push({
        pointer: pointer(path),
        message: `is set to another value by the layer ${other.name}, which has the same scope and weight; give one of them more weight`,
      });
  };
  for (const key of keysOf(layer)) {
    if ((Object.hasOwn(declared, key) ? declared[key]! : 'first') !== 'first') continue;
    compare([Object.hasOwn(layer.secrets, key) ? 'secrets' : 'data', key], valueOf(layer, key), valueOf(other, key));
  }
  const own = <T>(from: Readonly<Record<string, T>>, key: string): T | undefined => (Object.hasOwn(from, key) ? from[key] : undefined);
  for (const [key, value] of Object.entries(layer.parameters)) compare(['parameters', key], value, own(other.parameters, key));
  for (const [name, parameters] of Object.entries(layer.classes)) {
    for (const [key, value] of Object.entries(parameters)) compare(['classes', name, key], value, own(own(other.classes, name) ?? {}, key));
  }
  return faults;
}
