import type { Model } from '../db/catalog.ts';
import type { Row } from '../db/read.ts';
import { keyOf } from '../db/read.ts';

/** Path segment of a key; one that ends like a format gets `.html`, or its end would be taken for one. */
function segment(key: string): string {
  return encodeURIComponent(/\.(?:json|msgpack|html|yaml)$/.test(key) ? `${key}.html` : key);
}

/** How a row is named in a URL: by its natural key, or by its id where that would be taken for an id. */
export function nameOf(model: Model, row: Row): string {
  const key = keyOf(model, row);
  return /^\d+$/.test(key) && model.pk === 'id' ? String(row['id']) : key;
}

export const listHref = (model: Model): string => `/api/v1/${model.route}`;
export const keyHref = (model: Model, key: string): string => `/api/v1/${model.route}/${segment(key)}`;
export const thingHref = (model: Model, row: Row): string => keyHref(model, nameOf(model, row));

/** The page of a thing in another representation. */
export const thingAs = (model: Model, row: Row, format: 'json' | 'msgpack'): string =>
  `/api/v1/${model.route}/${encodeURIComponent(model.pk === 'id' ? String(row['id']) : keyOf(model, row))}.${format}`;

/** Whether changes keep its rows. */
export const isKept = (model: Model): boolean => model.pk === 'id' && !model.resource.readOnly && !['token', 'enrolment_token'].includes(model.resource.noun);

/** What changes did to a thing. */
export const historyHref = (model: Model, key: string): string => `/api/v1/${model.route}/${encodeURIComponent(key)}/history`;

export const changeHref = (number: number): string => `/changes/${number}`;

/** The form that makes a thing, filled with what is known. */
export function newHref(model: Model, values: Readonly<Record<string, string>> = {}): string {
  const search = new URLSearchParams(values).toString();
  return `/forms/${model.route}${search === '' ? '' : `?${search}`}`;
}

export const editHref = (model: Model, row: Row): string => `/forms/${model.route}/${segment(nameOf(model, row))}`;

/** A list's URL with some parameters changed (undefined: removed) and empty ones left out. */
export function withParams(url: URL, changes: Readonly<Record<string, string | undefined>>, path = url.pathname): string {
  const params = new URLSearchParams(url.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) params.delete(name);
    else params.set(name, value);
  }
  for (const name of new Set(params.keys())) if (params.has(name, '')) params.delete(name, '');
  const search = params.toString();
  return path + (search === '' ? '' : `?${search}`);
}

const without = (model: Model, verb: 'create' | 'update' | 'delete'): boolean =>
  model.resource.readOnly === true || (model.resource.without?.includes(verb) ?? false);

export const canCreate = (model: Model): boolean => !without(model, 'create');
export const canUpdate = (model: Model): boolean => !without(model, 'update');
export const canDelete = (model: Model): boolean => !without(model, 'delete');

/** What people call a row: its label, or its key. */
export function titleOf(model: Model, row: Row): string {
  const { label } = model.resource;
  return label === undefined ? keyOf(model, row) : String(row[label]);
}

/** Envelopes of a node's documents, for whom they are. */
export const envelopes = {
  enc: 'Puppet ENC',
  hiera: 'Hiera',
  pillar: 'Salt pillar',
  tops: 'Salt tops',
  documents: 'All in one',
} as const;

/** Where the values of a node's documents come from, or one of them. */
export const explainHref = (node: string, key?: string): string => `/nodes/${encodeURIComponent(node)}/explain${key === undefined ? '' : `/${segment(key)}`}`;

export const documentHref = (envelope: string, node: string, format?: string): string =>
  `/${envelope}/${encodeURIComponent(node)}${format === undefined ? '' : `.${format}`}`;
