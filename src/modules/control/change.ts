import { defineEntity, p } from '@mikro-orm/core';
import { oneOf } from '../../db/base.ts';

/**
 * A transaction that altered desired state. Triggers write it and its rows, whoever wrote: see migrations/0004-changes.sql.
 */
export const Change = defineEntity({
  name: 'change',
  tableName: 'change',
  properties: {
    id: p.bigint('number').primary().generated('by default as identity'),
    /** Given at the commit: without gaps, in the order of commits. */
    number: p.bigint('number').nullable().unique(),
    at: p.datetime(6).defaultRaw('clock_timestamp()').index(),
    actor: p.text(),
    request_id: p.text().nullable(),
    message: p.text().nullable(),
    /** Number of the change that it undid. */
    reverts: p.bigint('number').nullable(),
  },
});

/** A row before and after, by columns; of an update only those that changed. */
export const ChangedRow = defineEntity({
  name: 'change_row',
  tableName: 'change_row',
  properties: {
    id: p.bigint('number').primary().generated('by default as identity'),
    change: () => p.manyToOne(Change).index().deleteRule('cascade'),
    /** The table. */
    noun: p.text(),
    row_id: p.bigint('number').nullable(),
    op: p.text(),
    before: p.json<Record<string, unknown>>().nullable(),
    after: p.json<Record<string, unknown>>().nullable(),
  },
  indexes: [{ properties: ['noun', 'row_id'] }],
  checks: [{ name: 'change_row_op', expression: oneOf('op', ['insert', 'update', 'delete']) }],
});
