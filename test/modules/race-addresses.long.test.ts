import { expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { call, GIB, hypervisors } from './fleet.ts';
import { createAtOnce, expectRoomFor } from './race.ts';

test('200 creations at once where 150 addresses are free give exactly 150, and no address twice', async () => {
  const corral = await testCorral();
  await hypervisors(corral, 8, {}, { subnet: '10.1.0.0/25' });
  await corral.make('subnet', { network: 'lan', cidr: '10.2.0.0/27', gateway: '10.2.0.1' });
  /* 126 and 29 hosts; five of them are given away before. */
  for (let i = 10; i < 15; i++) await call(corral, 'POST', '/api/v1/vms', { method: 'KVM', cores: 1, ram: GIB, interfaces: [{ addresses: [`10.1.0.${i}`] }] });
  const answers = await createAtOnce(corral, () => ({}));
  await expectRoomFor(corral, answers, 'no-address', 5);
  const { rows } = await corral.pool.query<{ free: string; gateway: string }>(`select count(*) filter (where vm_interface_id is null) as free,
    count(*) filter (where address = '10.2.0.1') as gateway from address`);
  expect(rows[0]).toEqual({ free: '0', gateway: '0' });
});
