/**
 * A real salt-master with real minions, with folders and ports of their own.
 *
 *   const host = await startHost({ name: 'hv1', index: 11 });
 *   const rig = await startSalt({
 *     minions: [{ id: host.fqdn, prefix: host.prefix }],
 *     pillar: { url, token_file }, tops: { url, token_file }, reports: { url, token_file },
 *     address: WIRE_ADDRESS,
 *   });
 *   const [run] = await rig.apply([host.fqdn]);          // salt ... state.apply, from the master
 *   const same = await rig.callApply(host.fqdn);         // salt-call state.apply, on the host
 *   await rig.stop();
 *
 * Salt comes from the venv that install.sh makes. The extension and its state tree are installed with
 * pip from this repository, as a user would, but into the rig's folder. The engine is run from its
 * sources; packages and services are left alone.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as setTimer } from 'node:timers';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './corral.ts';
import type { Mapping } from './faults.ts';
import { HOST_SOURCE } from './host.ts';

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

/** A minion, and where it runs. */
export interface Minion {
  id: string;
  /** What to put before its commands, so that they run on its host. Here when not set. */
  prefix?: readonly string[];
  /** More of its configuration. */
  settings?: Mapping;
}

export interface RigOptions {
  minions: (string | Minion)[];
  /** Settings of each; `config` is the path of a client.yaml. Without `reports` nobody sends any. */
  pillar: ClientSettings | { config: string };
  tops: ClientSettings | { config: string };
  reports?: ClientSettings | { config: string };
  /** The master's own address, as its minions reach it; 127.0.0.1 when not set. */
  address?: string;
  /** More of the master's configuration. */
  master?: Mapping;
}

/** What one state came to. */
export interface StateResult {
  id: string;
  name: string;
  /** Module and function: `corral.domain`. */
  fun: string;
  result: boolean | null;
  comment: string;
  changes: Record<string, { old?: unknown; new?: unknown }>;
  /** What waits for the next start; Corral's states have it when something does. */
  pending?: { property: string; current: string | null; wanted: string | null; reason: string | null }[];
}

export interface StateRun {
  minion: string;
  /** True when Salt counts the whole run as good. */
  ok: boolean;
  /** What Salt said instead of running, one line after another; '' when it ran. */
  refusal: string;
  /** In the order in which they ran. */
  states: StateResult[];
}

export interface Said {
  /** 128 and more when it was ended by a signal. */
  status: number;
  stdout: string;
  stderr: string;
}

/** How the minions start the engine, without its package. */
export const ENGINE = ['env', `PYTHONPATH=${HOST_SOURCE}`, 'PYTHONDONTWRITEBYTECODE=1', '/usr/bin/python3', '-m', 'corral_host.cli'];

export class SaltRig {
  readonly folder: string;
  readonly #options: RigOptions;
  readonly #minions: Minion[];
  readonly #processes: ChildProcess[] = [];

