/** A real salt-master and a real minion get their states and data from Corral: `state.apply`. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningCorral, startCorral } from './corral.ts';
import { type FaultServer, type Mapping, startFaultServer } from './faults.ts';
import { AWKWARD_XML, filesFor, filesOf, modesOf, nodeDocument, type SaltRig, startSalt, whyNoSalt } from './salt-rig.ts';

const reason = whyNoSalt();
if (reason !== undefined) console.warn(`SKIPPED: Salt with Corral: ${reason}`);
const MINION = 'hv1.example.net';
const TIMEOUT = 180_000;

describe.skipIf(reason !== undefined)('salt-master and salt-minion', () => {
  let server: FaultServer;
  let rig: SaltRig;
  let folder: string;
  const run = async (...args: string[]) => (await rig.apply([MINION], ...args))[0]!;
  const asked = () => server.requests.map(({ path, status }) => `${status} ${path}`).toSorted();

  beforeAll(async () => {
    server = await startFaultServer({ documents: { [MINION]: nodeDocument(MINION) }, tls: true });
    folder = mkdtempSync(join(tmpdir(), 'corral-client-'));
    writeFileSync(join(folder, 'token'), `${server.token}\n`, { mode: 0o600 });
    // One file for both, as on a real master.
    const settings = { url: server.url, ca_file: server.caFile, token_file: join(folder, 'token'), cache_dir: join(folder, 'cache') };
    writeFileSync(join(folder, 'client.yaml'), JSON.stringify(settings));
    const config = join(folder, 'client.yaml');
    rig = await startSalt({ minions: [MINION], pillar: { config }, tops: { config } });
    server.requests.length = 0;
  }, TIMEOUT);

  afterAll(async () => {
    await rig?.stop();
    await server?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  }, 30_000);

  test(
    'test=True says what would change, and writes nothing',
    async () => {
      const { refusal, states } = await run('test=True');
      expect(refusal).toBe('');
      expect(states.map(({ result }) => result)).toContain(null);
      expect(filesOf(rig.target(MINION))).toEqual({});
    },
    TIMEOUT,
  );

  test(
    'the first run writes exactly what the document says',
    async () => {
      mkdirSync(join(rig.target(MINION), 'domains'), { recursive: true });
      writeFileSync(join(rig.target(MINION), 'domains', 'vm-19.xml'), 'of a domain that the document says is absent');
      writeFileSync(join(rig.target(MINION), 'domains', 'by-hand.xml'), 'of nobody');
      server.requests.length = 0;
      const { ok, refusal, states } = await run();
      expect({ ok, refusal }).toEqual({ ok: true, refusal: '' });
      const expected = filesFor(server.documents[MINION]!.pillar!);
      expect(filesOf(rig.target(MINION))).toEqual({ ...expected, 'domains/by-hand.xml': 'of nobody' });
      expect(expected['domains/vm-17.xml']).toBe(AWKWARD_XML);
      expect(states.at(-1)!.id).toBe('corral: document');
      expect(JSON.stringify(states)).not.toContain('AQBsecret');
      expect(asked()).toHaveLength(2);
      rmSync(join(rig.target(MINION), 'domains', 'by-hand.xml'));
      expect(modesOf(rig.target(MINION))).toEqual(['600']);
    },
    TIMEOUT,
  );

  test(
    'the second run changes nothing, and asks twice for two answers of 304',
    async () => {
      server.requests.length = 0;
      const { ok, states } = await run();
      expect(ok).toBe(true);
      expect(states.filter(({ changes }) => Object.keys(changes).length > 0)).toEqual([]);
      expect(asked()).toEqual([`304 /pillar/${MINION}`, `304 /tops/${MINION}`]);
      expect(rig.masterLog).toMatch(/corral pillar minion=hv1\.example\.net version=41-9f2c0a1b2c3d4e5f source=unchanged age=0s/);
      expect(rig.masterLog).toMatch(/corral tops minion=hv1\.example\.net version=41-9f2c0a1b2c3d4e5f source=unchanged age=0s/);
    },
    TIMEOUT,
  );

  test(
    'a changed document changes what it names and no more',
    async () => {
      const next = nodeDocument(MINION, '42-00000000000000aa', '<domain>new</domain>');
      const { domains } = (next.pillar!['corral'] as { hypervisor: { domains: Mapping } }).hypervisor;
      domains['vm-18'] = { ensure: 'absent' };
      server.documents[MINION] = next;
      server.requests.length = 0;
      const { ok, states } = await run();
      expect(ok).toBe(true);
      const changed = states.filter(({ changes }) => Object.keys(changes).length > 0).map(({ id }) => id);
      expect(changed.toSorted()).toEqual(['corral: document', 'corral: domain vm-17', 'corral: domain vm-18']);
      expect(filesOf(rig.target(MINION))).toEqual(filesFor(next.pillar!));
      expect(asked()).toContain(`200 /pillar/${MINION}`);
    },
    TIMEOUT,
  );

  test(
    'tops that lag behind the pillar do not leave anything out',
    async () => {
      const next = nodeDocument(MINION, '43-00000000000000bb');
      next.tops = { base: ['corral'] };
      server.documents[MINION] = next;
      rmSync(rig.target(MINION), { recursive: true });
      expect((await run()).ok).toBe(true);
      expect(filesOf(rig.target(MINION))).toEqual(filesFor(next.pillar!));
    },
    TIMEOUT,
  );

  test(
    'tops that run ahead of the pillar fail the run',
    async () => {
      const next = nodeDocument(MINION, '44-00000000000000cc');
      next.tops = { base: ['corral', 'corral.ceph.mon'] };
      server.documents[MINION] = next;
      rmSync(rig.target(MINION), { recursive: true });
      const { ok, refusal } = await run();
      expect(ok).toBe(false);
      expect(refusal).toContain("the pillar has no section 'corral:ceph:mon'");
      expect(filesOf(rig.target(MINION))).toEqual({});
    },
    TIMEOUT,
  );

  test(
    'a role that the state tree does not know fails the run',
    async () => {
      const next = nodeDocument(MINION, '45-00000000000000dd');
      (next.pillar!['corral'] as Mapping)['roles'] = ['hypervisor', 'ceph_osd', 'gateway'];
      server.documents[MINION] = next;
      const { ok, refusal } = await run();
      expect(ok).toBe(false);
      expect(refusal).toContain("does not know the role 'gateway'");
    },
    TIMEOUT,
  );

  test(
    'force=True does not get the states past a pillar that failed',
    async () => {
      await server.setMode('410');
      rmSync(rig.target(MINION), { recursive: true, force: true });
      const { ok, refusal } = await run('corral', 'force=True');
      await server.reset();
      expect(ok).toBe(false);
      expect(refusal).toMatch(/Corral: the pillar has errors: .*Corral answered 410/);
      expect(filesOf(rig.target(MINION))).toEqual({});
    },
    TIMEOUT,
  );

  test(
    'without any pillar the states fail rather than do nothing',
    async () => {
      const roots = JSON.stringify({ base: [rig.stateTree] });
      writeFileSync(
        join(rig.folder, MINION, 'etc', 'minion'),
        JSON.stringify({ id: MINION, root_dir: join(rig.folder, 'alone'), file_client: 'local', file_roots: JSON.parse(roots) }),
      );
      const { status, stdout } = await rig.call(MINION, 'state.apply', 'corral', 'sync_mods=all');
      expect(status).not.toBe(0);
      expect(stdout).toContain("the pillar has no 'corral'");
    },
    TIMEOUT,
  );
});

/** The same with the real API, once it is built. */
const built = existsSync(join(import.meta.dirname, '../../dist/main.js'));
if (!built) console.warn('SKIPPED: Salt with the real Corral: it is not built (npm run build)');

