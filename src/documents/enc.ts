/** Puppet's external node classifier: https://www.puppet.com/docs/puppet/7/nodes_external.html */
import { isObject, partOf, sectionsOf, textOf } from './classes.ts';
import type { Json, JsonObject } from './canonical.ts';
import type { DocumentBody } from './document.ts';

/** What an ENC answers. Parameters become top-scope variables; `facts` and `trusted` may not be among them. */
export interface Enc {
  /** By name, with the parameters that each is declared with. */
  readonly classes: Readonly<Record<string, JsonObject>>;
  readonly parameters: JsonObject;
  readonly environment: string;
}

/** The ENC answer for a document of this version. Parameters of Corral's own classes come from Hiera, so there are none. */
export function encOf(body: DocumentBody, version: string): Enc {
  const own: [string, JsonObject][] = [['corral', {}], ...sectionsOf(body).map(({ path }): [string, JsonObject] => [path.join('::'), {}])];
  const added = Object.entries(partOf(body, 'classes')).map(([name, given]: [string, Json]): [string, JsonObject] => [name, isObject(given) ? given : {}]);
  return {
    classes: Object.fromEntries([...own, ...added]),
    parameters: {
      ...partOf(body, 'parameters'),
      corral_document: version,
      corral_node: textOf(body, 'node'),
      corral_roles: body['roles'] ?? [],
      corral_site: textOf(body, 'site'),
    },
    environment: textOf(body, 'environment'),
  };
}
