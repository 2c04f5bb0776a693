import { bytes } from '../http/form.ts';
import { CliError, closest } from './exit.ts';
import type { Noun, Shape } from './nouns.ts';

type Body = Record<string, unknown>;

/** A field of an argument: `roles.hypervisor.cores=16`, `secrets.profile::db::password=...`. */
const ASSIGNMENT = /^([A-Za-z_][\w-]*(?:\.[\w:-]*)*)=(.*)$/s;

/** Whether an argument is `name=value` and not a key. */
export function isAssignment(arg: string): boolean {
  return ASSIGNMENT.test(arg);
}

/**
 * Brings `field=value` arguments to a body, each value by the type of its field. What does not fit its
 * type is sent as it stands, so that the API says what is wrong with it.
 * @throws CliError for what is no assignment, and for JSON that cannot be read
 */
export function parseAssignments(noun: Noun, args: readonly string[], start: Body = {}): Body {
  const body = structuredClone(start);
  const root: Shape = { type: 'object', props: noun.write };
  for (const arg of args) {
    const match = ASSIGNMENT.exec(arg);
    if (!match) throw new CliError('usage', `'${arg}' is not field=value`, [`fields of a ${noun.noun}: ${Object.keys(noun.write).join(', ')}`]);
    const path = match[1]!.split('.');
    assign(body, path, parseValue(shapeAt(root, path), match[2]!, match[1]!), arg);
  }
  return body;
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

function assign(body: Body, path: readonly string[], value: unknown, arg: string): void {
  let at: Body | unknown[] = body;
  for (const [i, name] of path.entries()) {
    const key = Array.isArray(at) ? Number(name) : name;
    if (Array.isArray(at) && !(Number.isInteger(key) && Number(key) >= 0 && Number(key) <= at.length))
      throw new CliError('usage', `'${arg}': '${name}' must be the next number of the list, ${at.length}`);
    const box = at as Body;
    if (i === path.length - 1) {
      define(box, String(key), value);
      return;
    }
    const inner: unknown = Object.hasOwn(box, String(key)) ? box[String(key)] : undefined;
    if (typeof inner !== 'object' || inner === null) define(box, String(key), /^\d+$/.test(path[i + 1]!) ? [] : {});
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