  constructor(options: RigOptions) {
    // Salt's sockets have paths of at most 107 bytes, so the folder's name is short.
    this.folder = mkdtempSync(join(tmpdir(), 'salt-'));
    this.#options = options;
    this.#minions = options.minions.map((minion) => (typeof minion === 'string' ? { id: minion } : minion));
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
    const address = this.#options.address ?? '127.0.0.1';
    this.#configure('master', {
      interface: address,
      publish_port: publish,
      ret_port: answers,
      auto_accept: true,
      file_roots: { base: [this.stateTree, join(this.folder, 'own')] },
      ext_pillar: [{ corral: { ...this.#options.pillar } }],
      master_tops: { corral: { ...this.#options.tops } },
      ...(this.#options.reports && { engines: [{ corral_reports: { ...this.#options.reports } }] }),
      log_level_logfile: 'info',
      ...this.#options.master,
    });
    mkdirSync(join(this.folder, 'own'));
    this.#spawn('salt-master', 'master');
    for (const { id, prefix, settings } of this.#minions) {
      this.#configure(id, {
        id,
        master: address,
        master_port: answers,
        publish_port: publish,
        corral_host_command: ENGINE,
        corral_manage_packages: false,
        corral_manage_services: false,
        log_level_logfile: 'warning',
        ...settings,
      });
      this.#spawn('salt-minion', id, prefix);
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

  /** `salt-call state.apply` on a minion's host, as the person at its keyboard would. */
  async callApply(minion: string, args: string[] = [], options: { killAfter?: number } = {}): Promise<StateRun & { said: Said }> {
    const said = await this.call(minion, ['--out=json', 'state.apply', ...args], options);
    if (said.status >= 128) return { minion, ok: false, refusal: 'killed', states: [], said };
    const returned = readJson(said.stdout, said.stderr)['local'];
    return { ...stateRun(minion, returned), said };
  }

  /** `salt-call` on a minion's host. killAfter: so many milliseconds later it and all that it started get SIGKILL. */
  async call(minion: string, args: string[], options: { killAfter?: number } = {}): Promise<Said> {
    const [program = '', ...rest] = this.callCommand(minion, ...args);
    return this.#run(program, rest, options.killAfter);
  }

  /** The words of such a command, from this machine: with the minion's prefix before them. */
  callCommand(minion: string, ...args: string[]): string[] {
    const { prefix = [] } = this.#minions.find(({ id }) => id === minion)!;
    const call = [join(VENV, 'bin', 'salt-call'), '-c', this.#config(minion), '--retcode-passthrough', '-l', 'error'];
    return [...prefix, ...call, ...args];
  }

  /** A program of Salt's on the master: `salt`, `salt-run`. */
  async run(program: string, args: string[]): Promise<Said> {
    return this.#run(join(VENV, 'bin', program), args);
  }

  async #run(program: string, args: string[], killAfter?: number): Promise<Said> {
    return new Promise((done) => {
      const options = { env: this.#environment(), maxBuffer: 64 * 1024 * 1024, cwd: this.folder };
      const child = execFile(program, args, options, (error, stdout, stderr) => {
        clearTimeout(timer);
        done({ status: error ? (child.exitCode ?? 137) : 0, stdout, stderr });
      });
      const timer = killAfter === undefined ? undefined : setTimer(() => killTree(child.pid!), killAfter);
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

  #spawn(program: string, name: string, prefix: readonly string[] = []): void {
    const options = { env: this.#environment(), cwd: this.folder, stdio: 'ignore', detached: true } as const;
    const [first = '', ...rest] = [...prefix, join(VENV, 'bin', program), '-c', this.#config(name)];
    this.#processes.push(spawn(first, rest, options));
  }

  async #waitForMinions(): Promise<void> {
    const wanted = this.#minions.map(({ id }) => id);
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

interface Returned extends Omit<StateResult, 'id' | 'fun'> {
  __id__: string;
  __run_num__: number;
}

function stateRun(minion: string, returned: unknown): StateRun {
  if (typeof returned !== 'object' || returned === null || Array.isArray(returned)) {
    const lines = Array.isArray(returned) ? returned.map(String) : [String(returned)];
    return { minion, ok: false, refusal: lines.join('\n'), states: [] };
  }
  const states = Object.entries(returned as Record<string, Returned>)
    .toSorted(([, a], [, b]) => a.__run_num__ - b.__run_num__)
    .map(([key, { __id__, name, result, comment, changes, pending }]) => {
      const parts = key.split('_|-');
      return { id: __id__, name, fun: `${parts[0]}.${parts.at(-1)}`, result, comment, changes, ...(pending && { pending }) };
    });
  return { minion, ok: states.length > 0 && states.every(({ result }) => result !== false), refusal: '', states };
}

/** Ends a process and all below it, children first found: what it started may be in other sessions. */
function killTree(pid: number): void {
  const below = spawnSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' })
    .stdout.trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  const found = [pid];
  for (const parent of found) found.push(...below.filter(([, of]) => of === parent).map(([one]) => one!));
  for (const one of found) {
    try {
      process.kill(one, 'SIGKILL');
    } catch {
      // It is gone.
    }
  }
}
