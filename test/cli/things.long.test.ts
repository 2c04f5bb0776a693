import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decode } from '@msgpack/msgpack';
import { load } from 'js-yaml';
import { beforeAll, describe, expect, it } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { against, corral, scratch, type How, type Ran } from './support.ts';

const server = await testCorral();
const folder = scratch();
const run = (args: readonly string[], how: How = {}): Promise<Ran> => corral(args, { ...how, env: { ...against(server), ...how.env } });

const HV = 'hv1.example.com';

beforeAll(async () => {
  await server.make('site', { name: 'fra1' });
  await server.make('node', { fqdn: HV, site: 'fra1', roles: { hypervisor: { cores: 64, ram: 2 ** 38, methods: ['KVM', 'QEMU'] } } });
  await server.make('storage_pool', { name: 'local', kind: 'dir', default_pool: true }).catch(() => undefined);
  for (let i = 0; i < 12; i++) await server.make('customer', { name: `c${String(i).padStart(2, '0')}` });
});

describe('get', () => {
  it('shows a table to people, with units', async () => {
    const { code, out } = await run(['get', 'nodes']);
    expect(code).toBe(0);
    const [head, row] = out.split('\n');
    expect(head).toMatch(/^FQDN +SITE +STATE +STATUS +ROLES/);
    expect(row).toMatch(/^hv1\.example\.com +fra1 +running +never_reported +hypervisor/);
    expect((await run(['get', 'hypervisors', '--fields', 'node,ram'])).out).toMatch(/hv1\.example\.com +256 GiB/);
  });

  it('takes nouns in every way that people write them', async () => {
    for (const noun of ['node_state', 'node-state', 'node_states', 'node-states', 'Node-States']) {
      expect((await run(['get', noun, '-q'])).out.split('\n')).toContain('maintenance');
    }
  });

  it('shows one thing field by field, with what belongs to it', async () => {
    const { code, out } = await run(['get', 'node', HV, '--include', 'hypervisors,site']);
    expect(code).toBe(0);
    expect(out).toMatch(/^site +fra1$/m);
    expect(out).toMatch(/^roles\.hypervisor\.ram +256 GiB$/m);
    expect(out).toMatch(/^hypervisors \(1\)$/m);
  });

  it('filters, sorts and pages', async () => {
    expect((await run(['get', 'customers', 'name__in=c03,c05', '-q', '--sort', '-name'])).out).toBe('c05\nc03\n');
    const some = await run(['get', 'customers', '--limit', '5', '-q']);
    expect(some.out.trim().split('\n')).toHaveLength(5);
    expect(some.err).toContain('--all');
    expect((await run(['get', 'customers', '--all', '-q'])).out.trim().split('\n')).toHaveLength(12);
    expect((await run(['get', 'hypervisors', 'ram__gte=256GiB', '-q'])).out).toBe(`${HV}\n`);
    expect((await run(['get', 'hypervisors', 'ram__gt=256GiB', '-q'])).out).toBe('');
    expect((await run(['get', 'nodes', 'location=null', '-q'])).out).toBe(`${HV}\n`);
  });

  it('gives programs JSON, YAML and MessagePack', async () => {
    const json = JSON.parse((await run(['get', 'customers', '--all', '-o', 'json'])).out) as { name: string }[];
    expect(json).toHaveLength(12);
    expect(load((await run(['get', 'customers', '--all', '-o', 'yaml'])).out)).toEqual(json);
    expect(decode((await run(['get', 'customers', '--all', '-o', 'msgpack'])).bytes)).toEqual(json);
    const one = JSON.parse((await run(['get', 'node', HV, '-o', 'json'])).out) as object;
    expect(one).toMatchObject({ fqdn: HV, roles: { hypervisor: { cores: 64 } } });
    expect(decode((await run(['get', 'node', HV, '-o', 'msgpack'])).bytes)).toEqual(one);
    expect((await run(['get', 'vms', '-o', 'json'])).out).toBe('[]\n');
    expect((await run(['get', 'vms', '-o', 'yaml'])).out).toBe('[]\n');
  });

  it('lists the nouns', async () => {
    expect((await run(['get', '-q'])).out.split('\n')).toContain('vms');
  });
});

