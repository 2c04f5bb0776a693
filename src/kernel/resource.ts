import type { EntitySchema } from '@mikro-orm/core';
import { sql, type RawBuilder } from 'kysely';
import { z } from 'zod';

/**
 * The declaration of one noun. Routes, the four representations, OpenAPI, filters, paging, ETags, pages,
 * the command line and the console follow from it. What the database knows (required, nullable, default,
 * relation, version) is taken from the entity and not said again.
 */
export interface Resource {
  /** Singular in snake case; also the table's name. */
  readonly noun: string;
  /** Plural in snake case: the name of reverse relations; with `-` for `_` it is the route. */
  readonly plural: string;
  /** For people, singular. */
  readonly title: string;
  /** One sentence: what it is for. */
  readonly summary: string;
  /** The group in the navigation. */
  readonly area: 'Place' | 'Roles' | 'Ceph' | 'People' | 'Virtual machines' | 'Storage' | 'Network' | 'Layers' | 'Control' | 'Lists';
  readonly entity: EntitySchema;
  /** The wire fields that make the natural key; joined by `:` where they are several. */
  readonly key: readonly string[];
  /** What people recognise the thing by, if that is not the key. */
  readonly label?: string;
  /** The writable wire fields, in the order in which they are shown. Without defaults: the entity has them. */
  readonly fields: Readonly<Record<string, z.ZodType>>;
  /** Read-only wire fields: properties of the entity that are shown, or what SQL makes of the row. */
  readonly computed?: Readonly<Record<string, Computed>>;
  /** What lists are filtered by beside the fields, by the parameter's name. */
  readonly filters?: Readonly<Record<string, Filter>>;
  /** One-to-one parts written together with the row: wire field, then wire name, then noun; e.g. a node's roles. */
  readonly parts?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** What a creation takes beside the fields, and no row shows. */
  readonly extras?: Readonly<Record<string, z.ZodType>>;
  /** Fields that may be given at creation only. */
  readonly immutable?: readonly string[];
  /** Fields that the database needs and a creation may leave out, because the verb fills them in. */
  readonly optional?: readonly string[];
  /** How lists are sorted unless they are told otherwise, as `sort` has it. By id when left out. */
  readonly sort?: string;
  /** Columns of lists, for people. */
  readonly columns: readonly string[];
  /** The rows cannot be written through the API. */
  readonly readOnly?: boolean;
  /** Verbs that do not exist for this noun. */
  readonly without?: readonly ('create' | 'update' | 'delete')[];
  /**
   * The ids of the nodes whose documents these rows shape, before and after a change.
   * Absent: the rows are in no document.
   */
  readonly affects?: (ids: readonly number[]) => RawBuilder<unknown>;
  /** What hosts build of a row, and where: gives `/convergence` below the thing, and `include=convergence`. */
  readonly observed?: Observed;
  /**
   * Where a row belongs, for those whose rights hold in one place only: SQL that the row of this alias belongs to one
   * of these sites, customers or projects. A place that is not here has none of the noun's rows.
   */
  readonly within?: Within;
  /** Where a row may be read and not written, beside `within`: a customer's networks by those who work in one of its projects. */
  readonly seen?: Within;
  /** SQL that whoever may read the noun somewhere may read the row of this alias: images, public networks. */
  readonly open?: (alias: string) => RawBuilder<unknown>;
  /** Fields that are unique over the whole fleet: who sees only a part of it may not choose them, for a refusal would tell of others. */
  readonly sole?: readonly string[];
  /** Rows are read by documents of many nodes: writes wait for writes in flight, and hold up new ones. */
  readonly shared?: boolean;
  /** What CHECK and other constraints mean for the person who ran into them, by constraint name. */
  readonly constraints?: Readonly<Record<string, { readonly pointer: string; readonly message: string }>>;
}

/** What rights may be limited to. */
export type Place = 'site' | 'customer' | 'project';

export type Within = Readonly<Partial<Record<Place, (alias: string, ids: readonly number[]) => RawBuilder<unknown>>>>;

/** A row belongs where what this column names does; or is seen there. */
export function through(column: string, parent: Resource, how: 'within' | 'seen' = 'within'): Within {
  const alias = `w_${parent.noun}`;
  const places = Object.entries(parent[how] ?? {}) as [Place, NonNullable<Within[Place]>][];
  return Object.fromEntries(
    places.map(([place, holds]) => [
      place,
      (a: string, ids: readonly number[]) =>
        sql`${sql.id(a, column)} in (select ${sql.id(alias, 'id')} from ${sql.id(parent.noun)} as ${sql.id(alias)} where ${holds(alias, ids)})`,
    ]),
  );
}

