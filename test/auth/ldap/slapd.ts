import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Certificate } from './certificates.ts';

const SLAPD = '/usr/sbin/slapd';

/** Whether Debian's slapd and ldap-utils are here. */
export const hasSlapd = existsSync(SLAPD) && existsSync('/usr/bin/ldapadd');
if (!hasSlapd) console.warn('ldap: skipped: slapd or ldap-utils is not installed (test/e2e/install.sh installs them)');

export interface Slapd {
  /** ldap:// on 127.0.0.1; TLS by StartTLS when there is a certificate. */
  readonly url: string;
  readonly ldaps: string;
  readonly port: number;
  stop(): Promise<void>;
  /** Lets it hang: connections come about and nothing is answered. */
  pause(): void;
  resume(): void;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}

/** Starts a slapd of its own in a folder, with these entries. */
export async function startSlapd(folder: string, ldif: string, tls?: Certificate, extra = ''): Promise<Slapd> {
  mkdirSync(join(folder, 'db'), { recursive: true });
  const conf = join(folder, 'slapd.conf');
  writeFileSync(conf, configuration(folder, tls, extra), { mode: 0o600 });
  writeFileSync(join(folder, 'tree.ldif'), ldif);
  const [port, tlsPort] = [await freePort(), await freePort()];
  const urls = [`ldap://127.0.0.1:${port}`, ...(tls ? [`ldaps://127.0.0.1:${tlsPort}`] : [])];
  const child: ChildProcess = spawn(SLAPD, ['-d', '0', '-f', conf, '-h', urls.join(' ')], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => (said += chunk));
  const ended = new Promise<void>((done) => child.once('exit', () => done()));
  const stop = async (): Promise<void> => {
    child.kill('SIGCONT');
    child.kill('SIGTERM');
    await ended;
  };
  for (let tries = 0; !(await answers(port)); tries++) {
    if (child.exitCode !== null || tries > 200) throw new Error(`slapd did not start: ${said}`);
    await new Promise((done) => setTimeout(done, 50));
  }
  /* Through the server: slapadd would leave memberOf out. */
  const root = ['-x', '-D', 'cn=root,dc=example,dc=com', '-w', 'root-secret'];
  const added = promisify(execFile)('ldapadd', [...root, '-H', urls[0]!, '-f', join(folder, 'tree.ldif')], { maxBuffer: 1e8 });
  try {
    await added;
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url: urls[0]!,
    ldaps: `ldaps://127.0.0.1:${tlsPort}`,
    port,
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    stop,
  };
}

function configuration(folder: string, tls: Certificate | undefined, extra: string): string {
  const schemas = ['core', 'cosine', 'nis', 'inetorgperson'].map((one) => `include /etc/ldap/schema/${one}.schema`);
  return [
    ...schemas,
    `pidfile ${folder}/slapd.pid`,
    'modulepath /usr/lib/ldap',
    'moduleload back_mdb',
    'moduleload memberof',
    ...(tls ? [`TLSCACertificateFile ${tls.cert}`, `TLSCertificateFile ${tls.cert}`, `TLSCertificateKeyFile ${tls.key}`] : []),
    'sizelimit size.soft=100 size.hard=100 size.pr=100 size.prtotal=unlimited',
    extra,
    'database mdb',
    'maxsize 16777216',
    'suffix "dc=example,dc=com"',
    `directory ${folder}/db`,
    'rootdn "cn=root,dc=example,dc=com"',
    'rootpw root-secret',
    'dbnosync',
    'access to attrs=userPassword by anonymous auth by * none',
    'access to dn.subtree="ou=groups,dc=example,dc=com" by dn.exact="cn=corral,dc=example,dc=com" read by * none',
    'access to * by dn.exact="cn=corral,dc=example,dc=com" read by self read by * none',
    'overlay memberof',
    'memberof-group-oc groupOfNames',
    'memberof-member-ad member',
    'memberof-memberof-ad memberOf',
    '',
  ].join('\n');
}

function answers(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      done(true);
    });
    socket.once('error', () => done(false));
  });
}
