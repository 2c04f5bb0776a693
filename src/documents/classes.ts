/** Which classes (Puppet) and states (Salt) a document asks for. */
import type { DocumentBody } from './document.ts';
import type { Json, JsonObject } from './canonical.ts';

/** The parts of a class's name: `['corral', 'ceph', 'osd']` is corral::ceph::osd and corral.ceph.osd. */
export type ClassPath = readonly string[];

const SECTIONS: readonly ClassPath[] = [['hypervisor'], ['ceph', 'mon'], ['ceph', 'osd'], ['ceph', 'client']];

/**
 * The sections that a document has, each with the class that applies it, in a fixed order. Sections,
 * not roles, decide: a host that gave up a role may still have things of it to remove.
 */
export function sectionsOf(body: DocumentBody): { readonly path: ClassPath; readonly data: JsonObject }[] {
  const found: { path: ClassPath; data: JsonObject }[] = [];
  for (const path of SECTIONS) {
    let data: Json | undefined = body;
    for (const key of path) data = isObject(data) ? data[key] : undefined;
    if (isObject(data)) found.push({ path: ['corral', ...path], data });
  }
  return found;
}

/**
 * A body with its sections emptied and without the data of layers: all that the ENC answer and the tops are made from, in a few hundred
 * bytes, so that they never read the whole document.
 */
export function headOf(body: DocumentBody): DocumentBody {
  const head: Record<string, Json> = {};
  for (const key of ['environment', 'node', 'roles', 'site']) head[key] = body[key] ?? null;
  for (const { path } of sectionsOf(body)) {
    const [, first = '', second] = path;
    head[first] = second === undefined ? {} : { ...(isObject(head[first]) ? head[first] : {}), [second]: {} };
  }
  for (const key of ['classes', 'parameters']) if (body[key] !== undefined) head[key] = body[key];
  return head;
}

/** The classes of a document: `corral` first, those of layers last. */
export function classesOf(body: DocumentBody): ClassPath[] {
  return [['corral'], ...sectionsOf(body).map(({ path }) => path), ...Object.keys(partOf(body, 'classes')).map((name) => name.split('::'))];
}

/** A part of the body that is an object; empty when it is not there. */
export function partOf(body: DocumentBody, key: string): JsonObject {
  const value = body[key];
  return isObject(value) ? value : {};
}

/** Whether a JSON value is an object. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A body's value that is text; empty when it is not there, which `buildDocument` never leaves. */
export function textOf(body: DocumentBody, key: string): string {
  const value = body[key];
  return typeof value === 'string' ? value : '';
}
