import { encode } from '@msgpack/msgpack';
import { describe, expect, test } from 'vitest';
import { decodeBody, MAX_FIELDS } from '../../src/kernel/codec.ts';
import { MAX_VALUES, measureJson, measureMsgpack } from '../../src/kernel/measure.ts';
import { Problem } from '../../src/kernel/problem.ts';

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(Problem);
    expect((error as Problem).status).toBe(400);
    return (error as Problem).message;
  }
  return 'was not refused';
}
const times = (count: number, ...bytes: number[]): Uint8Array => Uint8Array.from({ length: count * bytes.length }, (_, i) => bytes[i % bytes.length]!);
const heap = (): number => process.memoryUsage().rss;

describe('MessagePack that asks for more than it is', () => {
  test.each([
    ['lists of 100,000 in lists of 100,000', times(200_000, 0xdd, 0x00, 0x01, 0x86, 0xa0)],
    ['objects of 100,000 in one another', times(200_000, 0xdf, 0x00, 0x01, 0x86, 0xa0)],
    ['a list of 4 billion', Uint8Array.from([0xdd, 0xff, 0xff, 0xff, 0xff])],
    ['an object of 4 billion', Uint8Array.from([0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1])],
    ['a text of 4 GiB', Uint8Array.from([0xdb, 0xff, 0xff, 0xff, 0xff, 0x61])],
    ['bytes of 4 GiB', Uint8Array.from([0xc6, 0xff, 0xff, 0xff, 0xff, 0x00])],
    ['an extension of 4 GiB', Uint8Array.from([0xc9, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00])],
    ['a length that is cut off', Uint8Array.from([0xdd, 0xff])],
    ['a number that is cut off', Uint8Array.from([0xcb, 0x00])],
    ['lists of one in one another', times(500_000, 0x91)],
    ['nothing', new Uint8Array()],
    ['a type that is none', Uint8Array.from([0x91, 0xc1])],
  ])('%s is refused, and takes no memory', (_name, body) => {
    const before = heap();
    expect(refusal(() => decodeBody(body, 'application/msgpack'))).toMatch(/MessagePack body cannot be decoded|deeper than 32/);
    expect(heap() - before).toBeLessThan(100 * 1024 * 1024);
  });

  test('and more values than anybody needs', () => {
    expect(
      refusal(() =>
        measureMsgpack(Uint8Array.from([0xdd, ...[24, 16, 8, 0].map((by) => ((MAX_VALUES + 1) >> by) & 255), ...new Array<number>(MAX_VALUES + 1).fill(0)])),
      ),
    ).toMatch(/more than 2000000 values/);
  });
});

test('whatever is well-formed passes, and whatever part of it is not', () => {
  let seed = 11;
  const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const value = (depth: number): unknown => {
    const kind = random(depth > 5 ? 6 : 8);
    if (kind === 0) return random(2) === 0 ? null : true;
    if (kind === 1) return random(2_147_483_647) * (random(2) ? 1 : -1);
    if (kind === 2) return random(1000) / 7;
    if (kind === 3) return 'ü'.repeat(random(random(10) === 0 ? 70_000 : 40));
    if (kind === 4) return new Uint8Array(random(random(5) === 0 ? 70_000 : 300));
    if (kind === 5) return new Date(random(2_000_000_000) * 1000);
    const count = random(random(20) === 0 ? 300 : 20);
    if (kind === 6) return Array.from({ length: depth > 2 ? count % 4 : count }, () => value(depth + 1));
    return Object.fromEntries(Array.from({ length: depth > 2 ? count % 4 : count }, (_, i) => [`k${i}`, value(depth + 1)]));
  };
  for (let i = 0; i < 300; i++) {
    const bytes = encode(value(0));
    measureMsgpack(bytes);
    for (let j = 0; j < 5; j++) expect(refusal(() => measureMsgpack(bytes.slice(0, random(bytes.length))))).toMatch(/MessagePack/);
  }
});

describe('JSON', () => {
  test('of more values than anybody needs is refused before it is read', () => {
    expect(refusal(() => decodeBody(Buffer.from(`[${'[],'.repeat(MAX_VALUES)}[]]`), 'application/json'))).toMatch(/more than 2000000 values/);
  });

  test('of one long text passes, whatever is in it', () => {
    expect(() => measureJson(Buffer.from(JSON.stringify([',[{:"\\'.repeat(1_000_000)])))).not.toThrow();
  });
});

test('a form of one name again and again is refused, and quickly', () => {
  expect(refusal(() => decodeBody(Buffer.from('a&'.repeat(500_000)), 'application/x-www-form-urlencoded'))).toBe(`The form has more than ${MAX_FIELDS} fields`);
});
