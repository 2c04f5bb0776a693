/** Salt's pillar: https://docs.saltproject.io/en/latest/topics/pillar/ */
import type { JsonObject } from './canonical.ts';
import { partOf } from './classes.ts';
import type { DocumentBody } from './document.ts';

/**
 * The document under the one key `corral`, with its version as `document`, and beside it the data of layers, merged:
 * their keys are what states ask for. Salt interpolates nothing.
 */
export function pillarOf(body: DocumentBody, version: string): JsonObject & { readonly corral: JsonObject } {
  const { data: _data, merge: _merge, secret_keys: _secret, ...own } = body;
  return { ...partOf(body, 'data'), corral: { document: version, ...own } };
}
