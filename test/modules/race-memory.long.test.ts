import { test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { GIB, hypervisors } from './fleet.ts';
import { createAtOnce, expectReason, expectRoomFor } from './race.ts';

test('200 creations at once, placed round_robin, on hosts with memory for 150 give exactly 150', async () => {
  const corral = await testCorral();
  await hypervisors(corral, 10, { cores: 64, ram: 16 * GIB, reserve_ram: GIB });
  await corral.make('customer', { name: 'acme' });
  await corral.make('project', { customer: 'acme', name: 'web' });
  const answers = await createAtOnce(corral, (i) => ({ placement: 'round_robin', name: `race-${i}`, project: 'acme:web' }));
  await expectRoomFor(corral, answers, 'no-capacity');
  expectReason(answers, 'memory');
});
