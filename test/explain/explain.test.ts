import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeBody } from '../../src/kernel/codec.ts';
import type { ExplainedValue, Explanation, Looked } from '../../src/explain/types.ts';
import { testCorral, type TestCorral } from '../support/corral.ts';
import { HYPERVISOR, layeredFleet, NODE, PASSWORD, write } from './fleet.ts';

let corral: TestCorral;
let reader: string;

beforeAll(async () => {
  corral = await testCorral();
  await layeredFleet(corral);
  reader = String((await corral.make('token', { name: 'reader', kind: 'reader' }))['token']);
});

const path = (key?: string, node = NODE): string => `/nodes/${node}/explain${key === undefined ? '' : `/${encodeURIComponent(key)}`}`;

async function explain(key?: string, node = NODE): Promise<Explanation> {
  const answer = await corral.request(path(key, node), { headers: { accept: 'application/json' } });
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json']);
  return (await answer.json()) as Explanation;
}

const only = async (key: string, node = NODE): Promise<ExplainedValue> => {
  const { values } = await explain(key, node);
  expect(values).toHaveLength(1);
  return values[0]!;
};

const brief = (layers: readonly Looked[]): unknown[] =>
  layers.map(({ layer, outcome, value }) => (value === undefined ? [layer, outcome] : [layer, outcome, value]));

