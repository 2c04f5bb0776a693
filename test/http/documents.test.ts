import { randomBytes } from 'node:crypto';
import { decode } from '@msgpack/msgpack';
import { load } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { call } from '../modules/fleet.ts';
import { GIB, HV, json, smallFleet, type WireProblem } from './samples.ts';

const env = { CORRAL_ENCRYPTION_KEY: randomBytes(32).toString('base64') };
const corral = await testCorral(env);
const fleet = await smallFleet(corral);
const second = await testCorral({ ...env, DATABASE_URL: corral.databaseUrl });

const MON = 'mon0.example.com';
const types = { yaml: 'application/yaml', json: 'application/json', msgpack: 'application/msgpack' } as const;
const read = async (path: string, accept?: string): Promise<{ data: unknown; answer: Response }> => {
  const answer = await corral.request(path, accept === undefined ? {} : { headers: { accept } });
  const type = answer.headers.get('content-type');
  const bytes = Buffer.from(await answer.arrayBuffer());
  return { answer, data: type === types.msgpack ? decode(bytes) : type === types.yaml ? load(bytes.toString()) : JSON.parse(bytes.toString()) };
};

describe.each(['enc', 'hiera', 'pillar', 'tops', 'documents'])('/%s', (envelope) => {
  const path = `/${envelope}/${HV}`;

  test('is the same data in YAML, JSON and MessagePack, by Accept and by ending', async () => {
    const { data } = await read(`${path}.json`);
    for (const [format, type] of Object.entries(types)) {
      const [byAccept, byEnding] = [await read(path, type), await read(`${path}.${format}`)];
      for (const { answer } of [byAccept, byEnding]) expect([format, answer.status, answer.headers.get('content-type')]).toEqual([format, 200, type]);
      expect([byAccept.data, byEnding.data]).toEqual([data, data]);
      expect(byAccept.answer.headers.get('etag')).toBe(byEnding.answer.headers.get('etag'));
    }
    const first = await corral.request(path);
    expect(first.headers.get('content-type')).toBe(envelope === 'enc' ? types.yaml : types.json);
    await first.arrayBuffer();
  });

  test('has a page that shows the document, its version and where it comes from', async () => {
    const page = await corral.request(path, { headers: { accept: 'text/html' } });
    expect([page.status, page.headers.get('content-type'), page.headers.get('corral-document')]).toEqual([
      200,
      'text/html; charset=utf-8',
      expect.stringMatching(/^\d+-[0-9a-f]{16}$/),
    ]);
    const text = await page.text();
    for (const part of [HV, page.headers.get('corral-document')!]) expect(text).toContain(part);
  });

  test('names its version and node, has a strong tag for each form, and answers HEAD', async () => {
    const tags = new Set<string>();
    for (const format of Object.keys(types)) {
      const answer = await corral.request(`${path}.${format}`, { method: 'HEAD' });
      expect([answer.status, answer.headers.get('corral-document'), answer.headers.get('corral-node'), await answer.text()]).toEqual([
        200,
        expect.stringMatching(/^\d+-[0-9a-f]{16}$/),
        HV,
        '',
      ]);
      expect(answer.headers.get('etag')).toMatch(/^"[^"]+"$/);
      tags.add(answer.headers.get('etag')!);
    }
    expect(tags.size).toBe(3);
  });

  test('is 304 until something changes that it shows', async () => {
    const etag = (await read(path)).answer.headers.get('etag')!;
    const ask = async (): Promise<number> => (await corral.request(path, { headers: { 'if-none-match': `W/"x", ${etag}` } })).status;
    expect(await ask()).toBe(304);
    await call(corral, 'PATCH', '/api/v1/sites/fra1', { description: `not shown ${envelope}` });
    expect(await ask()).toBe(304);
    await call(corral, 'PATCH', `/api/v1/nodes/${HV}`, { location: `Rack ${envelope}` });
    expect(await ask()).toBe(200);
  });

  test('is refused for what it is not', async () => {
    for (const [request, status, code] of [
      [`/${envelope}/none.example.com`, envelope === 'hiera' ? 200 : 404, 'not-found'],
      [`/${envelope}/${HV}?x=1`, 200, ''],
      [`/${envelope}/${'x'.repeat(5000)}`, envelope === 'hiera' ? 200 : 404, 'not-found'],
      [`/${envelope}/%00`, 400, 'bad-request'],
      [`/${envelope}/%`, 400, 'bad-request'],
      [`/${envelope}/a/b/c`, 404, 'not-found'],
    ] as const) {
      const answer = await corral.request(request);
      expect([request.slice(0, 60), answer.status]).toEqual([request.slice(0, 60), status]);
      const body = await answer.text();
      expect(status === 200 || (JSON.parse(body) as WireProblem).code === code).toBe(true);
    }
    expect((await corral.request(path, { headers: { accept: 'image/png' } })).status).toBe(406);
    const posted = await corral.request(path, { method: 'POST', body: '{}' });
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, expect.stringContaining('GET')]);
  });

  test('is 410 while its node is deactivated, and back when it runs', async () => {
    const etag = (await read(path)).answer.headers.get('etag')!;
    await call(corral, 'PATCH', `/api/v1/nodes/${HV}`, { state: 'deactivated' });
    const answer = await corral.request(path, { headers: { 'if-none-match': etag } });
    expect([answer.status, (await json<WireProblem>(answer)).code]).toEqual([410, 'gone']);
    await call(corral, 'PATCH', `/api/v1/nodes/${HV}`, { state: 'running' });
    expect((await corral.request(path)).status).toBe(200);
  });

  test('of another process is the one that was just committed here', async () => {
    for (let i = 0; i < 15; i++) {
      const [writer, reader] = i % 2 ? [corral, second] : [second, corral];
      await call(writer, 'PATCH', `/api/v1/nodes/${HV}`, { location: `Step ${envelope} ${i}`, environment: `env${i}` });
      const [one, two] = await Promise.all([reader.request(path), writer.request(path)]);
      expect(one.headers.get('etag')).toBe(two.headers.get('etag'));
      const shown = await reader.request(`/pillar/${HV}`);
      expect((await json<{ corral: { location: string } }>(shown)).corral.location).toBe(`Step ${envelope} ${i}`);
    }
    await call(corral, 'PATCH', `/api/v1/nodes/${HV}`, { environment: 'production' });
  });
});

