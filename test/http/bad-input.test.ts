import { encode } from '@msgpack/msgpack';
import { beforeAll, describe, expect, test } from 'vitest';
import { resources } from '../../src/modules/index.ts';
import { routeOf } from '../../src/db/catalog.ts';
import { testCorral } from '../support/corral.ts';
import { counts, HV, json, samples, send, smallFleet, type Input, type WireProblem } from './samples.ts';

const corral = await testCorral();
const fleet = await smallFleet(corral);
const table = samples(corral, fleet);
let before: Record<string, number>;
beforeAll(async () => {
  before = await counts(corral);
});
const unchanged = async (): Promise<void> => expect(await counts(corral)).toEqual(before);

/** Sends it and expects a clean refusal: 4xx, a problem with a code and a sentence, nothing of the driver or a stack. */
async function refused(path: string, init: RequestInit = {}): Promise<WireProblem & { headers: Headers }> {
  const answer = await corral.request(path, init);
  const problem = await json<WireProblem>(answer);
  const about = `${init.method ?? 'GET'} ${path.slice(0, 200)} ${String(init.body).slice(0, 100)}: ${JSON.stringify(problem).slice(0, 400)}`;
  expect(answer.status, about).toBeGreaterThanOrEqual(400);
  expect(answer.status, about).toBeLessThan(500);
  expect(answer.headers.get('content-type'), about).toBe('application/problem+json');
  expect(problem, about).toMatchObject({
    status: answer.status,
    code: expect.stringMatching(/^[a-z-]+$/) as string,
    detail: expect.stringMatching(/\S/) as string,
    title: expect.any(String) as string,
    type: expect.stringContaining('/docs#') as string,
  });
  expect(JSON.stringify(problem), about).not.toMatch(/at .*\.ts:|node_modules|syntax error|relation "|select |violates/);
  return { ...problem, headers: answer.headers };
}

const wrong: readonly unknown[] = [
  null,
  true,
  7.5,
  -1,
  0,
  2 ** 60,
  'x'.repeat(3000),
  '',
  [],
  [[]],
  {},
  { a: 1 },
  [null],
  "'; drop table vm; --",
  '\u202e',
  'ünï',
  '../../etc/passwd',
];

describe.each(resources.filter((one) => !one.readOnly && one.noun in table).map((resource) => [resource.noun, resource] as const))('%s', (noun, resource) => {
  const root = `/api/v1/${routeOf(resource.plural)}`;
  const model = corral.catalog.byNoun(noun);
  const plain = model.fields.filter((one) => !one.writeOnly && !one.list && one.type !== 'object' && one.type !== 'array');

  test('takes or refuses every kind of value in every field, with the place', async () => {
    const fields = [...Object.keys(resource.fields), ...Object.keys(resource.extras ?? {}), ...Object.keys(model.parts)];
    for (const name of fields) {
      for (const value of wrong) {
        if (model.createSchema.safeParse({ [name]: value }).error?.issues.some((issue) => issue.path[0] === name) !== true) continue;
        const problem = await refused(root, send('POST', { [name]: value }));
        expect([name, value, problem.code]).toEqual([name, value, 'invalid']);
        expect(problem.errors!.map((one) => one.pointer).filter((pointer) => pointer.split('/')[1] === name).length, name).toBeGreaterThan(0);
      }
    }
    await unchanged();
  });

  test('refuses a reference to nothing, with its place', async () => {
    for (const field of model.fields.filter((one) => one.ref !== undefined && !one.readOnly)) {
      for (const value of ['no-such-thing', 'no:such:thing', 999_999_999, '999999999999999', "x' or '1'='1"]) {
        const answer = await corral.request(`${root}`, send('POST', { ...(refInput[noun] ?? {}), [field.name]: value }));
        const problem = await json<WireProblem>(answer);
        expect([noun, field.name, value, answer.status]).toEqual([noun, field.name, value, 422]);
        expect(problem.errors!.map((one) => one.pointer)).toContain(`/${field.name}`);
      }
    }
    await unchanged();
  });

  test('refuses bodies that are no objects', async () => {
    for (const body of ['[]', '"x"', '7', 'null', 'true', '[{}]', '{"a":', '', '{"a":1}{']) {
      const problem = await refused(root, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      expect([body, problem.code]).toEqual([body, expect.stringMatching(/^(invalid|bad-body)$/) as string]);
    }
    for (const bytes of [encode([]), encode({ a: new Uint8Array(2) }), encode({ name: 'abc' }).slice(0, 3), new Uint8Array()]) {
      await refused(root, { method: 'POST', headers: { 'content-type': 'application/msgpack' }, body: bytes });
    }
    await refused(root, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"__proto__": {"name": "x"}}' });
    await unchanged();
  });

  test('answers strange keys, ids and filters without failing', async () => {
    const keys = [
      '0',
      '-1',
      '1.5',
      '1e9',
      '999999999999999',
      '99999999999999999999',
      'NaN',
      "' or 1=1 --",
      '%27%3B',
      'a:b:c:d:e',
      ':',
      '::',
      '%20',
      '..%2f..',
      'x'.repeat(5000),
      '%F0%9F%90%8E',
      '0x10',
      '+1',
      '%5C',
      'null',
    ];
    for (const key of keys) for (const method of ['GET', 'DELETE']) expect([key, (await refused(`${root}/${key}`, { method })).status]).toEqual([key, 404]);
    for (const key of ['%00', '%', '%zz', '%C0%AF', 'a%']) expect([key, (await refused(`${root}/${key}`)).status]).toEqual([key, 400]);
    const operators = ['', '__in', '__gt', '__ne', '__contains', '__lt', '__null', '__startswith'];
    const values = ['%00', '%27', '-1', '1e400', '99999999999999999999', '9007199254740991', '2024-13-45', 'x'.repeat(1000), '%F0%9F%90%8E%5C%25', ''];
    for (const [i, { name }] of plain.entries()) {
      for (const [j, value] of values.entries()) {
        const query = `${name}${operators[(i + j) % operators.length]!}=${value}`;
        const answers = await Promise.all([corral.request(`${root}?${query}`), corral.request(`${root}?${name}=${value}`)]);
        for (const answer of answers) {
          expect(answer.status, `${root}?${query}`).toBeLessThan(500);
          await answer.arrayBuffer();
        }
      }
    }
    await unchanged();
  });

  test('answers every broken cursor with 400', async () => {
    const cursor = (...values: unknown[]): string => Buffer.from(JSON.stringify(values)).toString('base64url');
    for (const field of [...plain.map((one) => one.name), 'created_at']) {
      for (const value of ['2024-13-45', '99999999-01-01', -1e300, '\u0000', "';--"]) {
        const answer = await corral.request(`${root}?sort=${field}&after=${cursor(`${field},id`, value, 1)}`);
        expect([field, value, answer.status === 200 || answer.status === 400]).toEqual([field, value, true]);
        await answer.arrayBuffer();
      }
      for (const after of ['x', cursor(), cursor('id', 1), cursor(`${field},id`, {}, 1), cursor(`${field},id`, 1, 1, 1)]) {
        expect((await refused(`${root}?sort=${field}&after=${after}`)).status).toBe(400);
      }
      expect((await refused(`${root}?sort=${field}&after=${cursor(`${field},id`, null, 'x')}`)).status).toBe(400);
    }
  });
});

/** What a creation needs beside the reference that is tried. */
const refInput: Readonly<Record<string, Input>> = {
  project: { name: 'p' },
  ceph_pool: { name: 'p' },
  ceph_key: { entity: 'client.p', caps: { mon: 'allow r' } },
  node: { fqdn: 'p.example.com', roles: { ceph_osd: { ceph_cluster: 'ceph' } } },
  node_interface: { node: HV, name: 'p0' },
  node_address: { address: '192.0.2.99/24' },
  hypervisor: { methods: ['KVM'], cores: 1, ram: 1024 },
  ceph_mon_node: { node: HV, ceph_cluster: 'ceph' },
  ceph_osd_node: { node: 'mon0.example.com', ceph_cluster: 'ceph' },
  ceph_osd: { data_device: '/dev/x' },
  subnet: { cidr: '10.77.0.0/24' },
  storage_pool: { name: 'p', kind: 'rbd' },
  pool_attachment: { hypervisor: HV, storage_pool: 'local' },
  vm: { method: 'KVM', cores: 1, ram: 1_048_576 },
  network_membership: { tagged: true, vm_interface: fleet.card, network: 'lan' },
  address: { address: '10.0.0.77', subnet: '10.0.0.0/28' },
  volume: { size: 512, type: 'raw', storage_pool: 'local', hypervisor: HV },
  snapshot: { name: 'p' },
  token: { name: 'p', kind: 'node' },
};
