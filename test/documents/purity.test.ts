import { describe, expect, it } from 'vitest';
import { buildDocument, encOf, hieraOf, toYaml } from '../../src/documents/index.ts';
import type { Json } from '../../src/documents/index.ts';
import { aggregateOf, cases, VERSION } from './cases.ts';

/** The same data with every object's keys the other way round. */
function turned(value: Json): Json {
  if (Array.isArray(value)) return value.map(turned);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, item]) => [key, turned(item)]),
  );
}

describe.each(cases())('%s', (name) => {
  const bytes = (data: unknown): string => JSON.stringify(data);

  it('gives the same bytes again, and for keys in any order, and leaves its input alone', () => {
    const aggregate = aggregateOf(name);
    const before = bytes(aggregate);
    const first = buildDocument(aggregate);
    expect(bytes(buildDocument(aggregate))).toBe(bytes(first));
    expect(bytes(aggregate)).toBe(before);
    const other = turned(aggregate as unknown as Json) as unknown as typeof aggregate;
    expect(bytes(buildDocument(other))).toBe(bytes(first));
    expect(bytes(hieraOf(first.body, VERSION))).toBe(bytes(hieraOf(buildDocument(other).body, VERSION)));
  });

  it('has a hash of 16 hexadecimal digits that changes with the body', () => {
    const aggregate = aggregateOf(name);
    const { hash } = buildDocument(aggregate);
    expect(hash).toMatch(/^[0-9a-f]{16}$/);
    expect(buildDocument({ ...aggregate, node: { ...aggregate.node, site: 'other' } }).hash).not.toBe(hash);
  });

  it('keeps its version out of every XML text', () => {
    expect(bytes(buildDocument(aggregateOf(name)))).not.toContain(VERSION);
  });

  it('has an ENC without the names that Puppet refuses', () => {
    const enc = encOf(buildDocument(aggregateOf(name)).body, VERSION);
    expect(
      Object.keys(enc.parameters)
        .filter((one) => one.startsWith('corral_'))
        .sort(),
    ).toEqual(['corral_document', 'corral_node', 'corral_roles', 'corral_site']);
    for (const refused of ['facts', 'trusted', 'server_facts', 'environment']) expect(enc.parameters).not.toHaveProperty(refused);
    expect(toYaml(enc)).not.toContain('!');
  });
});
