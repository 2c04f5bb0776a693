/** Puppet and Salt as the tools of a lab. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { WIRE_ADDRESS, type Host } from './host.ts';
import type { ApplyOptions, Happened, Run, Tool } from './converge.ts';
import { Puppetserver, type Report } from './puppet-rig.ts';
import { startSalt, type SaltRig, type StateRun } from './salt-rig.ts';

/** Empties a folder, or lets it be a disk without room, or its own again. */
function spoilCache(folder: string, state: 'clear' | 'full' | 'normal'): void {
  if (state === 'clear') for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true, force: true });
  if (state === 'normal') execFileSync('umount', [folder]);
  if (state !== 'full') return;
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=777', 'tmpfs', folder]);
  // dd fails, because it fills the disk.
  spawnSync('dd', ['if=/dev/zero', `of=${join(folder, 'else')}`, 'bs=4k']);
}

/** Corral's resources of Puppet's report: `Corral_domain[vm-1]` is the thing `domain vm-1`. */
function fromPuppet(report: Report | undefined, which: 'changed' | 'failed'): Happened[] {
  return Object.entries(report?.resource_statuses ?? {}).flatMap(([reference, { failed, events }]) => {
    const events_ = events.filter(({ status }) => (which === 'failed' ? status === 'failure' : status === 'success' || status === 'noop'));
    if (which === 'failed' ? !failed : events_.length === 0) return [];
    const [, type = reference, title = ''] = /^Corral_(\w+)\[(.*)\]$/.exec(reference) ?? [];
    const thing = type === 'document' ? 'document' : `${type} ${title}`.trim();
    return [{ thing, properties: events_.map(({ property }) => property), text: events_.map(({ message }) => message).join('; ') }];
  });
}

export function puppetTool(): Tool {
  let server: Puppetserver | undefined;
  return {
    name: 'puppet',
    start: async ({ url, serverToken }) => {
      server = await Puppetserver.start({ address: WIRE_ADDRESS, reports: 'corral' });
      server.configure({ url, token: serverToken });
    },
    apply: async (host: Host, { noop, killAfter }: ApplyOptions = {}): Promise<Run> => {
      const { status, output, ms, report } = await server!.agent(host.fqdn, { prefix: host.prefix, noop, killAfter });
      return {
        ok: (status === 0 || status === 2) && report?.status !== 'failed',
        changed: fromPuppet(report, 'changed'),
        failed: fromPuppet(report, 'failed'),
        output,
        seconds: ms / 1000,
      };
    },
    hostd: (host) => {
      const words = server!.agentCommand(host.fqdn);
      const [, host_] = /^CORRAL_HOST_COMMAND=(.*)$/.exec(words[1]!) ?? [];
      return { arguments: words.slice(words.indexOf('agent') + 2), env: { CORRAL_HOST_COMMAND: host_! } };
    },
    cache: (state) => {
      spoilCache(server!.client.cache, state);
      server!.chown();
    },
    stop: async () => server?.stop(),
  };
}

/** Corral's states of a run: `corral.domain` with the name vm-1 is the thing `domain vm-1`. */
function fromSalt({ states }: StateRun, which: 'changed' | 'failed'): Happened[] {
  return states
    .filter(({ result, changes }) => (which === 'failed' ? result === false : result !== false && Object.keys(changes).length > 0))
    .map(({ fun, name, changes, comment }) => {
      const kind = fun.replace(/^corral\./, '');
      return { thing: kind === 'document' ? 'document' : `${kind} ${name}`, properties: Object.keys(changes), text: comment };
    });
}

export function saltTool(): Tool {
  let rig: SaltRig | undefined;
  const folder = mkdtempSync(join(tmpdir(), 'corral-salt-'));
  const cache = join(folder, 'cache');
  mkdirSync(cache);
  return {
    name: 'salt',
    start: async ({ url, serverToken }, hosts) => {
      const token = join(folder, 'token');
      writeFileSync(token, `${serverToken}\n`, { mode: 0o600 });
      const settings = { url, token_file: token, cache_dir: cache };
      const minions = hosts.map(({ fqdn, prefix }) => ({ id: fqdn, prefix }));
      rig = await startSalt({ minions, pillar: settings, tops: settings, reports: settings, address: WIRE_ADDRESS });
    },
    apply: async (host: Host, { noop, killAfter }: ApplyOptions = {}): Promise<Run> => {
      const begun = performance.now();
      const run = await rig!.callApply(host.fqdn, noop === true ? ['test=True'] : [], killAfter === undefined ? {} : { killAfter });
      return {
        ok: run.ok,
        changed: fromSalt(run, 'changed'),
        failed: fromSalt(run, 'failed'),
        output: `${run.refusal}\n${run.said.stdout}\n${run.said.stderr}`,
        seconds: (performance.now() - begun) / 1000,
      };
    },
    hostd: (host) => {
      const words = rig!.callCommand(host.fqdn).slice(host.prefix.length);
      return { arguments: words.slice(1, 3), env: { PATH: `${dirname(words[0]!)}:${process.env['PATH']}`, PYTHONPATH: join(rig!.folder, 'extension') } };
    },
    cache: (state) => spoilCache(cache, state),
    stop: async () => {
      await rig?.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
