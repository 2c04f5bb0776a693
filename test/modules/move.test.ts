import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { transaction } from '../../src/db/transaction.ts';
import { forget } from '../../src/modules/control/tombstones.ts';
import { testCorral } from '../support/corral.ts';
import { call, documentNumbers, expectConsistent, GIB, hypervisors, refuses, type Answer } from './fleet.ts';

const env = { CORRAL_ENCRYPTION_KEY: randomBytes(32).toString('base64') };
const one = await testCorral(env);
const two = await testCorral({ ...env, DATABASE_URL: one.databaseUrl });
await hypervisors(one, 4, { cores: 16, cpu_overcommit: 1, ram: 64 * GIB });
await one.make('storage_pool', { name: 'nfs', kind: 'nfs', source: 'filer:/vms', target: '/srv/vms', capacity: 100 * GIB });
for (const i of [1, 2, 3]) await one.make('pool_attachment', { hypervisor: `hv${i}.example.com`, storage_pool: 'nfs' });

const hv = (i: number): string => `hv${i}.example.com`;
const vm = async (extra: Record<string, unknown> = {}): Promise<number> => {
  const input = { method: 'KVM', cores: 1, ram: GIB, state: 'stopped', hypervisor: hv(1), volumes: [{ storage_pool: 'nfs', size: GIB }], ...extra };
  const made = await call(one, 'POST', '/api/v1/vms', input);
  expect([made.status, made.body.detail]).toEqual([201, undefined]);
  return Number(made.body['id']);
};
const patch = (id: number, body: Record<string, unknown>, corral = one): Promise<Answer> => call(corral, 'PATCH', `/api/v1/vms/${id}`, body);
const move = (id: number, to: number, extra: Record<string, unknown> = {}): Promise<Answer> => patch(id, { hypervisor: hv(to), ...extra });

interface Entry {
  readonly ensure: string;
  readonly state?: string;
  readonly held?: { readonly by: readonly string[] };
  readonly uuid?: string;
}
type Section = Record<'domains' | 'bridges' | 'volumes', Record<string, Entry>>;
const section = async (i: number): Promise<Section> =>
  ((await (await one.request(`/pillar/${hv(i)}.json`)).json()) as { corral: { hypervisor: Section } }).corral.hypervisor;
const domain = async (i: number, id: number): Promise<Entry | undefined> => (await section(i)).domains[`vm-${id}`];
/** What a report of a host that applied its whole document does. */
const reported = (i: number): Promise<void> =>
  transaction(two.store, async (tx) => {
    const { rows } = await two.pool.query<{ id: string }>('select t.id from tombstone t join node n on n.id = t.node_id where n.fqdn = $1', [hv(i)]);
    await forget(
      tx,
      rows.map((row) => Number(row.id)),
    );
  });

test('a stopped one moves: the old host removes domain and bridges and no volume, the new one holds it back until that is done', async () => {
  const id = await vm();
  const before = await documentNumbers(one);
  const answer = await move(id, 2, { state: 'running' });
  expect([answer.status, answer.body['hypervisor'], answer.body['state'], answer.body['observed_state']]).toEqual([200, hv(2), 'running', 'unknown']);
  const old = await section(1);
  expect(old.domains[`vm-${id}`]).toEqual({ ensure: 'absent', uuid: answer.body['uuid'] });
  expect(old.bridges[`br-${id}-0`]).toEqual({ ensure: 'absent' });
  expect(Object.keys(old.volumes)).toEqual([]);
  expect(await domain(2, id)).toMatchObject({ ensure: 'present', state: 'stopped', held: { by: [hv(1)] }, xml: expect.stringContaining(`vm-${id}`) as string });
  expect((await section(2)).volumes).toMatchObject({ [`vol-${id}`]: { ensure: 'present' } });
  await reported(1);
  const there = await domain(2, id);
  expect([there?.state, there?.held]).toEqual(['running', undefined]);
  expect((await section(1)).domains).toEqual({});
  const after = await documentNumbers(one);
  expect([after[hv(1)]! - before[hv(1)]!, after[hv(2)]! - before[hv(2)]!, after[hv(3)]! - before[hv(3)]!]).toEqual([2, 2, 0]);
  await expectConsistent(one);
});

