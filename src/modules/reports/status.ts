import { sql, type RawBuilder } from 'kysely';
import { z } from 'zod';
import type { Computed } from '../../kernel/resource.ts';

/** What a run came to, the worst first: of several that are true the first is said. */
export const outcomes = {
  compile_failed: 'Puppet got no catalog, or fell back to an old one; Salt could not render its states or pillar',
  failed: 'Something failed, or a service did not restart',
  pending: 'It ran with --noop or test=True and would have changed something',
  drift_corrected: 'It changed something though the host had applied this very document before: somebody else had changed the host',
  changed: 'It changed something',
  converged: 'It found nothing to change on the document that it was served',
} as const;

export type Outcome = keyof typeof outcomes;

/** Every state of a node, in the order in which they are decided: the first that is true. */
export const nodeStatuses = {
  never_reported: 'No report has come yet; heartbeats alone do not count',
  stale: 'No report for CORRAL_STALE_AFTER seconds (2 hours); what the last one said no longer counts',
  compile_failed: outcomes.compile_failed,
  failed: outcomes.failed,
  pending: outcomes.pending,
  pending_restart: 'Nothing failed, and a virtual machine waits for its next start to take a change on',
  drift_corrected: outcomes.drift_corrected,
  changed: outcomes.changed,
  converged: outcomes.converged,
} as const;

export type NodeStatusName = keyof typeof nodeStatuses;

const names = <T extends string>(of: Readonly<Record<T, string>>): [T, ...T[]] => Object.keys(of) as [T, ...T[]];

/** SQL of the state of the node whose status row has this alias. */
export const statusSql = (s: string): RawBuilder<unknown> => {
  const c = (name: string): RawBuilder<unknown> => sql.id(s, name);
  return sql`case when ${c('reported_at')} is null then 'never_reported' when ${c('stale_at')} < now() then 'stale'
    when ${c('restarts')} > 0 and ${c('outcome')} in ('drift_corrected', 'changed', 'converged') then 'pending_restart' else ${c('outcome')} end`;
};

const ofStatus = (value: RawBuilder<unknown>, also: RawBuilder<unknown> = sql``) => {
  return (alias: string): RawBuilder<unknown> => sql`(select ${value} from node_status as s ${also} where s.node_id = ${sql.id(alias)}.id)`;
};

const time = z.string().nullable();

/** What a node shows of its status: computed, so that reports and heartbeats change neither its row nor its version. */
export const nodeStatusFields: Readonly<Record<string, Computed>> = {
  status: {
    schema: z.enum(names(nodeStatuses)).describe('What its last run came to; see /docs#node-states.'),
    sql: ofStatus(statusSql('s')),
    type: 'text',
  },
  up_to_date: {
    schema: z.boolean().describe('Whether it has applied its newest document.'),
    sql: ofStatus(sql`coalesce(s.applied = d.number || '-' || d.hash, false)`, sql`join document d on d.node_id = s.node_id`),
    type: 'boolean',
  },
  document: {
    schema: z
      .strictObject({ current: z.string(), built_at: z.string(), served: time, served_at: time, applied: time, applied_at: time })
      .describe(
        'Versions of its document: the newest and when it was built; the one that its last run was given and when that began; the one that it has applied and since when.',
      ),
    sql: ofStatus(
      sql`json_build_object('current', d.number || '-' || d.hash, 'built_at', d.built_at, 'served', s.served, 'served_at', s.served_at, 'applied', s.applied, 'applied_at', s.applied_at)`,
      sql`join document d on d.node_id = s.node_id`,
    ),
    type: 'json',
  },
  run: {
    schema: z
      .strictObject({ tool: time, outcome: time, began_at: time, message: time, restarts: z.int(), running_since: time })
      .describe('Its newest run: tool, outcome, first error, and how many things wait for a restart; running_since while one is under way.'),
    sql: ofStatus(
      sql`json_build_object('tool', s.tool, 'outcome', s.outcome, 'began_at', s.run_at, 'message', s.message, 'restarts', s.restarts, 'running_since', s.running_since)`,
    ),
    type: 'json',
  },
  heartbeat: {
    schema: z
      .strictObject({ at: time, boot_id: time, uptime: z.int().nullable(), load: z.array(z.number()).nullable(), memory: z.json(), disks: z.json() })
      .nullable()
      .describe('Its last heartbeat: uptime in seconds, load over 1, 5 and 15 minutes, memory and disks as {total, free} in bytes.'),
    sql: ofStatus(
      sql`case when s.heartbeat_at is not null then json_build_object('at', s.heartbeat_at, 'boot_id', s.boot_id, 'uptime', s.uptime, 'load', s.load,
        'memory', json_build_object('total', s.memory_total, 'free', s.memory_free), 'disks', coalesce(s.disks, '{}'::json)) end`,
    ),
    type: 'json',
  },
  unknown_domains: {
    schema: z.int().describe('Domains that it runs and Corral did not make: observations with kind=domain and managed=false.'),
    sql: (t) => sql`(select count(*) from observation o where o.node_id = ${sql.id(t)}.id and o.kind = 'domain' and o.managed = false)`,
    type: 'bigint',
  },
  reported_at: { schema: time.describe('When its newest report came.'), sql: ofStatus(sql`s.reported_at`), type: 'timestamptz' },
  heartbeat_at: { schema: time.describe('When its newest heartbeat came.'), sql: ofStatus(sql`s.heartbeat_at`), type: 'timestamptz' },
};
