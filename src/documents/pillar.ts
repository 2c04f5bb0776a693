/** Salt's pillar: https://docs.saltproject.io/en/latest/topics/pillar/ */
import type { JsonObject } from './canonical.ts';
import type { DocumentBody } from './document.ts';

/** The whole document under the one key `corral`, with its version as `document`. Salt interpolates nothing. */
export function pillarOf(body: DocumentBody, version: string): { readonly corral: JsonObject } {
  return { corral: { document: version, ...body } };
}
