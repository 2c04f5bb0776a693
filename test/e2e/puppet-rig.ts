/** A puppetserver and its agents in a folder of their own, beside whatever the machine has. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './corral.ts';
import {
  ClientFolder,
  ENGINE,
  MODULE,
  readReport,
  run,
  temporaryFolder,
  whyNoPuppet,
  writeEnvironment,
  type ClientSettings,
  type Ran,
  type Report,
} from './puppet-client.ts';

export type { Report } from './puppet-client.ts';

const JAR = '/usr/share/puppetserver/puppetserver.jar';
const SERVER_ETC = '/etc/puppet/puppetserver';

/** Why these tests cannot run here; undefined when they can. */
export function whyNoPuppetserver(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync(JAR) || !existsSync(SERVER_ETC)) return 'puppetserver is not installed (test/e2e/install.sh installs it)';
  return whyNoPuppet();
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
