import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { against, corral, scratch } from './support.ts';

const from = await testCorral();
const to = await testCorral();
const folder = scratch();
const env = (databaseUrl: string): Record<string, string> => ({ DATABASE_URL: databaseUrl, CORRAL_DATA: folder });

it('generates a fleet, takes it out, and puts it into another database', async () => {
  const made = await corral(['generate', '--nodes', '4', '--vms', '12', '--seed', '3'], { env: env(from.databaseUrl) });
  expect(made.err).toMatch(/generating 100%/);
  expect(made.err).not.toContain('\r');
  expect(made.code).toBe(0);
  const file = join(folder, 'fleet.yaml');
  expect((await corral(['export', '-o', file, '--secrets'], { env: env(from.databaseUrl) })).code).toBe(0);
  expect(statSync(file).mode & 0o077).toBe(0);
  const imported = await corral(['import', file], { env: env(to.databaseUrl) });
  expect(imported.err).toMatch(/importing 100%/);
  expect(imported.out).toMatch(/vms?: 12 made, 0 changed/);
  expect((await corral(['export', '--secrets'], { env: env(to.databaseUrl) })).out).toBe(readFileSync(file, 'utf8'));
  expect((await corral(['get', 'vms', '--all', '-q'], { env: against(to) })).out.trim().split('\n')).toHaveLength(12);
});

it('imports nothing of a file with a fault, and says where it is', async () => {
  const file = join(folder, 'bad.yaml');
  writeFileSync(file, 'sites:\n  - name: good\n  - name: BAD NAME\n');
  const { code, err } = await corral(['import', file], { env: env(to.databaseUrl) });
  expect(code).toBe(1);
  expect(err).toMatch(/sites\.1\.name/);
  expect((await corral(['get', 'site', 'good'], { env: against(to) })).code).toBe(3);
  expect((await corral(['import', '-'], { env: env(to.databaseUrl), input: 'a: [' })).code).not.toBe(0);
  expect((await corral(['import', '/nonexistent'], { env: env(to.databaseUrl) })).code).toBe(2);
});

it('refuses numbers that are none, and a folder that is not there', async () => {
  expect((await corral(['generate', '--nodes', 'x', '--vms', '1'])).code).toBe(2);
  const { code, err } = await corral(['export', '-o', '/nonexistent/fleet.yaml'], { env: env(from.databaseUrl) });
  expect(code).toBe(1);
  expect(err).toContain('/nonexistent/fleet.yaml cannot be written');
});
