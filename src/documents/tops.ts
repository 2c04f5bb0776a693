/** Salt's master tops: https://docs.saltproject.io/en/latest/topics/master_tops/ */
import { classesOf, textOf } from './classes.ts';
import type { DocumentBody } from './document.ts';

/** States by saltenv. Salt's name for the environment that everything else calls production is `base`. */
export function topsOf(body: DocumentBody): Record<string, string[]> {
  const environment = textOf(body, 'environment');
  const saltenv = environment === 'production' ? 'base' : environment;
  return { [saltenv]: classesOf(body).map((path) => path.join('.')) };
}
