/** Puts together where the values of a document come from. Pure. */
import type { Json } from '../documents/canonical.ts';
import { isObject } from '../documents/classes.ts';
import type { Contribution, Outcome, Trace } from '../documents/layers.ts';
import { interpolates } from '../modules/layers/names.ts';
import type { Placed } from './places.ts';
import type { ChangeNote, ExplainedValue, Kind, LayerNote, Looked, Since } from './types.ts';

/** Stands for a secret. */
export const SECRET = '(secret)';

/** What a layer sets, by which its change is found. */
export interface Setting {
  readonly layer: number;
  readonly kind: Kind;
  readonly key: string;
}

/** A layer that sets a key and does not reach the node. */
export interface Beyond extends Setting {
  readonly note: LayerNote;
  readonly value: Json;
  readonly secret: boolean;
}

/** What explaining needs beside the document and its layers. */
export interface Known {
  readonly manager: 'puppet' | 'salt';
  readonly reaching: readonly LayerNote[];
  readonly beyond: readonly Beyond[];
  readonly changes: (setting: Setting) => ChangeNote | null;
  readonly since: (placed: Placed) => Since;
  /** Classes that the node's environment does not know. */
  readonly unknown: ReadonlySet<string>;
}

/** Names by which values are found; unique among values of one kind. */
export const nameOf = ({ kind, key }: { readonly kind: Kind; readonly key: string }): string => `${kind} ${key}`;

/** The kind and key of what a trace is about. */
export function tracedAs({ kind, key, parameter }: Pick<Trace, 'kind' | 'key' | 'parameter'>): { kind: Kind; key: string } {
  return parameter === undefined ? { kind, key } : { kind: 'class_parameter', key: `${key}::${parameter}` };
}

/** A value asked for by key, and where inside it. */
export interface Chosen {
  readonly placed: Placed;
  readonly path: readonly string[];
}

/** Names of a value: its key, and where Salt's pillar has it. */
const namesOf = ({ key, places }: Placed): (string | undefined)[] => [key, places.pillar];

/** The values of this name; else those that a name with dots leads into, as Hiera reads it. */
export function choose(values: readonly Placed[], asked: string): Chosen[] {
  const whole = values.filter((one) => namesOf(one).includes(asked)).map((placed): Chosen => ({ placed, path: [] }));
  if (whole.length > 0 || !asked.includes('.')) return whole;
  const [first = '', ...path] = asked.split('.');
  return values.filter((one) => namesOf(one).includes(first) && dig(one.value, path) !== undefined).map((placed): Chosen => ({ placed, path }));
}

/** What a path of keys and indices leads to. */
export function dig(value: Json | undefined, path: readonly string[]): Json | undefined {
  let at = value;
  for (const step of path) {
    if (Array.isArray(at)) at = /^\d{1,9}$/.test(step) ? (at as readonly Json[])[Number(step)] : undefined;
    else at = isObject(at) && Object.hasOwn(at, step) ? at[step] : undefined;
  }
  return at;
}

/** One value, explained. `trace` is there where layers gave it. */
export function explainValue({ placed, path }: Chosen, trace: Trace | undefined, all: readonly Placed[], known: Known): ExplainedValue {
  const { kind, key, places, from = [] } = placed;
  const secret = trace?.secret ?? false;
  const value = secret ? SECRET : (dig(placed.value, path) ?? null);
  const shown = path.length === 0 ? key : [key, ...path].join('.');
  const base = { kind, key: shown, places, value, secret, from, since: known.since(placed) };
  if (!trace) {
    const strategy = kind === 'data' && isObject(value) ? 'deep' : 'first';
    return { ...base, source: 'model', strategy, declared_by: [], conflict: false, won: [], layers: [], notes: [] };
  }
  const layers = [
    ...lookedAt(trace, path, kind, key, known),
    ...known.beyond.filter((one) => one.kind === kind && one.key === key).map((one) => beyond(one, path, known)),
  ];
  const order = new Map(layers.map((one, i) => [one, i]));
  return {
    ...base,
    source: 'layers',
    strategy: trace.strategy,
    declared_by: trace.declared,
    conflict: trace.conflict,
    won: layers.filter(({ outcome }) => outcome === 'won' || outcome === 'contributed').map(({ layer }) => layer),
    layers: layers.sort((a, b) => order.get(a)! - order.get(b)!),
    notes: notesOf(placed, trace, all, known),
  };
}

