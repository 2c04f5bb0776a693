/**
 * What can go wrong between Salt and Corral, and what a run does then.
 *
 * A cell of the table is a `state.apply` by a real salt-master on a real minion, with tops and pillar
 * served by two servers, of which one has the fault. After it the minion has exactly the files of its
 * document, or none at all and a failed run that says why. There is no third outcome, and no cell
 * names one.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FaultMode, type FaultServer, startFaultServer } from './faults.ts';
import { filesFor, filesOf, nodeDocument, type SaltRig, startSalt, whyNoSalt } from './salt-rig.ts';

const reason = whyNoSalt();
if (reason !== undefined) console.warn(`SKIPPED: the failure matrix of Salt: ${reason}`);

// full: the run is good, and all the files are there.
// fails: Salt refuses the run with this message, and nothing is written.
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
const minionOf = (copy: Copy): string => `${copy}.example.net`;
const TIMEOUT = 240_000;

describe.skipIf(reason !== undefined)('a run of Salt has all of the right data, or fails', () => {
  const servers: Partial<Record<Part, FaultServer>> = {};
  const minions = COPIES.map(minionOf);
  let rig: SaltRig;
  let folder: string;

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
    rig = await startSalt({ minions, pillar: settings('pillar'), tops: settings('tops') });
    writeFileSync(join(rig.folder, 'own', 'top.sls'), "base:\n  '*':\n    - always\n");
    const always = { always: { 'file.managed': [{ name: `${rig.folder}/target/{{ grains.id }}/less.txt` }, { makedirs: true }] } };
    writeFileSync(join(rig.folder, 'own', 'always.sls'), JSON.stringify(always, null, 1));
    expect((await rig.apply(minions)).map(({ ok }) => ok)).toEqual([true, true, true]);
    cpSync(join(folder, 'cache'), join(folder, 'copies'), { recursive: true });
  }, TIMEOUT);

  afterAll(async () => {
    await rig?.stop();
    await Promise.all(Object.values(servers).map((server) => server.close()));
    if (folder !== undefined) rmSync(folder, { recursive: true });
  }, 30_000);

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
        rmSync(join(rig.folder, 'target'), { recursive: true, force: true });
        await servers[part]!.setMode(fault);
        const runs = await rig.apply(minions);
        // Once for each minion, whatever happens: a retry would make an outage worse.
        for (const server of Object.values(servers)) expect(server.requests.length).toBeLessThanOrEqual(minions.length);
        const outcomes: Record<Copy, Outcome> = { none, young, old };
        for (const [index, copy] of COPIES.entries()) {
          const { ok, refusal } = runs[index]!;
          const files = filesOf(rig.target(minionOf(copy)));
          const pillar = servers.pillar!.documents[minionOf(copy)]!.pillar!;
          if (outcomes[copy] === 'full') {
            expect({ copy, ok, refusal, files }).toEqual({ copy, ok: true, refusal: '', files: { ...filesFor(pillar), 'less.txt': '' } });
          } else {
            expect({ copy, ok, files }).toEqual({ copy, ok: false, files: {} });
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
