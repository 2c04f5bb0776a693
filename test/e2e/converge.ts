/**
 * What both tools have to make of the same fleet on real hosts. `converge.puppet.test.ts` and
 * `converge.salt.test.ts` run it, each with its own tool.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startCorral, type RunningCorral } from './corral.ts';
import { makeWire, startHost, WIRE_ADDRESS, type Host } from './host.ts';
import { startProxy, type Proxy } from './proxy.ts';

/** What one thing of the document came to in a run: `domain vm-1`, `bridge br-1-0`. */
export interface Happened {
  readonly thing: string;
  /** Properties that changed, or would. */
  readonly properties: readonly string[];
  /** What the tool says of it. */
  readonly text: string;
}

export interface Run {
  /** Whether the tool counts the run as good. */
  readonly ok: boolean;
  readonly changed: readonly Happened[];
  readonly failed: readonly Happened[];
  /** All that it printed. */
  readonly output: string;
  readonly seconds: number;
}

export interface ApplyOptions {
  /** Say what would change, and change nothing. */
  readonly noop?: boolean;
  /** Ends the tool with SIGKILL, with all that it started, after so many milliseconds. */
  readonly killAfter?: number;
}

/** Puppet or Salt. */
export interface Tool {
  readonly name: 'puppet' | 'salt';
  /** Sets up the server of the tool for this Corral, and its agents on these hosts. */
  start(at: { url: string; serverToken: string }, hosts: readonly Host[]): Promise<void>;
  /** One run of the agent on a host. */
  apply(host: Host, options?: ApplyOptions): Promise<Run>;
  /** What corral-hostd needs to start the tool on a host: more arguments, and its environment. */
  hostd(host: Host): { readonly arguments: readonly string[]; readonly env: Readonly<Record<string, string>> };
  /** Loses or spoils the copies of documents that the tool's server keeps. */
  cache(state: 'clear' | 'full' | 'normal'): void;
  stop(): Promise<void>;
}

/** Corral, two hosts and a tool, ready for a first run. */
export interface Lab {
  readonly corral: RunningCorral;
  readonly proxy: Proxy;
  readonly hv1: Host;
  readonly hv2: Host;
  stop(): Promise<void>;
}

/** What the proofs share. */
export interface Scene {
  readonly tool: Tool;
  readonly lab: Lab;
  readonly hv1: Host;
  readonly hv2: Host;
  /** Ids of the virtual machines by name. */
  readonly ids: Record<string, number>;
  /** The domain of a virtual machine. */
  domain(name: string): string;
  /** A run that has to go well; its output is in the error when it does not. */
  converge(host: Host): Promise<Run>;
  /** The same, and it changes just these things. */
  mends(host: Host, ...names: readonly string[]): Promise<Run>;
  /** After tombstones: a run that notes that they have left the document, and one without changes. */
  settles(host: Host): Promise<void>;
  /** The node as the API shows it. */
  status(host: Host): Promise<Record<string, unknown>>;
  /** Waits until the API says this of the node: reports come a moment after the run. */
  becomes(host: Host, status: string): Promise<void>;
  change(path: string, body: object): Promise<unknown>;
}

/** Names of the things that changed. */
export const things = (run: Run): string[] => run.changed.map((one) => one.thing).toSorted();

/** The rows of a list of the API. */
export async function listOf<T>(corral: RunningCorral, path: string): Promise<T[]> {
  const page = await corral.call('GET', path);
  return Object.values(page).find((value) => Array.isArray(value)) as T[];
}

/** Waits until a domain's guest has booted and its agent answers. */
export async function guestUp(host: Host, domain: string): Promise<void> {
  const ping = (): string => host.virsh('qemu-agent-command', domain, '{"execute":"guest-ping"}');
  await until(`the guest of ${domain} answers`, 90, ping, (answer) => answer.includes('return'));
}

/** Size of the file that stands for an OSD's disk. It is sparse. */
const OSD_BYTES = 2 * 1024 ** 3;

