/** The program as processes of their own, to be killed. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll } from 'vitest';
import { ADMIN, type TestCorral } from './corral.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

export interface Process extends Pick<TestCorral, 'base' | 'request'> {
  readonly child: ChildProcess;
  /** Kills it, as a machine that loses its power would, and waits until it is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

/** Builds the program as it is now, beside links to what it needs; gives what starts it on a database. */
export async function builtProgram(): Promise<(databaseUrl: string, env?: Readonly<Record<string, string>>) => Promise<Process>> {
  const folder = mkdtempSync(join(tmpdir(), 'corral-process-'));
  const children = new Set<ChildProcess>();
  for (const name of ['node_modules', 'migrations', 'package.json']) symlinkSync(join(root, name), join(folder, name));
  await promisify(execFile)(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', root, '--outDir', join(folder, 'dist')]).catch((error) => {
    /* Types are the linter's business. */
    if (!existsSync(join(folder, 'dist/main.js'))) throw error;
  });
  afterAll(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  return async (databaseUrl, env = {}) => {
    const child = spawn(process.execPath, [join(folder, 'dist/main.js'), 'serve'], {
      cwd: folder,
      env: {
        PATH: process.env['PATH'],
        HOME: folder,
        DATABASE_URL: databaseUrl,
        CORRAL_DATA: join(folder, 'data'),
        CORRAL_DEMO: '0',
        CORRAL_LOG_LEVEL: 'warn',
        PORT: '0',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.add(child);
    const gone = new Promise<void>((resolve) => void child.once('exit', () => resolve()));
    const base = await new Promise<string>((resolve, reject) => {
      let out = '';
      child.stderr!.on('data', (data: Buffer) => (out += data.toString()));
      child.stdout!.on('data', (data: Buffer) => {
        out += data.toString();
        const url = /http:\/\/127\.0\.0\.1:\d+/.exec(out)?.[0];
        if (url !== undefined) resolve(url);
      });
      child.once('exit', () => reject(new Error(`it ended: ${out}`)));
    });
    return {
      child,
      base,
      request: (path, { token = ADMIN, ...init } = {}) =>
        fetch(`${base}${path}`, {
          ...init,
          headers: { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...(init.headers as Record<string, string> | undefined) },
        }),
      kill: async (signal = 'SIGKILL') => {
        child.kill(signal);
        await gone;
      },
    };
  };
}
