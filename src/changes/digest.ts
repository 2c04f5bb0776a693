/**
 * What tells one effect from another. What is made anew each time (ids, names made of them, uuids, MAC addresses, keys,
 * times) is replaced by place holders, and only what changes counts: so the digest of a plan is that of the write that
 * does the same, whatever else was written in between.
 */
import { createHash } from 'node:crypto';
import type { Catalog, Model } from '../db/catalog.ts';
import { canonical, type Json, type JsonObject } from '../documents/canonical.ts';
import { isObject } from '../documents/classes.ts';
import type { DocumentBody } from '../documents/document.ts';
import { differing } from './diff.ts';
import { generatedIn, type Generated } from './digest.names.ts';
import { redacted, SECRET } from './redact.ts';
import { isContent, type Columns, type NetRow } from './revert.net.ts';

/** A document before and after. */
export interface DocumentChange {
  readonly node: string;
  readonly before: DocumentBody | null;
  readonly after: DocumentBody | null;
}

/** `sha256:<hex>` of what these rows and documents become. */
export function digestOf(catalog: Catalog, rows: readonly NetRow[], documents: readonly DocumentChange[]): string {
  const models = new Map(catalog.models.map((model) => [model.table, model]));
  const made = generatedIn(models, rows, documents);
  const effect = {
    rows: rows.map((row) => JSON.stringify(rowEffect(models.get(row.table), row, made))).sort(),
    documents: documents.map((one) => JSON.stringify([one.node, documentEffect(one, made)])).sort(),
  };
  return `sha256:${createHash('sha256').update(JSON.stringify(effect)).digest('hex')}`;
}

function rowEffect(model: Model | undefined, row: NetRow, made: Generated): Json {
  const columns = (values: Columns): JsonObject => {
    const out: Record<string, Json> = {};
    for (const [name, value] of Object.entries(values)) if (isContent(name)) out[name] = columnEffect(model, row, name, value as Json, made);
    return canonical(out) as JsonObject;
  };
  return [row.table, row.what, row.id === null ? null : made.id(row.table, row.id), columns(row.before), columns(row.after)];
}

function columnEffect(model: Model | undefined, row: NetRow, name: string, value: Json, made: Generated): Json {
  if (value === null) return null;
  const field = model?.fields.find((one) => one.column === name);
  /* Sealed anew each time. */
  if (field?.writeOnly) return SECRET;
  if (row.what === 'made') {
    const type = made.type(row.table, name);
    if (type.startsWith('timestamp')) return '(time)';
  }
  const target = made.target(row.table, name);
  return typeof value === 'number' && target !== undefined ? made.id(target, value) : made.text(value);
}

/** The places of a document that change, in any order. */
function documentEffect({ before, after }: DocumentChange, made: Generated): Json {
  const [one, other] = redacted(before, after);
  const out: string[] = [];
  const say = (...what: Json[]): void => void out.push(JSON.stringify(what));
  const walk = (was: Json, is: Json, path: string): void => {
    if (isObject(was) && isObject(is)) {
      for (const key of Object.keys(was)) {
        const place = `${path}/${made.string(key)}`;
        if (Object.hasOwn(is, key)) walk(was[key]!, is[key]!, place);
        else say(place, 'goes', made.text(was[key]!));
      }
      for (const key of Object.keys(is)) if (!Object.hasOwn(was, key)) say(`${path}/${made.string(key)}`, 'comes', made.text(is[key]!));
      return;
    }
    const parts = listsOf(was, is);
    if (parts === undefined) return say(path, made.text(was), made.text(is));
    const [left, right] = parts.map((list) => list.map((item) => JSON.stringify(made.text(item)))) as [string[], string[]];
    /* Others may have added to the list, or to the XML, in between: what matters is what this write takes and adds. */
    say(path, 'less', without(left, right), 'more', without(right, left));
  };
  const found = differing(one ?? {}, other ?? {});
  if (found !== undefined) walk(found[0], found[1], '');
  return out.sort();
}

/** Both as lists: lists as they are, texts of many lines by their lines. */
function listsOf(was: Json, is: Json): readonly [readonly Json[], readonly Json[]] | undefined {
  if (Array.isArray(was) && Array.isArray(is)) return [was as readonly Json[], is as readonly Json[]];
  if (typeof was === 'string' && typeof is === 'string' && was.includes('\n') && is.includes('\n')) return [was.split('\n'), is.split('\n')];
  return undefined;
}

/** The items of a list that the other does not have, counted. */
function without(list: readonly string[], other: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const item of other) left.set(item, (left.get(item) ?? 0) + 1);
  return list
    .filter((item) => {
      const n = left.get(item) ?? 0;
      left.set(item, n - 1);
      return n <= 0;
    })
    .sort();
}
