import { decode, encode } from '@msgpack/msgpack';
import { describe, expect, test } from 'vitest';
import { ADMIN, testCorral } from '../support/corral.ts';
import { call, expectConsistent, GIB, hypervisors, refuses, type Answer } from '../modules/fleet.ts';
import { counts, samples, smallFleet } from './samples.ts';

type Corral = Parameters<typeof call>[0];
type Operation = Record<string, unknown>;
interface Result {
  readonly ref?: string;
  readonly noun: string;
  readonly id: number;
  readonly key: string;
  readonly status: string;
  readonly once?: Record<string, string>;
}

const bulk = (corral: Corral, operations: readonly Operation[], more: Record<string, unknown> = {}, headers: Record<string, string> = {}): Promise<Answer> =>
  call(corral, 'POST', '/bulk', { operations, ...more }, headers);
const resultsOf = ({ status, body }: Answer): readonly Result[] => {
  expect([status, body]).toEqual([200, expect.anything()]);
  return body['results'] as Result[];
};
const vm = (extra: Operation = {}): Operation => ({ method: 'KVM', cores: 1, ram: GIB, ...extra });
const changes = async (corral: Awaited<ReturnType<typeof testCorral>>): Promise<number> =>
  Number((await corral.pool.query<{ n: string }>('select coalesce(max(number), 0) as n from change')).rows[0]!.n);

describe('every noun', () => {
  test('is made, changed, put and deleted, many of one kind in one transaction', async () => {
    const corral = await testCorral();
    const fleet = await smallFleet(corral);
    for (const [noun, { input, patch }] of Object.entries(samples(corral, fleet))) {
      const bodies = [await input(0), await input(1)];
      const before = await changes(corral);
      const made = resultsOf(
        await bulk(
          corral,
          bodies.map((body, i) => ({ op: 'create', noun, ref: `${noun}${i}`, body })),
        ),
      );
      expect([noun, made.map((one) => [one.ref, one.noun, one.status])]).toEqual([
        noun,
        [
          [`${noun}0`, noun, 'created'],
          [`${noun}1`, noun, 'created'],
        ],
      ]);
      expect(await changes(corral)).toBe(before + (['token', 'enrolment_token'].includes(noun) ? 0 : 1));
      const { route, resource } = corral.catalog.byNoun(noun);
      const shown = await call(corral, 'GET', `/api/v1/${route}/${made[0]!.id}`);
      expect(shown.body).toMatchObject({ id: made[0]!.id });
      expect(made[0]!.key).toBe(resource.key.map((name) => String(shown.body[name])).join(':'));
      /* The same again: a put of what is there changes nothing. */
      const same = resultsOf(
        await bulk(
          corral,
          bodies.map((body, i) => ({ op: 'put', noun: route, key: made[i]!.id, body: unmade(noun, body) })),
        ),
      );
      expect([noun, same.map((one) => one.status)]).toEqual([noun, ['unchanged', 'unchanged']]);
      expect(await changes(corral)).toBe(before + (['token', 'enrolment_token'].includes(noun) ? 0 : 1));
      const changed = resultsOf(
        await bulk(corral, [
          { op: 'update', noun, key: made[0]!.key, body: patch },
          { op: 'update', noun, key: made[0]!.id, body: patch },
        ]),
      );
      expect([noun, changed.map((one) => one.status)[1]]).toEqual([noun, 'unchanged']);
      if (noun === 'vm') continue;
      const gone = resultsOf(
        await bulk(
          corral,
          made.map((one) => ({ op: 'delete', noun, key: one.id })),
        ),
      );
      expect([noun, gone.map((one) => [one.status, one.id])]).toEqual([noun, made.map((one) => ['deleted', one.id])]);
    }
    await expectConsistent(corral);
  });
});

/** What a creation takes and a row does not show. */
function unmade(noun: string, body: Operation): Operation {
  return noun === 'node' ? { ...body, roles: undefined } : body;
}

