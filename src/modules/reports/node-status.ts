import { defineEntity, p } from '@mikro-orm/core';
import { oneOf } from '../../db/base.ts';
import { Node } from '../place/node.ts';
import { outcomes } from './status.ts';

/**
 * What a node last said of itself, one narrow row each, made with its node. Reports and heartbeats write
 * it, and nothing else; no column but the key is indexed, so that a heartbeat is an update in place (HOT).
 */
export const NodeStatus = defineEntity({
  name: 'node_status',
  tableName: 'node_status',
  properties: {
    node: () => p.oneToOne(Node).owner().primary().deleteRule('cascade'),
    /** Of the newest run: what it came to, when it began, who ran it, and its first error. */
    outcome: p.text().nullable(),
    run_at: p.datetime(3).nullable(),
    tool: p.text().nullable(),
    message: p.text().nullable(),
    /** When the newest report came, and from when on that is too long ago. */
    reported_at: p.datetime(3).nullable(),
    stale_at: p.datetime(3).nullable(),
    /** The document version that the newest run was given, and when that run began. */
    served: p.text().nullable(),
    served_at: p.datetime(3).nullable(),
    /** The version that the host applied last, as its report or heartbeat says, and since when. */
    applied: p.text().nullable(),
    applied_at: p.datetime(3).nullable(),
    /** The version that a report last confirmed as applied: a change under the same version is drift. */
    confirmed: p.text().nullable(),
    /** Things that wait for a restart. */
    restarts: p.integer().default(0),
    heartbeat_at: p.datetime(3).nullable(),
    boot_id: p.text().nullable(),
    /** Seconds since the host started. */
    uptime: p.bigint('number').nullable(),
    load: p.array().columnType('double precision[]').nullable(),
    memory_total: p.bigint('number').nullable(),
    memory_free: p.bigint('number').nullable(),
    /** `{path: {total, free}}`, bytes, as text. */
    disks: p.text().columnType('json').nullable(),
    /** Since when a run is under way. */
    running_since: p.datetime(3).nullable(),
    /** Digest of the domain states that were last taken over: as long as a heartbeat has the same, there is nothing to do. */
    seen: p.text().default(''),
  },
  checks: [{ name: 'node_status_outcome', expression: oneOf('outcome', Object.keys(outcomes)) }],
});
