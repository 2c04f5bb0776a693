import { keyOf, type Noun, type ReadField } from './nouns.ts';
import { clean, colourful, dim, bold, table, terminalWidth, widthOf } from './text.ts';

type Row = Readonly<Record<string, unknown>>;

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Bytes for people: 2 GiB, 1.5 TiB; one digit behind the point at most. */
export function humanBytes(value: number): string {
  let at = 0;
  let rest = value;
  while (Math.abs(rest) >= 1024 && at < UNITS.length - 1) {
    rest /= 1024;
    at++;
  }
  const text = Number.isInteger(rest) ? String(rest) : rest.toFixed(1);
  return `${text} ${UNITS[at]}`;
}

/** One value for people, on one line. */
export function humanValue(field: ReadField | undefined, value: unknown): string {
  if (value === null || value === undefined) return '-';
  if (typeof value === 'number') {
    if (field?.unit !== 'bytes') return String(value);
    return humanBytes(value) + (field.name.endsWith('_bps') ? '/s' : '');
  }
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'string') return field?.type === 'time' ? humanTime(value) : clean(value);
  if (field?.type === 'parts' && typeof value === 'object') return Object.keys(value).join(', ') || '-';
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.every((one) => typeof one !== 'object') ? clean(value.join(', ')) : `(${value.length})`;
  return clean(JSON.stringify(value));
}

function humanTime(text: string): string {
  const at = new Date(text);
  return Number.isNaN(at.getTime())
    ? clean(text)
    : at
        .toISOString()
        .replace('T', ' ')
        .replace(/\.\d+Z$/, 'Z');
}

/** The columns of a list: those that were asked for, else those of the noun. */
export function columnsOf(noun: Noun, fields: readonly string[] | undefined, include: readonly string[]): string[] {
  return [...new Set([...(fields ?? noun.columns), ...include])];
}

/** Rows as a table. */
export function rowsTable(noun: Noun, nouns: readonly Noun[], rows: readonly Row[], names: readonly string[], width = terminalWidth()): string {
  const fields = new Map(noun.fields.map((field) => [field.name, field]));
  const columns = names.map((name) => ({
    title: name,
    right: ['integer', 'number'].includes(fields.get(name)?.type ?? '') && fields.get(name)?.ref === undefined,
  }));
  const cells = rows.map((row) => names.map((name) => cell(noun, nouns, fields.get(name), name, row[name])));
  return table(columns, cells, { width, colour: colourful(process.stdout) });
}

/** A value in a table; of things that were included, their keys. */
function cell(noun: Noun, nouns: readonly Noun[], field: ReadField | undefined, name: string, value: unknown): string {
  const target = nouns.find((one) => one.noun === noun.includes[name]);
  if (target && Array.isArray(value))
    return (
      value
        .map((one) => keyOf(target, one as Row))
        .map(clean)
        .join(', ') || '-'
    );
  if (target && typeof value === 'object' && value !== null) return clean(keyOf(target, value as Row));
  return humanValue(field, value);
}

/** One thing: a line for each field, and what belongs to it below. */
export function thingText(noun: Noun, nouns: readonly Noun[], row: Row): string {
  const fields = new Map(noun.fields.map((field) => [field.name, field]));
  const lines: [string, string][] = [];
  const below: string[] = [];
  for (const [name, value] of Object.entries(row)) {
    const field = fields.get(name);
    const target = nouns.find((one) => one.noun === noun.includes[name]);
    if (target && Array.isArray(value)) {
      below.push('', bold(`${name} (${value.length})`, colourful(process.stdout)));
      if (value.length > 0) below.push(rowsTable(target, nouns, value as Row[], target.columns));
    } else if (field?.type === 'parts' && typeof value === 'object' && value !== null) {
      addParts(noun, nouns, lines, name, value as Row);
    } else {
      lines.push([name, exact(field, value, cell(noun, nouns, field, name, value))]);
    }
  }
  const width = Math.max(0, ...lines.map(([name]) => widthOf(clean(name))));
  return [...lines.map(([name, text]) => `${dim(clean(name).padEnd(width), colourful(process.stdout))}  ${text}`), ...below].join('\n');
}

function addParts(noun: Noun, nouns: readonly Noun[], lines: [string, string][], name: string, parts: Row): void {
  if (Object.keys(parts).length === 0) lines.push([name, '-']);
  for (const [part, inner] of Object.entries(parts)) {
    const shape = noun.write[name]?.props?.[part]?.props ?? {};
    for (const [field, value] of Object.entries(inner as Row)) {
      if (['id', 'version', 'created_at', 'updated_at'].includes(field)) continue;
      const unit = shape[field]?.unit ?? nouns.flatMap((one) => one.fields).find((one) => one.name === field)?.unit;
      const known: ReadField = { name: field, type: field.endsWith('_at') ? 'time' : 'any', operators: [], ...(unit === undefined ? {} : { unit }) };
      lines.push([`${name}.${part}.${field}`, exact(known, value, humanValue(known, value))]);
    }
  }
}

/** A value of a plan or a change, on one line: sizes as people read them, all else as it is on the wire. */
export function wireValue(noun: Noun | undefined, name: string, value: unknown): string {
  const field = noun?.fields.find((one) => one.name === name);
  if (typeof value === 'number' && field?.unit === 'bytes') return exact(field, value, humanValue(field, value));
  return clean(typeof value === 'string' ? value : JSON.stringify(value));
}

/** Sizes that are rounded are also given to the byte. */
function exact(field: ReadField | undefined, value: unknown, text: string): string {
  return field?.unit === 'bytes' && typeof value === 'number' && text.includes('.') ? `${text} (${value})` : text;
}
