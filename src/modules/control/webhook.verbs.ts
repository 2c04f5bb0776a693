import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import type { Catalog } from '../../db/catalog.ts';
import { invalid } from '../../db/check.ts';
import type { Db } from '../../db/read.ts';
import type { Hooks, Values } from '../../db/transaction.ts';
import { notifySql } from '../../db/notify.ts';
import { Problem } from '../../kernel/problem.ts';
import { webhookContext } from './webhook.ts';

const TOKENS: ReadonlySet<string> = new Set(['token', 'enrolment_token']);

/** The nouns whose changes are kept: those that can be written, but tokens. */
export function watchable(catalog: Catalog): string[] {
  return catalog.models.filter(({ resource }) => !resource.readOnly && !TOKENS.has(resource.noun)).map(({ resource }) => resource.noun);
}

/** A new secret, in the form of Standard Webhooks. */
export const newWebhookSecret = (): string => `whsec_${randomBytes(32).toString('base64')}`;

function checkKinds(catalog: Catalog, { kinds }: Values): void {
  const known = new Set(watchable(catalog));
  const strange = ((kinds ?? []) as string[]).findIndex((kind) => !known.has(kind));
  if (strange !== -1) throw invalid([{ pointer: `/kinds/${strange}`, message: `is no noun whose changes are kept; there are ${[...known].join(', ')}` }]);
}

export const webhookHooks: Hooks = {
  prepare: async (tx, input) => {
    checkKinds(tx.store.catalog, input);
    const made = input['secret'] === undefined ? newWebhookSecret() : undefined;
    /* Kept for `created`, which shows it once; not a property of the entity. */
    if (made !== undefined) input['made'] = made;
    const { made: _shown, ...values } = input;
    const secret = tx.store.secrets.seal(made ?? (input['secret'] as string), webhookContext(input['name'] as string));
    /* From now on: what was before is not sent. */
    const { rows } = await sql<{ n: number }>`select coalesce(max(number), 0)::float8 as n from change`.execute(tx.db);
    return { ...values, secret, position: rows[0]!.n };
  },
  /* Brought back, too: what was sent before is not sent again. */
  restored: async (tx, id) => {
    await sql`update webhook set position = (select coalesce(max(number), 0) from change) where id = ${id}`.execute(tx.db);
  },
  created: (_tx, _id, input) => (input['made'] === undefined ? undefined : { secret: input['made'] }),
  change: async (tx, id, patch) => {
    checkKinds(tx.store.catalog, patch);
    const out = { ...patch };
    if (patch['secret'] !== undefined) {
      const { rows } = await sql<{ name: string }>`select name from webhook where id = ${id}`.execute(tx.db);
      out['secret'] = tx.store.secrets.seal(patch['secret'] as string, webhookContext(rows[0]!.name));
    }
    if (patch['enabled'] === true) {
      Object.assign(out, { disabled_reason: null, failing_since: null });
      await sql`update webhook_delivery set next_at = now() where webhook_id = ${id} and status = 'pending'`.execute(tx.db);
    }
    return out;
  },
};

/**
 * Has a delivery made again, with the same event id, by the process that comes first. It holds up none behind it.
 * @throws Problem not-found, conflict
 */
export async function redeliver(db: Db, id: number): Promise<void> {
  const { rows } = await sql<{
    enabled: boolean;
  }>`update webhook_delivery d set status = 'pending', attempts = 0, aside = true, first_at = null, next_at = now(),
      done_at = null, version = d.version + 1, updated_at = now()
    from webhook w where d.id = ${id} and w.id = d.webhook_id and w.enabled returning w.enabled`.execute(db);
  if (rows.length > 0) return void (await sql`select ${notifySql({ kind: 'change' })}`.execute(db));
  const there = await sql`select from webhook_delivery where id = ${id}`.execute(db);
  if (there.rows.length === 0) throw new Problem('not-found', `There is no webhook delivery '${id}'`);
  throw new Problem('conflict', 'Its webhook is disabled; enable it first');
}
