import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import { ADMIN, type TestCorral } from '../support/corral.ts';

export const BIN = fileURLToPath(new URL('../../bin/corral', import.meta.url));

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  readonly bytes: Buffer;
}

export interface How {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly cwd?: string;
  readonly bin?: string;
}

/** Nothing of the machine's own settings but what finds programs. */
const clean = { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent' };

/** Starts the real program. */
export function start(args: readonly string[], { env = {}, cwd = tmpdir(), bin = BIN }: How = {}): ChildProcessWithoutNullStreams {
  return spawn('sh', [bin, ...args], { cwd, env: { ...clean, ...env } });
}

/** Runs the real program to its end. */
export async function corral(args: readonly string[], how: How = {}): Promise<Ran> {
  const child = start(args, how);
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  child.stdin.on('error', () => undefined);
  child.stdin.end(how.input ?? '');
  const code = await new Promise<number | null>((done, fail) => child.once('close', done).once('error', fail));
  const bytes = Buffer.concat(out);
  return { code, out: bytes.toString(), err: Buffer.concat(err).toString(), bytes };
}

/** What makes the program talk to a test's server. */
export function against({ base }: TestCorral, token = ADMIN): Record<string, string> {
  return { CORRAL_URL: base, CORRAL_TOKEN: token };
}

/** A folder that is gone after the file. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'corral-cli-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Waits until a stream has said something; gives what it said until then. */
export async function says(child: ChildProcessWithoutNullStreams, stream: 'stdout' | 'stderr', what: RegExp, milliseconds = 40_000): Promise<string> {
  let text = '';
  return new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`it did not say ${what}, but: ${text}`)), milliseconds);
    const done = (): void => {
      clearTimeout(timer);
      child[stream].off('data', read);
      resolve(text);
    };
    const read = (chunk: Buffer): void => {
      text += chunk.toString();
      if (what.test(text)) done();
    };
    child[stream].on('data', read);
    child.once('close', (code) => {
      clearTimeout(timer);
      reject(new Error(`it ended with ${code} and said: ${text}`));
    });
  });
}

/** Waits for the end. @returns its exit code */
export async function ended(child: ChildProcessWithoutNullStreams): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  return new Promise((resolve) => child.once('close', resolve));
}
