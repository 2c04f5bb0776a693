/**
 * A host by itself on this machine: namespaces of its own for mounts, network, processes and its name,
 * with a libvirtd, empty folders for Corral, libvirt and Ceph, and `eth0` on a network that all such
 * hosts and this machine share. Whatever runs in it ends with it. Needs root.
 *
 *   const host = await startHost({ name: 'hv1', index: 11 });
 *   host.run('ip', '-br', 'link');
 *   host.stop();
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The bridge that stands for the cable between the hosts, and this machine's address on it. */
const WIRE = 'corral-e2e';
export const WIRE_ADDRESS = '10.231.77.1';
export const HOST_SOURCE = resolve(import.meta.dirname, '../../host/src');

/** Folders that are empty on each host, and its own. */
const OWN = [
  '/run/libvirt',
  '/etc/libvirt/qemu',
  '/etc/libvirt/secrets',
  '/etc/libvirt/storage',
  '/var/lib/libvirt',
  '/var/cache/libvirt',
  '/var/log/libvirt',
  '/etc/ceph',
  '/run/ceph',
  '/var/log/ceph',
  '/etc/corral',
  '/run/corral-hostd',
  '/run/lock',
];
/** Those that hold too much for memory: on the disk. */
const LARGE = ['/var/lib/ceph', '/var/lib/corral'];

