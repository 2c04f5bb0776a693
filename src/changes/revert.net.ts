import type { RawRow } from '../db/changes.ts';

export type Columns = Readonly<Record<string, unknown>>;

/** What a change did to one row, all its statements together. */
export interface NetRow {
  readonly table: string;
  /** Null: a row of a table without ids. */
  readonly id: number | null;
  readonly what: 'made' | 'altered' | 'deleted';
  /** Of an altered row the columns that differ, of a deleted one all. */
  readonly before: Columns;
  /** Of an altered row the columns that differ, of one that was made all. */
  readonly after: Columns;
  /** The updates of an altered row, one after another. */
  readonly steps: readonly RawRow[];
}

/** Columns that count or date a row, and say nothing of what it is. */
const bookkeeping: ReadonlySet<string> = new Set(['id', 'version', 'created_at', 'updated_at']);

export const isContent = (column: string): boolean => !bookkeeping.has(column);

/** Whether two values of a column, as JSON has them, are the same. PostgreSQL sorts the keys of jsonb. */
export const sameValue = (one: unknown, other: unknown): boolean => JSON.stringify(one ?? null) === JSON.stringify(other ?? null);

/** The row that a key of this form stands for is the same one. */
export function rowKey(table: string, id: number | null, columns: Columns): string {
  return id === null ? `${table} ${JSON.stringify(Object.entries(columns).sort(([a], [b]) => (a < b ? -1 : 1)))}` : `${table} ${id}`;
}

/** What is left of the statements of a change: a row that was made and deleted again is not in it. */
export function netOf(rows: readonly RawRow[]): NetRow[] {
  const groups = new Map<string, RawRow[]>();
  for (const row of rows) {
    const key = rowKey(row.noun, row.row_id, row.after ?? row.before ?? {});
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return [...groups.values()].flatMap((group) => netRow(group) ?? []);
}

function netRow(group: readonly RawRow[]): NetRow | undefined {
  const [first, last] = [group[0]!, group.at(-1)!];
  const base = { table: first.noun, id: first.row_id };
  const existed = first.op !== 'insert';
  const exists = last.op !== 'delete';
  const before: Record<string, unknown> = {};
  const after: Record<string, unknown> = {};
  for (const { before: was, after: is } of group) {
    for (const [name, value] of Object.entries(was ?? {})) if (!(name in before)) before[name] = value;
    Object.assign(after, is);
  }
  if (!existed && !exists) return undefined;
  if (!existed) return { ...base, what: 'made', before: {}, after, steps: [] };
  if (!exists) return { ...base, what: 'deleted', before, after: {}, steps: [] };
  const differing = Object.keys(after).filter((name) => isContent(name) && !sameValue(before[name], after[name]));
  if (differing.length === 0) return undefined;
  const only = (values: Columns): Columns => Object.fromEntries(differing.map((name) => [name, values[name]]));
  const plain = group.every((row) => row.op === 'update');
  const whole: RawRow = { ...first, op: 'update', before: only(before), after: only(after) };
  return { ...base, what: 'altered', before: only(before), after: only(after), steps: plain ? group : [whole] };
}
