/** Documents without their secrets, found by where they are in a body and never by what they look like. */
import { put, type Json } from '../documents/canonical.ts';
import { isObject } from '../documents/classes.ts';
import type { DocumentBody } from '../documents/document.ts';

/** Stands for a secret. */
export const SECRET = '(secret)';
/** Stands for a secret that is another than before. */
export const OTHER_SECRET = '(another secret)';

/** Where bodies hold secrets; `*` is any key. */
const PLACES: readonly (readonly string[])[] = [
  ['hypervisor', 'secrets', '*', 'value'],
  ['ceph', 'mon', 'keys', '*', 'secret'],
  ['ceph', 'osd', 'keys', '*', 'secret'],
  ['ceph', 'client', 'keys', '*', '*', 'secret'],
];

/** Where these bodies hold secrets, each place once: layers say themselves which of their keys are. */
function placesIn(...bodies: readonly (DocumentBody | null)[]): readonly (readonly string[])[] {
  const keys = new Set<string>();
  for (const body of bodies) {
    const mine = body?.['secret_keys'];
    if (Array.isArray(mine)) for (const key of mine) keys.add(String(key));
  }
  return [...PLACES, ...[...keys].map((key) => ['data', key])];
}

/** Two versions of a body without secrets; one that changed can be told from one that did not. */
export function redacted(before: DocumentBody | null, after: DocumentBody | null): [DocumentBody | null, DocumentBody | null] {
  /* What is a secret on one side is none of anybody's business on the other. */
  const places = placesIn(before, after);
  return [
    before === null ? null : hidden(before, places, () => SECRET),
    after === null ? null : hidden(after, places, (path, value) => (before !== null && changed(before, path, value) ? OTHER_SECRET : SECRET)),
  ];
}

/** A body without secrets. */
export function redact(body: DocumentBody): DocumentBody {
  return hidden(body, placesIn(body), () => SECRET);
}

/** A copy of those objects only that hold a secret; the rest is shared. */
function hidden(body: DocumentBody, places: readonly (readonly string[])[], stand: (path: readonly string[], value: Json) => Json): DocumentBody {
  const walk = (value: Json, rest: readonly string[], path: readonly string[]): Json => {
    const [step, ...further] = rest;
    if (step === undefined) return stand(path, value);
    if (!isObject(value)) return value;
    const keys = step === '*' ? Object.keys(value) : Object.hasOwn(value, step) ? [step] : [];
    if (keys.length === 0) return value;
    const wanted = new Set(keys);
    const copy: Record<string, Json> = {};
    for (const key of Object.keys(value)) put(copy, key, wanted.has(key) ? walk(value[key]!, further, [...path, key]) : value[key]!);
    return copy;
  };
  return places.reduce<DocumentBody>((made, place) => walk(made, place, []) as DocumentBody, body);
}

function changed(body: DocumentBody, path: readonly string[], value: Json): boolean {
  let there: Json | undefined = body;
  for (const key of path) there = isObject(there) && Object.hasOwn(there, key) ? there[key] : undefined;
  return there !== undefined && JSON.stringify(there) !== JSON.stringify(value);
}
