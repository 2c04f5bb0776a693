import { inspect } from 'node:util';
import { toCliError } from '../cli/errors.ts';
import type { Noun } from '../cli/nouns.ts';
import { rowsTable, thingText } from '../cli/show.ts';
import { clean, colourful, table, terminalWidth } from '../cli/text.ts';
import { Problem } from '../kernel/problem.ts';
import type { Seen } from './nouns.ts';

type Row = Readonly<Record<string, unknown>>;

/** A result for people: the rows of a noun and of SQL as tables, one thing field by field. */
export function resultText(nouns: readonly Noun[], seen: WeakMap<object, Seen>, value: unknown): string {
  const width = terminalWidth();
  const colour = colourful(process.stdout);
  if (typeof value === 'object' && value !== null) {
    const known = seen.get(value);
    if (known && !Array.isArray(value)) return thingText(known.noun, nouns, value as Row);
    if (known) return counted(value as Row[], () => rowsTable(known.noun, nouns, value as Row[], known.columns ?? known.noun.columns, width));
    if (Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'object' && one !== null && !Array.isArray(one))) {
      const names = [...new Set(value.flatMap((one) => Object.keys(one as Row)))];
      const cells = (value as Row[]).map((row) => names.map((name) => cell(row[name])));
      return counted(value as Row[], () =>
        table(
          names.map((title) => ({ title })),
          cells,
          { width, colour },
        ),
      );
    }
  }
  return inspect(value, { colors: colour, depth: 6 });
}

function counted(rows: readonly Row[], text: () => string): string {
  return rows.length === 0 ? 'none' : `${text()}\n(${rows.length} ${rows.length === 1 ? 'row' : 'rows'})`;
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return '-';
  if (value instanceof Date) return value.toISOString();
  return clean(typeof value === 'object' ? JSON.stringify(value) : String(value));
}

/** What went wrong: of a problem and of PostgreSQL its message, of other code also its kind. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return `thrown: ${inspect(error)}`;
  if (error instanceof Problem) {
    const { message, lines } = toCliError(error);
    return [message, ...lines].join('\n');
  }
  return `${error.name}: ${clean(error.message)}`;
}
