import { createHash } from 'node:crypto';
import type { Context } from 'hono';
import { sql } from 'kysely';
import type pg from 'pg';
import type { Origin, Store, Tx } from '../db/transaction.ts';
import { Problem } from '../kernel/problem.ts';
import { answer, formatOf, type Env } from './answer.ts';

/** How long an answer is kept. */
const KEPT = '1 day';
/** Milliseconds between two clearings. */
const CLEARING = 3_600_000;

/** An answer that can be given again. */
export interface Kept {
  readonly status: 200 | 201;
  readonly data: unknown;
  readonly location?: string;
  readonly version?: number | undefined;
  /** It shows what is never shown again: a new token. */
  readonly secret?: boolean;
}

/** Thrown inside the transaction of a request that was carried out before. */
class Replay extends Error {
  readonly kept: Kept;
  /** The change that it made. */
  readonly change: number | undefined;
  constructor(kept: Kept, change: number | undefined) {
    super('this request was carried out before');
    this.kept = kept;
    this.change = change;
  }
}

/**
 * Carries out a POST once for its `Idempotency-Key`: the key is stored in the transaction that does the work, and
 * with it the answer, so that either both are there or neither. A second request with the key waits for the first
 * one's commit and gets its answer; after a refusal or a rollback there is no key. Without the header nothing is kept.
 * @param body as it was sent: the same key with another body is refused
 * @param keep the answer, made of what the transaction returns
 * @param replay makes the answer again where more than what was kept goes into it; it is given the number of the change
 * @throws Problem bad-request, idempotency-mismatch
 */
export async function idempotent(
  context: Context<Env>,
  body: Uint8Array,
  origin: Origin,
  keep: (value: unknown) => Kept,
  work: (origin: Origin) => Promise<Response>,
  replay?: (kept: Kept, change: number | undefined) => Promise<Response>,
): Promise<Response> {
  const key = context.req.header('idempotency-key');
  if (key !== undefined && !/^[\x21-\x7e]{1,255}$/.test(key))
    throw new Problem('bad-request', 'Idempotency-Key must be 1 to 255 visible ASCII characters, such as a UUID');
  /* A dry run changes nothing, however often it is sent. */
  if (key === undefined || origin.plan === 'only') return work(origin);
  const url = new URL(context.req.url);
  const fingerprint = createHash('sha256').update(`${context.req.method} ${url.pathname}${url.search}\n`).update(body).digest('base64url');
  /* A person and a token may have the same name. */
  const identity = context.get('identity')!.subject;
  try {
    return await work({
      ...origin,
      first: async (tx) => {
        await origin.first?.(tx);
        await begin(tx, identity, key, fingerprint);
      },
      last: async (tx, value) => {
        await origin.last?.(tx, value);
        await store(tx, identity, key, keep(value));
      },
    });
  } catch (error) {
    if (!(error instanceof Replay)) throw error;
    if (!replay) return again(context, error);
    for (const [name, value] of Object.entries(replayHeaders(context, error))) context.header(name, value);
    return replay(error.kept, error.change);
  }
}

const contextOf = (identity: string, key: string): string => `idempotency:${identity}:${key}`;

/** Takes the key, or ends with what it was taken for. An insert of the same key waits for who is about to commit it. */
async function begin(tx: Tx, identity: string, key: string, fingerprint: string): Promise<void> {
  await sql`delete from idempotency_key where identity = ${identity} and key = ${key} and made_at < now() - ${sql.lit(KEPT)}::interval`.execute(tx.db);
  const { numAffectedRows } = await sql`insert into idempotency_key (identity, key, fingerprint) values (${identity}, ${key}, ${fingerprint})
    on conflict do nothing`.execute(tx.db);
  if (numAffectedRows === 1n) return;
  const { rows } = await sql<{ fingerprint: string; answer: string; change: string | null }>`select k.fingerprint, k.answer, c.number as change
    from idempotency_key k left join change c on c.id = k.change_id where k.identity = ${identity} and k.key = ${key}`.execute(tx.db);
  const known = rows[0];
  /* Cleared between the two statements. */
  if (!known) return begin(tx, identity, key, fingerprint);
  if (known.fingerprint !== fingerprint)
    throw new Problem('idempotency-mismatch', 'This Idempotency-Key was sent with another request before; a new request needs a new key');
  throw new Replay(opened(tx.store, identity, key, known.answer), known.change === null ? undefined : Number(known.change));
}

function opened({ secrets }: Store, identity: string, key: string, text: string): Kept {
  const stored = JSON.parse(text) as Kept | { sealed: string };
  return 'sealed' in stored ? (JSON.parse(secrets.open(stored.sealed, contextOf(identity, key))) as Kept) : stored;
}

async function store(tx: Tx, identity: string, key: string, kept: Kept): Promise<void> {
  const text = JSON.stringify(kept);
  const stored = kept.secret ? JSON.stringify({ sealed: tx.store.secrets.seal(text, contextOf(identity, key)) }) : text;
  await sql`update idempotency_key set answer = ${stored}, change_id = nullif(current_setting('corral.change', true), '')::bigint
    where identity = ${identity} and key = ${key}`.execute(tx.db);
}

function replayHeaders(context: Context<Env>, { change }: Replay): Record<string, string> {
  const told = change !== undefined && context.get('identity')!.rights.mayEverywhere('change:read');
  return { 'Idempotency-Replayed': 'true', ...(told ? { 'Corral-Change': String(change) } : {}) };
}

function again(context: Context<Env>, replay: Replay): Response {
  const { status, data, location, version } = replay.kept;
  const format = formatOf(context);
  const headers = replayHeaders(context, replay);
  if (format === 'html' && location !== undefined) {
    for (const [name, value] of Object.entries(headers)) context.header(name, value);
    return context.redirect(location, 303);
  }
  return answer(context, format === 'html' ? 'json' : format, data, () => '', {
    status,
    version,
    headers: { ...headers, ...(location === undefined ? {} : { Location: location }) },
  });
}

/** Forgets the answers that are older than a day, now and every hour. @returns what ends it */
export function clearIdempotency(pool: pg.Pool, warn: (message: string, error: unknown) => void): () => void {
  const clear = (): void => {
    pool
      .query(`delete from idempotency_key where made_at < now() - interval '${KEPT}'`)
      .catch((error: unknown) => warn('old answers cannot be forgotten; it is tried again in an hour', error));
  };
  clear();
  const timer = setInterval(clear, CLEARING);
  timer.unref();
  return () => clearInterval(timer);
}
