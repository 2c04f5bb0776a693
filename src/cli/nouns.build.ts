import { z } from 'zod';
import { entities } from '../corral.ts';
import { createCatalog, type Field, type Model } from '../db/catalog.ts';
import { createOrm } from '../db/orm.ts';
import { operatorsOf, reverseNames } from '../db/query.ts';
import { resources } from '../modules/index.ts';
import type { Noun, ReadField, Shape } from './nouns.ts';

type Json = Readonly<Record<string, unknown>>;

/** Makes what the client needs to know from the declarations; connects to nothing. */
export async function buildNouns(): Promise<readonly Noun[]> {
  const orm = await createOrm(entities, 'postgres://nobody@localhost/none', 1);
  try {
    return createCatalog(orm, resources).models.map(describe);
  } finally {
    await orm.close();
  }
}

/** One noun. */
export function describe(model: Model): Noun {
  const { resource } = model;
  const without = new Set<string>(resource.readOnly ? ['create', 'update', 'delete'] : resource.without);
  const json = z.toJSONSchema(model.createSchema, { io: 'input', unrepresentable: 'any' }) as Json;
  const shape = shapeOf(json);
  const refs = model.fields.filter((field) => field.ref !== undefined).map((field): [string, string] => [field.name, field.ref!]);
  const reverse = [...reverseNames(model)].map(([name, relation]): [string, string] => [name, relation.model.resource.noun]);
  return {
    noun: resource.noun,
    plural: resource.plural,
    route: model.route,
    title: resource.title,
    summary: resource.summary,
    area: resource.area,
    key: resource.key,
    columns: resource.columns,
    verbs: [
      ...(without.has('create') ? [] : (['create'] as const)),
      ...(without.has('update') ? [] : (['set'] as const)),
      ...(without.has('delete') ? [] : (['delete'] as const)),
    ],
    required: (json['required'] as string[] | undefined) ?? [],
    immutable: resource.immutable ?? [],
    fields: readFields(model),
    includes: Object.fromEntries([...refs, ...reverse]),
    write: shape.props ?? {},
  };
}

function readFields(model: Model): ReadField[] {
  const own = model.fields
    .filter((field) => !field.writeOnly)
    .map((field: Field) => ({
      name: field.name,
      type: timeOr(field),
      ...(field.unit === undefined ? {} : { unit: field.unit }),
      ...(field.ref === undefined ? {} : { ref: field.ref }),
      ...(field.choices === undefined ? {} : { choices: field.choices }),
      operators: operatorsOf(field),
    }));
  const parts = Object.keys(model.parts).map((name) => ({ name, type: 'parts', operators: [] }));
  if (model.pk !== 'id') return [...own, ...parts];
  const times = ['created_at', 'updated_at'].map((name) => ({ name, type: 'time', operators: [] }));
  return [{ name: 'id', type: 'integer', operators: [''] }, ...own, ...parts, { name: 'version', type: 'integer', operators: [] }, ...times];
}

function timeOr(field: Field): string {
  return /(_(at|since)|^last_login)$/.test(field.name) ? 'time' : field.type;
}

/** A JSON Schema, brought to what the client needs of it. */
function shapeOf(json: Json): Shape {
  const variants = (json['anyOf'] as Json[] | undefined)?.filter((one) => one['type'] !== 'null') ?? [];
  const inner = json['ref'] === undefined && variants.length === 1 ? variants[0]! : json;
  const get = <T>(name: string): T | undefined => (json[name] ?? inner[name]) as T | undefined;
  const ref = get<string>('ref');
  const props = get<Record<string, Json>>('properties');
  const items = get<Json>('items');
  const description = get<string>('description');
  const unit = get<string>('unit');
  const choices = get<string[]>('enum');
  const known = ['string', 'integer', 'number', 'boolean', 'array', 'object'] as const;
  const type = ref === undefined ? known.find((one) => one === get<string>('type')) : 'string';
  return {
    type: type ?? 'any',
    ...(description === undefined ? {} : { description }),
    ...(unit === undefined ? {} : { unit }),
    ...(ref === undefined ? {} : { ref }),
    ...(choices === undefined ? {} : { choices }),
    ...(props === undefined ? {} : { props: Object.fromEntries(Object.entries(props).map(([name, value]) => [name, shapeOf(value)])) }),
    ...(items === undefined ? {} : { items: shapeOf(items) }),
  };
}