describe('create, set, delete', () => {
  it('goes through the life of a thing', async () => {
    const made = await run(['create', 'site', 'name=ber1', 'description=Berlin']);
    expect(made.code).toBe(0);
    expect(made.out).toMatch(/^name +ber1$/m);
    expect((await run(['set', 'node', HV, 'location=null', '-o', 'json'])).out).toContain('"location": null');
    expect((await run(['delete', 'site', 'ber1'])).code).toBe(0);
    expect((await run(['get', 'site', 'ber1'])).code).toBe(3);
  });

  it('says of a secret that it is shown once, and where it goes', async () => {
    const words = ['create', 'webhook', 'url=https://chat.example.com/hook'];
    const made = await run([...words, 'name=chat']);
    expect(made.out).toMatch(/^secret +whsec_/m);
    expect(made.err).toMatch(/^The secret is shown this once\. Give it to the receiver.*\n.*\n$/);
    expect(made.err).toContain('corral set webhook chat secret=');
    const quiet = await run([...words, 'name=quiet', '-q']);
    expect([quiet.out, quiet.err]).toEqual(['quiet\n', expect.stringMatching(/^The secret was not printed \(-q\)/)]);
    const given = await run([...words, 'name=given', `secret=whsec_${Buffer.alloc(32, 7).toString('base64')}`]);
    expect([given.code, given.err]).toEqual([0, '']);
    expect((await run(['set', 'webhook', 'chat', 'enabled=false'])).err).toBe('');
  });

  it('writes parts, lists and sizes', async () => {
    const made = await run([
      'create',
      'node',
      'fqdn=hv2.example.com',
      'site=fra1',
      'roles.hypervisor.cores=8',
      'roles.hypervisor.ram=1.5TiB',
      'roles.hypervisor.methods=KVM,LXC',
      '-o',
      'json',
    ]);
    expect(made.err).toBe('');
    expect(JSON.parse(made.out)).toMatchObject({ roles: { hypervisor: { ram: 1.5 * 2 ** 40, methods: ['KVM', 'LXC'] } } });
    const changed = await run(['set', 'node', 'hv2.example.com', 'roles.hypervisor.cores=9', '-o', 'json']);
    expect(JSON.parse(changed.out)).toMatchObject({ roles: { hypervisor: { cores: 9 } } });
  });

  it('takes a body from a file and from stdin, with arguments on top', async () => {
    const file = join(folder, 'customer.yaml');
    writeFileSync(file, 'name: filed\n');
    expect((await run(['create', 'customer', '-f', file, '-q'])).out).toBe('filed\n');
    expect((await run(['create', 'customer', '-f', file, 'name=other', '-q'])).out).toBe('other\n');
    expect((await run(['create', 'customer', '-f', '-', '-q'], { input: '{"name": "piped"}' })).out).toBe('piped\n');
    expect((await run(['create', 'customer', '-f', '-'], { input: '- 1' })).code).toBe(2);
    expect((await run(['create', 'customer', '-f', '/nonexistent'])).code).toBe(2);
  });

  it('upserts, and writes only on the version that was seen', async () => {
    expect((await run(['set', 'customer', 'upserted', '--upsert', '-q'])).out).toBe('upserted\n');
    const version = String((JSON.parse((await run(['get', 'node', HV, '-o', 'json'])).out) as { version: number }).version);
    expect((await run(['set', 'node', HV, 'location=R1', '--if-version', version])).code).toBe(0);
    const stale = await run(['set', 'node', HV, 'location=R2', '--if-version', version]);
    expect(stale.code).toBe(4);
    expect(stale.err).toContain('stale-version');
    expect((await run(['delete', 'node', HV, '--if-version', version])).code).toBe(4);
  });
});