/**
 * Ids as a constant of a statement. The planner must see them: of a customer with 50 of 200,000 virtual machines it
 * would else read all in the order of ids, 12 times as long.
 */
export const idList = (ids: readonly number[]): RawBuilder<unknown> => sql.raw(`'{${ids.map((one) => Math.trunc(one)).join(',')}}'::bigint[]`);

/** A row belongs where this column says: the id of a site, customer or project. */
export const at =
  (column: string) =>
  (alias: string, ids: readonly number[]): RawBuilder<unknown> =>
    sql`${sql.id(alias, column)} = any(${idList(ids)})`;

/** A read-only wire field. */
export interface Computed {
  readonly schema: z.ZodType;
  /** Where no column holds it: SQL of its value for the row of this alias, and that value's type. */
  readonly sql?: (alias: string) => RawBuilder<unknown>;
  readonly type?: 'text' | 'timestamptz' | 'boolean' | 'bigint' | 'json';
}

/** A filter of lists that is no field's. */
export interface Filter {
  readonly description: string;
  /** As suffixes of the name; '' is equality. */
  readonly operators: readonly string[];
  readonly choices?: readonly string[];
  /** The parameter's name goes on with a path: `facts.os.family`. */
  readonly path?: boolean;
  /** SQL that it holds for the row of this alias. @throws Problem bad-request */
  readonly sql: (alias: string, operator: string, value: string, path: readonly string[]) => RawBuilder<unknown>;
}

/** How a row is found on the hosts that build it; each is SQL for the row of this alias. */
export interface Observed {
  /** Kind of the thing on the host; undefined: the row stands for the host's whole document. */
  readonly kind?: string;
  /** Name of the thing on the host. */
  readonly name: (alias: string) => RawBuilder<unknown>;
  /** The ids of the nodes whose documents hold it: a select of one column. Who asks is told of those that he may see. */
  readonly nodes: (alias: string) => RawBuilder<unknown>;
  /** What it is asked to be, as hosts name it; `present` when left out. */
  readonly desired?: (alias: string) => RawBuilder<unknown>;
  /** The host that must let go of it first; null: none. */
  readonly held?: (alias: string) => RawBuilder<unknown>;
}

/** A field that names another thing: its id (a number) or its natural key (a string). */
export function ref(noun: string): z.ZodType<number | string> {
  return z
    .union([z.int().positive(), z.string().min(1).max(300)], { error: `must be the id or the key of a ${noun.replaceAll('_', ' ')}` })
    .meta({ ref: noun });
}

/** The noun that a field made by `ref` names. */
export function refOf(schema: z.ZodType): string | undefined {
  const noun = schema.meta()?.['ref'];
  return typeof noun === 'string' ? noun : undefined;
}

const MAX = Number.MAX_SAFE_INTEGER;

/** The field kinds that many nouns share. */
export const f = {
  name: (what = 'The name') =>
    z
      .string()
      .regex(
        /^(?!\d+$)(?!.*\.(?:json|msgpack|html|yaml)$)[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/,
        'must be 1 to 63 of a-z, 0-9, dot, dash, underscore, start and end with a letter or digit, not be a number, and not end like a file (.json, .html)',
      )
      .describe(`${what}: 1 to 63 of a-z, 0-9, dot, dash, underscore.`),
  title: (description: string) => z.string().min(1).max(200).describe(description),
  text: (description: string) => z.string().max(2000).describe(description),
  bytes: (description: string) => z.int().min(1).max(MAX).describe(`${description} In bytes.`).meta({ unit: 'bytes' }),
  rate: (description: string) => z.int().min(1).max(MAX).describe(`${description} In bytes per second; null is no limit.`).meta({ unit: 'bytes' }),
  iops: (description: string) => z.int().min(1).max(10_000_000).describe(`${description} In operations per second; null is no limit.`),
  mtu: () => z.int().min(576).max(65_535).describe('Largest packet in bytes, 576 to 65535.'),
  vlan: (description: string) => z.int().min(1).max(4094).describe(description),
  mac: () =>
    z
      .string()
      .regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/, 'must be six lower-case hexadecimal pairs with colons, e.g. 02:00:00:00:00:2a')
      .describe('Hardware address, lower case with colons.'),
  uuid: (description: string) => z.uuid('must be a UUID').toLowerCase().describe(description),
  json: (description: string) => z.record(z.string().max(200), z.json()).describe(description),
} as const;