describe('references', () => {
  test('stand for what earlier operations made, in bodies and keys', async () => {
    const corral = await testCorral();
    const results = resultsOf(
      await bulk(
        corral,
        [
          { op: 'create', noun: 'site', ref: 'site', body: { name: 'fra1' } },
          { op: 'create', noun: 'storage_pool', ref: 'pool', body: { name: 'local', kind: 'dir', is_default: true } },
          { op: 'create', noun: 'network', ref: 'lan', body: { name: 'lan', is_default: true } },
          { op: 'create', noun: 'subnet', body: { network: { $ref: 'lan' }, cidr: '10.0.0.0/24' } },
          { op: 'create', noun: 'node', ref: 'node', body: { fqdn: 'hv1.example.com', site: { $ref: 'site' }, roles: {} } },
          { op: 'create', noun: 'hypervisor', ref: 'hv', body: { node: { $ref: 'node' }, methods: ['KVM'], cores: 16, ram: 64 * GIB } },
          { op: 'create', noun: 'pool_attachment', body: { hypervisor: { $ref: 'hv' }, storage_pool: { $ref: 'pool' } } },
          { op: 'create', noun: 'vm', ref: 'vm1', body: vm({ name: 'web', metadata: { beside: { $ref: 'site' } } }) },
          { op: 'create', noun: 'vm', ref: 'vm2', body: vm({ metadata: { first: { $ref: 'vm1' } }, volumes: [{ storage_pool: { $ref: 'pool' } }] }) },
          { op: 'create', noun: 'volume', ref: 'disk', body: { vm: { $ref: 'vm1' }, size: GIB, type: 'qcow2' } },
          { op: 'create', noun: 'snapshot', body: { volume: { $ref: 'disk' }, name: 'before' } },
          { op: 'create', noun: 'snapshot', body: { volume: { $ref: 'vm1/volumes/0' }, name: 'root' } },
          { op: 'update', noun: 'vm', key: { $ref: 'vm2' }, body: { cores: 2 } },
          { op: 'update', noun: 'vm_interface', key: { $ref: 'vm1/interfaces/0' }, body: { mac: '02:00:00:00:00:77' } },
          { op: 'delete', noun: 'snapshot', key: 'nothing', ref: 'x' },
        ].slice(0, 14),
      ),
    );
    expect(results.map((one) => one.status)).toEqual([...Array<string>(12).fill('created'), 'updated', 'updated']);
    expect(results[7]!.ref).toBe('vm1');
    const second = await call(corral, 'GET', `/api/v1/vms/${results[8]!.id}`);
    expect(second.body).toMatchObject({ cores: 2, metadata: { first: results[7]!.id }, hypervisor: 'hv1.example.com' });
    expect((await call(corral, 'GET', '/api/v1/snapshots?sort=id')).body['snapshots']).toMatchObject([{ name: 'before' }, { name: 'root' }]);
    await expectConsistent(corral);
  });

  test('forward, to nothing, to what is deleted and to a name given twice are refused with their places', async () => {
    const corral = await testCorral();
    await hypervisors(corral, 1);
    const answer = await bulk(corral, [
      { op: 'create', noun: 'vm', body: vm({ metadata: { next: [{ $ref: 'later' }] } }) },
      { op: 'create', noun: 'site', ref: 'later', body: { name: 'ams1' } },
      { op: 'update', noun: 'site', key: { $ref: 'nobody' }, body: {} },
      { op: 'delete', noun: 'site', ref: 'gone', key: 'fra1' },
      { op: 'create', noun: 'node', body: { fqdn: 'x.example.com', site: { $ref: 'gone' }, roles: {} } },
      { op: 'create', noun: 'site', ref: 'later', body: { name: 'ams2' } },
      { op: 'create', noun: 'customer', ref: 'me', body: { name: { $ref: 'me' } } },
    ]);
    await refuses(answer, 422, 'invalid');
    expect(answer.body.errors).toEqual([
      { pointer: '/operations/5/ref', message: 'is that of operation 1 already' },
      { pointer: '/operations/0/body/metadata/next/0', message: "names 'later', which operation 1 makes only later; put it before" },
      { pointer: '/operations/2/key', message: "names 'nobody', which is the ref of no operation" },
      { pointer: '/operations/4/body/site', message: "names 'gone', which operation 3 deletes" },
      { pointer: '/operations/6/body/name', message: "names 'me', which operation 6 makes only here; put it before" },
    ]);
  });
});

