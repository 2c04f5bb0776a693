import { sql, type RawBuilder } from 'kysely';
import { z } from 'zod';
import { fault, Problem } from '../kernel/problem.ts';
import { fieldSql, keySql, type Catalog, type Field, type Model } from './catalog.ts';

const LIMIT = 100;
/** Most rows of one page. */
export const MAX_LIMIT = 1000;

const operators = {
  '': 'is',
  __ne: 'is not',
  __in: 'is one of (comma between)',
  __gt: 'is greater than',
  __gte: 'is at least',
  __lt: 'is less than',
  __lte: 'is at most',
  __contains: 'contains, in any case of letters',
  __startswith: 'starts with',
  __null: 'is null (true) or not (false)',
} as const;

export type Operator = keyof typeof operators;
export const operatorMeanings: Readonly<Record<Operator, string>> = operators;

/** The operators that a field can be filtered by. */
export function operatorsOf(field: Field): Operator[] {
  if (field.writeOnly || field.type === 'object' || field.type === 'array') return field.list ? [''] : [];
  const out: Operator[] = ['', '__ne', '__in'];
  if (field.type === 'integer' || field.type === 'number') out.push('__gt', '__gte', '__lt', '__lte');
  else if (field.type === 'string' && !field.choices) out.push('__contains', '__startswith');
  if (field.nullable) out.push('__null');
  return out;
}

export interface SortKey {
  readonly name: string;
  readonly field: Field | undefined;
  readonly descending: boolean;
}

/** A list request, parsed and checked against the noun. */
export interface ListQuery {
  readonly filters: readonly { readonly name: string; readonly sql: RawBuilder<unknown> }[];
  readonly sort: readonly SortKey[];
  readonly limit: number;
  readonly after: readonly unknown[] | undefined;
  readonly fields: ReadonlySet<string> | undefined;
  readonly include: readonly string[];
  readonly total: boolean;
}

/**
 * Parses the parameters of a list. Unknown ones, values of a wrong type and cursors of another sort order
 * are refused with the parameter's name.
 * @throws Problem unknown-parameter, bad-request, bad-cursor
 */
export function parseListQuery(catalog: Catalog, model: Model, params: URLSearchParams): ListQuery {
  const filters: { name: string; sql: RawBuilder<unknown> }[] = [];
  const seen = new Map<string, string>();
  for (const [name, value] of params) {
    if (value.includes('\0')) throw new Problem('bad-request', `The parameter '${name.slice(0, 80)}' holds a NUL character`);
    if (['sort', 'limit', 'after', 'fields', 'include', 'total'].includes(name)) {
      if (seen.has(name)) throw new Problem('bad-request', `The parameter '${name}' is given twice`);
      seen.set(name, value);
    } else {
      filters.push({ name, sql: filterSql(catalog, model, name, value) });
    }
  }
  const sort = parseSort(model, seen.get('sort') ?? model.resource.sort);
  return {
    filters,
    sort,
    limit: parseLimit(seen.get('limit')),
    after: parseCursor(sort, seen.get('after')),
    fields: parseFields(model, seen.get('fields')),
    include: parseInclude(model, seen.get('include')),
    total: seen.has('total') && parseBoolean('total', seen.get('total')!),
  };
}

/** The parameters of a single row: `fields` and `include`. */
export function parseRowQuery(model: Model, params: URLSearchParams, allowed: readonly string[] = []): Pick<ListQuery, 'fields' | 'include'> {
  for (const name of params.keys()) {
    if (name !== 'fields' && name !== 'include' && !allowed.includes(name)) throw unknownParameter(model, name, ['fields', 'include', ...allowed]);
  }
  return { fields: parseFields(model, params.get('fields') ?? undefined), include: parseInclude(model, params.get('include') ?? undefined) };
}

function unknownParameter(model: Model, name: string, known: readonly string[]): Problem {
  return new Problem('unknown-parameter', `'${name.slice(0, 80)}' is not a parameter of ${model.route}; there are: ${known.join(', ')}`, {
    extra: { parameter: name.slice(0, 200) },
  });
}

