import { sql } from 'kysely';
import type { RawRow } from '../db/changes.ts';
import type { Plan, PlannedDocument, PlannedHost } from '../db/plan.ts';
import { prepared } from '../db/prepared.ts';
import type { Tx } from '../db/transaction.ts';
import { openBody } from '../documents/rebuild.load.ts';
import type { DocumentBody } from '../documents/document.ts';
import { difference } from './diff.ts';
import { digestOf } from './digest.ts';
import { effectsOf } from './effects.ts';
import { presentRows } from './present.ts';
import { netOf, type NetRow } from './revert.net.ts';

/**
 * What the transaction has done so far: its rows before and after, the documents that came out other than before,
 * and what their hosts do about it. Called when the documents were rebuilt.
 */
export async function planOf(tx: Tx): Promise<Plan> {
  const { db, store } = tx;
  const { rows } = await sql<RawRow>`${prepared}select change_id::float8 as change_id, noun, row_id::float8 as row_id, op, before, after from change_row
    where change_id = nullif(current_setting('corral.change', true), '')::bigint order by id`.execute(db);
  const net = netOf(rows);
  const documents = await changedDocuments(tx);
  return {
    digest: digestOf(store.catalog, net, documents),
    rows: await presentRows(db, store.catalog, net.map(rawOf)),
    documents: documents.map(planned),
    hosts: documents.map(host),
  };
}

interface Changed {
  readonly node: string;
  readonly manager: 'puppet' | 'salt';
  readonly before: DocumentBody | null;
  readonly after: DocumentBody;
  readonly from: string | null;
  readonly to: string;
}

interface Versions {
  readonly id: number;
  readonly fqdn: string;
  readonly manager: 'puppet' | 'salt';
  readonly number: number;
  readonly hash: string;
  readonly body: DocumentBody;
  readonly number_before: number | null;
  readonly hash_before: string | null;
  readonly body_before: DocumentBody | null;
}

/** The documents that this transaction made, against what was there: a node's document may have been made twice. */
async function changedDocuments({ db, store }: Tx): Promise<Changed[]> {
  const { rows } = await sql<Versions>`${prepared}select v.node_id::float8 as id, n.fqdn, n.manager, v.number, v.hash, v.body,
      b.number as number_before, b.hash as hash_before, b.body as body_before
    from (select node_id, min(number) - 1 as before, max(number) as after from document_version
      where change_id = nullif(current_setting('corral.change', true), '')::bigint group by node_id) c
    join document_version v on v.node_id = c.node_id and v.number = c.after
    join node n on n.id = c.node_id
    left join document_version b on b.node_id = c.node_id and b.number = c.before
    order by n.fqdn`.execute(db);
  return rows
    .filter((row) => row.hash !== row.hash_before)
    .map((row) => ({
      node: row.fqdn,
      manager: row.manager,
      before: row.body_before === null ? null : openBody(store.secrets, row.id, row.body_before),
      after: openBody(store.secrets, row.id, row.body),
      from: row.number_before === null ? null : `${row.number_before}-${row.hash_before}`,
      to: `${row.number}-${row.hash}`,
    }));
}

function planned({ node, before, after, from, to }: Changed): PlannedDocument {
  const names = { before: from === null ? '/dev/null' : `${node} ${from}`, after: `${node} ${to}` };
  return { node, before: from, after: to, ...difference(before, after, names) };
}

const host = ({ node, manager, before, after }: Changed): PlannedHost => ({ node, manager, ...effectsOf(before, after) });

const OPS = { made: 'insert', altered: 'update', deleted: 'delete' } as const;

/** All statements on a row as one. */
function rawOf({ table, id, what, before, after }: NetRow): RawRow {
  return { change_id: 0, noun: table, row_id: id, op: OPS[what], before: what === 'made' ? null : before, after: what === 'deleted' ? null : after };
}
