import { beforeAll, expect, test } from 'vitest';
import { loadChanges } from '../../src/changes/present.ts';
import type { Change } from '../../src/db/changes.ts';
import { changeThing, createThing, deleteThing } from '../../src/db/write.ts';
import { withOrigin } from '../../src/db/transaction.ts';
import { testCorral, type TestCorral } from '../support/corral.ts';

let corral: TestCorral;
beforeAll(async () => {
  corral = await testCorral();
});

async function newest(): Promise<Change> {
  const all = await loadChanges(corral.db(), corral.catalog, { limit: 1000 });
  return all.at(-1)!;
}

test('a change tells who, why, and the rows before and after as the API writes them', async () => {
  let number: number | undefined;
  const store = withOrigin(corral.store, { actor: 'anna', requestId: 'r1', message: 'why not', committed: (change) => (number = change) });
  const model = (noun: string) => corral.catalog.byNoun(noun);
  await createThing(store, model('site'), { name: 'fra1' });
  expect(await newest()).toMatchObject({
    number,
    actor: 'anna',
    request_id: 'r1',
    message: 'why not',
    reverts: null,
    rows: [{ noun: 'site', key: 'fra1', op: 'create', after: { name: 'fra1', description: null } }],
    documents: [],
  });
  await createThing(store, model('node'), { fqdn: 'hv1.example.com', site: 'fra1', roles: { hypervisor: { methods: ['KVM'], cores: 8, ram: 2 ** 34 } } });
  const made = await newest();
  expect(made.documents).toEqual([{ node: 'hv1.example.com', version: expect.stringMatching(/^1-/) }]);
  expect(made.rows.map((row) => [row.noun, row.key, row.op])).toEqual([
    ['node', 'hv1.example.com', 'create'],
    ['hypervisor', 'hv1.example.com', 'create'],
    ['hypervisor_method', 'hv1.example.com:KVM', 'create'],
  ]);
  expect(made.rows[0]!.after).toMatchObject({ fqdn: 'hv1.example.com', site: 'fra1' });
  await changeThing(store, model('node'), 'hv1.example.com', { location: 'rack 1' });
  expect((await newest()).rows).toMatchObject([
    { noun: 'node', key: 'hv1.example.com', op: 'update', before: { location: null }, after: { location: 'rack 1' } },
  ]);
  await deleteThing(store, model('node'), 'hv1.example.com');
  await deleteThing(store, model('site'), 'fra1');
  const all = await loadChanges(corral.db(), corral.catalog, { limit: 1000 });
  expect(all.map((one) => one.number)).toEqual(all.map((_, i) => i + 1));
  /* What is gone is still called by its name. */
  expect(all[1]!.rows.map((row) => row.key)).toEqual(['hv1.example.com', 'hv1.example.com', 'hv1.example.com:KVM']);
  expect(all[1]!.rows[0]!.after).toMatchObject({ site: 'fra1' });
});

test('a write that changes nothing is no change', async () => {
  const told: unknown[] = [];
  const store = withOrigin(corral.store, { actor: 'anna', committed: (change) => told.push(change) });
  await createThing(store, corral.catalog.byNoun('site'), { name: 'ham1', description: 'x' });
  await changeThing(store, corral.catalog.byNoun('site'), 'ham1', { description: 'x' });
  expect(told).toEqual([expect.any(Number), undefined]);
});

test('a secret is never in a change as it is shown', async () => {
  await corral.make('ceph_cluster', { name: 'one', public_network: '10.0.0.0/24' });
  const { rows } = await newest();
  const keys = rows.filter((row) => row.noun === 'ceph_key');
  expect(keys.length).toBe(3);
  for (const key of keys) expect(key.after!['secret'] ?? '(secret)').toBe('(secret)');
  expect(JSON.stringify(rows)).not.toContain('v1.');
});

test('what is written with SQL by hand is a change, too', async () => {
  await corral.pool.query(`update site set description = 'by hand' where name = 'ham1'`);
  expect(await newest()).toMatchObject({
    actor: expect.stringMatching(/^postgresql:/),
    rows: [{ noun: 'site', key: 'ham1', op: 'update', before: { description: 'x' }, after: { description: 'by hand' } }],
  });
});
