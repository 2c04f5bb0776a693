import { describe, expect, test } from 'vitest';
import { etagOf, matches, guardOf } from '../../src/kernel/etag.ts';

test('a tag is strong, and of the bytes and the version', () => {
  expect(etagOf('a')).toMatch(/^"[\w-]{22}"$/);
  expect(etagOf('a')).toBe(etagOf(new TextEncoder().encode('a')));
  expect(etagOf('a')).not.toBe(etagOf('b'));
  expect(etagOf('a', 7)).toMatch(/^"7\.[\w-]{22}"$/);
});

describe('If-None-Match', () => {
  test.each([
    ['"a"', true],
    ['"b"', false],
    ['"b", "a"', true],
    ['"b","a" ,"c"', true],
    ['W/"a"', true],
    ['*', true],
    [' * ', true],
    ['a', false],
    ['"A"', false],
    ['', false],
    [undefined, false],
    [null, false],
  ])('%s', (header, expected) => {
    expect(matches(header, '"a"')).toBe(expected);
  });
});

describe('If-Match', () => {
  test.each([
    [undefined, undefined],
    ['', undefined],
    ['*', 'any'],
    [' * ', 'any'],
    ['"3.abc_-"', [3]],
    ['"3.a", "4.b"', [3, 4]],
    ['"3"', []],
    ['3.a', []],
    ['W/"3.a"', []],
    ['"x.3"', []],
    ['"-1.a"', []],
    ['"3.a", nonsense', [3]],
  ])('%s', (header, expected) => {
    expect(guardOf(header)).toEqual(expected);
  });
});
