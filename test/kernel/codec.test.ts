import { encode, ExtensionCodec } from '@msgpack/msgpack';
import { describe, expect, test } from 'vitest';
import { decodeBody, isRecord, readBody, toMsgpack } from '../../src/kernel/codec.ts';
import { Problem } from '../../src/kernel/problem.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const JSON_TYPE = 'application/json';
const MSGPACK = 'application/msgpack';
const FORM = 'application/x-www-form-urlencoded';

function refusal(body: Uint8Array, type: string | null): Problem {
  try {
    decodeBody(body, type);
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error('was not refused');
}

describe('good bodies', () => {
  const data = { name: 'Jürgen 🐎', list: [1, 2.5, -3, null, true], deep: { '': 'x', 'a/b': 1 } };
  test.each([
    ['JSON', bytes(JSON.stringify(data)), JSON_TYPE],
    ['JSON without a type', bytes(JSON.stringify(data)), null],
    ['JSON with parameters', bytes(JSON.stringify(data)), 'Application/JSON; charset=utf-8'],
    ['a merge patch', bytes(JSON.stringify(data)), 'application/merge-patch+json'],
    ['JSON after a byte order mark', bytes(`\uFEFF${JSON.stringify(data)}`), JSON_TYPE],
    ['MessagePack', encode(data), MSGPACK],
    ['MessagePack by its other names', encode(data), 'application/x-msgpack'],
  ])('%s', (_name, body, type) => {
    expect(decodeBody(body, type)).toEqual(data);
  });

  test('toMsgpack leaves out what is undefined, as JSON does', () => {
    expect(decodeBody(toMsgpack({ a: 1, b: undefined }), MSGPACK)).toEqual({ a: 1 });
  });
});

describe('bad bodies name the place', () => {
  const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;
  test.each([
    ['broken JSON', bytes('{"a": '), JSON_TYPE, /JSON/],
    ['an empty body', bytes(''), JSON_TYPE, /empty/],
    ['blanks', bytes(' \n'), JSON_TYPE, /empty/],
    ['text after the value', bytes('{} {}'), JSON_TYPE, /JSON/],
    ['invalid UTF-8', Uint8Array.from([0x22, 0xff, 0xfe, 0x22]), JSON_TYPE, /UTF-8/],
    ['overlong UTF-8', Uint8Array.from([0x22, 0xc0, 0xaf, 0x22]), JSON_TYPE, /UTF-8/],
    ['a surrogate in UTF-8', Uint8Array.from([0x22, 0xed, 0xa0, 0x80, 0x22]), JSON_TYPE, /UTF-8/],
    ['invalid UTF-8 in a form', Uint8Array.from([0x61, 0x3d, 0xff]), FORM, /UTF-8/],
    ['a lone surrogate', bytes('{"a": {"b": "\\ud800"}}'), JSON_TYPE, /\/a\/b/],
    ['a NUL', bytes('{"a": ["x", "\\u0000"]}'), JSON_TYPE, /\/a\/1/],
    ['a NUL in a name', bytes('{"a": {"\\u0000": 1}}'), JSON_TYPE, /\/a/],
    ['too deep JSON', bytes(nested(40)), JSON_TYPE, /deeper than 32/],
    ['very deep JSON', bytes(nested(200_000)), JSON_TYPE, /deeper than 32/],
    ['too deep MessagePack', Uint8Array.from([...new Array<number>(40).fill(0x91), 0xc0]), MSGPACK, /deeper than 32/],
    ['very deep MessagePack', Uint8Array.from([...new Array<number>(200_000).fill(0x91), 0xc0]), MSGPACK, /deep|decoded/],
    ['empty MessagePack', new Uint8Array(), MSGPACK, /MessagePack/],
    ['truncated MessagePack', encode({ name: 'abc' }).slice(0, -1), MSGPACK, /MessagePack/],
    ['MessagePack and more', Uint8Array.from([...encode({}), 0x01]), MSGPACK, /MessagePack/],
    ['a reserved byte of MessagePack', Uint8Array.from([0xc1]), MSGPACK, /MessagePack/],
    ['an announced length that is not there', Uint8Array.from([0xdd, 0xff, 0xff, 0xff, 0xff]), MSGPACK, /MessagePack/],
    ['a map key that is a list', Uint8Array.from([0x81, 0x90, 0x01]), MSGPACK, /MessagePack/],
    ['binary', encode({ a: { b: Uint8Array.from([1]) } }), MSGPACK, /\/a\/b/],
    ['a date', encode({ when: new Date(0) }), MSGPACK, /\/when/],
    ['an unknown extension', Uint8Array.from([0x81, 0xa1, 0x61, 0xd4, 0x05, 0x00]), MSGPACK, /\/a/],
    ['__proto__ in MessagePack', encode(JSON.parse('{"__proto__": {"admin": true}}'), { extensionCodec: new ExtensionCodec() }), MSGPACK, /MessagePack/],
    ['a form nested too deep', bytes(`${'a.'.repeat(20)}b=1`), FORM, /deep/],
  ])('%s', (_name, body, type, message) => {
    const problem = refusal(body, type);
    expect([problem.status, problem.code]).toEqual([400, 'bad-body']);
    expect(problem.message).toMatch(message);
    expect(JSON.stringify(problem.toDocument()).length).toBeLessThan(2000);
  });

  test('a place is a JSON pointer', () => {
    expect(refusal(bytes('{"a/b": {"c~d": "\\u0000"}}'), JSON_TYPE).faults[0]!.pointer).toBe('/a~1b/c~0d');
  });

  test.each([['text/plain'], ['multipart/form-data; boundary=x'], ['application/yaml'], ['']])('a body of type %s is not read', (type) => {
    expect(refusal(bytes('{}'), type)).toMatchObject({ code: 'unsupported-media-type', status: 415 });
  });
});

describe('names that objects have already', () => {
  test('in JSON stay data', () => {
    const data = decodeBody(bytes('{"__proto__": {"admin": true}, "constructor": 1}'), JSON_TYPE) as Record<string, unknown>;
    expect(Object.keys(data)).toEqual(['__proto__', 'constructor']);
    expect((data as { admin?: unknown }).admin).toBeUndefined();
  });

  test('in forms stay data, and change no prototype', () => {
    const data = decodeBody(bytes('__proto__.admin=1&a.__proto__.b=2&constructor.prototype.c=3'), FORM) as Record<string, unknown>;
    expect(Object.keys(data).sort()).toEqual(['__proto__', 'a', 'constructor']);
    expect(Object.keys({}.constructor.prototype as object)).toEqual([]);
    expect(({} as { admin?: unknown }).admin).toBeUndefined();
  });
});

describe('forms', () => {
  test('dots nest, a name given more than once is a list, plus is a blank', () => {
    expect(decodeBody(bytes('a.b=1&a.c=x+y&d=1&d=2&e=%C3%BC&f='), FORM)).toEqual({ a: { b: '1', c: 'x y' }, d: ['1', '2'], e: 'ü', f: '' });
  });

  test('a name that is a value and a group ends as a group, without failing', () => {
    expect(decodeBody(bytes('a=1&a.b=2'), FORM)).toEqual({ a: { b: '2' } });
  });

  test('an empty form is an empty object', () => {
    expect(decodeBody(bytes(''), FORM)).toEqual({});
  });
});

describe('reading a body', () => {
  const request = (body: string | ReadableStream<Uint8Array> | null, headers: Record<string, string> = {}): Request =>
    new Request('http://x/', { method: 'POST', body, headers, duplex: 'half' } as RequestInit);
  const endless = (chunk: number): ReadableStream<Uint8Array> => new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(chunk)) });

  test('gives all of it', async () => {
    expect(Buffer.from(await readBody(request('abc'))).toString()).toBe('abc');
    expect((await readBody(request(null))).length).toBe(0);
  });

  test('up to the limit, and not one byte more', async () => {
    expect((await readBody(request('x'.repeat(100)), 100)).length).toBe(100);
    await expect(readBody(request('x'.repeat(101)), 100)).rejects.toMatchObject({ code: 'too-large', status: 413, extra: { limit: 100 } });
  });

  test('ends at the limit where no length is said', async () => {
    await expect(readBody(request(endless(1000)), 10_000)).rejects.toMatchObject({ code: 'too-large' });
  });

  test('says so when the body breaks off', async () => {
    const broken = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error('reset')) });
    await expect(readBody(request(broken))).rejects.toMatchObject({ code: 'bad-body', status: 400 });
  });
});

test('only plain objects are records', () => {
  expect([{}, Object.create(null), JSON.parse('{"__proto__":1}')].map(isRecord)).toEqual([true, true, true]);
  expect([[], null, 'x', new Date(), new Map(), undefined].map(isRecord)).toEqual([false, false, false, false, false, false]);
});
