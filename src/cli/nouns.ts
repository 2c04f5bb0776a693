import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { closest, CliError } from './exit.ts';

/** What may be written at one place: a field, or a part of one. */
export interface Shape {
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'array' | 'object' | 'any';
  readonly description?: string;
  readonly unit?: string;
  /** The noun that it names. */
  readonly ref?: string;
  readonly choices?: readonly string[];
  readonly props?: Readonly<Record<string, Shape>>;
  readonly items?: Shape;
}

/** What is shown, and what can be asked for. */
export interface ReadField {
  readonly name: string;
  readonly type: string;
  readonly unit?: string;
  readonly ref?: string;
  readonly choices?: readonly string[];
  /** What may follow its name in a filter: '', __gte … */
  readonly operators: readonly string[];
}

/** A noun as the client knows it. */
export interface Noun {
  readonly noun: string;
  readonly plural: string;
  readonly route: string;
  readonly title: string;
  readonly summary: string;
  readonly area: string;
  readonly key: readonly string[];
  readonly columns: readonly string[];
  readonly verbs: readonly ('create' | 'set' | 'delete')[];
  readonly required: readonly string[];
  readonly immutable: readonly string[];
  readonly fields: readonly ReadField[];
  readonly includes: Readonly<Record<string, string>>;
  readonly write: Readonly<Record<string, Shape>>;
}

/** The folders that the declarations are made from. */
const SOURCES = ['../modules', '../kernel', '../db', '../cli'];

/**
 * The nouns. Making them from the declarations loads the database's code and takes 0.5 s, so they are kept
 * in a file beside the program, which is made again when the program was built since.
 */
export async function loadNouns(): Promise<readonly Noun[]> {
  const here = dirname(fileURLToPath(import.meta.url));
  const file = join(here, '../nouns.json');
  try {
    if (statSync(file).mtimeMs >= newest(here)) return JSON.parse(readFileSync(file, 'utf8')) as Noun[];
  } catch {
    /* Not there yet. */
  }
  const { buildNouns } = await import('./nouns.build.ts');
  const nouns = await buildNouns();
  keep(file, JSON.stringify(nouns));
  return nouns;
}

function newest(here: string): number {
  let most = 0;
  for (const source of SOURCES) {
    for (const entry of readdirSync(join(here, source), { withFileTypes: true, recursive: true })) {
      if (entry.isFile() && /\.[jt]s$/.test(entry.name)) most = Math.max(most, statSync(join(entry.parentPath, entry.name)).mtimeMs);
    }
  }
  return most;
}

function keep(file: string, text: string): void {
  /* Beside sources that run unbuilt, as in tests, nothing is left. */
  if (import.meta.url.endsWith('.ts')) return;
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(`${file}.${process.pid}`, text);
    renameSync(`${file}.${process.pid}`, file);
  } catch {
    /* A folder of somebody else: made anew each time. */
  }
}

/** The noun that a person means: singular, plural, with dashes or underscores. */
export function findNoun(nouns: readonly Noun[], text: string): Noun {
  const name = text.toLowerCase().replaceAll('-', '_');
  const found = nouns.find((one) => one.noun === name || one.plural === name);
  if (found) return found;
  const near = closest(
    name,
    nouns.flatMap((one) => [one.noun, one.plural]),
  );
  throw new CliError(
    'usage',
    `there is no noun '${text}'${near === undefined ? '' : `; did you mean ${near}?`}`,
    near === undefined ? ['corral get lists the nouns'] : [],
  );
}

/** The natural key of a row, as it is written in a command. */
export function keyOf(noun: Noun, row: Readonly<Record<string, unknown>>): string {
  return noun.key.map((name) => String(row[name])).join(':');
}
