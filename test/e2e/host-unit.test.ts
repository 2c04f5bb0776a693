/** The host package's own tests, on real libvirt, QEMU, Ceph and iproute2, and its linter. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { whyNoHost } from './host.ts';
import { VENV } from './salt-rig.ts';

const reason = whyNoHost();
if (reason !== undefined) console.warn(`SKIPPED: the tests of the host package: ${reason}`);
const HOST = resolve(import.meta.dirname, '../../host');

describe.skipIf(reason !== undefined)('corral-host', () => {
  let tools: string;
  // The distribution's Python, because its libvirt and rados are there.
  const python = async (...args: string[]): Promise<{ status: number; said: string }> => {
    const env = { ...process.env, PYTHONPATH: tools, PYTHONDONTWRITEBYTECODE: '1' };
    try {
      const { stdout, stderr } = await promisify(execFile)('/usr/bin/python3', args, { env, cwd: HOST, maxBuffer: 64 * 1024 * 1024 });
      return { status: 0, said: stdout + stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { status: code, said: `${stdout}${stderr}` };
    }
  };

  beforeAll(async () => {
    tools = mkdtempSync(join(tmpdir(), 'host-tools-'));
    // The version that salt/pyproject.toml names, too.
    const install = ['install', '-q', '--disable-pip-version-check', '--target', tools, 'ruff==0.17.5'];
    // Debian's Python may have no pip; Salt's has.
    const own = join(VENV, 'bin', 'python');
    await promisify(execFile)(existsSync(own) ? own : 'python3', ['-m', 'pip', ...install]);
  }, 180_000);

  afterAll(() => rmSync(tools, { recursive: true, force: true }));

  test('ruff', async () => {
    expect(await python('-m', 'ruff', 'check', '--no-cache', '-q')).toEqual({ status: 0, said: '' });
    expect(await python('-m', 'ruff', 'format', '--no-cache', '--check', '-q')).toEqual({ status: 0, said: '' });
  }, 180_000);

  test('pytest', async () => {
    const { status, said } = await python('-m', 'pytest', '-q', '-p', 'no:cacheprovider', '--durations=10');
    console.log(said.slice(-3000));
    expect({ status, said: status === 0 ? '' : said }).toEqual({ status: 0, said: '' });
    expect(said).toMatch(/\d+ passed/);
  }, 1_500_000);
});
