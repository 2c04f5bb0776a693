/**
 * (l) What layers cost: building the documents of 1,000 nodes that ten layers reach each, against the same nodes without.
 * By itself: `node bench/layers.ts`.
 */
import { openCorral, type Corral } from '../src/corral.ts';
import { transaction } from '../src/db/transaction.ts';
import { insertRow } from '../src/db/write.ts';
import { buildDocument } from '../src/documents/document.ts';
import { loadNodes } from '../src/documents/node.load.ts';
import { loadConfig } from '../src/kernel/config.ts';
import { median, scratch, type Line } from './support.ts';

const NODES = 1000;
const ROUNDS = 5;
const BATCH = 200;

/** Builds every document, as a write does; without storing it. */
async function build(corral: Corral, ids: readonly number[]): Promise<number> {
  const begun = performance.now();
  for (let i = 0; i < ids.length; i += BATCH)
    for (const aggregate of await loadNodes(corral.db(), ids.slice(i, i + BATCH), corral.store.secrets, corral.catalog)) buildDocument(aggregate);
  return performance.now() - begun;
}

async function rounds(corral: Corral, ids: readonly number[]): Promise<number> {
  await build(corral, ids);
  const times: number[] = [];
  for (let i = 0; i < ROUNDS; i++) times.push(await build(corral, ids));
  return median(times);
}

const keys = (count: number, of: string): Record<string, unknown> => Object.fromEntries(Array.from({ length: count }, (_, i) => [`${of}_${i}`, `value ${i}`]));

/** Sites, groups by facts and selectors, environments, roles, weights and one of each node's own: ten reach every node. */
async function layers(corral: Corral, nodes: readonly string[]): Promise<void> {
  const { catalog } = corral;
  const common = { merge: { list: 'unique', tree: 'deep' } };
  const rows: Record<string, unknown>[] = [
    ...[0, 1, 2].map((i) => ({ name: `all-${i}`, scope: 'everything', weight: i, classes: { ntp: { servers: [i] } }, parameters: keys(3, 'p'), ...common })),
    ...[0, 1].map((i) => ({ name: `env-${i}`, scope: 'environment', environment: 'production', weight: i })),
    { name: 'role', scope: 'role', role: 'hypervisor', secrets: { password: 'x', token: { a: 1 } } },
    ...['s0', 's1', 's2', 's3'].map((site) => ({ name: `site-${site}`, scope: 'site', site })),
    { name: 'group-0', scope: 'group', node_group: 'hypervisors', weight: 0 },
    { name: 'group-1', scope: 'group', node_group: 'big', weight: 1 },
    ...nodes.map((node) => ({ name: `own-${node}`.slice(0, 63).replace(/[^a-z0-9]+$/, ''), scope: 'node', node })),
  ];
  await transaction(
    corral.store,
    async (tx) => {
      await insertRow(tx, catalog.byNoun('node_group'), { name: 'hypervisors', selector: 'role=hypervisor&state=running' });
      await insertRow(tx, catalog.byNoun('node_group'), { name: 'big', selector: 'facts.cores__gte=8&site__in=s0,s1,s2,s3' });
      for (const [i, row] of rows.entries()) {
        const data = { ...keys(8, String(row['scope'])), list: [i, 'x'], tree: { a: { [`k${i % 50}`]: i } }, own: row['name'] };
        await insertRow(tx, catalog.byNoun('layer'), {
          data: row['scope'] === 'everything' || row['scope'] === 'node' ? data : { ...data, own: 'same' },
          ...row,
        });
      }
      tx.touched.clear();
    },
    { shared: true },
  );
  await corral.pool.query('analyze');
}

export async function layersCost(): Promise<Line[]> {
  const { path, remove } = scratch();
  const corral = await openCorral(loadConfig({ CORRAL_DATA: path, CORRAL_DEMO: '0', CORRAL_LOG_LEVEL: 'silent' }).config);
  try {
    const nodes = Array.from({ length: NODES }, (_, i) => `hv${i}.example.com`);
    await corral.pool.query(`with s as (insert into site (name) select 's' || i from generate_series(0, 3) i returning id, name),
      n as (insert into node (fqdn, site_id) select 'hv' || i || '.example.com', (select id from s where name = 's' || i % 4) from generate_series(0, ${NODES - 1}) i returning id),
      d as (insert into document (node_id) select id from n), f as (insert into node_facts (node_id, facts) select id, '{"cores": 16}' from n),
      h as (insert into hypervisor (node_id, cores, ram) select id, 16, 1073741824 from n)
      select count(*) from n`);
    const ids = (await corral.pool.query<{ id: string }>('select id from node order by id')).rows.map((row) => Number(row.id));
    await corral.pool.query('analyze');
    const without = await rounds(corral, ids);
    await layers(corral, nodes);
    const aggregates = await loadNodes(corral.db(), ids.slice(0, 10), corral.store.secrets, corral.catalog);
    const counts = new Set(aggregates.map((one) => one.layers?.length));
    if (counts.size !== 1 || !counts.has(10)) throw new Error(`${[...counts].join()} layers reach a node, and ten should`);
    const value = await rounds(corral, ids);
    return [
      {
        part: 'l',
        what: `documents of ${NODES} nodes with 10 layers each`,
        value,
        unit: 'ms',
        against: without,
        ratio: value / without,
        target: '< 1000 ms',
        met: value < 1000,
      },
    ];
  } finally {
    await corral.close();
    remove();
  }
}

if (process.argv[1] === import.meta.filename) for (const line of await layersCost()) console.log(line);
