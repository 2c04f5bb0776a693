import { sql, type RawBuilder } from 'kysely';
import { Problem } from '../kernel/problem.ts';
import type { Place, Resource, Within } from '../kernel/resource.ts';
import { restrict, type Catalog, type Model } from './catalog.ts';
import type { Db } from './read.ts';

export type Action = 'read' | 'create' | 'update' | 'delete';

/** What somebody may do, and where. */
export interface Grant {
  readonly has: (permission: string) => boolean;
  /** Whether there is any noun that it may do this with. */
  readonly acts: (action: Action) => boolean;
  /** Undefined: everywhere. */
  readonly where?: { readonly place: Place; readonly id: number } | undefined;
}

/**
 * What somebody may do. The one place that says which rows: reading goes through a catalog whose nouns hold only
 * those (`catalogOf`), writing asks for the row that is written (`permit`).
 */
export class Rights {
  /** Who, in words, for refusals. */
  readonly who: string;
  readonly #grants: readonly Grant[];
  readonly #catalogs = new WeakMap<Catalog, Catalog>();

  constructor(who: string, grants: readonly Grant[]) {
    this.who = who;
    this.#grants = grants;
  }

  /** Whether there is anything that it may read: a noun or the history. */
  get reads(): boolean {
    return this.#any('read');
  }

  /** Whether there is anything that it may write. */
  get writes(): boolean {
    return this.#any('create') || this.#any('update') || this.#any('delete');
  }

  #any(action: Action): boolean {
    return this.#grants.some((grant) => grant.acts(action));
  }

  /** Whether it may somewhere. */
  may(permission: string): boolean {
    return this.#grants.some((grant) => grant.has(permission));
  }

  /** Whether it may everywhere. */
  mayEverywhere(permission: string): boolean {
    return this.#grants.some((grant) => grant.where === undefined && grant.has(permission));
  }

  /** @throws Problem forbidden that names the permission */
  demand(permission: string, { everywhere = false }: { everywhere?: boolean } = {}): void {
    if (everywhere ? this.mayEverywhere(permission) : this.may(permission)) return;
    throw forbidden(this.who, permission, everywhere && this.may(permission) ? 'for everything, not only for a part of it' : undefined);
  }

  /** The place that all its grants are for, where that is one: new things are put there unless something else is said. */
  home(place: Place): number | undefined {
    const ids = new Set(this.#grants.map(({ where }) => (where?.place === place ? where.id : undefined)));
    return ids.size === 1 ? [...ids][0] : undefined;
  }

  /** SQL that it may do this with the row of this alias; true and false where that does not depend on the row. */
  condition(resource: Resource, action: Action, alias: string): RawBuilder<unknown> | boolean {
    const own = this.owns(resource, action, alias);
    /* To be seen is not to be changed. */
    if (action !== 'read' || own === true || !this.may(`${resource.noun}:read`)) return own;
    const open = resource.open?.(alias);
    return anyOf([...(own === false ? [] : [own]), ...lying(this.#places(`${resource.noun}:read`), resource.seen, alias), ...(open ? [open] : [])]);
  }

  /** The same without what may only be seen: what lies in the places that its grants are for. */
  owns(resource: Resource, action: Action, alias: string, fromAbove = action === 'create'): RawBuilder<unknown> | boolean {
    const permission = `${resource.noun}:${action}`;
    if (this.mayEverywhere(permission)) return true;
    const places = this.#places(permission);
    /* A place is never made within itself, nor are its limits set there. */
    if (fromAbove) places.delete(resource.noun as Place);
    return anyOf(lying(places, resource.within, alias));
  }

  /** The places that a permission is given for. */
  #places(permission: string): Map<Place, number[]> {
    const ids = new Map<Place, number[]>();
    for (const { has, where } of this.#grants) {
      if (where === undefined || !has(permission)) continue;
      ids.set(where.place, [...(ids.get(where.place) ?? []), where.id]);
    }
    return ids;
  }

  /** The catalog in which each noun has the rows that may be read, and only they. */
  catalogOf(whole: Catalog): Catalog {
    let own = this.#catalogs.get(whole);
    if (!own) {
      own = restrict(whole, (resource) => this.condition(resource, 'read', 'r'));
      this.#catalogs.set(whole, own);
    }
    return own;
  }

  /**
   * Before a row is made: where none that is made could be permitted, nothing is tried, and no refusal tells what is there.
   * @throws Problem forbidden
   */
  tryToMake({ resource }: Model): void {
    const permission = `${resource.noun}:create`;
    if (this.condition(resource, 'create', 't') === false) throw forbidden(this.who, permission, this.may(permission) ? 'there' : undefined);
  }

  /**
   * Before rows are changed or deleted, and after they are made or changed.
   * @throws Problem forbidden
   */
  async permit(db: Db, model: Model, action: Action, ...ids: readonly number[]): Promise<void> {
    await this.#permit(db, model, action, this.condition(model.resource, action, 't'), ids);
  }

  /**
   * Before the quotas of a customer or project are changed: nobody raises the limits of the place that he works in.
   * @throws Problem forbidden
   */
  async permitLimits(db: Db, model: Model, id: number): Promise<void> {
    await this.#permit(db, model, 'update', this.owns(model.resource, 'update', 't', true), [id]);
  }

  async #permit(db: Db, model: Model, action: Action, condition: RawBuilder<unknown> | boolean, ids: readonly number[]): Promise<void> {
    if (condition === true) return;
    const permission = `${model.resource.noun}:${action}`;
    if (condition === false) throw forbidden(this.who, permission);
    const { rows } = await sql<{
      n: number;
    }>`select count(*)::int as n from ${sql.id(model.table)} as t where t.${sql.id(model.pk)} = any(${ids}) and ${condition}`.execute(db);
    if (rows[0]!.n < ids.length) throw forbidden(this.who, permission, 'there');
  }
}

/** SQL that the row of this alias lies in one of these places: a condition for each kind of place. */
function lying(places: ReadonlyMap<Place, readonly number[]>, within: Within | undefined, alias: string): RawBuilder<unknown>[] {
  return [...places].flatMap(
    ([place, ids]) =>
      within?.[place]?.(
        alias,
        ids.toSorted((a, b) => a - b),
      ) ?? [],
  );
}

const anyOf = (conditions: readonly RawBuilder<unknown>[]): RawBuilder<unknown> | boolean => conditions.length > 0 && sql`(${sql.join(conditions, sql` or `)})`;

function forbidden(who: string, permission: string, where?: string): Problem {
  return new Problem('forbidden', `${who} may not do that${where === undefined ? '' : ` ${where}`}: the permission ${permission} is missing`, {
    extra: { permission },
  });
}
