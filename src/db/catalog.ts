import type { EntityMetadata, EntityProperty, MikroORM } from '@mikro-orm/postgresql';
import { sql, type RawBuilder } from 'kysely';
import { z } from 'zod';
import { refOf, type Computed, type Resource } from '../kernel/resource.ts';

export type FieldType = 'string' | 'integer' | 'number' | 'boolean' | 'array' | 'object';

/** One wire field of a noun, with what the entity knows of it. */
export interface Field {
  readonly name: string;
  readonly schema: z.ZodType;
  readonly type: FieldType;
  readonly description: string;
  /** The column, or undefined for a list of another table (N:M) and for parts. */
  readonly column: string | undefined;
  /** How a value that no column holds is made. */
  readonly made: Pick<Computed, 'sql' | 'type'> | undefined;
  /** The noun that it names. */
  readonly ref: string | undefined;
  readonly list: EntityProperty | undefined;
  readonly nullable: boolean;
  /** Must be given at creation. */
  readonly required: boolean;
  readonly readOnly: boolean;
  readonly writeOnly: boolean;
  readonly immutable: boolean;
  readonly choices: readonly string[] | undefined;
  readonly unit: string | undefined;
}

/** A noun as the machinery uses it: its declaration joined with its entity. */
export interface Model {
  readonly resource: Resource;
  readonly meta: EntityMetadata;
  readonly table: string;
  /** What its rows are read from: the table, or of a catalog for somebody who may not see all of them a part of it. */
  readonly source: RawBuilder<unknown>;
  /** `id`, or `name` for reference lists. */
  readonly pk: 'id' | 'name';
  /** All wire fields that are shown or written, in order, without id, version and times. */
  readonly fields: readonly Field[];
  readonly field: ReadonlyMap<string, Field>;
  readonly createSchema: z.ZodType<Record<string, unknown>>;
  readonly updateSchema: z.ZodType<Record<string, unknown>>;
  /** Nouns with a field that names this one: (noun, field). */
  readonly reverse: readonly { readonly model: Model; readonly field: Field }[];
  /** Parts by wire field and wire name. */
  readonly parts: Readonly<Record<string, Readonly<Record<string, Model>>>>;
  readonly route: string;
}

export interface Catalog {
  readonly models: readonly Model[];
  /** With all nouns, fields and rows: for what the program does by itself. */
  readonly whole: Catalog;
  byNoun(noun: string): Model;
  byRoute(route: string): Model | undefined;
}

/** `a_b` as it stands in a URL. */
export const routeOf = (plural: string): string => plural.replaceAll('_', '-');

/** Joins the declarations with the entities' metadata. A declaration that does not fit its entity fails here. */
export function createCatalog(orm: MikroORM, resources: readonly Resource[]): Catalog {
  const models = new Map<string, Model>();
  for (const resource of resources) models.set(resource.noun, build(orm, resource));
  const list = [...models.values()];
  const byNoun = (noun: string): Model => {
    const model = models.get(noun);
    if (!model) throw new Error(`no noun ${noun}`);
    return model;
  };
  for (const model of list) {
    for (const field of model.fields) {
      if (field.ref !== undefined) (byNoun(field.ref).reverse as { model: Model; field: Field }[]).push({ model, field });
    }
    for (const [name, parts] of Object.entries(model.resource.parts ?? {})) {
      (model.parts as Record<string, Record<string, Model>>)[name] = Object.fromEntries(Object.entries(parts).map(([part, noun]) => [part, byNoun(noun)]));
    }
    finishSchemas(model);
  }
  const routes = new Map(list.map((model) => [model.route, model]));
  const catalog: Catalog = {
    models: list,
    get whole() {
      return catalog;
    },
    byNoun,
    byRoute: (route) => routes.get(route),
  };
  return catalog;
}

/**
 * The same nouns for somebody who may not see all: each has the rows that a condition lets through, and no field that
 * names a noun without any. What it hides is nowhere: not in lists, includes, counts, filters, sort orders or forms.
 * @param condition for the row aliased `r`; true: all rows, false: none
 */