export async function startLab(tool: Tool): Promise<Lab> {
  makeWire();
  const folder = mkdtempSync(join(tmpdir(), 'corral-lab-'));
  const image = join(folder, 'guest.img');
  execFileSync('sh', [resolve(import.meta.dirname, 'guest.sh'), image]);
  const images = http.createServer((_, response) => createReadStream(image).pipe(response.writeHead(200)));
  await new Promise<void>((done) => images.listen(0, WIRE_ADDRESS, done));
  const stops: (() => Promise<void> | void)[] = [() => rmSync(folder, { recursive: true, force: true }), () => void images.close()];
  const stop = async (): Promise<void> => {
    // oxlint-disable-next-line no-await-in-loop -- the last first
    for (const one of stops.toReversed()) await one();
  };
  try {
    const hosts: Host[] = [];
    for (const [name, index] of [
      ['hv1', 31],
      ['hv2', 32],
    ] as const) {
      // oxlint-disable-next-line no-await-in-loop
      const host = await startHost({ name, index });
      stops.push(() => host.stop());
      hosts.push(host);
      for (const disk of ['osd1.img', 'osd2.img']) host.run('truncate', '-s', String(OSD_BYTES), `/var/lib/corral/${disk}`);
    }
    const corral = await startCorral({ HOST: WIRE_ADDRESS });
    stops.push(() => corral.stop());
    const fleet = readFileSync(resolve(import.meta.dirname, '../../fixtures/fleets/converge.yaml'), 'utf8')
      .replaceAll('manager: MANAGER', `manager: ${tool.name}`)
      .replace('"IMAGE"', `"http://${WIRE_ADDRESS}:${(images.address() as AddressInfo).port}/guest.img"`)
      .replace('"CHECKSUM"', `"sha256:${createHash('sha256').update(readFileSync(image)).digest('hex')}"`);
    writeFileSync(join(folder, 'fleet.yaml'), fleet);
    corral.command('import', join(folder, 'fleet.yaml'));
    const proxy = await startProxy(corral.url, WIRE_ADDRESS);
    stops.push(() => proxy.close());
    const [hv1, hv2] = hosts as [Host, Host];
    const serverToken = String((await corral.call('POST', '/api/v1/tokens', { name: 'server', kind: 'server' }))['token']);
    stops.push(() => tool.stop());
    await tool.start({ url: proxy.url, serverToken }, hosts);
    return { corral, proxy, hv1, hv2, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The id of the QEMU process of a domain: the same before and after means that it was not restarted. */
export function qemuPid(host: Host, domain: string): string {
  return host.sh(`cat /run/libvirt/qemu/${domain}.pid`).trim();
}

/** What QEMU itself says. */
export function monitor(host: Host, domain: string, command: string): string {
  return host.virsh('qemu-monitor-command', domain, '--hmp', command);
}

/** A value of a domain's XML as libvirt has it now, by XPath. */
export function domainValue(host: Host, domain: string, xpath: string, ...flags: readonly string[]): string {
  return host.sh(`virsh -q dumpxml ${flags.join(' ')} ${domain} | xmllint --xpath 'string(${xpath})' -`).trim();
}

export function domains(host: Host): Record<string, string> {
  const lines = host.virsh('list', '--all').split('\n').filter(Boolean);
  return Object.fromEntries(
    lines.map((line) => {
      const [, name, ...state] = line.trim().split(/\s+/);
      return [name!, state.join(' ')];
    }),
  );
}

/** Asks again until it is so, for at most so many seconds. @throws Error with the last answer */
export async function until<T>(what: string, seconds: number, ask: () => T | Promise<T>, good: (answer: T) => boolean): Promise<T> {
  let last: unknown;
  for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
    try {
      // oxlint-disable-next-line no-await-in-loop
      const answer = await ask();
      if (good(answer)) return answer;
      last = answer;
    } catch (error) {
      last = error;
    }
    // oxlint-disable-next-line no-await-in-loop
    await sleep(250);
  }
  throw new Error(`${what}: not within ${seconds} s; last: ${last instanceof Error ? last.message : JSON.stringify(last)}`);
}

/** Everything on a host that Corral may change, as text: the same text means that nothing changed. */
export function stateOf(host: Host): string {
  return host.sh(`
    for d in $(virsh -q list --all --name | sort); do echo "== $d"; virsh -q domstate $d; virsh -q dumpxml --inactive $d | sha256sum; done
    virsh -q pool-list --all | sort; virsh -q secret-list | sort
    find /var/lib/corral/volumes -type f -printf '%p %s\\n' 2>/dev/null | sort
    ip -o link show | sed 's/^[0-9]*: //; s/ state .*//; s/qlen.*//' | sort
    ip -o addr show | awk '{print $2, $4}' | sort; ip route | sort
    find /etc/ceph /etc/corral -type f -exec sha256sum {} + 2>/dev/null | sort -k2
  `);
}
