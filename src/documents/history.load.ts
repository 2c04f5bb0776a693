import type pg from 'pg';
import type { Point } from '../db/changes.ts';
import { Problem } from '../kernel/problem.ts';
import type { SecretBox } from '../kernel/secret.ts';
import type { DocumentBody } from './document.ts';
import { openBody } from './rebuild.load.ts';

/** A document as it was. */
export interface PastDocument {
  readonly number: number;
  readonly version: string;
  readonly body: DocumentBody;
  readonly builtAt: Date;
  /** The change that gave it; null: older than changes are kept, or an upgrade gave it. */
  readonly change: number | null;
}

interface VersionRow {
  readonly number: number;
  readonly hash: string;
  readonly body: DocumentBody;
  readonly built_at: Date;
  readonly change: number | null;
  readonly following: number | null;
}

/* A version of no change goes by its time. */
const AT = `select v.number, v.hash, v.body, v.built_at, c.number::float8 as change,
    (select min(x.number) from document_version x where x.node_id = v.node_id and x.number > v.number) as following
  from document_version v left join change c on c.id = v.change_id
  where v.node_id = $1 and case when c.number is null then v.built_at <= $3::timestamptz + interval '999 microseconds' else c.number <= $2 end order by v.number desc limit 1`;
const BY_NUMBER = `select v.number, v.hash, v.body, v.built_at, c.number::float8 as change, null as following
  from document_version v left join change c on c.id = v.change_id where v.node_id = $1 and v.number = $2`;
/* Times are shown to the millisecond, and kept to the microsecond. */
const NEWEST = `select coalesce(max(number), 0)::float8 as number from change where at <= $1::timestamptz + interval '999 microseconds'`;
/** Whether the node was there: what last happened to it as a whole. */
const LAST = `select r.op from change_row r join change c on c.id = r.change_id
  where r.noun = 'node' and r.row_id = $1 and r.op <> 'update' and c.number <= $2 order by c.number desc, r.id desc limit 1`;

/** The documents of nodes as of changes and times that are past; also of nodes that are gone. */
export class DocumentHistory {
  readonly #pool: pg.Pool;
  readonly #secrets: SecretBox;

  constructor(pool: pg.Pool, secrets: SecretBox) {
    this.#pool = pool;
    this.#secrets = secrets;
  }

  /**
   * The document that was the newest after a change, or at a time.
   * @param node its id
   * @returns undefined: the node had none yet, or was deleted
   * @throws Problem not-found for a change that is not there, fallen-behind
   */
  async at(node: number, point: Point): Promise<PastDocument | undefined> {
    const { change, time } = await this.#resolve(point);
    const { rows } = await this.#pool.query<VersionRow>(AT, [node, change, time]);
    const row = rows[0];
    if (!row) {
      const { rows: first } = await this.#pool.query<{ number: number | null }>('select min(number) as number from document_version where node_id = $1', [
        node,
      ]);
      if ((first[0]!.number ?? 1) > 1) throw fallen();
      return undefined;
    }
    if (row.following !== null && row.following !== row.number + 1) throw fallen();
    const { rows: last } = await this.#pool.query<{ op: string }>(LAST, [node, change]);
    return last[0]?.op === 'delete' ? undefined : this.#past(node, row);
  }

  /** The version before this one. @throws Problem fallen-behind */
  async before(node: number, number: number): Promise<PastDocument | undefined> {
    if (number <= 1) return undefined;
    const { rows } = await this.#pool.query<VersionRow>(BY_NUMBER, [node, number - 1]);
    if (!rows[0]) throw fallen();
    return this.#past(node, rows[0]);
  }

  /** The documents that a change gave, each with the one before it. @param limit most of them */
  async ofChange(number: number, limit: number): Promise<{ node: number; fqdn: string; before: PastDocument | undefined; after: PastDocument }[]> {
    const { rows } = await this.#pool.query<VersionRow & { node_id: string }>(
      `select v.node_id, v.number, v.hash, v.body, v.built_at, c.number::float8 as change, null as following
        from document_version v join change c on c.id = v.change_id where c.number = $1 order by v.node_id limit $2`,
      [number, limit],
    );
    return Promise.all(
      rows.map(async (row) => {
        const node = Number(row.node_id);
        const after = this.#past(node, row);
        /* Of one whose predecessor is no longer kept all is new. */
        const before = await this.before(node, row.number).catch((error: unknown) => {
          if (error instanceof Problem) return undefined;
          throw error;
        });
        return { node, fqdn: String(after.body['node']), before, after };
      }),
    );
  }

  /** What is known of a node that is gone. */
  async gone(node: number): Promise<{ fqdn: string; manager: 'puppet' | 'salt' } | undefined> {
    const { rows } = await this.#pool.query<{ fqdn: string; manager: 'puppet' | 'salt' }>(
      `select before ->> 'fqdn' as fqdn, before ->> 'manager' as manager from change_row where noun = 'node' and row_id = $1 and op = 'delete' order by id desc limit 1`,
      [node],
    );
    return rows[0];
  }

  #past(node: number, { number, hash, body, built_at: builtAt, change }: VersionRow): PastDocument {
    return { number, version: `${number}-${hash}`, body: openBody(this.#secrets, node, body), builtAt, change };
  }

  async #resolve(point: Point): Promise<{ change: number; time: Date }> {
    if ('time' in point) {
      const { rows } = await this.#pool.query<{ number: number }>(NEWEST, [point.time]);
      return { change: rows[0]!.number, time: point.time };
    }
    const { rows } = await this.#pool.query<{ at: Date | null; oldest: number | null; newest: number | null }>(
      `select (select at from change where number = $1) as at, min(number)::float8 as oldest, max(number)::float8 as newest from change`,
      [point.change],
    );
    const { at, oldest, newest } = rows[0]!;
    if (at) return { change: point.change, time: at };
    if (oldest !== null && point.change < oldest && point.change > 0) throw fallen();
    throw new Problem('not-found', `There is no change ${point.change}${newest === null ? '' : `; the newest is ${newest}`}`);
  }
}

const fallen = (): Problem => new Problem('fallen-behind', 'What the document was then is no longer kept: see CORRAL_HISTORY_DAYS');
