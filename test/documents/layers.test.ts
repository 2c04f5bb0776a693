import { describe, expect, test } from 'vitest';
import { buildDocument } from '../../src/documents/index.ts';
import { mergeLayers, traceLayers, type Layer, type Strategy, type Value } from '../../src/documents/layers.ts';
import { hasSecrets } from '../../src/documents/node.load.ts';
import { scopes } from '../../src/modules/layers/types.ts';
import { aggregateOf } from './cases.ts';

let ids = 0;
const layer = (name: string, part: Partial<Layer> = {}): Layer => ({
  id: ++ids,
  name,
  scope: 'everything',
  target: null,
  weight: 0,
  classes: {},
  parameters: {},
  data: {},
  merge: {},
  secrets: {},
  ...part,
});

describe('values of one key, the most important first', () => {
  const table: [Strategy, Value[], Value][] = [
    ['first', [1, 2], 1],
    ['first', [null, 2], null],
    ['first', [false, 2], false],
    ['first', [{ a: 1 }, { b: 2 }], { a: 1 }],
    ['unique', [1, 2, 1], [1, 2]],
    ['unique', ['a'], ['a']],
    ['unique', [['b', ['a']], 'c', ['a', 'd']], ['b', 'a', 'c', 'd']],
    ['unique', [[{ a: 1, b: 2 }], [{ b: 2, a: 1 }]], [{ a: 1, b: 2 }]],
    ['unique', [[1, '1', true, 'true']], [1, '1', true, 'true']],
    ['hash', [{ a: { x: 1 } }, { a: { y: 2 }, b: 1 }], { a: { x: 1 }, b: 1 }],
    ['hash', [{ a: null }, { a: 1 }], { a: null }],
    ['deep', [{ a: { x: 1 } }, { a: { x: 0, y: 2 }, b: 1 }], { a: { x: 1, y: 2 }, b: 1 }],
    ['deep', [{ a: [3, 1] }, { a: [1, 2] }], { a: [1, 2, 3] }],
    ['deep', [{ a: null }, { a: 1 }], { a: 1 }],
    ['deep', [{ a: [1] }, { a: 'text' }], { a: [1] }],
    ['deep', [{ a: [1, 1] }, { b: 1 }], { a: [1], b: 1 }],
    ['deep', [{ a: 1 }, { a: 2 }, { a: 3, b: { c: 1 } }], { a: 1, b: { c: 1 } }],
    ['deep', [[2], [1]], [1, 2]],
  ];
  test.each(table)('%s of %j is %j', (strategy, given, value) => {
    const layers = given.map((one, i) => layer(`l${i}`, { weight: -i, data: { k: one }, merge: i === 0 ? { k: strategy } : {} }));
    expect(mergeLayers(layers).data['k']).toEqual(value);
    expect(mergeLayers(layers.toReversed()).data['k']).toEqual(value);
    expect(traceLayers(layers)[0]!.value).toEqual(value);
  });

  test('of names that JavaScript has its own meaning for are like any other', () => {
    const data = JSON.parse('{"__proto__": {"__proto__": 1}, "constructor": {"a": 1}}') as Layer['data'];
    const merged = mergeLayers([layer('a', { data, merge: { ['constructor']: 'deep' as Strategy } }), layer('b', { weight: 1, data })]);
    expect(JSON.stringify(merged.data)).toBe('{"__proto__":{"__proto__":1},"constructor":{"a":1}}');
    expect(({} as { a?: unknown }).a).toBe(undefined);
  });
});

test('the more specific scope wins, then the weight, then the name', () => {
  const every = scopes.map((scope) => layer(`of-${scope}`, { scope, data: { k: scope } }));
  for (const [i, scope] of scopes.entries()) expect(mergeLayers(every.slice(0, i + 1)).data['k']).toBe(scope);
  const heavy = layer('z', { weight: 5, data: { k: 'heavy' } });
  expect(mergeLayers([layer('a', { weight: 4, data: { k: 'light' } }), heavy]).data['k']).toBe('heavy');
  expect(mergeLayers([layer('b', { data: { k: 'b' } }), layer('a', { data: { k: 'a' } })]).data['k']).toBe('a');
});