describe('all or none', () => {
  test('a refusal changes nothing, and names as many of the failing operations as there are', async () => {
    const corral = await testCorral();
    await hypervisors(corral, 2, { cores: 4, cpu_overcommit: 1 });
    const before = [await counts(corral), await changes(corral)];
    const answer = await bulk(corral, [
      { op: 'create', noun: 'site', ref: 'good', body: { name: 'ams1' } },
      { op: 'create', noun: 'site', body: { name: 'fra1' } },
      { op: 'create', noun: 'vm', body: vm({ cores: 0 }) },
      { op: 'create', noun: 'vm', body: vm() },
      { op: 'create', noun: 'vm', body: vm({ project: 'acme:web' }) },
      { op: 'create', noun: 'vm', ref: 'large', body: vm({ cores: 8 }) },
      { op: 'create', noun: 'snapshot', body: { volume: { $ref: 'large/volumes/0' }, name: 'x' } },
      { op: 'create', noun: 'vm', body: vm({ interfaces: [{ addresses: ['192.0.2.1'] }] }) },
      { op: 'update', noun: 'site', key: 'nowhere', body: { description: 'x' } },
      { op: 'update', noun: 'site', key: 'fra1', if_version: 7, body: { description: 'x' } },
      { op: 'delete', noun: 'storage_pool', key: 'local' },
      { op: 'create', noun: 'node', body: { fqdn: 'n9.example.com', site: { $ref: 'good' }, roles: {} } },
    ]);
    expect([answer.status, answer.body.code]).toEqual([409, 'already-exists']);
    expect(answer.body.errors!.map((one) => one.pointer)).toEqual([
      '/operations/1/body/name',
      '/operations/2/body/cores',
      '/operations/4/body/project',
      '/operations/5',
      '/operations/7/body/interfaces/0/addresses/0',
      '/operations/8/key',
      '/operations/9/if_version',
      '/operations/10',
    ]);
    expect(answer.body['refused_operations']).toContainEqual(expect.objectContaining({ operation: 5, code: 'no-capacity', refused: { cores: 2 } }));
    expect([await counts(corral), await changes(corral)]).toEqual(before);
    await refuses(
      bulk(corral, [{ op: 'create', noun: 'node', body: { fqdn: 'n9.example.com', site: 'fra1', roles: {} } }]),
      409,
      'conflict',
      '/operations/0/body/roles',
    );
    await expectConsistent(corral);
  });

  test('at most fifty faults are told, of many', async () => {
    const corral = await testCorral();
    await hypervisors(corral, 1, { cores: 100, cpu_overcommit: 1 });
    const answer = await bulk(
      corral,
      Array.from({ length: 300 }, () => ({ op: 'create', noun: 'vm', body: vm() })),
    );
    expect([answer.status, answer.body.code, answer.body.errors!.length, answer.body.errors![0]!.pointer]).toEqual([409, 'no-capacity', 50, '/operations/100']);
    const wrong = await bulk(
      corral,
      Array.from({ length: 300 }, () => ({ op: 'create', noun: 'vm', body: { cores: 'x' } })),
    );
    expect([wrong.status, wrong.body.code, wrong.body.errors!.length]).toEqual([422, 'invalid', 50]);
  });

  test('what operations cannot be is said before anything is done', async () => {
    const corral = await testCorral();
    const answer = await bulk(corral, [
      { op: 'create', noun: 'unicorn', body: {} },
      { op: 'create', noun: 'site', key: 'x', body: { name: 'x' } },
      { op: 'update', noun: 'site' },
      { op: 'delete', noun: 'report', key: 1, body: {} },
      { op: 'put', noun: 'site', body: {} },
    ]);
    expect(answer.body.errors!.map((one) => one.pointer)).toEqual([
      '/operations/0/noun',
      '/operations/1/key',
      '/operations/2/key',
      '/operations/2/body',
      '/operations/3/op',
      '/operations/3/body',
    ]);
    await refuses(bulk(corral, [{ op: 'put', noun: 'site', body: {} }]), 422, 'invalid', '/operations/0/body');
    await refuses(call(corral, 'POST', '/bulk', { operations: [{ op: 'upsert', noun: 'site', extra: 1 }] }), 422, 'invalid', '/operations/0/op');
    await refuses(bulk(corral, [], { prune: true }), 422, 'invalid', '/prune');
    await refuses(bulk(corral, []), 422, 'invalid', '/operations');
    await refuses(call(corral, 'GET', '/bulk'), 405, 'method-not-allowed');
    await refuses(call(corral, 'POST', '/bulk?x=1', {}), 400, 'unknown-parameter');
  });

  test('10,001 operations are too many', async () => {
    const corral = await testCorral();
    const answer = await bulk(
      corral,
      Array.from({ length: 10_001 }, (_, i) => ({ op: 'create', noun: 'customer', body: { name: `c${i}` } })),
    );
    await refuses(answer, 422, 'invalid', '/operations');
    expect(answer.body.detail).toContain('10001');
  });
});