describe.skipIf(reason !== undefined || !built)('salt-master and salt-minion with Corral itself', () => {
  let corral: RunningCorral;
  let rig: SaltRig;
  let folder: string;
  const run = async () => (await rig.apply([MINION]))[0]!;
  const changed = ({ states }: { states: { id: string; changes: object }[] }) =>
    states.filter(({ changes }) => Object.keys(changes).length > 0).map(({ id }) => id);
  const pillar = async (): Promise<Mapping> => {
    const headers = { Authorization: `Bearer ${corral.adminToken}`, Accept: 'application/json' };
    return (await (await fetch(`${corral.url}/pillar/${MINION}`, { headers })).json()) as Mapping;
  };

  beforeAll(async () => {
    corral = await startCorral();
    await makeFleet(corral);
    folder = mkdtempSync(join(tmpdir(), 'corral-client-'));
    writeFileSync(join(folder, 'token'), corral.adminToken, { mode: 0o600 });
    const settings = { url: corral.url, token_file: join(folder, 'token'), cache_dir: join(folder, 'cache') };
    rig = await startSalt({ minions: [MINION], pillar: settings, tops: settings });
  }, TIMEOUT);

  afterAll(async () => {
    await rig?.stop();
    await corral?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  }, 30_000);

  test(
    'state.apply writes the modelled node byte for byte',
    async () => {
      expect(await run()).toMatchObject({ ok: true, refusal: '' });
      const expected = filesFor(await pillar());
      expect(Object.keys(expected).toSorted()).toEqual(['ceph-osd.json', 'document.json', 'domains/vm-1.xml', 'domains/vm-2.xml']);
      expect(expected['domains/vm-1.xml']).toContain('{{ 7 * 7 }}');
      expect(filesOf(rig.target(MINION))).toEqual(expected);
    },
    TIMEOUT,
  );

  test(
    'the second run changes nothing, on two answers of 304',
    async () => {
      const before = rig.masterLog.length;
      const second = await run();
      expect(second.ok).toBe(true);
      expect(changed(second)).toEqual([]);
      const lines = rig.masterLog.slice(before).match(/corral (pillar|tops) minion=.*/g)!;
      const { document } = (await pillar())['corral'] as { document: string };
      expect(lines).toEqual(['pillar', 'tops'].map((kind) => `corral ${kind} minion=${MINION} version=${document} source=unchanged age=0s`));
    },
    TIMEOUT,
  );

  test(
    'a VM that is deleted loses its file, and nothing else changes',
    async () => {
      await corral.call('DELETE', '/api/v1/vms/2');
      const after = await run();
      expect(after).toMatchObject({ ok: true, refusal: '' });
      expect(changed(after).toSorted()).toEqual(['corral: document', 'corral: domain vm-2']);
      expect(filesOf(rig.target(MINION))).toEqual(filesFor(await pillar()));
    },
    TIMEOUT,
  );

  test(
    "another node's token fails the run, though there is a copy",
    async () => {
      await corral.call('POST', '/api/v1/nodes', {
        fqdn: 'hv2.example.net',
        site: 'fra1',
        manager: 'salt',
        roles: { hypervisor: { methods: ['QEMU'], cores: 4, ram: 2 ** 32 } },
      });
      writeFileSync(join(folder, 'token'), await corral.nodeToken('hv2.example.net'));
      const { ok, refusal } = await run();
      expect(ok).toBe(false);
      expect(refusal).toMatch(/Failed to load ext_pillar corral: Corral answered 403 for hv1/);
      writeFileSync(join(folder, 'token'), await corral.nodeToken(MINION));
      expect(await run()).toMatchObject({ ok: true, refusal: '' });
    },
    TIMEOUT,
  );

  test(
    'a node that is deactivated fails the run, though there is a copy',
    async () => {
      await corral.call('PATCH', `/api/v1/nodes/${MINION}`, { state: 'deactivated' });
      const { ok, refusal } = await run();
      expect(ok).toBe(false);
      expect(refusal).toMatch(/Failed to load ext_pillar corral: Corral answered 410 for hv1/);
    },
    TIMEOUT,
  );
});

