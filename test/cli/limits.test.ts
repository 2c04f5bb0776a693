import { expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { against, corral as run } from './support.ts';

const corral = await testCorral({ CORRAL_RATE_LIMIT: '120' });
await corral.make('site', { name: 'fra1' });

test('a script that asks too often waits, and does not fail', async () => {
  let refused = 0;
  for (let i = 0; i < 200 && refused === 0; i++) if ((await corral.request('/api/v1/sites')).status === 429) refused++;
  expect(refused).toBe(1);
  const answers = await Promise.all([1, 2, 3].map(() => run(['get', 'sites'], { env: against(corral) })));
  expect(answers.map(({ code, err }) => [code, err])).toEqual([1, 2, 3].map(() => [0, '']));
});

test('one with a wrong token is told so at once', async () => {
  expect((await run(['get', 'sites'], { env: against(corral, 'corral_admin_wrong') })).code).toBe(1);
});
