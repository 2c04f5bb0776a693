/** Layers as plain data: what the rules, the loader and the pure merge share. No I/O. */

/** What JSON can hold. */
export type Value = string | number | boolean | null | readonly Value[] | { readonly [key: string]: Value };
export type Values = Readonly<Record<string, Value>>;

/** What a layer may be attached to, from least to most specific: a later one wins over an earlier one. */
export const scopes = ['everything', 'site', 'environment', 'role', 'customer', 'group', 'node'] as const;
export type Scope = (typeof scopes)[number];

/** The field that says which one of its scope a layer is attached to. */
export const targetFields = {
  everything: undefined,
  site: 'site',
  environment: 'environment',
  role: 'role',
  customer: 'customer',
  group: 'node_group',
  node: 'node',
} as const satisfies Record<Scope, string | undefined>;

/** How the values of a key that several layers set become one, in the words and with the meaning of Hiera. */
export const strategies = ['first', 'unique', 'hash', 'deep'] as const;
export type Strategy = (typeof strategies)[number];

export const roles = ['hypervisor', 'ceph_osd', 'ceph_mon'] as const;

/** A layer with its secrets opened. */
export interface Layer {
  readonly id: number;
  readonly name: string;
  readonly scope: Scope;
  /** The name of what it is attached to; null for everything. */
  readonly target: string | null;
  /** Inside a scope the higher one wins. */
  readonly weight: number;
  readonly classes: Readonly<Record<string, Values>>;
  readonly parameters: Values;
  readonly data: Values;
  readonly merge: Readonly<Record<string, Strategy>>;
  readonly secrets: Values;
}

/** Most specific first, then the heavier; where that says nothing, by name, so that the order is always the same. */
export function byPrecedence(a: Pick<Layer, 'scope' | 'weight' | 'name'>, b: Pick<Layer, 'scope' | 'weight' | 'name'>): number {
  return scopes.indexOf(b.scope) - scopes.indexOf(a.scope) || b.weight - a.weight || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}

export function isMapping(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether two values are the same, whatever the order of their keys. */
export function sameValue(a: Value, b: Value): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((one: Value, i) => sameValue(one, b[i] as Value));
  if (!isMapping(a) || !isMapping(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && sameValue(a[key]!, b[key]!));
}

/** Whether a strategy can merge a value: what Puppet's lookup asserts of it. */
export function fits(strategy: Strategy, value: Value): boolean {
  if (strategy === 'hash') return isMapping(value);
  return strategy !== 'unique' || (value !== null && !isMapping(value));
}
