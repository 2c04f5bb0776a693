/** Puppet on this machine: its programs, the client's folder, an environment with the module, reports. */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export const MODULE = resolve(import.meta.dirname, '../../puppet');

/** Why Puppet cannot be run here; undefined when it can. */
export function whyNoPuppet(): string | undefined {
  const found = spawnSync('puppet', ['--version']).status === 0 && spawnSync('ruby', ['--version']).status === 0;
  return found ? undefined : 'puppet-agent is not installed (test/e2e/install.sh installs it)';
}

export interface Ran {
  status: number | null;
  stdout: string;
  stderr: string;
  /** Both, as a person would see them, without colours. */
  output: string;
  ms: number;
}

export interface RunOptions {
  env?: Readonly<Record<string, string>>;
  /** Ends it with SIGKILL, with all that it started, after so many milliseconds. */
  killAfter?: number | undefined;
}

/** Run a program to its end, without blocking the servers that this process runs for it. */
export async function run(command: string, args: readonly string[], { env, killAfter }: RunOptions = {}): Promise<Ran> {
  const started = performance.now();
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const killer = killAfter === undefined ? undefined : setTimeout(() => killTree(child.pid!, command === 'nsenter'), killAfter);
  let stdout = '';
  let stderr = '';
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => ((stdout += text), (output += text)));
  child.stderr.setEncoding('utf8').on('data', (text: string) => ((stderr += text), (output += text)));
  const status = await new Promise<number | null>((done, failed) => {
    child.on('error', failed);
    child.on('close', done);
  });
  clearTimeout(killer);
  // oxlint-disable-next-line no-control-regex
  const colours = /\u001B\[[0-9;]*m/g;
  // Facter complains about a machine that hides the environment of its first process.
  const noise = /^Error: Facter: Permission denied @ rb_sysopen - \/proc\/1\/environ\n/gm;
  const plain = (text: string): string => text.replaceAll(colours, '').replaceAll(noise, '');
  const ms = performance.now() - started;
  return { status, stdout: plain(stdout), stderr: plain(stderr), output: plain(output), ms };
}

/** Ends a process and all that it started, whatever groups they are in; the parents first, so that none starts more. */
function killTree(pid: number, ends = false): void {
  const children = spawnSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' })
    .stdout.split('\n')
    .filter(Boolean);
  // nsenter ends with its child, and has to: the host's own first process does not inherit it, and a
  // dead agent that nobody waits for would hold its lock.
  if (!ends) spawnSync('kill', ['-9', String(pid)]);
  for (const child of children) killTree(Number(child));
}

export interface ClientSettings {
  url: string;
  token?: string;
  caFile?: string | undefined;
  certFile?: string | undefined;
  keyFile?: string | undefined;
  timeout?: number;
  maxAge?: number;
}

/** A folder with a client.yaml, its token and its cache. */
export class ClientFolder {
  readonly path: string;
  readonly config: string;
  readonly cache: string;
  readonly log: string;

  constructor(path: string) {
    this.path = path;
    this.config = join(path, 'client.yaml');
    this.cache = join(path, 'cache');
    this.log = join(path, 'enc.log');
    mkdirSync(this.cache, { recursive: true });
  }

  write(settings: ClientSettings): void {
    const token = join(this.path, 'token');
    writeFileSync(token, `${settings.token ?? ''}\n`, { mode: 0o600 });
    // Copies, because puppetserver's user may not look into the folder of the originals.
    const own = (name: string, file: string | undefined): string | null => {
      if (file === undefined) return null;
      copyFileSync(file, join(this.path, name));
      return join(this.path, name);
    };
    const values = {
      url: settings.url,
      token_file: settings.token === undefined ? null : token,
      ca_file: own('ca.pem', settings.caFile),
      cert_file: own('client.pem', settings.certFile),
      key_file: own('client.key', settings.keyFile),
      cache_dir: this.cache,
      timeout: settings.timeout ?? 5,
      max_age: settings.maxAge ?? 86_400,
      log: this.log,
    };
    // JSON is YAML.
    writeFileSync(this.config, JSON.stringify(values), { mode: 0o600 });
  }

  cacheFile(certname: string): string {
    return join(this.cache, `${certname}.json`);
  }

  clearCache(): void {
    rmSync(this.cache, { recursive: true, force: true });
    mkdirSync(this.cache);
  }

  /** Make the copy of a node look as if the server had confirmed it so long ago. */
  ageCache(certname: string, seconds: number): void {
    const file = this.cacheFile(certname);
    const text = readFileSync(file, 'utf8');
    const end = text.indexOf('\n');
    const about = { ...JSON.parse(text.slice(0, end)), confirmed: Date.now() / 1000 - seconds };
    writeFileSync(file, JSON.stringify(about) + text.slice(end));
  }
}

export function temporaryFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `corral-${name}-`));
  chmodSync(folder, 0o755);
  return folder;
}

/** What tests say of themselves in the site's own data: nothing is installed, and there is no systemd. */
const SITE = { 'corral::manage_packages': false, 'corral::manage_services': false };

/** Lay out a code folder with the module, the module's own example of hiera.yaml, and the site's own data. */
export function writeEnvironment(code: string, configFile: string): string {
  const environment = join(code, 'environments/production');
  mkdirSync(join(environment, 'modules'), { recursive: true });
  mkdirSync(join(environment, 'manifests'));
  mkdirSync(join(environment, 'data'));
  cpSync(MODULE, join(environment, 'modules/corral'), { recursive: true });
  const example = readFileSync(join(MODULE, 'examples/hiera.yaml'), 'utf8');
  writeFileSync(
    join(environment, 'hiera.yaml'),
    // The example with its commented option, set to this configuration.
    example.replace('# options:', 'options:').replace(/#( +)config: \S+/, ` $1config: ${configFile}`),
  );
  writeFileSync(join(environment, 'manifests/site.pp'), 'node default { }\n');
  writeFileSync(join(environment, 'data/common.yaml'), JSON.stringify(SITE));
  return environment;
}

/** How the agent starts the engine from this repository, on a machine that has not its package. */
export const ENGINE = `/usr/bin/env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=${resolve(import.meta.dirname, '../../host/src')} /usr/bin/python3 -m corral_host.cli serve`;

/** One event of a resource: a property that changed, would change, or could not be changed. */
export interface ReportEvent {
  property: string;
  status: 'success' | 'failure' | 'noop' | 'audit';
  message: string;
  corrective_change: boolean;
}

/** The parts of Puppet's own report of a run that tests look at. */
export interface Report {
  status: 'changed' | 'unchanged' | 'failed';
  noop: boolean;
  noop_pending: boolean;
  corrective_change: boolean;
  transaction_uuid: string;
  logs: { level: string; source: string; message: string }[];
  /** By reference: `Corral_domain[vm-1]`. */
  resource_statuses: Record<string, { failed: boolean; skipped: boolean; changed: boolean; corrective_change: boolean; events: ReportEvent[] }>;
}

/** The report that an agent keeps of its last run; undefined before the first that had a catalogue. */
export async function readReport(file: string): Promise<Report | undefined> {
  if (!existsSync(file)) return undefined;
  // Its YAML holds Ruby's objects.
  const ran = await run('ruby', ['-rpuppet', '-rjson', '-e', 'puts JSON.generate(YAML.unsafe_load_file(ARGV[0]).to_data_hash)', file]);
  if (ran.status !== 0) throw new Error(`${file}: ${ran.output}`);
  return JSON.parse(ran.stdout) as Report;
}
