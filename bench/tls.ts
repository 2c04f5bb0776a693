// (t) documents over TLS, by node certificate and by node token, against node:https that asks for certificates, too.
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { freePort, get, load, median, root, stop, until, type Line } from './support.ts';

const ROUNDS = 5;
const SECONDS = 2;

interface Files {
  readonly path: (name: string) => string;
  readonly text: (name: string) => string;
}

/** A CA with a certificate of the server, and one of a node. */
function makeCa(folder: string, node: string): Files {
  const path = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Bench CA', '-days', '2');
  for (const [file, name] of [
    ['server', 'localhost'],
    ['node', node],
  ] as const) {
    openssl('req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', `${file}.key`, '-out', `${file}.req`, '-subj', `/CN=${name}`);
    openssl('x509', '-req', '-in', `${file}.req`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '1', '-out', `${file}.pem`);
  }
  return { path, text: (name) => readFileSync(path(name), 'utf8') };
}

/**
 * A second process on the same database.
 * @param folder its data
 * @param token of the node
 */
export async function overTls(databaseUrl: string, folder: string, node: string, token: string, connections: number): Promise<Line[]> {
  const { path, text } = makeCa(folder, node);
  const [port, rawPort] = [await freePort(), await freePort()];
  const child = spawn(process.execPath, [join(root, 'dist/main.js'), 'serve'], {
    cwd: root,
    env: {
      ...process.env,
      CORRAL_DATA: folder,
      PORT: String(port),
      CORRAL_DEMO: '0',
      DATABASE_URL: databaseUrl,
      CORRAL_POOL_SIZE: '24',
      CORRAL_RATE_LIMIT: '0',
      CORRAL_TLS_CERT: path('server.pem'),
      CORRAL_TLS_KEY: path('server.key'),
      CORRAL_TLS_CLIENT_CA: path('ca.pem'),
    },
    stdio: 'ignore',
  });
  const client = { cert: text('node.pem'), key: text('node.key') };
  const ask = (path: string): Promise<{ status: number; headers: Record<string, string>; body: Buffer }> =>
    new Promise((resolve, reject) => {
      request({ port, path, host: '127.0.0.1', rejectUnauthorized: false, ...client }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () => resolve({ status: answer.statusCode!, headers: answer.headers as Record<string, string>, body: Buffer.concat(chunks) }));
      })
        .once('error', reject)
        .end();
    });
  await until(async () => (await ask('/readyz')).status === 200, child);
  const lines: Line[] = [];
  const answers: Record<string, { status: number; headers: Record<string, string>; body: string }> = {};
  const paths = [`/enc/${node}`, `/hiera/${node}`];
  for (const path of paths) {
    const { status, headers, body } = await ask(path);
    if (status !== 200) throw new Error(`${path}: ${status} ${body.toString()}`);
    const { date: _date, connection: _connection, 'keep-alive': _keep, ...rest } = headers;
    answers[path] = { status, headers: rest, body: body.toString('base64') };
  }
  const raw = spawn(process.execPath, [join(root, 'bench/raw.ts')], { stdio: ['pipe', 'pipe', 'inherit'] });
  const tls = { cert: text('server.pem'), key: text('server.key'), ca: text('ca.pem'), requestCert: true, rejectUnauthorized: false };
  raw.stdin.end(JSON.stringify({ port: rawPort, answers, tls }));
  await new Promise((resolve) => raw.stdout.once('data', resolve));
  const kinds = paths.flatMap((path) => [
    { name: `${path.split('/')[1]} by certificate`, request: get(path, '').replace(/Authorization:.*\r\n/, ''), tls: client },
    { name: `${path.split('/')[1]} by token`, request: get(path, token), tls: {} },
  ]);
  const once = (kind: (typeof kinds)[number], at: number) => load({ port: at, requests: [kind.request], connections, seconds: SECONDS, tls: kind.tls });
  for (const kind of kinds) for (const at of [port, rawPort]) await once(kind, at);
  for (const kind of kinds) {
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const mine = await once(kind, port);
      const yardstick = await once(kind, rawPort);
      if (Object.keys(mine.statuses).some((status) => status !== '200') || mine.failed > 0)
        throw new Error(`${kind.name}: ${JSON.stringify(mine.statuses)}, ${mine.failed} failed`);
      ours.push(mine.perSecond);
      theirs.push(yardstick.perSecond);
    }
    const ratio = median(ours.map((value, i) => value / theirs[i]!));
    lines.push({
      part: 't',
      what: `${kind.name} over TLS, ${connections} connections`,
      value: median(ours),
      unit: 'requests/s',
      against: median(theirs),
      ratio,
      target: '>= 0.6 of node:https',
      met: ratio >= 0.6,
    });
  }
  await stop(raw);
  await stop(child);
  return lines;
}
