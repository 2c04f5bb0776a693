/**
 * A real libvirtd by itself: own mount and network namespaces, so that it meets neither the machine's
 * libvirt nor its bridges, and everything goes when it is stopped. Needs root.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

/** Why a real libvirt cannot be had here; null when it can. */
export function libvirtMissing(): string | null {
  for (const program of ['libvirtd', 'virtlogd', 'virsh', 'virt-xml-validate', 'xmllint', 'qemu-system-x86_64', 'unshare', 'nsenter']) {
    if (spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0) return `${program} is not installed`;
  }
  return process.getuid?.() === 0 ? null : 'root is needed';
}

/** A running libvirtd: commands see what it sees. */
export interface Libvirt {
  /** Output of a command inside; throws with its standard error when it fails. */
  run(command: string, ...args: readonly string[]): string;
  virsh(...args: readonly string[]): string;
  stop(): void;
}

// /dev/kvm is hidden behind a file that nobody may open and that is no device: where libvirt's own check
// and QEMU disagree about KVM, libvirt probes QEMU anew at every call and a define takes minutes.
const SETUP = `
set -e
for dir in /run/libvirt /etc/libvirt/qemu /etc/libvirt/secrets /etc/libvirt/storage /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
  mkdir -p $dir
  mount -t tmpfs -o mode=755 tmpfs $dir
done
if [ -e /dev/kvm ]; then
  : >/run/libvirt/no-kvm
  chmod 0 /run/libvirt/no-kvm
  mount --bind /run/libvirt/no-kvm /dev/kvm
fi
# QEMU's own mount namespace cannot take that file along.
echo 'namespaces = []' >/run/libvirt/qemu.conf
mount --bind /run/libvirt/qemu.conf /etc/libvirt/qemu.conf
ip link set lo up
virtlogd --pid-file /run/libvirt/corral-test-log.pid &
log=$!
libvirtd --pid-file /run/libvirt/corral-test.pid &
daemon=$!
trap '' HUP INT TERM
# Our end of this pipe closes with the test's process, however that ends: only our own daemons are ended.
cat >/dev/null
kill -9 $daemon $log
`;

/** Starts a libvirtd and waits until it answers, for at most 30 s. */
export async function startLibvirt(): Promise<Libvirt> {
  const daemon = spawn('unshare', ['--mount', '--net', '--', 'sh', '-c', SETUP], { stdio: ['pipe', 'ignore', 'pipe'] });
  let errors = '';
  daemon.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const inside = (command: string, args: readonly string[]): string =>
    execFileSync('nsenter', [`--target=${daemon.pid}`, '--mount', '--net', '--', command, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
    });
  for (let tries = 0; ; tries += 1) {
    await sleep(250);
    try {
      inside('virsh', ['-c', 'qemu:///system', 'version']);
      break;
    } catch (error) {
      if (tries < 120 && daemon.exitCode === null) continue;
      daemon.stdin.end();
      throw new Error(`libvirtd does not answer: ${errors}`, { cause: error });
    }
  }
  return {
    run: (command, ...args) => inside(command, args),
    virsh: (...args) => inside('virsh', ['-q', ...args]),
    stop: () => {
      daemon.stdin.end();
    },
  };
}