export function restrict(whole: Catalog, condition: (resource: Resource) => RawBuilder<unknown> | boolean): Catalog {
  const conditions = new Map(whole.models.map((model) => [model.resource.noun, condition(model.resource)]));
  const all = (noun: string): boolean => conditions.get(noun) === true;
  if ([...conditions.keys()].every(all)) return whole;
  const seen = new Map<string, Model>();
  for (const model of whole.models) {
    const only = conditions.get(model.resource.noun)!;
    if (only !== false)
      seen.set(model.resource.noun, { ...model, source: only === true ? model.source : sql`(select r.* from ${id(model.table)} as r where ${only})` });
  }
  const shown = (noun: string | undefined): boolean => noun === undefined || seen.has(noun);
  /* A noun that is recognised by something hidden is hidden itself. */
  for (let before = 0; before !== seen.size;) {
    before = seen.size;
    for (const [noun, model] of seen) if (model.resource.key.some((name) => !shown(model.field.get(name)!.ref))) seen.delete(noun);
  }
  for (const [noun, model] of seen) {
    /* Who sees all of them learns nothing from a refusal. */
    const sole = all(noun) ? [] : (model.resource.sole ?? []);
    const fields = model.fields.filter((field) => shown(field.ref)).map((field) => (sole.includes(field.name) ? { ...field, readOnly: true } : field));
    /* What hosts make of it is told by hosts' names: of those that are seen. */
    const { observed, ...rest } = model.resource;
    const resource = observed && seen.has('node') ? model.resource : rest;
    const columns = resource.columns.filter((name) => !model.field.has(name) || fields.some((field) => field.name === name));
    seen.set(noun, { ...model, resource: { ...resource, columns }, fields, field: new Map(fields.map((field) => [field.name, field])), reverse: [] });
  }
  for (const [noun, model] of seen) {
    const parts = Object.entries(model.parts).map(([name, inner]) => [
      name,
      Object.fromEntries(Object.entries(inner).flatMap(([part, { resource }]) => (seen.has(resource.noun) ? [[part, seen.get(resource.noun)!]] : []))),
    ]);
    Object.assign(model, { parts: Object.fromEntries(parts) });
    for (const relation of whole.byNoun(noun).reverse) {
      const other = seen.get(relation.model.resource.noun);
      const field = other?.field.get(relation.field.name);
      if (other && field) (model.reverse as { model: Model; field: Field }[]).push({ model: other, field });
    }
    finishSchemas(model);
  }
  const hidden = new Map<string, Model>();
  const byNoun = (noun: string): Model => {
    const model = seen.get(noun) ?? hidden.get(noun);
    if (model) return model;
    const closed = whole.byNoun(noun);
    const none: Model = { ...closed, source: sql`(select r.* from ${id(closed.table)} as r where false)` };
    hidden.set(noun, none);
    return none;
  };
  const models = [...seen.values()];
  const routes = new Map(models.map((model) => [model.route, model]));
  return { models, whole, byNoun, byRoute: (route) => routes.get(route) };
}

function build(orm: MikroORM, resource: Resource): Model {
  const meta = orm.getMetadata().get(resource.entity.meta.class ?? resource.entity.meta.className);
  const fields: Field[] = [];
  for (const [name, schema] of Object.entries(resource.fields)) fields.push(fieldOf(resource, meta, name, schema, false));
  for (const [name, { schema, ...made }] of Object.entries(resource.computed ?? {}))
    fields.push(fieldOf(resource, meta, name, schema, true, made.sql ? made : undefined));
  return {
    resource,
    meta,
    table: meta.tableName,
    source: sql.id(meta.tableName),
    pk: meta.properties['id' as never] ? 'id' : 'name',
    fields,
    field: new Map(fields.map((field) => [field.name, field])),
    createSchema: z.never() as unknown as Model['createSchema'],
    updateSchema: z.never() as unknown as Model['updateSchema'],
    reverse: [],
    parts: {},
    route: routeOf(resource.plural),
  };
}

