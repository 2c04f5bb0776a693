import { describe, expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { call, expectConsistent, GIB, hypervisors, refuses, type Answer } from './fleet.ts';

type Corral = Parameters<typeof call>[0];
const vm = (corral: Corral, extra: Record<string, unknown> = {}): Promise<Answer> =>
  call(corral, 'POST', '/api/v1/vms', { method: 'KVM', cores: 1, ram: GIB, ...extra });
const hostOf = async (answer: Promise<Answer>): Promise<string> => String((await answer).body['hypervisor']).split('.', 1)[0]!;
const hosts = async (count: number, next: () => Promise<Answer>): Promise<string[]> => {
  const out: string[] = [];
  for (let i = 0; i < count; i++) out.push(await hostOf(next()));
  return out;
};

describe('a host is picked', () => {
  test('least loaded first, by the scarcer of cores and memory', async () => {
    const corral = await testCorral();
    await hypervisors(corral, 3, { cores: 16, cpu_overcommit: 1, ram: 16 * GIB });
    expect(await hosts(3, () => vm(corral, { ram: 4 * GIB }))).toEqual(['hv1', 'hv2', 'hv3']);
    await vm(corral, { hypervisor: 'hv1.example.com', cores: 8 });
    await vm(corral, { hypervisor: 'hv2.example.com', ram: 9 * GIB });
    expect(await hosts(2, () => vm(corral, { ram: 4 * GIB }))).toEqual(['hv3', 'hv3']);
    expect(await hostOf(vm(corral))).toBe('hv1');
  });

  test('in turn with round_robin', async () => {
    const corral = await testCorral({ CORRAL_PLACEMENT: 'round_robin' });
    await hypervisors(corral, 3);
    await vm(corral, { hypervisor: 'hv2.example.com', cores: 32 });
    const [a, b, c, ...again] = await hosts(6, () => vm(corral));
    expect([new Set([a, b, c]).size, again]).toEqual([3, [a, b, c]]);
  });

  test('near the rest of the project with sticky, until that is full', async () => {
    const corral = await testCorral();
    await hypervisors(corral, 3, { cores: 4, cpu_overcommit: 1 });
    await corral.make('customer', { name: 'acme' });
    for (const name of ['web', 'mail']) await corral.make('project', { customer: 'acme', name });
    const web = await hosts(4, () => vm(corral, { placement: 'sticky', project: 'acme:web' }));
    expect(new Set(web).size).toBe(1);
    const mail = await hosts(2, () => vm(corral, { placement: 'sticky', project: 'acme:mail' }));
    expect([new Set(mail).size, mail[0] !== web[0]]).toEqual([1, true]);
    expect(await hostOf(vm(corral, { placement: 'sticky', project: 'acme:web' }))).not.toBe(web[0]);
    expect((await vm(corral, { placement: 'sticky' })).status).toBe(201);
  });

  test('among those that run, support the method, and have room and the pool', async () => {
    const corral = await testCorral();
    await hypervisors(
      corral,
      5,
      { cores: 8, cpu_overcommit: 2, reserve_cores: 4, ram: 16 * GIB, ram_overcommit: 1.5, reserve_ram: 4 * GIB },
      { capacity: 100 * GIB },
    );
    const change = (path: string, body: unknown): Promise<Answer> => call(corral, 'PATCH', `/api/v1/${path}`, body);
    await change('nodes/hv1.example.com', { state: 'maintenance' });
    await change('hypervisors/hv2.example.com', { methods: ['LXC'] });
    await vm(corral, { hypervisor: 'hv3.example.com', cores: 11 });
    await vm(corral, { hypervisor: 'hv4.example.com', ram: 20 * GIB, volumes: [{ size: 1024 }] });
    await vm(corral, { hypervisor: 'hv5.example.com', volumes: [{ size: 95 * GIB }] });
    const wanted = { cores: 2, ram: 2 * GIB };
    const none = await vm(corral, wanted);
    expect([none.status, none.body.code, none.body['hypervisors'], none.body['refused']]).toEqual([
      409,
      'no-capacity',
      5,
      { not_running: 1, method: 1, cores: 1, memory: 1, pool: 1 },
    ]);
    expect(none.body.detail).toMatch(/None of 5 hypervisors/);
    expect(await hostOf(vm(corral, { ...wanted, volumes: [{ size: GIB }] }))).toBe('hv5');
    await refuses(vm(corral, { method: 'Docker' }), 409, 'no-capacity');
    await expectConsistent(corral);
  });

  test('and with none at all the refusal says that there is none', async () => {
    const corral = await testCorral();
    await hypervisors(corral, 0);
    const answer = await vm(corral);
    expect([answer.status, answer.body.code, answer.body['hypervisors'], answer.body['refused']]).toEqual([409, 'no-capacity', 0, {}]);
  });
});

describe('a named host', () => {
  test('is taken by its name or id, or refused with the reason', async () => {
    const corral = await testCorral();
    const [one, two] = await hypervisors(corral, 2, { cores: 4, cpu_overcommit: 1 }, { capacity: 50 * GIB });
    const { body } = await call(corral, 'GET', `/api/v1/hypervisors/${two!}`);
    expect(await hostOf(vm(corral, { hypervisor: body['id'] }))).toBe('hv2');
    for (const state of ['stopped', 'maintenance', 'deactivated']) {
      await call(corral, 'PATCH', `/api/v1/nodes/${one!}`, { state });
      const down = await vm(corral, { hypervisor: one });
      expect([down.status, down.body.code, down.body.detail]).toEqual([409, 'hypervisor-unavailable', expect.stringContaining(state)]);
    }
    await call(corral, 'PATCH', `/api/v1/nodes/${one!}`, { state: 'running' });
    await refuses(vm(corral, { hypervisor: one, method: 'LXC' }), 409, 'hypervisor-unavailable', '/hypervisor');
    await refuses(vm(corral, { hypervisor: one, cores: 5 }), 409, 'no-capacity', '/hypervisor');
    await refuses(vm(corral, { hypervisor: one, ram: 300 * GIB }), 409, 'no-capacity', '/hypervisor');
    await refuses(vm(corral, { hypervisor: one, volumes: [{ size: 51 * GIB }] }), 409, 'no-capacity', '/hypervisor');
    await refuses(vm(corral, { hypervisor: one, volumes: [{ size: 30 * GIB }, { size: 30 * GIB }] }), 409, 'no-capacity', '/hypervisor');
    await refuses(vm(corral, { hypervisor: 'none.example.com' }), 422, 'invalid', '/hypervisor');
  });

  test('that goes into maintenance takes nothing after the answer', async () => {
    const corral = await testCorral();
    const [one] = await hypervisors(corral, 1);
    const creations = Array.from({ length: 12 }, () => vm(corral));
    const change = call(corral, 'PATCH', `/api/v1/nodes/${one!}`, { state: 'maintenance' });
    await change;
    await refuses(vm(corral), 409, 'no-capacity');
    const done = await Promise.all(creations);
    expect(done.filter(({ status }) => status !== 201 && status !== 409)).toEqual([]);
    await expectConsistent(corral);
  });
});
