import { expect, test } from 'vitest';
import { changeThing, createThing, deleteThing } from '../../src/db/write.ts';
import { Problem } from '../../src/kernel/problem.ts';
import { testCorral } from '../support/corral.ts';
import { expectConsistent, GIB } from '../modules/fleet.ts';
import { HV, samples, smallFleet } from '../http/samples.ts';
import { bodies, hostsRemove, newest, revert, state, tombstones } from './revert.ts';

const corral = await testCorral();
const fleet = await smallFleet(corral);
const { store, catalog } = corral;
const all = samples(corral, fleet);
const id = String(fleet.vm['id']);

test.each(Object.keys(all).filter((noun) => !noun.endsWith('token')))(
  'a %s that was made, changed and deleted: each is undone, and each undoing',
  async (noun) => {
    const model = catalog.byNoun(noun);
    const input = await all[noun]!.input(4);
    const before = { state: await state(corral), bodies: await bodies(corral) };
    const there = await tombstones(corral);
    const row = await createThing(store, model, input);
    const made = { number: await newest(corral), state: await state(corral), bodies: await bodies(corral) };

    await revert(corral, made.number);
    const undone = await newest(corral);
    await hostsRemove(corral, there);
    expect(await state(corral)).toEqual(before.state);
    expect(await bodies(corral)).toEqual(before.bodies);
    await expectConsistent(corral);
    await revert(corral, undone);
    expect(await bodies(corral)).toEqual(made.bodies);
    expect(await state(corral)).toEqual(made.state);
    await expectConsistent(corral);

    await changeThing(store, model, String(row['id']), all[noun]!.patch);
    const changed = { number: await newest(corral), bodies: await bodies(corral) };
    if (changed.number > undone + 1) {
      await revert(corral, changed.number);
      expect(await bodies(corral)).toEqual(made.bodies);
      expect(await state(corral)).toEqual(made.state);
    }

    const full = { state: await state(corral), bodies: await bodies(corral) };
    const had = await tombstones(corral);
    await deleteThing(store, model, String(row['id']));
    const deleted = await newest(corral);
    expect(deleted).toBeGreaterThan(changed.number);
    await revert(corral, deleted);
    expect(await bodies(corral)).toEqual(full.bodies);
    expect(await state(corral)).toEqual(full.state);
    expect(await tombstones(corral)).toEqual(had);
    await expectConsistent(corral);
  },
);

test('a deleted virtual machine comes back with its ids, volumes, cards and addresses', async () => {
  const vm = await createThing(store, catalog.byNoun('vm'), {
    method: 'KVM',
    cores: 2,
    ram: GIB,
    name: 'web',
    volumes: [{ size: GIB }, { size: 2 * GIB }],
    interfaces: [{}, {}],
  });
  const full = { state: await state(corral), bodies: await bodies(corral) };
  await deleteThing(store, catalog.byNoun('vm'), String(vm['id']));
  const number = await newest(corral);
  const { warnings, number: made } = await revert(corral, number);
  expect(warnings).toEqual([]);
  expect(await state(corral)).toEqual(full.state);
  expect(await bodies(corral)).toEqual(full.bodies);
  const { rows } = await corral.pool.query('select message, reverts::int, actor from change where number = $1', [made]);
  expect(rows).toEqual([{ message: `Revert change ${number}`, reverts: number, actor: 'tester' }]);
  await expectConsistent(corral);
});

test('what its host has removed already comes back with a warning', async () => {
  const volume = await createThing(store, catalog.byNoun('volume'), { storage_pool: 'local', hypervisor: HV, size: GIB, name: 'lost' });
  await deleteThing(store, catalog.byNoun('volume'), String(volume['id']));
  const number = await newest(corral);
  await hostsRemove(corral);
  expect((await revert(corral, number)).warnings).toEqual([`${HV} has removed the volume lost already: it comes back empty`]);
});