function fieldOf(resource: Resource, meta: EntityMetadata, name: string, schema: z.ZodType, readOnly: boolean, made?: Field['made']): Field {
  const nullable = schema.safeParse(null).success;
  const prop = made ? ({ nullable, fieldNames: [] } as Partial<EntityProperty> as EntityProperty) : (meta.properties as Record<string, EntityProperty>)[name];
  if (!prop) throw new Error(`${resource.noun}.${name} is declared and is not a property of the entity`);
  if (prop.nullable && !readOnly && !nullable) throw new Error(`${resource.noun}.${name} may be null in the table and not on the wire`);
  const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  const info = schema.meta() ?? {};
  const inner = json.anyOf?.find((one) => typeof one === 'object' && one.type !== 'null' && one.type !== undefined) as typeof json | undefined;
  const target = refOf(schema) ?? refOf(unwrap(schema));
  /* What may be null is written as a list of two types. */
  const own = Array.isArray(json.type) ? (json.type as string[]).find((one) => one !== 'null') : json.type;
  const type = target !== undefined ? 'string' : ((own ?? inner?.type ?? 'object') as FieldType);
  const list = prop.kind === 'm:n' ? prop : undefined;
  const hasDefault = prop.defaultRaw !== undefined || prop.default !== undefined || prop.generated !== undefined || list !== undefined;
  const choices = (json.enum ?? inner?.enum ?? (list ? (json.items as { enum?: unknown[] } | undefined)?.enum : undefined)) as string[] | undefined;
  const innerMeta = unwrap(schema).meta() ?? {};
  const writeOnly = info['writeOnly'] === true;
  return {
    name,
    schema,
    type,
    description: schema.description ?? unwrap(schema).description ?? '',
    column: list ? undefined : prop.fieldNames[0],
    made,
    ref: target,
    list,
    nullable: prop.nullable === true,
    required: !readOnly && !prop.nullable && !hasDefault && !writeOnly && !resource.optional?.includes(name),
    readOnly,
    writeOnly,
    immutable: resource.immutable?.includes(name) ?? false,
    choices,
    unit: (info['unit'] ?? innerMeta['unit']) as string | undefined,
  };
}

function unwrap(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodNullable ? (schema.unwrap() as z.ZodType) : schema;
}

/** Creation: what is required is; PATCH: all optional, null where the column may be null; parts in both. */
function finishSchemas(model: Model): void {
  const create: Record<string, z.ZodType> = {};
  const update: Record<string, z.ZodType> = {};
  for (const field of model.fields.filter((one) => !one.readOnly)) {
    const required = field.required || (field.list !== undefined && !model.resource.optional?.includes(field.name));
    create[field.name] = required ? field.schema : field.schema.optional();
    update[field.name] = field.schema.optional();
  }
  for (const [name, schema] of Object.entries(model.resource.extras ?? {})) create[name] = schema.optional();
  for (const [name, parts] of Object.entries(model.parts)) {
    const shape = (key: 'createSchema' | 'updateSchema') =>
      z.strictObject(Object.fromEntries(Object.entries(parts).map(([part, inner]) => [part, partSchema(inner, key)])));
    create[name] = shape('createSchema').describe(`Any of ${Object.keys(parts).join(', ')}, each with its fields.`);
    update[name] = shape('updateSchema').optional().describe('Each part that is named is changed or made; null removes it.');
  }
  Object.assign(model, { createSchema: z.strictObject(create), updateSchema: z.strictObject(update) });
}

function partSchema(inner: Model, kind: 'createSchema' | 'updateSchema'): z.ZodType {
  const shape: Record<string, z.ZodType> = {};
  const owner = ownerField(inner);
  for (const field of inner.fields.filter((one) => !one.readOnly && one.name !== owner)) {
    shape[field.name] = kind === 'createSchema' && (field.required || field.list) ? field.schema : field.schema.optional();
  }
  const object = z.strictObject(shape);
  return kind === 'createSchema' ? object.optional() : object.nullable().optional();
}

/** The field of a part that names its whole: a hypervisor's `node`. */
export function ownerField(part: Model): string {
  return part.resource.key[0]!;
}

const id = (name: string): RawBuilder<unknown> => sql.id(name);

