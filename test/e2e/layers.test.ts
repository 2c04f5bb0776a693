/** Layers through a real puppetserver and a real agent, beside the site's own Hiera hierarchy. */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCorral, type RunningCorral } from './corral.ts';
import { explained, keys, levels, makeLayers, NEXT_PASSWORD, PASSWORD, strategies } from './layers.ts';
import { run, type Ran } from './puppet-client.ts';
import { Puppetserver, whyNoPuppetserver } from './puppet-rig.ts';

const built = existsSync(join(import.meta.dirname, '../../dist/main.js'));
const reason = whyNoPuppetserver() ?? (built ? undefined : 'Corral is not built (npm run build)');
if (reason) console.warn(`layers: skipped: ${reason}`);

const NODE = 'layers.example.net';

/* What the class was given goes into a file of JSON, and the secret into one of its own. */
const PROFILE = `class profile::layered (String $file, Sensitive[String] $password, String $greeting = 'nobody', Integer $port = 0) {
  $found = {
    'greeting' => $greeting, 'port' => $port, 'tier' => $::tier, 'flags' => $::flags,
    'first' => lookup('layers::first'), 'unique' => lookup('layers::unique'), 'hash' => lookup('layers::hash'), 'deep' => lookup('layers::deep'),
    'operator' => lookup('layers::operator'), 'customer' => lookup('acme::note'), 'site' => lookup('layers::site'),
    'both' => lookup('both::unique'), 'mixed' => lookup('both::deep'), 'hidden' => lookup('both::first'), 'secret' => "<\${password}>",
  }
  file { $file: content => inline_template('<%= require "json"; JSON.generate(@found) %>') }
  file { "\${file}.secret": mode => '0600', content => $password }
  notify { "the password is \${password}": }
}
`;

/* The site's own level below Corral's. */
const SITE = {
  'layers::site': 'of the site',
  'both::unique': ['site', 'corral'],
  'both::deep': { site: 1, sub: { site: true } },
  'both::first': 'of the site',
};

/** The value that `puppet lookup --explain` ends with: the merged one, or the one that was found. */
function fromExplain(output: string): unknown {
  const text = output.split(/Merged result: |Found key: "[^"]*" value: /).at(-1)!;
  return JSON.parse(text.replaceAll(' => ', ': ').replaceAll(/: nil\b/g, ': null'));
}

