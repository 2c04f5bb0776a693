/** Proofs 9 and 10: how long it takes, in print. Nothing here fails for being slow. */
import { spawn, type ChildProcess } from 'node:child_process';
import { afterAll, describe, expect, it } from 'vitest';
import { domains, listOf, until, type Scene } from './converge.ts';
import { HOST_SOURCE, type Host } from './host.ts';

interface RunRecord {
  readonly started_at?: string;
  readonly finished_at?: string;
  readonly ok?: boolean;
}

const record = (host: Host): RunRecord => JSON.parse(host.sh('cat /var/lib/corral/run.json 2>/dev/null || echo {}')) as RunRecord;

/** Starts corral-hostd on a host, with the tool as it is set up there. */
async function startHostd(scene: Scene, host: Host): Promise<ChildProcess> {
  const token = await scene.lab.corral.nodeToken(host.fqdn);
  const { arguments: more, env } = scene.tool.hostd(host);
  const hostd = ['[hostd]', `url = ${scene.lab.corral.url}`, `node = ${host.fqdn}`, `tool = ${scene.tool.name}`, 'start = command', 'interval = 2'];
  hostd.push(`arguments = ${more.join(' ')}`, 'command = /usr/bin/python3 -m corral_host.converge', '');
  await host.try('sh', ['-c', 'umask 077; cat > /etc/corral/node.token'], { input: token });
  await host.try('sh', ['-c', 'cat > /etc/corral/hostd.conf'], { input: hostd.join('\n') });
  const [first = '', ...rest] = [...host.prefix, '/usr/bin/python3', '-m', 'corral_host.hostd.main'];
  const path = [HOST_SOURCE, env['PYTHONPATH']].filter(Boolean).join(':');
  const child = spawn(first, rest, {
    env: { ...process.env, ...env, PYTHONPATH: path, PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  child.once('exit', (code) => code !== null && code !== 0 && console.error(said));
  return child;
}

export function speedProofs(scene: Scene): void {
  describe('9. from POST /vms to a running domain, with corral-hostd', () => {
    let hostd: ChildProcess | undefined;
    // The whole group: nsenter does not pass it on.
    afterAll(() => void (hostd && process.kill(-hostd.pid!, 'SIGTERM')));

    it('starts the tool by itself when the document changes', async () => {
      const { hv2 } = scene;
      hostd = await startHostd(scene, hv2);
      await until(
        'a heartbeat',
        30,
        () => scene.status(hv2),
        (node) => JSON.stringify(node).includes('boot_id'),
      );
      await until(
        'no run going on',
        120,
        () => record(hv2),
        ({ started_at, finished_at }) => started_at === undefined || finished_at !== undefined,
      );
      const rows: string[][] = [];
      for (let n = 0; n < 3; n += 1) {
        const begun = Date.now();
        // oxlint-disable-next-line no-await-in-loop
        const made = await scene.lab.corral.call('POST', '/api/v1/vms', {
          name: `quick-${n}`,
          method: 'QEMU',
          hypervisor: hv2.fqdn,
          cores: 1,
          ram: 67_108_864,
          cpu_mode: 'custom',
          cpu_model: 'qemu64',
          volumes: [{ storage_pool: 'local', size: 16_777_216 }],
        });
        const committed = Date.now();
        // oxlint-disable-next-line no-await-in-loop
        await until(
          'a running domain',
          120,
          () => domains(hv2)[`vm-${String(made['id'])}`],
          (state) => state === 'running',
        );
        const running = Number(hv2.sh(`stat -c %.3Y /run/libvirt/qemu/vm-${String(made['id'])}.pid`)) * 1000;
        // oxlint-disable-next-line no-await-in-loop
        const seen = await scene.lab.corral.call('GET', `/api/v1/vms/${String(made['id'])}?wait=converged&timeout=120`);
        const known = Date.now();
        expect(seen).toMatchObject({ observed_state: 'running' });
        // oxlint-disable-next-line no-await-in-loop
        const { started_at, finished_at } = await until(
          'the end of the run',
          60,
          () => record(hv2),
          (run) => run.finished_at !== undefined,
        );
        const at = (time: string | undefined): number => Date.parse(time!);
        // oxlint-disable-next-line no-await-in-loop
        const [report] = await listOf<{ began_at: string }>(scene.lab.corral, `/api/v1/reports?node=${hv2.fqdn}&limit=1`);
        rows.push(
          [
            committed - begun,
            at(started_at) - committed,
            at(report!.began_at) - at(started_at),
            running - at(report!.began_at),
            running - begun,
            at(finished_at) - begun,
            known - begun,
          ].map((ms) => (ms / 1000).toFixed(2)),
        );
      }
      const names = ['commit', 'notice', 'tool start', 'compile and apply', 'POST to running', 'POST to end of run', 'POST to converged at the API'];
      console.log(
        `${scene.tool.name}, seconds:\n${names.map((name, i) => `  ${name.padEnd(30)} ${rows.map((row) => row[i]!.padStart(7)).join(' ')}`).join('\n')}`,
      );
    });
  });

  it('10. a host with 100 domains and nothing to change', async () => {
    const { hv2 } = scene;
    await scene.converge(hv2);
    const few = (await scene.mends(hv2)).seconds;
    const count = Object.keys(domains(hv2)).length;
    for (let n = count; n < 100; n += 1) {
      // oxlint-disable-next-line no-await-in-loop
      await scene.lab.corral.call('POST', '/api/v1/vms', {
        name: `many-${n}`,
        method: 'QEMU',
        state: 'stopped',
        hypervisor: hv2.fqdn,
        cores: 1,
        ram: 67_108_864,
        cpu_mode: 'custom',
        cpu_model: 'qemu64',
        volumes: [{ storage_pool: 'local', size: 1_048_576 }],
      });
    }
    const made = (await scene.converge(hv2)).seconds;
    const many = (await scene.mends(hv2)).seconds;
    expect(Object.keys(domains(hv2))).toHaveLength(100);
    console.log(
      `${scene.tool.name}: nothing to do: ${few.toFixed(1)} s with ${count} domains, ${many.toFixed(1)} s with 100; making the others took ${made.toFixed(1)} s`,
    );
  });
}
