import type { Writable } from 'node:stream';

/** Whether a stream is a terminal that may be given colours. */
export function colourful(stream: Writable & { isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): boolean {
  return stream.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
}

const paint =
  (open: number, close: number) =>
  (text: string, on: boolean): string =>
    on ? `\u001b[${open}m${text}\u001b[${close}m` : text;

export const bold = paint(1, 22);
export const dim = paint(2, 22);
export const red = paint(31, 39);
export const green = paint(32, 39);

/** Text of others on one line, with nothing in it that would steer the terminal. */
export function clean(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (char) => {
    if (char === '\n') return '\\n';
    if (char === '\t') return '\\t';
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const none = /\p{Mn}|\p{Me}|[\u200b-\u200d]/u;

/** The columns of a terminal that text takes. */
export function widthOf(text: string): number {
  // oxlint-disable-next-line no-control-regex
  if (/^[\u0020-\u007e]*$/.test(text)) return text.length;
  let width = 0;
  for (const char of text) width += none.test(char) ? 0 : wide.test(char) ? 2 : 1;
  return width;
}

/** Text cut to a width, with … where something is missing. */
export function fit(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let out = '';
  let used = 0;
  for (const char of text) {
    const next = widthOf(char);
    if (used + next > width - 1) break;
    out += char;
    used += next;
  }
  return `${out}…`;
}

export function pad(text: string, width: number, right = false): string {
  const space = ' '.repeat(Math.max(0, width - widthOf(text)));
  return right ? space + text : text + space;
}

export interface Column {
  readonly title: string;
  /** Numbers stand at the right. */
  readonly right?: boolean;
}

const NARROWEST = 8;

/**
 * A table. The widest columns are cut until it fits into `width`; without a width nothing is cut, so that
 * programs that read it find all.
 */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  { width, colour = false }: { width?: number | undefined; colour?: boolean } = {},
): string {
  const widths = columns.map(({ title }, i) => rows.reduce((most, row) => Math.max(most, widthOf(row[i] ?? '')), widthOf(title)));
  const gaps = 2 * (columns.length - 1);
  for (let over = width === undefined ? 0 : widths.reduce((sum, one) => sum + one, gaps) - width; over > 0; over--) {
    const most = Math.max(...widths);
    if (most <= NARROWEST) break;
    widths[widths.indexOf(most)]!--;
  }
  const line = (cells: readonly string[]): string =>
    columns
      .map(({ right }, i) => {
        const text = fit(cells[i] ?? '', widths[i]!);
        return i === columns.length - 1 && !right ? text : pad(text, widths[i]!, right);
      })
      .join('  ')
      .trimEnd();
  const head = line(columns.map(({ title }) => title.toUpperCase()));
  return [bold(head, colour), ...rows.map((row) => line(row))].join('\n');
}

/** The width to fit into: the terminal's, or what COLUMNS says; none for a pipe or a file. */
export function terminalWidth(env: NodeJS.ProcessEnv = process.env): number | undefined {
  const said = Number(env['COLUMNS']);
  if (Number.isInteger(said) && said > 20) return said;
  return process.stdout.isTTY ? process.stdout.columns || undefined : undefined;
}
