import { describe, expect, test } from 'vitest';
import { negotiate, splitSuffix, type Format } from '../../src/kernel/negotiate.ts';
import { Problem } from '../../src/kernel/problem.ts';

const api: readonly Format[] = ['json', 'html', 'msgpack'];
const enc: readonly Format[] = ['yaml', 'json', 'msgpack', 'html'];

const chosen: readonly [string, string | undefined | null, readonly Format[], Format][] = [
  ['nothing said', undefined, api, 'json'],
  ['an empty header', '', api, 'json'],
  ['anything', '*/*', api, 'json'],
  ['anything, where YAML comes first', '*/*', enc, 'yaml'],
  ['one type', 'application/msgpack', api, 'msgpack'],
  ['an alias of MessagePack', 'application/x-msgpack', api, 'msgpack'],
  ['the registered name of MessagePack', 'application/vnd.msgpack', api, 'msgpack'],
  ['the old name of YAML', 'text/yaml', enc, 'yaml'],
  ['problems only', 'application/problem+json', api, 'json'],
  ['upper case and spaces', ' TEXT/HTML ; Q=1 ', api, 'html'],
  ['the higher quality', 'application/json;q=0.5, text/html;q=0.9', api, 'html'],
  ['a tie goes to the order of the server', 'text/html, application/json', api, 'json'],
  ['a browser', 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8', api, 'html'],
  ['the more specific range counts, not the higher quality', 'application/json;q=0.1, */*;q=0.9', api, 'html'],
  ['a type range', 'text/*', api, 'html'],
  ['a type range and a better any', 'application/*;q=0.2, */*;q=0.7', api, 'html'],
  ['q=0 excludes, the rest stays', 'application/json;q=0, */*', api, 'html'],
  ['q=0 of a range excludes all of it', 'application/*;q=0, */*;q=0.1', api, 'html'],
  ['unknown types are passed over', 'image/png, application/msgpack;q=0.1', api, 'msgpack'],
  ['parameters that are not q', 'application/json;profile="x";q=0.3, text/html;q=0.2', api, 'json'],
  ['a broken quality counts as none', 'application/json;q=high, text/html;q=0.1', api, 'html'],
];

test.each(chosen)('%s: Accept %s', (_name, accept, offered, format) => {
  expect(negotiate(accept, offered)).toBe(format);
});

describe('406', () => {
  test.each([
    ['image/png'],
    ['application/json;q=0'],
    ['*/*;q=0'],
    ['application/yaml'],
    ['text/plain, image/*'],
    [','],
    ['application/json;q=0, text/html;q=0.0, application/msgpack;q=0.000'],
  ])('nothing fits %s', (accept) => {
    const refused = (): Format => negotiate(accept, api);
    expect(refused).toThrow(Problem);
    expect(refused).toThrow(/application\/json, text\/html, application\/msgpack/);
  });
});

describe('endings', () => {
  test.each([
    ['hv1.example.com.yaml', enc, { name: 'hv1.example.com', format: 'yaml' }],
    ['hv1.example.com', enc, { name: 'hv1.example.com' }],
    ['nodes.html', api, { name: 'nodes', format: 'html' }],
    ['nodes.yaml', api, { name: 'nodes.yaml' }],
    ['.json', api, { name: '.json' }],
    ['a.json.msgpack', api, { name: 'a.json', format: 'msgpack' }],
    ['x.JSON', api, { name: 'x.JSON' }],
  ] as const)('%s', (text, offered, result) => {
    expect(splitSuffix(text, offered)).toEqual(result);
  });
});