function filterSql(catalog: Catalog, model: Model, name: string, value: string): RawBuilder<unknown> {
  if (name === 'q') return searchSql(catalog, model, value);
  if (name === 'id' && model.pk === 'id') return sql`t.id = ${parseWhole(name, value)}`;
  const match = /^(.+?)(__(?:ne|in|gte?|lte?|contains|startswith|null))?$/.exec(name);
  const field = match ? model.field.get(match[1]!) : undefined;
  const operator = (match?.[2] ?? '') as Operator;
  if (!field || !operatorsOf(field).includes(operator)) {
    const other = match && otherFilter(model, match[1]!, operator, value);
    if (other) return other;
    const known = [...model.fields.flatMap((one) => operatorsOf(one).map((suffix) => one.name + suffix)), ...otherFilters(model)];
    throw unknownParameter(model, name, ['q', 'sort', 'limit', 'after', 'fields', 'include', 'total', ...known]);
  }
  if (field.list) {
    const { pivotTable, joinColumns, inverseJoinColumns } = field.list;
    return sql`exists (select from ${sql.id(pivotTable)} where ${sql.id(joinColumns[0]!)} = t.id and ${sql.id(inverseJoinColumns[0]!)} = ${value})`;
  }
  /* What is referred to and hidden is as if it were not there. */
  const hides = (operator === '__null' || operator === '__ne') && field.ref !== undefined && catalog !== catalog.whole;
  const column = field.made ? fieldSql(catalog, field) : hides ? seenRef(catalog, field) : sql`t.${sql.id(field.column!)}`;
  if (operator === '__null') return parseBoolean(name, value) ? sql`${column} is null` : sql`${column} is not null`;
  if (field.ref !== undefined) return refFilter(catalog, model, field, operator, column, value, name);
  if (operator === '__contains') return sql`${column}::text ilike ${`%${likeText(value)}%`}`;
  if (operator === '__startswith') return sql`${column}::text like ${`${likeText(value)}%`}`;
  if (operator === '__in') return sql`${column} in (${sql.join(value.split(',').map((one) => scalar(model, field, name, one)))})`;
  const one = scalar(model, field, name, value);
  const symbols: Partial<Record<Operator, RawBuilder<unknown>>> = { __gt: sql`>`, __gte: sql`>=`, __lt: sql`<`, __lte: sql`<=`, __ne: sql`is distinct from` };
  return sql`${column} ${symbols[operator] ?? sql`=`} ${one}`;
}

function seenRef(catalog: Catalog, field: Field): RawBuilder<unknown> {
  const target = catalog.byNoun(field.ref!);
  return sql`(select s.${sql.id(target.pk)} from ${target.source} as s where s.${sql.id(target.pk)} = t.${sql.id(field.column!)})`;
}

/** A filter that is no field's. */
function otherFilter(model: Model, name: string, operator: string, value: string): RawBuilder<unknown> | undefined {
  const [first = '', ...path] = name.split('.');
  const filters = model.resource.filters ?? {};
  const filter = Object.hasOwn(filters, first) ? filters[first] : undefined;
  if (!filter?.operators.includes(operator)) return undefined;
  if (filter.path ? path.length === 0 || path.includes('') : path.length > 0) return undefined;
  return filter.sql('t', operator, value, path);
}

/** Names of the parameters of a noun's other filters. */
export function otherFilters(model: Model): string[] {
  return Object.entries(model.resource.filters ?? {}).flatMap(([name, one]) => one.operators.map((suffix) => `${name}${one.path ? '.<path>' : ''}${suffix}`));
}

function likeText(value: string): string {
  return value.replace(/[\\%_]/g, '\\$&');
}

function refFilter(
  catalog: Catalog,
  model: Model,
  field: Field,
  operator: Operator,
  column: RawBuilder<unknown>,
  value: string,
  name: string,
): RawBuilder<unknown> {
  const target = catalog.byNoun(field.ref!);
  const one = (text: string): RawBuilder<unknown> => idOfKey(catalog, target, text);
  if (operator === '__in') return sql`${column} in (${sql.join(value.split(',').map(one))})`;
  if (operator === '__ne') return sql`${column} is distinct from ${one(value)}`;
  if (operator === '') return sql`${column} = ${one(value)}`;
  const key = keySql(catalog, target, 'k');
  const pattern = operator === '__contains' ? `%${likeText(value)}%` : `${likeText(value)}%`;
  if (operator !== '__contains' && operator !== '__startswith') throw unknownParameter(model, name, []);
  return sql`${column} in (select k.id from ${target.source} as k where ${key} ilike ${pattern})`;
}

/**
 * SQL of the id of the row that a text names: its id (digits only), or its natural key. Null when there
 * is none. Composite keys are split at their first colons; the last part keeps the rest.
 */
