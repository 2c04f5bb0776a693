/** Watchers of changes, for tests. */
import { get, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect } from 'vitest';
import type { Change } from '../../src/db/changes.ts';
import type { ProblemDocument } from '../../src/kernel/problem.ts';
import { ADMIN } from '../support/corral.ts';

export interface Seen {
  readonly number: number;
  readonly change: Change;
  /** When it came, by performance.now(). */
  readonly at: number;
}

export interface Watcher {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly seen: Seen[];
  /** What a browser would send when it comes back. */
  lastId(): string | undefined;
  text(): string;
  /** Of another kind than `change`. */
  readonly others: { readonly event: string; readonly data: string }[];
  numbers(): number[];
  /** Waits until so many changes have come. */
  until(count: number, milliseconds?: number): Promise<Seen>;
  readonly ended: Promise<void>;
  /** The problem that it was answered with, where it was. */
  problem(): ProblemDocument;
  /** Reads no more, until `resume`. */
  pause(): void;
  resume(): void;
  close(): void;
}

export interface How {
  readonly query?: string;
  readonly accept?: string;
  readonly token?: string;
  /** In place of a token. */
  readonly cookie?: string;
  readonly last?: string | number;
}

const open: Watcher[] = [];
afterEach(() => {
  for (const watcher of open.splice(0)) watcher.close();
});

/** Opens `/watch`, reading as a browser's EventSource would, or lines. */
export async function watch(
  { base }: { readonly base: string },
  { query = '', accept = 'text/event-stream', token = ADMIN, cookie, last }: How = {},
): Promise<Watcher> {
  const request = get(`${base}/watch${query}`, {
    headers: {
      ...(cookie === undefined ? { authorization: `Bearer ${token}` } : { cookie }),
      accept,
      ...(last === undefined ? {} : { 'last-event-id': String(last) }),
    },
    agent: false,
  });
  const answer = await new Promise<IncomingMessage>((resolve, reject) => void request.once('response', resolve).once('error', reject));
  request.on('error', () => undefined);
  const lines = accept.includes('ndjson');
  const seen: Seen[] = [];
  const others: { event: string; data: string }[] = [];
  let all = '';
  let rest = '';
  let lastId: string | undefined;
  const take = (number: number, text: string): void => void seen.push({ number, change: JSON.parse(text) as Change, at: performance.now() });
  const block = (text: string): void => {
    const fields = new Map(text.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)] as const));
    const id = fields.get('id');
    if (id !== undefined) lastId = id;
    const data = fields.get('data');
    if (data === undefined) return;
    if (fields.get('event') === 'change') take(Number(id), data);
    else others.push({ event: fields.get('event') ?? 'message', data });
  };
  answer.setEncoding('utf8');
  answer.on('data', (chunk: string) => {
    all += chunk;
    const parts = (rest + chunk).split(lines ? '\n' : '\n\n');
    rest = parts.pop()!;
    for (const part of parts) {
      if (!lines) block(part);
      else if (part !== '') {
        const { number } = JSON.parse(part) as { number?: number };
        if (number === undefined) others.push({ event: 'line', data: part });
        else take(number, part);
      }
    }
  });
  const ended = new Promise<void>((resolve) => void answer.once('close', resolve));
  answer.on('error', () => undefined);
  const watcher: Watcher = {
    status: answer.statusCode!,
    headers: answer.headers,
    seen,
    others,
    lastId: () => lastId,
    text: () => all,
    numbers: () => seen.map((one) => one.number),
    until: async (count, milliseconds = 20_000) => {
      for (const end = performance.now() + milliseconds; seen.length < count;) {
        if (performance.now() > end) expect.fail(`${seen.length} of ${count} changes came: ${all.slice(-2000)}`);
        await sleep(5);
      }
      return seen[count - 1]!;
    },
    ended,
    problem: () => JSON.parse(all) as ProblemDocument,
    pause: () => void answer.pause(),
    resume: () => void answer.resume(),
    close: () => void request.destroy(),
  };
  open.push(watcher);
  return watcher;
}

/** The numbers from one to another. */
export const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);
