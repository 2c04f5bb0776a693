import { sql } from 'kysely';
import type { Catalog } from '../db/catalog.ts';
import type { Change, ChangeRow } from '../db/changes.ts';
import type { Db } from '../db/read.ts';

/** Stands in for src/changes/present.ts until it is there. */
export async function loadChanges(db: Db, catalog: Catalog, { after, limit }: { after: number; limit: number }): Promise<Change[]> {
  void catalog;
  const { rows } = await sql<{
    number: string;
    at: Date;
    actor: string;
    request_id: string | null;
    message: string | null;
    reverts: string | null;
    rows: ChangeRow[];
  }>`
    select c.number, c.at, c.actor, c.request_id, c.message, c.reverts, (select coalesce(json_agg(json_build_object('noun', r.noun, 'id', r.row_id, 'key', r.row_id::text,
      'op', case r.op when 'insert' then 'create' else r.op end, 'before', r.before, 'after', r.after) order by r.id), '[]') from change_row r where r.change_id = c.id) as rows
    from change c where c.number > ${after} order by c.number limit ${limit}`.execute(db);
  return rows.map((row) => ({
    ...row,
    number: Number(row.number),
    at: new Date(row.at).toISOString(),
    reverts: row.reverts === null ? null : Number(row.reverts),
    documents: [],
  }));
}