test('it is refused, with what to do, for one that runs, one on local disks, and a host that cannot take it', async () => {
  const running = await vm({ state: 'running' });
  await refuses(move(running, 2), 409, 'conflict', '/hypervisor');
  expect((await move(running, 2)).body.detail).toContain('set state to stopped');
  await refuses(move(running, 2, { state: 'stopped' }), 409, 'conflict', '/hypervisor');
  const paused = await vm({ state: 'paused' });
  await refuses(move(paused, 2), 409, 'conflict', '/hypervisor');
  const local = await vm({
    volumes: [
      { storage_pool: 'nfs', size: GIB },
      { storage_pool: 'local', size: GIB },
    ],
  });
  await refuses(move(local, 2), 409, 'conflict', '/hypervisor');
  expect((await move(local, 2)).body.detail).toMatch(/vol-\d+ \(pool local\) lie on hv1/);
  const id = await vm();
  await refuses(move(id, 4), 409, 'no-capacity', '/hypervisor');
  await refuses(move(id, 3, { cores: 17 }), 409, 'no-capacity', '/hypervisor');
  await refuses(patch(id, { hypervisor: 'none.example.com' }), 422, 'invalid', '/hypervisor');
  await call(one, 'PATCH', `/api/v1/nodes/${hv(3)}`, { state: 'maintenance' });
  await refuses(move(id, 3), 409, 'hypervisor-unavailable', '/hypervisor');
  await call(one, 'PATCH', `/api/v1/nodes/${hv(3)}`, { state: 'running' });
  await call(one, 'PATCH', `/api/v1/hypervisors/${hv(3)}`, { methods: ['LXC'] });
  await refuses(move(id, 3), 409, 'hypervisor-unavailable', '/hypervisor');
  await call(one, 'PATCH', `/api/v1/hypervisors/${hv(3)}`, { methods: ['KVM', 'LXC'] });
  expect((await move(id, 1)).status).toBe(200);
  const { rows } = await one.pool.query('select from tombstone');
  expect(rows).toEqual([]);
  for (const each of [running, paused, local, id]) expect((await call(one, 'DELETE', `/api/v1/vms/${each}`)).status).toBe(204);
  for (const i of [1, 2, 3]) await reported(i);
  await expectConsistent(one);
});

test('there and back before the old host reported: the domain is not removed where it came back to, and held for where it was', async () => {
  const id = await vm();
  await move(id, 2, { state: 'running' });
  await patch(id, { state: 'stopped' });
  await move(id, 1, { state: 'running' });
  expect(await domain(1, id)).toMatchObject({ ensure: 'present', state: 'stopped', held: { by: [hv(2)] } });
  expect((await section(1)).bridges[`br-${id}-0`]).toMatchObject({ ensure: 'present' });
  expect(await domain(2, id)).toMatchObject({ ensure: 'absent' });
  await reported(2);
  expect(await domain(1, id)).toMatchObject({ state: 'running' });
  expect((await domain(1, id))?.held).toBeUndefined();
  await expectConsistent(one);
});

test('two moves in a row wait for both old hosts; renaming one shows', async () => {
  const id = await vm();
  await move(id, 2);
  await move(id, 3, { state: 'running' });
  expect((await domain(3, id))?.held).toEqual({ by: [hv(1), hv(2)] });
  expect((await call(one, 'PATCH', `/api/v1/nodes/${hv(1)}`, { fqdn: 'hv0.example.com' })).status).toBe(200);
  expect((await domain(3, id))?.held).toEqual({ by: ['hv0.example.com', hv(2)] });
  await call(one, 'PATCH', '/api/v1/nodes/hv0.example.com', { fqdn: hv(1) });
  await reported(2);
  expect(await domain(3, id)).toMatchObject({ state: 'stopped', held: { by: [hv(1)] } });
  await reported(1);
  expect((await domain(3, id))?.state).toBe('running');
  await expectConsistent(one);
});

test('deleted while it is held: both hosts are told to remove it, and the volume stays', async () => {
  const id = await vm();
  const volume = ((await call(one, 'GET', `/api/v1/volumes?vm=${id}`)).body['volumes'] as { id: number }[])[0]!.id;
  await move(id, 2, { state: 'running' });
  expect((await call(one, 'DELETE', `/api/v1/vms/${id}`)).status).toBe(204);
  for (const i of [1, 2]) expect(await domain(i, id)).toMatchObject({ ensure: 'absent' });
  expect(await call(one, 'GET', `/api/v1/volumes/${volume}`)).toMatchObject({ status: 200, body: { vm: null, hypervisor: null, storage_pool: 'nfs' } });
  for (const i of [1, 2]) await reported(i);
  await expectConsistent(one);
});

