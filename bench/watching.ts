// (w) watching changes: how soon one watcher sees a change, and what five hundred cost.
import { get, type ClientRequest } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { ADMIN, median, residentMb, until, type Line, type Server } from './support.ts';

const CHANGES = 300;
const WATCHERS = 500;
const SENT = 100;

interface Watcher {
  readonly request: ClientRequest;
  /** When each change came, by its number. */
  readonly came: Map<number, number>;
}

async function watch(server: Server): Promise<Watcher> {
  const came = new Map<number, number>();
  const request = get(`${server.url}/watch`, { agent: false, headers: { authorization: `Bearer ${ADMIN}`, accept: 'text/event-stream' } });
  await new Promise<void>((resolve, reject) => {
    request.once('error', reject);
    request.once('response', (response) => {
      let rest = '';
      response.setEncoding('utf8');
      response.on('error', () => undefined);
      response.on('data', (chunk: string) => {
        const blocks = (rest + chunk).split('\n\n');
        rest = blocks.pop()!;
        for (const block of blocks) {
          const number = /^event: change\nid: (\d+)$/m.exec(block)?.[1];
          if (number !== undefined) came.set(Number(number), performance.now());
        }
      });
      if (response.statusCode === 200) resolve();
      else reject(new Error(`/watch answered ${response.statusCode}`));
    });
  });
  request.on('error', () => undefined);
  return { request, came };
}

/** From the moment that a commit is sent, so that the commit itself is in the figure. */
export async function watching(server: Server, url: string): Promise<Line[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const change = async (i: number): Promise<{ number: number; begun: number }> => {
    await client.query('begin');
    await client.query('insert into customer (name) values ($1)', [`watched-${i}`]);
    const { rows } = await client.query<{ n: string }>('select finish_change() as n');
    const begun = performance.now();
    await client.query('commit');
    return { number: Number(rows[0]!.n), begun };
  };
  const one = await watch(server);
  const all: { number: number; begun: number }[] = [];
  for (let i = 0; i < CHANGES; i++) {
    all.push(await change(i));
    await sleep(10);
  }
  await until(() => Promise.resolve(one.came.size === CHANGES));
  const times = all.map(({ number, begun }) => one.came.get(number)! - begun).sort((a, b) => a - b);
  const before = residentMb(server.pid);
  const many: Watcher[] = [];
  for (let i = 0; i < WATCHERS; i++) many.push(await watch(server));
  let peak = 0;
  const timer = setInterval(() => (peak = Math.max(peak, residentMb(server.pid))), 20);
  const sent: { number: number; begun: number }[] = [];
  for (let i = 0; i < SENT; i++) {
    sent.push(await change(CHANGES + i));
    await sleep(20);
  }
  await until(() => Promise.resolve(many.every(({ came }) => came.size === SENT)));
  clearInterval(timer);
  const cost = Math.max(peak, residentMb(server.pid)) - before;
  const last = sent.map(({ number, begun }) => Math.max(...many.map(({ came }) => came.get(number)!)) - begun);
  for (const { request } of [one, ...many]) request.destroy();
  await client.end();
  const middle = median(times);
  return [
    { part: 'w', what: 'from commit to the event at one watcher, median', value: middle, unit: 'ms', target: '< 50 ms', met: middle < 50 },
    { part: 'w', what: 'the same, p99', value: times[Math.floor(times.length * 0.99)]!, unit: 'ms' },
    {
      part: 'w',
      what: `memory of ${WATCHERS} watchers, ${SENT} changes sent to each, at the peak`,
      value: cost,
      unit: 'MB',
      target: '< 150 MB',
      met: cost < 150,
    },
    { part: 'w', what: `from commit to the event at the last of ${WATCHERS} watchers, median`, value: median(last), unit: 'ms' },
  ];
}
