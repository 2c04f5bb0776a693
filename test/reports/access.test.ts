import { gzipSync } from 'node:zlib';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { routeOf } from '../../src/db/catalog.ts';
import { resources } from '../../src/modules/index.ts';
import { testCorral } from '../support/corral.ts';
import { documentResource, fleet, get, NODE, post, puppetReport, versionOf } from './fleet.ts';

const corral = await testCorral({ CORRAL_REPORT_LIMIT: '200000' });
await fleet(corral, 2);
const OTHER = 'hv2.example.com';
const token = async (kind: string, node?: string) => String((await corral.make('token', { name: `${kind}-token`, kind, ...(node ? { node } : {}) }))['token']);
const server = await token('server');
const reader = await token('reader');
const own = await token('node', NODE);

const job = (node: string) => ({ id: node, jid: '20261121042205024857', fun: 'state.apply', return: [] });
const wire = (node: string) => ({
  certname: node,
  start_time: new Date().toISOString(),
  status: 'unchanged',
  transaction_uuid: 'w',
  resources: [],
  metrics: [],
  logs: [],
});
const pdb = (command: string, node: string, version = command === 'store_report' ? 8 : command === 'replace_facts' ? 5 : 9) =>
  `/pdb/cmd/v1?command=${command}&version=${version}&certname=${node}&producer-timestamp=2026-11-21T04:00:00.000Z&checksum=0`;
const ways: readonly [string, (node: string) => [string, unknown]][] = [
  ['puppet', (node) => ['/reports/puppet', puppetReport([], { node })]],
  ['salt', (node) => ['/reports/salt', job(node)]],
  ['heartbeat', (node) => ['/heartbeats', { node }]],
  ['wire report', (node) => [pdb('store_report', node), wire(node)]],
  ['wire facts', (node) => [pdb('replace_facts', node), { certname: node, values: { kernel: 'Linux' } }]],
  ['wire catalog', (node) => [pdb('replace_catalog', node), { certname: node }]],
];

describe.each(ways)('%s', (_name, way) => {
  test.each([
    ['a server', server, NODE, 200],
    ['a server', server, OTHER, 200],
    ['an admin', undefined, NODE, 200],
    ['its node', own, NODE, 200],
    ['its node', own, NODE.toUpperCase(), 200],
    ['another node', own, OTHER, 403],
    ['another node', own, 'nobody.example.com', 403],
    ['a reader', reader, NODE, 403],
    ['nobody', null, NODE, 401],
  ])('from %s', async (_who, who, node, status) => {
    const [path, body] = way(node);
    const answer = await post(corral, path, body, who);
    expect([answer.status, status === 200 ? undefined : typeof answer.body['code']]).toEqual([status, status === 200 ? undefined : 'string']);
  });

  test('of an unknown node is refused, but for what is dropped anyway', async () => {
    const [path, body] = way('nobody.example.com');
    const dropped = path.includes('catalog');
    const answer = await post(corral, path, body, server);
    expect([answer.status, answer.body['code']]).toEqual(dropped ? [200, undefined] : [404, 'not-found']);
  });

  test('is posted, with nothing else than POST', async () => {
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const answer = await corral.request(way(NODE)[0], { method });
      expect([method, answer.status, answer.headers.get('allow')]).toEqual([method, 405, 'POST']);
    }
  });
});

test("PuppetDB's command to deactivate a node takes none out", async () => {
  expect((await post(corral, pdb('deactivate_node', NODE, 3), { certname: NODE }, server)).status).toBe(200);
  expect(await get(corral, `/api/v1/nodes/${NODE}`)).toMatchObject({ state: 'running' });
});

test.each([
  ['command=burn&version=1&certname=x', 'command'],
  ['command=store_report&version=4&certname=x', 'version'],
  ['command=store_report&version=9&certname=x', 'version'],
  ['command=replace+facts&version=x&certname=x', 'version'],
  ['command=store_report&version=8', 'certname'],
])('a command that is none is refused: %s', async (query, parameter) => {
  const answer = await post(corral, `/pdb/cmd/v1?${query}`, {}, server);
  expect(answer).toMatchObject({ status: 400, body: { code: 'bad-request', parameter } });
});

test('a report over the wire must be of the node that the parameters name', async () => {
  expect((await post(corral, pdb('store_report', NODE), wire(OTHER), server)).status).toBe(400);
});

test('facts over the wire are kept, and those of the host itself win', async () => {
  const values = { processors: { count: 3 }, kernelrelease: '6.1', note: 'nul \0 and \ud800' };
  await post(corral, pdb('replace_facts', OTHER), { certname: OTHER, values }, server);
  expect(await get(corral, `/api/v1/node-facts/${OTHER}`)).toMatchObject({ facts: { cores: 3, kernel: '6.1' }, tool_facts: { processors: { count: 3 } } });
  await post(corral, '/heartbeats', { node: OTHER, observation: { facts: { cores: 64, libvirt: '9.0.0' } } }, server);
  await post(corral, pdb('replace_facts', OTHER), { certname: OTHER, values }, server);
  expect(await get(corral, `/api/v1/node-facts/${OTHER}`)).toMatchObject({ facts: { cores: 64, libvirt: '9.0.0' } });
});

