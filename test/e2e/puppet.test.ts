/* oxlint-disable vitest/no-conditional-expect, vitest/expect-expect, vitest/no-standalone-expect -- the table says what a cell must lead to */
/** A real puppetserver and `puppet agent -t`, with Corral's ENC client and Hiera function. */
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startFaultServer, type FaultServer, type Mapping } from './faults.ts';
import { openSource, type Source } from './puppet-source.ts';
import { Puppetserver, whyNoPuppetserver, type Ran } from './puppet-rig.ts';
import { CELLS, CERTNAME, exampleDocument, exampleDomains, interpolated, MAX_AGE, SECRET, type Copy } from './puppet-table.ts';

const reason = whyNoPuppetserver();
if (reason) console.warn(`puppet: skipped: ${reason}`);

describe.skipIf(reason)('puppetserver and agent', () => {
  let puppet: Puppetserver;

  beforeAll(async () => {
    puppet = await Puppetserver.start();
    console.log(`puppetserver started in ${(puppet.startMs / 1000).toFixed(1)} s`);
  }, 330_000);

  afterAll(async () => {
    await puppet?.stop();
  }, 30_000);

  /** All files that the classes wrote, by path. */
  const written = (): Record<string, string> => {
    if (!existsSync(puppet.target)) return {};
    const names = readdirSync(puppet.target, { recursive: true, encoding: 'utf8' }).sort();
    const files = names.filter((name) => statSync(join(puppet.target, name)).isFile());
    return Object.fromEntries(files.map((name) => [name, readFileSync(join(puppet.target, name), 'utf8')]));
  };
  const encLog = (): string[] => (existsSync(puppet.client.log) ? readFileSync(puppet.client.log, 'utf8').trim().split('\n') : []);
  const hieraLog = (): string[] => puppet.log.split('\n').filter((line) => line.includes('corral::data_hash: node='));
  const cataloguesFailed = (ran: Ran): void => {
    expect([ran.status, ran.output]).toEqual([1, expect.stringContaining('Could not retrieve catalog; skipping run')]);
  };

  /** Start from nothing: no copy, no log, nothing applied. */
  const forget = (): void => {
    puppet.client.clearCache();
    rmSync(puppet.client.log, { force: true });
    rmSync(puppet.target, { recursive: true, force: true });
    puppet.log = '';
  };

  describe('the good run', () => {
    let source: Source;

    beforeAll(async () => {
      source = await openSource();
      console.log(`documents come from ${source.name}`);
      forget();
      puppet.configure({ url: source.url, token: source.token, caFile: source.caFile });
    }, 120_000);

    afterAll(async () => {
      await source?.stop();
    });

    it('applies all of the document, with one request for each call of the ENC and none by Hiera', async () => {
      const document = await source.document();
      source.requests.length = 0;
      const ran = await puppet.agent(source.certname);
      expect([ran.status, ran.output]).toEqual([2, expect.stringContaining('Applied catalog')]);

      const files = written();
      expect(JSON.parse(files['document.json']!)).toMatchObject({
        document: document.version,
        node: source.certname,
        roles: document.hiera!['corral::roles'],
      });
      const domains = (document.hiera!['corral::hypervisor::domains'] ?? {}) as Record<string, { ensure: string; xml: string }>;
      const present = Object.entries(domains).filter(([, { ensure, xml }]) => ensure === 'present' && xml);
      expect(present.length).toBeGreaterThan(0);
      expect(Object.keys(files).filter((name) => name.startsWith('domains/'))).toEqual(present.map(([name]) => `domains/${name}.xml`).sort());
      for (const [name, { xml }] of present) expect(files[`domains/${name}.xml`]).toBe(interpolated(xml));
      for (const name of Object.keys(files)) expect(statSync(join(puppet.target, name)).mode & 0o777).toBe(0o600);

      // The agent's first run asks for its node and then for its catalogue: each is one call of the ENC.
      expect(source.requests.map(({ path }) => path)).toEqual(encLog().map(() => `/documents/${source.certname}`));
      expect(source.requests.map(({ status }) => status)).toEqual(encLog().map((_, call) => (call === 0 ? 200 : 304)));
      expect(hieraLog()).toHaveLength(1);
      expect(hieraLog()[0]).toMatch(new RegExp(`version=${document.version} source=spooled age=\\d+`));
    }, 180_000);

    it('changes nothing the second time, for one request that is answered with 304', async () => {
      const before = written();
      const calls = encLog().length;
      source.requests.length = 0;
      const ran = await puppet.agent(source.certname);
      expect([ran.status, ran.output]).toEqual([0, expect.stringContaining('Applied catalog')]);
      expect(source.requests).toMatchObject([{ path: `/documents/${source.certname}`, status: 304 }]);
      expect(encLog().slice(calls)).toEqual([expect.stringContaining('source=unchanged age=0')]);
      expect(written()).toEqual(before);
    }, 60_000);

    it('removes the file of a domain that was deleted, and no other', async () => {
      const before = written();
      const gone = `domains/${await source.removeDomain()}.xml`;
      expect(Object.keys(before)).toContain(gone);
      expect((await puppet.agent(source.certname)).status).toBe(2);
      expect(Object.keys(written())).toEqual(Object.keys(before).filter((name) => name !== gone));
    }, 60_000);

    it('gets nothing that Corral must not serve', async () => {
      for (const { what, token, certname, exit, because } of source.refusals) {
        puppet.configure({ url: source.url, token, caFile: source.caFile });
        const ran = await puppet.enc(certname);
        expect([what, ran.status, ran.stdout]).toEqual([what, exit, '']);
        expect(ran.stderr).toContain(because);
      }
    }, 60_000);
  });

  describe('with a server that changes and fails', () => {
    let server: FaultServer;
    const OLD = '41-9f2c0a1b2c3d4e5f';
    const NEW = '42-00112233aabbccdd';
    const TIMEOUT = 2;

    beforeAll(async () => {
      server = await startFaultServer({ documents: {}, tls: { requireClientCert: true } });
      forget();
      const { url, token, caFile, clientCertFile: certFile, clientKeyFile: keyFile } = server;
      puppet.configure({ url, token, caFile, certFile, keyFile, timeout: TIMEOUT, maxAge: MAX_AGE });
      server.documents[CERTNAME] = exampleDocument(OLD);
      // The first run makes the certificate and gets the plugins.
      expect((await puppet.agent(CERTNAME)).status).toBe(2);
    }, 180_000);

    afterAll(async () => {
      await server?.close();
    });

    it('removes only what the document says is absent', async () => {
      const stranger = join(puppet.target, 'domains/made-by-hand.xml');
      writeFileSync(stranger, '<domain/>');
      const domains = exampleDomains(OLD);
      const { 'vm-17': kept, 'vm-18': gone } = domains;
      server.documents[CERTNAME] = exampleDocument(NEW, { 'vm-17': kept!, 'vm-18': { ensure: 'absent' } });
      expect((await puppet.agent(CERTNAME)).status).toBe(2);
      expect(Object.keys(written())).toEqual(expect.arrayContaining(['domains/made-by-hand.xml', 'domains/vm-17.xml', 'document.json']));
      expect(Object.keys(written())).not.toContain('domains/vm-18.xml');

      // Not named any more is not absent.
      server.documents[CERTNAME] = exampleDocument('43-00', { 'vm-18': gone! });
      expect((await puppet.agent(CERTNAME)).status).toBe(2);
      expect(Object.keys(written())).toEqual(expect.arrayContaining(['domains/vm-17.xml', 'domains/vm-18.xml']));
    }, 60_000);

    it('shows no secret in what the agent and the server print', async () => {
      rmSync(join(puppet.target, 'ceph-client.json'));
      const ran = await puppet.agent(CERTNAME, '--show_diff', '--debug');
      expect(ran.status).toBe(2);
      expect(written()['ceph-client.json']).toContain(SECRET);
      expect(ran.output + puppet.log).not.toContain(SECRET);
    }, 60_000);

    it('refuses data without its classification and a version that is not the one of the ENC', async () => {
      server.documents[CERTNAME] = exampleDocument(NEW);
      // The parts of one document that do not agree.
      const mixed = exampleDocument(NEW);
      (mixed.hiera as Mapping)['corral::document'] = OLD;
      server.documents[CERTNAME] = mixed;
      cataloguesFailed(await puppet.agent(CERTNAME));
    }, 60_000);

    /** The state before a run: a copy of OLD, NEW on the server, and one file that a run would restore. */
    const prepare = async (copy: Copy): Promise<Record<string, string>> => {
      await server.reset();
      puppet.client.clearCache();
      if (copy !== 'no copy') {
        server.documents[CERTNAME] = exampleDocument(OLD);
        expect((await puppet.enc(CERTNAME)).status).toBe(0);
        puppet.client.ageCache(CERTNAME, copy === 'young copy' ? MAX_AGE - 600 : MAX_AGE + 600);
      }
      puppet.chown();
      rmSync(join(puppet.target, 'domains/vm-17.xml'), { force: true });
      server.documents[CERTNAME] = exampleDocument(NEW);
      server.requests.length = 0;
      return written();
    };

    // Each fault once with a copy that is young, and the two other states for one fault of each kind.
    const cells = CELLS.filter(({ fault, copy }) => copy === 'young copy' || ['refused', 'tls-error', '404', 'truncated'].includes(fault));

    it.each(cells)('$fault with $copy: $outcome', { timeout: 60_000 }, async (cell) => {
      const before = await prepare(cell.copy);
      await server.setMode(cell.fault);
      const ran = await puppet.agent(CERTNAME);
      if (cell.outcome === 'fails') {
        cataloguesFailed(ran);
        expect(ran.output).toContain(cell.because);
        expect(written()).toEqual(before);
      } else {
        const version = cell.outcome === 'fresh' ? NEW : OLD;
        const domains = exampleDomains(version) as Record<string, { xml: string }>;
        expect([ran.status, ran.output]).toEqual([2, expect.stringContaining('Applied catalog')]);
        expect(JSON.parse(written()['document.json']!)).toMatchObject({ document: version });
        for (const [name, { xml }] of Object.entries(domains)) {
          expect(written()[`domains/${name}.xml`]).toBe(interpolated(xml));
        }
      }
      const noAnswer = cell.fault === 'refused' || cell.fault === 'tls-error';
      expect(server.requests.length).toBe(noAnswer ? 0 : 1);
    });

    it('an environment that the server does not have: fails', async () => {
      const before = await prepare('young copy');
      await server.setMode('unknown-environment');
      const ran = await puppet.agent(CERTNAME);
      cataloguesFailed(ran);
      expect(ran.output).toContain("Could not find a directory environment named 'nosuchenvironment'");
      expect(written()).toEqual(before);
    }, 60_000);

    it('a client certificate that the server does not take: fails', async () => {
      await prepare('no copy');
      const { url, token, caFile } = server;
      puppet.configure({ url, token, caFile, timeout: TIMEOUT, maxAge: MAX_AGE });
      cataloguesFailed(await puppet.agent(CERTNAME));
    }, 60_000);

    it('the compile fails when Hiera does not have Corral', async () => {
      const hiera = join(puppet.folder, 'code/environments/production/hiera.yaml');
      const good = readFileSync(hiera, 'utf8');
      const { url, token, caFile, clientCertFile: certFile, clientKeyFile: keyFile } = server;
      puppet.configure({ url, token, caFile, certFile, keyFile, timeout: TIMEOUT, maxAge: MAX_AGE });
      const before = await prepare('no copy');
      try {
        writeFileSync(hiera, 'version: 5\nhierarchy: []\n');
        const ran = await puppet.agent(CERTNAME);
        cataloguesFailed(ran);
        expect(ran.output).toMatch(/expects a value for parameter 'document'/);
        expect(written()).toEqual(before);
      } finally {
        writeFileSync(hiera, good);
      }
    }, 60_000);
  });
});
