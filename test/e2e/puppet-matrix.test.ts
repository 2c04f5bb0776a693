/* oxlint-disable vitest/no-conditional-expect -- the table says what a cell must lead to */
/** The failure matrix: the ENC client as a process, and the Hiera function in `puppet apply`. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startFaultServer, type FaultServer, type Mapping } from './faults.ts';
import { makeWire, startHost, WIRE_ADDRESS, whyNoHost, type Host } from './host.ts';
import { ClientFolder, ENGINE, MODULE, run, temporaryFolder, whyNoPuppet, writeEnvironment, type Ran } from './puppet-client.ts';
import { CELLS, CERTNAME, exampleDocument, expectedOf, MAX_AGE, seen, turnBack, type Copy } from './puppet-table.ts';

const ENC = join(MODULE, 'files/corral-enc');
// The server moves on from OLD to NEW after the copy was made: a run shows which of them it had.
const OLD = '41-9f2c0a1b2c3d4e5f';
const NEW = '42-00112233aabbccdd';
const TIMEOUT = 1.5;

const reason = whyNoPuppet() ?? whyNoHost();
if (reason) console.warn(`puppet-matrix: skipped: ${reason}`);

describe.skipIf(reason)('failure matrix', () => {
  const folder = temporaryFolder('matrix');
  const client = new ClientFolder(join(folder, 'client'));
  let server: FaultServer;

  beforeAll(async () => {
    makeWire();
    server = await startFaultServer({ documents: {}, tls: true, host: WIRE_ADDRESS });
    client.write({ url: server.url, token: server.token, caFile: server.caFile, timeout: TIMEOUT, maxAge: MAX_AGE });
    mkdirSync(join(folder, 'code'));
    writeEnvironment(join(folder, 'code'), client.config);
  });

  afterAll(async () => {
    await server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const enc = (...args: string[]): Promise<Ran> => run(ENC, ['--config', client.config, ...args]);

  /** The state before a run: the copy of OLD with its age, NEW on the server. */
  const prepare = async (copy: Copy): Promise<void> => {
    await server.reset();
    client.clearCache();
    if (copy !== 'no copy') {
      server.documents[CERTNAME] = exampleDocument(OLD);
      expect((await enc(CERTNAME)).status).toBe(0);
      if (copy === 'old copy') client.ageCache(CERTNAME, MAX_AGE + 60);
      else client.ageCache(CERTNAME, MAX_AGE - 60);
    }
    server.documents[CERTNAME] = exampleDocument(NEW);
    server.requests.length = 0;
  };

  describe('ENC client', () => {
    const classification = async (yaml: string): Promise<Mapping> => {
      const asPuppetDoes = 'require "yaml"; require "json"; print JSON.generate(YAML.safe_load(STDIN.read))';
      const file = join(folder, 'out.yaml');
      writeFileSync(file, yaml);
      const read = await run('sh', ['-c', `LC_ALL=C.UTF-8 ruby -e '${asPuppetDoes}' < ${file}`]);
      expect(read.stderr).toBe('');
      return JSON.parse(read.stdout) as Mapping;
    };

    it.each(CELLS)('$fault with $copy: $outcome', { timeout: 20_000 }, async (cell) => {
      await prepare(cell.copy);
      await server.setMode(cell.fault);
      const ran = await enc(CERTNAME);
      if (cell.outcome === 'fails') {
        expect(ran.status).toBe(cell.exit);
        expect(ran.stdout).toBe('');
        expect(ran.stderr).toContain(cell.because);
      } else {
        const version = cell.outcome === 'fresh' ? NEW : OLD;
        expect(ran.stderr).toMatch(cell.outcome === 'fresh' ? /^$/ : new RegExp(`version=${OLD} source=stale age=35\\d\\d`));
        expect(ran.status).toBe(0);
        expect(await classification(ran.stdout)).toEqual(exampleDocument(version).enc);
        expect(readFileSync(client.log, 'utf8').trim().split('\n').at(-1)).toContain(`node=${CERTNAME} version=${version} source=${cell.outcome}`);
      }
      expect(server.requests.length).toBe(cell.fault === 'refused' || cell.fault === 'tls-error' ? 0 : 1);
      // One deadline for all of it, whatever the server does.
      expect(ran.ms).toBeLessThan(TIMEOUT * 1000 + 1500);
    });

    it('an unknown environment is passed on for puppetserver to refuse', async () => {
      await prepare('no copy');
      await server.setMode('unknown-environment');
      const ran = await enc(CERTNAME);
      expect(ran.stdout).toContain('"environment": "nosuchenvironment"');
    });

    it('a copy that is damaged, of another node or from another server does not stand in', async () => {
      for (const spoil of [
        (text: string) => text.replace('vm-17', 'vm-71'),
        (text: string) => text.slice(0, -20),
        (text: string) => text.replace(/"url":"[^"]*"/, '"url":"https://staging.example.net"'),
        () => '',
      ]) {
        await prepare('young copy');
        const file = client.cacheFile(CERTNAME);
        writeFileSync(file, spoil(readFileSync(file, 'utf8')));
        await server.setMode('refused');
        const ran = await enc(CERTNAME);
        expect([ran.status, ran.stdout]).toEqual([4, '']);
      }
    }, 20_000);
  });

  describe('Hiera function, without an ENC', () => {
    let host: Host;

    beforeAll(async () => {
      host = await startHost({ name: 'pmatrix', index: 41 });
    });
    afterAll(() => host?.stop());

    const apply = (): Promise<Ran> => {
      const at = ['--confdir', folder, '--vardir', join(folder, 'var'), '--environmentpath', join(folder, 'code/environments')];
      const code = 'include corral::hypervisor include corral::ceph::client';
      const [command, ...args] = [...host.prefix, 'env', `CORRAL_HOST_COMMAND=${ENGINE}`, 'puppet', 'apply', ...at];
      return run(command!, [...args, '--certname', CERTNAME, '--color=false', '-e', code]);
    };

    it.each(CELLS)('$fault with $copy: $outcome', { timeout: 60_000 }, async (cell) => {
      await prepare(cell.copy);
      turnBack(host);
      const before = seen(host);
      await server.setMode(cell.fault);
      const ran = await apply();
      if (cell.outcome === 'fails') {
        expect(ran.status).toBe(1);
        expect(ran.output).toContain(cell.because);
        expect(seen(host)).toEqual(before);
      } else {
        const version = cell.outcome === 'fresh' ? NEW : OLD;
        expect([ran.status, ran.output]).toEqual([0, expect.stringContaining(`version=${version} source=${cell.outcome}`)]);
        expect(ran.output).not.toMatch(/^(Error|Warning): (?!corral::data_hash)/m);
        expect(seen(host)).toMatchObject(expectedOf(version));
      }
      expect(server.requests.length).toBe(cell.fault === 'refused' || cell.fault === 'tls-error' ? 0 : 1);
    });
  });
});
