/** The Salt extension's own tests and linter, with the Python that has Salt. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { VENV, whyNoSalt } from './salt-rig.ts';

const reason = whyNoSalt();
if (reason !== undefined) console.warn(`SKIPPED: the tests of the Salt extension: ${reason}`);
const EXTENSION = resolve(import.meta.dirname, '../../salt');
const TIMEOUT = 180_000;

describe.skipIf(reason !== undefined)('saltext.corral', () => {
  let tools: string;
  const python = async (...args: string[]): Promise<{ status: number; said: string }> => {
    const env = { ...process.env, PYTHONPATH: `${tools}:${join(EXTENSION, 'src')}`, PYTHONDONTWRITEBYTECODE: '1' };
    const options = { env, cwd: EXTENSION, maxBuffer: 16 * 1024 * 1024 };
    try {
      const { stdout, stderr } = await promisify(execFile)(join(VENV, 'bin', 'python'), args, options);
      return { status: 0, said: stdout + stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { status: code, said: `${stdout}${stderr}` };
    }
  };

  beforeAll(async () => {
    tools = mkdtempSync(join(tmpdir(), 'salt-tools-'));
    const project = readFileSync(join(EXTENSION, 'pyproject.toml'), 'utf8');
    const wanted = JSON.parse(/^test = (\[.*\])$/m.exec(project)![1]!) as string[];
    expect(await python('-m', 'pip', 'install', '-q', '--disable-pip-version-check', '--target', tools, ...wanted)).toMatchObject({ status: 0 });
  }, TIMEOUT);

  afterAll(() => rmSync(tools, { recursive: true, force: true }));

  test(
    'pytest',
    async () => {
      const { status, said } = await python('-m', 'pytest', '-q', '-p', 'no:cacheprovider');
      expect(said).toMatch(/\d+ passed/);
      expect({ status, said: status === 0 ? '' : said }).toEqual({ status: 0, said: '' });
    },
    TIMEOUT,
  );

  test(
    'ruff',
    async () => {
      expect(await python('-m', 'ruff', 'check', '--no-cache', '-q')).toEqual({ status: 0, said: '' });
      expect(await python('-m', 'ruff', 'format', '--no-cache', '--check', '-q')).toEqual({ status: 0, said: '' });
    },
    TIMEOUT,
  );
});
