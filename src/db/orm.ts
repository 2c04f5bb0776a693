import { MikroORM, type EntitySchema, type Options } from '@mikro-orm/postgresql';
import pg from 'pg';
import { prepareMarked } from './prepared.ts';

/**
 * The only place that builds MikroORM.
 * @param entities of all modules
 * @param url of the database
 * @param pool most connections
 */
export function ormOptions(entities: readonly EntitySchema[], url: string, pool: number): Options {
  return {
    entities: [...entities],
    clientUrl: url,
    driverOptions: {
      ...socketOptions(url),
      onPoolCreated: (created: pg.Pool) => {
        created.on('connect', prepareMarked);
        surviveLoss(created);
        giveBackBroken(created);
      },
    },
    pool: { min: 0, max: pool },
    allowGlobalContext: false,
    ignoreUndefinedInQuery: true,
    schemaGenerator: { disableForeignKeys: false, createForeignKeyConstraints: true },
    logger: () => undefined,
    forceUtcTimezone: true,
  };
}

export async function createOrm(entities: readonly EntitySchema[], url: string, pool: number): Promise<MikroORM> {
  return MikroORM.init(ormOptions(entities, url, pool));
}

/** A pool of plain connections for reads that must be cheap (prepared statements by name). */
export function createPool(url: string, size: number): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: size, idleTimeoutMillis: 60_000, connectionTimeoutMillis: 10_000 });
  surviveLoss(pool);
  return pool;
}

/** MikroORM takes the URL apart and drops the folder of a Unix socket; this brings it back. */
function socketOptions(url: string): Record<string, unknown> {
  const host = new URL(url).searchParams.get('host');
  return host ? { host } : {};
}

/** Without listeners a connection that breaks, idle or in use, would end the process; its next use says so anyway. */
function surviveLoss(pool: pg.Pool): void {
  pool.on('error', () => undefined);
  pool.on('connect', (client) => void client.on('error', () => undefined));
}

/**
 * Gives a connection that breaks while it is in use back to the pool: Kysely never does so where `begin` or
 * `rollback` fails, and after a few of them every write would wait for ever.
 */
function giveBackBroken(pool: pg.Pool): void {
  const connect = pool.connect.bind(pool) as (callback?: unknown) => Promise<pg.PoolClient>;
  pool.connect = (async (callback?: unknown) => {
    /* The pool's own `query` gives a callback, and releases whatever happens. */
    if (callback !== undefined) return connect(callback);
    const client = await connect();
    const release = client.release.bind(client);
    let held = true;
    const giveBack = (error?: Error | boolean): void => {
      if (!held) return;
      held = false;
      client.off('end', gone);
      release(error);
    };
    const gone = (): void => giveBack(true);
    client.release = giveBack;
    client.once('end', gone);
    return client;
  }) as typeof pool.connect;
}
