import type pg from 'pg';

/** Key of the advisory lock of those that clear: one process at a time does. */
const CLEARING_LOCK = 4_101_958;
/** Changes, or versions of documents, that go in one transaction. */
const BATCH = 500;
/** Milliseconds from the start of a process to its first clearing: those that start together need not meet. */
const FIRST = 3 * 60_000;
const EVERY = 3_600_000;

/** What went, or would go. */
export interface Cleared {
  readonly changes: number;
  readonly versions: number;
}

/* A change is never dropped before an older one, and the newest goes on counting. */
const CHANGES = `from change where number is not null
  and number < coalesce((select min(number) from change where at >= clock_timestamp() - make_interval(days => $1)), (select max(number) from change))
  and number < (select max(number) from change)`;

/*
 * A version is dropped when the one after it was the newest already that long ago, so that the document as of any time
 * since is there; never the newest, nor what its host has. Times of changes never go back, so that a clock which did
 * makes nothing older than it is.
 */
const VERSIONS = `from document_version v
  join lateral (select x.change_id, x.built_at from document_version x where x.node_id = v.node_id and x.number > v.number order by x.number limit 1) n on true
  left join change c on c.id = n.change_id
  where coalesce(c.at, n.built_at) < clock_timestamp() - make_interval(days => $1)
  and not exists (select from node_status s where s.node_id = v.node_id and v.number || '-' || v.hash in (s.applied, s.served))`;

const CLEAR_CHANGES = `delete from change where id in (select id ${CHANGES} order by number limit ${BATCH})`;
const CLEAR_VERSIONS = `delete from document_version d using (select v.node_id, v.number ${VERSIONS} order by v.node_id, v.number limit ${BATCH}) x
  where d.node_id = x.node_id and d.number = x.number`;

/** What `clearHistory` would drop now. */
export async function countClearable(pool: pg.Pool, days: number): Promise<Cleared> {
  const { rows } = await pool.query<Cleared>(`select (select count(*)::int ${CHANGES}) as changes, (select count(*)::int ${VERSIONS}) as versions`, [days]);
  return rows[0]!;
}

/**
 * Drops changes and versions of documents that are older than so many days by the database's clock, in small
 * transactions. Another process that clears already is left to it.
 */
export async function clearHistory(pool: pg.Pool, days: number, signal?: AbortSignal): Promise<Cleared> {
  let [changes, versions] = [0, 0];
  for (;;) {
    const cleared = signal?.aborted ? undefined : await clearBatch(pool, days);
    if (!cleared) break;
    changes += cleared.changes;
    versions += cleared.versions;
    if (cleared.changes < BATCH && cleared.versions < BATCH) break;
  }
  return { changes, versions };
}

async function clearBatch(pool: pg.Pool, days: number): Promise<Cleared | undefined> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const { rows } = await client.query<{ mine: boolean }>('select pg_try_advisory_xact_lock($1) as mine', [CLEARING_LOCK]);
    if (!rows[0]!.mine) {
      await client.query('rollback');
      return undefined;
    }
    /* While changes still tell how old they are. */
    const versions = await client.query(CLEAR_VERSIONS, [days]);
    const changes = (versions.rowCount ?? 0) < BATCH ? await client.query(CLEAR_CHANGES, [days]) : { rowCount: 0 };
    await client.query('commit');
    return { changes: changes.rowCount ?? 0, versions: versions.rowCount ?? 0 };
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}

/**
 * Clears now and then for as long as a process serves.
 * @param days 0: nothing ever goes
 * @returns ends it, when what it has begun is done
 */
export function keepClearing(
  pool: pg.Pool,
  days: number,
  warn: (message: string, error?: unknown) => void,
  { first = FIRST, every = EVERY } = {},
): () => Promise<void> {
  const stopping = new AbortController();
  let running: Promise<unknown> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  const run = (): void => {
    running = clearHistory(pool, days, stopping.signal)
      .catch((error: unknown) => {
        if (!stopping.signal.aborted) warn('old history could not be cleared; it is tried again', error);
      })
      .finally(() => {
        if (!stopping.signal.aborted) timer = setTimeout(run, every).unref();
      });
  };
  if (days > 0) timer = setTimeout(run, first).unref();
  return async () => {
    stopping.abort();
    clearTimeout(timer);
    await running;
  };
}