function lookedAt(trace: Trace, path: readonly string[], kind: Kind, key: string, { reaching, changes }: Known): Looked[] {
  const outcomes = path.length === 0 ? trace.layers.map((one) => one.outcome) : outcomesInside(trace, path);
  return trace.layers.map((one, i): Looked => {
    const note = reaching.find(({ layer }) => layer === one.layer)!;
    const outcome = outcomes[i]!;
    if (outcome === 'silent') return { ...note, outcome, secret: false, change: null };
    return { ...note, outcome, value: one.secret ? SECRET : dig(one.value as Json, path)!, secret: one.secret, change: changes({ layer: one.id, kind, key }) };
  });
}

function beyond({ layer, kind, key, note, value, secret }: Beyond, path: readonly string[], { changes }: Known): Looked {
  const inside = secret ? SECRET : dig(value, path);
  return { ...note, outcome: 'out_of_reach', ...(inside === undefined ? {} : { value: inside }), secret, change: changes({ layer, kind, key }) };
}

/** What became of each layer's part of a value, below a path into it. */
function outcomesInside({ strategy, layers }: Trace, path: readonly string[]): Outcome[] {
  const inside = ({ value }: Contribution): Json | undefined => dig(value as Json | undefined, path);
  const has = layers.map((one) => inside(one) !== undefined);
  if (strategy !== 'deep') {
    const first =
      strategy === 'hash'
        ? layers.findIndex((one) => dig(one.value as Json | undefined, path.slice(0, 1)) !== undefined)
        : layers.findIndex(({ outcome }) => outcome === 'won');
    return has.map((there, i) => (!there ? 'silent' : i === first || strategy === 'unique' ? 'won' : 'lost'));
  }
  /* Mappings and lists of several layers become one; of anything else the most important one stays. */
  const merges = layers.map((one) => typeof inside(one) === 'object' && inside(one) !== null);
  const first = layers.findIndex((one) => inside(one) !== undefined && inside(one) !== null);
  const together = merges.filter(Boolean).length > 1 && merges[first] === true;
  return has.map((there, i) => (!there ? 'silent' : together && merges[i] ? 'contributed' : i === first ? 'won' : 'lost'));
}

function notesOf({ kind, key, value }: Placed, { strategy, secret, conflict }: Trace, all: readonly Placed[], { manager, unknown }: Known): string[] {
  const notes: string[] = [];
  const other = (also: Kind): boolean => all.some((one) => one.kind === also && one.key === key);
  if (conflict) notes.push('Layers of the same scope and weight give different values, so that their names decided; give one of them more weight.');
  if (secret)
    notes.push(
      `It is served to this node in clear${manager === 'puppet' ? ', and becomes Sensitive' : '; let states that write it not show their changes'}. Nobody else sees it.`,
    );
  if (manager === 'puppet') {
    if (kind === 'class' && unknown.has(key)) notes.push("The class list of the node's environment lacks it: its catalog fails, unless the list is old.");
    if (kind === 'data' && !secret && holds(value, interpolates)) notes.push('Puppet interpolates %{…} in it when it compiles the catalog.');
    if (kind === 'data' && strategy !== 'first') notes.push(`Puppet merges it (${strategy}) with what the levels below Corral in its own hierarchy have, too.`);
    if (kind === 'class_parameter' && other('data')) notes.push('The class is declared with it, so Puppet does not look for the key of Hiera with this name.');
    if (kind === 'data' && other('class_parameter')) notes.push('The class is declared with this parameter, so Puppet does not take it from this key.');
  } else if (kind === 'data') {
    if (!secret && holds(value, (text) => text.includes('%{'))) notes.push('Salt takes it as it is written: only Puppet interpolates %{…}.');
    if (key.includes(':')) notes.push(`Salt's pillar.get would read its colons as a path: take pillar['${key}'], or another delimiter.`);
  }
  return notes;
}

/** Whether any text inside a value, keys among them, is such. */
function holds(value: Json, such: (text: string) => boolean): boolean {
  if (typeof value === 'string') return such(value);
  if (Array.isArray(value)) return value.some((one: Json) => holds(one, such));
  return isObject(value) && Object.entries(value).some(([key, one]: [string, Json]) => such(key) || holds(one, such));
}
