import { defineEntity, p } from '@mikro-orm/core';
import { z } from 'zod';
import { base, oneOf } from '../../db/base.ts';
import { ref, type Resource } from '../../kernel/resource.ts';
import { Webhook } from './webhook.ts';

export const deliveryStates = ['pending', 'delivered', 'failed'] as const;

export const WebhookDelivery = defineEntity({
  name: 'webhook_delivery',
  tableName: 'webhook_delivery',
  properties: {
    ...base,
    webhook: () => p.manyToOne(Webhook).deleteRule('cascade'),
    /** Number of the change; no foreign key: changes are dropped. */
    change: p.bigint('number'),
    event: p.uuid().defaultRaw('gen_random_uuid()'),
    status: p.text().default('pending'),
    attempts: p.integer().default(0),
    /** It holds up none behind it. */
    aside: p.boolean().default(false),
    first_at: p.datetime(3).nullable(),
    /** When it is tried; while it is being tried, when another process may. */
    next_at: p.datetime(3).nullable(),
    last_status: p.integer().nullable(),
    error: p.text().nullable(),
    ms: p.integer().nullable(),
    done_at: p.datetime(3).nullable(),
  },
  uniques: [{ properties: ['webhook', 'change'] }],
  indexes: [
    {
      name: 'webhook_delivery_line',
      expression: `create index webhook_delivery_line on webhook_delivery (webhook_id, change) where status = 'pending' and not aside`,
    },
    {
      name: 'webhook_delivery_aside',
      expression: `create index webhook_delivery_aside on webhook_delivery (webhook_id, next_at) where status = 'pending' and aside`,
    },
    { name: 'webhook_delivery_done', expression: 'create index webhook_delivery_done on webhook_delivery (done_at) where done_at is not null' },
  ],
  checks: [
    { name: 'webhook_delivery_status', expression: oneOf('status', deliveryStates) },
    { name: 'webhook_delivery_next', expression: `(status = 'pending') = (next_at is not null) and (status = 'pending') = (done_at is null)` },
  ],
});

export const webhookDelivery: Resource = {
  noun: 'webhook_delivery',
  plural: 'webhook_deliveries',
  title: 'Webhook delivery',
  summary: 'A change on its way to a webhook: the attempts, and what came of them. Kept for CORRAL_WEBHOOK_LOG_DAYS.',
  area: 'Control',
  entity: WebhookDelivery,
  key: ['webhook', 'change'],
  fields: {
    webhook: ref('webhook').describe('Where it is sent.'),
    change: z.int().describe('Number of the change.'),
    event: z.uuid().describe('The same in each attempt: the header webhook-id is msg_ and this. Receivers that know it drop it.'),
    status: z.enum(deliveryStates).describe('pending: it is tried at next_at; delivered: it was answered with 2xx; failed: it was given up.'),
    attempts: z.int().describe('How often it was tried.'),
    next_at: z.string().nullable().describe('When it is tried next.'),
    last_status: z.int().nullable().describe('HTTP status of the last answer; null: there was none.'),
    error: z.string().nullable().describe('Why the last attempt failed.'),
    ms: z.int().nullable().describe('Milliseconds that the last attempt took.'),
    done_at: z.string().nullable().describe('When it was delivered or given up.'),
  },
  readOnly: true,
  sort: '-id',
  columns: ['webhook', 'change', 'status', 'attempts', 'last_status', 'error', 'next_at', 'done_at'],
};
