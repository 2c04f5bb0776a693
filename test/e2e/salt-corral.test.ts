/** A real salt-master and a real minion with the real API, once that is built. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RunningCorral, startCorral } from './corral.ts';
import { type Host, startHost, whyNoHost, WIRE_ADDRESS } from './host.ts';
import { changed, failures, until } from './salt-documents.ts';
import { type SaltRig, startSalt, whyNoSalt } from './salt-rig.ts';

const reason = whyNoSalt() ?? whyNoHost();
const MINION = 'salt2.example.net';
const TIMEOUT = 180_000;
const built = existsSync(join(import.meta.dirname, '../../dist/main.js'));
if (!built) console.warn('SKIPPED: Salt with the real Corral: it is not built (npm run build)');

describe.skipIf(reason !== undefined || !built)('salt-master and salt-minion with Corral itself', () => {
  let corral: RunningCorral;
  let host: Host;
  let rig: SaltRig;
  let folder: string;
  const run = async () => (await rig.apply([MINION]))[0]!;
  const version = async (): Promise<string> => {
    const headers = { Authorization: `Bearer ${corral.adminToken}`, Accept: 'application/json' };
    const pillar = (await (await fetch(`${corral.url}/pillar/${MINION}`, { headers })).json()) as { corral: { document: string } };
    return pillar.corral.document;
  };

  const known = async () => (await corral.call('GET', `/api/v1/nodes/${MINION}`)) as { status: string; document: { applied: string | null } };

  beforeAll(async () => {
    corral = await startCorral();
    await makeFleet(corral);
    folder = mkdtempSync(join(tmpdir(), 'corral-client-'));
    writeFileSync(join(folder, 'token'), corral.adminToken, { mode: 0o600 });
    const settings = { url: corral.url, token_file: join(folder, 'token'), cache_dir: join(folder, 'cache') };
    // A master's own token: it reads all documents and reports for all nodes, and may do nothing else.
    const { token } = await corral.call('POST', '/api/v1/tokens', { name: 'salt-master', kind: 'server' });
    writeFileSync(join(folder, 'server-token'), String(token), { mode: 0o600 });
    const reports = { ...settings, token_file: join(folder, 'server-token') };
    host = await startHost({ name: 'salt2', index: 59 });
    rig = await startSalt({ minions: [{ id: host.fqdn, prefix: host.prefix }], pillar: settings, tops: settings, reports, address: WIRE_ADDRESS });
  }, TIMEOUT);

  afterAll(async () => {
    await rig?.stop();
    host?.stop();
    await corral?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  }, 30_000);

  test(
    'state.apply makes the modelled node',
    async () => {
      const { ok, refusal, states } = await run();
      expect({ ok, refusal, failed: failures(states) }).toEqual({ ok: true, refusal: '', failed: [] });
      expect(changed(states)).toEqual(expect.arrayContaining(['local', 'vm-1', 'vm-2', await version()]));
      expect(host.virsh('desc', 'vm-1', '--title').trim()).toContain('{{ 7 * 7 }}');
      await until(async () => (await known()).status === 'changed');
      expect((await known()).document.applied).toBe(await version());
    },
    TIMEOUT,
  );

  test(
    'the second run changes nothing, on two answers of 304',
    async () => {
      const before = rig.masterLog.length;
      const { ok, states } = await run();
      expect(ok).toBe(true);
      expect(changed(states)).toEqual([]);
      await until(async () => (await known()).status === 'converged');
      const lines = rig.masterLog.slice(before).match(/corral (pillar|tops) minion=.*/g)!;
      const served = await version();
      expect(lines).toEqual(['pillar', 'tops'].map((kind) => `corral ${kind} minion=${MINION} version=${served} source=unchanged age=0s`));
    },
    TIMEOUT,
  );

  test(
    'a VM that is deleted goes, and the other stays',
    async () => {
      await corral.call('DELETE', '/api/v1/vms/2');
      const asked = await version();
      const { ok, states } = await run();
      expect({ ok, failed: failures(states) }).toEqual({ ok: true, failed: [] });
      expect(changed(states)).toEqual(expect.arrayContaining(['vm-2', asked]));
      expect(host.virsh('list', '--all', '--name').trim()).toBe('vm-1');
      // The master told that it is gone: Corral no longer asks for that.
      await until(async () => (await version()) !== asked);
    },
    TIMEOUT,
  );

  test(
    "another node's token fails the run, though there is a copy",
    async () => {
      await corral.call('POST', '/api/v1/nodes', {
        fqdn: 'other.example.net',
        site: 'fra1',
        manager: 'salt',
        roles: { hypervisor: { methods: ['QEMU'], cores: 4, ram: 2 ** 32 } },
      });
      writeFileSync(join(folder, 'token'), await corral.nodeToken('other.example.net'));
      const { ok, refusal } = await run();
      expect(ok).toBe(false);
      expect(refusal).toMatch(/Failed to load ext_pillar corral: Corral answered 403 for salt2/);
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
      expect(refusal).toMatch(/Failed to load ext_pillar corral: Corral answered 410 for salt2/);
    },
    TIMEOUT,
  );
});

/** A hypervisor with two VMs that are off, and what they need. */
async function makeFleet(corral: RunningCorral): Promise<void> {
  const make = (plural: string, body: object) => corral.call('POST', `/api/v1/${plural}`, body);
  await make('sites', { name: 'fra1' });
  const roles = { hypervisor: { methods: ['QEMU'], cores: 16, ram: 2 ** 36 } };
  await make('nodes', { fqdn: MINION, site: 'fra1', manager: 'salt', roles });
  await make('storage-pools', { name: 'local', kind: 'dir', is_default: true });
  await make('pool-attachments', { hypervisor: MINION, storage_pool: 'local' });
  await make('networks', { name: 'public', kind: 'routed', is_default: true });
  await make('subnets', { network: 'public', cidr: '203.0.113.0/24', gateway: '203.0.113.1' });
  const vm = { cores: 1, ram: 2 ** 28, method: 'QEMU', state: 'stopped', cpu_mode: 'custom', cpu_model: 'qemu64' };
  await make('vms', { ...vm, name: '{{ 7 * 7 }} %{x} \'q\' "d" \u0085 \u2028 \u{1F410}' });
  await make('vms', { ...vm, name: 'second' });
}
