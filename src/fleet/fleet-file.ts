import { createHash, randomUUID } from 'node:crypto';
import { load, YAMLException } from 'js-yaml';
import { z } from 'zod';
import type { Catalog, Model } from '../db/catalog.ts';
import { check } from '../db/check.ts';
import type { Values } from '../db/transaction.ts';
import { isRecord } from '../kernel/codec.ts';
import { pointer, Problem, type Fault } from '../kernel/problem.ts';

/** One row of a fleet file, or a part of one: a role of a node, a disk of a virtual machine. */
export interface FileRow {
  readonly model: Model;
  /** Its place in the file. */
  readonly at: readonly PropertyKey[];
  readonly input: Values;
  /** What a fleet file gives and the API does not take. */
  readonly kept: Values;
}

/** Largest id of a virtual machine: the kernel takes 15 characters, and `br-<id>-<number>` must fit. */
const MAX_VM_ID = 999_999_999;
const id = (max: number) => z.int().min(1).max(max).optional();

/**
 * What a file gives beside the fields of the API, so that documents come out the same in another
 * database: they name domains, bridges, disks and secrets by these.
 */
export const keptFields: Readonly<Record<string, Readonly<Record<string, z.ZodType>>>> = {
  vm: { id: id(MAX_VM_ID) },
  vm_interface: { id: id(0xffff_ffff) },
  volume: { id: id(Number.MAX_SAFE_INTEGER) },
  ceph_key: { secret_uuid: z.uuid('must be a UUID').toLowerCase().optional() },
  /** False: the pool of free addresses is what the file lists, and no more. */
  subnet: { fill: z.boolean().optional() },
};

/** Nouns that a fleet file does not hold. */
export const leftOut: Readonly<Record<string, string>> = {
  tombstone: 'is not part of a fleet: it is what one host still has to remove',
  token: 'is not part of a fleet: tokens are kept as hashes; make new ones',
  person: 'is not part of a fleet: people belong to the Corral that they log in to',
  webhook: 'is not part of a fleet: a copy of it would send its changes to the same receivers',
};

/**
 * The rows of a fleet file, a mapping of plural nouns to lists of rows. Only the form is checked.
 * @returns the rows, by noun in the order in which they can be made
 * @throws Problem invalid
 */
export function fleetRows(catalog: Catalog, file: Values): Map<Model, FileRow[]> {
  const out = new Map<Model, FileRow[]>(catalog.models.map((model) => [model, []]));
  const byPlural = new Map(catalog.models.map((model) => [model.resource.plural, model]));
  const faults: Fault[] = [];
  for (const [plural, rows] of Object.entries(file)) {
    const model = byPlural.get(plural);
    const refuse = (message: string): number => faults.push({ pointer: pointer([plural]), message });
    if (!model)
      refuse(
        `is not a noun; there are: ${[...byPlural.values()]
          .filter(isWritten)
          .map((one) => one.resource.plural)
          .join(', ')}`,
      );
    else if (!isWritten(model)) refuse(leftOut[model.resource.noun] ?? 'is a list of fixed values and cannot be written');
    else if (rows === null) continue;
    else if (!Array.isArray(rows)) refuse('must be a list of rows');
    else for (const [i, row] of rows.entries()) addRow(out, model, [plural, i], row, faults);
  }
  if (faults.length > 0) throw invalidFile(faults);
  return out;
}

const isWritten = (model: Model): boolean => model.resource.readOnly !== true && leftOut[model.resource.noun] === undefined;

/** The nouns of a fleet file in their order; parts are written with their whole. */
export function fleetModels(catalog: Catalog): Model[] {
  const parts = new Set(catalog.models.flatMap((model) => Object.values(model.parts).flatMap((one) => Object.values(one))));
  return catalog.models.filter((model) => isWritten(model) && !parts.has(model));
}

