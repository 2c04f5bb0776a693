import type { Model } from '../db/catalog.ts';
import type { Action } from '../db/rights.ts';
import { splitSuffix, type Format } from '../kernel/negotiate.ts';
import { Problem } from '../kernel/problem.ts';
import { offered, type Services } from './answer.ts';

/** What a path of the API names. */
export interface Target {
  readonly model: Model;
  /** Undefined: the list. */
  readonly key: string | undefined;
  readonly suffix: Format | undefined;
  /** `/convergence` below the thing is meant. */
  readonly convergence?: boolean;
}

/** @throws Problem not-found, bad-request */
export function targetOf(services: Services, url: string, prefix: string): Target {
  const path = new URL(url).pathname.slice(prefix.length);
  const [first = '', ...rest] = path.split('/');
  let key: string | undefined;
  try {
    key = rest.length === 0 || (rest.length === 1 && rest[0] === '') ? undefined : rest.map(decodeURIComponent).join('/');
  } catch {
    throw new Problem('bad-request', 'The path holds a broken percent sign');
  }
  if (key?.includes('\0')) throw new Problem('bad-request', 'The path holds a NUL character');
  const name = key === undefined ? splitSuffix(first, offered) : { name: first };
  const model = services.catalog.byRoute(name.name);
  if (!model) throw new Problem('not-found', `There is no noun '${name.name.slice(0, 100)}'; /api/v1 lists them`);
  if (key === undefined) return { model, key, suffix: 'format' in name ? name.format : undefined };
  const split = splitSuffix(key, offered);
  const below = model.resource.observed ? /^(.+)\/convergence$/.exec(split.name)?.[1] : undefined;
  return { model, key: below ?? split.name, suffix: split.format, convergence: below !== undefined };
}

/** The methods that a target has. */
export function methodsOf({ model, key, convergence }: Target): string[] {
  if (convergence) return ['GET'];
  const without = new Set(model.resource.readOnly ? ['create', 'update', 'delete'] : model.resource.without);
  if (key === undefined) return ['GET', ...(without.has('create') ? [] : ['POST'])];
  return [
    'GET',
    ...(without.has('update') ? [] : ['PATCH', ...(without.has('create') || hasComputedKey(model) ? [] : ['PUT'])]),
    ...(without.has('delete') ? [] : ['DELETE']),
  ];
}

/** A thing whose key the database makes cannot be put under a key of the client's. */
function hasComputedKey(model: Model): boolean {
  return model.resource.key.some((name) => model.field.get(name)!.readOnly);
}

/** What a method does; PUT may make the thing, and a form says with POST what it means. */
export function actionsOf(method: string, key: string | undefined): Action[] {
  if (method === 'DELETE') return ['delete'];
  if (method === 'PATCH') return ['update'];
  if (method === 'PUT') return ['create', 'update'];
  return key === undefined ? ['create'] : [];
}
