import { defineEntity, p } from '@mikro-orm/core';
import { sql } from 'kysely';
import { z } from 'zod';
import { base } from '../../db/base.ts';
import { f, type Resource } from '../../kernel/resource.ts';

export const Webhook = defineEntity({
  name: 'webhook',
  tableName: 'webhook',
  properties: {
    ...base,
    name: p.text().unique(),
    url: p.text(),
    kinds: p.array().default([]),
    /** Sealed: see webhookContext. */
    secret: p.text().hidden(),
    enabled: p.boolean().default(true),
    description: p.text().nullable(),
    failing_since: p.datetime(3).nullable(),
    disabled_reason: p.text().nullable(),
    /** The last change that reached the receiver. */
    delivered: p.bigint('number').nullable(),
    /** The last change that was looked at for it. */
    position: p.bigint('number').default(0),
  },
  checks: [{ name: 'webhook_url', expression: `url ~ '^https?://'` }],
});

/** What a webhook's secret is sealed with, so that it cannot be moved to another. */
export const webhookContext = (name: string): string => `webhook:${name}`;

export const webhook: Resource = {
  noun: 'webhook',
  plural: 'webhooks',
  title: 'Webhook',
  summary: 'A URL that each committed change is sent to, signed as Standard Webhooks has it.',
  area: 'Control',
  entity: Webhook,
  key: ['name'],
  fields: {
    name: f.name('The webhook'),
    url: z
      .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
      .max(500)
      .refine((text) => !URL.canParse(text) || (new URL(text).username === '' && new URL(text).hash === ''), 'must have no user, password or fragment')
      .describe('Where changes are sent. Never to private or local addresses, unless CORRAL_WEBHOOK_ALLOW names them; redirects are not followed.'),
    kinds: z.array(z.string().max(100)).max(100).describe('Nouns: only changes with at least one of them are sent. Empty: all.'),
    secret: z
      .string()
      .max(200)
      .refine(
        (text) =>
          /^whsec_[A-Za-z0-9+/]+={0,2}$/.test(text) && [24, 64].every((n, i) => (Buffer.from(text.slice(6), 'base64').length - n) * (i === 0 ? 1 : -1) >= 0),
        'must be whsec_ and 24 to 64 bytes in base64',
      )
      .describe('What deliveries are signed with, whsec_ and base64; made, and shown once, when left out. It can be written and is never shown.')
      .meta({ writeOnly: true, secret: true }),
    enabled: z.boolean().describe('Whether changes are sent. Enabled again, it goes on where it stopped.'),
    description: f.text('Anything worth knowing about it.').nullable(),
  },
  computed: {
    failing_since: { schema: z.string().nullable().describe('Since when no delivery succeeded; null: the last one did.') },
    disabled_reason: { schema: z.string().nullable().describe('Why Corral disabled it; null: it did not.') },
    delivered: { schema: z.int().nullable().describe('Number of the newest change that was delivered.') },
    waiting: {
      schema: z.int().describe('Deliveries that wait for their turn or for another attempt.'),
      sql: (t) => sql`(select count(*) from webhook_delivery d where d.webhook_id = ${sql.id(t)}.id and d.status = 'pending')`,
      type: 'bigint',
    },
  },
  /* Part of what the secret is sealed with. */
  immutable: ['name'],
  columns: ['name', 'url', 'kinds', 'enabled', 'failing_since', 'delivered', 'waiting'],
  constraints: { webhook_url: { pointer: '/url', message: 'must be an http or https URL' } },
};
