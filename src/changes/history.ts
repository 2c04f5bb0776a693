import { sql, type RawBuilder } from 'kysely';
import { parsePoint, type Change, type ChangeRow, type RawRow } from '../db/changes.ts';
import type { Catalog, Field, Model } from '../db/catalog.ts';
import { MAX_LIMIT } from '../db/query.ts';
import { notFound, type Db } from '../db/read.ts';
import { Problem } from '../kernel/problem.ts';
import { aboutSql, idsOf, nodesOf } from './find.ts';
import { loadChanges, presentRows } from './present.ts';

/** A change in a list: who, when, why, and how much. */
export interface ChangeHead extends Omit<Change, 'rows' | 'documents'> {
  /** Numbers of the changes that undid it. */
  readonly reverted_by: readonly number[];
  /** Rows that were made, altered and deleted, by noun. */
  readonly counts: Readonly<Record<string, Readonly<Partial<Record<ChangeRow['op'], number>>>>>;
  /** The first things of them, without their fields. */
  readonly things: readonly Omit<ChangeRow, 'before' | 'after'>[];
  /** Documents that came out other than before. */
  readonly document_count: number;
}

/** What a list of changes is asked for, checked. */
export interface ChangeQuery {
  readonly filters: readonly ((db: Db, catalog: Catalog) => RawBuilder<unknown> | Promise<RawBuilder<unknown>>)[];
  readonly limit: number;
  /** Only those before this number. */
  readonly after: number | undefined;
}

const LIMIT = 50;
/** What mostly comes along with other things, and is named after them. */
const ALONG = ['address', 'network_membership', 'hypervisor_method', 'vm_interface', 'volume'];
/** Things that a list names of each change. */
const THINGS = 5;

export const changeFilters: Readonly<Record<string, string>> = {
  actor: 'Who made it: the name of a token, or postgresql:<user> and the like.',
  request_id: 'The X-Request-Id of its request.',
  message__contains: 'Part of its message, in any case of letters.',
  noun: 'A noun: changes of things of it.',
  key: 'With noun: changes of this thing, by id or natural key; also of one that is deleted.',
  node: "Changes that altered this node's document.",
  since: 'From this change (a number) or time (RFC 3339) on.',
  until: 'Up to this change (a number) or time (RFC 3339).',
  reverts: 'Changes that undid this one.',
};

const bad = (name: string, says: string): Problem => new Problem('bad-request', `The value of '${name}' ${says}`, { extra: { parameter: name } });

/** The parameters of a list of changes. @throws Problem unknown-parameter, bad-request */
export function parseChangeQuery(catalog: Catalog, params: URLSearchParams): ChangeQuery {
  const filters: ChangeQuery['filters'][number][] = [];
  for (const [name, value] of params) {
    if (value.includes('\0')) throw bad(name, 'holds a NUL character');
    if (name === 'limit' || name === 'after' || name === 'key') continue;
    filters.push(filterOf(catalog, name, value, params));
  }
  if (params.has('key') && !params.has('noun')) throw bad('key', 'needs a noun: ?noun=vm&key=…');
  const limit = wholeOf(params, 'limit') ?? LIMIT;
  if (limit < 1 || limit > MAX_LIMIT) throw bad('limit', `must be 1 to ${MAX_LIMIT}`);
  return { filters, limit, after: wholeOf(params, 'after') };
}

function wholeOf(params: URLSearchParams, name: string): number | undefined {
  const text = params.get(name);
  if (text === null) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw bad(name, 'must be a whole number');
  return Number(text);
}

function filterOf(catalog: Catalog, name: string, value: string, params: URLSearchParams): ChangeQuery['filters'][number] {
  switch (name) {
    case 'actor':
      return () => sql`c.actor = ${value}`;
    case 'request_id':
      return () => sql`c.request_id = ${value}`;
    case 'message__contains':
      return () => sql`c.message ilike ${`%${value.replace(/[\\%_]/g, '\\$&')}%`}`;
    case 'reverts':
      return () => sql`c.reverts = ${wholeOf(params, name)!}`;
    case 'node':
      return async (db, catalog) => {
        const nodes = await nodesOf(db, catalog, value);
        return sql`exists (select from document_version v where v.change_id = c.id and v.node_id = any(${nodes}::bigint[]))`;
      };
    case 'noun': {
      const model = catalog.models.find((one) => one.resource.noun === value || one.route === value || one.resource.plural === value);
      if (!model) throw bad('noun', 'is not a noun; GET /api/v1 lists them');
      const key = params.get('key');
      return async (db, catalog) => {
        const about = key === null ? sql`r.noun = ${model.table}` : await aboutSql(db, model, await idsOf(db, catalog, model, key));
        return sql`exists (select from change_row r where r.change_id = c.id and ${about})`;
      };
    }
    case 'since':
      return () => pointSql(name, value, sql`>=`);
    case 'until':
      return () => pointSql(name, value, sql`<=`);
    default:
      throw new Problem(
        'unknown-parameter',
        `'${name.slice(0, 80)}' is not a parameter of changes; there are: ${[...Object.keys(changeFilters), 'limit', 'after'].join(', ')}`,
        {
          extra: { parameter: name.slice(0, 200) },
        },
      );
  }
}