test('the same in MessagePack, under both paths; a body beyond CORRAL_BULK_LIMIT is refused', async () => {
  const corral = await testCorral({ CORRAL_BULK_LIMIT: '2000' });
  const answer = await corral.request('/api/v1/bulk', {
    method: 'POST',
    headers: { 'content-type': 'application/msgpack', accept: 'application/msgpack' },
    body: Buffer.from(encode({ operations: [{ op: 'create', noun: 'sites', ref: 'a', body: { name: 'fra1' } }] })),
  });
  expect([answer.status, answer.headers.get('content-type'), answer.headers.get('corral-change')]).toEqual([200, 'application/msgpack', '1']);
  expect(decode(Buffer.from(await answer.arrayBuffer()))).toEqual({ results: [{ ref: 'a', noun: 'site', id: 1, key: 'fra1', status: 'created' }] });
  await refuses(bulk(corral, [{ op: 'create', noun: 'site', body: { name: 'x', description: 'x'.repeat(2000) } }]), 413, 'too-large');
});

test('a new token is shown once, and readers may not write', async () => {
  const corral = await testCorral();
  const [made] = resultsOf(await bulk(corral, [{ op: 'create', noun: 'token', body: { name: 'eyes', kind: 'reader' } }]));
  const token = made!.once!['token']!;
  expect((await corral.request('/api/v1/sites', { token })).status).toBe(200);
  expect((await corral.request('/bulk', { method: 'POST', token, headers: { 'content-type': 'application/json' }, body: '{"operations":[]}' })).status).toBe(
    403,
  );
  expect((await corral.request('/bulk', { method: 'POST', token: null, body: '{}' })).status).toBe(401);
  expect(ADMIN).not.toBe(token);
});

test('guards: an operation passes only on the version that it names', async () => {
  const corral = await testCorral();
  await corral.make('site', { name: 'fra1' });
  const put = (version: number, description: string): Promise<Answer> =>
    bulk(corral, [{ op: 'put', noun: 'site', key: 'fra1', if_version: version, body: { description } }]);
  expect(resultsOf(await put(1, 'one'))[0]!.status).toBe('updated');
  await refuses(put(1, 'two'), 412, 'stale-version', '/operations/0/if_version');
  expect(resultsOf(await put(2, 'one'))[0]!.status).toBe('unchanged');
});

