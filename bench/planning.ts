// (h) a dry run over HTTP against the write itself, on hosts of about 10 and 50 VMs.
import type { Corral } from '../src/corral.ts';
import { createThing } from '../src/db/write.ts';
import type { DocumentBody } from '../src/documents/document.ts';
import { openBody } from '../src/documents/rebuild.load.ts';
import { median, type Line, type Server } from './support.ts';

const ROUNDS = 60;
const WARM = 10;

const VM = { method: 'QEMU', cores: 1, ram: 1_073_741_824 };

/** A host with as many virtual machines in the fleet's midst. @returns its name, one of its VMs, and the size of its document */
async function makeHost({ store, catalog, pool }: Corral, vms: number): Promise<{ node: string; vm: number; bytes: number }> {
  const make = (noun: string, input: Record<string, unknown>) => createThing(store, catalog.byNoun(noun), input);
  const node = `planned${vms}.example.com`;
  const { rows: sites } = await pool.query<{ name: string }>('select name from site order by id limit 1');
  await make('node', { fqdn: node, site: sites[0]!.name, roles: { hypervisor: { methods: ['QEMU'], cores: 512, ram: 1e13 } } });
  await make('pool_attachment', { hypervisor: node, storage_pool: 'bench' });
  let vm = 0;
  for (let i = 0; i < vms; i++) vm = Number((await make('vm', { ...VM, hypervisor: node }))['id']);
  const { rows } = await pool.query<{ id: string; body: DocumentBody }>(
    'select n.id, v.body from document d join document_version v using (node_id, number) join node n on n.id = d.node_id where n.fqdn = $1',
    [node],
  );
  const body = openBody(store.secrets, Number(rows[0]!.id), rows[0]!.body);
  return { node, vm, bytes: JSON.stringify(body).length };
}

async function time(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

/** Medians of the dry run and of the write, one after the other so that both meet the same machine. */
async function compare(
  dry: () => Promise<unknown>,
  write: (round: number) => Promise<unknown>,
  after?: (made: unknown) => Promise<unknown>,
): Promise<[number, number]> {
  const times: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS + WARM; round++) {
    const planned = await time(dry);
    let made: unknown;
    const written = await time(async () => (made = await write(round)));
    await after?.(made);
    if (round < WARM) continue;
    times[0].push(planned);
    times[1].push(written);
  }
  return [median(times[0]), median(times[1])];
}

/** Needs what `prepare` of creation.ts makes. */
export async function planning(server: Server, corral: Corral): Promise<Line[]> {
  const lines: Line[] = [];
  for (const vms of [10, 50]) {
    const { node, vm, bytes } = await makeHost(corral, vms);
    const path = `/api/v1/vms/${vm}`;
    const add = (what: string, [planned, written]: [number, number]): void => {
      const ratio = planned / written;
      const where = `${vms} VMs (${(bytes / 1000).toFixed(0)} kB)`;
      lines.push({
        part: 'h',
        what: `dry run of ${what} on a host of ${where}`,
        value: planned,
        unit: 'ms',
        against: written,
        ratio,
        target: '<= 1.5 times the write',
        met: ratio <= 1.5,
      });
    };
    let limit = 10;
    add(
      'a change of a VM',
      await compare(
        () => server.call('PATCH', `${path}?dry_run=true`, { cputime_limit: 9 }),
        () => server.call('PATCH', path, { cputime_limit: (limit = limit === 10 ? 20 : 10) }),
      ),
    );
    const input = { ...VM, hypervisor: node };
    add(
      'a new VM',
      await compare(
        () => server.call('POST', '/api/v1/vms?dry_run=true', input),
        () => server.call('POST', '/api/v1/vms', input),
        /* So that the host stays of its size; its tombstones go as if it had reported them gone. */
        async (made) => {
          await server.call('DELETE', `/api/v1/vms/${String((made as { id: number }).id)}`).catch(() => undefined);
          await corral.pool.query(`delete from tombstone where node_id = (select id from node where fqdn = $1)`, [node]);
        },
      ),
    );
  }
  return lines;
}
