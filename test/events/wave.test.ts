import { expect, test } from 'vitest';
import { transaction } from '../../src/db/transaction.ts';
import { rebuildAll } from '../../src/documents/rebuild.load.ts';
import { spreadOf } from '../../src/documents/service.load.ts';
import { testCorral } from '../support/corral.ts';
import { call } from '../modules/fleet.ts';
import { listen } from './listen.ts';

const NODES = 230;
const corral = await testCorral({ CORRAL_CONVERGE_RATE: '10' });

test('a change of more documents than are rebuilt in one go spreads all of their hosts by their number', async () => {
  await corral.make('site', { name: 'fra1' });
  await corral.pool.query(
    `with n as (insert into node (fqdn, site_id) select 'n' || i || '.example.com', (select id from site) from generate_series(0, $1::int - 1) i returning id),
      h as (insert into hypervisor (node_id, cores, ram) select id, 4, 8589934592 from n) insert into document (node_id) select id from n`,
    [NODES],
  );
  await transaction(corral.store, rebuildAll, { shared: true });
  const streams = await Promise.all([0, 100, NODES - 1].map((i) => listen(corral, `n${i}.example.com`)));
  for (const stream of streams) expect((await stream.until(1)).data.spread).toBe(NODES / 10);
  expect((await call(corral, 'PATCH', '/api/v1/sites/fra1', { name: 'fra2' })).status).toBe(200);
  for (const stream of streams) expect((await stream.until(2)).data.spread).toBe(NODES / 10);
  await call(corral, 'PATCH', '/api/v1/nodes/n0.example.com', { location: 'Rack 1' });
  expect((await streams[0]!.until(3)).data.spread).toBe(0);
  for (const stream of streams) stream.close();
});

test('hosts start over as many seconds as keeps them at the rate, and at once where that is one second', () => {
  expect([1, 20, 21, 40, 41, 10_000].map((wave) => spreadOf(wave, 20))).toEqual([0, 0, 2, 2, 3, 500]);
});
