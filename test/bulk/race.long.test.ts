import { expect, test } from 'vitest';
import { testCorral, type TestCorral } from '../support/corral.ts';
import { call, expectConsistent, GIB, hypervisors, type Answer } from '../modules/fleet.ts';

type Body = Record<string, unknown>;
const vm = (extra: Body = {}): Body => ({ op: 'create', noun: 'vm', body: { method: 'KVM', cores: 1, ram: GIB, volumes: [{ size: GIB }], ...extra } });
const bulk = (corral: TestCorral, operations: readonly Body[]): Promise<Answer> => call(corral, 'POST', '/bulk', { operations });
const one = async (corral: TestCorral, sql: string): Promise<Record<string, number>> => (await corral.pool.query<Record<string, number>>(sql)).rows[0]!;

test('many bulks and single creations at once: as many as there is room for, no address twice, no host overbooked', async () => {
  const corral = await testCorral();
  await hypervisors(corral, 4, { cores: 60, cpu_overcommit: 1 }, { capacity: 100 * GIB });
  await corral.make('subnet', { network: 'lan', cidr: 'fd00::/64' });
  const bulks = Array.from({ length: 12 }, (_, i) =>
    bulk(
      corral,
      Array.from({ length: 20 }, () => vm(i % 3 === 0 ? { placement: 'round_robin' } : {})),
    ),
  );
  const singles = Array.from({ length: 30 }, () => call(corral, 'POST', '/api/v1/vms', { method: 'KVM', cores: 1, ram: GIB, volumes: [{ size: GIB }] }));
  const done = await Promise.all([...bulks, ...singles]);
  expect(new Set(done.map(({ status, body }) => (status < 300 ? 'made' : body.code)))).toEqual(new Set(['made', 'no-capacity']));
  const made = done.slice(0, 12).filter((answer) => answer.status === 200).length * 20 + done.slice(12).filter((answer) => answer.status === 201).length;
  /* 240 places; a bulk of 20 may find less than that left. */
  expect(made).toBeGreaterThan(220);
  expect(
    await one(
      corral,
      'select count(*)::int as vms, (select count(*)::int from volume) as volumes, (select count(distinct mac)::int from vm_interface) as macs from vm',
    ),
  ).toEqual({
    vms: made,
    volumes: made,
    macs: made,
  });
  expect(
    await one(
      corral,
      'select count(*)::int as given, count(distinct address)::int as different, count(distinct vm_interface_id)::int as owners from address where vm_interface_id is not null',
    ),
  ).toEqual({
    given: 2 * made,
    different: 2 * made,
    owners: made,
  });
  await expectConsistent(corral);
});

test('bulks that race for the last addresses and the last space of a shared pool: each whole, or refused', async () => {
  const corral = await testCorral();
  await hypervisors(corral, 3, {}, { subnet: '10.0.0.0/26' });
  await corral.make('storage_pool', { name: 'nas', kind: 'nfs', source: 'nas:/vms', target: '/srv/nas', capacity: 40 * GIB });
  for (let i = 1; i <= 3; i++) await corral.make('pool_attachment', { hypervisor: `hv${i}.example.com`, storage_pool: 'nas' });
  const shared = { volumes: [{ size: GIB, storage_pool: 'nas' }] };
  const done = await Promise.all(
    Array.from({ length: 10 }, (_, i) =>
      bulk(
        corral,
        Array.from({ length: 9 }, () => vm(i % 2 === 0 ? shared : {})),
      ),
    ),
  );
  const whole = done.filter((answer) => answer.status === 200).length;
  expect(whole).toBe(6);
  expect(new Set(done.filter((answer) => answer.status !== 200).map(({ body }) => body.code))).toContain('no-address');
  expect(await one(corral, 'select count(*)::int as vms, (select count(*)::int from address where vm_interface_id is not null) as addresses from vm')).toEqual({
    vms: 54,
    addresses: 54,
  });
  await expectConsistent(corral);
});

test('bulks that change the same rows in opposite orders both come through', async () => {
  const corral = await testCorral();
  await hypervisors(corral, 2);
  const ids: number[] = [];
  for (let i = 0; i < 12; i++) ids.push(Number((await corral.make('vm', { method: 'KVM', cores: 1, ram: GIB }))['id']));
  const change = (list: readonly number[], name: string): Promise<Answer> =>
    bulk(corral, [...list.map((id) => ({ op: 'update', noun: 'vm', key: id, body: { name, cores: 2 } })), vm()]);
  const done = await Promise.all(Array.from({ length: 6 }, (_, i) => change(i % 2 === 0 ? ids : ids.toReversed(), `round-${i}`)));
  expect(done.map((answer) => answer.status)).toEqual(Array(6).fill(200));
  expect(await one(corral, `select count(distinct name)::int as names from vm where name like 'round-%'`)).toEqual({ names: 1 });
  await expectConsistent(corral);
});

test('puts of the same new things at once make each once', async () => {
  const corral = await testCorral();
  const operations = Array.from({ length: 30 }, (_, i) => ({ op: 'put', noun: 'customer', key: `c${i}`, body: { title: `Customer ${i}` } }));
  const done = await Promise.all(Array.from({ length: 6 }, (_, i) => bulk(corral, i % 2 === 0 ? operations : operations.toReversed())));
  expect(done.map((answer) => answer.status)).toEqual(Array(6).fill(200));
  expect(await one(corral, 'select count(*)::int as n from customer')).toEqual({ n: 30 });
  const made = done.flatMap((answer) => (answer.body['results'] as { status: string }[]).filter((result) => result.status === 'created'));
  expect(made).toHaveLength(30);
});
