/** Texts that consumers could take for something else: YAML read by Ruby, Hiera's interpolation, XML. */
import { execFileSync, spawnSync } from 'node:child_process';
import { XMLParser } from 'fast-xml-parser';
import { load } from 'js-yaml';
import { describe, expect, it } from 'vitest';
import { escapeHiera, toYaml } from '../../src/documents/index.ts';
import { element, serialise } from '../../src/documents/xml.ts';

const TEXTS = [
  ':symbol',
  ':"quoted symbol"',
  '2026-01-01',
  '2026-01-01 10:00:00',
  'yes',
  'No',
  'on',
  'OFF',
  'y',
  'n',
  'true',
  'null',
  '~',
  '',
  ' ',
  ' lead',
  'trail ',
  '1',
  '1.0',
  '1e3',
  '0o17',
  '017',
  '0x1F',
  '0b11',
  '1_000',
  '12:30:45',
  '.inf',
  '-.INF',
  '.nan',
  '<<',
  '=',
  '!ruby/object:Object',
  '&a',
  '*a',
  '- a',
  '? a',
  'a: b',
  'a #b',
  '#',
  '%x',
  '@x',
  '`x',
  '{a}',
  '[a]',
  '|',
  '>',
  "'",
  '"',
  '\\',
  '\\n',
  'a\nb',
  'a\nb\n',
  '\n',
  '\n\n a\n',
  'a\r\nb',
  '\ta',
  'a\tb',
  'NEL\u0085',
  'LS\u2028PS\u2029',
  '\ufeffbom',
  'nbsp\u00a0',
  '\u0007bell',
  '\u007f',
  '\u{1f600}',
  'é',
  '---',
  '...',
  'a'.repeat(300),
  '%{x}',
  '__proto__',
];
const hasRuby = spawnSync('ruby', ['-ryaml', '-rjson', '-e', '1']).status === 0;

describe('YAML', () => {
  const data = { texts: TEXTS, keys: Object.fromEntries(TEXTS.map((text, at) => [text === '__proto__' ? 'p' : text, at])), n: [1, 1.5, true, null] };

  it('reads back as the same data', () => {
    expect(load(toYaml(data))).toEqual(data);
  });

  it.skipIf(!hasRuby)('is the same data to Ruby, with safe loading', () => {
    const script = 'puts JSON.generate(YAML.safe_load($stdin.read.force_encoding("UTF-8")))';
    const read = execFileSync('ruby', ['-ryaml', '-rjson', '-e', script], { input: toYaml(data), encoding: 'utf8' });
    expect(JSON.parse(read)).toEqual(data);
  });
});

describe('Hiera', () => {
  // What Puppet's Puppet::Pops::Lookup::Interpolation does, for the one function that may be left.
  const interpolate = (text: string): string =>
    text.replaceAll(/%\{([^}]*)\}/g, (_, expression: string) => /^literal\('(.*)'\)$/.exec(expression)?.[1] ?? 'INTERPOLATED');

  it.each(['%{facts.os}', '%%{x}', '%{%{x}}', "%{literal('%')}{x}", '%', '%{', 'a%{b', '100 %'])('gives %s back', (text) => {
    expect(interpolate(escapeHiera(text))).toBe(text);
  });

  const hasPuppet = spawnSync('ruby', ['-rpuppet', '-e', '1']).status === 0;
  it.skipIf(!hasPuppet)('gives every text back through Puppet itself', () => {
    const script = `
      require 'json'
      require 'puppet/pops'
      include Puppet::Pops::Lookup::Interpolation
      # Without a scope: what literal does needs none, and anything else fails.
      bare = Class.new(Puppet::Pops::Lookup::Invocation) do
        def initialize; end
        def with(*) = yield
        def check(*) = yield
      end
      $stdout.write JSON.generate(JSON.parse($stdin.read).map { |text| interpolate(text, bare.new, true) })`;
    const texts = [...TEXTS, '%{facts.os}', "%{literal('%')}{x}", '%{%{x}}', '%%{x}'];
    const run = spawnSync('ruby', ['-rpuppet', '-e', script], { input: JSON.stringify(texts.map(escapeHiera)), encoding: 'utf8' });
    expect({ status: run.status, errors: run.stderr }).toMatchObject({ status: 0 });
    expect(JSON.parse(run.stdout)).toEqual(texts);
  });
});

describe('XML', () => {
  it.each(TEXTS.filter((text) => text.trim() === text && text !== ''))('holds %j as text and attribute', (text) => {
    const xml = serialise(element('a', { b: text }, text));
    const parsed = new XMLParser({ ignoreAttributes: false, parseTagValue: false, htmlEntities: true }).parse(xml) as { a: { '#text': string; '@_b': string } };
    const held = text.replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, '\ufffd');
    expect(parsed.a['@_b']).toBe(held);
    expect(parsed.a['#text']).toBe(held);
  });

  it('replaces what XML 1.0 cannot hold, lone surrogates too', () => {
    expect(serialise(element('a', null, '\0\u{1f600}\ud800x\udc00\uffff'))).toBe('<a>\ufffd\u{1f600}\ufffdx\ufffd\ufffd</a>\n');
  });
});
