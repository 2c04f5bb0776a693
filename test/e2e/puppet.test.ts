/* oxlint-disable vitest/no-conditional-expect, vitest/expect-expect, vitest/no-standalone-expect -- the table says what a cell must lead to */
/** A real puppetserver and `puppet agent -t` on a host, with Corral's ENC client, Hiera function, types and report processor. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startFaultServer, type FaultServer, type Mapping } from './faults.ts';
import { makeWire, startHost, WIRE_ADDRESS, whyNoHost, type Host } from './host.ts';
import { openSource, type Source } from './puppet-source.ts';
import type { Ran } from './puppet-client.ts';
import { Puppetserver, whyNoPuppetserver } from './puppet-rig.ts';
import { CELLS, CERTNAME, damage, exampleDocument, exampleDomains, expectedOf, MAX_AGE, SECRET, seen, turnBack, type Copy, type Seen } from './puppet-table.ts';

const reason = whyNoPuppetserver() ?? whyNoHost();
if (reason) console.warn(`puppet: skipped: ${reason}`);

describe.skipIf(reason)('puppetserver and agent', () => {
  let puppet: Puppetserver;
  let host: Host;

  beforeAll(async () => {
    makeWire();
    puppet = await Puppetserver.start({ address: WIRE_ADDRESS, reports: 'log,corral' });
    console.log(`puppetserver started in ${(puppet.startMs / 1000).toFixed(1)} s`);
  }, 330_000);

  afterAll(async () => {
    host?.stop();
    await puppet?.stop();
  }, 30_000);

  const agent = (certname: string, ...more: string[]): ReturnType<Puppetserver['agent']> => puppet.agent(certname, { prefix: host.prefix, more });
  /** The events of a run's report: `Corral_bridge[br-17-0] mtu`. */
  const events = ({ report }: Awaited<ReturnType<Puppetserver['agent']>>): string[] =>
    Object.entries(report?.resource_statuses ?? {})
      .flatMap(([ref, status]) => status.events.map((event) => `${ref} ${event.property}${event.corrective_change ? ' (corrective)' : ''}`))
      .toSorted();
  const encLog = (): string[] => (existsSync(puppet.client.log) ? readFileSync(puppet.client.log, 'utf8').trim().split('\n') : []);
  const hieraLog = (): string[] => puppet.log.split('\n').filter((line) => line.includes('corral::data_hash: node='));
  const cataloguesFailed = (ran: Ran): void => {
    expect(ran.status, ran.output).toBe(1);
    expect(ran.output).toContain('Could not retrieve catalog; skipping run');
  };

  /** Start from nothing: no copy, no log, an empty host. */
  const forget = async (): Promise<void> => {
    puppet.client.clearCache();
    rmSync(puppet.client.log, { force: true });
    puppet.log = '';
    host?.stop();
    host = await startHost({ name: 'ppuppet', index: 43 });
  };

  describe('the good run', () => {
    let source: Source;

    beforeAll(async () => {
      source = await openSource();
      console.log(`documents come from ${source.name}`);
      await forget();
      puppet.configure({ url: source.url, token: source.token, caFile: source.caFile });
    }, 120_000);

    afterAll(async () => {
      await source?.stop();
    });

    const documents = (): typeof source.requests => source.requests.filter(({ path }) => path.startsWith('/documents/'));

    it('applies all of the document, with one request for each call of the ENC and none by Hiera', async () => {
      const document = await source.document();
      source.requests.length = 0;
      const ran = await agent(source.certname);
      expect(ran.status, ran.output).toBe(2);
      expect(ran.output).toContain('Applied catalog');
      const domains = (document.hiera!['corral::hypervisor::domains'] ?? {}) as Record<string, { ensure: string }>;
      const present = Object.keys(domains).filter((name) => domains[name]!.ensure === 'present');
      expect(present.length).toBeGreaterThan(0);
      expect(Object.keys(seen(host).domains)).toEqual(present.sort());
      expect(seen(host).applied).toBe(document.version);
      expect(events(ran)).toEqual(expect.arrayContaining([`Corral_document[${document.version}] ensure`, `Corral_domain[${present[0]!}] ensure`]));

      // The agent's first run asks for its node and then for its catalogue: each is one call of the ENC.
      expect(documents().map(({ path }) => path)).toEqual(encLog().map(() => `/documents/${source.certname}`));
      expect(documents().map(({ status }) => status)).toEqual(encLog().map((_, call) => (call === 0 ? 200 : 304)));
      expect(hieraLog()).toHaveLength(1);
      expect(hieraLog()[0]).toMatch(new RegExp(`version=${document.version} source=spooled age=\\d+`));
    }, 180_000);

    it('changes nothing the second time, for one request that is answered with 304', async () => {
      const before = seen(host);
      const calls = encLog().length;
      source.requests.length = 0;
      const ran = await agent(source.certname);
      expect(ran.status, ran.output).toBe(0);
      expect(ran.output).toContain('Applied catalog');
      expect(events(ran)).toEqual([]);
      expect(documents()).toMatchObject([{ path: `/documents/${source.certname}`, status: 304 }]);
      expect(encLog().slice(calls)).toEqual([expect.stringContaining('source=unchanged age=0')]);
      expect(seen(host)).toEqual(before);
    }, 60_000);

    it('removes a domain that was deleted, and no other', async () => {
      const before = seen(host);
      const gone = await source.removeDomain();
      expect(Object.keys(before.domains)).toContain(gone);
      expect((await agent(source.certname)).status).toBe(2);
      expect(Object.keys(seen(host).domains)).toEqual(Object.keys(before.domains).filter((name) => name !== gone));
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
      await forget();
      const { url, token, caFile, clientCertFile: certFile, clientKeyFile: keyFile } = server;
      puppet.configure({ url, token, caFile, certFile, keyFile, timeout: TIMEOUT, maxAge: MAX_AGE });
      server.documents[CERTNAME] = exampleDocument(OLD);
      // The first run makes the certificate and gets the plugins.
      expect((await agent(CERTNAME)).status).toBe(2);
      expect(seen(host)).toMatchObject(expectedOf(OLD));
    }, 180_000);

    afterAll(async () => {
      await server?.close();
    });

    it('sends the reports of the runs, and keeps them while it cannot', async () => {
      server.reports.length = 0;
      server.mode = '500';
      await agent(CERTNAME);
      expect(server.reports).toEqual([]);
      expect(puppet.log).toMatch(/corral report: the report \S+ waits/);
      await server.reset();
      await agent(CERTNAME);
      const sent = server.reports.map(({ path, body }) => ({ path, ...(JSON.parse(body) as { resource_statuses: Mapping }) }));
      const same = { path: '/reports/puppet', host: CERTNAME, resource_statuses: { [`Corral_document[${OLD}]`]: { failed: false, skipped: false } } };
      expect(sent).toMatchObject([same, same]);
      expect(Object.keys(sent[1]!.resource_statuses).every((ref) => ref.startsWith('Corral_'))).toBe(true);
    }, 60_000);

    it('says with --noop what would change, and changes nothing', async () => {
      damage(host);
      const before = seen(host);
      const ran = await puppet.agent(CERTNAME, { prefix: host.prefix, noop: true });
      expect(ran.report).toMatchObject({ noop: true, noop_pending: true });
      expect(events(ran)).toEqual(
        expect.arrayContaining([
          'Corral_bridge[br-17-0] ensure (corrective)',
          'Corral_ceph_config[ceph] ensure (corrective)',
          'Corral_domain[vm-17] ensure (corrective)',
        ]),
      );
      expect(seen(host)).toEqual(before);
    }, 60_000);

    it('repairs what was damaged by hand, one event for each, as corrective changes', async () => {
      damage(host);
      host.sh('virsh -q desc --config --title vm-18 spoiled');
      const ran = await agent(CERTNAME);
      expect(ran.status).toBe(2);
      expect(events(ran)).toEqual([
        'Corral_bridge[br-17-0] ensure (corrective)',
        'Corral_ceph_config[ceph] ensure (corrective)',
        'Corral_domain[vm-17] ensure (corrective)',
        'Corral_domain[vm-18] title (corrective)',
      ]);
      expect(seen(host)).toMatchObject(expectedOf(OLD));
    }, 60_000);

    it('removes only what the document says is absent', async () => {
      host.sh(`printf "<domain type='qemu'><name>made-by-hand</name><memory>65536</memory><os><type>hvm</type></os></domain>" >/run/hand.xml`);
      host.virsh('define', '/run/hand.xml');
      const domains = exampleDomains(OLD);
      const { 'vm-17': kept, 'vm-18': gone } = domains as Record<string, Mapping>;
      server.documents[CERTNAME] = exampleDocument(NEW, { 'vm-17': kept!, 'vm-18': { ensure: 'absent', uuid: gone!['uuid']! } });
      expect((await agent(CERTNAME)).status).toBe(2);
      expect(Object.keys(seen(host).domains)).toEqual(['made-by-hand', 'vm-17']);

      // Not named any more is not absent.
      server.documents[CERTNAME] = exampleDocument('43-00', { 'vm-18': gone! });
      expect((await agent(CERTNAME)).status).toBe(2);
      expect(Object.keys(seen(host).domains)).toEqual(['made-by-hand', 'vm-17', 'vm-18']);
      host.virsh('undefine', 'made-by-hand');
    }, 60_000);

    it('stops before anything is changed when any thing of the document is wrong', async () => {
      const before = seen(host);
      const { 'vm-17': kept } = exampleDomains('44-00') as Record<string, Mapping>;
      server.documents[CERTNAME] = exampleDocument('44-00', { 'vm-17': kept!, 'vm-18': { ...kept!, xml: '<domain>' } });
      const ran = await agent(CERTNAME);
      expect(ran.status, ran.output).toBe(1);
      expect(ran.output).toContain('Some pre-run checks failed');
      expect(ran.output).toContain('vm-18');
      expect(seen(host)).toEqual(before);
    }, 60_000);

    it('stops before anything is changed when the document is older than the one that was applied', async () => {
      const before = seen(host);
      server.documents[CERTNAME] = exampleDocument(NEW);
      const ran = await agent(CERTNAME);
      expect(ran.status, ran.output).toBe(1);
      expect(ran.output).toContain(`document ${NEW} is older than 43-00`);
      expect(seen(host)).toEqual(before);
    }, 60_000);

    it('shows no secret in what the agent and the server print', async () => {
      server.documents[CERTNAME] = exampleDocument('45-00');
      host.sh('rm /etc/ceph/ceph.client.libvirt.keyring');
      const ran = await agent(CERTNAME, '--show_diff', '--debug');
      expect(ran.status).toBe(2);
      expect(seen(host).files['/etc/ceph/ceph.client.libvirt.keyring']).toContain(SECRET);
      expect(ran.output + puppet.log + JSON.stringify(ran.report)).not.toContain(SECRET);
    }, 60_000);

    it('refuses data without its classification and a version that is not the one of the ENC', async () => {
      server.documents[CERTNAME] = exampleDocument(NEW);
      // The parts of one document that do not agree.
      const mixed = exampleDocument(NEW);
      (mixed.hiera as Mapping)['corral::document'] = OLD;
      server.documents[CERTNAME] = mixed;
      cataloguesFailed(await agent(CERTNAME));
    }, 60_000);

    /** The state before a run: a copy of OLD, NEW on the server, and a host that a run would repair. */
    const prepare = async (copy: Copy): Promise<Seen> => {
      await server.reset();
      puppet.client.clearCache();
      if (copy !== 'no copy') {
        server.documents[CERTNAME] = exampleDocument(OLD);
        expect((await puppet.enc(CERTNAME)).status).toBe(0);
        puppet.client.ageCache(CERTNAME, copy === 'young copy' ? MAX_AGE - 600 : MAX_AGE + 600);
      }
      puppet.chown();
      turnBack(host);
      server.documents[CERTNAME] = exampleDocument(NEW);
      server.requests.length = 0;
      return seen(host);
    };

    // Each fault once with a copy that is young, and the two other states for one fault of each kind.
    const cells = CELLS.filter(({ fault, copy }) => copy === 'young copy' || ['refused', 'tls-error', '404', 'truncated'].includes(fault));

    it.each(cells)('$fault with $copy: $outcome', { timeout: 60_000 }, async (cell) => {
      const before = await prepare(cell.copy);
      await server.setMode(cell.fault);
      const ran = await agent(CERTNAME);
      if (cell.outcome === 'fails') {
        cataloguesFailed(ran);
        expect(ran.output).toContain(cell.because);
        expect(seen(host)).toEqual(before);
      } else {
        const version = cell.outcome === 'fresh' ? NEW : OLD;
        expect(ran.status, ran.output).toBe(2);
        expect(ran.output).toContain('Applied catalog');
        expect(seen(host)).toMatchObject(expectedOf(version));
      }
      const noAnswer = cell.fault === 'refused' || cell.fault === 'tls-error';
      expect(server.requests.filter(({ method }) => method === 'GET').length).toBe(noAnswer ? 0 : 1);
    });

    it('an environment that the server does not have: fails', async () => {
      const before = await prepare('young copy');
      await server.setMode('unknown-environment');
      const ran = await agent(CERTNAME);
      cataloguesFailed(ran);
      expect(ran.output).toContain("Could not find a directory environment named 'nosuchenvironment'");
      expect(seen(host)).toEqual(before);
    }, 60_000);

    it('a client certificate that the server does not take: fails', async () => {
      await prepare('no copy');
      const { url, token, caFile } = server;
      puppet.configure({ url, token, caFile, timeout: TIMEOUT, maxAge: MAX_AGE });
      cataloguesFailed(await agent(CERTNAME));
    }, 60_000);

    it('the compile fails when Hiera does not have Corral', async () => {
      const hiera = join(puppet.folder, 'code/environments/production/hiera.yaml');
      const good = readFileSync(hiera, 'utf8');
      const { url, token, caFile, clientCertFile: certFile, clientKeyFile: keyFile } = server;
      puppet.configure({ url, token, caFile, certFile, keyFile, timeout: TIMEOUT, maxAge: MAX_AGE });
      const before = await prepare('no copy');
      try {
        writeFileSync(hiera, 'version: 5\nhierarchy: []\n');
        const ran = await agent(CERTNAME);
        cataloguesFailed(ran);
        expect(ran.output).toMatch(/expects a value for parameter 'document'/);
        expect(seen(host)).toEqual(before);
      } finally {
        writeFileSync(hiera, good);
      }
    }, 60_000);
  });
});