test('later changes of the same fields stand in the way, and those of others do not', async () => {
  const model = catalog.byNoun('vm');
  await changeThing(store, model, id, { cores: 2 });
  const first = await newest(corral);
  await changeThing(store, model, id, { ha_policy: 'restart' });
  await changeThing(store, model, id, { cores: 3 });
  const second = await newest(corral);
  const refused = await revert(corral, first).catch((error: unknown) => error as Problem);
  expect(refused).toBeInstanceOf(Problem);
  expect(refused).toMatchObject({
    code: 'stands-in-the-way',
    status: 409,
    extra: { changes: [{ number: second, actor: 'corral', what: [expect.stringMatching(/^vm .*: cores, cores_max$/)] }] },
  });
  await revert(corral, second);
  await revert(corral, first);
  const { rows } = await corral.pool.query('select cores, ha_policy from vm where id = $1', [id]);
  expect(rows).toEqual([{ cores: 1, ha_policy: 'restart' }]);
});

test('what refers to a thing that would go stands in the way, and what a thing needs that is gone', async () => {
  await createThing(store, catalog.byNoun('site'), { name: 'ams1' });
  const site = await newest(corral);
  await createThing(store, catalog.byNoun('node'), {
    fqdn: 'far.example.com',
    site: 'ams1',
    roles: { hypervisor: { methods: ['KVM'], cores: 8, ram: 8 * GIB } },
  });
  const node = await newest(corral);
  await expect(revert(corral, site)).rejects.toMatchObject({ code: 'stands-in-the-way', extra: { changes: [{ number: node }] } });
  await deleteThing(store, catalog.byNoun('node'), 'far.example.com');
  const gone = await newest(corral);
  await deleteThing(store, catalog.byNoun('site'), 'ams1');
  const without = await newest(corral);
  await expect(revert(corral, gone)).rejects.toMatchObject({ code: 'stands-in-the-way', extra: { changes: [{ number: without }] } });
  await revert(corral, without);
  const { rows: was } = await corral.pool.query<{ node_id: string; number: number }>(
    `select v.node_id, max(v.number) as number from document_version v where v.node_id = (select row_id from change_row r join change c on c.id = r.change_id where c.number = $1 and r.noun = 'node') group by 1`,
    [gone],
  );
  expect((await revert(corral, gone)).warnings).toEqual(['The tokens, reports and facts of far.example.com do not come back']);
  const { rows: is } = await corral.pool.query('select node_id, number - 1 as number from document d join node n on n.id = d.node_id where n.fqdn = $1', [
    'far.example.com',
  ]);
  expect(is).toEqual(was);
  await expectConsistent(corral);
});

test('an address that somebody else has got since is named', async () => {
  const vm = await createThing(store, catalog.byNoun('vm'), { method: 'KVM', cores: 1, ram: GIB });
  const card = `${String(vm['id'])}-0`;
  const { rows } = await corral.pool.query<{ address: string }>(
    'select host(address) as address from address a join vm_interface i on i.id = a.vm_interface_id where i.name = $1 and family(address) = 4',
    [card],
  );
  await deleteThing(store, catalog.byNoun('vm'), String(vm['id']));
  const number = await newest(corral);
  await createThing(store, catalog.byNoun('vm'), { method: 'KVM', cores: 1, ram: GIB, interfaces: [{ addresses: [rows[0]!.address] }] });
  const taken = await newest(corral);
  await expect(revert(corral, number)).rejects.toMatchObject({ code: 'stands-in-the-way', extra: { changes: [{ number: taken }] } });
});

test('no room any more: refused as any other write is', async () => {
  const vm = await createThing(store, catalog.byNoun('vm'), { method: 'KVM', cores: 60, ram: GIB });
  await deleteThing(store, catalog.byNoun('vm'), String(vm['id']));
  const number = await newest(corral);
  await createThing(store, catalog.byNoun('vm'), { method: 'KVM', cores: 200, ram: GIB, interfaces: [{ addresses: ['10.0.0.14'] }] });
  const before = await state(corral);
  await expect(revert(corral, number)).rejects.toMatchObject({ code: 'conflict', status: 409 });
  expect(await state(corral)).toEqual(before);
});

test('a change that is not there, and one that has no rows', async () => {
  await expect(revert(corral, 999_999)).rejects.toMatchObject({ code: 'not-found' });
});