describe('layers', () => {
  test('are looked at from the most specific to the most general, with what each gave', async () => {
    const { layers, key, node } = await explain('motd');
    expect([node, key]).toEqual([NODE, 'motd']);
    expect(layers.map((one) => [one.layer, one.scope, one.target, one.weight, one.because])).toEqual([
      ['own', 'node', NODE, 0, 'it is for this node'],
      ['first', 'group', 'first', 0, 'the node is in the group first (fqdn=hv1.example.com)'],
      ['acme', 'customer', 'acme', 0, 'a virtual machine of acme is on it'],
      ['kvm', 'role', 'hypervisor', 0, 'the node has the role hypervisor'],
      ['fra1', 'site', 'fra1', 10, 'the node is at the site fra1'],
      ['base', 'everything', null, 0, 'it is for every node'],
    ]);
    const one = await only('motd');
    expect(one).toMatchObject({ kind: 'data', value: 'Mine alone', source: 'layers', strategy: 'first', declared_by: [], won: ['own'], conflict: false });
    expect(brief(one.layers)).toEqual([
      ['own', 'won', 'Mine alone'],
      ['first', 'lost', 'First'],
      ['acme', 'silent'],
      ['kvm', 'silent'],
      ['fra1', 'silent'],
      ['base', 'lost', 'Welcome to %{facts.networking.fqdn}'],
    ]);
  });

  test('that do not reach the node are named with the reason', async () => {
    const one = await only('packages');
    expect(one).toMatchObject({ value: ['htop', 'tcpdump', 'vim'], strategy: 'unique', declared_by: ['base'], won: ['fra1', 'base'] });
    expect(one.layers.at(-1)).toMatchObject({
      layer: 'ams1',
      outcome: 'out_of_reach',
      reaches: false,
      value: ['nano'],
      because: 'the node is at the site fra1',
    });
    expect(one.notes).toEqual([expect.stringContaining('Puppet merges it (unique)')]);
  });

  test('merge by hash and deep, and a path leads into the value', async () => {
    expect(await only('sysctl::values')).toMatchObject({ value: { 'vm.swappiness': 1, 'net.core.somaxconn': 128 }, won: ['kvm', 'base'], strategy: 'hash' });
    const firewall = await only('firewall');
    expect(firewall).toMatchObject({
      won: ['kvm', 'base'],
      value: { policy: 'drop', rules: { ssh: { port: 22, from: ['10.0.0.0/8', '192.0.2.0/24'] }, vnc: { port: 5900 } } },
    });
    expect(brief((await only('firewall.rules.vnc.port')).layers).slice(3)).toEqual([
      ['kvm', 'won', 5900],
      ['fra1', 'silent'],
      ['base', 'silent'],
    ]);
    expect(brief((await only('firewall.rules.ssh.from')).layers).slice(3)).toEqual([
      ['kvm', 'contributed', ['192.0.2.0/24']],
      ['fra1', 'silent'],
      ['base', 'contributed', ['10.0.0.0/8']],
    ]);
    expect(await only('firewall.policy')).toMatchObject({ key: 'firewall.policy', value: 'drop', won: ['base'] });
  });

  test('give classes, their parameters and variables', async () => {
    expect(await only('ntp')).toMatchObject({ kind: 'class', won: ['kvm', 'base'], places: { enc: '/classes/ntp', tops: 'ntp' } });
    expect((await explain('ntp::servers')).values).toMatchObject([
      {
        kind: 'class_parameter',
        value: ['ntp.fra1.example.com'],
        won: ['kvm'],
        places: { enc: '/classes/ntp/servers' },
        notes: [expect.stringContaining('The class is declared with it')],
      },
      { kind: 'data', value: ['unused.example.com'], won: ['base'], notes: [expect.stringContaining('does not take it from this key')] },
    ]);
    expect(await only('tier')).toMatchObject({ kind: 'parameter', value: 'gold', won: ['fra1'], places: { enc: '/parameters/tier' } });
    expect((await only('tier')).layers.at(-1)).toMatchObject({ layer: 'base', outcome: 'lost', value: 'silver' });
  });

  test('say which change set just this key', async () => {
    const changes = ((await (await corral.request('/api/v1/changes?noun=layer&limit=100')).json()) as { changes: { number: number; message: string | null }[] })
      .changes;
    const numbered = (message: string): number => changes.find((one) => one.message === message)!.number;
    const [own, , , , , base] = (await only('motd')).layers;
    expect(own!.change).toMatchObject({
      number: numbered('The owner asked for it'),
      actor: 'admin',
      message: 'The owner asked for it',
      at: expect.stringMatching(/^\d{4}-.*Z$/),
    });
    /* The newest change of that layer touched no value. */
    expect(base!.change).toMatchObject({ number: numbered('What every host has') });
    const before = numbered('What every host has');
    await write(
      corral,
      'PATCH',
      '/layers/kvm',
      { classes: { ntp: { servers: ['ntp.fra1.example.com'] }, 'profile::kvm': { nested: true } } },
      'One parameter more',
    );
    expect((await only('profile::kvm::nested')).layers.find((one) => one.layer === 'kvm')!.change).toMatchObject({ message: 'One parameter more' });
    const [parameter] = (await explain('ntp::servers')).values;
    expect(parameter!.layers.find((one) => one.layer === 'kvm')!.change!.message).toBeNull();
    expect(parameter!.layers.find((one) => one.layer === 'base')!.change!.number).toBe(before);
  });

  test('keep their secrets', async () => {
    const one = await only('db::password');
    expect(one).toMatchObject({ value: '(secret)', secret: true, won: ['first'], notes: [expect.stringContaining('Sensitive')] });
    expect(brief(one.layers.filter(({ outcome }) => outcome !== 'silent'))).toEqual([
      ['first', 'won', '(secret)'],
      ['ams1', 'out_of_reach', '(secret)'],
    ]);
    await write(corral, 'PATCH', '/layers/first', { secrets: { 'db::password': `${PASSWORD}2` } }, 'Another password');
    expect((await only('db::password')).layers.find((layer) => layer.outcome === 'won')!.change).toMatchObject({ message: 'Another password' });
    expect((await only('api::tokens')).layers.find((layer) => layer.outcome === 'won')!.change!.message).toBeNull();
    for (const key of [undefined, 'db::password', 'api::tokens'])
      for (const accept of ['application/json', 'text/html', 'text/plain', 'application/msgpack']) {
        const answer = await corral.request(path(key), { headers: { accept } });
        expect(answer.status).toBe(200);
        expect(Buffer.from(await answer.arrayBuffer()).toString('latin1')).not.toMatch(/hunter2|tok-a|not yours/);
      }
    /* Nor which names are in it. */
    const inside = await corral.request(path('api::tokens.b'), { headers: { accept: 'application/json' } });
    expect([inside.status, (await inside.json()) as unknown]).toEqual([404, expect.objectContaining({ near: [] })]);
    expect((await corral.request(path('api::tokens.a'))).status).toBe(404);
  });

  test('agree with what is served', async () => {
    const { values } = await explain();
    const served = async (envelope: string): Promise<Record<string, unknown>> =>
      (await (await corral.request(`/${envelope}/${NODE}.json`)).json()) as Record<string, unknown>;
    const { lookup_options: _, ...hiera } = await served('hiera');
    const { classes, parameters, environment } = (await served('enc')) as { classes: Record<string, object>; parameters: object; environment: string };
    const named = (kind: string) => values.filter((one) => one.kind === kind);
    expect(new Set(named('data').flatMap((one) => one.places.hiera ?? []))).toEqual(new Set(Object.keys(hiera)));
    for (const one of named('data').filter(({ secret, source }) => !secret && source === 'layers')) expect(one.value).toEqual(hiera[one.key]);
    expect(Object.fromEntries(named('parameter').map((one) => [one.key, one.value]))).toEqual(parameters);
    expect(named('environment').map((one) => one.value)).toEqual([environment]);
    expect(named('class').map((one) => one.key)).toEqual(Object.keys(classes));
    expect(new Set(named('class_parameter').map((one) => one.key))).toEqual(
      new Set(Object.entries(classes).flatMap(([name, given]) => Object.keys(given).map((one) => `${name}::${one}`))),
    );
  });
});

