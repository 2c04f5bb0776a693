import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

export interface RunningCorral {
  readonly url: string;
  readonly adminToken: string;
  readonly process: ChildProcess;
  /** Folder of its embedded PostgreSQL. */
  readonly data: string;
  /** Runs `corral` on its database. @throws Error with what it printed when it fails */
  command(...args: readonly string[]): string;
  /** Calls the API with the admin token. @throws Error with the problem when it is refused */
  call(method: string, path: string, body?: unknown): Promise<Record<string, unknown>>;
  /** Makes a token that reads one node's documents. */
  nodeToken(fqdn: string): Promise<string>;
  stop(): Promise<void>;
}

/** A port of this machine that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts the real program on an embedded PostgreSQL of its own, as `npm start` does. */
export async function startCorral(env: Readonly<Record<string, string>> = {}): Promise<RunningCorral> {
  const data = mkdtempSync(join(tmpdir(), 'corral-e2e-'));
  const port = await freePort();
  const url = `http://${env['HOST'] ?? '127.0.0.1'}:${port}`;
  const adminToken = `corral_admin_${randomBytes(16).toString('hex')}`;
  const child = spawn('sh', [join(root, 'bin/node'), join(root, 'dist/main.js'), 'serve'], {
    cwd: root,
    env: {
      ...process.env,
      CORRAL_DATA: data,
      PORT: String(port),
      CORRAL_ADMIN_TOKEN: adminToken,
      CORRAL_DEMO: '0',
      CORRAL_LOG_LEVEL: 'warn',
      DATABASE_URL: '',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output = (output + chunk.toString()).slice(-8000)));
  for (const end = Date.now() + 60_000; ;) {
    const ready = await fetch(`${url}/readyz`)
      .then((answer) => answer.ok)
      .catch(() => false);
    if (ready) break;
    if (child.exitCode !== null || Date.now() > end) throw new Error(`Corral did not start:\n${output}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const call = async (method: string, path: string, body?: unknown): Promise<Record<string, unknown>> => {
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${adminToken}`, accept: 'application/json', ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
  };
  return {
    url,
    adminToken,
    process: child,
    data,
    command: (...args) =>
      execFileSync('sh', [join(root, 'bin/node'), join(root, 'dist/main.js'), ...args], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, CORRAL_DATA: data, DATABASE_URL: '', CORRAL_URL: url, CORRAL_TOKEN: adminToken },
      }),
    call,
    nodeToken: async (fqdn) =>
      String((await call('POST', '/api/v1/tokens', { name: `e2e-${randomBytes(4).toString('hex')}`, kind: 'node', node: fqdn }))['token']),
    stop: async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode === null) {
        child.kill('SIGTERM');
        await ended;
      }
      rmSync(data, { recursive: true, force: true });
    },
  };
}
