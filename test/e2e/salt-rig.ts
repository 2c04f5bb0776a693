/**
 * A real salt-master with real minions in a folder of their own, with ports of their own.
 *
 *   const rig = await startSalt({ minions: ['hv1.example.net'], settings: { url, token_file } });
 *   const [run] = await rig.apply(['hv1.example.net']);
 *   await rig.stop();
 *
 * Salt comes from the venv that install.sh makes. The extension and its state tree are installed with
 * pip from this repository, as a user would, but into the rig's folder.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultDocument, Mapping } from './faults.ts';

export const VENV = join(process.env['CORRAL_E2E_DIR'] ?? '/var/cache/corral-e2e', 'salt');
const EXTENSION = resolve(import.meta.dirname, '../../salt');

/** Why these tests cannot run here; undefined when they can. */
export function whyNoSalt(): string | undefined {
  const found = ['salt', 'salt-master', 'salt-minion', 'salt-call', 'pip'].every((name) => existsSync(join(VENV, 'bin', name)));
  return found ? undefined : `Salt is not installed in ${VENV} (test/e2e/install.sh installs it)`;
}

/** What goes under ext_pillar or master_tops in the master's configuration. */
export interface ClientSettings {
  url: string;
  token_file?: string;
  ca_file?: string | undefined;
  cert_file?: string | undefined;
  key_file?: string | undefined;
  cache_dir?: string;
  timeout?: number;
  max_age?: number;
}

export interface RigOptions {
  minions: string[];
  /** Settings of each of the two; `config` is the path of a client.yaml. */
  pillar: ClientSettings | { config: string };
  tops: ClientSettings | { config: string };
  /** More of the master's configuration. */
  master?: Mapping;
}

export interface StateRun {
  minion: string;
  /** True when Salt counts the whole run as good. */
  ok: boolean;
  /** What Salt said instead of running, one line after another; '' when it ran. */
  refusal: string;
  states: { id: string; result: boolean | null; comment: string; changes: Record<string, unknown> }[];
}

export class SaltRig {
  readonly folder: string;
  readonly #options: RigOptions;
  readonly #processes: ChildProcess[] = [];

  constructor(options: RigOptions) {
    // Salt's sockets have paths of at most 107 bytes, so the folder's name is short.
    this.folder = mkdtempSync(join(tmpdir(), 'salt-'));
    this.#options = options;
  }

  /** The folder that a minion's states write to, in place of /etc/corral. */
  target(minion: string): string {
    return join(this.folder, 'target', minion);
  }

  get masterLog(): string {
    return readFileSync(join(this.folder, 'master', 'log'), 'utf8');
  }

  get stateTree(): string {
    return join(this.folder, 'extension', 'share', 'corral', 'salt');
  }

