import type { Corral } from '../corral.ts';
import type { Noun } from '../cli/nouns.ts';
import { describe } from '../cli/nouns.build.ts';
import type { Model } from '../db/catalog.ts';
import { parseListQuery, parseRowQuery } from '../db/query.ts';
import { getRow, listRows, type Row } from '../db/read.ts';
import { changeThing, createThing, deleteThing, putThing } from '../db/write.ts';

type Key = number | string;
type Values = Readonly<Record<string, unknown>>;

/** Beside the filters of a list. */
export interface ListOptions {
  readonly sort?: string;
  readonly limit?: number;
  /** All pages. */
  readonly all?: boolean;
  readonly fields?: string | readonly string[];
  readonly include?: string | readonly string[];
}

/** The verbs of a noun, as the console offers them. */
export interface Verbs {
  list(filters?: Values, options?: ListOptions): Promise<readonly Row[]>;
  get(key: Key, options?: Pick<ListOptions, 'fields' | 'include'>): Promise<Row>;
  create(input: Values): Promise<Row>;
  set(key: Key, patch: Values): Promise<Row>;
  put(key: Key, input: Values): Promise<Row>;
  delete(key: Key): Promise<void>;
  count(filters?: Values): Promise<number>;
}

/** What a result is, so that it can be shown as a table. */
export interface Seen {
  readonly noun: Noun;
  readonly columns: readonly string[] | undefined;
}

/** The nouns with their verbs, by plural name; `seen` learns what each result is. */
export function verbsOf(corral: Corral, seen: WeakMap<object, Seen>): Record<string, Verbs> {
  return Object.fromEntries(corral.catalog.models.map((model) => [model.resource.plural, verbs(corral, model, seen)]));
}

/** The nouns as the client of the API knows them, for completion and tables. */
export function nounsOf(corral: Corral): readonly Noun[] {
  return corral.catalog.models.map(describe);
}

function verbs({ store, catalog, db }: Corral, model: Model, seen: WeakMap<object, Seen>): Verbs {
  const noun = describe(model);
  const note = <T extends object>(value: T, columns?: readonly string[]): T => {
    seen.set(value, { noun, columns });
    return value;
  };
  const list: Verbs['list'] = async (filters = {}, options = {}) => {
    const params = listParams(filters, options);
    const rows: Row[] = [];
    for (;;) {
      const page = await listRows(db(), catalog, model, parseListQuery(catalog, model, params));
      rows.push(...page.rows);
      if (!options.all || page.next === undefined) break;
      params.set('after', page.next);
    }
    const names = [...split(options.fields), ...split(options.include)];
    return note(rows, names.length > 0 ? [...(options.fields === undefined ? noun.columns : []), ...names] : undefined);
  };
  return {
    list,
    get: async (key, options = {}) => note(await getRow(db(), catalog, model, String(key), parseRowQuery(model, listParams({}, options)))),
    create: async (input) => note(await createThing(store, model, input)),
    set: async (key, patch) => note(await changeThing(store, model, String(key), patch)),
    put: async (key, input) => note((await putThing(store, model, String(key), input)).row),
    delete: (key) => deleteThing(store, model, String(key)),
    count: async (filters = {}) => {
      const query = parseListQuery(catalog, model, listParams(filters, { limit: 1 }));
      return (await listRows(db(), catalog, model, { ...query, total: true })).total ?? 0;
    },
  };
}

function split(value: string | readonly string[] | undefined): string[] {
  return value === undefined ? [] : typeof value === 'string' ? value.split(',') : [...value];
}

/** Filters as the API takes them: a list is `__in`, null asks whether it is. */
function listParams(filters: Values, { sort, limit, all, fields, include }: ListOptions): URLSearchParams {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) {
    if (value === null && !name.includes('__')) params.set(`${name}__null`, 'true');
    else if (Array.isArray(value)) params.set(name.includes('__') ? name : `${name}__in`, value.join(','));
    else params.set(name, String(value));
  }
  if (sort !== undefined) params.set('sort', sort);
  if (all) params.set('limit', '1000');
  else if (limit !== undefined) params.set('limit', String(limit));
  if (fields !== undefined) params.set('fields', split(fields).join(','));
  if (include !== undefined) params.set('include', split(include).join(','));
  return params;
}
