/** What the tests of plans share. */
import { createHash } from 'node:crypto';
import pg from 'pg';
import { afterAll } from 'vitest';
import type { Plan } from '../../src/db/plan.ts';
import type { TestCorral } from '../support/corral.ts';
import { call, type Answer } from '../modules/fleet.ts';

export interface Dry {
  readonly plan: Plan;
  readonly status: number;
  readonly answer: Record<string, unknown> | null;
}

export const withDryRun = (path: string): string => `${path}${path.includes('?') ? '&' : '?'}dry_run=true`;

export async function dryRun(
  corral: Pick<TestCorral, 'request'>,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Dry> {
  const { status, body: answer } = await call(corral, method, withDryRun(path), body, headers);
  if (status !== 200) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(answer)}`);
  return answer as unknown as Dry;
}

export const apply = (corral: Pick<TestCorral, 'request'>, method: string, path: string, body: unknown, digest: string): Promise<Answer> =>
  call(corral, method, path, body, { 'if-plan': digest });

/** Ids that are shown to nobody: changes are told by their number, links by themselves. */
const UNSEEN = new Set(['change_id_seq', 'change_row_id_seq', 'login_link_id_seq']);

/** A digest of every row of every table, and where every sequence is that anybody sees. */
export async function everything(corral: Pick<TestCorral, 'pool'>): Promise<Record<string, string>> {
  const { rows: tables } = await corral.pool.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1`,
  );
  const out: Record<string, string> = {};
  for (const { name } of tables) {
    const { rows } = await corral.pool.query<{ text: string }>(
      /* That a token was used is noted by itself. */ `select (to_jsonb(t) - '{last_used_at,last_used_from}'::text[])::text as text from "${name}" t order by 1`,
    );
    out[name] = `${rows.length} ${createHash('sha256').update(JSON.stringify(rows)).digest('hex')}`;
  }
  const { rows: sequences } = await corral.pool.query<{ name: string; last: string | null }>(
    'select sequencename as name, last_value as last from pg_sequences order by 1',
  );
  for (const { name, last } of sequences) if (!UNSEEN.has(name)) out[`sequence ${name}`] = String(last);
  return out;
}

/** All that is sent on Corral's channel; `flush` waits until what was sent before is here. */
export async function listen(corral: Pick<TestCorral, 'databaseUrl'>): Promise<{ heard: string[]; flush: () => Promise<void> }> {
  const client = new pg.Client({ connectionString: corral.databaseUrl });
  await client.connect();
  const heard: string[] = [];
  const waiting = new Map<string, () => void>();
  client.on('notification', ({ channel, payload = '' }) => {
    if (channel === 'corral') heard.push(payload);
    else waiting.get(payload)?.();
  });
  await client.query('listen corral; listen plan_test');
  afterAll(() => client.end());
  let n = 0;
  return {
    heard,
    flush: async () => {
      const mark = String(n++);
      const done = new Promise<void>((resolve) => waiting.set(mark, resolve));
      await client.query(`select pg_notify('plan_test', $1)`, [mark]);
      await done;
    },
  };
}
