import { bytes } from '../http/form.ts';
import { CliError, closest } from './exit.ts';
import type { Noun, Shape } from './nouns.ts';

type Body = Record<string, unknown>;

/**
 * A field of an argument: `roles.hypervisor.cores=16`, `secrets.profile::db::password=...`. A key of a mapping that holds
 * dots or other characters stands in quotes: `metadata."vm.swappiness"=10`.
 */
const ASSIGNMENT = /^([A-Za-z_][\w-]*(?:\.(?:"(?:[^"\\]|\\.)*"|'[^']*'|[\w:-]*))*)=(.*)$/s;
/** One part of its path. */
const SEGMENT = /"(?:[^"\\]|\\.)*"|'[^']*'|[^.]+|(?<=^|\.)(?=\.|$)/gs;

/** Whether an argument is `name=value` and not a key. */
export function isAssignment(arg: string): boolean {
  return ASSIGNMENT.test(arg);
}

interface Assignment {
  readonly arg: string;
  readonly name: string;
  readonly path: readonly string[];
  readonly text: string;
}

/** @throws CliError usage for what is no assignment */
function readAssignment(noun: Noun, arg: string): Assignment {
  const [, name, text] = ASSIGNMENT.exec(arg) ?? [];
  if (name === undefined || text === undefined) {
    const dotted = /^[A-Za-z_][\w-]*\.[^=]+=/.test(arg);
    const quote = `a key with other characters than letters, digits, '_', '-' and ':' stands in quotes: 'metadata."a/b"=1'`;
    throw new CliError('usage', `'${arg}' is not field=value`, [dotted ? quote : `fields of a ${noun.noun}: ${Object.keys(noun.write).join(', ')}`]);
  }
  return { arg, name, text, path: [...name.matchAll(SEGMENT)].map(([segment]) => unquoted(segment, arg)) };
}

function unquoted(segment: string, arg: string): string {
  if (segment.startsWith("'")) return segment.slice(1, -1);
  return segment.startsWith('"') ? String(parseJson(segment, arg)) : segment;
}

/** Values of the thing itself that arguments change in part. */
export interface Merging {
  readonly paths: readonly (readonly string[])[];
  /** What was to be removed, and is not there. */
  readonly absent: string[];
}

/**
 * Brings `field=value` arguments to a body, each value by the type of its field. What does not fit its
 * type is sent as it stands, so that the API says what is wrong with it.
 * @param merging what `start` has from the thing itself: null removes a key of that
 * @throws CliError for what is no assignment, and for JSON that cannot be read
 */
export function parseAssignments(noun: Noun, args: readonly string[], start: Body = {}, merging?: Merging): Body {
  const body = structuredClone(start);
  const root: Shape = { type: 'object', props: noun.write };
  for (const arg of args) {
    const { name, path, text } = readAssignment(noun, arg);
    const value = parseValue(shapeAt(root, path), text, name);
    const removes = value === null && merging?.paths.some((base) => base.length < path.length && base.every((one, i) => one === path[i]));
    if (removes && valueAt(body, path) === undefined) merging!.absent.push(name);
    else assign(body, path, removes ? REMOVED : value, arg);
  }
  return body;
}

/**
 * The paths at which arguments name parts of a value that the API takes as a whole: `data` of `data.motd=hello`.
 * Not those that an argument, or `start`, gives as a whole before.
 */
export function wholesOf(noun: Noun, args: readonly string[], start: Body): string[][] {
  const out = new Map<string, string[]>();
  const given = new Set<string>();
  for (const arg of args) {
    const { path } = readAssignment(noun, arg);
    for (let length = 1; length < path.length; length++) {
      const base = path.slice(0, length);
      const id = JSON.stringify(base);
      if (given.has(id) || valueAt(start, base) !== undefined) break;
      const shape = shapeAt({ type: 'object', props: noun.write }, base);
      if (shape?.props) continue;
      if (shape?.type === 'object' || shape?.type === 'array') out.set(id, base);
      break;
    }
    given.add(JSON.stringify(path));
  }
  return [...out.values()];
}

/** What stands at a path of a body, if anything. */
export function valueAt(body: unknown, path: readonly string[]): unknown {
  let at = body;
  for (const name of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return undefined;
    at = (at as Body)[name];
  }
  return at;
}

/** Puts a value at a path of a body. */
export function putAt(body: Body, path: readonly string[], value: unknown): void {
  assign(body, path, value, path.join('.'));
}

/** The shape at a path: into parts, lists (by number) and free-form objects. */
function shapeAt(root: Shape, path: readonly string[]): Shape | undefined {
  let at: Shape | undefined = root;
  for (const name of path) {
    if (at === undefined || at.type === 'any') return { type: 'any' };
    if (at.type === 'array') at = at.items ?? { type: 'any' };
    else at = at.props ? at.props[name] : { type: 'any' };
  }
  return at;
}

const REMOVED = Symbol('removed');

