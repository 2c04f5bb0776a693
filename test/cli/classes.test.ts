import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { smallFleet, HV } from '../http/samples.ts';
import { testCorral } from '../support/corral.ts';
import { against, corral, type Ran } from './support.ts';

const server = await testCorral();
const env = against(server);
const folder = mkdtempSync(join(tmpdir(), 'corral-classes-'));
const file = join(folder, 'classes.txt');
const run = (...args: string[]): Promise<Ran> => corral(args, { env });
const list = (environment: string, ...classes: string[]): Promise<Ran> => {
  writeFileSync(file, classes.join('\n'));
  return run('classes', 'import', '--environment', environment, '-f', file);
};

beforeAll(async () => {
  await smallFleet(server);
  await server.make('layer', { name: 'base', scope: 'everything', classes: { ntp: {}, 'profile::motd': {} } });
});
afterAll(() => rmSync(folder, { recursive: true }));

it('imports a list, and warns of classes that nodes have and it lacks', async () => {
  expect((await list('production', 'ntp', 'profile::motd')).err).toBe('2 classes of production\n');
  const lacking = await list('production', 'ntp');
  expect([lacking.code, lacking.err]).toEqual([
    0,
    '1 classes of production\nwarning: profile::motd is not among them, and layers give it to nodes of production: base\n',
  ]);
});

it('says why a node may not come into an environment', async () => {
  await list('testing', 'ntp');
  const { code, err } = await run('set', 'node', HV, 'environment=testing');
  expect(code).not.toBe(0);
  expect(err).toContain(`the class list of the environment testing lacks profile::motd, which the layer base would give ${HV}`);
});