/** SQL of the natural key of the row aliased `alias`, as text. */
export function keySql(catalog: Catalog, model: Model, alias: string): RawBuilder<unknown> {
  const parts = model.resource.key.map((name) => {
    const field = model.field.get(name)!;
    const column = sql`${id(alias)}.${id(field.column!)}`;
    return field.ref === undefined ? textOf(model, field, column) : refSql(catalog, field, column, `${alias}_${name}`);
  });
  return sql.join(parts, sql` || ':' || `);
}

function textOf(model: Model, field: Field, column: RawBuilder<unknown>): RawBuilder<unknown> {
  const type = (model.meta.properties as Record<string, EntityProperty>)[field.name]!.columnTypes[0] ?? '';
  /* A cast would add /32 to a single address; its own output, as in JSON, does not. */
  if (type === 'inet') return sql`trim(both '"' from to_json(${column})::text)`;
  return sql`${column}::text`;
}

/** SQL of the natural key of the row that a column names. */
function refSql(catalog: Catalog, field: Field, column: RawBuilder<unknown>, alias: string): RawBuilder<unknown> {
  const target = catalog.byNoun(field.ref!);
  const short = alias.slice(0, 60);
  return sql`(select ${keySql(catalog, target, short)} from ${target.source} as ${id(short)} where ${id(short)}.${id(target.pk)} = ${column})`;
}

/** SQL of one field's wire value for the row aliased `alias`. */
export function fieldSql(catalog: Catalog, field: Field, alias = 't'): RawBuilder<unknown> {
  if (field.made?.sql) return field.made.sql(alias);
  if (field.list) {
    const { pivotTable, joinColumns, inverseJoinColumns } = field.list;
    const value = id(inverseJoinColumns[0]!);
    return sql`(select coalesce(json_agg(${value} order by ${value}), '[]'::json) from ${id(pivotTable)} where ${id(joinColumns[0]!)} = ${id(alias)}.id)`;
  }
  const column = sql`${id(alias)}.${id(field.column!)}`;
  return field.ref === undefined ? column : refSql(catalog, field, column, `${alias}_${field.name}`);
}

/** SQL of the columns of a wire row, named; `but` leaves fields out, `extra` adds to or replaces them. */
export function columnsSql(
  catalog: Catalog,
  model: Model,
  alias = 't',
  { only, but, extra = {} }: { only?: ReadonlySet<string>; but?: string; extra?: Readonly<Record<string, RawBuilder<unknown>>> } = {},
): RawBuilder<unknown> {
  const wanted = (name: string): boolean => (only === undefined || only.has(name)) && name !== but;
  const columns: [string, RawBuilder<unknown>][] = [];
  if (model.pk === 'id' && wanted('id')) columns.push(['id', sql`${id(alias)}.id`]);
  for (const field of model.fields) {
    if (field.writeOnly || !wanted(field.name)) continue;
    columns.push([field.name, extra[field.name] ?? fieldSql(catalog, field, alias)]);
  }
  for (const [name, parts] of Object.entries(model.parts)) {
    if (wanted(name)) columns.push([name, partsSql(catalog, parts, alias)]);
  }
  if (model.pk === 'id') {
    for (const name of ['version', 'created_at', 'updated_at']) if (wanted(name)) columns.push([name, sql`${id(alias)}.${id(name)}`]);
  }
  for (const [name, value] of Object.entries(extra)) if (!model.field.has(name)) columns.push([name, value]);
  return sql.join(columns.map(([name, value]) => sql`${value} as ${id(name)}`));
}

/** SQL of an object with those parts that are there. */
function partsSql(catalog: Catalog, parts: Readonly<Record<string, Model>>, alias: string): RawBuilder<unknown> {
  const values = Object.entries(parts).map(([name, part]) => {
    const owner = part.field.get(ownerField(part))!;
    return sql`(${name}::text, (select row_to_json(x) from (select ${columnsSql(catalog, part, 'part', { but: owner.name })} from ${part.source} as part where part.${id(owner.column!)} = ${id(alias)}.id) x))`;
  });
  return sql`(select coalesce(json_object_agg(k, v), '{}'::json) from (values ${sql.join(values)}) as parts (k, v) where v is not null)`;
}