describe('the trace', () => {
  const base = layer('base', {
    classes: { ntp: { servers: 1, iburst: true } },
    parameters: { tier: 'x' },
    data: { list: ['a'], one: 1 },
    merge: { list: 'unique' },
  });
  const site = layer('site', { scope: 'site', target: 'fra1', classes: { ntp: { servers: 2 } }, data: { list: ['b'] }, secrets: { password: 'hush' } });
  const other = layer('other', { scope: 'site', target: 'fra1', data: { one: 2 } });
  const twin = layer('twin', { scope: 'site', target: 'fra1', data: { one: 3 } });
  const trace = traceLayers([base, twin, other, site]);
  const of = (kind: string, key: string, parameter?: string) => trace.find((one) => one.kind === kind && one.key === key && one.parameter === parameter)!;
  const outcomes = (one: ReturnType<typeof of>) => one.layers.map(({ layer: name, outcome, value }) => [name, outcome, value]);

  test('names every layer in the order in which they are looked at, what each gave, and what won', () => {
    expect(outcomes(of('data', 'list'))).toEqual([
      ['other', 'silent', undefined],
      ['site', 'contributed', ['b']],
      ['twin', 'silent', undefined],
      ['base', 'contributed', ['a']],
    ]);
    expect(of('data', 'list')).toMatchObject({ strategy: 'unique', declared: ['base'], value: ['b', 'a'], secret: false, conflict: false });
    expect(outcomes(of('class', 'ntp', 'servers')).filter(([, outcome]) => outcome !== 'silent')).toEqual([
      ['site', 'won', 2],
      ['base', 'lost', 1],
    ]);
    expect(of('class', 'ntp').layers.map((one) => one.outcome)).toEqual(['silent', 'contributed', 'silent', 'contributed']);
    expect(of('parameter', 'tier')).toMatchObject({ strategy: 'first', declared: [], value: 'x' });
  });

  test('says where names decided, and what is secret', () => {
    expect(of('data', 'one')).toMatchObject({ value: 2, conflict: true });
    expect(of('data', 'password')).toMatchObject({ value: 'hush', secret: true });
    expect(of('data', 'password').layers.map((one) => one.secret)).toEqual([false, true, false, false]);
  });

  test('agrees with the merge', () => {
    const merged = mergeLayers([base, site, other, twin]);
    for (const one of trace) {
      if (one.kind === 'data') expect(merged.data[one.key]).toEqual(one.value);
      if (one.kind === 'parameter') expect(merged.parameters[one.key]).toEqual(one.value);
      if (one.kind === 'class' && one.parameter !== undefined) expect(merged.classes[one.key]![one.parameter]).toEqual(one.value);
    }
    expect(merged.secret_keys).toEqual(['password']);
  });
});

describe('a document', () => {
  const plain = aggregateOf('empty-node');

  test('is the same as ever where layers say nothing', () => {
    const { hash } = buildDocument(plain);
    expect(buildDocument({ ...plain, layers: [] }).hash).toBe(hash);
    expect(buildDocument({ ...plain, layers: [layer('x')] }).hash).toBe(hash);
    expect(buildDocument({ ...plain, layers: [layer('x', { data: { a: 1 } })] }).hash).not.toBe(hash);
  });

  test('of a deactivated node has nothing of layers', () => {
    const gone = { ...plain, node: { ...plain.node, state: 'deactivated' as const } };
    expect(buildDocument({ ...gone, layers: [layer('x', { data: { a: 1 } })] }).hash).toBe(buildDocument(gone).hash);
  });

  test('has a key that is secret in part as secret, and is to be sealed', () => {
    const layers = [layer('a', { weight: 1, data: { k: ['open'] }, merge: { k: 'unique' } }), layer('b', { secrets: { k: ['shut'] } })];
    const { body } = buildDocument({ ...plain, layers });
    expect(body).toMatchObject({ data: { k: ['open', 'shut'] }, secret_keys: ['k'] });
    expect([hasSecrets({ ...plain, layers }), hasSecrets({ ...plain, layers: [layers[0]!] })]).toEqual([true, false]);
    /* What won is no secret: the one that lost is not in the document. */
    expect(buildDocument({ ...plain, layers: [layer('a', { weight: 1, data: { k: 1 } }), layer('b', { secrets: { k: 2 } })] }).body).not.toHaveProperty(
      'secret_keys',
    );
  });
});