describe('single keys of Hiera', () => {
  test('are the values of the whole, and 404 where there is none', async () => {
    const { data } = (await read(`/hiera/${HV}`)) as { data: Record<string, unknown> };
    for (const [key, value] of Object.entries(data)) expect((await read(`/hiera/${HV}/${encodeURIComponent(key)}`)).data).toEqual(value);
    for (const key of ['corral::nothing', '__proto__', 'constructor', 'toString', '%F0%9F%90%8E'])
      expect([key, (await corral.request(`/hiera/${HV}/${key}`)).status]).toEqual([key, 404]);
    expect((await corral.request('/hiera/none.example.com/corral::node')).status).toBe(404);
  });

  test('of an unknown scope: the whole is an empty mapping', async () => {
    const { data, answer } = await read('/hiera/none.example.com');
    expect([answer.status, data]).toEqual([200, {}]);
  });
});

describe('the envelopes', () => {
  test('say the same version', async () => {
    const version = (await read(`/documents/${HV}`)).answer.headers.get('corral-document');
    const [enc, hiera, pillar, documents] = await Promise.all(
      ['enc', 'hiera', 'pillar', 'documents'].map(async (name) => (await read(`/${name}/${HV}.json`)).data as Record<string, Record<string, unknown>>),
    );
    expect([enc!['parameters']!['corral_document'], hiera!['corral::document'], pillar!['corral']!['document'], documents!['version']]).toEqual([
      version,
      version,
      version,
      version,
    ]);
  });

  test('of /documents follow the manager of the node', async () => {
    expect(Object.keys((await read(`/documents/${HV}`)).data as object).sort()).toEqual(['enc', 'hiera', 'manager', 'node', 'version']);
    const etag = (await read(`/documents/${HV}`)).answer.headers.get('etag')!;
    await call(corral, 'PATCH', `/api/v1/nodes/${HV}`, { manager: 'salt' });
    const answer = await corral.request(`/documents/${HV}`, { headers: { 'if-none-match': etag } });
    expect(answer.status).toBe(200);
    expect(Object.keys(await json(answer)).sort()).toEqual(['manager', 'node', 'pillar', 'tops', 'version']);
    await call(corral, 'PATCH', `/api/v1/nodes/${HV}`, { manager: 'puppet' });
  });

  test('follow a node to its new name', async () => {
    await call(corral, 'PATCH', `/api/v1/nodes/${HV}`, { fqdn: 'hv9.example.com' });
    expect([(await corral.request(`/enc/${HV}`)).status, (await corral.request('/enc/hv9.example.com')).status]).toEqual([404, 200]);
    await call(corral, 'PATCH', '/api/v1/nodes/hv9.example.com', { fqdn: HV });
  });

  test('show a virtual machine, and that it is to be removed after its deletion', async () => {
    const { body } = await call(corral, 'POST', '/api/v1/vms', { method: 'KVM', cores: 1, ram: GIB, name: 'shown' });
    const domains = async (): Promise<Record<string, Record<string, unknown>>> =>
      ((await read(`/hiera/${HV}`)).data as Record<string, Record<string, Record<string, unknown>>>)['corral::hypervisor::domains']!;
    expect((await domains())[`vm-${String(body['id'])}`]).toMatchObject({ ensure: 'present', uuid: body['uuid'] });
    await call(corral, 'DELETE', `/api/v1/vms/${String(body['id'])}`);
    expect((await domains())[`vm-${String(body['id'])}`]).toMatchObject({ ensure: 'absent', uuid: body['uuid'] });
    expect((await domains())[`vm-${String(fleet.vm['id'])}`]).toMatchObject({ ensure: 'present' });
  });
});

test('/documents streams a line for every node that is not deactivated', async () => {
  await corral.make('node', { fqdn: 'off.example.com', site: 'fra1', state: 'deactivated', roles: { ceph_osd: { ceph_cluster: 'ceph' } } });
  const answer = await corral.request('/documents');
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/x-ndjson']);
  const text = await answer.text();
  expect(text.endsWith('\n')).toBe(true);
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines.map((line) => line['node']).sort()).toEqual([HV, MON].sort());
  for (const line of lines) expect(line).toEqual((await read(`/documents/${String(line['node'])}`)).data);
  expect((await corral.request('/documents', { headers: { accept: 'text/csv' } })).status).toBe(406);
});
