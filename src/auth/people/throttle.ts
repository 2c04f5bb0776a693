import { createHash } from 'node:crypto';
import ipaddr from 'ipaddr.js';
import type pg from 'pg';
import { Problem } from '../../kernel/problem.ts';

/**
 * Attempts are counted in PostgreSQL, for all processes: for the name at one address, for the name, and for the
 * address. Past some free ones each must wait twice as long as the one before. An attempt counts as failed before
 * it is looked at, so that a hundred at once are no way around; a success takes that back. One that came too early
 * is not looked at and does not count.
 *
 * Whoever fails at a name from elsewhere delays its owner by at most the name's longest wait, and not at all at
 * addresses where the owner has logged in before.
 */
const DELAY = `case split_part(t.key, ':', 1) when 'address' then least(900, power(2, least(t.failures + 1 - 30, 20)))
  when 'name' then least(30, power(2, least(t.failures + 1 - 10, 20))) when 'factor' then least(300, power(2, least(t.failures + 1 - 5, 20)))
  else least(900, power(2, least(t.failures + 1 - 5, 20))) end`;
const FREE = `case split_part(t.key, ':', 1) when 'address' then 30 when 'name' then 10 else 5 end`;
/** Failures are forgotten after so long without another. */
const FORGET = `interval '1 hour'`;
/** Addresses of successful logins are remembered for so many days. */
export const KNOWN_DAYS = 90;

/* By the clock, not by when the transaction began: it may have waited for another attempt since. */
const ADMIT = `insert into login_throttle as t (key, failures, until) select key, 1, 'epoch' from unnest($1::text[]) with ordinality as k (key, n) order by n
  on conflict (key) do update set failures = case when t.at < now() - ${FORGET} then 1 else t.failures + 1 end, at = now(),
    until = case when t.at < now() - ${FORGET} or t.failures + 1 < ${FREE} then t.until else clock_timestamp() + make_interval(secs => ${DELAY}) end
  where t.until <= clock_timestamp() returning key`;

const digest = (text: string): string => createHash('sha256').update(text).digest('base64url');

/** Of IPv6 the network: who has one address there has all. */
export function addressKey(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  const bytes = parsed.toByteArray();
  return new ipaddr.IPv6([...bytes.slice(0, 8), 0, 0, 0, 0, 0, 0, 0, 0]).toString();
}

export interface Attempt {
  /**
   * It was right: what was counted for it is taken back.
   * @param remember the person is now logged in, with all factors: failures from elsewhere no longer delay this address
   */
  succeeded(remember: boolean): Promise<void>;
}

/**
 * Admits one attempt.
 * @param kind `name`: a password; `factor`: a code of the second factor
 * @throws Problem too-many-attempts with the seconds to wait
 */
export async function attempt(pool: pg.Pool, kind: 'name' | 'factor', name: string, address: string): Promise<Attempt> {
  const at = addressKey(address);
  const who = digest(`${kind}:${name}`);
  const pair = `${kind}-pair:${digest(`${kind}:${name} ${at}`)}`;
  const known = `known:${digest(`${name} ${at}`)}`;
  /* Always in this order, so that two attempts never wait for one another. */
  const keys = [`address:${at}`, `${kind}:${who}`, pair];
  const client = await pool.connect();
  let wait: number | undefined;
  try {
    await client.query('begin');
    const seen = await client.query(`select from login_throttle where key = $1 and at > now() - interval '${KNOWN_DAYS} days'`, [known]);
    const counted = seen.rowCount === 0 ? keys : keys.filter((key) => key !== `${kind}:${who}`);
    const { rowCount } = await client.query(ADMIT, [counted]);
    if (rowCount === counted.length) await client.query('commit');
    else {
      await client.query('rollback');
      const { rows } = await client.query<{ wait: number }>(
        'select ceil(extract(epoch from max(until) - now()))::int as wait from login_throttle where key = any($1)',
        [counted],
      );
      wait = Math.max(1, rows[0]?.wait ?? 1);
    }
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
  if (wait !== undefined)
    throw new Problem('too-many-attempts', `Too many attempts; try again in ${wait} ${wait === 1 ? 'second' : 'seconds'}`, { extra: { retry_after: wait } });
  return {
    succeeded: async (remember) => {
      /* One by one: a statement for both might lock them in the other order. */
      for (const key of keys.slice(1)) await pool.query('delete from login_throttle where key = $1', [key]);
      /* Only its own: who has one account must not clear the count for trying others. */
      await pool.query(`update login_throttle set failures = greatest(failures - 1, 0), until = 'epoch' where key = $1`, [keys[0]]);
      if (remember) await pool.query('insert into login_throttle (key) values ($1) on conflict (key) do update set at = now()', [known]);
    },
  };
}
