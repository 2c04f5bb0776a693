// (a) documents over HTTP against node:http, (d) memory, (e) a thousand agents at once.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ADMIN, freePort, get, load, median, residentMb, root, stop, type Line, type Server } from './support.ts';

interface Kind {
  readonly name: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly key: string;
}

const ROUNDS = 5;
const SECONDS = 2;

/** Requests per second of each kind, Corral and the yardstick in turn. */
export async function serving(server: Server, node: string, token: string, connections: number): Promise<Line[]> {
  const kinds: Kind[] = [];
  const answers: Record<string, { status: number; headers: Record<string, string>; body: string }> = {};
  for (const envelope of ['enc', 'hiera', 'pillar']) {
    const path = `/${envelope}/${node}`;
    const answer = await fetch(`${server.url}${path}`, { headers: { authorization: `Bearer ${token}` } });
    const headers = Object.fromEntries([...answer.headers].filter(([name]) => !['date', 'connection', 'keep-alive'].includes(name)));
    const bytes = Buffer.from(await answer.arrayBuffer());
    answers[path] = { status: 200, headers, body: bytes.toString('base64') };
    kinds.push({ name: `${envelope} (${bytes.length} bytes)`, path, headers: {}, key: path });
    if (envelope !== 'enc') continue;
    const { 'content-length': _length, ...rest } = headers;
    answers[`${path} 304`] = { status: 304, headers: rest, body: '' };
    kinds.push({ name: '304', path, headers: { 'If-None-Match': headers['etag']! }, key: `${path} 304` });
  }
  const port = await freePort();
  const raw = spawn(process.execPath, [join(root, 'bench/raw.ts')], { stdio: ['pipe', 'pipe', 'inherit'] });
  raw.stdin.end(JSON.stringify({ port, answers }));
  await new Promise((resolve) => raw.stdout.once('data', resolve));
  const lines: Line[] = [];
  /* Both programs are compiled by their engine as they run: what comes before that is not measured. */
  for (const kind of kinds)
    for (const at of [server.port, port]) await load({ port: at, requests: [get(kind.path, token, kind.headers)], connections, seconds: SECONDS });
  for (const kind of kinds) {
    const requests = [get(kind.path, token, kind.headers)];
    const ours: number[] = [];
    const theirs: number[] = [];
    const p99: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const mine = await load({ port: server.port, requests, connections, seconds: SECONDS });
      const yardstick = await load({ port, requests, connections, seconds: SECONDS });
      const wrong = Object.keys(mine.statuses).filter((status) => status !== (kind.name === '304' ? '304' : '200'));
      if (wrong.length > 0 || mine.failed > 0) throw new Error(`${kind.name}: ${JSON.stringify(mine.statuses)}, ${mine.failed} failed`);
      ours.push(mine.perSecond);
      theirs.push(yardstick.perSecond);
      p99.push(mine.p99);
    }
    const ratio = median(ours.map((value, i) => value / theirs[i]!));
    lines.push({
      part: 'a',
      what: `${kind.name}, ${connections} connections`,
      value: median(ours),
      unit: 'requests/s',
      against: median(theirs),
      ratio,
      target: '>= 0.6 of node:http',
      met: ratio >= 0.6,
    });
    lines.push({ part: 'a', what: `${kind.name}, p99`, value: median(p99), unit: 'ms' });
  }
  await stop(raw);
  return lines;
}

/** A thousand connections at once, each node its own document with its own token, a few rounds. */
export async function agents(server: Server, requests: readonly string[]): Promise<Line[]> {
  const measured = await load({ port: server.port, requests, connections: 1000, count: 3000 });
  const wrong = Object.entries(measured.statuses).filter(([status]) => status !== '200');
  if (wrong.length > 0 || measured.failed > 0) throw new Error(`agents: ${JSON.stringify(measured.statuses)}, ${measured.failed} failed`);
  return [
    { part: 'e', what: '1000 agents at once, each its own document 3 times', value: measured.seconds, unit: 's for 3000 documents' },
    { part: 'e', what: '1000 agents at once', value: measured.perSecond, unit: 'documents/s' },
    { part: 'e', what: '1000 agents at once, p99', value: measured.p99, unit: 'ms' },
  ];
}

/** Memory after every node's document was served once, and the whole fleet streamed. */
export async function memory(server: Server, requests: readonly string[], nodes: number, vms: number): Promise<Line[]> {
  const before = residentMb(server.pid);
  let peak = before;
  const timer = setInterval(() => (peak = Math.max(peak, residentMb(server.pid))), 50);
  await load({ port: server.port, requests, connections: 32, count: requests.length });
  const served = residentMb(server.pid);
  const stream = await fetch(`${server.url}/documents`, { headers: { authorization: `Bearer ${ADMIN}` } });
  let lines = 0;
  for await (const chunk of stream.body!) for (const byte of chunk) if (byte === 10) lines++;
  clearInterval(timer);
  if (lines !== nodes) throw new Error(`/documents gave ${lines} lines for ${nodes} nodes`);
  return [
    { part: 'd', what: `resident memory after start, ${nodes} nodes, ${vms} VMs`, value: before, unit: 'MB' },
    { part: 'd', what: 'after each document was served once', value: served, unit: 'MB' },
    { part: 'd', what: 'peak, whole fleet streamed included', value: peak, unit: 'MB', target: '< 400 MB', met: peak < 400 },
  ];
}
