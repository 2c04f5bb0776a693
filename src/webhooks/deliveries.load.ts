import { sql } from 'kysely';
import type { Catalog } from '../db/catalog.ts';
import type { Db } from '../db/read.ts';
import { nounOf } from '../events/feed.ts';
import type { Outcome } from './send.ts';

/** Changes that are dealt out to a webhook in one transaction. */
const DEALT = 500;
/** Attempts for which a delivery holds up those behind it. */
export const HOLD = 3;
/** Seconds after which another process takes over what one was sending; longer than any attempt. */
export const LEASE = 30;
/** Seconds that a webhook failed for, at least, before those that were put aside are tried at its next success. */
const LONG = 60;

/** A delivery that this process is to make. */
export interface Due {
  readonly id: number;
  readonly change: number;
  readonly event: string;
  /** Failed ones before this. */
  readonly attempts: number;
  readonly webhook: number;
  readonly name: string;
  readonly url: string;
  readonly secret: string;
}

/**
 * Makes the deliveries of one webhook that has not looked at all changes yet; inside a transaction.
 * @returns false when there is none, or others are at it
 */
export async function dealOut(db: Db, catalog: Catalog): Promise<boolean> {
  const { rows: hooks } = await sql<{ id: number; kinds: string[]; position: number }>`select id::float8 as id, kinds, position::float8 as position from webhook
    where enabled and position < (select max(number) from change) order by id limit 1 for update skip locked`.execute(db);
  const hook = hooks[0];
  if (!hook) return false;
  const { rows: changes } = await sql<{ number: number; nouns: string[] }>`select c.number::float8 as number,
    array(select distinct r.noun from change_row r where r.change_id = c.id) as nouns
    from change c where c.number > ${hook.position} order by c.number limit ${DEALT}`.execute(db);
  const first = changes[0];
  if (!first) return false;
  if (first.number > hook.position + 1) {
    const why = `changes ${hook.position + 1} to ${first.number - 1} are no longer kept; it goes on from ${first.number}`;
    await sql`insert into webhook_delivery (webhook_id, change, status, error, done_at) values (${hook.id}, ${hook.position + 1}, 'failed', ${why}, now())
      on conflict do nothing`.execute(db);
  }
  const noun = nounOf(catalog);
  const wanted = changes.filter(({ nouns }) => hook.kinds.length === 0 || nouns.some((one) => hook.kinds.includes(noun(one)))).map((change) => change.number);
  if (wanted.length > 0)
    await sql`insert into webhook_delivery (webhook_id, change, next_at) select ${hook.id}, n, now() from unnest(${wanted}::bigint[]) with ordinality as x (n, i)
      order by i on conflict do nothing`.execute(db);
  await sql`update webhook set position = ${changes.at(-1)!.number} where id = ${hook.id}`.execute(db);
  return true;
}

/**
 * Takes deliveries that are due: of each webhook the first that waits in line, and those that were put aside. While it
 * is sent nobody else takes it; a process that dies leaves it due when its time is over.
 */
export async function claim(db: Db, limit: number): Promise<Due[]> {
  const { rows } = await sql<Due>`update webhook_delivery d set next_at = now() + ${LEASE} * interval '1 second', first_at = coalesce(d.first_at, now())
    from (select x.id from webhook_delivery x where x.status = 'pending' and x.next_at <= now() and x.id in (
        select c.id from webhook w cross join lateral (
          (select id, next_at from webhook_delivery where webhook_id = w.id and status = 'pending' and not aside order by change limit 1)
          union all
          (select id, next_at from webhook_delivery where webhook_id = w.id and status = 'pending' and aside and next_at <= now() order by next_at limit 2)) c
        where w.enabled and c.next_at <= now() limit ${limit})
      for update skip locked) due, webhook w
    where d.id = due.id and w.id = d.webhook_id
    returning d.id::float8 as id, d.change::float8 as change, d.event, d.attempts, w.id::float8 as webhook, w.name, w.url, w.secret`.execute(db);
  return rows;
}

/** Milliseconds until the next delivery is due; null: none waits. */
export async function nextDue(db: Db): Promise<number | null> {
  const { rows } = await sql<{ ms: number | null }>`select extract(epoch from min(c.next_at) - clock_timestamp())::float8 * 1000 as ms
    from webhook w cross join lateral (
      (select next_at from webhook_delivery where webhook_id = w.id and status = 'pending' and not aside order by change limit 1)
      union all
      (select next_at from webhook_delivery where webhook_id = w.id and status = 'pending' and aside order by next_at limit 1)) c
    where w.enabled`.execute(db);
  return rows[0]!.ms;
}

/** Writes down that it was delivered. */
export async function succeed(db: Db, due: Due, { status, ms }: Outcome): Promise<void> {
  await sql`with done as (update webhook_delivery set status = 'delivered', attempts = attempts + 1, last_status = ${status}, error = null, ms = ${ms},
      next_at = null, done_at = now(), version = version + 1, updated_at = now() where id = ${due.id} and status = 'pending'),
    again as (update webhook_delivery d set next_at = now() from webhook w where w.id = ${due.webhook} and w.failing_since < now() - ${LONG} * interval '1 second'
      and d.webhook_id = w.id and d.status = 'pending' and d.aside and d.id <> ${due.id})
    update webhook set delivered = greatest(delivered, ${due.change}), failing_since = null where id = ${due.webhook}`.execute(db);
}

/**
 * Writes down that an attempt failed, and when the next one is, if there is one.
 * @param delay seconds
 * @param retryFor seconds after the first attempt at which it is given up
 * @returns since how many seconds the webhook fails
 */
export async function fail(db: Db, due: Due, { status, ms, error }: Outcome, delay: number, retryFor: number): Promise<number> {
  const { rows } = await sql<{ failing: number }>`with tried as (
      update webhook_delivery set attempts = attempts + 1, last_status = ${status}, error = ${error}, ms = ${ms}, aside = aside or attempts + 1 >= ${HOLD},
        status = case when x.over then 'failed' else 'pending' end, done_at = case when x.over then now() end,
        next_at = case when not x.over then now() + ${delay} * interval '1 second' end, version = version + 1, updated_at = now()
      from (select id as over_id, first_at + ${retryFor} * interval '1 second' <= now() + ${delay} * interval '1 second' as over from webhook_delivery where id = ${due.id}) x
      where id = x.over_id and status = 'pending')
    update webhook set failing_since = coalesce(failing_since, now()) where id = ${due.webhook}
    returning extract(epoch from now() - failing_since)::float8 as failing`.execute(db);
  return rows[0]?.failing ?? 0;
}

/** Gives a delivery up: there is nothing to send. */
export async function giveUp(db: Db, due: Due, error: string): Promise<void> {
  await sql`update webhook_delivery set status = 'failed', error = ${error}, next_at = null, done_at = now(), version = version + 1, updated_at = now()
    where id = ${due.id} and status = 'pending'`.execute(db);
}

/** Drops deliveries that were done long ago. */
export async function dropOld(db: Db, days: number): Promise<void> {
  await sql`delete from webhook_delivery where done_at < now() - ${days} * interval '1 day'`.execute(db);
}