function assign(body: Body, path: readonly string[], value: unknown, arg: string): void {
  let at: Body | unknown[] = body;
  for (const [i, name] of path.entries()) {
    const key = Array.isArray(at) ? Number(name) : name;
    if (Array.isArray(at) && !(Number.isInteger(key) && Number(key) >= 0 && Number(key) <= at.length))
      throw new CliError('usage', `'${arg}': '${name}' must be the next number of the list, ${at.length}`);
    const box = at as Body;
    if (i === path.length - 1) {
      if (value === REMOVED && Array.isArray(at)) at.splice(Number(key), 1);
      else if (value === REMOVED) delete box[name];
      else define(box, String(key), value);
      return;
    }
    const inner: unknown = Object.hasOwn(box, String(key)) ? box[String(key)] : undefined;
    if (inner !== undefined && inner !== null && typeof inner !== 'object') {
      const place = path.slice(0, i + 1).join('.');
      throw new CliError('usage', `'${arg}': ${place} is ${JSON.stringify(inner)}, not a mapping`, [`  ${place}=null before it removes that`]);
    }
    if (inner === undefined || inner === null) define(box, String(key), /^\d+$/.test(path[i + 1]!) ? [] : {});
    at = box[String(key)] as Body;
  }
}

function define(target: Body, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, enumerable: true, writable: true, configurable: true });
}

/**
 * One value from its text: `null` is null, sizes take units, lists take commas or JSON, objects take JSON,
 * and `"null"` in double quotes is the word.
 * @param name for messages
 */
export function parseValue(shape: Shape | undefined, text: string, name: string): unknown {
  if (text === 'null') return null;
  if (text === '"null"') return 'null';
  switch (shape?.type) {
    case 'string':
      return text;
    case 'integer':
    case 'number':
      return parseNumber(shape, text);
    case 'boolean':
      return /^(true|yes|on|1)$/i.test(text) ? true : /^(false|no|off|0)$/i.test(text) ? false : text;
    case 'array':
      if (text.startsWith('[')) return parseJson(text, name);
      return text === '' ? [] : text.split(',').map((one) => parseValue(shape.items, one.trim(), name));
    case 'object':
      return parseJson(text, name);
    default:
      return parseAny(text);
  }
}

/** A body, or a row of a fleet file, with its sizes in bytes: `ram: 4GiB` is 4294967296. What is no size stays, and the API says so. */
export function withSizes(noun: Noun, body: Body): Body {
  return sized({ type: 'object', props: noun.write }, body) as Body;
}

/** A fleet file with its sizes in bytes. */
export function fleetSizes(nouns: readonly Noun[], file: Body): Body {
  return Object.fromEntries(
    Object.entries(file).map(([plural, rows]) => {
      const noun = nouns.find((one) => one.plural === plural);
      return [plural, noun && Array.isArray(rows) ? rows.map((row: unknown) => sized({ type: 'object', props: noun.write }, row)) : rows];
    }),
  );
}

function sized(shape: Shape | undefined, value: unknown): unknown {
  if (typeof value === 'string') return shape?.unit === 'bytes' ? bytes(value) : value;
  if (Array.isArray(value)) return shape?.items ? value.map((one) => sized(shape.items, one)) : value;
  if (typeof value !== 'object' || value === null || !shape?.props) return value;
  const out: Body = {};
  for (const [name, one] of Object.entries(value)) define(out, name, sized(Object.hasOwn(shape.props, name) ? shape.props[name] : undefined, one));
  return out;
}

function parseNumber(shape: Shape, text: string): unknown {
  if (/^-?\d+(\.\d+)?$/.test(text.trim())) return Number(text);
  return shape.unit === 'bytes' ? bytes(text) : text;
}

function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new CliError('usage', `${name} must be JSON, e.g. '{"key": "value"}': ${error instanceof Error ? error.message : ''}`, [], error);
  }
}

/** Of a field without a type: what reads as JSON is that, all else is text. */
function parseAny(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** Hints for the fields that a problem calls unknown. */
export function hintsOf(noun: Noun, faults: readonly { readonly pointer: string; readonly message: string }[]): string[] {
  const out: string[] = [];
  for (const { pointer, message } of faults) {
    if (!message.includes('not a field')) continue;
    const path = pointer.slice(1).split('/');
    const owner = shapeAt({ type: 'object', props: noun.write }, path.slice(0, -1));
    const near = closest(path.at(-1)!, Object.keys(owner?.props ?? {}));
    if (near !== undefined) out.push(`  did you mean ${[...path.slice(0, -1), near].join('.')}?`);
  }
  return out;
}

/** The parameters of a list: filters with sizes in units, checked by the API. */
export function parseFilters(noun: Noun, args: readonly string[]): [string, string][] {
  return args.map((arg) => {
    const match = ASSIGNMENT.exec(arg);
    if (!match) throw new CliError('usage', `'${arg}' is not field=value`, [`e.g. corral get ${noun.route} ${noun.key[0]}=...`]);
    const [name, text] = [match[1]!, match[2]!];
    const field = noun.fields.find((one) => one.name === name.replace(/__[a-z]+$/, ''));
    const value =
      field?.unit === 'bytes'
        ? text
            .split(',')
            .map((one) => String(bytes(one)))
            .join(',')
        : text;
    /* As in SQL, nothing is equal to null: asking for it means asking whether it is. */
    return text === 'null' && field?.operators.includes('__null') && !name.includes('__') ? [`${name}__null`, 'true'] : [name, value];
  });
}