describe('the model', () => {
  test('says which nouns a key comes from, and since when it is as it is', async () => {
    const domains = await only('corral::hypervisor::domains');
    expect(domains).toMatchObject({
      source: 'model',
      from: expect.arrayContaining(['vm', 'volume']),
      places: { hiera: 'corral::hypervisor::domains', pillar: 'corral:hypervisor:domains' },
      won: [],
    });
    expect(domains.since).toMatchObject({ or_earlier: false, change: { actor: expect.any(String) } });
    await write(corral, 'PATCH', '/vms/1', { cores: 2 }, 'More cores');
    const after = await only('corral:hypervisor:domains');
    expect(after.since.change).toMatchObject({ message: 'More cores' });
    const { version } = await explain();
    expect(after.since.version).toBe(version);
    expect((await only('corral::interfaces')).since).toMatchObject({ version: expect.stringMatching(/^1-/), or_earlier: false });
    expect((await only('corral_document')).since.version).toBe(version);
    await write(corral, 'PATCH', '/layers/own', { data: { motd: 'Mine alone', unrelated: 1 } }, 'Something else');
    expect((await only('corral::hypervisor::domains')).since).toEqual(after.since);
  });

  test('keeps the secrets of Ceph', async () => {
    await corral.make('ceph_cluster', { name: 'ceph', public_network: '192.0.2.0/24' });
    await corral.make('node', { fqdn: 'mon1.example.com', site: 'fra1', roles: { ceph_mon: { ceph_cluster: 'ceph' } } });
    const keys = await only('corral::ceph::mon::keys', 'mon1.example.com');
    for (const one of Object.values(keys.value as Record<string, { secret: string }>)) expect(one.secret).toBe('(secret)');
  });

  test('of a node of Salt is in its pillar', async () => {
    expect(await only('corral:state', 'hv3.example.com')).toMatchObject({ value: 'running', from: ['node'] });
    const text = await (await corral.request(path('only::there', 'hv3.example.com'), { headers: { accept: 'text/plain' } })).text();
    expect(text).toContain('Data (pillar only::there)');
  });
});

describe('refusals', () => {
  const refused = async (target: string, init: Parameters<TestCorral['request']>[1] = {}): Promise<Record<string, unknown>> => {
    const answer = await corral.request(target, { headers: { accept: 'application/json' }, ...init });
    const body = (await answer.json()) as Record<string, unknown>;
    expect(answer.status).toBe(body['status']);
    return body;
  };

  test('a key that is not there: names that are near, and what to do', async () => {
    expect(await refused(path('ntp::server'))).toMatchObject({
      code: 'not-found',
      near: ['ntp::servers'],
      detail: `The documents of ${NODE} have no value 'ntp::server'. Names like it: ntp::servers.`,
    });
    expect(await refused(path('corral::domains'))).toMatchObject({ near: ['corral::hypervisor::domains'] });
    expect(await refused(path('firewall.rules.shh'))).toMatchObject({ near: ['firewall.rules.ssh'] });
    expect(await refused(path('quux'))).toMatchObject({ near: [], detail: expect.stringContaining(`GET /nodes/${NODE}/explain lists what there is`) });
    expect(await refused(path('only::there'))).toMatchObject({
      detail: `The documents of ${NODE} have no value 'only::there'. The layer ams1 (site ams1) sets it and does not reach this node: the node is at the site fra1.`,
      layers: [{ layer: 'ams1', reaches: false }],
    });
    expect(await refused(path('__proto__'))).toMatchObject({ code: 'not-found' });
    expect(await refused(path('constructor'))).toMatchObject({ code: 'not-found' });
  });

  test('whom it is for', async () => {
    expect((await corral.request(path('motd'), { token: reader })).status).toBe(200);
    const node = String((await corral.make('token', { name: 'host', kind: 'node', node: NODE }))['token']);
    expect(await refused(path('motd'), { token: node })).toMatchObject({ code: 'forbidden' });
    expect(await refused(path('motd'), { token: null })).toMatchObject({ code: 'no-token' });
  });

  test('nodes, methods, parameters and media types that are none', async () => {
    expect(await refused(path('motd', 'nobody.example.com'))).toMatchObject({ code: 'not-found' });
    expect(await refused(path('motd'), { method: 'POST' })).toMatchObject({ code: 'method-not-allowed', allow: 'GET' });
    expect(await refused(`${path('motd')}?at=3`)).toMatchObject({ code: 'unknown-parameter' });
    expect(await refused(path('motd'), { headers: { accept: 'image/png' } })).toMatchObject({ code: 'not-acceptable' });
    expect(await refused(`/nodes/${NODE}/explain/%00`)).toMatchObject({ code: 'bad-request' });
    await corral.make('node', { fqdn: 'old.example.com', site: 'fra1', state: 'deactivated', roles: HYPERVISOR });
    expect(await refused(path('motd', 'old.example.com'))).toMatchObject({ code: 'gone' });
  });
});

