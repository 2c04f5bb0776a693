import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { loadConfig, settings } from '../../src/kernel/config.ts';

const FILE = fileURLToPath(new URL('../../docs/operations.md', import.meta.url));
const TABLE = /(<!-- settings -->\n)[^]*?(\n<!-- \/settings -->)/;

const { config } = loadConfig({});

function shown(name: keyof typeof settings): string {
  const value = config[name];
  if (value === undefined || value === '' || (Array.isArray(value) && value.length === 0)) return '';
  return `\`${typeof value === 'boolean' ? Number(value) : String(value)}\``;
}

function table(): string {
  const rows = Object.entries(settings).map(
    ([name, { env, meaning }]) => `| \`${env}\` | ${shown(name as keyof typeof settings)} | ${meaning.replaceAll('|', '\\|')} |`,
  );
  return ['| variable | default | meaning |', '|---|---|---|', ...rows].join('\n');
}

test('docs/operations.md has every setting', () => {
  const text = readFileSync(FILE, 'utf8');
  const made = text.replace(TABLE, (_all, begin: string, end: string) => `${begin}${table()}${end}`);
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(FILE, made);
  expect(TABLE.test(text)).toBe(true);
  expect(readFileSync(FILE, 'utf8'), 'UPDATE_DOCS=1 npm run unit test/docs writes it anew').toBe(made);
});
