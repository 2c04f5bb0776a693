import { describe, expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { call, expectConsistent, GIB, hypervisors, type Answer } from './fleet.ts';

const REQUESTS = 200;
const ROOM = 150;

interface Case {
  readonly name: string;
  readonly hosts: number;
  readonly host: Record<string, unknown>;
  readonly capacity: number | null;
  readonly placement: string;
  /** What the 50 refusals say. */
  readonly code: string;
  readonly reason?: string;
}

const cases: readonly Case[] = [
  {
    name: 'cores',
    hosts: 5,
    host: { cores: 32, cpu_overcommit: 1, reserve_cores: 2 },
    capacity: null,
    placement: 'sticky',
    code: 'no-capacity',
    reason: 'cores',
  },
  {
    name: 'memory',
    hosts: 10,
    host: { cores: 64, ram: 16 * GIB, reserve_ram: GIB },
    capacity: null,
    placement: 'round_robin',
    code: 'no-capacity',
    reason: 'memory',
  },
  { name: 'space of local pools', hosts: 15, host: {}, capacity: 100 * GIB + 1024, placement: 'least_loaded', code: 'no-capacity', reason: 'pool' },
];

/** 200 requests at the same time, all sent before the first answer is awaited. */
async function createAtOnce(corral: Parameters<typeof call>[0], input: (i: number) => Record<string, unknown>): Promise<Answer[]> {
  return Promise.all(Array.from({ length: REQUESTS }, (_, i) => call(corral, 'POST', '/api/v1/vms', { method: 'KVM', cores: 1, ram: GIB, ...input(i) })));
}

const tally = (answers: readonly Answer[]): Record<string, number> =>
  answers.reduce<Record<string, number>>((sums, { status, body }) => {
    const key = status === 201 ? '201' : `${status} ${String(body.code)}`;
    return { ...sums, [key]: (sums[key] ?? 0) + 1 };
  }, {});

describe('200 creations at once where there is room for 150, bound by', () => {
  test.each(cases)('$name', async (one) => {
    const corral = await testCorral();
    await hypervisors(corral, one.hosts, one.host, { capacity: one.capacity });
    await corral.make('customer', { name: 'acme' });
    await corral.make('project', { customer: 'acme', name: 'web' });
    const answers = await createAtOnce(corral, (i) => ({
      placement: one.placement,
      name: `race-${i}`,
      ...(one.placement === 'sticky' ? { project: 'acme:web' } : {}),
    }));
    expect(tally(answers)).toEqual({ '201': ROOM, [`409 ${one.code}`]: REQUESTS - ROOM });
    for (const { body } of answers.filter(({ status }) => status === 409)) {
      expect(body.detail).toMatch(/hypervisors can take it/);
      if (one.reason) expect(body['refused']).toMatchObject({ [one.reason]: expect.any(Number) as number });
    }
    const { rows } = await corral.pool.query<Record<string, string>>(`select (select count(*) from vm) as vms, (select count(*) from volume) as volumes,
      (select count(*) from vm_interface) as cards, (select count(*) from address where vm_interface_id is not null) as addresses,
      (select count(distinct vm_interface_id) from address) as owners, (select count(distinct mac) from vm_interface) as macs, (select count(distinct uuid) from vm) as uuids`);
    expect(Object.values(rows[0]!).map(Number)).toEqual(new Array<number>(7).fill(ROOM));
    await expectConsistent(corral);
  });

  test('addresses', async () => {
    const corral = await testCorral();
    await hypervisors(corral, 4, {}, { subnet: '10.1.0.0/25' });
    await corral.make('subnet', { network: 'lan', cidr: '10.2.0.0/27', gateway: '10.2.0.1' });
    /* 126 and 29 hosts; five of them are given away before. */
    for (let i = 10; i < 15; i++)
      await call(corral, 'POST', '/api/v1/vms', { method: 'KVM', cores: 1, ram: GIB, interfaces: [{ addresses: [`10.1.0.${i}`] }] });
    const answers = await createAtOnce(corral, () => ({}));
    expect(tally(answers)).toEqual({ '201': ROOM, '409 no-address': REQUESTS - ROOM });
    const { rows } = await corral.pool.query<{ free: string; used: string; gateway: string }>(`select count(*) filter (where vm_interface_id is null) as free,
      count(distinct vm_interface_id) as used, count(*) filter (where address = '10.2.0.1') as gateway from address`);
    expect(rows[0]).toEqual({ free: '0', used: String(ROOM + 5), gateway: '0' });
    await expectConsistent(corral);
  });

  test('the capacity of a shared pool', async () => {
    const corral = await testCorral();
    const hosts = await hypervisors(corral, 3);
    await corral.make('storage_pool', { name: 'nfs', kind: 'nfs', source: 'nas:/vms', target: '/mnt/vms', capacity: ROOM * GIB });
    for (const host of hosts) await corral.make('pool_attachment', { hypervisor: host, storage_pool: 'nfs' });
    const answers = await createAtOnce(corral, () => ({ volumes: [{ storage_pool: 'nfs', size: GIB }] }));
    expect(tally(answers)).toEqual({ '201': ROOM, '409 no-capacity': REQUESTS - ROOM });
    await expectConsistent(corral);
  });
});