export function idOfKey(catalog: Catalog, model: Model, text: string): RawBuilder<unknown> {
  const alias = `k_${model.resource.noun}`;
  if (/^\d{1,15}$/.test(text) && model.pk === 'id')
    return sql`(select ${sql.id(alias)}.id from ${model.source} as ${sql.id(alias)} where ${sql.id(alias)}.id = ${Number(text)})`;
  const conditions = keyCondition(catalog, model, alias, text);
  if (!conditions) return sql`null::bigint`;
  return sql`(select ${sql.id(alias)}.${sql.id(model.pk)} from ${model.source} as ${sql.id(alias)} where ${conditions})`;
}

/** SQL that the row aliased `alias` has this natural key; undefined when the text cannot be a key. */
export function keyCondition(catalog: Catalog, model: Model, alias: string, text: string): RawBuilder<unknown> | undefined {
  const names = model.resource.key;
  const parts = splitKey(catalog, model, text);
  if (!parts) return undefined;
  const conditions: RawBuilder<unknown>[] = [];
  for (const [i, name] of names.entries()) {
    const field = model.field.get(name)!;
    const column = sql`${sql.id(alias)}.${sql.id(field.column!)}`;
    if (field.ref !== undefined) {
      conditions.push(sql`${column} = ${idOfKey(catalog, catalog.byNoun(field.ref), parts[i]!)}`);
      continue;
    }
    const parsed = keyPart(field, parts[i]!);
    if (parsed === undefined) return undefined;
    conditions.push(sql`${column} = ${parsed}`);
  }
  return sql.join(conditions, sql` and `);
}

function keyPart(field: Field, text: string): unknown {
  const value = field.type === 'integer' ? Number(text) : text;
  /* A generated name such as 17-0 has no schema of its own to pass. */
  const parsed = (field.schema as z.ZodType<unknown>).safeParse(value);
  return parsed.success ? parsed.data : undefined;
}

/** How many parts the key of a noun has when the keys that it refers to are counted in. */
function keyWidth(catalog: Catalog, model: Model): number {
  return model.resource.key.reduce((sum, name) => {
    const target = model.field.get(name)!.ref;
    return sum + (target === undefined ? 1 : keyWidth(catalog, catalog.byNoun(target)));
  }, 0);
}

/** Splits a natural key into the parts of the noun's key; ids stand for a whole referred key. */
export function splitKey(catalog: Catalog, model: Model, text: string): string[] | undefined {
  const names = model.resource.key;
  if (names.length === 1) return [text];
  const pieces = text.split(':');
  const out: string[] = [];
  for (const [i, name] of names.entries()) {
    const target = model.field.get(name)!.ref;
    const last = i === names.length - 1;
    const first = pieces[0] ?? '';
    const width = last ? pieces.length : target === undefined || /^\d+$/.test(first) ? 1 : keyWidth(catalog, catalog.byNoun(target));
    if (width === 0 || pieces.length < width) return undefined;
    out.push(pieces.splice(0, width).join(':'));
  }
  return out;
}

function searchSql(catalog: Catalog, model: Model, value: string): RawBuilder<unknown> {
  const pattern = `%${likeText(value)}%`;
  const texts = [keySql(catalog, model, 't')];
  if (model.resource.label) texts.push(sql`t.${sql.id(model.field.get(model.resource.label)!.column!)}::text`);
  return sql`(${sql.join(
    texts.map((text) => sql`${text} ilike ${pattern}`),
    sql` or `,
  )})`;
}

function scalar(model: Model, field: Field, name: string, text: string): unknown {
  let value: unknown = text;
  if (field.type === 'integer' || field.type === 'number') value = text.trim() === '' ? Number.NaN : Number(text);
  if (field.type === 'boolean') value = parseBoolean(name, text);
  if (field.readOnly && field.type === 'string') return text;
  const parsed = field.schema.safeParse(value);
  if (parsed.success) return parsed.data;
  /* Bounds such as a minimum say what may be stored; a comparison may name any number. */
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  throw new Problem(
    'bad-request',
    `The value of '${name}' is not valid for ${model.resource.noun}.${field.name}: ${parsed.error.issues[0]?.message ?? 'wrong type'}`,
    {
      extra: { parameter: name },
    },
  );
}

function parseBoolean(name: string, text: string): boolean {
  if (text === 'true' || text === '1' || text === 'yes') return true;
  if (text === 'false' || text === '0' || text === 'no') return false;
  throw new Problem('bad-request', `The value of '${name}' must be true or false`, { extra: { parameter: name } });
}