test('a put finds its thing by key, or by what its body says; a second one of the same thing changes it', async () => {
  const corral = await testCorral();
  await hypervisors(corral, 1);
  const results = resultsOf(
    await bulk(corral, [
      { op: 'put', noun: 'customer', body: { name: 'acme' } },
      { op: 'put', noun: 'customer', key: 'acme', body: { title: 'ACME' } },
      { op: 'put', noun: 'project', key: 'acme:web', body: {} },
      { op: 'put', noun: 'project', body: { customer: 'acme', name: 'web', description: 'x' } },
      { op: 'put', noun: 'vm', body: vm({ name: 'web', volumes: [{ size: GIB }] }) },
    ]),
  );
  expect(results.map((one) => one.status)).toEqual(['created', 'updated', 'created', 'updated', 'created']);
  const { id } = results[4]!;
  const again = resultsOf(
    await bulk(corral, [
      { op: 'put', noun: 'vm', body: vm({ name: 'web', cores: 2, volumes: [{ size: 2 * GIB }, { size: GIB }], interfaces: [{ addresses: ['10.0.1.9'] }] }) },
      { op: 'put', noun: 'volume', body: { vm: id, number: 1, cache_option: 'none' } },
    ]),
  );
  expect(again.map((one) => [one.status, one.noun])).toEqual([
    ['updated', 'vm'],
    ['updated', 'volume'],
  ]);
  expect((await call(corral, 'GET', `/api/v1/volumes?vm=${id}&sort=number`)).body['volumes']).toMatchObject([
    { size: 2 * GIB },
    { size: GIB, cache_option: 'none' },
  ]);
  await corral.make('vm', vm({ name: 'web' }));
  await refuses(bulk(corral, [{ op: 'put', noun: 'vm', body: vm({ name: 'web' }) }]), 422, 'invalid', '/operations/0/body/name');
  await refuses(bulk(corral, [{ op: 'put', noun: 'vm', body: vm() }]), 422, 'invalid', '/operations/0/body/name');
  await refuses(
    bulk(corral, [
      { op: 'put', noun: 'vm', body: vm({ name: 'new' }) },
      { op: 'put', noun: 'vm', body: vm({ name: 'new' }) },
    ]),
    422,
    'invalid',
    '/operations/1/body/name',
  );
  await expectConsistent(corral);
});

test('a dry run answers the plan and leaves nothing; If-Plan commits that and no other', async () => {
  const corral = await testCorral();
  await hypervisors(corral, 2);
  const operations = [
    { op: 'create', noun: 'vm', ref: 'a', body: vm({ name: 'web' }) },
    { op: 'create', noun: 'token', body: { name: 'eyes', kind: 'reader' } },
  ];
  const before = [await counts(corral), await changes(corral)];
  const plan = await call(corral, 'POST', '/bulk?dry_run=true', { operations });
  expect([plan.status, plan.body['status']]).toEqual([200, 200]);
  const { digest } = plan.body['plan'] as { digest: string };
  expect(JSON.stringify(plan.body)).not.toContain('corral_reader_');
  expect([await counts(corral), await changes(corral)]).toEqual(before);
  const done = resultsOf(await bulk(corral, operations, {}, { 'If-Plan': digest, 'X-Change-Message': 'more' }));
  expect(done[0]!.id).toBe((plan.body['answer'] as { results: Result[] }).results[0]!.id);
  await refuses(bulk(corral, [{ op: 'create', noun: 'vm', body: vm({ name: 'other' }) }], {}, { 'If-Plan': digest }), 409, 'plan-changed');
  await expectConsistent(corral);
});

test('who waits before a screen is told how far it is, and in the last line how it ended', async () => {
  const corral = await testCorral();
  await hypervisors(corral, 2);
  const tell = async (operations: readonly Operation[], query = ''): Promise<Record<string, unknown>[]> => {
    const answer = await corral.request(`/bulk${query}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/x-ndjson' },
      body: JSON.stringify({ operations }),
    });
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/x-ndjson']);
    return (await answer.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  const before = await changes(corral);
  const put = Array.from({ length: 1200 }, (_, i) => ({ op: 'put', noun: 'customer', body: { name: `c${i}` } }));
  const lines = await tell(put);
  expect(lines.slice(0, -1)).toEqual([500, 1000, 1200].map((done) => ({ done, total: 1200 })));
  expect(lines.at(-1)).toMatchObject({ status: 200, change: before + 1, body: { results: expect.any(Array) as unknown[] } });
  expect((await tell(put)).at(-1)).not.toHaveProperty('change');
  expect((await tell([{ op: 'create', noun: 'vm', body: vm() }], '?dry_run=true')).at(-1)).toMatchObject({
    status: 200,
    body: { plan: { digest: expect.any(String) as string } },
  });
  expect((await tell([{ op: 'create', noun: 'vm', body: vm({ cores: 0 }) }])).at(-1)).toMatchObject({
    status: 422,
    body: { code: 'invalid', errors: [{ pointer: '/operations/0/body/cores' }] },
  });
});
