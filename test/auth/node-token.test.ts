import { describe, expect, test } from 'vitest';
import { routeOf } from '../../src/db/catalog.ts';
import { resources } from '../../src/modules/index.ts';
import { testCorral } from '../support/corral.ts';
import { json, send, smallFleet, type WireProblem } from '../http/samples.ts';

const corral = await testCorral();
await smallFleet(corral);
const OWN = 'hv0.example.com';
const OTHER = 'mon0.example.com';
const token = String((await corral.make('token', { name: 'hv0', kind: 'node', node: OWN }))['token']);
const envelopes = ['enc', 'hiera', 'pillar', 'tops', 'documents'];

describe('a node token', () => {
  test.each(envelopes)('reads the %s of its own node, in every form', async (envelope) => {
    for (const ending of ['', '.yaml', '.json', '.msgpack', '.html']) {
      const answer = await corral.request(`/${envelope}/${OWN}${ending}`, { token });
      expect([ending, answer.status]).toEqual([ending, 200]);
      await answer.arrayBuffer();
    }
    expect((await corral.request(`/${envelope}/${OWN.toUpperCase()}`, { token })).status).toBe(200);
  });

  test('reads single keys of its own node', async () => {
    expect(await json(corral.request(`/hiera/${OWN}/corral::node`, { token }))).toBe(OWN);
    expect((await corral.request(`/hiera/${OTHER}/corral::node`, { token })).status).toBe(403);
  });

  test.each(envelopes)('reads the %s of no other node, there or not', async (envelope) => {
    for (const name of [OTHER, 'no-such-node.example.com', `${OWN}.`, `${OWN}%20`, `x${OWN}`, '..%2f', OTHER.toUpperCase(), `${OTHER}.html`, `${OTHER}.json`]) {
      const answer = await corral.request(`/${envelope}/${name}`, { token });
      expect([name, answer.status]).toEqual([name, 403]);
      await answer.arrayBuffer();
    }
  });

  test('reads nothing else', async () => {
    const paths = [
      '/',
      '/documents',
      '/api/v1',
      '/openapi.json',
      '/docs',
      '/metrics',
      ...resources.flatMap((one) => [`/api/v1/${routeOf(one.plural)}`, `/api/v1/${routeOf(one.plural)}/1`, `/forms/${routeOf(one.plural)}`]),
    ];
    for (const path of paths) {
      for (const accept of path.startsWith('/forms/') ? ['text/html'] : ['application/json', 'text/html']) {
        const answer = await corral.request(path, { token, headers: { accept } });
        expect([path, accept, answer.status === 403 || (path === '/metrics' && answer.status === 404)]).toEqual([path, accept, true]);
        expect(await answer.text()).not.toContain(OTHER);
      }
    }
    expect((await corral.request(`/api/v1/nodes/${OWN}`, { token })).status).toBe(403);
  });

  test('writes nothing', async () => {
    for (const one of resources.filter((resource) => !resource.readOnly)) {
      const root = `/api/v1/${routeOf(one.plural)}`;
      for (const [method, path] of [
        ['POST', root],
        ['PUT', `${root}/1`],
        ['PATCH', `${root}/1`],
        ['DELETE', `${root}/1`],
      ] as const) {
        const answer = await corral.request(path, { token, ...send(method, {}) });
        const { code } = await json<WireProblem>(answer);
        expect([method, path, ['forbidden', 'method-not-allowed'].includes(code)]).toEqual([method, path, true]);
      }
    }
  });

  test('follows its node to a new name, and goes with it', async () => {
    await corral.make('node', { fqdn: 'old.example.com', site: 'fra1', roles: { ceph_osd: { ceph_cluster: 'ceph' } } });
    const mine = String((await corral.make('token', { name: 'old', kind: 'node', node: 'old.example.com' }))['token']);
    expect((await corral.request('/api/v1/nodes/old.example.com', send('PATCH', { fqdn: 'new.example.com' }))).status).toBe(200);
    expect((await corral.request('/enc/new.example.com', { token: mine })).status).toBe(200);
    expect((await corral.request('/enc/old.example.com', { token: mine })).status).toBe(403);
    expect((await corral.request('/api/v1/nodes/new.example.com', { method: 'DELETE' })).status).toBe(204);
    expect((await corral.request('/enc/new.example.com', { token: mine })).status).toBe(401);
  });

  test('names its node, and other kinds name none', async () => {
    for (const input of [{ kind: 'node' }, { kind: 'node', node: null }, { kind: 'admin', node: OWN }, { kind: 'reader', node: OWN }]) {
      const answer = await corral.request('/api/v1/tokens', send('POST', { name: 'odd', ...input }));
      const problem = await json<WireProblem>(answer);
      expect([input, answer.status, problem.errors?.[0]?.pointer]).toEqual([input, 422, '/node']);
    }
  });
});
