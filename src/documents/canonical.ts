/** One form for each document: the same data give the same bytes, whatever the order of their keys. */
import { createHash } from 'node:crypto';

/** What JSON can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** A JSON object. */
export type JsonObject = { readonly [key: string]: Json };

/**
 * A copy with the keys of every object in the order of their UTF-16 units (as JSON Canonicalization,
 * RFC 8785, has it; JavaScript puts whole numbers first, which is as stable). Keys without a value and
 * keys that are `undefined` are left out; `null` stays. Throws a TypeError for what JSON cannot hold.
 */
export function canonical(value: unknown): Json {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`a document cannot hold ${value}`);
    return value;
  }
  if (Array.isArray(value)) return value.map((item) => (item === undefined ? null : canonical(item)));
  if (typeof value !== 'object') throw new TypeError(`a document cannot hold a ${typeof value}`);
  return canonicalObject(value);
}

/** `canonical` of an object. */
export function canonicalObject(value: object): JsonObject {
  const sorted: Record<string, Json> = {};
  const source: Readonly<Record<string, unknown>> = { ...value };
  for (const key of Object.keys(source).sort()) {
    const item = source[key];
    if (item !== undefined) put(sorted, key, canonical(item));
  }
  return sorted;
}

/** Sets a key of a plain object; `__proto__`, which user data may contain, is a key like any other. */
export function put<T>(into: Record<string, T>, key: string, value: T): void {
  if (key === '__proto__') Object.defineProperty(into, key, { value, enumerable: true, configurable: true, writable: true });
  else into[key] = value;
}

/** The first 16 hexadecimal digits of the SHA-256 of a canonical value's JSON text. */
export function contentHash(json: string): string {
  return createHash('sha256').update(json).digest('hex').slice(0, 16);
}

/** A shallow copy without the keys that are `null` or `undefined`: in Hiera null is a value, "found". */
export function present(value: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== null && item !== undefined));
}
