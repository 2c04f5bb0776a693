import { decode } from '@msgpack/msgpack';
import { load } from 'js-yaml';
import { beforeAll, expect, test } from 'vitest';
import { against, corral, type How, type Ran } from '../cli/support.ts';
import { testCorral } from '../support/corral.ts';
import { layeredFleet, NODE } from './fleet.ts';

const server = await testCorral();
const run = (args: readonly string[], how: How = {}): Promise<Ran> => corral(args, { ...how, env: { ...against(server), ...how.env } });

beforeAll(() => layeredFleet(server));

test('explains a key to people', async () => {
  const { code, out, err } = await run(['explain', NODE, 'packages']);
  expect([code, err]).toEqual([0, '']);
  expect(out).toMatch(/^Searching for "packages" in the documents of hv1\.example\.com, version \d+-/);
  expect(out).toContain('Merge strategy unique, which the layers declare: base');
  expect(out).toMatch(/Set by change \d+, \S+Z, by admin: Frankfurt/);
  expect(out).toContain('Merged result: [');
});

test('lists every value with what it comes from', async () => {
  const { code, out } = await run(['explain', NODE]);
  expect(code).toBe(0);
  expect(out).toMatch(/^ {2}packages +fra1, base +\["htop","tcpdump","vim"\]$/m);
  expect(out).toMatch(/^ {2}db::password +first +\(secret\)$/m);
});

test('gives programs JSON, YAML and MessagePack', async () => {
  const json = JSON.parse((await run(['explain', NODE, 'motd', '-o', 'json'])).out) as { values: { won: string[] }[] };
  expect(json.values[0]!.won).toEqual(['own']);
  expect(load((await run(['explain', NODE, 'motd', '-o', 'yaml'])).out)).toEqual(json);
  expect(decode((await run(['explain', NODE, 'motd', '-o', 'msgpack'])).bytes)).toEqual(json);
});

test('a key that is not there: the commands for those that are near', async () => {
  const { code, err } = await run(['explain', NODE, 'package']);
  expect(code).not.toBe(0);
  expect(err).toContain("not-found: The documents of hv1.example.com have no value 'package'. Names like it: packages.");
  expect(err).toContain('  corral explain hv1.example.com packages');
});

test('its help has examples', async () => {
  const { code, out } = await run(['explain', '--help']);
  expect(code).toBe(0);
  expect(out).toContain('corral explain hv1.example.com ntp::servers');
});
