import { expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { call, expectConsistent, GIB, hypervisors } from './fleet.ts';
import { createAtOnce, expectReason, expectRoomFor } from './race.ts';

test('200 creations at once, placed sticky, on hosts with cores for 150 give exactly 150', async () => {
  const corral = await testCorral();
  await hypervisors(corral, 10, { cores: 17, cpu_overcommit: 1, reserve_cores: 2 });
  await corral.make('customer', { name: 'acme' });
  await corral.make('project', { customer: 'acme', name: 'web' });
  const answers = await createAtOnce(corral, (i) => ({ placement: 'sticky', name: `race-${i}`, project: 'acme:web' }));
  await expectRoomFor(corral, answers, 'no-capacity');
  expectReason(answers, 'cores');
});

test('creations on a named host at once do not overbook it', async () => {
  const corral = await testCorral();
  const [one] = await hypervisors(corral, 2, { cores: 10, cpu_overcommit: 1 });
  const answers = await Promise.all(
    Array.from({ length: 24 }, () => call(corral, 'POST', '/api/v1/vms', { method: 'KVM', cores: 1, ram: GIB, hypervisor: one })),
  );
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(10);
  for (const { status, body } of answers.filter((answer) => answer.status !== 201)) expect([status, body.code]).toEqual([409, 'no-capacity']);
  await expectConsistent(corral);
});
