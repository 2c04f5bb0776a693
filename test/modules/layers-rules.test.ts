import { beforeAll, describe, expect, test } from 'vitest';
import { readClassListing } from '../../src/modules/layers/class-listing.ts';
import { testCorral } from '../support/corral.ts';
import { call, GIB, hypervisors, refuses } from './fleet.ts';

const corral = await testCorral();
const [HV1, HV2] = ['hv1.example.com', 'hv2.example.com'];

type Json = Record<string, unknown>;
const post = (body: Json) => call(corral, 'POST', '/api/v1/layers', body);
const patch = (name: string, body: Json) => call(corral, 'PATCH', `/api/v1/layers/${name}`, body);
const layer = async (body: Json): Promise<void> => {
  const made = await post(body);
  expect([made.status, made.body['detail']]).toEqual([201, undefined]);
};
const all = { scope: 'everything' };
const forget = async (...names: string[]): Promise<void> => {
  for (const name of names) expect((await call(corral, 'DELETE', `/api/v1/layers/${name}`)).status).toBe(204);
};

beforeAll(async () => {
  await hypervisors(corral, 2);
  await corral.make('site', { name: 'ams1' });
  for (const name of ['acme', 'globex']) await corral.make('customer', { name });
});

describe('a name that Puppet or Corral keeps to itself is refused', () => {
  test.each([
    [{ parameters: { facts: 1 } }, '/parameters/facts'],
    [{ parameters: { trusted: 1 } }, '/parameters/trusted'],
    [{ parameters: { server_facts: 1 } }, '/parameters/server_facts'],
    [{ parameters: { environment: 'x' } }, '/parameters/environment'],
    [{ parameters: { corral_roles: [] } }, '/parameters/corral_roles'],
    [{ parameters: { Upper: 1 } }, '/parameters/Upper'],
    [{ parameters: { 'a::b': 1 } }, '/parameters/a::b'],
    [{ classes: { Ntp: {} } }, '/classes/Ntp'],
    [{ classes: { '::ntp': {} } }, '/classes/::ntp'],
    [{ classes: { 'a:b': {} } }, '/classes/a:b'],
    [{ classes: { corral: {} } }, '/classes/corral'],
    [{ classes: { 'corral::hypervisor': {} } }, '/classes/corral::hypervisor'],
    [{ classes: { class: {} } }, '/classes/class'],
    [{ classes: { ntp: { title: 'x' } } }, '/classes/ntp/title'],
    [{ classes: { ntp: { 'a-b': 1 } } }, '/classes/ntp/a-b'],
    [{ data: { 'corral::hypervisor::domains': {} } }, '/data/corral::hypervisor::domains'],
    [{ data: { corral: {} } }, '/data/corral'],
    [{ data: { lookup_options: {} } }, '/data/lookup_options'],
    [{ data: { 'a.b': 1 } }, '/data/a.b'],
    [{ data: { '': 1 } }, '/data/'],
    [{ secrets: { corral: 'x' } }, '/secrets/corral'],
    [{ merge: { 'corral::x': 'deep' } }, '/merge/corral::x'],
    [{ merge: { x: 'shallow' } }, '/merge/x'],
    [{ data: { x: 1 }, secrets: { x: 1 } }, '/secrets/x'],
    [{ schema: { type: 'objekt' } }, '/schema/type'],
    [{ schema: { propertys: {} } }, '/schema'],
    [{ schema: { $ref: 'https://example.com/schema.json' } }, '/schema'],
  ])('%j', async (body, pointer) => {
    await refuses(post({ name: 'bad', ...all, ...body }), 422, 'invalid', pointer);
  });
});

describe('a JSON Schema', () => {
  const schema = {
    type: 'object',
    properties: { port: { type: 'integer', maximum: 10 }, hosts: { type: 'array', items: { type: 'string' } }, password: { type: 'string', minLength: 8 } },
    required: ['port'],
    additionalProperties: false,
  };

  test('refuses data that do not satisfy it, each at its place, and says no secret', async () => {
    const answer = await post({ name: 'schema', ...all, schema, data: { hosts: ['a', 7], 'x/y': 1 }, secrets: { password: 'hush' } });
    await refuses(answer, 422, 'invalid');
    expect(answer.body.errors?.map((one) => one.pointer).sort()).toEqual(['/data/hosts/1', '/data/port', '/data/x~1y', '/secrets/password']);
    expect(JSON.stringify(answer.body)).not.toContain('hush');
  });

  test('holds for later writes of any part, secrets that stay among them', async () => {
    await layer({ name: 'schema', ...all, schema, data: { port: 1 }, secrets: { password: 'long enough' } });
    await refuses(patch('schema', { data: { port: 11 } }), 422, 'invalid', '/data/port');
    await refuses(patch('schema', { secrets: { password: 'short' } }), 422, 'invalid', '/secrets/password');
    await refuses(patch('schema', { schema: { ...schema, required: ['port', 'hosts'] } }), 422, 'invalid', '/data/hosts');
    await refuses(patch('schema', { secrets: { other: 'x' } }), 422, 'invalid', '/secrets/other');
    expect((await patch('schema', { schema: null, data: { port: 11 } })).status).toBe(200);
    await forget('schema');
  });
});

