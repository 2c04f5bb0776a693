import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { sql } from 'kysely';
import { notifySql } from '../db/notify.ts';
import { prepared } from '../db/prepared.ts';
import type { Tx } from '../db/transaction.ts';
import type { SecretBox } from '../kernel/secret.ts';
import { takeMoved } from '../modules/layers/moved.ts';
import { refuseUnknownClasses } from './class-lists.load.ts';
import { headOf } from './classes.ts';
import { buildDocument, type DocumentBody } from './document.ts';
import { hasSecrets, loadNodes } from './node.load.ts';

/** Nodes whose documents are built and stored in one go. */
const BATCH = 200;

/**
 * Rebuilds the documents of nodes inside the transaction that changed them. The document rows are locked
 * first, in order, and the nodes are read after that, so that of two transactions which touch the same
 * node the later one sees what the earlier one committed. A document that comes out the same stays; another one is
 * kept as a new version, and the older ones stay too. At the commit all processes are told which changed (see
 * src/events/hub.ts).
 * @param ids of nodes, ascending
 * @throws Problem layer-conflict for a node that is put where it gets a class which its environment does not know
 */
export async function rebuild(tx: Tx, ids: readonly number[]): Promise<void> {
  const written: number[] = [];
  for (let i = 0; i < ids.length; i += BATCH) {
    const batch = ids.slice(i, i + BATCH);
    const { rows: locked } = await sql<{
      node_id: string;
      hash: string;
    }>`${prepared}select node_id, hash from document where node_id = any(${batch}::bigint[]) order by node_id for update`.execute(tx.db);
    const before = new Map(locked.map((row) => [Number(row.node_id), row.hash]));
    const aggregates = await loadNodes(tx.db, [...before.keys()], tx.store.secrets, tx.store.catalog);
    const moved = takeMoved(tx, batch);
    if (moved.size > 0) await refuseUnknownClasses(tx, aggregates, moved);
    const changed = aggregates
      .map((aggregate) => ({ id: aggregate.node.id, document: buildDocument(aggregate), secret: hasSecrets(aggregate) }))
      .filter(({ id, document }) => before.get(id) !== document.hash);
    for (const { id, document, secret } of changed) {
      const body = storedBody(tx.store.secrets, id, document.json, secret);
      await sql`${prepared}with v as (insert into document_version (node_id, number, hash, change_id, body)
          select d.node_id, d.number + 1, ${document.hash}, this_change(), ${body}::json from document d where d.node_id = ${id} returning node_id, number)
        update document d set number = v.number, hash = ${document.hash}, head = ${JSON.stringify(headOf(document.body))}::json, built_at = now(), wave = ${changed.length}
        from v where d.node_id = v.node_id returning ${notifySql({ kind: 'document', nodes: [id] })}`.execute(tx.db);
      written.push(id);
    }
  }
  if (ids.length > BATCH) await sql`update document set wave = ${written.length} where node_id = any(${written}::bigint[])`.execute(tx.db);
}

/** Bodies of more characters than this are kept packed: one of 345 kB is stored in 1.5 ms as 26 kB, and by PostgreSQL's own compression in 7 ms as 69. */
const PACK_FROM = 8192;

/**
 * A body as it is kept: plain JSON, `{"zstd": <base64>}` where it is long, or `{"sealed": ...}`, packed before, as a
 * whole and bound to its node where it holds secrets. Of a host with 50 virtual machines 345 kB become 34 kB.
 */
function storedBody(secrets: SecretBox, node: number, json: string, secret: boolean): string {
  if (!secret && json.length < PACK_FROM) return json;
  const packed = zstdCompressSync(json).toString('base64');
  return JSON.stringify(secret ? { sealed: secrets.seal(packed, `document:${node}`) } : { zstd: packed });
}

/** The body of a document as it is kept in the database. @throws Error when it was sealed with another key */
export function openBody(secrets: SecretBox, node: number, stored: DocumentBody): DocumentBody {
  const { sealed, zstd } = stored;
  if (typeof zstd === 'string') return unpack(zstd);
  if (typeof sealed !== 'string') return stored;
  const text = secrets.open(sealed, `document:${node}`);
  /* Those of older versions are not packed. */
  return text.startsWith('{') ? (JSON.parse(text) as DocumentBody) : unpack(text);
}

function unpack(packed: string): DocumentBody {
  return JSON.parse(zstdDecompressSync(Buffer.from(packed, 'base64')).toString()) as DocumentBody;
}

/** Rebuilds every document: after an upgrade, whose documents may be written differently. */
export async function rebuildAll(tx: Tx): Promise<void> {
  const { rows } = await sql<{ node_id: string }>`select node_id from document order by node_id`.execute(tx.db);
  await rebuild(
    tx,
    rows.map((row) => Number(row.node_id)),
  );
}
