import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ConfigError, explainConfig, loadConfig, settings } from '../../src/kernel/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'corral-config-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const file = (text: string): string => {
  const path = join(folder, `${files++}.yaml`);
  writeFileSync(path, text);
  return path;
};

function refusal(env: Record<string, string>): string {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error('was not refused');
}

test('defaults need nothing', () => {
  const { config, sources } = loadConfig({});
  expect(config).toMatchObject({ data: './data', host: '127.0.0.1', port: 8080, demo: true, placement: 'least_loaded', database_url: undefined });
  expect(new Set(Object.values(sources))).toEqual(new Set(['default']));
});

test('the environment comes before the file, the file before the default', () => {
  const path = file('port: 1111\nhost: 192.0.2.1\ndemo: false\n');
  const { config, sources } = loadConfig({ CORRAL_CONFIG: path, PORT: '2222', HOST: '' });
  expect([config.port, config.host, config.demo]).toEqual([2222, '192.0.2.1', false]);
  expect([sources.port, sources.host, sources.demo, sources.data]).toEqual(['environment', 'file', 'file', 'default']);
});

describe('each wrong setting is named with where it was set', () => {
  test.each([
    ['PORT', 'http'],
    ['PORT', '65536'],
    ['PORT', '-1'],
    ['PORT', '80.5'],
    ['DATABASE_URL', 'mysql://x'],
    ['CORRAL_DEMO', 'maybe'],
    ['CORRAL_LOG_LEVEL', 'loud'],
    ['CORRAL_ADMIN_TOKEN', 'short'],
    ['CORRAL_ENCRYPTION_KEY', 'bm90IDMyIGJ5dGVz'],
    ['CORRAL_PLACEMENT', 'random'],
    ['CORRAL_POOL_SIZE', '1'],
    ['CORRAL_BODY_LIMIT', '0'],
    ['CORRAL_PUBLIC_URL', 'corral'],
    ['CORRAL_STOP_TIMEOUT', 'soon'],
    ['CORRAL_DEFAULT_VOLUME_SIZE', '10G'],
  ])('%s=%s', (name, value) => {
    expect(refusal({ [name]: value })).toMatch(new RegExp(`^${name}: `));
  });

  test('all at once, those of the file with its path', () => {
    const path = file('port: many\ncolour: red\n');
    const text = refusal({ CORRAL_CONFIG: path, CORRAL_PLACEMENT: 'x', CORRAL_DEMO: '2' });
    expect(text.split('\n').sort()).toEqual(
      [
        expect.stringContaining(`${path}: port: `),
        expect.stringContaining(`${path}: unknown setting 'colour'`),
        expect.stringContaining('CORRAL_DEMO: '),
        expect.stringContaining('CORRAL_PLACEMENT: '),
      ].sort((a, b) => String(a).localeCompare(String(b))) as unknown[] as string[],
    );
  });

  test('a blank is no number', () => {
    expect(refusal({ PORT: ' ' })).toMatch(/^PORT: /);
    expect(refusal({ CORRAL_CONFIG: file('port: true\n') })).toMatch(/port: /);
    expect(refusal({ CORRAL_CONFIG: file('pool_size: []\n') })).toMatch(/pool_size: /);
  });

  test.each([['- a\n'], ['text'], ['a: [\n'], ['5']])('a file that holds %j', (text) => {
    const path = file(text);
    expect(refusal({ CORRAL_CONFIG: path })).toContain(path);
  });

  test('a file that is not there', () => {
    expect(refusal({ CORRAL_CONFIG: join(folder, 'none') })).toMatch(/^CORRAL_CONFIG: there is no file/);
  });

  test('the refusal of a secret does not show it', () => {
    const text = refusal({ CORRAL_ADMIN_TOKEN: 'hunter2', CORRAL_ENCRYPTION_KEY: 'hunter2', DATABASE_URL: 'mysql://u:hunter2@h/d' });
    expect(text).not.toContain('hunter2');
  });
});

test('an empty file is no setting', () => {
  expect(loadConfig({ CORRAL_CONFIG: file('') }).config.port).toBe(8080);
});

test('every setting is explained, and secrets are hidden', () => {
  const key = Buffer.alloc(32, 1).toString('base64');
  const explained = explainConfig(
    loadConfig({ CORRAL_ADMIN_TOKEN: 'a-very-secret-token', DATABASE_URL: 'postgres://u:very-secret@h/d', CORRAL_ENCRYPTION_KEY: key }),
  );
  expect(explained.map((one) => one.setting)).toEqual(Object.keys(settings));
  for (const one of explained) expect([one.meaning.length > 10, one.variable.length > 3]).toEqual([true, true]);
  const text = JSON.stringify(explained);
  for (const secret of ['very-secret', key]) expect(text).not.toContain(secret);
  expect(
    explained
      .filter((one) => one.value === '(hidden)')
      .map((one) => one.setting)
      .sort(),
  ).toEqual(['admin_token', 'database_url', 'encryption_key']);
  expect(explainConfig(loadConfig({})).find((one) => one.setting === 'admin_token')?.value).toBeNull();
});
