/**
 * Hiera 5 data: the parameters of the classes that the ENC names, as one flat mapping.
 * https://www.puppet.com/docs/puppet/7/hiera_automatic.html
 */
import { put, type Json, type JsonObject } from './canonical.ts';
import { isObject, partOf, sectionsOf } from './classes.ts';
import type { DocumentBody } from './document.ts';

/** Keys of the class `corral` itself. */
const FACTS = ['node', 'roles', 'site', 'interfaces'] as const;

/** Parameters that hold secrets: Puppet gives them to the class as Sensitive and keeps them out of logs. */
const SENSITIVE = /^corral::(hypervisor::secrets|ceph::(mon|osd|client)::keys)$/;

/**
 * The Hiera data of a document of this version, with `lookup_options` for its own keys: mappings merge
 * deep with what other layers have, secrets are converted to Sensitive. `%{` is escaped in every key and
 * every text, because Hiera interpolates both. The data of layers is interpolated, as its operators mean it,
 * but for secrets: those are what they are. What layers are merged by holds for other levels of Puppet's hierarchy, too.
 */
export function hieraOf(body: DocumentBody, version: string): JsonObject {
  const data: Record<string, Json> = { 'corral::document': version };
  for (const key of FACTS) data[`corral::${key}`] = body[key] ?? null;
  for (const { path, data: section } of sectionsOf(body)) {
    for (const [name, value] of Object.entries(section)) data[[...path, name].join('::')] = value;
  }
  const escaped: Record<string, Json> = {};
  const options: Record<string, Json> = {};
  for (const key of Object.keys(data).sort()) {
    const value = data[key] ?? null;
    escaped[key] = escapeDeep(value);
    if (!isObject(value)) continue;
    options[key] = { merge: { strategy: 'deep' }, ...(SENSITIVE.test(key) ? { convert_to: 'Sensitive' } : {}) };
  }
  const merge = partOf(body, 'merge');
  const secret = new Set(Array.isArray(body['secret_keys']) ? (body['secret_keys'] as readonly Json[]) : []);
  for (const [key, value] of Object.entries(partOf(body, 'data'))) {
    put(escaped, key, secret.has(key) ? escapeDeep(value) : value);
    const how = { ...(merge[key] === undefined ? {} : { merge: { strategy: merge[key] } }), ...(secret.has(key) ? { convert_to: 'Sensitive' } : {}) };
    if (Object.keys(how).length > 0) put(options, key, how);
  }
  return { ...escaped, lookup_options: options };
}

/** Text as Hiera's interpolation gives it back unchanged: its `literal` function yields the percent sign. */
export function escapeHiera(text: string): string {
  return text.includes('%{') ? text.replaceAll('%{', "%{literal('%')}{") : text;
}

function escapeDeep(value: Json): Json {
  if (typeof value === 'string') return escapeHiera(value);
  if (Array.isArray(value)) return value.map(escapeDeep);
  if (!isObject(value)) return value;
  const escaped: Record<string, Json> = {};
  for (const [key, item] of Object.entries(value)) put(escaped, escapeHiera(key), escapeDeep(item));
  return escaped;
}
