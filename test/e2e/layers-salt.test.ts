/** Layers through a real salt-master and a real minion. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startCorral, type RunningCorral } from './corral.ts';
import { explained, keys, makeLayers, PASSWORD, strategies } from './layers.ts';
import { startSalt, whyNoSalt, type SaltRig, type StateResult } from './salt-rig.ts';

const built = existsSync(join(import.meta.dirname, '../../dist/main.js'));
const reason = whyNoSalt() ?? (built ? undefined : 'Corral is not built (npm run build)');
if (reason) console.warn(`layers-salt: skipped: ${reason}`);

const MINION = 'layers.example.net';
const OTHER = 'another.example.net';
const TIMEOUT = 120_000;

/* Salt has no Sensitive: a state that writes a secret says itself that its changes are not shown. */
const STATE = `{%- set given = pillar['corral']['classes']['profile::layered'] %}
layered:
  file.managed:
    - name: {{ given['file'] }}
    - contents: {{ {'greeting': given['greeting'], 'first': pillar['layers::first'], 'tier': pillar['corral']['parameters']['tier']} | json | json }}
layered secret:
  file.managed:
    - name: {{ given['file'] }}.secret
    - mode: '0600'
    - contents: {{ pillar['profile::layered::password'] | json }}
    - show_changes: False
`;

describe.skipIf(reason)('layers with salt-master and minion', () => {
  let corral: RunningCorral;
  let rig: SaltRig;
  let folder: string;
  let file: string;
  let said = '';

  beforeAll(async () => {
    corral = await startCorral({ CORRAL_LOG_LEVEL: 'debug' });
    for (const stream of [corral.process.stdout!, corral.process.stderr!]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
    folder = mkdtempSync(join(tmpdir(), 'corral-layers-'));
    file = join(folder, 'layered.json');
    await makeLayers(corral, MINION, 'salt', {
      classes: { 'profile::layered': { file, greeting: 'hello' } },
      parameters: { tier: 'gold' },
      data: { 'layers::operator': '%{facts.kernel}', nested: { key: { below: 7 } } },
      merge: strategies,
    });
    writeFileSync(join(folder, 'token'), corral.adminToken, { mode: 0o600 });
    const settings = { url: corral.url, token_file: join(folder, 'token'), cache_dir: join(folder, 'cache') };
    rig = await startSalt({ minions: [MINION, OTHER], pillar: settings, tops: settings });
    const states = join(rig.folder, 'own/profile');
    mkdirSync(states);
    writeFileSync(join(states, 'layered.sls'), STATE);
  }, 240_000);

  afterAll(async () => {
    await rig?.stop();
    await corral?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  }, 30_000);

  const call = async (minion: string, ...args: string[]): Promise<unknown> => {
    const { status, stdout, stderr } = await rig.call(minion, ['--out=json', ...args]);
    if (status !== 0) throw new Error(`${args.join(' ')}: ${stdout}${stderr}`);
    return (JSON.parse(stdout) as { local: unknown }).local;
  };

  test(
    'keys are in the pillar as Corral explains them',
    async () => {
      const pillar = (await call(MINION, 'pillar.items')) as Record<string, unknown>;
      for (const key of keys) expect([key, pillar[key]]).toEqual([key, (await explained(corral, MINION, key)).value]);
      expect(pillar['layers::operator']).toBe('%{facts.kernel}');
      expect(await call(MINION, 'pillar.get', 'nested:key:below')).toBe(7);
      expect(pillar['profile::layered::password']).toBe(PASSWORD);
      expect(pillar['corral']).toMatchObject({ classes: { 'profile::layered': { greeting: 'hello' } }, parameters: { tier: 'gold' } });
      const text = corral.command('explain', MINION, 'nested.key.below');
      expect(text).toContain('Data (pillar nested)');
      expect(text).toContain('Found key: "nested.key.below" value: 7');
    },
    TIMEOUT,
  );

  test(
    'the tops name the state of a class, and it is applied',
    async () => {
      expect(await call(MINION, 'state.show_top')).toEqual({ base: ['corral', 'corral.hypervisor', 'profile.layered'] });
      /* Corral's own states are for other tests, and need a host. */
      const ran = (await call(
        MINION,
        'state.highstate',
        "exclude=[{'sls': 'corral'}, {'sls': 'corral.prepare'}, {'sls': 'corral.hypervisor'}]",
        'queue=True',
      )) as Record<string, StateResult>;
      const ours = Object.values(ran).filter(({ name }) => name.startsWith(file));
      expect(ours.map(({ name, result }) => [name, result])).toEqual([
        [file, true],
        [`${file}.secret`, true],
      ]);
      expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ greeting: 'hello', first: 'own', tier: 'gold' });
      expect(readFileSync(`${file}.secret`, 'utf8').trimEnd()).toBe(PASSWORD);
      expect(JSON.stringify(ran)).not.toContain('correct horse');
    },
    TIMEOUT,
  );

  test(
    'a secret reaches its node alone, and no log',
    async () => {
      const pillar = (await call(OTHER, 'pillar.items')) as Record<string, unknown>;
      expect(pillar['layers::first']).toBe('fra1');
      expect(Object.keys(pillar)).not.toContain('profile::layered::password');
      expect(said).toContain(`/pillar/${MINION}`);
      const minion = readFileSync(join(rig.folder, MINION, 'log'), 'utf8');
      for (const [where, text] of Object.entries({ corral: said, master: rig.masterLog, minion }))
        expect([where, text.includes('correct horse')]).toEqual([where, false]);
    },
    TIMEOUT,
  );
});
