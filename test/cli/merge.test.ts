import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { ADMIN, testCorral } from '../support/corral.ts';
import { against, corral, type Ran } from './support.ts';

const server = await testCorral();
const env = against(server);
const run = (...args: string[]): Promise<Ran> => corral(args, { env });
const layer = async (): Promise<Record<string, unknown>> => (await (await server.request('/api/v1/layers/base')).json()) as Record<string, unknown>;
const write = (patch: object): Promise<Response> =>
  server.request('/api/v1/layers/base', { method: 'PATCH', body: JSON.stringify(patch), headers: { 'content-type': 'application/json' } });

/** Lets everything through to the server; `before` runs ahead of the first write. */
let before: (() => Promise<unknown>) | undefined;
const proxy = createServer((incoming, outgoing) => {
  void (async () => {
    const work = incoming.method === 'GET' ? undefined : before;
    if (work) before = undefined;
    await work?.();
    const through = request(`${server.base}${incoming.url}`, { method: incoming.method, headers: incoming.headers }, (answer) => {
      outgoing.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(through);
  })();
});

beforeAll(async () => {
  await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done));
  await server.make('layer', { name: 'base', scope: 'everything' });
});
afterAll(() => {
  proxy.close();
});
beforeEach(async () => {
  await write({ data: { motd: 'Hello', limits: { nofile: 1024, core: 0 } }, parameters: { rack: 'A4' }, secrets: { pw: 'one' } });
});

it('sets one key of a mapping, and leaves the others', async () => {
  const set = await run('set', 'layer', 'base', 'data.banner=new', 'data.limits.nofile=4096', 'parameters.row=7', 'secrets.token=two');
  expect([set.code, set.err]).toEqual([0, '']);
  expect(await layer()).toMatchObject({
    data: { motd: 'Hello', banner: 'new', limits: { nofile: 4096, core: 0 } },
    parameters: { rack: 'A4', row: 7 },
    secret_keys: ['pw', 'token'],
  });
});

it('removes a key with null, and says when there is none', async () => {
  const set = await run('set', 'layer', 'base', 'data.motd=null', 'data.limits.core=null', 'data.mtod=null', 'secrets.token=null');
  expect([set.code, set.err]).toEqual([0, 'There is no data.mtod to remove\n']);
  expect(await layer()).toMatchObject({ data: { limits: { nofile: 1024 } }, secret_keys: ['pw'] });
  expect(Object.keys((await layer())['data'] as object)).toEqual(['limits']);
});

it('takes keys with dots in quotes', async () => {
  expect((await run('set', 'layer', 'base', 'data.profile::sysctl::values."vm.swappiness"=10')).code).toBe(0);
  expect((await layer())['data']).toMatchObject({ motd: 'Hello', 'profile::sysctl::values': { 'vm.swappiness': 10 } });
  const nested = await run('set', 'layer', 'base', 'data.motd.x=1');
  expect([nested.code, nested.err]).toEqual([2, expect.stringContaining('data.motd is "Hello", not a mapping')]);
});

it('replaces the whole where the whole is given, and goes on from there', async () => {
  expect((await run('set', 'layer', 'base', 'data={"a": 1}', 'data.b=2')).code).toBe(0);
  expect((await layer())['data']).toEqual({ a: 1, b: 2 });
});

it('plans what it would do', async () => {
  const { out } = await run('set', 'layer', 'base', 'data.banner=new', '--plan', '-o', 'json');
  const { answer } = JSON.parse(out) as { answer: { data: object } };
  expect(answer.data).toEqual({ motd: 'Hello', banner: 'new', limits: { nofile: 1024, core: 0 } });
  const told = await run('set', 'layer', 'base', 'data.limits.nofile=1', 'data.motd=null', 'data.limits."a.b"=[2]', '--plan');
  expect(told.out).toMatch(/^~ layer base\n( {4}data\..*\n){3}\nNo host acts/);
  for (const line of ['data.limits.nofile: 1024 -> 1', 'data.motd: Hello -> nothing', 'data.limits."a.b": nothing -> [2]'])
    expect(told.out).toContain(`    ${line}\n`);
});

it('makes what is not there with --upsert, and merges into what is', async () => {
  expect((await run('set', 'layer', 'other', '--upsert', 'scope=everything', 'data.a=1')).code).toBe(0);
  const again = await run('set', 'layer', 'other', '--upsert', 'scope=everything', 'data.b=2', '-o', 'json');
  expect(JSON.parse(again.out)).toMatchObject({ data: { a: 1, b: 2 } });
  expect((await run('set', 'layer', 'none', 'data.a=1')).code).toBe(3);
});

it('does not overwrite what was written after it had read', async () => {
  before = () => write({ data: { motd: 'of somebody else' } });
  const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const set = await corral(['set', 'layer', 'base', 'data.banner=mine'], { env: { CORRAL_URL: url, CORRAL_TOKEN: ADMIN } });
  expect(set.code).toBe(4);
  expect(set.err).toContain('stale-version');
  expect(set.err).toContain('between the reading of data and the writing');
  expect((await layer())['data']).toEqual({ motd: 'of somebody else' });
  const version = Number((await layer())['version']);
  expect((await run('set', 'layer', 'base', 'data.a=1', '--if-version', String(version - 1))).code).toBe(4);
  expect((await run('set', 'layer', 'base', 'data.a=1', '--if-version', String(version))).code).toBe(0);
  expect((await layer())['data']).toEqual({ motd: 'of somebody else', a: 1 });
});

it('sets one place of a list in a part', async () => {
  await server.make('site', { name: 'fra1' });
  await server.make('node', { fqdn: 'hv1.example.com', site: 'fra1', roles: { hypervisor: { cores: 8, ram: 2 ** 33, methods: ['KVM'] } } });
  const set = await run('set', 'node', 'hv1.example.com', 'roles.hypervisor.methods.1=QEMU', '-o', 'json');
  expect(JSON.parse(set.out)).toMatchObject({ roles: { hypervisor: { cores: 8, methods: ['KVM', 'QEMU'] } } });
});
