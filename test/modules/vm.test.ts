import { beforeAll, describe, expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { call, expectConsistent, GIB, hypervisors, refuses, type Answer } from './fleet.ts';

const corral = await testCorral();
const api = (method: string, path: string, body?: unknown): Promise<Answer> => call(corral, method, `/api/v1/${path}`, body);
const vm = (extra: Record<string, unknown> = {}): Promise<Answer> => api('POST', 'vms', { method: 'KVM', cores: 1, ram: GIB, ...extra });
const disksOf = async (id: unknown): Promise<Record<string, unknown>[]> =>
  (await api('GET', `volumes?vm=${String(id)}&sort=number`)).body['volumes'] as Record<string, unknown>[];

beforeAll(async () => {
  await hypervisors(corral, 2, { cores: 16, cpu_overcommit: 1, ram: 64 * GIB });
  await corral.make('customer', { name: 'acme' });
  await corral.make('customer', { name: 'other' });
  await corral.make('project', { customer: 'acme', name: 'web' });
  await corral.make('project', { customer: 'other', name: 'web' });
  await corral.make('image', { name: 'debian', url: 'https://example.com/d.qcow2', size: 3 * GIB + 1 });
});

describe('what a creation leaves out is filled in', () => {
  test('from cores, ram and a method alone', async () => {
    const made = await vm();
    const id = String(made.body['id']);
    expect([made.status, made.body]).toEqual([
      201,
      expect.objectContaining({
        name: `vm-${id}`,
        cores: 1,
        cores_max: 1,
        ram: GIB,
        ram_max: GIB,
        state: 'running',
        observed_state: 'unknown',
        observed_at: null,
        cpu_mode: 'host-model',
        machine: 'q35',
        firmware: 'bios',
        rtc: 'utc',
        boot_order: ['disk', 'network'],
        metadata: {},
        cloud_init: null,
        customer: null,
        project: null,
        ha_policy: 'none',
        uuid: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
        hypervisor: expect.stringMatching(/^hv[12]\.example\.com$/) as string,
      }),
    ]);
    expect(await disksOf(id)).toEqual([
      expect.objectContaining({
        name: expect.stringMatching(/^vol-\d+$/) as string,
        number: 0,
        size: 10 * GIB,
        type: 'qcow2',
        storage_pool: 'local',
        hypervisor: made.body['hypervisor'],
      }),
    ]);
    const shown = await api('GET', `vms/${id}?include=vm_interfaces`);
    expect(shown.body['vm_interfaces']).toEqual([
      expect.objectContaining({ name: `${id}-0`, number: 0, mac: expect.stringMatching(/^02:c0(:[0-9a-f]{2}){4}$/) as string }),
    ]);
    expect((await api('GET', `addresses?vm_interface=${id}-0`)).body['addresses']).toHaveLength(1);
    expect((await api('GET', `network-memberships?vm_interface=${id}-0`)).body['network_memberships']).toEqual([
      expect.objectContaining({ network: 'lan', tagged: false }),
    ]);
  });

  test('and the size of a volume from its image, rounded up to sectors', async () => {
    const [disk] = await disksOf((await vm({ volumes: [{ image: 'debian' }] })).body['id']);
    expect(disk).toMatchObject({ image: 'debian', size: 3 * GIB + 512 });
    await refuses(vm({ volumes: [{}, { image: 'debian', size: GIB }] }), 422, 'invalid', '/volumes/1/size');
  });

  test('and the customer from the project', async () => {
    expect((await vm({ project: 'acme:web' })).body).toMatchObject({ customer: 'acme', project: 'acme:web' });
  });
});

describe('a virtual machine is refused', () => {
  test.each([
    ['without all that is needed', { cores: undefined, ram: undefined, method: undefined }, 422, ['/cores', '/ram', '/method']],
    ['with more cores than their maximum', { cores: 4, cores_max: 2 }, 422, ['/cores_max']],
    ['with more memory than its maximum', { ram: 2 * GIB, ram_max: GIB }, 422, ['/ram_max']],
    ['with odd memory', { ram: GIB + 1 }, 422, ['/ram']],
    ['with a custom CPU and no model', { cpu_mode: 'custom' }, 422, ['/cpu_model']],
    ['with a model and no custom CPU', { cpu_model: 'EPYC' }, 422, ['/cpu_model']],
    ['with UEFI on pc', { machine: 'pc', firmware: 'uefi' }, 422, ['/firmware']],
    ['with a BIOS on virt', { machine: 'virt' }, 422, ['/firmware']],
    ['with a limit of 101 per cent', { cputime_limit: 101 }, 422, ['/cputime_limit']],
    ['with no disk', { volumes: [] }, 422, ['/volumes']],
    ['with no card', { interfaces: [] }, 422, ['/interfaces']],
    ['with a disk in no pool', { volumes: [{}, { storage_pool: 'none' }] }, 422, ['/volumes/1/storage_pool']],
    ['with a disk of half a sector', { volumes: [{ size: 700 }] }, 422, ['/volumes/0/size']],
    ['with a disk from no image', { volumes: [{ image: 'none' }] }, 422, ['/volumes/0/image']],
    ['with a disk that does not fit its pool', { volumes: [{ type: 'rbd' }] }, 422, undefined],
    ['with a card in no network', { interfaces: [{}, { networks: [{ network: 'none' }] }] }, 422, ['/interfaces/1/networks/0/network']],
    ['with an unknown field in a disk', { volumes: [{ colour: 1 }] }, 422, ['/volumes/0/colour']],
    ['with a MAC that is taken', { interfaces: [{ mac: '02:bb:00:00:00:01' }, { mac: '02:bb:00:00:00:01' }] }, 409, undefined],
    ['with a method that nobody has', { method: 'Docker' }, 409, undefined],
    ["with another customer's project", { customer: 'other', project: 'acme:web' }, 422, ['/project']],
    ['with metadata that is text', { metadata: 'x' }, 422, ['/metadata']],
    ['with an observed state', { observed_state: 'running' }, 422, ['/observed_state']],
    ['in a state that is not to be asked for', { state: 'crashed' }, 422, ['/state']],
  ])('%s', async (_name, input, status, pointers) => {
    const before = (
      await corral.pool.query('select (select count(*) from vm) as v, (select count(*) from volume) as o, (select sum(allocated_cores) from hypervisor) as h')
    ).rows;
    const answer = await vm(input);
    expect([answer.status, answer.body.code]).toEqual([status, expect.stringMatching(/./)]);
    expect(answer.body.errors?.map((one) => one.pointer) ?? []).toEqual(expect.arrayContaining(pointers ?? []));
    expect(
      (await corral.pool.query('select (select count(*) from vm) as v, (select count(*) from volume) as o, (select sum(allocated_cores) from hypervisor) as h'))
        .rows,
    ).toEqual(before);
  });
});

describe('a change of a virtual machine', () => {
  test('does not touch what is fixed', async () => {
    const { body } = await vm();
    for (const [field, value] of [
      ['uuid', '6f1c24a5-2b0f-4b0c-8a38-2f9df0c8f5a1'],
      ['method', 'QEMU'],
    ] as const)
      await refuses(api('PATCH', `vms/${String(body['id'])}`, { [field]: value }), 422, 'invalid', `/${field}`);
    for (const field of ['observed_state', 'id', 'version', 'created_at', 'volumes', 'placement'])
      await refuses(api('PATCH', `vms/${String(body['id'])}`, { [field]: body[field] ?? null }), 422, 'invalid', `/${field}`);
    const same = await api('PATCH', `vms/${String(body['id'])}`, { uuid: String(body['uuid']).toUpperCase(), method: 'KVM', hypervisor: body['hypervisor'] });
    expect([same.status, same.body['version']]).toEqual([200, body['version']]);
  });

  test('does not overbook its host', async () => {
    const { body } = await vm({ cores_max: 1024 });
    await refuses(api('PATCH', `vms/${String(body['id'])}`, { cores: 17 }), 409, 'conflict');
    await refuses(api('PATCH', `vms/${String(body['id'])}`, { ram: 100 * GIB, ram_max: 100 * GIB }), 409, 'conflict');
    await refuses(api('PATCH', `hypervisors/${String(body['hypervisor'])}`, { cores: 1 }), 409, 'conflict', '/cores');
    await refuses(api('PATCH', `hypervisors/${String(body['hypervisor'])}`, { reserve_ram: 64 * GIB }), 409, 'conflict', '/ram');
  });

  test('keeps customer and project together', async () => {
    const { body } = await vm({ project: 'acme:web' });
    const path = `vms/${String(body['id'])}`;
    await refuses(api('PATCH', path, { customer: 'other' }), 422, 'invalid');
    await refuses(api('PATCH', path, { project: 'other:web' }), 422, 'invalid', '/project');
    expect((await api('PATCH', path, { customer: 'other', project: 'other:web' })).body).toMatchObject({ customer: 'other', project: 'other:web' });
    expect((await api('PATCH', path, { project: null })).body).toMatchObject({ customer: 'other', project: null });
    await refuses(api('DELETE', 'customers/other'), 409, 'in-use');
  });

  test('by PUT is the same twice, with disks and cards that only a creation takes', async () => {
    const input = { method: 'KVM', cores: 1, ram: GIB, volumes: [{ size: GIB }], interfaces: [{}], placement: 'round_robin' };
    const path = 'vms/6f1c24a5-2b0f-4b0c-8a38-2f9df0c8f5aa';
    const first = await api('PUT', path, input);
    const second = await api('PUT', path, input);
    expect([first.status, second.status, second.body]).toEqual([201, 200, first.body]);
    expect((await api('PUT', path.toUpperCase().replace('VMS', 'vms'), { ...input, uuid: path.slice(4) })).status).toBe(200);
  });
});

test('PUTs of the same new key at once make one thing, and none fails', async () => {
  const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => api('PUT', 'customers/at-once', { title: `T${i}` })));
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 200, 200, 201]);
});

test('a PUT to an id that is not there makes nothing', async () => {
  await refuses(api('PUT', 'customers/999999', { name: 'by-id' }), 404, 'not-found');
  await refuses(call(corral, 'PUT', '/api/v1/customers/guarded', {}, { 'if-match': '*' }), 412, 'stale-version');
});

test('deleting a virtual machine frees its disks and addresses, and counts them free', async () => {
  const { body } = await vm({ name: 'short-lived', volumes: [{ name: 'keeps-data' }] });
  expect((await api('DELETE', `vms/${String(body['uuid'])}`)).status).toBe(204);
  expect((await api('GET', 'volumes/keeps-data')).body).toMatchObject({ vm: null, number: null, hypervisor: body['hypervisor'] });
  await expectConsistent(corral);
});
