// (b) building all documents from nothing against the time PostgreSQL takes to hand over the same rows.
import { sql } from 'kysely';
import type { Corral } from '../src/corral.ts';
import { buildDocument } from '../src/documents/document.ts';
import { aggregateSql, loadNodes } from '../src/documents/node.load.ts';
import { rebuildAll } from '../src/documents/rebuild.load.ts';
import { transaction } from '../src/db/transaction.ts';
import { median, type Line } from './support.ts';

const ROUNDS = 3;
const BATCH = 200;

export async function building(corral: Corral): Promise<Line[]> {
  const ids = (await corral.pool.query<{ id: string }>('select id from node order by id')).rows.map((row) => Number(row.id));
  const batches = Array.from({ length: Math.ceil(ids.length / BATCH) }, (_, i) => ids.slice(i * BATCH, (i + 1) * BATCH));
  const text = aggregateSql(sql`select unnest(${sql.raw('$1')}::bigint[])`)
    .compile(corral.db())
    .sql.replace(') as aggregate from node n', ')::text as aggregate from node n');
  const handOver = async (): Promise<number> => {
    const begun = performance.now();
    for (const batch of batches) await corral.pool.query({ name: 'bench', text, values: [batch] });
    return performance.now() - begun;
  };
  let bytes = 0;
  const build = async (): Promise<number> => {
    const begun = performance.now();
    bytes = 0;
    for (const batch of batches)
      for (const aggregate of await loadNodes(corral.db(), batch, corral.store.secrets, corral.catalog))
        bytes += JSON.stringify(buildDocument(aggregate).body).length;
    return performance.now() - begun;
  };
  const store = async (): Promise<number> => {
    await corral.pool.query(`update document set hash = ''`);
    const begun = performance.now();
    await transaction(corral.store, rebuildAll, { shared: true });
    return performance.now() - begun;
  };
  await handOver();
  await build();
  const rows: number[] = [];
  const built: number[] = [];
  const stored: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    rows.push(await handOver());
    built.push(await build());
    stored.push(await store());
  }
  const ratio = median(built.map((value, i) => value / rows[i]!));
  return [
    {
      part: 'b',
      what: `all documents of ${ids.length} nodes (${Math.round(bytes / 1e6)} MB)`,
      value: median(built),
      unit: 'ms',
      against: median(rows),
      ratio,
      target: '<= 3 of the rows as JSON',
      met: ratio <= 3,
    },
    { part: 'b', what: 'the same, stored and committed', value: median(stored), unit: 'ms', against: median(rows), ratio: median(stored) / median(rows) },
  ];
}