describe('representations', () => {
  test('by ending, by Accept, by id and below /api/v1', async () => {
    const { version } = await explain('motd');
    const canonical = await corral.request(`/api/v1${path('motd')}.json`);
    expect(await canonical.json()).toEqual(await explain('motd'));
    expect(canonical.headers.get('corral-document')).toBe(version);
    expect((await corral.request(path('motd'), { headers: { accept: 'application/json', 'if-none-match': canonical.headers.get('etag')! } })).status).toBe(304);
    const packed = await corral.request(`${path()}.msgpack`);
    expect(decodeBody(new Uint8Array(await packed.arrayBuffer()), 'application/msgpack')).toEqual(await explain());
    const { rows } = await corral.pool.query<{ id: string }>('select id from node where fqdn = $1', [NODE]);
    expect(await (await corral.request(`/api/v1/nodes/${rows[0]!.id}/explain/motd.json`)).json()).toEqual(await explain('motd'));
  });

  test('plain text reads as that of puppet lookup --explain', async () => {
    const plain = async (key?: string): Promise<string> => {
      const answer = await corral.request(path(key), { headers: { accept: 'text/plain' } });
      expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/plain; charset=utf-8']);
      /* What no two runs have in common. */
      return (await answer.text())
        .replaceAll(/\b(\d+)-[0-9a-f]{16}\b/g, 'VERSION')
        .replaceAll(/change \d+/g, 'change N')
        .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, 'TIME')
        .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'UUID');
    };
    for (const [file, key] of [
      ['packages', 'packages'],
      ['motd', 'motd'],
      ['ntp-servers', 'ntp::servers'],
      ['secret', 'db::password'],
      ['port', 'firewall.rules.vnc.port'],
      ['environment', 'environment'],
      ['all', undefined],
    ] as const) {
      const place = join(import.meta.dirname, '../../fixtures/explain', `${file}.txt`);
      const text = await plain(key);
      if (process.env['UPDATE_FIXTURES']) writeFileSync(place, text);
      expect(text).toBe(readFileSync(place, 'utf8'));
    }
  });
});

test('history that is no longer kept: says that it does not know', async () => {
  await corral.pool.query(`delete from document_version v using node n where n.id = v.node_id and n.fqdn = $1 and v.number < 3`, [NODE]);
  const [interfaces] = (await explain('corral::interfaces')).values;
  expect(interfaces!.since).toMatchObject({ version: expect.stringMatching(/^3-/), or_earlier: true });
  await corral.pool.query('delete from change where number < (select max(number) from change)');
  const one = await only('packages');
  expect(one.layers.find(({ outcome }) => outcome === 'contributed')).toMatchObject({ layer: 'fra1', change: null });
  const text = await (await corral.request(path('packages'), { headers: { accept: 'text/plain' } })).text();
  expect(text).toContain('Set before changes were kept');
  expect((await corral.request(path('packages'), { headers: { accept: 'text/html' } })).status).toBe(200);
});
