import { beforeAll, expect, test } from 'vitest';
import { smallFleet } from '../http/samples.ts';
import { testCorral, type TestCorral } from '../support/corral.ts';

const GIB = 2 ** 30;
let corral: TestCorral;
beforeAll(async () => {
  corral = await testCorral();
  await smallFleet(corral);
});

type Answer = { status: number; body: Record<string, unknown> };
const call = async (method: string, path: string, body?: unknown): Promise<Answer> => {
  const answer = await corral.request(`/api/v1/${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  return { status: answer.status, body: answer.status === 204 ? {} : ((await answer.json()) as Record<string, unknown>) };
};
const vm = (more: object = {}) => call('POST', 'vms', { cores: 1, ram: GIB, method: 'KVM', volumes: [{ size: GIB }], ...more });

test('a quota of a customer binds virtual machines, cores, memory, bytes and addresses, each', async () => {
  for (const [field, value] of Object.entries({ quota_vms: 1, quota_cores: 1, quota_ram: GIB, quota_bytes: GIB, quota_addresses: 2 })) {
    const name = field.replace('_', '-');
    await corral.make('customer', { name, [field]: value });
    const first = await vm({ customer: name });
    expect([field, first.status]).toEqual([field, 201]);
    const second = await vm({ customer: name });
    expect([field, second.status, second.body['code'], second.body['quota']]).toEqual([field, 409, 'quota-exceeded', field]);
    /* What is there may go on, and shrink. */
    expect((await call('PATCH', `vms/${String(first.body['uuid'])}`, { name: 'other' })).status).toBe(200);
    expect((await call('DELETE', `vms/${String(first.body['uuid'])}`)).status).toBe(204);
  }
});

test('a quota holds for growth of any kind, and for what comes from elsewhere', async () => {
  await corral.make('customer', { name: 'tight', quota_cores: 2, quota_bytes: 3 * GIB });
  const first = await vm({ customer: 'tight' });
  const uuid = String(first.body['uuid']);
  expect((await call('PATCH', `vms/${uuid}`, { cores: 3 })).body['code']).toBe('quota-exceeded');
  expect((await call('PATCH', `vms/${uuid}`, { cores: 2 })).status).toBe(200);
  const free = await vm();
  expect((await call('PATCH', `vms/${String(free.body['uuid'])}`, { customer: 'tight' })).body['quota']).toBe('quota_cores');
  const { rows } = await corral.pool.query<{ name: string }>('select name from volume where vm_id = $1', [first.body['id']]);
  expect((await call('PATCH', `volumes/${rows[0]!.name}`, { size: 4 * GIB })).body['quota']).toBe('quota_bytes');
  /* A quota below what there is takes nothing away. */
  expect((await call('PATCH', 'customers/tight', { quota_cores: 1 })).status).toBe(200);
  expect((await call('PATCH', `vms/${uuid}`, { cores: 1 })).status).toBe(200);
});

test('20 creations at once with a quota of 7 give 7', async () => {
  await corral.make('customer', { name: 'many', quota_vms: 7 });
  await corral.make('project', { customer: 'many', name: 'web', quota_cores: 100 });
  const answers = await Promise.all(Array.from({ length: 20 }, () => vm({ project: 'many:web', ram: GIB / 8, volumes: [{ size: 512 }] })));
  expect(answers.filter((one) => one.status === 201).length).toBe(7);
  expect(new Set(answers.filter((one) => one.status !== 201).map((one) => one.body['code']))).toEqual(new Set(['quota-exceeded']));
});

test('the disks of a deleted virtual machine stay with its customer, and count', async () => {
  await corral.make('customer', { name: 'keeps', quota_bytes: GIB });
  const first = await vm({ customer: 'keeps' });
  await call('DELETE', `vms/${String(first.body['uuid'])}`);
  const { rows } = await corral.pool.query<{ name: string }>(`select o.name from volume o join customer c on c.id = o.customer_id where c.name = 'keeps'`);
  expect(rows.length).toBe(1);
  expect((await vm({ customer: 'keeps' })).body['quota']).toBe('quota_bytes');
});
