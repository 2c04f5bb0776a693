import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Certificate } from '../auth/ldap/certificates.ts';

const execute = promisify(execFile);

/** Whether Samba can be a domain controller here: its ports are fixed, below 1024, so only root may. */
export const hasSamba =
  existsSync('/usr/sbin/samba') && existsSync('/usr/share/samba/setup/provision.ldif') && existsSync('/usr/bin/ldapmodify') && process.getuid?.() === 0;
if (!hasSamba) console.warn('ldap-ad: skipped: samba is not installed, or this is not root (test/e2e/install.sh installs it)');

export const DOMAIN = 'DC=corral,DC=example';
export const ADMIN_PASSWORD = 'Admin-Secret-1';

export interface Samba {
  /** Runs samba-tool on this domain. */
  tool(...args: string[]): Promise<string>;
  /** Changes entries, by LDIF. */
  modify(ldif: string): Promise<void>;
  stop(): Promise<void>;
}

/** An Active Directory domain of Samba in a folder, with LDAP on a loopback address of its own. */
export async function startSamba(folder: string, address: string, tls: Certificate, authority: string): Promise<Samba> {
  mkdirSync(folder, { recursive: true });
  const options = ['--realm=CORRAL.EXAMPLE', '--domain=CORRAL', '--server-role=dc', '--host-name=dc1', '--dns-backend=NONE', `--adminpass=${ADMIN_PASSWORD}`];
  await execute('samba-tool', ['domain', 'provision', ...options, `--targetdir=${folder}`], { maxBuffer: 1e8 });
  const conf = join(folder, 'etc', 'smb.conf');
  const settings = {
    interfaces: `${address}/8`,
    'bind interfaces only': 'yes',
    'server services': 'ldap',
    'log file': join(folder, 'log.%m'),
    'pid directory': folder,
    'ncalrpc dir': join(folder, 'ncalrpc'),
    'tls enabled': 'yes',
    'tls keyfile': tls.key,
    'tls certfile': tls.cert,
    'tls cafile': authority,
  };
  const lines = Object.entries(settings).map(([name, value]) => `\t${name} = ${value}`);
  const kept = readFileSync(conf, 'utf8')
    .split('\n')
    .filter((line) => !Object.keys(settings).includes(line.split('=')[0]!.trim()));
  writeFileSync(conf, kept.join('\n').replace('[global]', ['[global]', ...lines].join('\n')));
  const child = spawn('/usr/sbin/samba', ['-i', '-M', 'single', '-s', conf, '--debug-stdout', '-d', '1'], { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (chunk: string) => (said += chunk));
  const ended = new Promise<void>((done) => child.once('exit', () => done()));
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await ended;
  };
  for (let tries = 0; !(await answers(address, 636)); tries++) {
    if (child.exitCode !== null || tries > 600) {
      await stop();
      throw new Error(`samba did not start: ${said}`);
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  return {
    tool: async (...args) => (await execute('samba-tool', [...args, '-s', conf])).stdout,
    async modify(ldif) {
      writeFileSync(join(folder, 'change.ldif'), ldif);
      const admin = ['-x', '-D', `CN=Administrator,CN=Users,${DOMAIN}`, '-w', ADMIN_PASSWORD];
      await execute('ldapmodify', ['-H', `ldaps://${address}`, ...admin, '-f', join(folder, 'change.ldif')], {
        env: { ...process.env, LDAPTLS_CACERT: authority },
      });
    },
    stop,
  };
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, host);
    socket.once('connect', () => {
      socket.destroy();
      done(true);
    });
    socket.once('error', () => done(false));
  });
}
