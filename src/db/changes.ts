import type { Row } from './read.ts';

/** A row before and after a change, as the API writes it. */
export interface ChangeRow {
  readonly noun: string;
  /** Null for a row of a table that has no ids, such as hypervisor_method. */
  readonly id: number | null;
  /** The natural key. */
  readonly key: string;
  /** What people call it, where that is not the key. */
  readonly label?: string;
  readonly op: 'create' | 'update' | 'delete';
  /** The fields that changed, or of a deleted thing all. */
  readonly before?: Row;
  readonly after?: Row;
}

/** A committed transaction that altered desired state. */
export interface Change {
  /** Counts commits from 1, without gaps and in their order. */
  readonly number: number;
  /** RFC 3339, UTC; never before that of an earlier change. */
  readonly at: string;
  /** Who: a token's name, `cli:<user>`, `console:<user>`, `corral`, or `postgresql:<user>` for SQL by hand. */
  readonly actor: string;
  readonly request_id: string | null;
  readonly message: string | null;
  /** The change that it undid. */
  readonly reverts: number | null;
  readonly rows: readonly ChangeRow[];
  /** Documents that came out other than before. */
  readonly documents: readonly { readonly node: string; readonly version: string }[];
}

/** A row of the table `change_row`: column names, before and after. */
export interface RawRow {
  readonly change_id: number;
  readonly noun: string;
  readonly row_id: number | null;
  readonly op: 'insert' | 'update' | 'delete';
  readonly before: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
}

/** A place in history: after a change, or at a time. */
export type Point = { readonly change: number } | { readonly time: Date };

/** Reads the number of a change or an RFC 3339 time; undefined: it is neither. */
export function parsePoint(text: string): Point | undefined {
  if (/^\d{1,15}$/.test(text)) return { change: Number(text) };
  /* A + that nobody encoded comes out of a URL as a space. */
  const plain = text.replace(/ (?=\d\d:\d\d$)/, '+');
  const time = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)$/.test(plain) ? new Date(plain) : undefined;
  return time && !Number.isNaN(time.getTime()) ? { time } : undefined;
}