describe('what goes wrong', () => {
  it.each<[string, string[], number, RegExp]>([
    ['not there', ['get', 'node', 'nix.example.com'], 3, /not-found: There is no node 'nix\.example\.com'/],
    ['there already', ['create', 'site', 'name=fra1'], 4, /already-exists[\s\S]*name /],
    ['in use', ['delete', 'site', 'fra1'], 4, /in-use/],
    ['fields that are wrong', ['create', 'vm', 'coers=4'], 1, /cores +is needed[\s\S]*did you mean cores\?/],
    ['an unknown filter', ['get', 'vms', 'colour=red'], 1, /unknown-parameter/],
    ['a misspelt noun', ['get', 'nods'], 2, /did you mean node\?/],
    ['a misspelt command', ['crate', 'vm'], 2, /Did you mean create\?/],
    ['a missing argument', ['create'], 2, /missing required argument 'noun'[\s\S]*corral create --help/],
    ['an unknown option', ['get', 'vms', '--colour'], 2, /unknown option/],
    ['two keys', ['get', 'vm', '1', '2'], 2, /give one key/],
    ['nothing to set', ['set', 'site', 'fra1'], 2, /nothing to set[\s\S]*name/],
    ['a noun that cannot be made', ['create', 'node-state', 'name=x'], 2, /has no create/],
    ['JSON that is none', ['create', 'vm', 'metadata={'], 2, /metadata must be JSON/],
    ['a key that looks like a form', ['get', 'site', 'x.json'], 3, /no site 'x\.json'/],
  ])('%s', async (_, args, code, message) => {
    const ran = await run(args);
    expect(ran.err).toMatch(message);
    expect(ran.code).toBe(code);
    expect(ran.out).toBe('');
  });

  it('gives a program the problem as JSON', async () => {
    const { code, err } = await run(['get', 'site', 'nix', '-o', 'json']);
    expect(code).toBe(3);
    expect(JSON.parse(err.replace(/^corral: /, ''))).toMatchObject({ code: 'not-found', status: 404 });
  });

  it('says what to do without a token, and with a wrong one', async () => {
    const none = await corral(['get', 'nodes'], { env: { CORRAL_URL: server.base } });
    expect(none.code).toBe(1);
    expect(none.err).toMatch(/no-token[\s\S]*CORRAL_TOKEN/);
    expect((await run(['get', 'nodes'], { env: { CORRAL_TOKEN: 'wrong' } })).err).toContain('bad-token');
  });

  it('reads the token from a file, with or without a line end', async () => {
    const file = join(folder, 'token');
    writeFileSync(file, `${against(server)['CORRAL_TOKEN']}\n`);
    expect((await corral(['get', 'sites', '-q', '--token-file', file, '--url', server.base])).out).toContain('fra1');
    expect((await corral(['get', 'sites', '-q'], { env: { CORRAL_URL: server.base, CORRAL_TOKEN_FILE: file } })).out).toContain('fra1');
    expect((await corral(['get', 'sites', '--token-file', '/nonexistent'])).code).toBe(2);
  });

  it('says where it looked when nobody is there', async () => {
    const { code, err } = await corral(['get', 'nodes'], { env: { CORRAL_URL: 'http://127.0.0.1:1' } });
    expect(code).toBe(5);
    expect(err).toMatch(/http:\/\/127\.0\.0\.1:1 cannot be reached[\s\S]*CORRAL_URL/);
    expect((await corral(['get', 'nodes'], { env: { CORRAL_URL: 'nonsense' } })).code).toBe(2);
  });

  it('ends well when its reader stops reading', async () => {
    const { code } = await run(['get', 'node-states', '-q']);
    expect(code).toBe(0);
  });
});

describe('documents', () => {
  it('shows each as the API serves it', async () => {
    for (const [kind, path] of [
      ['enc', 'enc'],
      ['hiera', 'hiera'],
      ['pillar', 'pillar'],
      ['tops', 'tops'],
      ['document', 'documents'],
    ] as const) {
      const { code, bytes } = await run([kind, HV]);
      expect(code).toBe(0);
      const served = Buffer.from(await (await server.request(`/${path}/${HV}.yaml`)).arrayBuffer());
      expect(bytes.toString().trimEnd()).toBe(served.toString().trimEnd());
    }
    expect(decode((await run(['pillar', HV, '-o', 'msgpack'])).bytes)).toEqual(JSON.parse((await run(['pillar', HV, '-o', 'json'])).out));
    expect((await run(['hiera', HV, '--key', 'corral::node'])).out).toBe(`"${HV}"\n`);
    expect((await run(['enc', HV, '--headers'])).err).toMatch(/^corral-document: /m);
    expect((await run(['enc', 'nix.example.com'])).code).toBe(3);
  });
});
