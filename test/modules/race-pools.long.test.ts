import { describe, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { GIB, hypervisors } from './fleet.ts';
import { createAtOnce, expectReason, expectRoomFor, ROOM } from './race.ts';

describe('200 creations at once where pools have room for 150 give exactly 150, bound by', () => {
  test('the space of each host in a local pool', async () => {
    const corral = await testCorral();
    await hypervisors(corral, 15, {}, { capacity: 100 * GIB + 1024 });
    const answers = await createAtOnce(corral, () => ({}));
    await expectRoomFor(corral, answers, 'no-capacity');
    expectReason(answers, 'pool');
  });

  test('the capacity of a shared pool', async () => {
    const corral = await testCorral();
    const hosts = await hypervisors(corral, 10);
    await corral.make('storage_pool', { name: 'nfs', kind: 'nfs', source: 'nas:/vms', target: '/mnt/vms', capacity: ROOM * GIB });
    for (const host of hosts) await corral.make('pool_attachment', { hypervisor: host, storage_pool: 'nfs' });
    const answers = await createAtOnce(corral, () => ({ volumes: [{ storage_pool: 'nfs', size: GIB }] }));
    await expectRoomFor(corral, answers, 'no-capacity');
    expectReason(answers, 'pool');
  });
});
