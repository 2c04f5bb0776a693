import { note } from './emit.ts';
import { CliError } from './exit.ts';
import type { ProblemBody } from './errors.ts';
import type { Ask, Client } from './http.ts';
import type { Noun } from './nouns.ts';
import { parseAssignments, putAt, valueAt, wholesOf, type Merging } from './values.ts';

type Body = Record<string, unknown>;

/** What a change sends, and what it was made of. */
export interface Patch {
  readonly body: Body;
  /** The version of the thing that parts of the body were read from. */
  readonly version: number | undefined;
  /** The fields that were read. */
  readonly read: readonly string[];
}

/** The thing that is changed. */
export interface Thing {
  readonly client: Client;
  readonly path: string;
  /** Whether it may be missing. */
  readonly upsert: boolean;
  /** The version that it is to have. */
  readonly expected: number | undefined;
  readonly hints: NonNullable<Ask['hints']>;
}

/**
 * The body of a change. The API takes a mapping or a list as a whole, so where arguments name parts of one, such as
 * `data.motd=hello`, what is there now is read, and changed in these parts only.
 * @throws CliError
 */
export async function patchOf(noun: Noun, args: readonly string[], start: Body, thing: Thing): Promise<Patch> {
  const readable = new Set(noun.fields.map((field) => field.name));
  const paths = wholesOf(noun, args, start).filter((path) => readable.has(path[0]!));
  if (paths.length === 0) return { body: parseAssignments(noun, args, start), version: undefined, read: [] };
  const row = await readRow(thing);
  if (row === undefined) return { body: parseAssignments(noun, args, start), version: undefined, read: [] };
  const version = row['version'] as number;
  if (thing.expected !== undefined && version !== thing.expected)
    throw new CliError('conflict', `stale-version: It has version ${version}, and not ${thing.expected}; nothing was changed`);
  const body = structuredClone(start);
  for (const path of paths) {
    const value = valueAt(row, path);
    if (value !== undefined && value !== null) putAt(body, path, value);
  }
  const merging: Merging = { paths, absent: [] };
  const merged = parseAssignments(noun, args, body, merging);
  for (const name of merging.absent) note(`There is no ${name} to remove`);
  return { body: merged, version, read: [...new Set(paths.map((path) => path.join('.')))] };
}

/** What is said below a refusal because somebody else changed the thing after parts of it were read. */
export function overtaken({ read }: Patch, { code }: ProblemBody): string[] {
  return code === 'stale-version' && read.length > 0
    ? [`  it was changed between the reading of ${read.join(', ')} and the writing, and nothing was overwritten; give the command again`]
    : [];
}

async function readRow({ client, path, upsert, hints }: Thing): Promise<Body | undefined> {
  try {
    return JSON.parse((await client.ask('GET', path, { hints })).body.toString()) as Body;
  } catch (error) {
    if (upsert && error instanceof CliError && error.exit === 'missing') return undefined;
    throw error;
  }
}