describe('data of customers', () => {
  test('must not be interpolated by Hiera, while those of operators may', async () => {
    await layer({ name: 'op', ...all, data: { motd: '%{facts.fqdn}' } });
    const customer = { name: 'acme', scope: 'customer', customer: 'acme' };
    await refuses(post({ ...customer, data: { motd: ['ok', { deep: '%{lookup("db_password")}' }] } }), 422, 'invalid', '/data/motd/1/deep');
    await refuses(post({ ...customer, data: { m: { '%{x}': 1 } } }), 422, 'invalid', '/data/m/%{x}');
    await refuses(post({ ...customer, data: { m: "%{literal('%')}{a} %{b}" } }), 422, 'invalid', '/data/m');
    await layer({ ...customer, data: { motd: "100%{literal('%')}{x} 50% {y}" }, secrets: { key: '%{literal}' } });
    await refuses(patch('op', { scope: 'customer', customer: 'globex' }), 422, 'invalid', '/data/motd');
    await forget('op', 'acme');
  });
});

describe('two layers of one scope and weight', () => {
  test.each([
    ['everything', {}, {}, true],
    ['site', { site: 'fra1' }, { site: 'fra1' }, true],
    ['site', { site: 'fra1' }, { site: 'ams1' }, false],
    ['environment', { environment: 'a' }, { environment: 'a' }, true],
    ['environment', { environment: 'a' }, { environment: 'b' }, false],
    ['role', { role: 'hypervisor' }, { role: 'ceph_mon' }, true],
    ['customer', { customer: 'acme' }, { customer: 'globex' }, true],
    ['node', { node: HV1 }, { node: HV2 }, false],
    ['node', { node: HV1 }, { node: HV1 }, true],
  ])('of %s %j and %j that set a key to different values: refused is %s', async (scope, one, other, refused) => {
    await layer({ name: 'one', scope, ...one, data: { k: 1, same: [1, { a: 1, b: 2 }] }, parameters: { p: 1 }, classes: { ntp: { servers: 1 } } });
    const bodies: [Json, string][] = [
      [{ data: { k: 2 } }, '/data/k'],
      [{ parameters: { p: 2 } }, '/parameters/p'],
      [{ classes: { ntp: { servers: 2 } } }, '/classes/ntp/servers'],
      [{ secrets: { k: 2 } }, '/secrets/k'],
    ];
    for (const [body, pointer] of bodies) {
      const answer = await post({ name: 'two', scope, ...other, ...body });
      if (refused) await refuses(answer, 409, 'layer-conflict', pointer);
      else {
        expect(answer.status).toBe(201);
        await forget('two');
      }
    }
    await layer({ name: 'two', scope, ...other, weight: 1, data: { k: 2 } });
    if (refused) await refuses(patch('two', { weight: 0 }), 409, 'layer-conflict', '/data/k');
    await layer({ name: 'three', scope, ...other, data: { same: [1, { b: 2, a: 1 }] }, classes: { ntp: { iburst: true } } });
    await forget('one', 'two', 'three');
  });

  test('of groups are refused while some node is in both, and where a selector would make it so', async () => {
    for (const [name, selector] of [
      ['g1', `fqdn=${HV1}`],
      ['g2', `fqdn=${HV2}`],
    ])
      expect((await call(corral, 'POST', '/api/v1/node-groups', { name, selector })).status).toBe(201);
    await layer({ name: 'one', scope: 'group', node_group: 'g1', data: { k: 1 } });
    await layer({ name: 'two', scope: 'group', node_group: 'g2', data: { k: 2 } });
    await refuses(call(corral, 'PATCH', '/api/v1/node-groups/g2', { selector: 'role=hypervisor' }), 409, 'layer-conflict', '/data/k');
    await refuses(patch('two', { node_group: 'g1' }), 409, 'layer-conflict', '/data/k');
    await forget('one', 'two');
  });

  test('may set it when it is merged, and the strategy cannot be taken away then', async () => {
    await layer({ name: 'how', ...all, weight: -1, merge: { k: 'unique' } });
    await layer({ name: 'one', ...all, data: { k: [1] } });
    await layer({ name: 'two', ...all, data: { k: [2] } });
    await refuses(patch('how', { merge: {} }), 409, 'layer-conflict', '/merge/k');
    await refuses(call(corral, 'DELETE', '/api/v1/layers/how'), 409, 'layer-conflict', '/merge/k');
    const { body } = await call(corral, 'GET', `/hiera/${HV1}`, undefined, { accept: 'application/json' });
    expect(body['k']).toEqual([1, 2]);
    await forget('two', 'how', 'one');
  });
});