test('a host that never comes back: an admin deletes its tombstone, or the node, and the domain starts; a reader may not', async () => {
  const [first, second] = [await vm(), await vm()];
  await one.make('node', { fqdn: 'dead.example.com', site: 'fra1', roles: { hypervisor: { methods: ['KVM'], cores: 8, ram: 64 * GIB } } });
  await one.make('pool_attachment', { hypervisor: 'dead.example.com', storage_pool: 'nfs' });
  for (const id of [first, second]) {
    expect((await patch(id, { hypervisor: 'dead.example.com' })).status).toBe(200);
    await reported(1);
    expect((await move(id, 3, { state: 'running' })).status).toBe(200);
    expect((await domain(3, id))?.held).toEqual({ by: ['dead.example.com'] });
  }
  const reader = String((await call(one, 'POST', '/api/v1/tokens', { name: 'r', kind: 'reader' })).body['token']);
  const path = `/api/v1/tombstones/dead.example.com:domain:vm-${first}`;
  await refuses(call(one, 'DELETE', path, undefined, { authorization: `Bearer ${reader}` }), 403, 'forbidden');
  expect((await call(one, 'GET', path)).body).toMatchObject({ node: 'dead.example.com', kind: 'domain' });
  expect((await call(two, 'DELETE', path)).status).toBe(204);
  expect([(await domain(3, first))?.state, (await domain(3, second))?.state]).toEqual(['running', 'stopped']);
  for (const { id } of (await call(one, 'GET', '/api/v1/pool-attachments?hypervisor=dead.example.com')).body['pool_attachments'] as { id: number }[])
    await call(one, 'DELETE', `/api/v1/pool-attachments/${id}`);
  expect((await call(two, 'DELETE', '/api/v1/nodes/dead.example.com')).status).toBe(204);
  expect((await domain(3, second))?.state).toBe('running');
  await expectConsistent(one);
});

test('moves that race each other, reports and volumes leave one host that runs it, and every document as a fresh build', async () => {
  const ids = await Promise.all(Array.from({ length: 6 }, () => vm()));
  let seed = 7;
  const random = (below: number): number => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % below;
  const seen: Answer[] = [];
  const worker = async (): Promise<void> => {
    for (let i = 0; i < 25; i++) {
      const id = ids[random(ids.length)]!;
      const act = random(6);
      if (act === 0) await reported(1 + random(3));
      else if (act === 1) seen.push(await call(two, 'POST', '/api/v1/volumes', { vm: id, storage_pool: 'local', hypervisor: hv(1 + random(3)), size: GIB }));
      else if (act === 2) {
        const list = (await call(one, 'GET', `/api/v1/volumes?vm=${id}&storage_pool=local`)).body['volumes'] as { id: number }[];
        if (list[0]) seen.push(await call(two, 'PATCH', `/api/v1/volumes/${list[0].id}`, { vm: null }));
      } else seen.push(await patch(id, { hypervisor: hv(1 + random(3)) }, random(2) ? one : two));
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  expect(seen.filter(({ status }) => status >= 500)).toEqual([]);
  expect(seen.filter(({ status }) => status < 300).length).toBeGreaterThan(20);
  await expectConsistent(one);
  for (const id of ids) await patch(id, { state: 'running' });
  const documents = await Promise.all([1, 2, 3].map((i) => section(i)));
  for (const id of ids) {
    const entries = documents.flatMap(({ domains }) => domains[`vm-${id}`] ?? []);
    const gone = entries.filter((entry) => entry.ensure === 'absent').length;
    const there = entries.filter((entry) => entry.ensure === 'present');
    expect(there).toHaveLength(1);
    expect([there[0]!.state, there[0]!.held?.by.length ?? 0]).toEqual([gone > 0 ? 'stopped' : 'running', gone]);
  }
  const wrong = await one.pool.query(`select o.id from volume o join vm v on v.id = o.vm_id where o.hypervisor_id <> v.hypervisor_id`);
  expect(wrong.rows).toEqual([]);
});
