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
    driverOptions: { ...socketOptions(url), onPoolCreated: (created: pg.Pool) => void created.on('connect', prepareMarked) },
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
  /* A broken idle connection is replaced at the next use; without a listener it would end the process. */
  pool.on('error', () => undefined);
  return pool;
}

/** MikroORM takes the URL apart and drops the folder of a Unix socket; this brings it back. */
function socketOptions(url: string): Record<string, unknown> {
  const host = new URL(url).searchParams.get('host');
  return host ? { host } : {};
}