describe('a strategy', () => {
  test('is one for a key, and fits its values in every layer', async () => {
    await layer({ name: 'one', ...all, data: { k: { a: 1 } }, merge: { k: 'deep', list: 'unique' } });
    await refuses(post({ name: 'two', scope: 'site', site: 'fra1', merge: { k: 'hash' } }), 409, 'layer-conflict', '/merge/k');
    await refuses(post({ name: 'two', scope: 'site', site: 'fra1', data: { list: { a: 1 } } }), 409, 'layer-conflict', '/data/list');
    await refuses(post({ name: 'two', ...all, weight: 1, data: { n: 'text' }, merge: { n: 'hash' } }), 422, 'invalid', '/data/n');
    await layer({ name: 'two', ...all, weight: 1, data: { n: 'text' } });
    await refuses(patch('one', { merge: { k: 'deep', n: 'hash' } }), 409, 'layer-conflict', '/merge/n');
    await forget('one', 'two');
  });
});

describe('where an environment has a list of classes', () => {
  test('a layer that reaches it is refused with a class that is not in it', async () => {
    expect((await call(corral, 'PUT', '/api/v1/class-lists/production', { classes: ['ntp', 'profile::web'] })).status).toBe(201);
    expect((await call(corral, 'PUT', '/api/v1/class-lists/staging', { classes: ['ntp'] })).status).toBe(201);
    await layer({ name: 'ok', scope: 'site', site: 'fra1', classes: { ntp: {}, 'profile::web': {} } });
    await refuses(patch('ok', { classes: { nttp: {} } }), 409, 'layer-conflict', '/classes/nttp');
    await refuses(
      post({ name: 'two', scope: 'environment', environment: 'staging', classes: { 'profile::web': {} } }),
      409,
      'layer-conflict',
      '/classes/profile::web',
    );
    await layer({ name: 'two', scope: 'environment', environment: 'testing', classes: { anything: {} } });
    await corral.make('node', { fqdn: 'salt.example.com', site: 'ams1', manager: 'salt', roles: { hypervisor: { methods: ['KVM'], cores: 1, ram: GIB } } });
    await layer({ name: 'salt', scope: 'node', node: 'salt.example.com', classes: { 'some::state': {} } });
    await refuses(call(corral, 'PUT', '/api/v1/class-lists/production', { classes: ['Not a class'] }), 422, 'invalid', '/classes/0');
    await forget('ok', 'two', 'salt');
  });
});

describe('a listing of classes', () => {
  test.each([
    ['names', '# comment\nntp\n  profile::web  \n- "::apt",\n', ['apt', 'ntp', 'profile::web']],
    ['grep', 'ntp/manifests/init.pp:class ntp (\nclass profile::web inherits profile {\nclass a::b{\n', ['a::b', 'ntp', 'profile::web']],
    ['paths', '/etc/code/modules/ntp/manifests/init.pp\nmodules/ntp/manifests/config/file.pp\n', ['ntp', 'ntp::config::file']],
    [
      'puppetserver',
      JSON.stringify({
        name: 'production',
        files: [
          {
            path: '/a.pp',
            classes: [
              { name: 'ntp', params: [{ name: 'servers' }] },
              { name: 'a::b', params: [] },
            ],
          },
          { path: '/b.pp', error: 'x' },
        ],
      }),
      ['a::b', 'ntp'],
    ],
    ['a JSON list', '["ntp", "a::b"]', ['a::b', 'ntp']],
    ['puppet generate types', "Notice: Generating '/etc/x/.resource_types/corral_domain.pp' using 'pcore' format.\nntp\n", ['ntp']],
  ])('as %s', (_, text, classes) => {
    expect(readClassListing(text)).toEqual({ classes, strange: [] });
  });

  test('names the lines that it cannot read', () => {
    expect(readClassListing('ntp\nNot A Class\n\nx y z\n').strange).toEqual([
      { line: 2, text: 'Not A Class' },
      { line: 4, text: 'x y z' },
    ]);
  });
});
