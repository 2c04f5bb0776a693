/**
 * Layers merged: what operators attached to the scopes that reach a node, as one. Strategies are those of
 * Hiera 5, with the results of Puppet's own lookup (lib/puppet/pops/merge_strategy.rb, deep_merge/core.rb).
 */
import { byPrecedence, fits, isMapping, sameValue, type Layer, type Scope, type Strategy, type Value, type Values } from '../modules/layers/types.ts';
import { put } from './canonical.ts';

export type { Layer, Scope, Strategy, Value } from '../modules/layers/types.ts';

/** What the layers of a node come to. Each part is empty where no layer says anything. */
export interface Merged {
  /** Classes (Puppet) and states (Salt) with the parameters that they are declared with. */
  readonly classes: Readonly<Record<string, Values>>;
  /** Top-scope variables of Puppet. */
  readonly parameters: Values;
  /** Keys of Hiera, and top-level keys of Salt's pillar. */
  readonly data: Values;
  /** Strategies of those keys of `data` that have another than `first`. */
  readonly merge: Readonly<Record<string, Strategy>>;
  /** Keys of `data` whose value came, in part or in whole, from the secrets of a layer; sorted. */
  readonly secret_keys: readonly string[];
}

/** What became of what a layer gave: it is the value, is part of it, was not looked at further, or it gave nothing. */
export type Outcome = 'won' | 'contributed' | 'lost' | 'silent';

/** What one layer gave for one key. */
export interface Contribution {
  readonly id: number;
  readonly layer: string;
  readonly scope: Scope;
  readonly target: string | null;
  readonly weight: number;
  readonly outcome: Outcome;
  /** Undefined where the layer is silent. Secrets are in clear: whoever shows it hides those where `secret` is true. */
  readonly value: Value | undefined;
  readonly secret: boolean;
}

/** How one value came about. */
export interface Trace {
  readonly kind: 'class' | 'parameter' | 'data';
  /** The class, the variable or the key. */
  readonly key: string;
  /** Of a class's parameter: its name. Undefined for the class itself, whose value is an empty mapping. */
  readonly parameter?: string;
  readonly strategy: Strategy;
  /** Layers that declare the strategy; none: it is the default. */
  readonly declared: readonly string[];
  readonly value: Value;
  readonly secret: boolean;
  /** Two layers of the same scope and weight give different values: their names decided. */
  readonly conflict: boolean;
  /** Every layer that reaches the node, in the order in which they were looked at. */
  readonly layers: readonly Contribution[];
}

interface Given {
  readonly layer: Layer;
  readonly value: Value;
  readonly secret: boolean;
}

interface Resolved {
  readonly value: Value;
  readonly secret: boolean;
  readonly conflict: boolean;
  /** By place in the list of what was given. */
  readonly outcomes: readonly Outcome[];
}

type Table = Map<string, Given[]>;

interface Gathered {
  readonly classes: Table;
  /** By class, then by parameter. */
  readonly classParameters: Map<string, Table>;
  readonly parameters: Table;
  readonly data: Table;
  readonly declared: Map<string, { readonly strategy: Strategy; readonly by: string[] }>;
}

/** Merges the layers that reach a node; in any order. */
export function mergeLayers(layers: readonly Layer[]): Merged {
  const found = gather(layers);
  const classes: Record<string, Values> = {};
  for (const name of found.classes.keys()) put(classes, name, values(found.classParameters.get(name)!));
  const data: Record<string, Value> = {};
  const merge: Record<string, Strategy> = {};
  const secretKeys: string[] = [];
  for (const [key, given] of found.data) {
    const strategy = found.declared.get(key)?.strategy ?? 'first';
    const resolved = resolve(given, strategy);
    put(data, key, resolved.value);
    if (strategy !== 'first') put(merge, key, strategy);
    if (resolved.secret) secretKeys.push(key);
  }
  return { classes, parameters: values(found.parameters), data, merge, secret_keys: secretKeys.sort() };
}

/** How every value of a node came about: classes, then parameters, then data, each by name. */
export function traceLayers(layers: readonly Layer[]): Trace[] {
  const ordered = [...layers].sort(byPrecedence);
  const found = gather(ordered);
  const trace = (kind: Trace['kind'], key: string, given: readonly Given[], parameter?: string): Trace => {
    const { strategy, by } = (kind === 'data' ? found.declared.get(key) : undefined) ?? {
      strategy: kind === 'class' && parameter === undefined ? 'hash' : 'first',
      by: [],
    };
    const { outcomes, ...rest } = resolve(given, strategy);
    const contributions = ordered.map((layer): Contribution => {
      const at = given.findIndex((one) => one.layer === layer);
      const { id, name, scope, target, weight } = layer;
      return { id, layer: name, scope, target, weight, outcome: outcomes[at] ?? 'silent', value: given[at]?.value, secret: given[at]?.secret ?? false };
    });
    return { kind, key, ...(parameter === undefined ? {} : { parameter }), strategy, declared: by, ...rest, layers: contributions };
  };
  const sorted = (table: Table): [string, Given[]][] => [...table].sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    ...sorted(found.classes).flatMap(([name, given]) => [
      trace('class', name, given),
      ...sorted(found.classParameters.get(name)!).map(([parameter, each]) => trace('class', name, each, parameter)),
    ]),
    ...sorted(found.parameters).map(([key, given]) => trace('parameter', key, given)),
    ...sorted(found.data).map(([key, given]) => trace('data', key, given)),
  ];
}