function parseWhole(name: string, text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new Problem('bad-request', `The value of '${name}' must be a whole number`, { extra: { parameter: name } });
  return Number(text);
}

function parseLimit(text: string | undefined): number {
  if (text === undefined) return LIMIT;
  const limit = parseWhole('limit', text);
  if (limit < 1 || limit > MAX_LIMIT) throw new Problem('bad-request', `The value of 'limit' must be 1 to ${MAX_LIMIT}`, { extra: { parameter: 'limit' } });
  return limit;
}

function parseSort(model: Model, text: string | undefined): SortKey[] {
  const keys: SortKey[] = (text ?? '')
    .split(',')
    .filter((part) => part !== '')
    .map((part) => {
      const descending = part.startsWith('-');
      const name = descending ? part.slice(1) : part;
      const field = model.field.get(name);
      const plain = ['id', 'created_at', 'updated_at'].includes(name) && model.pk === 'id';
      if (!plain && (!field || field.list || field.writeOnly || field.type === 'object' || field.type === 'array')) {
        throw new Problem('bad-request', `'${name.slice(0, 80)}' cannot be sorted by`, { extra: { parameter: 'sort' } });
      }
      return { name, field, descending };
    });
  if (keys.length > 5) throw new Problem('bad-request', 'At most 5 fields can be sorted by', { extra: { parameter: 'sort' } });
  const unique = model.pk;
  return keys.some((key) => key.name === unique) ? keys : [...keys, { name: unique, field: model.field.get(unique), descending: keys[0]?.descending ?? false }];
}

function parseFields(model: Model, text: string | undefined): ReadonlySet<string> | undefined {
  if (text === undefined || text === '') return undefined;
  const known = new Set([
    model.pk,
    'version',
    'created_at',
    'updated_at',
    ...model.fields.filter((field) => !field.writeOnly).map((field) => field.name),
    ...Object.keys(model.parts),
  ]);
  const names = text.split(',');
  for (const name of names) {
    if (!known.has(name))
      throw new Problem('bad-request', `'${name.slice(0, 80)}' is not a field of ${model.route}; there are: ${[...known].join(', ')}`, {
        extra: { parameter: 'fields' },
      });
  }
  return new Set([model.pk, 'version', ...names]);
}

/** What a thing's hosts make of it: included like a relation, though no table holds it. */
export const CONVERGENCE = 'convergence';

function parseInclude(model: Model, text: string | undefined): string[] {
  if (text === undefined || text === '') return [];
  const known = [
    ...(model.resource.observed ? [CONVERGENCE] : []),
    ...model.fields.filter((field) => field.ref !== undefined).map((field) => field.name),
    ...reverseNames(model).keys(),
  ];
  const names = [...new Set(text.split(','))];
  for (const name of names) {
    if (!known.includes(name))
      throw new Problem('bad-request', `'${name.slice(0, 80)}' cannot be included in ${model.route}; there are: ${known.join(', ')}`, {
        extra: { parameter: 'include' },
      });
  }
  return names;
}

/** Relations that point at this noun, by the name under which they are included. */
export function reverseNames(model: Model): Map<string, { model: Model; field: Field }> {
  const out = new Map<string, { model: Model; field: Field }>();
  for (const relation of model.reverse) {
    const name = relation.model.resource.plural;
    out.set(out.has(name) || model.field.has(name) ? `${name}_by_${relation.field.name}` : name, relation);
  }
  return out;
}

/** The cursor after a row: its sort values, base64url of JSON with the sort order that it belongs to. */
export function cursorOf(sort: readonly SortKey[], values: readonly unknown[]): string {
  const order = sort.map((key) => (key.descending ? '-' : '') + key.name).join(',');
  return Buffer.from(JSON.stringify([order, ...values])).toString('base64url');
}

function parseCursor(sort: readonly SortKey[], text: string | undefined): unknown[] | undefined {
  if (text === undefined || text === '') return undefined;
  try {
    const value = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as unknown;
    const order = sort.map((key) => (key.descending ? '-' : '') + key.name).join(',');
    const scalars = Array.isArray(value) && value.every((one) => one === null || ['string', 'number', 'boolean'].includes(typeof one));
    if (scalars && value[0] === order && value.length === sort.length + 1) return value.slice(1) as unknown[];
  } catch {
    /* Falls through to the refusal. */
  }
  throw fault('bad-cursor', '/after', "is not a cursor of this list in this order; follow the 'next' link, or start without it");
}
