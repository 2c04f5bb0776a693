import { sql, type RawBuilder } from 'kysely';
import { prepared } from './prepared.ts';
import type { Db } from './read.ts';

/** The PostgreSQL channel on which the processes of one database wake each other. */
export const CHANNEL = 'corral';

/**
 * What to look at again. A message says no more than that: who hears it reads the state, so that nothing is
 * lost with a message, and messages may be sent twice or be merged.
 */
export interface Message {
  /** `document`: another document; `status`: another report, heartbeat or observation; `change`: a change was committed; `probe`: a process tries its own connection. */
  readonly kind: 'document' | 'status' | 'change' | 'probe';
  /** Ids of the nodes. */
  readonly nodes?: readonly number[];
  /** Id of the node, where it is one. */
  readonly node?: number;
  /** Number of the change. */
  readonly change?: number;
  /** Of a probe: whose it is. */
  readonly from?: string;
}

/** SQL that sends a message when the transaction commits. PostgreSQL takes payloads of less than 8000 bytes. */
export function notifySql(message: Message): RawBuilder<unknown> {
  return sql`pg_notify(${sql.lit(CHANNEL)}, ${JSON.stringify(message)})`;
}

/** Says that something other than the document of a node changed: who waits for the node looks again. */
export async function notifyStatus(db: Db, node: number): Promise<void> {
  await sql`${prepared}select ${notifySql({ kind: 'status', node })}`.execute(db);
}