/** Why a host cannot be had here; undefined when it can. */
export function whyNoHost(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  const programs = ['libvirtd', 'virsh', 'qemu-system-x86_64', 'qemu-img', 'unshare', 'nsenter', 'ip', 'xorriso', 'ceph', 'ceph-mon', 'ceph-osd', 'rbd'];
  const missing = programs.find((program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0);
  if (missing !== undefined) return `${missing} is not installed (test/e2e/install.sh installs it)`;
  return spawnSync('/usr/bin/python3', ['-c', 'import libvirt']).status === 0 ? undefined : 'python3-libvirt is not installed';
}

export interface Output {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Host {
  readonly name: string;
  readonly fqdn: string;
  readonly address: string;
  /** What to put before a command so that it runs on the host. */
  readonly prefix: readonly string[];
  /** Output of a command on the host. @throws Error with its standard error when it fails */
  run(command: string, ...args: readonly string[]): string;
  /** The same, and its status instead of an error; without blocking this process. */
  try(command: string, args: readonly string[], options?: { input?: string; timeout?: number; env?: Readonly<Record<string, string>> }): Promise<Output>;
  /** What the shell on the host says. */
  sh(script: string): string;
  virsh(...args: readonly string[]): string;
  /** Cuts the host's cable, and mends it. */
  cable(state: 'up' | 'down'): void;
  stop(): void;
}

export interface HostOptions {
  /** Short name; its domain is example.net. */
  readonly name: string;
  /** Last number of its address. */
  readonly index: number;
}

function setup(fqdn: string, address: string, large: string, log: string): string {
  return `
set -e
hostname ${fqdn}
printf '127.0.0.1 localhost\n${address} ${fqdn} ${fqdn.split('.')[0]}\n' >${large}/hosts
mount --bind ${large}/hosts /etc/hosts
for dir in ${OWN.join(' ')}; do
  mkdir -p $dir
  mount -t tmpfs -o mode=755 tmpfs $dir
done
for dir in ${LARGE.join(' ')}; do
  mkdir -p $dir ${large}$dir
  mount --bind ${large}$dir $dir
done
mkdir -p /var/lib/ceph/mon /var/lib/ceph/osd /var/lib/ceph/mgr /var/lib/ceph/bootstrap-osd
chown -R ceph:ceph /var/lib/ceph /run/ceph /var/log/ceph
: >/run/libvirt/none
chmod 0 /run/libvirt/none
# Without KVM here: where libvirt's own check and QEMU disagree about it, a define takes minutes.
[ ! -e /dev/kvm ] || mount --bind /run/libvirt/none /dev/kvm
echo 'namespaces = []' >/run/libvirt/qemu.conf
echo 'security_driver = "none"' >>/run/libvirt/qemu.conf
mount --bind /run/libvirt/qemu.conf /etc/libvirt/qemu.conf
cat >/etc/corral/corral-host <<'END'
#!/bin/sh
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=${HOST_SOURCE} exec /usr/bin/python3 -m corral_host.cli "$@"
END
chmod 755 /etc/corral/corral-host
# Guests without an operating system do not hear that they should shut down.
printf '[host]\\nshutdown_timeout = 10\\n' >/etc/corral/host.conf
sysctl -qw net.ipv6.conf.all.disable_ipv6=0 || true
ip link set lo up
virtlogd --pid-file /run/libvirt/virtlogd.pid >>${log} 2>&1 &
libvirtd --pid-file /run/libvirt/libvirtd.pid >>${log} 2>&1 &
# Our end of this pipe closes with the test's process, however that ends; all that runs here ends with this shell.
cat >/dev/null
`;
}

function wire(): void {
  // Two runs beside each other may do this at the same time.
  spawnSync('ip', ['link', 'add', WIRE, 'type', 'bridge', 'mcast_snooping', '0']);
  execFileSync('ip', ['addr', 'replace', `${WIRE_ADDRESS}/24`, 'dev', WIRE]);
  execFileSync('ip', ['link', 'set', WIRE, 'up']);
}

/** Makes the network that servers of this machine listen on at WIRE_ADDRESS. */
export const makeWire = wire;

/** Starts a host and waits until its libvirtd answers, for at most 30 s. */
export async function startHost({ name, index }: HostOptions): Promise<Host> {
  wire();
  const fqdn = `${name}.example.net`;
  const address = `10.231.77.${index}`;
  const folder = mkdtempSync(join(tmpdir(), `corral-${name}-`));
  const log = join(folder, 'log');
  writeFileSync(log, '');
  const flags = ['--mount', '--net', '--uts', '--pid', '--fork', '--kill-child', '--mount-proc', '--propagation', 'private'];
  const outer = spawn('unshare', [...flags, '--', 'sh', '-c', setup(fqdn, address, folder, log)], { stdio: ['pipe', 'ignore', 'pipe'] });
  let errors = '';
  outer.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const pid = await childOf(outer.pid!);
  const prefix = ['nsenter', `--target=${pid}`, '--mount', '--net', '--uts', '--pid', '--'];
  const port = `ce-${index}`;
  // One that was killed may have left its own.
  spawnSync('ip', ['link', 'del', port]);
  execFileSync('ip', ['link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(pid)]);
  execFileSync('ip', ['link', 'set', port, 'master', WIRE, 'up']);
  const run = (command: string, ...args: readonly string[]): string =>
    execFileSync(prefix[0]!, [...prefix.slice(1), command, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 120_000,
      maxBuffer: 64 * 1024 * 1024,
    });
  run('ip', 'addr', 'add', `${address}/24`, 'dev', 'eth0');
  run('ip', 'link', 'set', 'eth0', 'up');
  const stop = (): void => {
    outer.stdin.end();
    spawnSync('kill', ['-9', String(pid)]);
    spawnSync('ip', ['link', 'del', port]);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  };
  for (let tries = 0; ; tries += 1) {
    await sleep(250);
    try {
      run('virsh', '-c', 'qemu:///system', 'version');
      break;
    } catch (error) {
      if (tries < 120 && outer.exitCode === null) continue;
      const said = readFileSync(log, 'utf8').slice(-2000);
      stop();
      throw new Error(`libvirtd does not answer: ${errors}${said}`, { cause: error });
    }
  }
  const attempt: Host['try'] = (command, args, { input, timeout, env } = {}) =>
    new Promise((done) => {
      const child = spawn(prefix[0]!, [...prefix.slice(1), command, ...args], { env: { ...process.env, ...env }, timeout: timeout ?? 600_000 });
      let stdout = '';
      let stderr = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
      child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      child.on('close', (status) => done({ status: status ?? 255, stdout, stderr }));
      child.on('error', (error) => done({ status: 255, stdout, stderr: stderr + String(error) }));
      child.stdin.on('error', () => undefined);
      child.stdin.end(input ?? '');
    });
  return {
    name,
    fqdn,
    address,
    prefix,
    run,
    try: attempt,
    sh: (script) => run('sh', '-c', script),
    virsh: (...args) => run('virsh', '-q', ...args),
    cable: (state) => void execFileSync('ip', ['link', 'set', port, state]),
    stop,
  };
}

/** unshare --fork has one child: the first process of the host. */
async function childOf(parent: number): Promise<number> {
  const file = `/proc/${parent}/task/${parent}/children`;
  for (let tries = 0; tries < 200; tries += 1) {
    const text = existsSync(file) ? execFileSync('cat', [file], { encoding: 'utf8' }).trim() : '';
    if (text !== '') return Number(text.split(' ')[0]);
    // oxlint-disable-next-line no-await-in-loop
    await sleep(20);
  }
  throw new Error('unshare did not start');
}
