// A load generator that costs little: requests are written as they are, answers are only measured.
// Reads its orders as JSON from the command line, prints what it measured as JSON.
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface Orders {
  readonly port: number;
  /** Whole requests; each connection takes them in turn, from a place of its own. */
  readonly requests: readonly string[];
  readonly connections: number;
  /** Over TLS, with this client certificate where there is one. */
  readonly tls?: { readonly cert?: string; readonly key?: string };
  /** Either so many seconds, or so many requests in all. */
  readonly seconds?: number;
  readonly count?: number;
}

export interface Measured {
  readonly requests: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly statuses: Readonly<Record<string, number>>;
  readonly bytes: number;
  readonly failed: number;
}

const END = Buffer.from('\r\n\r\n');

async function run(orders: Orders): Promise<Measured> {
  const times: number[] = [];
  const statuses: Record<string, number> = {};
  let bytes = 0;
  let failed = 0;
  let sent = 0;
  const begun = performance.now();
  const over = (): boolean => (orders.count === undefined ? performance.now() - begun > orders.seconds! * 1000 : sent >= orders.count);
  await Promise.all(
    Array.from({ length: orders.connections }, (_, first) => {
      let at = first;
      return new Promise<void>((resolve) => {
        let started = 0;
        let head: Buffer = Buffer.alloc(0);
        let left = -1;
        const socket = orders.tls
          ? connectTls({ port: orders.port, host: '127.0.0.1', rejectUnauthorized: false, ...orders.tls })
          : connect(orders.port, '127.0.0.1');
        socket.setNoDelay(true);
        const next = (): void => {
          if (over()) {
            socket.destroy();
            resolve();
            return;
          }
          sent++;
          started = performance.now();
          socket.write(orders.requests[at++ % orders.requests.length]!);
        };
        socket.on(orders.tls ? 'secureConnect' : 'connect', next);
        socket.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (left < 0) {
            head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
            const end = head.indexOf(END);
            if (end < 0) return;
            const text = head.toString('latin1', 0, end);
            const status = text.slice(9, 12);
            statuses[status] = (statuses[status] ?? 0) + 1;
            left = Number(/\r\ncontent-length: (\d+)/i.exec(text)?.[1] ?? 0) - (head.length - end - 4);
            head = Buffer.alloc(0);
          } else {
            left -= chunk.length;
          }
          if (left > 0) return;
          left = -1;
          times.push(performance.now() - started);
          next();
        });
        socket.on('error', () => {
          failed++;
          resolve();
        });
        socket.on('close', () => resolve());
      });
    }),
  );
  const seconds = (performance.now() - begun) / 1000;
  const sorted = Float64Array.from(times).sort();
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { requests: times.length, seconds, perSecond: times.length / seconds, p50: at(0.5), p99: at(0.99), max: at(1), statuses, bytes, failed };
}

let input = '';
for await (const chunk of process.stdin) input += String(chunk);
console.log(JSON.stringify(await run(JSON.parse(input) as Orders)));