function pointSql(name: string, value: string, compare: RawBuilder<unknown>): RawBuilder<unknown> {
  const point = parsePoint(value);
  if (!point) throw bad(name, 'must be the number of a change, or a time such as 2026-05-01T12:00:00Z');
  if ('change' in point) return sql`c.number ${compare} ${point.change}`;
  /* Times are shown to the millisecond, and kept to the microsecond. */
  return sql`date_trunc('milliseconds', c.at) ${compare} ${point.time.toISOString()}::timestamptz`;
}

interface HeadRow {
  readonly id: string;
  readonly number: string;
  readonly at: string;
  readonly actor: string;
  readonly request_id: string | null;
  readonly message: string | null;
  readonly reverts: string | null;
  readonly reverted_by: number[] | null;
  readonly counts: { noun: string; op: keyof typeof ops; n: number }[] | null;
  readonly document_count: number;
}

const ops = { insert: 'create', update: 'update', delete: 'delete' } as const;

/** A page of changes, newest first. @returns the last number of the page, where there are more */
export async function listChanges(db: Db, catalog: Catalog, query: ChangeQuery): Promise<{ changes: ChangeHead[]; next: number | undefined }> {
  const conditions = await Promise.all(query.filters.map((filter) => filter(db, catalog)));
  if (query.after !== undefined) conditions.push(sql`c.number < ${query.after}`);
  const { rows } = await sql<HeadRow>`select c.id, c.number, c.at, c.actor, c.request_id, c.message, c.reverts,
      (select array_agg(x.number::float8 order by x.number) from change x where x.reverts = c.number and x.number is not null) as reverted_by,
      (select json_agg(x) from (select r.noun, r.op, count(*)::int as n from change_row r where r.change_id = c.id group by 1, 2 order by 1, 2) x) as counts,
      (select count(*)::int from document_version v where v.change_id = c.id) as document_count
    from (select c.* from change c where ${sql.join([sql`c.number is not null`, ...conditions], sql` and `)} order by c.number desc limit ${query.limit + 1}) c
    order by c.number desc`.execute(db);
  const page = rows.slice(0, query.limit);
  const things = await firstThings(
    db,
    catalog,
    page.map((row) => Number(row.id)),
  );
  const changes = page.map((row) => headOf(row, things.get(Number(row.id)) ?? []));
  return { changes, next: rows.length > query.limit ? changes.at(-1)?.number : undefined };
}

function headOf(row: HeadRow, things: ChangeHead['things']): ChangeHead {
  const counts: Record<string, Partial<Record<ChangeRow['op'], number>>> = {};
  for (const { noun, op, n } of row.counts ?? []) (counts[noun] ??= {})[ops[op]] = n;
  const { actor, request_id, message, document_count } = row;
  const reverts = row.reverts === null ? null : Number(row.reverts);
  return {
    number: Number(row.number),
    at: new Date(row.at).toISOString(),
    actor,
    request_id,
    message,
    reverts,
    reverted_by: row.reverted_by ?? [],
    counts,
    things,
    document_count,
  };
}

/** The first things of each change that say what it is about. */
async function firstThings(db: Db, catalog: Catalog, changes: readonly number[]): Promise<Map<number, ChangeHead['things']>> {
  const { rows } =
    await sql<RawRow>`select r.change_id::float8 as change_id, r.noun, r.row_id::float8 as row_id, r.op, r.before, r.after from unnest(${changes}::bigint[]) as x (id),
    lateral (select * from change_row r where r.change_id = x.id order by r.noun = 'tombstone', r.noun = any(${ALONG}::text[]), r.id limit ${THINGS}) r`.execute(
      db,
    );
  const out = new Map<number, Omit<ChangeRow, 'before' | 'after'>[]>();
  for (const id of changes) {
    const shown = await presentRows(
      db,
      catalog,
      rows.filter((row) => row.change_id === id),
    );
    out.set(
      id,
      shown.map(({ noun, id, key, label, op }) => ({ noun, id, key, ...(label === undefined ? {} : { label }), op })),
    );
  }
  return out;
}

