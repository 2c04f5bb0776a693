import { randomBytes } from 'node:crypto';
import { afterAll, expect, test } from 'vitest';
import { lineOf } from '../../src/cli/commands/watch.ts';
import { against, corral as run, ended, says, start } from '../cli/support.ts';
import { call } from '../modules/fleet.ts';
import { ADMIN, testCorral } from '../support/corral.ts';
import { builtProgram } from '../support/process.ts';

const env = { CORRAL_ENCRYPTION_KEY: randomBytes(32).toString('base64') };
const corral = await testCorral(env);
const children: ReturnType<typeof start>[] = [];
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});
const watching = (args: readonly string[], more = against(corral)): ReturnType<typeof start> => {
  const child = start(['watch', ...args], { env: more });
  children.push(child);
  return child;
};
let made = 0;
const customer = async (): Promise<string> => {
  const name = `c${++made}`;
  expect((await call(corral, 'POST', '/api/v1/customers', { name }, { 'x-change-message': 'Because' })).status).toBe(201);
  return name;
};

test('a line says number, time, who, what and why', () => {
  const row = (key: string) => ({ noun: 'vm_interface', id: 1, key, op: 'create' as const });
  const change = {
    number: 41,
    at: '2026-01-02T03:04:05.678Z',
    actor: 'admin',
    request_id: null,
    message: null,
    reverts: null,
    rows: [row('7-0')],
    documents: [],
  };
  expect(lineOf(change)).toBe('41  2026-01-02 03:04:05  admin  create vm interface 7-0');
  expect(lineOf({ ...change, message: 'Make\nroom', rows: ['a', 'b', 'c', 'd', 'e', 'f'].map(row) })).toBe(
    '41  2026-01-02 03:04:05  admin  create vm interface a, create vm interface b, create vm interface c, create vm interface d, and 2 more  "Make room"',
  );
  expect(lineOf({ ...change, rows: [], rows_left_out: 5000 })).toBe('41  2026-01-02 03:04:05  admin  5000 more');
});

test('corral watch shows changes as they come, of the kinds that were asked for, as lines or JSON', async () => {
  const first = await customer();
  const text = watching(['--since', '0', '--kinds', 'customers']);
  expect(await says(text, 'stdout', /\n/)).toMatch(new RegExp(`^\\d+  [\\d-]{10} [\\d:]{8}  admin  create customer ${first}  "Because"\n$`));
  await call(corral, 'POST', '/api/v1/sites', { name: 'fra1' });
  const second = await customer();
  expect(await says(text, 'stdout', /\n/)).toContain(`create customer ${second}`);
  const json = watching(['--since', '0', '-o', 'json']);
  expect(JSON.parse((await says(json, 'stdout', /\n/)).split('\n')[0]!)).toMatchObject({ number: 1, actor: 'admin', message: 'Because' });
  text.kill('SIGINT');
  await ended(text);
});

test('what is refused ends it with a message and an exit code', async () => {
  const refused = async (args: readonly string[], more = against(corral)): Promise<[number | null, string]> => {
    const { code, err } = await run(['watch', ...args], { env: more });
    return [code, err];
  };
  expect(await refused(['--since', '999999'])).toEqual([1, expect.stringContaining('in the future')]);
  expect(await refused(['--kinds', 'horses'])).toEqual([2, expect.stringContaining('horses')]);
  expect(await refused([], { ...against(corral), CORRAL_TOKEN: 'corral_reader_unknown' })).toEqual([1, expect.stringContaining('not known')]);
  expect(await refused([], { CORRAL_URL: 'http://127.0.0.1:1', CORRAL_TOKEN: ADMIN })).toEqual([5, expect.stringContaining('cannot be reached')]);
  for (let i = 0; i < 3; i++) await customer();
  await corral.pool.query('delete from change where number < 4');
  expect(await refused(['--since', '1'])).toEqual([3, expect.stringContaining('since=3')]);
});

test('when the API goes away it comes back to its place, and shows what was made meanwhile', async () => {
  const server = await builtProgram();
  const one = await server(corral.databaseUrl, env);
  const child = watching([], { CORRAL_URL: one.base, CORRAL_TOKEN: ADMIN });
  /* It is there when its first change has come. */
  let shown = '';
  child.stdout.on('data', (chunk: Buffer) => (shown += chunk.toString()));
  for (; shown === '';) {
    await customer();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const before = made;
  await one.kill();
  await says(child, 'stderr', /it is tried again/);
  const names = [await customer(), await customer()];
  await server(corral.databaseUrl, { ...env, PORT: new URL(one.base).port });
  await expect.poll(() => shown, { timeout: 30_000 }).toContain(names[1]);
  const numbers = shown
    .trim()
    .split('\n')
    .map((line) => Number.parseInt(line, 10));
  expect(numbers).toEqual(numbers.map((_, i) => numbers[0]! + i));
  expect(made).toBe(before + 2);
});
