import { beforeAll, expect, test } from 'vitest';
import { testCorral, type TestCorral } from '../support/corral.ts';
import { call } from '../modules/fleet.ts';
import { layeredFleet, NODE, write } from './fleet.ts';

let corral: TestCorral;

beforeAll(async () => {
  corral = await testCorral();
  await layeredFleet(corral);
});

test('secrets of layers are in no plan, change, difference or history', async () => {
  const secrets = { 'db::password': 'swordfish', 'new::key': 'swordfish, too' };
  const plan = await call(corral, 'PATCH', '/api/v1/layers/first?dry_run=true', { secrets });
  expect([plan.status, JSON.stringify(plan.body)]).toEqual([200, expect.stringContaining('(another secret)')]);
  expect(JSON.stringify(plan.body)).not.toMatch(/swordfish|hunter2/);
  await write(corral, 'PATCH', '/layers/first', { secrets });
  const { rows } = await corral.pool.query<{ number: string }>('select max(number) as number from change');
  for (const path of [`/changes/${rows[0]!.number}`, `/documents/${NODE}/diff`, '/api/v1/layers/first/history', '/changes'])
    for (const accept of ['application/json', 'text/html']) {
      const answer = await corral.request(path, { headers: { accept } });
      expect([path, answer.status, /swordfish|hunter2/.exec(await answer.text())?.[0]]).toEqual([path, 200, undefined]);
    }
});
