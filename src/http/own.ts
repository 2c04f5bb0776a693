import type { Identity } from '../auth/identity.ts';
import type { Rights } from '../db/rights.ts';
import type { Services } from './answer.ts';

const made = new WeakMap<Services, WeakMap<Rights, Services>>();

/** What handlers get from the process for one who asks: nouns hold only what he may see, and writes only what he may write. */
export function ownServices(services: Services, { rights }: Identity): Services {
  let byRights = made.get(services);
  if (!byRights) made.set(services, (byRights = new WeakMap()));
  let own = byRights.get(rights);
  if (!own) {
    const catalog = rights.catalogOf(services.catalog);
    own = { ...services, catalog, store: { ...services.store, catalog, rights } };
    byRights.set(rights, own);
  }
  return own;
}
