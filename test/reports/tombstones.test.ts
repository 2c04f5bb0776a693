import { expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { GIB } from '../modules/fleet.ts';
import { documentResource, fleet, get, NODE, post, puppetReport, versionOf, type Resource } from './fleet.ts';

const corral = await testCorral();
await fleet(corral, 2);
const report = (resources: readonly Resource[], more: Record<string, unknown> = {}) => post(corral, '/reports/puppet', puppetReport(resources, more));
const tombstones = async (): Promise<string[]> =>
  ((await get(corral, `/api/v1/tombstones?node=${NODE}`))['tombstones'] as { kind: string; name: string }[]).map((one) => `${one.kind} ${one.name}`).sort();

const documentText = async (): Promise<string> => (await corral.request(`/documents/${NODE}.json`)).text();

/** Makes a virtual machine and deletes it. @returns its id */
async function gone(): Promise<number> {
  const id = Number((await corral.make('vm', { cores: 1, ram: GIB, method: 'KVM', hypervisor: NODE }))['id']);
  expect((await corral.request(`/api/v1/vms/${id}`, { method: 'DELETE' })).status).toBe(204);
  return id;
}

test('a tombstone leaves when the document that has it is reported as applied, and the document with it', async () => {
  const id = await gone();
  const all = [`bridge br-${id}-0`, `domain vm-${id}`];
  expect(await tombstones()).toEqual(all);
  const version = await versionOf(corral);

  await report([documentResource(version, 'noop')], { noop: true });
  await report([{ type: 'Corral_domain', title: `vm-${id}`, result: 'failed' }, documentResource(version, 'skipped')]);
  await report([documentResource('1-0000000000000000')]);
  await post(corral, '/heartbeats', { node: NODE, document: version });
  await report([documentResource(version)], { node: 'hv2.example.com' });
  await report([documentResource(version)], { at: -3600 });
  expect([await tombstones(), await versionOf(corral)]).toEqual([all, version]);

  await report([{ type: 'Corral_bridge', title: `br-${id}-0`, result: 'failed' }, documentResource(version)]);
  expect(await tombstones()).toEqual([`bridge br-${id}-0`]);

  const next = await versionOf(corral);
  expect(next).not.toBe(version);
  await report([documentResource(next)]);
  expect(await tombstones()).toEqual([]);
  expect(await documentText()).not.toContain(`vm-${id}`);
});

test('one that comes while the host is at it waits for the next run', async () => {
  const first = await gone();
  const version = await versionOf(corral);
  const second = await gone();
  await report([documentResource(version)]);
  expect(await tombstones()).toHaveLength(4);
  expect([first, second].every((id) => id > 0)).toBe(true);
  await report([documentResource(await versionOf(corral))]);
  expect(await tombstones()).toEqual([]);
});

test('reports and deletions at the same time lose no tombstone', async () => {
  for (let round = 0; round < 8; round++) {
    const [ids] = await Promise.all([
      Promise.all([gone(), gone()]),
      ...Array.from({ length: 4 }, async () => report([documentResource(await versionOf(corral))])),
    ]);
    /* What left was in a document that was reported; what is left is in the newest. */
    const left = await tombstones();
    const document = await documentText();
    for (const one of left) expect(document).toContain(`"${one.split(' ')[1]}"`);
    for (const id of ids) expect(document.includes(`"vm-${id}"`)).toBe(left.includes(`domain vm-${id}`));
  }
});

test('an admin may delete one, for a host that never comes back; nobody makes or changes one', async () => {
  const id = await gone();
  const version = await versionOf(corral);
  expect((await post(corral, '/api/v1/tombstones', { node: NODE, kind: 'domain', name: 'x' })).status).toBe(405);
  expect((await corral.request(`/api/v1/tombstones/${NODE}:domain:vm-${id}`, { method: 'PATCH', body: '{}' })).status).toBe(405);
  const reader = String((await corral.make('token', { name: 'r', kind: 'reader' }))['token']);
  expect((await corral.request(`/api/v1/tombstones/${NODE}:domain:vm-${id}`, { method: 'DELETE', token: reader })).status).toBe(403);
  expect((await corral.request(`/api/v1/tombstones/${NODE}:domain:vm-${id}`, { method: 'DELETE' })).status).toBe(204);
  expect(await versionOf(corral)).not.toBe(version);
});
