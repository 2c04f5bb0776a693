/* oxlint-disable vitest/no-conditional-expect -- the table says what a cell must lead to */
/**
 * Every document that Corral's own tests expect, applied by `puppet apply` with the ENC and Hiera: the
 * classes take all of its data, and the files hold it unchanged.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { load } from 'js-yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startFaultServer, type FaultServer, type Mapping } from './faults.ts';
import { ClientFolder, MODULE, run, temporaryFolder, whyNoPuppet, writeEnvironment } from './puppet-rig.ts';

const FIXTURES = resolve(import.meta.dirname, '../../fixtures/documents');
const names = existsSync(FIXTURES) ? readdirSync(FIXTURES) : [];
const reason = whyNoPuppet() ?? (names.length === 0 ? 'there are no fixtures/documents' : undefined);
if (reason) console.warn(`puppet-documents: skipped: ${reason}`);

describe.skipIf(reason)('the documents of the fixtures', () => {
  const folder = temporaryFolder('documents');
  const client = new ClientFolder(join(folder, 'client'));
  const target = join(folder, 'target');
  let server: FaultServer;

  beforeAll(async () => {
    server = await startFaultServer({ documents: {} });
    client.write({ url: server.url, token: server.token });
    mkdirSync(join(folder, 'code'));
    writeEnvironment(join(folder, 'code'), client.config, target);
  });

  afterAll(async () => {
    await server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(names)('%s', { timeout: 60_000 }, async (name) => {
    const file = (part: string): string => readFileSync(join(FIXTURES, name, part), 'utf8');
    const enc = load(file('enc.yaml')) as Mapping;
    const hiera = JSON.parse(file('hiera.json')) as Mapping;
    const node = hiera['corral::node'] as string;
    server.documents[node] = { node, version: hiera['corral::document'] as string, manager: 'puppet', enc, hiera };
    server.requests.length = 0;
    const environment = join(folder, 'code/environments', enc['environment'] as string);
    if (!existsSync(environment)) symlinkSync('production', environment);
    rmSync(target, { recursive: true, force: true });

    // Data that no class takes would be lost without a word.
    for (const key of Object.keys(hiera).filter((one) => one !== 'lookup_options')) {
      const parts = key.split('::');
      const manifest = parts.length === 2 ? 'init' : parts.slice(1, -1).join('/');
      expect([key, readFileSync(join(MODULE, 'manifests', `${manifest}.pp`), 'utf8')]).toEqual([
        key,
        expect.stringMatching(new RegExp(`^ {2}\\S.* \\$${parts.at(-1)} *(=.*)?,$`, 'm')),
      ]);
    }

    const ran = await run('puppet', [
      'apply',
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
    ]);
    expect([ran.status, ran.output]).toEqual([0, expect.stringContaining('source=spooled')]);
    expect(server.requests).toMatchObject([{ path: `/documents/${node}`, status: 200 }]);

    const plain = unescape(hiera) as Record<string, Mapping>;
    const written = (path: string): string => readFileSync(join(target, path), 'utf8');
    const domains = Object.entries(plain['corral::hypervisor::domains'] ?? {}) as [string, Mapping][];
    for (const [domain, { ensure, xml }] of domains) {
      const path = `domains/${domain}.xml`;
      if (ensure === 'present' && xml !== undefined) expect(written(path)).toBe(xml);
      else expect(existsSync(join(target, path))).toBe(false);
    }
    for (const part of ['mon', 'osd', 'client']) {
      const prefix = `corral::ceph::${part}::`;
      const data = Object.entries(plain).filter(([key]) => key.startsWith(prefix));
      if (data.length === 0) expect(existsSync(join(target, `ceph-${part}.json`))).toBe(false);
      else {
        const expected = Object.fromEntries(data.map(([key, value]) => [key.slice(prefix.length), value]));
        expect(JSON.parse(written(`ceph-${part}.json`))).toMatchObject(expected);
      }
    }
  });
});

/** What Hiera's interpolation makes of Corral's texts. */
function unescape(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll("%{literal('%')}", '%');
  if (Array.isArray(value)) return value.map(unescape);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [unescape(key), unescape(one)]));
}
