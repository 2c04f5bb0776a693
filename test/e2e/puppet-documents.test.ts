/**
 * Every document that Corral's own tests expect, given to a host by `puppet apply --noop` with the ENC and
 * Hiera: the classes take all of its data, and the engine gets, and accepts, each thing unchanged.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { load } from 'js-yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startFaultServer, type FaultServer, type Mapping } from './faults.ts';
import { makeWire, startHost, WIRE_ADDRESS, whyNoHost, type Host } from './host.ts';
import { ClientFolder, ENGINE, MODULE, run, temporaryFolder, whyNoPuppet, writeEnvironment } from './puppet-client.ts';
import { SECRET } from './puppet-table.ts';

const FIXTURES = resolve(import.meta.dirname, '../../fixtures/documents');
const names = existsSync(FIXTURES) ? readdirSync(FIXTURES) : [];
const reason = whyNoPuppet() ?? whyNoHost() ?? (names.length === 0 ? 'there are no fixtures/documents' : undefined);
if (reason) console.warn(`puppet-documents: skipped: ${reason}`);

/** Kinds of corral-host by the key of Hiera that holds them. */
const KINDS = {
  secret: 'corral::hypervisor::secrets',
  bridge: 'corral::hypervisor::bridges',
  pool: 'corral::hypervisor::pools',
  volume: 'corral::hypervisor::volumes',
  domain: 'corral::hypervisor::domains',
} as const;

describe.skipIf(reason)('the documents of the fixtures', () => {
  const folder = temporaryFolder('documents');
  const client = new ClientFolder(join(folder, 'client'));
  const asked = join(folder, 'asked');
  let server: FaultServer;
  let host: Host;

  beforeAll(async () => {
    makeWire();
    server = await startFaultServer({ documents: {}, host: WIRE_ADDRESS });
    client.write({ url: server.url, token: server.token });
    mkdirSync(join(folder, 'code'));
    writeEnvironment(join(folder, 'code'), client.config);
    host = await startHost({ name: 'pdocs', index: 42 });
    // The fixtures' hosts have more interfaces.
    for (const name of ['eth2', 'eth3', 'bond0']) host.run('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}-peer`);
  });

  afterAll(async () => {
    host?.stop();
    await server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(names)('%s', { timeout: 60_000 }, async (name) => {
    const file = (part: string): string => readFileSync(join(FIXTURES, name, part), 'utf8');
    const enc = load(file('enc.yaml')) as Mapping;
    // The fixtures' keys are no keys of Ceph, their monitors are on no node of theirs, and this host has no KVM.
    const text = file('hiera.json')
      .replaceAll(/QVFC\w+==/g, SECRET)
      .replaceAll("type='kvm'", "type='qemu'")
      .replaceAll(/mode='host-passthrough'[^>]*/g, "mode='host-model'");
    const node = (JSON.parse(text) as Mapping)['corral::node'] as string;
    const hiera = JSON.parse(text.replaceAll('mon1.example.net', node)) as Mapping;
    server.documents[node] = { node, version: hiera['corral::document'] as string, manager: 'puppet', enc, hiera };
    server.requests.length = 0;
    const environment = join(folder, 'code/environments', enc['environment'] as string);
    if (!existsSync(environment)) symlinkSync('production', environment);
    rmSync(asked, { force: true });

    // The classes that operators' layers name are in modules of the site.
    for (const [name, given] of Object.entries(enc['classes'] as Record<string, Mapping>))
      if (!/^corral(::|$)/.test(name)) writeClass(join(folder, 'code/environments/production/modules'), name, Object.keys(given));

    // Data of Corral's own that no class takes would be lost without a word.
    for (const key of Object.keys(hiera).filter((one) => one.startsWith('corral::'))) {
      const parts = key.split('::');
      const manifest = parts.length === 2 ? 'init' : parts.slice(1, -1).join('/');
      expect([key, readFileSync(join(MODULE, 'manifests', `${manifest}.pp`), 'utf8')]).toEqual([
        key,
        expect.stringMatching(new RegExp(`^ {2}\\S.* \\$${parts.at(-1)} *(=.*)?,$`, 'm')),
      ]);
    }

    const [command, ...args] = [
      ...host.prefix,
      'env',
      // The engine, and a copy of all that it is asked.
      `CORRAL_HOST_COMMAND=sh -c 'tee ${asked} | ${ENGINE}'`,
      'puppet',
      'apply',
      '--noop',
      '--confdir',
      folder,
      '--vardir',
      join(folder, 'var'),
      '--color=false',
      '--certname',
      node,
      '--environmentpath',
      join(folder, 'code/environments'),
      '--node_terminus',
      'exec',
      '--external_nodes',
      `${join(MODULE, 'files/corral-enc')} --config ${client.config}`,
      '--strict_variables',
      '--strict',
      'error',
      '-e',
      '',
    ];
    const ran = await run(command!, args);
    expect([ran.status, ran.output]).toEqual([0, expect.stringContaining('source=spooled')]);
    expect(ran.output).not.toMatch(/^Error/m);
    expect(server.requests).toMatchObject([{ path: `/documents/${node}`, status: 200 }]);

    const requests = readFileSync(asked, 'utf8').trim().split('\n');
    const checks = requests.map((line) => JSON.parse(line) as { op: string; things: Record<string, Mapping> }).filter(({ op }) => op === 'check');
    expect(checks).toHaveLength(1);
    const { things } = checks[0]!;
    const plain = unescape(hiera) as Record<string, Mapping>;
    for (const [kind, key] of Object.entries(KINDS)) expect([kind, things[kind] ?? {}]).toEqual([kind, plain[key] ?? {}]);
    expect(things['ceph_osd'] ?? {}).toEqual(ofCluster(plain['corral::ceph::osd::cluster'], plain['corral::ceph::osd::osds']));
    expect(Object.keys(things['ceph_pool'] ?? {})).toEqual(Object.keys(plain['corral::ceph::mon::pools'] ?? {}).map((pool) => `ceph/${pool}`));
    expect(Object.keys(things['ceph_key'] ?? {})).toEqual(Object.keys(plain['corral::ceph::mon::keys'] ?? {}).map((key) => `ceph/${key}`));
    const version = hiera['corral::document'] as string;
    expect(things['document']![version]).toMatchObject({ ensure: 'present', version, node });
  });
});

/** A class of a site's own module, that takes parameters of any type. */
function writeClass(modules: string, name: string, parameters: readonly string[]): void {
  const [module, ...rest] = name.split('::');
  const file = join(modules, module!, 'manifests', `${rest.join('/') || 'init'}.pp`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `class ${name} (${parameters.map((one) => `Any $${one}`).join(', ')}) {}\n`);
}

/** OSDs with the cluster that they are of. */
function ofCluster(cluster: Mapping | undefined, osds: Mapping = {}): Mapping {
  return Object.fromEntries(Object.entries(osds).map(([uuid, osd]) => [uuid, { ...(cluster && { cluster }), ...(osd as Mapping) }]));
}

/** What Hiera's interpolation makes of Corral's texts. */
function unescape(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll("%{literal('%')}", '%');
  if (Array.isArray(value)) return value.map(unescape);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [unescape(key), unescape(one)]));
}
