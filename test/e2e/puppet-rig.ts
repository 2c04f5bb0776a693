/** A puppetserver and its agents in a folder of their own, beside whatever the machine has. */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const JAR = '/usr/share/puppetserver/puppetserver.jar';
const SERVER_ETC = '/etc/puppet/puppetserver';
export const MODULE = resolve(import.meta.dirname, '../../puppet');

/** Why these tests cannot run here; undefined when they can. */
export function whyNoPuppetserver(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync(JAR) || !existsSync(SERVER_ETC)) return 'puppetserver is not installed (test/e2e/install.sh installs it)';
  return whyNoPuppet();
}

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
  const killer = killAfter === undefined ? undefined : setTimeout(() => killTree(child.pid!), killAfter);
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
function killTree(pid: number): void {
  const children = spawnSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' })
    .stdout.split('\n')
    .filter(Boolean);
  spawnSync('kill', ['-9', String(pid)]);
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

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
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

export interface ServerOptions {
  /** The address that it listens on, as the hosts reach it; 127.0.0.1 when not set. */
  address?: string;
  /** The processors of reports; `log` when not set. */
  reports?: string;
}

export interface AgentOptions {
  /** What to put before the command, so that it runs on a host: `host.prefix`. */
  prefix?: readonly string[] | undefined;
  noop?: boolean | undefined;
  killAfter?: number | undefined;
  /** More options of `puppet agent`. */
  more?: readonly string[];
}

export class Puppetserver {
  readonly folder = temporaryFolder('puppet');
  readonly client: ClientFolder;
  readonly port: number;
  readonly #options: ServerOptions;
  startMs = 0;
  log = '';
  #process: ChildProcess | undefined;

  private constructor(port: number, options: ServerOptions) {
    this.port = port;
    this.#options = options;
    this.client = new ClientFolder(join(this.folder, 'client'));
  }

  /** Start one as the user puppet and wait until it compiles; takes about 70 s on two cores. */
  static async start(options: ServerOptions = {}): Promise<Puppetserver> {
    const server = new Puppetserver(await freePort(), options);
    try {
      server.#layOut();
      await server.#launch();
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  #layOut(): void {
    const at = (...names: string[]): string => join(this.folder, ...names);
    for (const name of ['conf', 'code', 'var', 'run', 'log', 'conf.d', 'ssl']) mkdirSync(at(name));
    cpSync(join(SERVER_ETC, 'services.d'), at('services.d'), { recursive: true });
    for (const name of ['auth.conf', 'ca.conf', 'metrics.conf', 'web-routes.conf']) {
      cpSync(join(SERVER_ETC, 'conf.d', name), at('conf.d', name));
    }
    writeEnvironment(at('code'), this.client.config);
    const enc = at('code/environments/production/modules/corral/files/corral-enc');
    // The example's line, with this folder's paths: what people copy is what is tested.
    const example = readFileSync(join(MODULE, 'examples/puppet.conf'), 'utf8').split('[agent]')[0]!;
    const section = example
      .replace(
        /^external_nodes = (.*) \S+corral-enc(.*)$/m,
        (_, ruby: string, options: string) => `external_nodes = ${ruby} ${enc} --config ${this.client.config}${options}`,
      )
      .replace(/^reports = .*$/m, `reports = ${this.#options.reports ?? 'log'}`);
    writeFileSync(
      at('conf/puppet.conf'),
      `[main]\nssldir = ${at('ssl')}\ncadir = ${at('ssl/ca')}\n${section}\n` +
        `certname = puppetserver.example.net\ndns_alt_names = localhost,IP:${this.#address}\nautosign = true\n` +
        `environmentpath = ${at('code/environments')}\n`,
    );
    writeFileSync(
      at('conf.d/puppetserver.conf'),
      `jruby-puppet: {
  ruby-load-path: [/usr/lib/puppetserver/ruby/vendor_ruby]
  gem-home: ${at('var/jruby-gems')}
  gem-path: [\${jruby-puppet.gem-home}, "/usr/lib/puppetserver/vendored-jruby-gems"]
  server-conf-dir: ${at('conf')}
  server-code-dir: ${at('code')}
  server-var-dir: ${at('var')}
  server-run-dir: ${at('run')}
  server-log-dir: ${at('log')}
  max-active-instances: 1
  environment-vars: { CORRAL_CLIENT_CONFIG: ${this.client.config} }
}
`,
    );
    writeFileSync(at('conf.d/webserver.conf'), `webserver: { client-auth: want, ssl-host: ${this.#address}, ssl-port: ${this.port} }\n`);
    writeFileSync(at('conf.d/global.conf'), `global: { logging-config: ${at('logback.xml')} }\n`);
    writeFileSync(
      at('logback.xml'),
      `<configuration>
  <appender name="STDOUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %-5p [%c{2}] %m%n</pattern></encoder>
  </appender>
  <logger name="org.eclipse.jetty" level="WARN"/>
  <root level="info"><appender-ref ref="STDOUT"/></root>
</configuration>
`,
    );
    execFileSync('chown', ['-R', 'puppet:puppet', this.folder]);
  }

  async #launch(): Promise<void> {
    const started = performance.now();
    const java = ['-Xms256m', '-Xmx768m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];
    java.push('-Djruby.logger.class=com.puppetlabs.jruby_utils.jruby.Slf4jLogger');
    java.push('-Djruby.lib=/usr/share/jruby/lib', '-jar', JAR);
    java.push('--config', join(this.folder, 'conf.d'), '--bootstrap-config', join(this.folder, 'services.d'));
    // setpriv execs java, so that the process is java itself and can be ended by its id.
    const child = spawn('setpriv', ['--reuid=puppet', '--regid=puppet', '--init-groups', 'java', ...java], {
      cwd: this.folder,
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: join(this.folder, 'var'), LANG: 'C' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    let ended: string | undefined;
    child.on('exit', (code, signal) => (ended = `puppetserver ended early (${code ?? signal})`));
    child.on('error', (error) => (ended = String(error)));
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.log += text));
    }
    while (!this.log.includes('Puppet Server has successfully started')) {
      if (ended !== undefined) throw new Error(`${ended}:\n${this.log.slice(-4000)}`);
      if (performance.now() - started > 300_000) throw new Error(`puppetserver did not start:\n${this.log.slice(-4000)}`);
      await sleep(200);
    }
    this.startMs = performance.now() - started;
  }

  get #address(): string {
    return this.#options.address ?? '127.0.0.1';
  }

  /** The folder of an agent's settings and state. */
  home(certname: string): string {
    return join(this.folder, 'agents', certname);
  }

  /** The command of one run of a node's agent, as a person on the host would type it. */
  agentCommand(certname: string, { noop, more = [] }: AgentOptions = {}): string[] {
    const home = this.home(certname);
    mkdirSync(home, { recursive: true });
    const settings = {
      certname,
      server: this.#address,
      serverport: String(this.port),
      confdir: join(home, 'conf'),
      vardir: join(home, 'var'),
      rundir: join(home, 'run'),
      logdir: join(home, 'log'),
      ssldir: join(home, 'ssl'),
      statedir: join(home, 'state'),
      publicdir: join(home, 'public'),
    };
    const options = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
    return ['env', `CORRAL_HOST_COMMAND=${ENGINE}`, 'puppet', 'agent', '--test', '--color=false', ...options, ...(noop ? ['--noop'] : []), ...more];
  }

  /** One run of `puppet agent -t` as this node. Status 0: nothing to do, 2: changed, others: failed. */
  async agent(certname: string, options: AgentOptions = {}): Promise<Ran & { report: Report | undefined }> {
    const file = join(this.home(certname), 'state/last_run_report.yaml');
    rmSync(file, { force: true });
    const [command, ...args] = [...(options.prefix ?? []), ...this.agentCommand(certname, options)];
    const ran = await run(command!, args, { killAfter: options.killAfter });
    return { ...ran, report: await readReport(file) };
  }

  /** The ENC client, as puppetserver calls it but without it. */
  enc(certname: string): Promise<Ran> {
    const module = join(this.folder, 'code/environments/production/modules/corral');
    return run(join(module, 'files/corral-enc'), ['--config', this.client.config, certname]);
  }

  /** Give the client's folder to puppetserver's user again after the test wrote into it. */
  configure(settings: ClientSettings): void {
    this.client.write(settings);
    this.chown();
  }

  chown(): void {
    execFileSync('chown', ['-R', 'puppet:puppet', this.client.path]);
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (child && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((done) => child.once('exit', done));
      child.kill('SIGTERM');
      const killer = setTimeout(() => child.kill('SIGKILL'), 15_000);
      await ended;
      clearTimeout(killer);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