function gather(layers: readonly Layer[]): Gathered {
  const found: Gathered = { classes: new Map(), classParameters: new Map(), parameters: new Map(), data: new Map(), declared: new Map() };
  for (const layer of [...layers].sort(byPrecedence)) {
    for (const [name, parameters] of Object.entries(layer.classes)) {
      add(found.classes, name, { layer, value: {}, secret: false });
      const table: Table = found.classParameters.get(name) ?? new Map<string, Given[]>();
      found.classParameters.set(name, table);
      for (const [parameter, value] of Object.entries(parameters)) add(table, parameter, { layer, value, secret: false });
    }
    for (const [key, value] of Object.entries(layer.parameters)) add(found.parameters, key, { layer, value, secret: false });
    for (const [key, value] of Object.entries(layer.data)) add(found.data, key, { layer, value, secret: false });
    for (const [key, value] of Object.entries(layer.secrets)) add(found.data, key, { layer, value, secret: true });
    for (const [key, strategy] of Object.entries(layer.merge)) {
      const known = found.declared.get(key);
      if (!known) found.declared.set(key, { strategy, by: [layer.name] });
      else if (known.strategy === strategy) known.by.push(layer.name);
    }
  }
  return found;
}

function add(table: Table, key: string, given: Given): void {
  const list = table.get(key);
  if (list) list.push(given);
  else table.set(key, [given]);
}

function values(table: Table): Values {
  const out: Record<string, Value> = {};
  for (const [key, given] of table) put(out, key, resolve(given, 'first').value);
  return out;
}

/** What was given for a key, most important first, as one value. */
function resolve(given: readonly Given[], declared: Strategy): Resolved {
  const first = given[0]!;
  /* The rules refuse values that a strategy cannot merge. Should one be there all the same, the first is still an answer. */
  const strategy = given.every((one) => fits(declared, one.value)) ? declared : 'first';
  if (strategy === 'first') {
    const conflict = given.some(
      ({ layer, value }, i) => i > 0 && layer.scope === first.layer.scope && layer.weight === first.layer.weight && !sameValue(value, first.value),
    );
    return { value: first.value, secret: first.secret, conflict, outcomes: given.map((_, i) => (i === 0 ? 'won' : 'lost')) };
  }
  const value = given.slice(1).reduce((merged, one) => mergers[strategy](merged, one.value), strategy === 'unique' ? unique(first.value, []) : first.value);
  return { value, secret: given.some((one) => one.secret), conflict: false, outcomes: given.map(() => (given.length === 1 ? 'won' : 'contributed')) };
}

/** Of two values the first is the more important one. */
const mergers: Readonly<Record<Exclude<Strategy, 'first'>, (high: Value, low: Value) => Value>> = {
  unique,
  hash: (high, low) => union(low as Values, high as Values),
  deep,
};

function union(low: Values, high: Values): Record<string, Value> {
  const out: Record<string, Value> = {};
  for (const source of [low, high]) for (const [key, value] of Object.entries(source)) put(out, key, value);
  return out;
}

/** Arrays of arrays become flat, a single value an array of one; the important ones come first, each once. */
function unique(high: Value, low: Value): Value[] {
  return distinct([...flat(high), ...flat(low)]);
}

const flat = (value: Value): Value[] => (Array.isArray(value) ? (value as readonly Value[]).flatMap(flat) : [value]);

function distinct(list: readonly Value[]): Value[] {
  const seen = new Set<Value>();
  const out: Value[] = [];
  for (const value of list) {
    if (typeof value === 'object' && value !== null ? out.some((one) => sameValue(one, value)) : seen.has(value)) continue;
    seen.add(value);
    out.push(value);
  }
  return out;
}

/**
 * What the gem deep_merge does with its defaults: mappings key by key, arrays united with those of the less
 * important one first, else the important one; where that is null, or the other null or false, the other.
 */
function deep(high: Value, low: Value): Value {
  if (high === null) return low;
  if (low === null || low === false) return high;
  if (isMapping(high) && isMapping(low)) {
    const out = union(low, {});
    for (const [key, value] of Object.entries(high)) {
      const below = Object.hasOwn(low, key) ? low[key]! : null;
      /* What only the important one has is merged with itself there, which makes its arrays distinct. */
      put(out, key, deep(value, below === null || below === false ? value : below));
    }
    return out;
  }
  /* Over anything else a mapping wins, but for an empty one; all but its first key are merged with themselves, too. */
  if (isMapping(high)) {
    const entries = Object.entries(high);
    if (entries.length === 0) return low;
    const out: Record<string, Value> = {};
    for (const [i, [key, value]] of entries.entries()) put(out, key, i === 0 ? value : deep(value, value));
    return out;
  }
  if (Array.isArray(high) && Array.isArray(low)) return distinct([...(low as Value[]), ...(high as Value[])]);
  return high;
}
