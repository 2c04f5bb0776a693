/** A real salt-master and a real minion get their states and data from Corral: `state.apply`. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FaultDocument, type FaultServer, type Mapping, startFaultServer } from './faults.ts';
import { type Host, startHost, whyNoHost, WIRE_ADDRESS } from './host.ts';
import { AWKWARD, changed, damage, failures, KEYS, nodeDocument, SECRET_UUID, stateOf, until } from './salt-documents.ts';
import { ENGINE, type SaltRig, startSalt, type StateResult, VENV, whyNoSalt } from './salt-rig.ts';

const reason = whyNoSalt() ?? whyNoHost();
if (reason !== undefined) console.warn(`SKIPPED: Salt with Corral: ${reason}`);
const MINION = 'salt1.example.net';
const TIMEOUT = 180_000;

/** What is posted to /reports/salt. */
interface Report {
  id: string;
  jid: string;
  test: boolean;
  success: boolean;
  started: string;
  finished: string;
  return: unknown;
}

describe.skipIf(reason !== undefined)('salt-master and salt-minion', () => {
  let server: FaultServer;
  let host: Host;
  let rig: SaltRig;
  let folder: string;
  // What the host was before the first run, and after it.
  let empty: string;
  let good: string;
  const run = async (...args: string[]) => (await rig.apply([MINION], ...args))[0]!;
  const asked = () => server.requests.map(({ path, status }) => `${status} ${path}`).toSorted();
  const serve = (document: FaultDocument): Mapping => {
    server.documents[MINION] = document;
    server.requests.length = 0;
    return document.pillar!['corral'] as Mapping;
  };
  const hypervisor = (corral: Mapping) => corral['hypervisor'] as Record<string, Mapping>;

  beforeAll(async () => {
    server = await startFaultServer({ documents: { [MINION]: nodeDocument(MINION) }, tls: true });
    folder = mkdtempSync(join(tmpdir(), 'corral-client-'));
    writeFileSync(join(folder, 'token'), `${server.token}\n`, { mode: 0o600 });
    // One file for all, as on a real master.
    const settings = { url: server.url, ca_file: server.caFile, token_file: join(folder, 'token'), cache_dir: join(folder, 'cache') };
    writeFileSync(join(folder, 'client.yaml'), JSON.stringify(settings));
    const config = join(folder, 'client.yaml');
    host = await startHost({ name: 'salt1', index: 60 });
    rig = await startSalt({
      minions: [{ id: host.fqdn, prefix: host.prefix }],
      pillar: { config },
      tops: { config },
      reports: { config },
      address: WIRE_ADDRESS,
    });
    empty = await stateOf(host);
    await server.reset();
  }, TIMEOUT);

  afterAll(async () => {
    await rig?.stop();
    host?.stop();
    await server?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  }, 30_000);

  test(
    'test=True says what would change, and changes nothing',
    async () => {
      const { refusal, states } = await run('test=True');
      expect({ refusal, failed: failures(states) }).toEqual({ refusal: '', failed: [] });
      const would = states.filter(({ result }) => result === null).map(({ name }) => name);
      expect(would).toEqual(expect.arrayContaining(['vm-17', 'vol-17', 'br-17-0', 'local', SECRET_UUID, 'ceph', 'ceph/client.libvirt']));
      expect(states.find(({ name }) => name === 'vm-17')!.changes['ensure']).toEqual({ old: 'absent', new: 'present' });
      expect(await stateOf(host)).toBe(empty);
    },
    TIMEOUT,
  );

  test(
    'the first run makes exactly what the document says, in its order',
    async () => {
      host.sh('ip link add br-by-hand type bridge');
      server.requests.length = 0;
      const { ok, refusal, states } = await run();
      expect({ ok, refusal, failed: failures(states) }).toEqual({ ok: true, refusal: '', failed: [] });
      good = await stateOf(host);
      expect(good).toContain('br-by-hand');
      expect(host.virsh('desc', 'vm-17', '--title').trim()).toBe(AWKWARD);
      expect(host.virsh('domstate', 'vm-17').trim()).toBe('shut off');
      expect(host.run('cat', `/etc/libvirt/secrets/${SECRET_UUID}.base64`)).toBe(KEYS.libvirt);
      expect(host.run('cat', '/etc/ceph/ceph.client.libvirt.keyring')).toContain(KEYS.file);
      expect(host.run('stat', '-c', '%a', '/etc/ceph/ceph.client.libvirt.keyring').trim()).toBe('600');
      expect(host.run('cat', '/var/lib/corral/applied.json')).toContain('"41-9f2c0a1b2c3d4e5f"');
      const kinds = states.map(({ fun }) => fun).filter((fun, index, all) => fun !== all[index - 1]);
      const made = ['ceph_config', 'ceph_keyring', 'secret', 'bridge', 'pool', 'volume', 'domain'].map((kind) => `corral.${kind}`);
      expect(kinds).toEqual(['corral.check', 'corral.domain', ...made, 'test.nop', 'corral.document']);
      expect(asked().filter((line) => line.includes('/pillar/') || line.includes('/tops/'))).toHaveLength(2);
    },
    TIMEOUT,
  );

  test(
    'the second run changes nothing, and asks twice for two answers of 304',
    async () => {
      server.requests.length = 0;
      const { ok, states } = await run();
      expect(ok).toBe(true);
      expect(changed(states)).toEqual([]);
      expect(asked().filter((line) => !line.includes('/reports/'))).toEqual([`304 /pillar/${MINION}`, `304 /tops/${MINION}`]);
      expect(await stateOf(host)).toBe(good);
      expect(rig.masterLog).toMatch(/corral pillar minion=salt1\.example\.net version=41-9f2c0a1b2c3d4e5f source=unchanged age=0s/);
      expect(rig.masterLog).toMatch(/corral tops minion=salt1\.example\.net version=41-9f2c0a1b2c3d4e5f source=unchanged age=0s/);
    },
    TIMEOUT,
  );

  test(
    'what was damaged by hand comes back with salt-call, too',
    async () => {
      await damage(host);
      const { ok, states } = await rig.callApply(MINION);
      expect({ ok, failed: failures(states) }).toEqual({ ok: true, failed: [] });
      expect(changed(states)).toEqual(['br-17-0', 'ceph', 'ceph/client.libvirt', 'vm-17', 'vol-17', '41-9f2c0a1b2c3d4e5f'].toSorted());
      expect(await stateOf(host)).toBe(good);
    },
    TIMEOUT,
  );

  test(
    'no secret is in the states, in what a run says, or in the logs',
    async () => {
      await damage(host);
      const { stdout } = await rig.run('salt', ['-c', join(rig.folder, 'master', 'etc'), '--out=json', MINION, 'state.show_lowstate']);
      expect(stdout).toContain('corral: secret');
      const { states } = await run();
      const jobs = await rig.run('salt-run', ['-c', join(rig.folder, 'master', 'etc'), '--out=json', 'jobs.list_jobs']);
      const logs = rig.masterLog + readFileSync(join(rig.folder, MINION, 'log'), 'utf8');
      const cached = host.run('sh', '-c', `cat $(find ${rig.folder}/master/cache/jobs -type f) | strings`);
      const all = [stdout, JSON.stringify(states), jobs.stdout, logs, cached, JSON.stringify(server.reports)].join('\n');
      for (const key of Object.values(KEYS)) expect(all).not.toContain(key.slice(0, -2));
    },
    TIMEOUT,
  );

  test(
    'each run is told to Corral, those that did not compile among them',
    async () => {
      await server.reset();
      await run('test=True');
      await run();
      await rig.callApply(MINION);
      await run('corral.nonsense');
      await until(() => server.reports.length >= 4);
      const told = server.reports.map(({ path, body }) => ({ path, report: JSON.parse(body) as Report }));
      expect(told.map(({ path, report }) => [path, report.id, report.test, report.success])).toEqual([
        ['/reports/salt', MINION, true, true],
        ['/reports/salt', MINION, false, true],
        ['/reports/salt', MINION, false, true],
        ['/reports/salt', MINION, false, false],
      ]);
      expect(new Set(told.map(({ report }) => report.jid)).size).toBe(4);
      const key = 'corral_|-corral: document_|-41-9f2c0a1b2c3d4e5f_|-document';
      expect((told[1]!.report.return as Record<string, unknown>)[key]).toMatchObject({ result: true, name: '41-9f2c0a1b2c3d4e5f' });
      expect(told[3]!.report.return).toEqual([expect.stringContaining('corral.nonsense')]);
      for (const { report } of told) {
        expect(Date.parse(report.finished) - Date.parse(report.started)).toBeGreaterThanOrEqual(0);
        expect(Date.now() - Date.parse(report.started)).toBeLessThan(120_000);
      }
    },
    TIMEOUT,
  );

  test(
    'while Corral is away reports wait, and come in their order when it is back',
    async () => {
      await server.reset();
      await server.setMode('refused');
      expect((await run()).ok).toBe(true);
      expect((await run('test=True')).ok).toBe(true);
      await until(() => readdirSync(join(folder, 'cache', 'reports')).length === 2);
      await server.setMode('good');
      await until(() => server.reports.length >= 2, 90);
      expect(server.reports.map(({ body }) => (JSON.parse(body) as Report).test)).toEqual([false, true]);
      expect(readdirSync(join(folder, 'cache', 'reports'))).toEqual([]);
    },
    TIMEOUT,
  );

  test(
    'a changed document changes what it names and no more',
    async () => {
      const { domains, volumes } = hypervisor(serve(nodeDocument(MINION, '42-00000000000000aa', 'new')));
      domains!['vm-18'] = { ensure: 'absent', uuid: (domains!['vm-18'] as Mapping)['uuid']! };
      // Absence is not an instruction: it is neither touched nor removed.
      delete volumes!['vol-18'];
      const { ok, states } = await run();
      expect({ ok, failed: failures(states) }).toEqual({ ok: true, failed: [] });
      expect(changed(states)).toEqual(['42-00000000000000aa', 'vm-17', 'vm-18']);
      expect(states.find(({ name }) => name === 'vm-17')!.changes['title']).toMatchObject({ new: 'new' });
      expect(host.virsh('list', '--all', '--name').trim()).toBe('vm-17');
      expect(host.virsh('vol-list', 'local')).toContain('vol-18');
    },
    TIMEOUT,
  );

  test(
    'a volume goes after its domain, and with a tombstone only',
    async () => {
      const { volumes, domains } = hypervisor(serve(nodeDocument(MINION, '43-00000000000000ab', 'new')));
      domains!['vm-18'] = { ensure: 'absent', uuid: (domains!['vm-18'] as Mapping)['uuid']! };
      volumes!['vol-18'] = { ensure: 'absent', pool: 'local' };
      const { ok, states } = await run();
      expect({ ok, failed: failures(states) }).toEqual({ ok: true, failed: [] });
      expect(changed(states)).toEqual(['43-00000000000000ab', 'vol-18']);
      expect(host.virsh('vol-list', 'local')).not.toContain('vol-18');
    },
    TIMEOUT,
  );

  // Nothing at all may change for any of these.
  const BAD: [what: string, spoil: (corral: Mapping) => void, message: RegExp][] = [
    ['no ensure', (corral) => delete (hypervisor(corral)['bridges']!['br-18-0'] as Mapping)['ensure'], /bridge br-18-0.*ensure/],
    ['a wrong type', (corral) => ((hypervisor(corral)['domains'] as Mapping)['vm-18'] = 'text'), /domain vm-18/],
    ['a list of domains', (corral) => ((corral['hypervisor'] as Mapping)['domains'] = []), /corral:hypervisor:domains is no mapping/],
    ['XML that is none', (corral) => ((hypervisor(corral)['domains']!['vm-18'] as Mapping)['xml'] = '<domain'), /domain vm-18/],
    ['a role that is not known', (corral) => (corral['roles'] = ['hypervisor', 'gateway']), /does not know the role 'gateway'/],
  ];
  for (const [what, spoil, message] of BAD) {
    test(
      `${what} in a document: nothing changes`,
      async () => {
        const before = await stateOf(host);
        spoil(serve(nodeDocument(MINION, '44-00000000000000ac', 'another')));
        const { ok, refusal } = await run();
        expect(ok).toBe(false);
        expect(refusal).toMatch(message);
        expect(await stateOf(host)).toBe(before);
      },
      TIMEOUT,
    );
  }

  test(
    'half of the domains missing without tombstones: none is removed',
    async () => {
      serve(nodeDocument(MINION, '45-00000000000000bb'));
      expect((await run()).ok).toBe(true);
      const before = host.virsh('list', '--all', '--name');
      const { domains } = hypervisor(serve(nodeDocument(MINION, '46-00000000000000bc')));
      delete domains!['vm-17'];
      const { ok, states } = await run();
      expect(ok).toBe(true);
      expect(changed(states)).toEqual(['46-00000000000000bc']);
      expect(host.virsh('list', '--all', '--name')).toBe(before);
    },
    TIMEOUT,
  );

  test(
    'tops that lag behind the pillar do not leave anything out',
    async () => {
      const next = nodeDocument(MINION, '47-00000000000000bd');
      next.tops = { base: ['corral'] };
      serve(next);
      await damage(host);
      expect((await run()).ok).toBe(true);
      expect(host.virsh('list', '--all', '--name')).toContain('vm-17');
    },
    TIMEOUT,
  );

  test(
    'tops that run ahead of the pillar fail the run',
    async () => {
      const next = nodeDocument(MINION, '48-00000000000000cc');
      next.tops = { base: ['corral', 'corral.ceph.mon'] };
      serve(next);
      await damage(host);
      const before = await stateOf(host);
      const { ok, refusal } = await run();
      expect(ok).toBe(false);
      expect(refusal).toContain("the pillar has no section 'corral:ceph:mon'");
      expect(await stateOf(host)).toBe(before);
    },
    TIMEOUT,
  );

  test(
    'force=True does not get the states past a pillar that failed',
    async () => {
      const before = await stateOf(host);
      await server.setMode('410');
      const { ok, refusal } = await run('corral', 'force=True');
      await server.reset();
      expect(ok).toBe(false);
      expect(refusal).toMatch(/Corral: the pillar has errors: .*Corral answered 410/);
      expect(await stateOf(host)).toBe(before);
    },
    TIMEOUT,
  );

  test(
    'people can ask what is there, what differs and what was applied',
    async () => {
      serve(nodeDocument(MINION, '49-00000000000000cd'));
      expect((await run()).ok).toBe(true);
      const ask = async (...words: string[]): Promise<unknown> => {
        const { stdout } = await rig.run('salt', ['-c', join(rig.folder, 'master', 'etc'), '--static', '--out=json', MINION, ...words]);
        return (JSON.parse(stdout) as Record<string, unknown>)[MINION];
      };
      await damage(host);
      const one = (await ask('state.sls_id', 'corral: bridge br-17-0', 'corral.hypervisor')) as Record<string, StateResult>;
      expect(changed(Object.values(one))).toEqual(['br-17-0']);
      expect((await run()).ok).toBe(true);
      await ask('saltutil.refresh_pillar', 'wait=True');
      expect(await ask('corral.apply', 'bridge', 'br-17-0')).toMatch(/things are applied by states/);
      expect(await ask('corral.list', 'domain')).toMatchObject({ 'vm-17': { managed: true, state: 'stopped' } });
      expect(await ask('corral.compare', 'bridge')).toMatchObject({ 'br-17-0': { present: true, wanted: true, differences: [] } });
      expect(await ask('corral.check')).toEqual([]);
      expect(await ask('corral.status')).toMatchObject({ applied: { document: '49-00000000000000cd', node: MINION } });
      expect(await ask('corral.document')).toMatchObject({ document: '49-00000000000000cd', roles: ['hypervisor'] });
      await rig.run('salt', ['-c', join(rig.folder, 'master', 'etc'), MINION, 'saltutil.refresh_grains']);
      await until(async () => JSON.stringify(await ask('grains.item', 'corral')).includes('49-00000000000000cd'));
    },
    TIMEOUT,
  );

  test(
    'a minion without a master asks and tells Corral by itself',
    async () => {
      const id = 'alone.example.net';
      const document = nodeDocument(id);
      const corral = document.pillar!['corral'] as Mapping;
      corral['hypervisor'] = { domains: {} };
      corral['ceph'] = {};
      server.documents[id] = document;
      server.reports.length = 0;
      const folderOfIt = join(rig.folder, 'alone');
      const settings = { url: server.url, ca_file: server.caFile!, token_file: join(folder, 'token'), cache_dir: join(folderOfIt, 'cache') };
      const config = { id, root_dir: folderOfIt, file_client: 'local', file_roots: { base: [rig.stateTree] } };
      const managed = { corral_host_command: ENGINE, corral_manage_packages: false, corral_manage_services: false };
      mkdirSync(folderOfIt);
      writeFileSync(join(folderOfIt, 'minion'), JSON.stringify({ ...config, ...managed, corral: settings, ext_pillar: [{ corral: {} }], return: 'corral' }));
      const call = `mount -t tmpfs tmpfs /var/lib/corral && ${VENV}/bin/salt-call -c ${folderOfIt} --retcode-passthrough -l error state.apply corral sync_mods=all`;
      const env = { ...process.env, PYTHONPATH: join(rig.folder, 'extension') };
      const once = () => promisify(execFile)('unshare', ['--mount', 'sh', '-c', call], { env });
      expect((await once()).stdout).toContain('41-9f2c0a1b2c3d4e5f');
      expect(server.reports.map(({ body }) => (JSON.parse(body) as Report).id)).toEqual([id]);
      // While Corral is away a copy stands in, and the report waits for the next run.
      await server.setMode('refused');
      await once();
      await server.setMode('good');
      await once();
      expect(server.reports).toHaveLength(3);
    },
    TIMEOUT,
  );

  test(
    'without any pillar the states fail rather than do nothing',
    async () => {
      const settings = { id: MINION, root_dir: join(rig.folder, 'none'), file_client: 'local', file_roots: { base: [rig.stateTree] } };
      writeFileSync(join(rig.folder, MINION, 'etc', 'minion'), JSON.stringify(settings));
      const { status, stdout } = await rig.call(MINION, ['state.apply', 'corral', 'sync_mods=all']);
      expect(status).not.toBe(0);
      expect(stdout).toContain("the pillar has no 'corral'");
    },
    TIMEOUT,
  );
});