  async start(): Promise<void> {
    this.#install();
    const publish = await freePort();
    const answers = await freePort();
    this.#configure('master', {
      interface: '127.0.0.1',
      publish_port: publish,
      ret_port: answers,
      auto_accept: true,
      file_roots: { base: [this.stateTree, join(this.folder, 'own')] },
      ext_pillar: [{ corral: { ...this.#options.pillar } }],
      master_tops: { corral: { ...this.#options.tops } },
      log_level_logfile: 'info',
      ...this.#options.master,
    });
    mkdirSync(join(this.folder, 'own'));
    this.#spawn('salt-master', 'master');
    for (const minion of this.#options.minions) {
      this.#configure(minion, {
        id: minion,
        master: '127.0.0.1',
        master_port: answers,
        publish_port: publish,
        corral_dir: this.target(minion),
        log_level_logfile: 'warning',
      });
      this.#spawn('salt-minion', minion);
    }
    await this.#waitForMinions();
  }

  async stop(): Promise<void> {
    const running = this.#processes.filter((child) => child.exitCode === null && child.signalCode === null);
    const ended = running.map((child) => new Promise((done) => child.once('close', done)));
    // Each has a process group of its own, its workers included.
    const signal = (name: NodeJS.Signals): void => {
      for (const child of running) {
        try {
          if (child.pid !== undefined) process.kill(-child.pid, name);
        } catch {
          // It is gone.
        }
      }
    };
    signal('SIGTERM');
    await Promise.race([Promise.all(ended), sleep(8000)]);
    signal('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** `salt -L <minions> state.apply`: the states that tops name. */
  async apply(minions: string[], ...args: string[]): Promise<StateRun[]> {
    // The exit status is 1 when a run failed, so only the output tells. `salt` now and then misses a
    // return, and asks for it after -t seconds; a run that takes longer is waited for all the same.
    const target = ['-c', this.#config('master'), '--static', '--out=json', '-t', '10', '-L', minions.join(',')];
    const said = await this.run('salt', [...target, 'state.apply', ...args]);
    const returned = readJson(said.stdout, said.stderr);
    return minions.map((minion) => stateRun(minion, returned[minion]));
  }

  /** `salt-call` on a minion, as the person at its keyboard would. */
  async call(minion: string, ...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
    return this.run('salt-call', ['-c', this.#config(minion), '--retcode-passthrough', '-l', 'error', ...args]);
  }

  async run(program: string, args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
    return new Promise((done) => {
      const options = { env: this.#environment(), maxBuffer: 64 * 1024 * 1024, cwd: this.folder };
      const child = execFile(join(VENV, 'bin', program), args, options, (error, stdout, stderr) => {
        done({ status: error ? (child.exitCode ?? 1) : 0, stdout, stderr });
      });
    });
  }

  #config(name: string): string {
    return join(this.folder, name, 'etc');
  }

  #configure(name: string, settings: Mapping): void {
    const root = join(this.folder, name);
    mkdirSync(join(root, 'etc'), { recursive: true });
    const own = {
      user: 'root',
      root_dir: root,
      pki_dir: join(root, 'pki'),
      cachedir: join(root, 'cache'),
      sock_dir: join(root, 'run'),
      pidfile: join(root, 'pid'),
      log_file: join(root, 'log'),
    };
    const file = name === 'master' ? 'master' : 'minion';
    // JSON is YAML.
    writeFileSync(join(root, 'etc', file), JSON.stringify({ ...own, ...settings }, null, 2), { mode: 0o600 });
  }

  #environment(): NodeJS.ProcessEnv {
    return { ...process.env, PYTHONPATH: join(this.folder, 'extension'), PYTHONDONTWRITEBYTECODE: '1', LC_ALL: 'C.UTF-8' };
  }

  /** From a copy, because building leaves files beside the sources. */
  #install(): void {
    const copy = join(this.folder, 'source');
    cpSync(EXTENSION, copy, { recursive: true, filter: (path) => !/__pycache__|\.egg-info$|\/build$/.test(path) });
    const target = join(this.folder, 'extension');
    const args = ['install', '-q', '--disable-pip-version-check', '--no-deps', '--target', target, copy];
    // Without a network the venv's own setuptools has to do.
    const tries = [['--no-build-isolation', ...args.slice(1)], args.slice(1)].map((rest) => spawnPip(['install', ...rest]));
    const failed = tries.find((attempt) => attempt() === '') === undefined;
    if (failed) throw new Error(`pip cannot install ${EXTENSION}: ${tries.map((attempt) => attempt()).join('\n')}`);
  }

  #spawn(program: string, name: string): void {
    const options = { env: this.#environment(), cwd: this.folder, stdio: 'ignore', detached: true } as const;
    this.#processes.push(spawn(join(VENV, 'bin', program), ['-c', this.#config(name)], options));
  }

  async #waitForMinions(): Promise<void> {
    const wanted = this.#options.minions;
    const until = Date.now() + 120_000;
    let said = '';
    while (Date.now() < until) {
      // oxlint-disable-next-line no-await-in-loop -- one question after another
      const { stdout } = await this.run('salt', ['-c', this.#config('master'), '--static', '--out=json', '-t', '5', '-L', wanted.join(','), 'test.ping']);
      said = stdout;
      try {
        const returned = readJson(stdout, '');
        if (wanted.every((minion) => returned[minion] === true)) return;
      } catch {
        // The master is not up yet.
      }
      // oxlint-disable-next-line no-await-in-loop
      await sleep(500);
    }
    throw new Error(`the minions did not answer within 120 s: ${said}\n${this.masterLog.slice(-2000)}`);
  }
}

export async function startSalt(options: RigOptions): Promise<SaltRig> {
  const rig = new SaltRig(options);
  try {
    await rig.start();
  } catch (error) {
    await rig.stop();
    throw error;
  }
  return rig;
}

/** Every file below a folder, by its path in it; '' for a folder that is not there. */
export function filesOf(folder: string): Record<string, string> {
  const found: Record<string, string> = {};
  if (!existsSync(folder)) return found;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isDirectory()) found[path.slice(folder.length + 1)] = readFileSync(path, 'utf8');
  }
  return found;
}

export function modesOf(folder: string): string[] {
  const modes = Object.keys(filesOf(folder)).map((path) => (statSync(join(folder, path)).mode & 0o7777).toString(8));
  return [...new Set(modes)];
}

/** The files that the state tree makes of a pillar. */
export function filesFor(pillar: Mapping): Record<string, string> {
  const corral = pillar['corral'] as Mapping;
  const json = (value: unknown): string => `${JSON.stringify(sorted(value), null, 2)}\n`;
  const { document, node, roles, site } = corral;
  const files: Record<string, string> = { 'document.json': json({ document, node, roles, site: site ?? null }) };
  const { domains = {} } = (corral['hypervisor'] ?? {}) as { domains?: Record<string, { ensure: string; xml: string }> };
  for (const [name, domain] of Object.entries(domains)) {
    if (domain.ensure === 'present') files[`domains/${name}.xml`] = domain.xml;
  }
  for (const [part, section] of Object.entries((corral['ceph'] ?? {}) as Mapping)) {
    if (section !== null) files[`ceph-${part}.json`] = json(section);
  }
  return files;
}

/** Text that a template, a YAML parser or a line reader would spoil. */
export const AWKWARD_XML = [
  '<domain type="kvm">\r\n',
  '  <title>{{ salt["cmd.run"]("id") }} {% raw %} %{lookup} ${HOME} \'single\' &quot;double&quot;</title>\n',
  '  <description>caf\u00E9 \u2028 line separator \u0085 next line \u{1F410} #!py | {} []: - "</description>\n\n\n',
  '</domain>  ',
].join('');

/** A node that is everything at once. */
export function nodeDocument(node: string, version = '41-9f2c0a1b2c3d4e5f', xml = AWKWARD_XML): FaultDocument {
  return {
    node,
    version,
    manager: 'salt',
    pillar: {
      corral: {
        document: version,
        node,
        site: 'fra1',
        roles: ['hypervisor', 'ceph_osd'],
        interfaces: {},
        hypervisor: {
          domains: {
            'vm-17': { ensure: 'present', state: 'running', uuid: 'b4f0c1de-7f0c-4b1e-9d6a-1f0e6f0a7f10', xml },
            'vm-18': { ensure: 'present', state: 'stopped', uuid: 'b4f0c1de-7f0c-4b1e-9d6a-1f0e6f0a7f11', xml: '<domain/>\n' },
            'vm-19': { ensure: 'absent' },
          },
          volumes: {},
          pools: {},
          bridges: {},
          secrets: {},
        },
        ceph: {
          osd: { cluster: { fsid: '9f2c', 'public network': '10.0.0.0/24' }, osds: [{ device: '/dev/sdb', weight: 1.5 }], note: '{{ 7 * 7 }} %{x}' },
          client: { keys: { 'client.libvirt': 'AQBsecret==' } },
        },
      },
    },
    tops: { base: ['corral', 'corral.hypervisor', 'corral.ceph.osd'] },
  };
}

function spawnPip(args: string[]): () => string {
  let said: string | undefined;
  return () => {
    if (said === undefined) {
      const { status, stderr } = spawnSync(join(VENV, 'bin', 'pip'), args, { encoding: 'utf8' });
      said = status === 0 ? '' : stderr || 'pip failed';
    }
    return said;
  };
}

/** Salt may print warnings around its JSON, and prints one object for each minion when one is missing. */
function readJson(stdout: string, stderr: string): Record<string, unknown> {
  const from = stdout.indexOf('{');
  try {
    return JSON.parse(stdout.slice(from, stdout.lastIndexOf('}') + 1)) as Record<string, unknown>;
  } catch {
    throw new Error(`salt did not print JSON: ${stdout.slice(0, 2000)}${stderr.slice(0, 2000)}`);
  }
}

interface Returned {
  __id__: string;
  result: boolean | null;
  comment: string;
  changes: Record<string, unknown>;
  __run_num__: number;
}

function stateRun(minion: string, returned: unknown): StateRun {
  if (typeof returned !== 'object' || returned === null || Array.isArray(returned)) {
    const lines = Array.isArray(returned) ? returned.map(String) : [String(returned)];
    return { minion, ok: false, refusal: lines.join('\n'), states: [] };
  }
  const states = (Object.values(returned) as Returned[])
    .toSorted((a, b) => a.__run_num__ - b.__run_num__)
    .map(({ __id__, result, comment, changes }) => ({ id: __id__, result, comment, changes }));
  return { minion, ok: states.length > 0 && states.every(({ result }) => result !== false), refusal: '', states };
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}
