import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Measured, Orders } from './load.ts';

export const root = fileURLToPath(new URL('../', import.meta.url));
export const ADMIN = 'corral_admin_for_the_bench';

/** One measured line: what, the figure, its unit, what it is compared with, the ratio and what was asked of it. */
export interface Line {
  readonly part: string;
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  readonly against?: number;
  readonly ratio?: number;
  readonly target?: string;
  readonly met?: boolean;
}

export const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

export function scratch(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'corral-bench-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export interface Server {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  call(method: string, path: string, body?: unknown): Promise<Record<string, unknown>>;
  stop(): Promise<void>;
}

/** The real program as a process, with its log going to a file as in service. */
export async function startServer(data: string, env: Readonly<Record<string, string>> = {}): Promise<Server> {
  const port = await freePort();
  const child = spawn(process.execPath, [join(root, 'dist/main.js'), 'serve'], {
    cwd: root,
    env: {
      ...process.env,
      CORRAL_DATA: data,
      PORT: String(port),
      CORRAL_ADMIN_TOKEN: ADMIN,
      CORRAL_DEMO: '0',
      DATABASE_URL: '',
      CORRAL_RATE_LIMIT: '100000000',
      ...env,
    },
    stdio: ['ignore', 'ignore', 'ignore'],
  });
  const url = `http://127.0.0.1:${port}`;
  await until(async () => (await fetch(`${url}/readyz`)).ok, child);
  return {
    url,
    port,
    pid: child.pid!,
    call: async (method, path, body) => {
      const answer = await fetch(`${url}${path}`, {
        method,
        headers: { authorization: `Bearer ${ADMIN}`, accept: 'application/json', ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
      return (await answer.json()) as Record<string, unknown>;
    },
    stop: () => stop(child),
  };
}

export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}

export async function until(ready: () => Promise<boolean>, child?: ChildProcess): Promise<void> {
  for (const end = performance.now() + 120_000; ;) {
    if (await ready().catch(() => false)) return;
    if ((child && child.exitCode !== null) || performance.now() > end) throw new Error('the server did not come up');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Runs the load generator as a process of its own. */
export async function load(orders: Orders): Promise<Measured> {
  const child = spawn(process.execPath, [join(root, 'bench/load.ts')], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(JSON.stringify(orders));
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await new Promise((resolve) => child.once('close', resolve));
  return JSON.parse(output) as Measured;
}

/** A request as bytes on the wire. */
export function get(path: string, token: string, headers: Readonly<Record<string, string>> = {}): string {
  const extra = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n${extra.join('')}\r\n`;
}

/** Resident memory of a process now, in MB of 10^6 bytes. */
export function residentMb(pid: number): number {
  const kib = Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  return (kib * 1024) / 1e6;
}