describe.skipIf(reason)('layers with puppetserver and agent', () => {
  let corral: RunningCorral;
  let puppet: Puppetserver;
  let said = '';
  let file: string;
  const at = (...names: string[]): string => join(puppet.folder, ...names);

  beforeAll(async () => {
    [corral, puppet] = await Promise.all([startCorral({ CORRAL_LOG_LEVEL: 'debug' }), Puppetserver.start({ reports: 'log,store,corral' })]);
    for (const stream of [corral.process.stdout!, corral.process.stderr!]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const production = at('code/environments/production');
    mkdirSync(join(production, 'modules/profile/manifests'), { recursive: true });
    writeFileSync(join(production, 'modules/profile/manifests/layered.pp'), PROFILE);
    const common = join(production, 'data/common.yaml');
    writeFileSync(common, JSON.stringify({ ...(JSON.parse(readFileSync(common, 'utf8')) as object), ...SITE }));
    file = at('layered.json');
    await makeLayers(corral, NODE, 'puppet', {
      classes: { 'profile::layered': { file, greeting: 'hello', port: 1 } },
      parameters: { tier: 'gold', flags: { a: [1, null, true] } },
      data: {
        'layers::operator': "%{facts.kernel} of %{lookup('layers::first')}, %{corral_site}",
        'both::unique': ['corral'],
        'both::deep': { corral: 1, sub: { corral: [1] } },
        'both::first': 'of Corral',
      },
      merge: { ...strategies, 'both::unique': 'unique', 'both::deep': 'deep' },
    });
    await corral.call('PATCH', '/api/v1/layers/kvm', { classes: { 'profile::layered': { port: 8080 } } });
    puppet.configure({ url: corral.url, token: await corral.nodeToken(NODE) });
    puppet.chown();
  }, 330_000);

  afterAll(async () => {
    await puppet?.stop();
    await corral?.stop();
  }, 30_000);

  /** Only what layers bring: Corral's own classes are for other tests, and need a host. */
  const agent = (...more: string[]) => puppet.agent(NODE, { more: ['--tags', 'profile::layered', ...more] });
  const applied = (): Record<string, unknown> => JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  const reports = (): string => readFileSync(join(puppet.home(NODE), 'state/last_run_report.yaml'), 'utf8');

  /** `puppet lookup` on the server's machine, as its administrator would. */
  const lookup = (key: string, ...more: string[]): Promise<Ran> => {
    const facts = at('facts.json');
    writeFileSync(facts, JSON.stringify({ kernel: 'Linux', os: { family: 'Debian' } }));
    const places = { confdir: at('conf'), vardir: at('lookup'), environmentpath: at('code/environments'), facts, node: NODE };
    return run('puppet', ['lookup', ...Object.entries(places).flatMap(([name, value]) => [`--${name}`, value]), '--color=false', ...more, key]);
  };
  const found = async (key: string, ...more: string[]): Promise<unknown> => {
    const ran = await lookup(key, '--render-as', 'json', ...more);
    expect(ran.status, ran.output).toBe(0);
    return JSON.parse(ran.stdout.slice(ran.stdout.search(/^[[{"\d]|^(?:true|false|null)$/m))) as unknown;
  };

  it('applies the classes, with their parameters, variables and keys', async () => {
    const ran = await agent();
    expect([ran.status, ran.output]).toEqual([2, expect.stringContaining('Applied catalog')]);
    const explain = async (key: string): Promise<unknown> => (await explained(corral, NODE, key)).value;
    expect(applied()).toEqual({
      greeting: 'hello',
      port: 8080,
      tier: 'gold',
      flags: { a: [1, null, true] },
      first: await explain('layers::first'),
      unique: await explain('layers::unique'),
      hash: await explain('layers::hash'),
      deep: await explain('layers::deep'),
      operator: 'Linux of own, fra1',
      customer: '%{facts.kernel}',
      site: 'of the site',
      both: ['corral', 'site'],
      mixed: { corral: 1, site: 1, sub: { corral: [1], site: true } },
      hidden: 'of Corral',
      secret: '<Sensitive [value redacted]>',
    });
    expect(await explained(corral, NODE, 'profile::layered::port')).toMatchObject({ kind: 'class_parameter', value: 8080, won: ['kvm'] });
    expect(await explained(corral, NODE, 'tier')).toMatchObject({ kind: 'parameter', value: 'gold', won: ['base'] });
  }, 180_000);

  it('changes nothing the second time', async () => {
    const { status, report } = await agent();
    /* But the notice, which says the same each time. */
    expect(status).toBe(2);
    expect(
      Object.entries(report!.resource_statuses)
        .filter(([, one]) => one.changed)
        .map(([ref]) => ref),
    ).toEqual([expect.stringContaining('Notify')]);
  }, 60_000);

  it('brings a secret as Sensitive, and shows it in no log, report or difference', async () => {
    expect(readFileSync(`${file}.secret`, 'utf8')).toBe(PASSWORD);
    expect(statSync(`${file}.secret`).mode & 0o777).toBe(0o600);
    await corral.call('PATCH', '/api/v1/layers/secret', { secrets: { 'profile::layered::password': NEXT_PASSWORD } });
    const noop = await agent('--noop', '--show_diff');
    expect(noop.output).toContain('layered.json.secret');
    const ran = await agent('--show_diff', '--debug');
    expect(ran.output).toContain('changed [redacted] to [redacted]');
    expect(readFileSync(`${file}.secret`, 'utf8')).toBe(NEXT_PASSWORD);
    const seen = {
      agent: noop.output + ran.output,
      report: reports(),
      server: puppet.log,
      client: existsSync(puppet.client.log) ? readFileSync(puppet.client.log, 'utf8') : '',
      corral: said,
    };
    expect(said).toContain('/documents/layers.example.net');
    const stored = await run('grep', ['-rlE', 'correct horse|Tr0ub4dor', at('var/reports'), at('log')]);
    expect(stored.stdout).toBe('');
    for (const [where, text] of Object.entries(seen)) expect([where, /correct horse|Tr0ub4dor/.exec(text)?.[0]]).toEqual([where, undefined]);
    for (const path of [
      `/nodes/${NODE}/explain`,
      `/nodes/${NODE}/explain/profile::layered::password`,
      '/api/v1/layers/secret',
      '/changes?limit=100',
      `/api/v1/reports?node=${NODE}`,
    ])
      expect([path, JSON.stringify(await corral.call('GET', path)).match(/correct horse|Tr0ub4dor/)]).toEqual([path, null]);
    /* Another node gets none of it. */
    expect(JSON.stringify(await corral.call('GET', '/documents/another.example.net.json'))).not.toMatch(/Tr0ub4dor|profile::layered::password/);
  }, 120_000);

  it('interpolates what operators write, and refuses it of customers', async () => {
    const refused = corral.call('PATCH', '/api/v1/layers/acme', { data: { 'acme::note': '%{facts.kernel}' } });
    await expect(refused).rejects.toThrow(/422.*acme::note.*must not hold %\{/s);
    expect(await found('layers::operator', '--compile')).toBe('Linux of own, fra1');
  }, 60_000);

  it('says the same as puppet lookup --explain', async () => {
    for (const key of keys) {
      const { value, strategy, won } = await explained(corral, NODE, key);
      const { stdout: output } = await lookup(key, '--explain');
      const text = corral.command('explain', NODE, key);
      expect(output).toContain('Hierarchy entry "Corral"');
      const theirs = output.slice(output.indexOf(`Searching for "${key}"`));
      expect([key, fromExplain(theirs)]).toEqual([key, value]);
      for (const one of [theirs, text]) if (strategy !== 'first') expect(one).toMatch(new RegExp(`Merge strategy ${strategy}`));
      for (const name of won) expect(text).toContain(`Layer ${name} (`);
    }
  }, 120_000);

  it('merges as Hiera itself would, had each layer been a level of its own', async () => {
    const environment = at('code/environments/levels');
    mkdirSync(join(environment, 'data'), { recursive: true });
    const paths = levels.map(({ name }) => `${name}.yaml`);
    writeFileSync(
      join(environment, 'hiera.yaml'),
      JSON.stringify({ version: 5, hierarchy: [{ name: 'levels', datadir: 'data', data_hash: 'yaml_data', paths }] }),
    );
    for (const { name, data } of levels) writeFileSync(join(environment, 'data', `${name}.yaml`), JSON.stringify(data));
    const asked = keys.map((key) => `'${key}' => lookup('${key}', { 'merge' => '${key === 'layers::first' ? 'first' : strategies[key]}' })`);
    const manifest = `$found = {${asked.join(', ')}} file { '${at('levels.json')}': content => inline_template('<%= require "json"; JSON.generate(@found) %>') }`;
    const places = ['--confdir', at('conf'), '--vardir', at('lookup'), '--environmentpath', at('code/environments'), '--node_terminus', 'plain'];
    const ran = await run('puppet', ['apply', ...places, '--environment', 'levels', '-e', manifest]);
    expect(ran.status, ran.output).toBe(0);
    const theirs = JSON.parse(readFileSync(at('levels.json'), 'utf8')) as Record<string, unknown>;
    for (const key of keys) expect([key, (await explained(corral, NODE, key)).value]).toEqual([key, theirs[key]]);
  }, 60_000);
});
