import { sql } from 'kysely';
import { loadChanges } from '../changes/present.ts';
import type { Catalog } from '../db/catalog.ts';
import type { Change } from '../db/changes.ts';
import { prepared } from '../db/prepared.ts';
import type { Db } from '../db/read.ts';
import { Problem } from '../kernel/problem.ts';

/** Changes that are read in one go, and rows that they have together at most: memory, not time, is what this bounds. */
const PAGE = 50;
const PAGE_ROWS = 2000;
/** A change of more rows goes out without them: the reader asks for those that it wants. */
const MOST_ROWS = 1000;

/** A change as watchers and webhooks get it. */
export interface Told extends Change {
  /** So many rows were too many to send: `/api/v1/changes/<number>` has them. */
  readonly rows_left_out?: number;
}

/** A change, written once for all that read it. */
export interface Entry {
  readonly number: number;
  /** The nouns of its rows. */
  readonly nouns: readonly string[];
  /** As a server-sent event. */
  readonly event: Buffer;
  /** As a line of NDJSON: a part of `event`. */
  readonly line: Buffer;
}

/** What of the log is there. */
export interface Range {
  /** The first change that is kept; null: none is. */
  readonly oldest: number | null;
  /** The last one; 0 before the first. */
  readonly newest: number;
}

export async function rangeOf(db: Db): Promise<Range> {
  const { rows } = await sql<{
    oldest: string | null;
    newest: string | null;
  }>`${prepared}select (select min(number) from change) as oldest, (select max(number) from change) as newest`.execute(db);
  const { oldest, newest } = rows[0]!;
  return { oldest: oldest === null ? null : Number(oldest), newest: Number(newest ?? 0) };
}

/** A page of the log. */
export interface FeedPage {
  readonly changes: readonly Told[];
  /** The nouns of each. */
  readonly nouns: readonly (readonly string[])[];
  /** Whether there may be more behind it. */
  readonly more: boolean;
}

/** The changes after a number, in their order; as many as are good to hold at once. */
export async function readFeed(db: Db, catalog: Catalog, after: number, most = PAGE): Promise<FeedPage> {
  const { rows: sizes } = await sql<{ number: string; rows: number }>`${prepared}select c.number,
    (select count(*)::int from change_row r where r.change_id = c.id) as rows
    from change c where c.number > ${after} order by c.number limit ${most}`.execute(db);
  let rows = 0;
  const taken = sizes.filter((one, i) => {
    if (one.rows <= MOST_ROWS) rows += one.rows;
    return i === 0 || rows <= PAGE_ROWS;
  });
  const changes: Told[] = [];
  const nouns: (readonly string[])[] = [];
  const noun = nounOf(catalog);
  /* Those of few rows that follow one another are read together. */
  for (let i = 0; i < taken.length;) {
    let end = i;
    while (end < taken.length && taken[end]!.rows <= MOST_ROWS) end++;
    if (end > i) {
      for (const change of await loadChanges(db, catalog, { after: Number(taken[i]!.number) - 1, limit: end - i })) {
        changes.push(change);
        nouns.push([...new Set(change.rows.map((row) => noun(row.noun)))]);
      }
      i = end;
    } else {
      const large = await loadLarge(db, Number(taken[i]!.number));
      if (large) {
        changes.push({ ...large.change, rows_left_out: taken[i]!.rows });
        nouns.push([...new Set(large.nouns.map(noun))]);
      }
      i++;
    }
  }
  return { changes, nouns, more: taken.length === most || taken.length < sizes.length };
}

/** The noun of a table: of one that holds a list of a noun, that one. */
export function nounOf(catalog: Catalog): (table: string) => string {
  const lists = new Map<string, string>(
    catalog.models.flatMap((model) => model.fields.flatMap((field) => (field.list ? [[field.list.pivotTable, model.resource.noun] as const] : []))),
  );
  return (table) => lists.get(table) ?? table;
}

/** A change without its rows. */
async function loadLarge(db: Db, number: number): Promise<{ change: Change; nouns: string[] } | undefined> {
  const { rows } = await sql<{ at: Date; actor: string; request_id: string | null; message: string | null; reverts: string | null; nouns: string[] }>`
    select c.at, c.actor, c.request_id, c.message, c.reverts, array(select distinct r.noun from change_row r where r.change_id = c.id order by 1) as nouns
    from change c where c.number = ${number}`.execute(db);
  const row = rows[0];
  if (!row) return undefined;
  const { nouns, at, reverts, ...rest } = row;
  return {
    change: { number, at: new Date(at).toISOString(), ...rest, reverts: reverts === null ? null : Number(reverts), rows: [], documents: [] },
    nouns,
  };
}

/** Writes a change once for all readers. */
export function entryOf(change: Told, nouns: readonly string[]): Entry {
  const head = `event: change\nid: ${change.number}\ndata: `;
  const event = Buffer.from(`${head}${JSON.stringify(change)}\n\n`);
  return { number: change.number, nouns, event, line: event.subarray(head.length, event.length - 1) };
}

/** Said to one that asks for changes that were dropped. */
export function fallenBehind(since: number, oldest: number): Problem {
  return new Problem(
    'fallen-behind',
    `Changes ${since + 1} to ${oldest - 1} are no longer kept: read the state anew, then go on with since=${oldest - 1} or later`,
    { extra: { oldest } },
  );
}

/** The log of this database, for a tail. */
export function feedSource(db: () => Db, catalog: Catalog): { read(after: number): Promise<{ entries: Entry[]; more: boolean }>; range(): Promise<Range> } {
  return {
    read: async (after) => {
      const { changes, nouns, more } = await readFeed(db(), catalog, after);
      return { entries: changes.map((change, i) => entryOf(change, nouns[i]!)), more };
    },
    range: () => rangeOf(db()),
  };
}
