import { encode } from '@msgpack/msgpack';
import { beforeAll, describe, expect, test } from 'vitest';
import { resources } from '../../src/modules/index.ts';
import { routeOf } from '../../src/db/catalog.ts';
import { testCorral } from '../support/corral.ts';
import { refused } from './refused.ts';
import { counts, HV, json, send, smallFleet, type Input, type WireProblem } from './samples.ts';

const corral = await testCorral();
const fleet = await smallFleet(corral);
let before: Record<string, number>;
beforeAll(async () => {
  before = await counts(corral);
});
const unchanged = async (): Promise<void> => expect(await counts(corral)).toEqual(before);

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

describe.each(resources.filter((one) => !one.readOnly && !one.without?.includes('create')).map((resource) => [resource.noun, resource] as const))(
  '%s',
  (noun, resource) => {
    const root = `/api/v1/${routeOf(resource.plural)}`;
    const model = corral.catalog.byNoun(noun);

    test('takes or refuses every kind of value in every field, with the place', async () => {
      const fields = [...Object.keys(resource.fields), ...Object.keys(resource.extras ?? {}), ...Object.keys(model.parts)];
      for (const name of fields) {
        const refusable = wrong.filter((value) => model.createSchema.safeParse({ [name]: value }).error?.issues.some((issue) => issue.path[0] === name));
        const problems = await Promise.all(refusable.map((value) => refused(corral, root, send('POST', { [name]: value }))));
        for (const [i, { code, errors }] of problems.entries()) {
          const places = errors?.filter(({ pointer }) => pointer.split('/')[1] === name) ?? [];
          expect([name, refusable[i], code, places.length > 0]).toEqual([name, refusable[i], 'invalid', true]);
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
        const problem = await refused(corral, root, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
        expect([body, problem.code]).toEqual([body, expect.stringMatching(/^(invalid|bad-body)$/) as string]);
      }
      for (const bytes of [encode([]), encode({ a: new Uint8Array(2) }), encode({ name: 'abc' }).slice(0, 3), new Uint8Array()]) {
        await refused(corral, root, { method: 'POST', headers: { 'content-type': 'application/msgpack' }, body: bytes });
      }
      await refused(corral, root, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"__proto__": {"name": "x"}}' });
      await unchanged();
    });
  },
);

/** What a creation needs beside the reference that is tried. */
const refInput: Readonly<Record<string, Input>> = {
  project: { name: 'p' },
  network: { name: 'p' },
  binding: { name: 'p', role: 'viewer' },
  enrolment_token: { name: 'p' },
  layer: { name: 'p', scope: 'everything' },
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
