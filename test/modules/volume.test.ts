import { beforeAll, describe, expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { call, expectConsistent, GIB, hypervisors, refuses, type Answer } from './fleet.ts';

const corral = await testCorral();
const api = (method: string, path: string, body?: unknown): Promise<Answer> => call(corral, method, `/api/v1/${path}`, body);
const [HV1, HV2] = ['hv1.example.com', 'hv2.example.com'];
const vm = async (extra: Record<string, unknown> = {}): Promise<{ id: string; volumes: string[] }> => {
  const { body } = await api('POST', 'vms', { method: 'KVM', cores: 1, ram: GIB, hypervisor: HV1, volumes: [{ size: GIB }], ...extra });
  const id = String(body['id']);
  const { rows } = await corral.pool.query<{ name: string }>('select name from volume where vm_id = $1 order by number', [id]);
  return { id, volumes: rows.map((row) => row.name) };
};
const free = { storage_pool: 'local', hypervisor: HV1, size: GIB, type: 'qcow2' };

beforeAll(async () => {
  await hypervisors(corral, 2);
  await corral.make('storage_pool', { name: 'nfs', kind: 'nfs', source: 'nas:/vms', target: '/mnt/vms', capacity: 10 * GIB });
  await corral.make('storage_pool', { name: 'lvm', kind: 'lvm' });
  await corral.make('pool_attachment', { hypervisor: HV1, storage_pool: 'nfs' });
  await corral.make('pool_attachment', { hypervisor: HV1, storage_pool: 'lvm', capacity: 5 * GIB });
});

describe('a volume', () => {
  test('of one virtual machine is not that of another with the same number', async () => {
    const [one, two] = [await vm(), await vm()];
    await refuses(api('POST', 'volumes', { ...free, vm: one.id, number: 0 }), 409, 'already-exists', '/number');
    const second = await api('POST', 'volumes', { ...free, vm: one.id });
    expect([second.status, second.body['number']]).toEqual([201, 1]);
    const moved = await api('PATCH', `volumes/${String(second.body['name'])}`, { vm: two.id });
    expect([moved.status, moved.body['vm'] !== null, moved.body['number']]).toEqual([200, true, 1]);
  });

  test('moves from one machine to another, also where the number is taken', async () => {
    const [one, two] = [await vm({ volumes: [{ size: GIB }, { size: GIB }] }), await vm()];
    const moved = await api('PATCH', `volumes/${one.volumes[0]!}`, { vm: two.id });
    expect([moved.status, moved.body['number']]).toEqual([200, 1]);
  });

  test('that is the last of its machine stays, freed or moved', async () => {
    const [one, two] = [await vm(), await vm()];
    await refuses(api('PATCH', `volumes/${one.volumes[0]!}`, { vm: null }), 409, 'conflict', '/vm');
    await refuses(api('PATCH', `volumes/${one.volumes[0]!}`, { vm: two.id }), 409, 'conflict', '/vm');
    await refuses(api('DELETE', `volumes/${one.volumes[0]!}`), 409, 'in-use');
  });

  test('and the other of two do not both go at the same time', async () => {
    const { volumes } = await vm({ volumes: [{ size: GIB }, { size: GIB }] });
    const answers = await Promise.all(volumes.map((name) => api('PATCH', `volumes/${name}`, { vm: null })));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
  });

  test('that two machines ask for at the same time belongs to one', async () => {
    const machines = await Promise.all([vm(), vm(), vm()]);
    await api('POST', 'volumes', { ...free, name: 'wanted' });
    const answers = await Promise.all(machines.map(({ id }) => api('PATCH', 'volumes/wanted', { vm: id })));
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    const { rows } = await corral.pool.query<{ n: string }>(`select count(*) as n from volume where name = 'wanted' and vm_id is not null`);
    expect(rows[0]!.n).toBe('1');
  });

  test.each([
    ['of LVM in a directory', { ...free, type: 'lvm' }, 422, '/type'],
    ['of a file in LVM', { ...free, storage_pool: 'lvm', type: 'raw' }, 422, '/type'],
    ['in a local pool on no host', { ...free, hypervisor: undefined }, 422, '/hypervisor'],
    ['in a shared pool on one host', { ...free, storage_pool: 'nfs' }, 422, '/type'],
    ['in a pool that is not attached', { ...free, storage_pool: 'lvm', type: 'lvm', hypervisor: HV2 }, 422, '/storage_pool'],
    ['larger than the pool of the host', { ...free, storage_pool: 'lvm', type: 'lvm', size: 6 * GIB }, 409, '/size'],
    ['larger than the shared pool', { ...free, storage_pool: 'nfs', hypervisor: undefined, size: 11 * GIB }, 409, '/size'],
    ['with a number and no machine', { ...free, number: 3 }, 422, '/number'],
    ['with a limit of nothing', { ...free, read_iops: 0 }, 422, '/read_iops'],
    ['of no size', { ...free, size: 0 }, 422, '/size'],
    ['of an unknown type', { ...free, type: 'vmdk' }, 422, '/type'],
  ])('%s is refused', async (_name, input, status, pointer) => {
    const answer = await api('POST', 'volumes', input);
    expect([answer.status, answer.body.errors?.map((one) => one.pointer)]).toEqual([status, expect.arrayContaining([pointer])]);
  });

  test('on another host than its machine is refused', async () => {
    const { id } = await vm();
    const answer = await api('POST', 'volumes', { ...free, hypervisor: HV2, vm: id });
    expect([answer.status, answer.body.errors?.[0]?.pointer]).toEqual([409, '/hypervisor']);
  });

  test('keeps its type and image, and is resized within the space', async () => {
    await api('POST', 'volumes', { ...free, storage_pool: 'lvm', type: 'lvm', name: 'grows' });
    await refuses(api('PATCH', 'volumes/grows', { type: 'raw' }), 422, 'invalid', '/type');
    expect((await api('PATCH', 'volumes/grows', { size: 5 * GIB })).status).toBe(200);
    await refuses(api('PATCH', 'volumes/grows', { size: 6 * GIB }), 409, 'conflict', '/size');
    await refuses(api('PATCH', `pool-attachments/${HV1}:lvm`, { capacity: GIB }), 409, 'conflict', '/capacity');
    expect((await api('GET', `pool-attachments/${HV1}:lvm`)).body['allocated']).toBe(5 * GIB);
  });

  test('with snapshots is not deleted', async () => {
    await api('POST', 'volumes', { ...free, name: 'snapped' });
    await api('POST', 'snapshots', { volume: 'snapped', name: 'before' });
    await refuses(api('DELETE', 'volumes/snapped'), 409, 'in-use');
    await refuses(api('PATCH', 'snapshots/snapped:before', { name: 'after' }), 422, 'invalid', '/name');
  });

  test('that is deleted leaves a tombstone on its host', async () => {
    await api('POST', 'volumes', { ...free, name: 'buried' });
    expect((await api('DELETE', 'volumes/buried')).status).toBe(204);
    const { hypervisor } = ((await (await corral.request(`/pillar/${HV1}`)).json()) as { corral: { hypervisor: { volumes: Record<string, unknown> } } }).corral;
    expect(hypervisor.volumes['buried']).toMatchObject({ ensure: 'absent', pool: 'local' });
    await api('POST', 'volumes', { ...free, name: 'buried' });
    const again = ((await (await corral.request(`/pillar/${HV1}`)).json()) as { corral: { hypervisor: { volumes: Record<string, unknown> } } }).corral;
    expect(again.hypervisor.volumes['buried']).toMatchObject({ ensure: 'present' });
  });
});

describe('a storage pool', () => {
  test.each([
    ['of RBD without a Ceph pool', { kind: 'rbd' }, '/ceph_pool'],
    ['of NFS without a source', { kind: 'nfs', target: '/mnt' }, '/source'],
    ['of NFS without a target', { kind: 'nfs', source: 'nas:/x' }, '/target'],
    ['of a directory with a source', { kind: 'dir', source: 'nas:/x' }, '/source'],
    ['of a directory with a capacity', { kind: 'dir', capacity: GIB }, '/capacity'],
  ])('%s is refused', async (_name, input, pointer) => {
    await refuses(api('POST', 'storage-pools', { name: 'odd', ...input }), 422, 'invalid', pointer);
  });

  test('keeps its kind, is the default alone, and stays while it holds volumes', async () => {
    await refuses(api('PATCH', 'storage-pools/local', { kind: 'lvm' }), 422, 'invalid', '/kind');
    await refuses(api('PATCH', 'storage-pools/nfs', { is_default: true }), 409, 'conflict', '/is_default');
    await refuses(api('DELETE', 'storage-pools/local'), 409, 'in-use');
    await refuses(api('DELETE', `pool-attachments/${HV1}:local`), 409, 'in-use');
    await refuses(api('DELETE', `nodes/${HV1}`), 409, 'in-use');
  });

  test('that is shared counts what it holds as soon as it has a capacity', async () => {
    expect((await api('PATCH', 'storage-pools/nfs', { capacity: null })).body['allocated']).toBe(0);
    expect((await api('POST', 'volumes', { storage_pool: 'nfs', size: 2 * GIB, type: 'raw' })).status).toBe(201);
    await refuses(api('PATCH', 'storage-pools/nfs', { capacity: GIB }), 409, 'conflict', '/capacity');
    expect((await api('PATCH', 'storage-pools/nfs', { capacity: 3 * GIB })).body['allocated']).toBe(2 * GIB);
    await expectConsistent(corral);
  });
});
