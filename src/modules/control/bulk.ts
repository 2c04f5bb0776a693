import { defineEntity, p } from '@mikro-orm/core';
import { base } from '../../db/base.ts';

/** A request that may be sent again, and what it was answered. Kept for a day: see src/http/idempotency.ts. */
export const IdempotencyKey = defineEntity({
  name: 'idempotency_key',
  tableName: 'idempotency_key',
  properties: {
    /** The name of the token. */
    identity: p.text().primary(),
    key: p.text().primary(),
    /** Hash of method, path and body. */
    fingerprint: p.text(),
    made_at: { ...base.created_at },
    /** The change that it was; without a foreign key: the change may be forgotten first. */
    change_id: p.bigint('number').nullable(),
    /** JSON, sealed where it holds what is shown once. */
    answer: p.text().nullable(),
  },
  indexes: [{ properties: ['made_at'] }],
});

/** A named set of rows: those that one fleet file is about. */
export const ApplySet = defineEntity({
  name: 'apply_set',
  tableName: 'apply_set',
  properties: {
    id: base.id,
    name: p.text().unique(),
    made_at: { ...base.created_at },
  },
});

/** A row of a set. One whose row is gone counts no more, and is forgotten when the set is applied again. */
export const ApplySetMember = defineEntity({
  name: 'apply_set_member',
  tableName: 'apply_set_member',
  properties: {
    apply_set: () => p.manyToOne(ApplySet).primary().deleteRule('cascade'),
    noun: p.text().primary(),
    row_id: p.bigint('number').primary(),
    /** Of a disk that was made with a virtual machine of the set: that one. */
    vm_id: p.bigint('number').nullable(),
  },
  indexes: [{ properties: ['noun', 'row_id'] }],
});