/** One change, with all its rows and documents. @throws Problem not-found, fallen-behind */
export async function loadChange(db: Db, catalog: Catalog, number: number): Promise<Change & { reverted_by: readonly number[] }> {
  const [change] = await loadChanges(db, catalog, { after: number - 1, before: number + 1, limit: 1 });
  if (!change) throw await noChange(db, number);
  const { rows } = await sql<{ number: string }>`select number from change where reverts = ${number} and number is not null order by number`.execute(db);
  return { ...change, reverted_by: rows.map((row) => Number(row.number)) };
}

/** Why a change is not there: it never was, or is no longer kept. */
export async function noChange(db: Db, number: number): Promise<Problem> {
  const { rows } = await sql<{
    oldest: number | null;
    newest: number | null;
  }>`select min(number)::float8 as oldest, max(number)::float8 as newest from change`.execute(db);
  const { oldest, newest } = rows[0]!;
  if (oldest !== null && number > 0 && number < oldest)
    return new Problem('fallen-behind', `Change ${number} is no longer kept; the oldest that is kept is ${oldest}`, { extra: { oldest } });
  return new Problem(
    'not-found',
    newest === null ? `There is no change ${number}; nothing was changed yet` : `There is no change ${number}; the newest is ${newest}`,
  );
}

/** What a change did to a thing, or to one field of it. */
export interface HistoryEntry {
  readonly change: number;
  readonly at: string;
  readonly actor: string;
  readonly message: string | null;
  /** The thing itself, or a part of it such as a node's role. */
  readonly noun: string;
  readonly id: number | null;
  readonly op: ChangeRow['op'];
  /** The fields that changed; of one field its value. */
  readonly before: unknown;
  readonly after: unknown;
}

/** The history of a thing, newest first. @throws Problem not-found, bad-request */
export async function thingHistory(
  db: Db,
  catalog: Catalog,
  model: Model,
  key: string,
  { field, after, limit }: { field: Field | undefined; after: number | undefined; limit: number },
): Promise<{ history: HistoryEntry[]; next: number | undefined; title: string }> {
  const ids = await idsOf(db, catalog, model, key);
  if (ids.length === 0) throw notFound(model, key);
  const about = await aboutSql(db, model, ids, field);
  const numbers = sql`select distinct c.number from change_row r join change c on c.id = r.change_id where c.number is not null and ${about}
    ${after === undefined ? sql`` : sql`and c.number < ${after}`} order by c.number desc limit ${limit + 1}`;
  const { rows } = await sql<RawRow & { number: string; at: string; actor: string; message: string | null }>`select c.number, c.at, c.actor, c.message,
      r.change_id::float8 as change_id, r.noun, r.row_id::float8 as row_id, r.op, r.before, r.after
    from change_row r join change c on c.id = r.change_id where c.number in (${numbers}) and ${about} order by c.number desc, r.id`.execute(db);
  const order = [...new Set(rows.map((row) => Number(row.number)))];
  if (order.length === 0 && after === undefined && (await isMissing(db, model, ids))) throw notFound(model, key);
  const shown = new Set(order.slice(0, limit));
  const kept = rows.filter((row) => shown.has(Number(row.number)));
  const history: HistoryEntry[] = [];
  let title = key;
  for (const [i, one] of (await presentRows(db, catalog, kept)).entries()) {
    if (field && !field.list && !(field.name in (one.before ?? {})) && !(field.name in (one.after ?? {}))) continue;
    const value = (side: ChangeRow['before']): unknown => (field && !field.list ? (side?.[field.name] ?? null) : (side ?? null));
    if (one.noun === model.resource.noun) title = one.label ?? one.key;
    const { number: change, at, actor, message } = kept[i]!;
    const { noun, id, op } = one;
    history.push({ change: Number(change), at: new Date(at).toISOString(), actor, message, noun, id, op, before: value(one.before), after: value(one.after) });
  }
  return { history, title, next: order.length > limit ? order[limit - 1] : undefined };
}

async function isMissing(db: Db, model: Model, ids: readonly number[]): Promise<boolean> {
  const { rows } = await sql`select from ${sql.id(model.table)} where id = any(${ids}::bigint[]) limit 1`.execute(db);
  return rows.length === 0;
}
