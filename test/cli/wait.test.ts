import { expect, it } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { GIB, hypervisors } from '../modules/fleet.ts';
import { report } from '../events/reports.ts';
import { against, corral, ended, says, start } from './support.ts';

const server = await testCorral();
await hypervisors(server, 1);
const HV = 'hv1.example.com';
const env = against(server);

it('waits, says for what, and ends with 0 when the host has reported', async () => {
  const vm = await server.make('vm', { method: 'KVM', cores: 1, ram: GIB });
  const child = start(['wait', 'vm', String(vm['id']), '--timeout', '60'], { env });
  const text = await says(child, 'stderr', /waiting/);
  expect(text).toMatch(/^Virtual machine \S+: waiting: hv1\.example\.com has never reported/);
  await report(server, HV);
  expect(await ended(child)).toBe(0);
  const quiet = await corral(['wait', 'node', HV, '-q'], { env });
  expect([quiet.code, quiet.out, quiet.err]).toEqual([0, '', '']);
  const shown = await corral(['wait', 'vm', String(vm['uuid']), '-o', 'json', '-q'], { env });
  expect(JSON.parse(shown.out)).toMatchObject({ id: vm['id'], convergence: { state: 'converged', why_not: null } });
});

it('ends with 1 when the time is over, 3 without such a thing, 2 for words that it does not know', async () => {
  const vm = await server.make('vm', { method: 'KVM', cores: 1, ram: GIB });
  const late = await corral(['wait', 'vm', String(vm['id']), '--timeout', '1'], { env });
  expect([late.code, late.err]).toEqual([1, expect.stringMatching(/waiting: .*\ncorral: it is not converged after 1 s\n$/)]);
  expect((await corral(['wait', 'vm', '999'], { env })).code).toBe(3);
  expect((await corral(['wait', 'vm', '1', '--timeout', 'long'], { env })).code).toBe(2);
  const site = await corral(['wait', 'site', 'fra1'], { env });
  expect([site.code, site.err]).toEqual([1, expect.stringContaining('no host builds a site')]);
});
