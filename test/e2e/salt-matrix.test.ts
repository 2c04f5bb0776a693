/**
 * What can go wrong between Salt and Corral, and what a run does then.
 *
 * A cell of the table is a `state.apply` by a real salt-master on a real minion, with tops and pillar
 * served by two servers, of which one has the fault, and on a host of its own with a real libvirtd,
 * where somebody took something of each kind away. After the run the host is exactly what its document
 * says, or exactly what it was before, with a failed run that says why. There is no third outcome, and
 * no cell names one.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FaultMode, type FaultServer, startFaultServer } from './faults.ts';
import { type Host, startHost, whyNoHost, WIRE_ADDRESS } from './host.ts';
import { damage, nodeDocument, stateOf } from './salt-documents.ts';
import { type SaltRig, startSalt, whyNoSalt } from './salt-rig.ts';

const reason = whyNoSalt() ?? whyNoHost();
if (reason !== undefined) console.warn(`SKIPPED: the failure matrix of Salt: ${reason}`);

// full: the run is good, and the host is what the document says.
// fails: Salt refuses the run with this message, and nothing on the host changes.
type Outcome = 'full' | 'fails';
type Copy = 'none' | 'young' | 'old';
type Part = 'pillar' | 'tops';

// The copy is the last good document on the master: none; younger than max_age; older than that.
// The message is what the person at `salt` reads; {copy} is why a copy did not help.
// oxfmt-ignore
const MATRIX: [fault: FaultMode, at: Part, none: Outcome, young: Outcome, old: Outcome, message: string][] = [
  // fault              at        none     young    old      message
  ['good',              'pillar', 'full',  'full',  'full',  ''],
  // Corral cannot be reached: a copy that is young enough stands in.
  ['refused',           'pillar', 'fails', 'full',  'fails', 'Connection refused{copy}'],
  ['refused',           'tops',   'fails', 'full',  'fails', 'Connection refused{copy}'],
  ['hang',              'pillar', 'fails', 'full',  'fails', 'no whole answer from .* within 5 s{copy}'],
  ['hang',              'tops',   'fails', 'full',  'fails', 'no whole answer from .* within 5 s{copy}'],
  ['drip',              'pillar', 'fails', 'full',  'fails', 'no whole answer from .* within 5 s{copy}'],
  ['drip',              'tops',   'fails', 'full',  'fails', 'no whole answer from .* within 5 s{copy}'],
  ['drip-head',         'pillar', 'fails', 'full',  'fails', 'no whole answer from .* within 5 s{copy}'],
  ['drip-head',         'tops',   'fails', 'full',  'fails', 'no whole answer from .* within 5 s{copy}'],
  ['tls-error',         'pillar', 'fails', 'full',  'fails', 'TLS error with .*certificate verify failed.*{copy}'],
  ['tls-error',         'tops',   'fails', 'full',  'fails', 'TLS error with .*certificate verify failed.*{copy}'],
  ['500',               'pillar', 'fails', 'full',  'fails', 'Corral answered 500.*{copy}'],
  ['500',               'tops',   'fails', 'full',  'fails', 'Corral answered 500.*{copy}'],
  // Corral answered, and not with this node's document: no copy stands in.
  ['401',               'pillar', 'fails', 'fails', 'fails', 'Corral answered 401 for .*unauthenticated'],
  ['401',               'tops',   'fails', 'fails', 'fails', 'Corral answered 401 for .*unauthenticated'],
  ['403',               'pillar', 'fails', 'fails', 'fails', 'Corral answered 403 for .*forbidden'],
  ['403',               'tops',   'fails', 'fails', 'fails', 'Corral answered 403 for .*forbidden'],
  ['404',               'pillar', 'fails', 'fails', 'fails', 'Corral answered 404 for .*not_found'],
  ['404',               'tops',   'fails', 'fails', 'fails', 'Corral answered 404 for .*not_found'],
  ['410',               'pillar', 'fails', 'fails', 'fails', 'Corral answered 410 for .*deactivated'],
  ['410',               'tops',   'fails', 'fails', 'fails', 'Corral answered 410 for .*deactivated'],
  ['truncated',         'pillar', 'fails', 'fails', 'fails', 'breaks off'],
  ['truncated',         'tops',   'fails', 'fails', 'fails', 'breaks off'],
  ['cut',               'pillar', 'fails', 'fails', 'fails', 'the pillar is not JSON, or not all of it'],
  ['cut',               'tops',   'fails', 'fails', 'fails', 'the tops is not JSON, or not all of it'],
  ['not-a-mapping',     'pillar', 'fails', 'fails', 'fails', 'the pillar is not a mapping'],
  ['not-a-mapping',     'tops',   'fails', 'fails', 'fails', 'the tops is not a mapping'],
  ['other-node',        'pillar', 'fails', 'fails', 'fails', 'the document is for another node'],
  ['other-node',        'tops',   'fails', 'fails', 'fails', 'the document is for another node'],
  // The environment is in the tops alone; Salt itself refuses one that it does not have.
  ['unknown-environment', 'pillar', 'full', 'full', 'full',  ''],
  ['unknown-environment', 'tops', 'fails', 'fails', 'fails', "No matching salt environment for environment 'nosuchenvironment'"],
];

// Why a copy did not help, after the message.
const COPY: Record<Copy, string> = {
  none: ', and there is no copy of an earlier document',
  young: '',
  old: ', and the copy is 9[0-9]{4} s old, older than max_age 86400 s',
};
const COPIES: Copy[] = ['none', 'young', 'old'];
const minionOf = (copy: Copy): string => `salt-${copy}.example.net`;
const TIMEOUT = 240_000;

describe.skipIf(reason !== undefined)('a run of Salt has all of the right data, or fails', () => {
  const servers: Partial<Record<Part, FaultServer>> = {};
  const minions = COPIES.map(minionOf);
  const hosts: Host[] = [];
  let rig: SaltRig;
  let folder: string;
  // The same for all hosts: nothing in it names one.
  let good: string;
  let damaged: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'corral-client-'));
    for (const part of ['pillar', 'tops'] as const) {
      const documents = Object.fromEntries(minions.map((minion) => [minion, nodeDocument(minion)]));
      // oxlint-disable-next-line no-await-in-loop -- two of them
      servers[part] = await startFaultServer({ documents, tls: { requireClientCert: true } });
    }
    writeFileSync(join(folder, 'token'), servers.tops!.token, { mode: 0o600 });
    const settings = (part: Part) => ({
      url: servers[part]!.url,
      token_file: join(folder, 'token'),
      ca_file: servers[part]!.caFile,
      cert_file: servers[part]!.clientCertFile,
      key_file: servers[part]!.clientKeyFile,
      cache_dir: join(folder, 'cache'),
    });
    // top.sls has a state for everybody: a run with less would be a run of that alone.
    for (const [index, copy] of COPIES.entries()) {
      // oxlint-disable-next-line no-await-in-loop -- three of them, and two cores
      hosts.push(await startHost({ name: `salt-${copy}`, index: 61 + index }));
    }
    rig = await startSalt({
      minions: hosts.map(({ fqdn, prefix }) => ({ id: fqdn, prefix })),
      pillar: settings('pillar'),
      tops: settings('tops'),
      address: WIRE_ADDRESS,
    });
    // top.sls has a state for everybody: a run with less would be a run of that alone.
    writeFileSync(join(rig.folder, 'own', 'top.sls'), "base:\n  '*':\n    - always\n");
    writeFileSync(join(rig.folder, 'own', 'always.sls'), JSON.stringify({ always: { 'file.managed': [{ name: '/etc/corral/less.txt' }] } }));
    const runs = await rig.apply(minions);
    expect(runs.map(({ ok, refusal, states }) => ({ ok, refusal, failed: states.filter(({ result }) => result === false) }))).toEqual(
      minions.map(() => ({ ok: true, refusal: '', failed: [] })),
    );
    [good = ''] = await same();
    expect(good).toContain('<corral:name>second</corral:name>');
    await Promise.all(hosts.map(damage));
    [damaged = ''] = await same();
    expect(damaged).not.toBe(good);
    cpSync(join(folder, 'cache'), join(folder, 'copies'), { recursive: true });
  }, TIMEOUT);

  afterAll(async () => {
    await rig?.stop();
    for (const host of hosts) host.stop();
    await Promise.all(Object.values(servers).map((server) => server.close()));
    if (folder !== undefined) rmSync(folder, { recursive: true });
  }, 30_000);

  /** What the hosts are, when that is the same for all of them. */
  async function same(): Promise<string[]> {
    const states = await Promise.all(hosts.map(stateOf));
    expect(new Set(states).size).toBe(1);
    return states;
  }

  /** Put the copies into the state that the columns of the table say. */
  function resetCopies(part: Part): void {
    rmSync(join(folder, 'cache'), { recursive: true });
    cpSync(join(folder, 'copies'), join(folder, 'cache'), { recursive: true });
    rmSync(copyOf(part, 'none'));
    age(copyOf(part, 'young'), 80_000);
    age(copyOf(part, 'old'), 90_000);
  }

  const copyOf = (part: Part, copy: Copy): string => join(folder, 'cache', part, `${minionOf(copy)}.json`);

  for (const [fault, part, none, young, old, message] of MATRIX) {
    test(
      `${fault} at ${part}: ${none} without a copy, ${young} with a young one, ${old} with an old one`,
      async () => {
        await Promise.all(Object.values(servers).map((server) => server.reset()));
        resetCopies(part);
        await Promise.all(hosts.map(damage));
        await servers[part]!.setMode(fault);
        const runs = await rig.apply(minions);
        // Once for each minion, whatever happens: a retry would make an outage worse.
        for (const server of Object.values(servers)) expect(server.requests.length).toBeLessThanOrEqual(minions.length);
        const outcomes: Record<Copy, Outcome> = { none, young, old };
        for (const [index, copy] of COPIES.entries()) {
          const { ok, refusal } = runs[index]!;
          // oxlint-disable-next-line no-await-in-loop -- a few commands
          const state = await stateOf(hosts[index]!);
          if (outcomes[copy] === 'full') {
            expect({ copy, ok, refusal, state }).toEqual({ copy, ok: true, refusal: '', state: good });
          } else {
            expect({ copy, ok, state }).toEqual({ copy, ok: false, state: damaged });
            expect(refusal).toMatch(new RegExp(message.replace('{copy}', COPY[copy])));
          }
        }
      },
      TIMEOUT,
    );
  }

  test('every fault of the server is in the table', async () => {
    const { FAULTS } = await import('./faults.ts');
    expect(new Set(MATRIX.map(([fault]) => fault))).toEqual(new Set(Object.keys(FAULTS)));
  });
});

/** Make a copy look as if Corral had confirmed it so many seconds ago. */
function age(file: string, seconds: number): void {
  const copy = JSON.parse(readFileSync(file, 'utf8')) as { confirmed: number };
  writeFileSync(file, JSON.stringify({ ...copy, confirmed: Date.now() / 1000 - seconds }));
}