/** A hypervisor with two VMs that is a Ceph OSD node as well, and what they need. */
async function makeFleet(corral: RunningCorral): Promise<void> {
  const make = (plural: string, body: object) => corral.call('POST', `/api/v1/${plural}`, body);
  await make('sites', { name: 'fra1' });
  await make('ceph-clusters', { name: 'ceph', public_network: '10.0.0.0/24' });
  const roles = { hypervisor: { methods: ['QEMU'], cores: 16, ram: 2 ** 36 }, ceph_osd: { ceph_cluster: 'ceph' } };
  await make('nodes', { fqdn: MINION, site: 'fra1', manager: 'salt', roles });
  await make('ceph-osds', { ceph_osd_node: MINION, data_device: '/dev/sdb' });
  await make('storage-pools', { name: 'local', kind: 'dir', is_default: true });
  await make('pool-attachments', { hypervisor: MINION, storage_pool: 'local' });
  await make('networks', { name: 'public', is_default: true });
  await make('subnets', { network: 'public', cidr: '203.0.113.0/24', gateway: '203.0.113.1' });
  await make('subnets', { network: 'public', cidr: '2001:db8::/64', gateway: '2001:db8::1' });
  await make('vms', { name: '{{ 7 * 7 }} %{x} \'q\' "d" \u0085 \u2028 \u{1F410}', cores: 1, ram: 2 ** 30, method: 'QEMU' });
  await make('vms', { name: 'second', cores: 1, ram: 2 ** 30, method: 'QEMU' });
}