describe('a server token', () => {
  test('reads the documents of all nodes', async () => {
    for (const path of [
      `/enc/${NODE}`,
      `/hiera/${OTHER}`,
      `/pillar/${NODE}`,
      `/tops/${NODE}`,
      `/documents/${OTHER}`,
      '/documents',
      '/hiera/nobody.example.com',
    ]) {
      const answer = await corral.request(path, { token: server });
      expect([path, answer.status]).toEqual([path, 200]);
      await answer.arrayBuffer();
    }
    const page = await corral.request(`/enc/${NODE}`, { token: server, headers: { accept: 'text/html' } });
    expect([page.status, (await page.text()).includes('/api/v1/nodes"')]).toEqual([200, false]);
  });

  test('reads and writes nothing else', async () => {
    const paths = [
      '/',
      '/api/v1',
      '/openapi.json',
      '/docs',
      ...resources.flatMap((one) => [`/api/v1/${routeOf(one.plural)}`, `/api/v1/${routeOf(one.plural)}/1`]),
    ];
    for (const path of paths) {
      const answer = await corral.request(path, { token: server });
      expect([path, answer.status]).toEqual([path, 403]);
      await answer.arrayBuffer();
    }
    for (const one of resources) {
      const answer = await post(corral, `/api/v1/${routeOf(one.plural)}`, {}, server);
      expect([one.noun, [403, 405].includes(answer.status)]).toEqual([one.noun, true]);
    }
    for (const path of [`/api/v1/vms/1/convergence`, '/forms/nodes'])
      expect((await corral.request(path, { token: server, headers: { accept: 'text/html' } })).status).toBe(403);
  });

  test('names no node', async () => {
    expect((await post(corral, '/api/v1/tokens', { name: 'odd', kind: 'server', node: NODE })).status).toBe(422);
  });
});

describe('a body', () => {
  const file = (name: string): string => readFileSync(new URL(`../../fixtures/reports/${name}`, import.meta.url), 'utf8');
  const raw = async (body: string | Uint8Array, headers: Record<string, string>) =>
    corral.request('/reports/puppet', { method: 'POST', body: body as string, headers, token: server });

  test("may be the YAML that Puppet's own processor posts", async () => {
    for (const type of ['application/x-yaml', 'text/yaml', 'application/yaml; charset=utf-8']) {
      const answer = await raw(file('puppet-failed.yaml'), { 'content-type': type });
      expect([type, answer.status, await answer.json()]).toEqual([type, 200, { node: NODE, run: expect.any(String), outcome: 'failed' }]);
    }
  });

  test('may be packed', async () => {
    const body = gzipSync(JSON.stringify(puppetReport([documentResource(await versionOf(corral))])));
    expect((await raw(body, { 'content-type': 'application/json', 'content-encoding': 'gzip' })).status).toBe(200);
  });

  test.each([
    ['{"host": "hv1"', 'application/json', 400, /JSON body cannot be parsed/],
    ['', 'application/json', 400, /JSON body cannot be parsed/],
    ['host: [', 'application/x-yaml', 400, /YAML body cannot be parsed at line \d/],
    ['--- !ruby/object:Kernel {}', 'application/x-yaml', 422, /host is needed/],
    ['[1]', 'application/json', 422, /must be an object/],
    ['null', 'application/json', 422, /must be an object/],
    ['{}', 'application/json', 422, /host is needed/],
    ['x', 'text/plain', 415, /is not read/],
    [JSON.stringify({ host: 'x'.repeat(300_000) }), 'application/json', 413, /at most 200000/],
  ])('%.40s as %s is refused', async (body, type, status, detail) => {
    const answer = await raw(body, { 'content-type': type });
    const problem = (await answer.json()) as { detail: string };
    expect([answer.status, problem.detail]).toEqual([status, expect.stringMatching(detail)]);
  });

  test('that is packed badly, or unpacks to more than may be, is refused', async () => {
    const packed = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
    const whole = gzipSync(JSON.stringify(puppetReport([])));
    expect((await raw('no gzip', packed)).status).toBe(400);
    expect((await raw(whole.subarray(0, whole.length - 12), packed)).status).toBe(400);
    expect((await raw(gzipSync(Buffer.alloc(50_000_000)), packed)).status).toBe(413);
    expect((await raw(whole, { ...packed, 'content-encoding': 'br' })).status).toBe(415);
  });
});