/** Reads the YAML of a fleet file. @throws Problem bad-body */
export function parseFleet(text: string): Values {
  let file: unknown;
  try {
    file = load(text);
  } catch (cause) {
    if (!(cause instanceof YAMLException)) throw cause;
    throw new Problem('bad-body', `The fleet file is not YAML that can be read: ${cause.message.split('\n')[0]!}`, { cause });
  }
  if (!isRecord(file)) throw new Problem('bad-body', 'A fleet file is a mapping of nouns to lists of rows, such as `sites: [{name: fra1}]`');
  return file;
}

function addRow(out: Map<Model, FileRow[]>, model: Model, at: readonly PropertyKey[], row: unknown, faults: Fault[]): void {
  if (!isRecord(row)) {
    faults.push({ pointer: pointer(at), message: 'must be a mapping of fields to values' });
    return;
  }
  const input: Values = { ...row };
  const kept = takeKept(model, at, input, faults);
  out.get(model)!.push({ model, at, input, kept });
  for (const [name, parts] of Object.entries(model.parts)) {
    const given = input[name];
    if (!isRecord(given)) continue;
    const known = Object.keys(given).filter((part) => Object.hasOwn(parts, part));
    for (const part of known) {
      const owner = parts[part]!.resource.key[0]!;
      const value: unknown = given[part];
      if (value === null) faults.push({ pointer: pointer([...at, name, part]), message: 'an import removes nothing; leave it out' });
      else if (!isRecord(value)) faults.push({ pointer: pointer([...at, name, part]), message: 'must be a mapping of fields to values' });
      else if (Object.hasOwn(value, owner))
        faults.push({ pointer: pointer([...at, name, part, owner]), message: 'is known from the row around it; leave it out' });
      else addRow(out, parts[part]!, [...at, name, part], { ...value, [owner]: row[model.resource.key[0]!] }, faults);
    }
    /* What is left is unknown, and refused with the row. */
    input[name] = Object.fromEntries(Object.entries(given).filter(([part]) => !known.includes(part)));
  }
}

function takeKept(model: Model, at: readonly PropertyKey[], input: Values, faults: Fault[]): Values {
  const kept: Values = {};
  for (const [name, schema] of Object.entries(keptFields[model.resource.noun] ?? {})) {
    if (!Object.hasOwn(input, name)) continue;
    const parsed = schema.safeParse(input[name]);
    if (parsed.success) kept[name] = parsed.data;
    else faults.push({ pointer: pointer([...at, name]), message: parsed.error.issues[0]!.message.replace(/^Invalid input: /, '') });
    delete input[name];
  }
  return kept;
}

/**
 * A virtual machine's uuid, where the file gives none: random for one with a name, which finds it again;
 * made from the row's own content and its place among equal ones for one without, so that importing the
 * same file twice makes no second one.
 */
export function uuidFor(input: Values, seen: Map<string, number>): string {
  if (input['name'] != null) return randomUUID();
  const content = JSON.stringify(input, (_, value: unknown) =>
    isRecord(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value,
  );
  const place = seen.get(content) ?? 0;
  seen.set(content, place + 1);
  const bytes = createHash('sha256').update(`corral fleet vm ${place} ${content}`).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Checks a row against a schema and gathers its faults instead of throwing. */
export function gather(schema: z.ZodType<Values>, row: FileRow, faults: Fault[]): Values | undefined {
  try {
    return check(schema, row.input, row.at);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    faults.push(...error.faults);
    return undefined;
  }
}

const MAX_FAULTS = 100;

/** The refusal of a file; names all faults, up to a hundred. */
export function invalidFile(faults: readonly Fault[]): Problem {
  const shown = faults.slice(0, MAX_FAULTS);
  const more = faults.length - shown.length;
  const text = shown.map((one) => `${one.pointer} ${one.message}`).join('; ');
  return new Problem('invalid', more > 0 ? `${text}; and ${more} more` : text, { faults: shown });
}
