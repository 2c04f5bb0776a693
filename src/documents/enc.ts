/** Puppet's external node classifier: https://www.puppet.com/docs/puppet/7/nodes_external.html */
import { classesOf, textOf } from './classes.ts';
import type { Json } from './canonical.ts';
import type { DocumentBody } from './document.ts';

/** What an ENC answers. Parameters become top-scope variables; `facts` and `trusted` may not be among them. */
export interface Enc {
  readonly classes: Readonly<Record<string, Readonly<Record<string, never>>>>;
  readonly parameters: Readonly<Record<`corral_${string}`, Json>>;
  readonly environment: string;
}

/** The ENC answer for a document of this version. Class parameters come from Hiera, so there are none. */
export function encOf(body: DocumentBody, version: string): Enc {
  return {
    classes: Object.fromEntries(classesOf(body).map((path) => [path.join('::'), {}])),
    parameters: {
      corral_document: version,
      corral_node: textOf(body, 'node'),
      corral_roles: body['roles'] ?? [],
      corral_site: textOf(body, 'site'),
    },
    environment: textOf(body, 'environment'),
  };
}
