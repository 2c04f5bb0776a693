import { readFileSync } from 'node:fs';
import type { MikroORM } from '@mikro-orm/postgresql';
import type pg from 'pg';
import { createCatalog, type Catalog } from './db/catalog.ts';
import { attachEmbedded, startEmbedded, type Embedded } from './db/embedded.ts';
import { markDone, migrate, wasDone } from './db/migrate.ts';
import { createOrm, createPool } from './db/orm.ts';
import type { Db } from './db/read.ts';
import { transaction, type Store } from './db/transaction.ts';
import { Hub } from './events/hub.ts';
import { planOf } from './changes/plan.ts';
import { DocumentService } from './documents/service.load.ts';
import { rebuild, rebuildAll } from './documents/rebuild.load.ts';
import type { Config } from './kernel/config.ts';
import { Proxies } from './kernel/proxy.ts';
import { installationBox } from './kernel/secret.ts';
import { hashToken, newToken } from './modules/control/token.verbs.ts';
import { ClientCertificates } from './auth/certificates.ts';
import { hooks } from './modules/hooks.ts';
import { internalEntities, resources } from './modules/index.ts';

/** The program's version. */
export const VERSION = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version;

/** Raised when the same rows are written differently, so that an upgrade rebuilds every document. */
export const DOCUMENTS = 2;

/** An open Corral: its database, verbs and documents. */
export interface Corral {
  readonly url: string;
  readonly orm: MikroORM;
  readonly pool: pg.Pool;
  readonly catalog: Catalog;
  readonly store: Store;
  readonly documents: DocumentService;
  /** Of nodes that show one in place of a token. */
  readonly certificates: ClientCertificates;
  /** News of documents and hosts from all processes. */
  readonly hub: Hub;
  /** For reads outside a transaction. */
  readonly db: () => Db;
  /** Closes connections, and the embedded PostgreSQL where there is one. */
  close(): Promise<void>;
}

export const entities = [...resources.map((resource) => resource.entity), ...internalEntities];

/**
 * Opens the database that the configuration names: an existing one, or the embedded one, which is started.
 * @param options.attach beside the process that owns the data folder, where there is one
 * @param options.warn told in words what goes wrong in the background
 * @throws DataFolderInUse
 */
export async function openCorral(
  config: Config,
  { attach = false, warn }: { attach?: boolean; warn?: (message: string, error?: unknown) => void } = {},
): Promise<Corral> {
  let embedded: Embedded | undefined;
  const running = config.database_url?.reveal() ?? (attach ? await attachEmbedded(config.data) : undefined);
  if (running === undefined) embedded = await startEmbedded(config.data);
  const url = running ?? embedded!.url;
  try {
    await migrate(url);
    const orm = await createOrm(entities, url, config.pool_size);
    const catalog = createCatalog(orm, resources);
    const secrets = installationBox(config);
    const pool = createPool(url, Math.max(2, Math.floor(config.pool_size / 2)));
    const store: Store = {
      orm,
      catalog,
      hooks,
      secrets,
      rebuild,
      plan: planOf,
      placement: config.placement,
      defaultVolumeSize: config.default_volume_size,
      publicUrl: config.public_url,
      reporting: { limit: config.report_limit, kept: config.reports_kept, staleAfter: config.stale_after, interval: config.heartbeat_interval },
    };
    const proxies = new Proxies(config.trusted_proxies);
    const certificates = new ClientCertificates(proxies);
    const hub = new Hub(config.listen_url?.reveal() ?? url, warn ? { warn } : {});
    const corral: Corral = {
      url,
      orm,
      pool,
      catalog,
      store,
      documents: new DocumentService(pool, secrets, config.cache_size, config.converge_rate, proxies, certificates),
      certificates,
      hub,
      db: () => orm.em.fork().getKysely() as unknown as Db,
      close: async () => {
        await hub.close();
        await orm.close();
        await pool.end();
        await embedded?.stop();
      },
    };
    await upgradeDocuments(corral);
    return corral;
  } catch (error) {
    await embedded?.stop();
    throw error;
  }
}

/** After an upgrade that writes documents differently: rebuilds all, once, whichever process comes first. */
async function upgradeDocuments({ url, store }: Corral): Promise<void> {
  const name = `documents-${DOCUMENTS}`;
  if (await wasDone(url, name)) return;
  await transaction(
    store,
    async (tx) => {
      await rebuildAll(tx);
      await markDone(tx.db, name);
    },
    { shared: true },
  );
}

/**
 * Makes the admin token of a new database, and with `fleet` the fleet that it begins with, in one
 * transaction. Does nothing when there is a token already.
 * @returns the token, or undefined when the database is not new
 */
export async function firstStart(
  { store }: Corral,
  preset: string | undefined,
  fleet: ((corral: Store) => Promise<void>) | undefined,
): Promise<string | undefined> {
  const existing = await store.orm.em
    .fork()
    .getConnection()
    .execute<{ tokens: string; sites: string }[]>('select (select count(*) from token) as tokens, (select count(*) from site) as sites');
  if (Number(existing[0]!.tokens) > 0) return undefined;
  /* A fleet that was imported before the first start stays alone. */
  if (fleet && Number(existing[0]!.sites) === 0) await fleet(store);
  const token = preset ?? newToken('admin');
  const made = await transaction(store, async (tx) => {
    /* Two first starts on one database: the second finds the token of the first. */
    const rows = await tx.em
      .getConnection()
      .execute<unknown[]>(
        'insert into token (name, kind, hash) values (?, ?, ?) on conflict (name) do nothing returning id',
        ['admin', 'admin', hashToken(token)],
        'all',
        tx.em.getTransactionContext(),
      );
    return rows.length > 0;
  });
  return made ? token : undefined;
}
