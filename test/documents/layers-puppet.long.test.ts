/** The merge of layers against Puppet's own lookup, where Puppet is installed. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import { buildDocument, hieraOf, toYaml } from '../../src/documents/index.ts';
import { mergeLayers } from '../../src/documents/layers.ts';
import { fits, strategies, type Layer, type Strategy, type Value } from '../../src/modules/layers/types.ts';
import { aggregateOf, VERSION } from './cases.ts';

const folder = mkdtempSync(join(tmpdir(), 'corral-lookup-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What Puppet looks up for these keys in levels of data, the first the most important. */
async function lookup(name: string, levels: readonly object[], keys: readonly string[]): Promise<Record<string, unknown>> {
  const at = join(folder, name);
  const data = join(at, 'env', name, 'data');
  mkdirSync(data, { recursive: true });
  for (const [i, level] of levels.entries()) writeFileSync(join(data, `${i}.yaml`), toYaml(level));
  const hierarchy = levels.map((_, i) => ({ name: `level ${i}`, path: `${i}.yaml`, data_hash: 'yaml_data' }));
  writeFileSync(join(at, 'env', name, 'hiera.yaml'), toYaml({ version: 5, defaults: { datadir: 'data' }, hierarchy }));
  writeFileSync(join(at, 'keys.json'), JSON.stringify(keys));
  const manifest = `
    $keys = parsejson(file('${at}/keys.json'))
    $found = $keys.map |$key| { $value = lookup($key); [$key, $value =~ Sensitive, $value =~ Sensitive ? { true => $value.unwrap, default => $value }] }
    file { '${at}/found.json': content => inline_template('<%= require "json"; JSON.generate(@found.map { |k, s, v| [k, s, v == :undef ? nil : v] }) %>') }`;
  writeFileSync(join(at, 'site.pp'), manifest.replace("parsejson(file('", "corral_keys('").replace("json'))", "json')"));
  mkdirSync(join(at, 'env', name, 'lib/puppet/functions'), { recursive: true });
  writeFileSync(
    join(at, 'env', name, 'lib/puppet/functions/corral_keys.rb'),
    `Puppet::Functions.create_function(:'corral_keys') do\n  dispatch(:run) { param 'String', :path }\n  def run(path)\n    require 'json'\n    JSON.parse(File.read(path))\n  end\nend\n`,
  );
  const run = promisify(execFile);
  await run('puppet', [
    'apply',
    '--confdir',
    join(at, 'conf'),
    '--vardir',
    join(at, 'var'),
    '--environmentpath',
    join(at, 'env'),
    '--environment',
    name,
    '--libdir',
    join(at, 'env', name, 'lib'),
    '--detailed-exitcodes',
    join(at, 'site.pp'),
  ]).catch((error: { code: number; stdout: string; stderr: string }) => {
    if (error.code !== 2) throw new Error(`${error.stdout}${error.stderr}`);
  });
  const { readFileSync } = await import('node:fs');
  const found = JSON.parse(readFileSync(join(at, 'found.json'), 'utf8')) as [string, boolean, unknown][];
  return Object.fromEntries(found.map(([key, sensitive, value]) => [key, sensitive ? { sensitive: value } : value]));
}

/** The same numbers in every run. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const scalars: readonly Value[] = ['a', 'b', 'c', '', 'true', 0, 1, 2.5, true, false, null];

function anyValue(pick: (below: number) => number, depth: number): Value {
  const kind = depth === 0 ? 0 : pick(4);
  if (kind <= 1) return scalars[pick(scalars.length)]!;
  const length = pick(4);
  if (kind === 2) return Array.from({ length }, () => anyValue(pick, depth - 1));
  return Object.fromEntries(Array.from({ length }, () => [['x', 'y', 'z'][pick(3)]!, anyValue(pick, depth - 1)]));
}

const layer = (id: number, part: Partial<Layer>): Layer => ({
  id,
  name: `layer-${id}`,
  scope: 'everything',
  target: null,
  weight: 100 - id,
  classes: {},
  parameters: {},
  data: {},
  merge: {},
  secrets: {},
  ...part,
});

describe.skipIf(spawnSync('puppet', ['--version']).status !== 0)("Puppet's lookup", () => {
  test('gives what the merge gives, for any values and strategies', async () => {
    const pick = random(7);
    const merge: Record<string, Strategy> = {};
    const data: Record<string, Value>[] = Array.from({ length: 4 }, () => ({}));
    for (let i = 0; i < 600; i++) {
      const strategy = strategies[i % strategies.length]!;
      merge[`k${i}`] = strategy;
      for (const level of data) {
        const value = anyValue(pick, 3);
        if (pick(4) > 0 && fits(strategy, value)) level[`k${i}`] = value;
      }
    }
    const keys = Object.keys(merge).filter((key) => data.some((level) => key in level));
    const merged = mergeLayers(data.map((one, i) => layer(i, { data: one, merge })));
    const options = Object.fromEntries(keys.map((key) => [key, { merge: merge[key] }]));
    const found = await lookup('merge', [{ ...data[0], lookup_options: options }, ...data.slice(1)], keys);
    /* With one level that has it, of several, Puppet leaves double values in: it makes them distinct only while merging. */
    const alone = (key: string): boolean => merge[key] === 'unique' && data.filter((level) => key in level).length === 1;
    for (const key of keys) {
      const value = alone(key) ? mergeLayers([layer(0, { data: { [key]: found[key] as Value }, merge: { [key]: 'unique' } })]).data[key] : found[key];
      expect([key, merge[key], data.map((level) => level[key]), merged.data[key]]).toEqual([key, merge[key], data.map((level) => level[key]), value]);
    }
    expect(keys.length).toBeGreaterThan(400);
  }, 120_000);

  test('takes the data of a document, merges other levels in, interpolates, and wraps secrets', async () => {
    const { body } = buildDocument({
      ...aggregateOf('empty-node'),
      layers: [
        layer(0, {
          data: { list: ['a'], tree: { a: { b: [1] } }, flat: { a: 1 }, text: 'on %{facts.none}end', one: 1 },
          secrets: { password: '50% %{x}', mixed: ['s'] },
          merge: { list: 'unique', tree: 'deep', flat: 'hash', mixed: 'unique' },
        }),
        layer(1, { data: { mixed: ['plain'] } }),
      ],
    });
    const document = hieraOf(body, VERSION);
    const found = await lookup(
      'document',
      [document, { list: ['b', 'a'], tree: { a: { b: [2], c: 3 } }, flat: { a: 2, b: 2 }, one: 2, password: 'no', mixed: ['other'] }],
      ['list', 'tree', 'flat', 'text', 'one', 'password', 'mixed', 'corral::node'],
    );
    expect(found).toEqual({
      list: ['a', 'b'],
      tree: { a: { b: [2, 1], c: 3 } },
      flat: { a: 1, b: 2 },
      text: 'on end',
      one: 1,
      password: { sensitive: '50% %{x}' },
      mixed: { sensitive: ['s', 'plain', 'other'] },
      'corral::node': body['node'],
    });
  }, 60_000);
});
