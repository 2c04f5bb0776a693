import { expect, test } from 'vitest';
import { changeThing, createThing, deleteThing } from '../../src/db/write.ts';
import { Problem } from '../../src/kernel/problem.ts';
import { testCorral } from '../support/corral.ts';
import { expectConsistent, GIB } from '../modules/fleet.ts';
import { samples, smallFleet } from '../http/samples.ts';
import { bodies, hostsRemove, newest, revert, state, tombstones, type Bodies } from './revert.ts';

const corral = await testCorral();
const fleet = await smallFleet(corral);
const { store, catalog } = corral;
const all = samples(corral, fleet);
const ROUNDS = 40;

/** A generator of numbers that is the same in every run. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((state / 2 ** 31) * below);
  };
}

/** Where two of them differ, in short. */
function differing(now: Readonly<Record<string, unknown>>, then: Readonly<Record<string, unknown>>): string[] {
  return [...new Set([...Object.keys(now), ...Object.keys(then)])].flatMap((name) => {
    const [one, other] = [JSON.stringify(now[name] ?? null), JSON.stringify(then[name] ?? null)];
    if (one === other) return [];
    const at = [...one].findIndex((char, i) => char !== other[i]);
    return [`${name}: …${one.slice(Math.max(0, at - 120), at + 120)}… was …${other.slice(Math.max(0, at - 120), at + 120)}…`];
  });
}

interface Done {
  readonly what: string;
  readonly number: number;
  readonly before: { readonly state: Record<string, unknown[]>; readonly bodies: Bodies };
}

const ids = async (table: string): Promise<string[]> =>
  (await corral.pool.query<{ id: string }>(`select id from "${table}" order by id`)).rows.map((row) => row.id);

/** One random write; what a rule refuses is as good as nothing. */
async function act(pick: (below: number) => number, i: number): Promise<string> {
  const nouns = Object.keys(all).filter((noun) => !noun.endsWith('token'));
  const noun = ['vm', 'vm', 'volume', 'node'][pick(8)] ?? nouns[pick(nouns.length)]!;
  const model = catalog.byNoun(noun);
  const known = await ids(model.table);
  const one = known[pick(Math.max(1, known.length))];
  const kind = pick(4);
  if (kind === 0 || one === undefined) {
    await createThing(store, model, await all[noun]!.input(i % 9));
    return `create ${noun}`;
  }
  if (kind === 3) {
    await deleteThing(store, model, one);
    return `delete ${noun} ${one}`;
  }
  const patches: Record<string, Record<string, unknown>[]> = {
    vm: [
      { cores: 1 + pick(8) },
      { ram: GIB * (1 + pick(4)), state: 'stopped' },
      { state: 'running', customer: 'acme', project: 'acme:web' },
      { cloud_init: { user_data: `${i}` } },
    ],
    node: [
      { location: `Rack ${i}` },
      { state: 'maintenance' },
      { state: 'running' },
      { roles: { ceph_mon: { ceph_cluster: 'ceph' } } },
      { roles: { ceph_mon: null } },
      { fqdn: `renamed${i}.example.com` },
    ],
    volume: [{ size: GIB * (1 + pick(5)) }, { vm: null }, { vm: fleet.vm['uuid'] }, { read_iops: 1 + pick(100) }],
    subnet: [{ gateway: null }, { dhcp: true }],
    hypervisor: [{ methods: ['KVM'] }, { methods: ['KVM', 'QEMU', 'LXC'], reserve_cores: pick(4) }],
    storage_pool: [{ is_default: false }, { target: `/srv/${i}` }],
    site: [{ name: `site-renamed-${i}` }],
    network: [{ mtu: 1300 + pick(200) }],
  };
  const choices = [all[noun]!.patch, ...(patches[noun] ?? [])];
  await changeThing(store, model, one, choices[pick(choices.length)]);
  return `change ${noun} ${one}`;
}

/** Undoes a change; one that altered nothing in the end, such as an address that nobody has, is left alone. */
async function undo(number: number): Promise<number | undefined> {
  try {
    return (await revert(corral, number)).number;
  } catch (error) {
    if (error instanceof Problem && /altered no row/.test(error.message)) return undefined;
    throw error;
  }
}

const snapshot = async (): Promise<Done['before']> => ({ state: await state(corral), bodies: await bodies(corral) });

/** @returns what was done, or undefined where nothing was */
async function step(pick: (below: number) => number, i: number): Promise<Done | undefined> {
  const before = await snapshot();
  const was = await newest(corral);
  try {
    const what = await act(pick, i);
    const number = await newest(corral);
    /* What an operation needs is made before it by changes of its own. */
    return number === was + 1 ? { what, number, before } : undefined;
  } catch (error) {
    if (error instanceof Problem) return undefined;
    throw error;
  }
}

test.each([1, 2, 3, 4, 5, 6])('whatever is done and undone at once leaves every row and document as it was (seed %i)', async (seed) => {
  const pick = random(seed);
  let undone = 0;
  for (let i = 0; i < ROUNDS; i++) {
    const had = await tombstones(corral);
    const done = await step(pick, i);
    if (!done || pick(2) === 0) continue;
    const after = await bodies(corral);
    const number = await undo(done.number);
    if (number === undefined) continue;
    undone++;
    if (pick(3) === 0) {
      await revert(corral, number);
      expect(differing(await bodies(corral), after), `${done.what}, undone and done again`).toEqual([]);
      continue;
    }
    await hostsRemove(corral, had);
    expect(differing(await bodies(corral), done.before.bodies), done.what).toEqual([]);
    expect(differing(await state(corral), done.before.state), done.what).toEqual([]);
  }
  expect(undone).toBeGreaterThan(5);
  await expectConsistent(corral);
});

test.each([11, 12, 13])('a series is undone from its end, step by step (seed %i)', async (seed) => {
  const pick = random(seed);
  const series: Done[] = [];
  await hostsRemove(corral);
  for (let i = 0; i < ROUNDS; i++) {
    const done = await step(pick, i);
    if (done) series.push(done);
  }
  expect(series.length).toBeGreaterThan(10);
  /* What the last ones made for others, such as nodes for their roles, is not part of the series. */
  const { rows } = await corral.pool.query<{ number: number }>('select number::float8 as number from change where number > $1 order by number desc', [
    series[0]!.number - 1,
  ]);
  for (const { number } of rows) {
    await undo(number);
    const done = series.find((one) => one.number === number);
    if (!done) continue;
    const { tombstone: _, ...now } = await state(corral);
    const { tombstone: __, ...then } = done.before.state;
    expect(differing(now, then), done.what).toEqual([]);
  }
  await hostsRemove(corral);
  expect(differing(await bodies(corral), series[0]!.before.bodies)).toEqual([]);
  await expectConsistent(corral);
});
