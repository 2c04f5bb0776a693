import { spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, describe, expect, test } from 'vitest';

import { logRequest } from '../../src/kernel/logging.ts';

const folder = mkdtempSync(join(tmpdir(), 'corral-log-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const LOGGING = resolve(import.meta.dirname, '../../src/kernel/logging.ts');
/** What is under way at that very moment may be lost: the program waits until the first thousand are in the file. */
const program = (then: string): string[] => [
  '--input-type=module',
  '-e',
  `import { readFileSync } from 'node:fs';
   const written = async () => { while (!readFileSync('/dev/fd/2', 'utf8').includes('"i":999')) await new Promise((resolve) => setTimeout(resolve, 10)); };
   const { createLog } = await import(${JSON.stringify(LOGGING)}); const log = createLog('info');
   let i = 0; for (; i < 1000; i++) { log.info({ i, text: 'ü'.repeat(i % 50) }, 'line'); log.debug('no'); } ${then}`,
];
const numbers = (text: string): number[] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => (JSON.parse(line) as { i: number }).i);
const all = Array.from({ length: 1000 }, (_, i) => i);

describe('every line is written, once and in order', () => {
  test.each([
    ['at the end', '', 0],
    ['at process.exit', 'await written(); log.info({ i }, "line"); process.exit(3);', 3],
    ['at an error that nobody catches', 'await written(); log.info({ i }, "line"); throw new Error("on purpose");', 1],
  ])('%s', (_, then, status) => {
    const file = join(folder, 'log');
    const fd = openSync(file, 'w+');
    const ran = spawnSync(process.execPath, program(then), { stdio: ['ignore', 'ignore', fd] });
    closeSync(fd);
    const text = readFileSync(file, 'utf8');
    expect([ran.status, numbers(text)]).toEqual([status, status === 0 ? all : [...all, 1000]]);
    expect(JSON.parse(text.split('\n')[0]!)).toEqual({
      level: 30,
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      i: 0,
      text: '',
      msg: 'line',
    });
  });

  test('while the process goes on', async () => {
    const child = spawn(process.execPath, program('setInterval(() => undefined, 1000)'), { stdio: ['ignore', 'ignore', 'pipe'] });
    let text = '';
    child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
    while (!text.includes('"i":999')) await sleep(20);
    child.kill('SIGKILL');
    expect(numbers(text)).toEqual(all);
  });

  test('to a reader that is slow', async () => {
    const file = join(folder, 'slow');
    const ran = spawnSync('sh', ['-c', `"$@" 2>&1 >/dev/null | (sleep 1; cat) >${file}`, 'sh', process.execPath, ...program('')]);
    expect([ran.status, numbers(readFileSync(file, 'utf8'))]).toEqual([0, all]);
  });
});

test.each([
  { id: 'a-1', method: 'GET', path: '/enc/hv1.example.com', status: 200, token: 'hv1.example.com', document: '1-38357e227779dbbb' },
  { id: '', method: 'PATCH', path: '/api/v1/vms/1?x="\\\u0000\u2028\ud800\n', status: 500, kind: 'person', token: 'ü "me"\n' },
  { id: 'x', method: 'GET', path: '/', status: 401, kind: undefined, token: undefined },
])('the line of a request is what pino makes of it: $path', (one) => {
  const lines: string[] = [];
  const log = pino({ base: undefined, timestamp: () => ',"time":"T"' }, { write: (line: string) => void lines.push(line) });
  logRequest(log, { ...one, begun: performance.now() });
  const { ms } = JSON.parse(lines[0]!) as { ms: number };
  const { id, method, path, status, ...rest } = one;
  log.info({ id, method, path, status, ms, ...rest }, 'request');
  expect(lines[0]!.replace(/"time":"[^"]+"/, '"time":"T"')).toBe(lines[1]);
  log.level = 'warn';
  logRequest(log, { ...one, begun: 0 });
  expect(lines).toHaveLength(2);
});
