import { expect, test } from 'vitest';
import { call, expectConsistent, GIB, hypervisors } from '../modules/fleet.ts';
import { testCorral } from '../support/corral.ts';
import { apply, dryRun, everything } from './plan-support.ts';

const corral = await testCorral({ CORRAL_POOL_SIZE: '24' });
const hosts = await hypervisors(corral, 3, { cores: 100, ram: 1024 * GIB });
const VM = { method: 'KVM', cores: 1, ram: GIB };
const count = async (): Promise<number> => Number((await corral.pool.query<{ n: string }>('select count(*) as n from vm')).rows[0]!.n);

test('of many clients that agreed to the same placement and address, one gets it; the others are shown what they would get, and get that', async () => {
  const clients = Array.from({ length: 12 }, (_, i) => i);
  const plans = await Promise.all(clients.map(() => dryRun(corral, 'POST', '/api/v1/vms', VM)));
  const first = await count();
  let done = 0;
  let round = plans.map(({ plan }) => plan);
  for (let turn = 0; round.length > 0; turn++) {
    expect(turn).toBeLessThan(60);
    const answers = await Promise.all(round.map(({ digest }) => apply(corral, 'POST', '/api/v1/vms', VM, digest)));
    for (const { status, body } of answers) expect([201, 409]).toContain(status === 409 && body.code !== 'plan-changed' ? body.code : status);
    done += answers.filter(({ status }) => status === 201).length;
    /* Not one more than was answered 201, at any time. */
    expect(await count()).toBe(first + done);
    round = answers.filter(({ status }) => status === 409).map(({ body }) => body['plan'] as (typeof round)[number]);
  }
  expect(done).toBe(clients.length);
  const { rows } = await corral.pool.query('select address from address where vm_interface_id is not null group by 1 having count(*) > 1');
  expect(rows).toEqual([]);
  await expectConsistent(corral);
});

test('of many clients that agreed to the same change of one field, one makes it', async () => {
  const id = String((await corral.make('vm', VM))['id']);
  const path = `/api/v1/vms/${id}`;
  const { plan } = await dryRun(corral, 'PATCH', path, { cores: 2 });
  const answers = await Promise.all(Array.from({ length: 10 }, () => apply(corral, 'PATCH', path, { cores: 2 }, plan.digest)));
  expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array.from({ length: 9 }, () => 409)]);
  expect((await call(corral, 'GET', `/changes?noun=vm&key=${id}`)).status).toBeLessThan(500);
});

test('dry runs beside writers: none fails because of the other, and the writers alone leave something', async () => {
  const before = await count();
  const writers = Array.from({ length: 6 }, async (_, i) => {
    const statuses: number[] = [];
    for (let n = 0; n < 8; n++)
      statuses.push((await call(corral, 'POST', '/api/v1/vms', { ...VM, name: `w${i}-${n}`, ...(n % 2 ? { hypervisor: hosts[n % 3] } : {}) })).status);
    return statuses;
  });
  const planners = Array.from({ length: 6 }, async () => {
    const answers: [number, unknown][] = [];
    for (let n = 0; n < 8; n++) {
      const { status, body } = await call(corral, 'POST', '/api/v1/vms?dry_run=true', { ...VM, volumes: [{}, {}], interfaces: [{}, {}] });
      answers.push([status, status === 200 ? undefined : body]);
    }
    return answers;
  });
  expect((await Promise.all(writers)).flat()).toEqual(Array.from({ length: 48 }, () => 201));
  expect((await Promise.all(planners)).flat()).toEqual(Array.from({ length: 48 }, () => [200, undefined]));
  expect(await count()).toBe(before + 48);
  await expectConsistent(corral);
  const quiet = await everything(corral);
  await dryRun(corral, 'POST', '/api/v1/vms', VM);
  expect(await everything(corral)).toEqual(quiet);
});
