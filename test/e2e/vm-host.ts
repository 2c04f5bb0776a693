/**
 * A host that is a virtual machine, on the same cable as the others: systemd, device-mapper and VLANs
 * are real there, whatever this machine's kernel lacks. Without KVM it takes a minute to boot.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask, execute, writeGuestFile } from './guest-agent.ts';
import { makeWire, type Output } from './host.ts';

export const VM_IMAGE = join(process.env['CORRAL_E2E_DIR'] ?? '/var/cache/corral-e2e', 'vm', 'host.qcow2');

/** Why such a host cannot be had here; undefined when it can. */
export function whyNoVm(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync(VM_IMAGE)) return `there is no ${VM_IMAGE} (test/e2e/install.sh makes it)`;
  const kernels = readdirSync('/boot').some((name) => /^vmlinuz-.*-cloud-amd64$/.test(name));
  return kernels && existsSync('/dev/net/tun') ? undefined : 'needs the package linux-image-cloud-amd64 and /dev/net/tun';
}

export interface VmHost {
  readonly name: string;
  readonly fqdn: string;
  readonly address: string;
  try(command: string, args: readonly string[], options?: { timeout?: number }): Promise<Output>;
  /** What the shell on the host says. @throws Error when it fails */
  sh(script: string, timeout?: number): Promise<string>;
  write(path: string, content: Buffer | string): Promise<void>;
  /** Pulls the plug and starts it again. */
  reboot(): Promise<void>;
  stop(): void;
}

const TAP = 'ce-hv3';

/** Starts the host hv3.example.net with two empty disks, /dev/vdb and /dev/vdc, and waits until it has booted. */
export async function startVmHost(): Promise<VmHost> {
  makeWire();
  const folder = mkdtempSync(join(tmpdir(), 'corral-hv3-'));
  const socket = join(folder, 'agent');
  const kernel = readdirSync('/boot')
    .filter((name) => /^vmlinuz-.*-cloud-amd64$/.test(name))
    .toSorted()
    .at(-1)!;
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', VM_IMAGE, join(folder, 'disk')]);
  const disks = ['vdb', 'vdc'].map((name) => join(folder, name));
  for (const disk of disks) execFileSync('truncate', ['-s', '4G', disk]);
  spawnSync('ip', ['link', 'del', TAP]);
  execFileSync('ip', ['tuntap', 'add', 'dev', TAP, 'mode', 'tap']);
  execFileSync('ip', ['link', 'set', TAP, 'master', 'corral-e2e', 'up']);
  const boot = async (): Promise<() => void> => {
    const drive = (file: string, format: string): string[] => ['-drive', `file=${file},format=${format},if=virtio,cache=unsafe`];
    const child = spawn(
      'qemu-system-x86_64',
      [
        ['-M', 'q35', '-smp', '2', '-m', '2048', '-cpu', 'max', '-nographic', '-serial', `file:${join(folder, 'console')}`, '-monitor', 'none'],
        ['-kernel', join('/boot', kernel), '-initrd', join('/boot', kernel.replace('vmlinuz', 'initrd.img'))],
        ['-append', 'root=/dev/vda rw console=ttyS0 quiet net.ifnames=0 mitigations=off'],
        drive(join(folder, 'disk'), 'qcow2'),
        disks.flatMap((disk) => drive(disk, 'raw')),
        ['-netdev', `tap,id=net0,ifname=${TAP},script=no,downscript=no`, '-device', 'virtio-net-pci,netdev=net0,mac=52:54:00:77:00:15'],
        ['-device', 'virtio-serial', '-chardev', `socket,path=${socket},server=on,wait=off,id=agent`],
        ['-device', 'virtserialport,chardev=agent,name=org.qemu.guest_agent.0'],
      ].flat(),
      { stdio: 'ignore' },
    );
    const end = (): void => void child.kill('SIGKILL');
    for (const limit = Date.now() + 900_000; ;) {
      try {
        // oxlint-disable-next-line no-await-in-loop
        await ask(socket, 'guest-ping', {}, 3000);
        return end;
      } catch (error) {
        if (Date.now() > limit || child.exitCode !== null) {
          end();
          throw new Error(`hv3 did not boot: ${readFileSync(join(folder, 'console'), 'utf8').slice(-2000)}`, { cause: error });
        }
        // oxlint-disable-next-line no-await-in-loop
        await sleep(1000);
      }
    }
  };
  let end = await boot();
  const attempt: VmHost['try'] = (command, args, { timeout } = {}) => execute(socket, command, args, timeout);
  return {
    name: 'hv3',
    fqdn: 'hv3.example.net',
    address: '10.231.77.21',
    try: attempt,
    sh: async (script, timeout) => {
      const { status, stdout, stderr } = await execute(socket, '/bin/sh', ['-c', script], timeout);
      if (status !== 0) throw new Error(`${script}: ${status} ${stderr}${stdout}`);
      return stdout;
    },
    write: (path, content) => writeGuestFile(socket, path, Buffer.from(content)),
    reboot: async () => {
      end();
      await sleep(1000);
      end = await boot();
    },
    stop: () => {
      end();
      spawnSync('ip', ['link', 'del', TAP]);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
}
