/** A real salt-master and a real minion get their states and data from Corral: `state.apply`. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
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

  test('test=True says what would change, and writes nothing', async () => {
    const { refusal, states } = await run('test=True');
    expect(refusal).toBe('');
    expect(states.map(({ result }) => result)).toContain(null);
    expect(filesOf(rig.target(MINION))).toEqual({});
  }, TIMEOUT);

  test('the first run writes exactly what the document says', async () => {
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
  }, TIMEOUT);

  test('the second run changes nothing, and asks twice for two answers of 304', async () => {
    server.requests.length = 0;
    const { ok, states } = await run();
    expect(ok).toBe(true);
    expect(states.filter(({ changes }) => Object.keys(changes).length > 0)).toEqual([]);
    expect(asked()).toEqual([`304 /pillar/${MINION}`, `304 /tops/${MINION}`]);
    expect(rig.masterLog).toMatch(/corral pillar minion=hv1\.example\.net version=41-9f2c0a1b2c3d4e5f source=unchanged age=0s/);
    expect(rig.masterLog).toMatch(/corral tops minion=hv1\.example\.net version=41-9f2c0a1b2c3d4e5f source=unchanged age=0s/);
  }, TIMEOUT);

  test('a changed document changes what it names and no more', async () => {
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
  }, TIMEOUT);

  test('tops that lag behind the pillar do not leave anything out', async () => {
    const next = nodeDocument(MINION, '43-00000000000000bb');
    next.tops = { base: ['corral'] };
    server.documents[MINION] = next;
    rmSync(rig.target(MINION), { recursive: true });
    expect((await run()).ok).toBe(true);
    expect(filesOf(rig.target(MINION))).toEqual(filesFor(next.pillar!));
  }, TIMEOUT);

  test('tops that run ahead of the pillar fail the run', async () => {
    const next = nodeDocument(MINION, '44-00000000000000cc');
    next.tops = { base: ['corral', 'corral.ceph.mon'] };
    server.documents[MINION] = next;
    rmSync(rig.target(MINION), { recursive: true });
    const { ok, refusal } = await run();
    expect(ok).toBe(false);
    expect(refusal).toContain("the pillar has no section 'corral:ceph:mon'");
    expect(filesOf(rig.target(MINION))).toEqual({});
  }, TIMEOUT);

  test('a role that the state tree does not know fails the run', async () => {
    const next = nodeDocument(MINION, '45-00000000000000dd');
    (next.pillar!['corral'] as Mapping)['roles'] = ['hypervisor', 'ceph_osd', 'gateway'];
    server.documents[MINION] = next;
    const { ok, refusal } = await run();
    expect(ok).toBe(false);
    expect(refusal).toContain("does not know the role 'gateway'");
  }, TIMEOUT);

  test('force=True does not get the states past a pillar that failed', async () => {
    await server.setMode('410');
    rmSync(rig.target(MINION), { recursive: true, force: true });
    const { ok, refusal } = await run('corral', 'force=True');
    await server.reset();
    expect(ok).toBe(false);
    expect(refusal).toMatch(/Corral: the pillar has errors: .*Corral answered 410/);
    expect(filesOf(rig.target(MINION))).toEqual({});
  }, TIMEOUT);

  test('without any pillar the states fail rather than do nothing', async () => {
    const roots = JSON.stringify({ base: [rig.stateTree] });
    writeFileSync(join(rig.folder, MINION, 'etc', 'minion'), JSON.stringify({ id: MINION, root_dir: join(rig.folder, 'alone'), file_client: 'local', file_roots: JSON.parse(roots) }));
    const { status, stdout } = await rig.call(MINION, 'state.apply', 'corral', 'sync_mods=all');
    expect(status).not.toBe(0);
    expect(stdout).toContain("the pillar has no 'corral'");
  }, TIMEOUT);
});

/** The same with the real API, once it is built. */
const built = existsSync(join(import.meta.dirname, '../../dist/main.js')) && existsSync(join(import.meta.dirname, 'corral.ts'));
if (!built) console.warn('SKIPPED: Salt with the real Corral: it is not built (npm run build)');

interface Corral {
  url: string;
  adminToken: string;
  nodeToken(fqdn: string): Promise<string> | string;
  stop(): Promise<void>;
}

describe.skipIf(reason !== undefined || !built)('salt-master and salt-minion with Corral itself', () => {
  let corral: Corral;
  let rig: SaltRig;
  let folder: string;
  let minion: string;
  const get = async (path: string): Promise<Response> =>
    fetch(`${corral.url}${path}`, { headers: { Authorization: `Bearer ${corral.adminToken}`, Accept: 'application/json' } });

  beforeAll(async () => {
    const name = './corral.ts';
    const { startCorral } = (await import(name)) as { startCorral(): Promise<Corral> };
    corral = await startCorral();
    folder = mkdtempSync(join(tmpdir(), 'corral-client-'));
    writeFileSync(join(folder, 'token'), corral.adminToken, { mode: 0o600 });
    minion = await saltNode(get);
    const settings = { url: corral.url, token_file: join(folder, 'token'), cache_dir: join(folder, 'cache') };
    rig = await startSalt({ minions: [minion], pillar: settings, tops: settings });
  }, TIMEOUT);

  afterAll(async () => {
    await rig?.stop();
    await corral?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  }, 30_000);

  test('state.apply writes the node of the demonstration fleet, and then has nothing to do', async () => {
    const pillar = (await (await get(`/pillar/${minion}`)).json()) as Mapping;
    const [first] = await rig.apply([minion]);
    expect(first).toMatchObject({ ok: true, refusal: '' });
    expect(filesOf(rig.target(minion))).toEqual(filesFor(pillar));
    const [second] = await rig.apply([minion]);
    expect(second!.ok).toBe(true);
    expect(second!.states.filter(({ changes }) => Object.keys(changes).length > 0)).toEqual([]);
    expect(rig.masterLog).toMatch(/corral pillar minion=\S+ version=\S+ source=unchanged/);
  }, TIMEOUT);
});

/** The node with the most to say: a hypervisor that Salt manages, if the fleet has one. */
async function saltNode(get: (path: string) => Promise<Response>): Promise<string> {
  const lines = (await (await get('/documents')).text()).split('\n').filter((line) => line !== '');
  const documents = lines.map((line) => JSON.parse(line) as { node: string; manager?: string });
  const salted = documents.filter(({ manager }) => manager === 'salt');
  const longest = (salted.length > 0 ? salted : documents).toSorted((a, b) => JSON.stringify(b).length - JSON.stringify(a).length);
  if (longest[0] === undefined) throw new Error('the demonstration fleet has no node');
  return longest[0].node;
}
