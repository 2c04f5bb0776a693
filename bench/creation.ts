// (c) creating VMs with placement and addresses, 16 at once over HTTP, against pgbench running the same statements.
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { openCorral, type Corral } from '../src/corral.ts';
import { loadConfig } from '../src/kernel/config.ts';
import { authenticate } from '../src/auth/identity.ts';
import { createThing } from '../src/db/write.ts';
import { ADMIN, median, type Line, type Server } from './support.ts';

const CLIENTS = 16;
const SECONDS = 8;
const ROUNDS = 3;
const VM = { cores: 1, ram: 1_073_741_824, method: 'QEMU' };

interface Captured {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** Room for as many virtual machines as the bench makes: a network, addresses, a pool and large hosts. */
export async function prepare(corral: Corral): Promise<void> {
  const { pool, store, catalog } = corral;
  const make = (noun: string, input: Record<string, unknown>) => createThing(store, catalog.byNoun(noun), input);
  await pool.query(`update network set is_default = false where is_default`);
  await pool.query(`update storage_pool set is_default = false where is_default`);
  await make('network', { name: 'bench', is_default: true });
  for (const second of [200, 201, 202, 203]) await make('subnet', { cidr: `10.${second}.0.0/16`, network: 'bench' });
  await make('subnet', { cidr: 'fd00:bec4::/64', network: 'bench' });
  await make('storage_pool', { name: 'bench', is_default: true });
  await pool.query(
    `insert into pool_attachment (hypervisor_id, storage_pool_id) select id, (select id from storage_pool where name = 'bench') from hypervisor`,
  );
  await pool.query(`update hypervisor set cores = 1024, cpu_overcommit = 100, ram = 1e14::bigint, ram_overcommit = 1`);
  await pool.query(`insert into hypervisor_method select id, 'QEMU' from hypervisor on conflict do nothing`);
  await pool.query('vacuum analyze');
}

/** VMs made per second over HTTP by so many clients at once. */
async function ours(server: Server): Promise<number> {
  const end = performance.now() + SECONDS * 1000;
  let made = 0;
  const begun = performance.now();
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      while (performance.now() < end) {
        await server.call('POST', '/api/v1/vms', VM);
        made++;
      }
    }),
  );
  return made / ((performance.now() - begun) / 1000);
}

/** The statements of one creation, as the driver sends them. */
async function capture(corral: Corral, folder: string): Promise<{ list: Captured[]; vm: number; card: number; node: number }> {
  const list: Captured[] = [];
  const proto = pg.Client.prototype as unknown as { query: (...args: unknown[]) => unknown };
  const original = proto.query;
  proto.query = function query(this: unknown, ...args: unknown[]) {
    const config = args[0];
    if (typeof config === 'string') list.push({ text: config, values: (args[1] as unknown[] | undefined) ?? [] });
    else if (typeof config === 'object' && config !== null && 'text' in config)
      list.push({ text: String(config.text), values: ((config as { values?: unknown[] }).values ?? []) as unknown[] });
    return original.apply(this, args);
  };
  /* Connections keep the query function that they find when they are made: these come after the exchange. */
  const { config } = loadConfig({ DATABASE_URL: corral.url, CORRAL_DATA: folder });
  const watched = await openCorral(config);
  await authenticate(watched.pool, ADMIN);
  list.length = 0;
  await authenticate(watched.pool, ADMIN);
  const row = await createThing(watched.store, watched.catalog.byNoun('vm'), VM);
  proto.query = original;
  await watched.close();
  const { rows } = await corral.pool.query<{ card: string; node: string }>(
    `select i.id as card, h.node_id as node from vm v join vm_interface i on i.vm_id = v.id join hypervisor h on h.id = v.hypervisor_id where v.id = $1`,
    [row['id']],
  );
  return { list, vm: Number(row['id']), card: Number(rows[0]!.card), node: Number(rows[0]!.node) };
}

/** The captured statements as a pgbench script: what one statement gives, the next ones use. */
async function script(corral: Corral, folder: string): Promise<string> {
  const { list, vm, card, node } = await capture(corral, folder);
  await corral.pool.query('drop table if exists bench_value; create table bench_value (name text primary key, value text)');
  const lines: string[] = [];
  for (const [i, { text, values }] of list.entries()) {
    if (text.startsWith('set plan_cache_mode')) continue;
    const vmColumns = /insert into vm \(id, name, ([^)]*)\)/.exec(text)?.[1]?.split(', ');
    const hypervisor = vmColumns ? vmColumns.indexOf('"hypervisor_id"') + 2 : -1;
    const literals: string[] = [];
    for (const [j, value] of values.entries()) {
      const name = `s${i}_${j}`;
      if (j + 1 === hypervisor) literals.push(':p_id');
      else if (Array.isArray(value))
        literals.push(`array[${value.map((one) => (one === vm ? ':v_id' : one === node ? ':t_node_id' : String(one))).join(', ')}]::bigint[]`);
      else if (typeof value === 'number')
        literals.push(value === card ? ':v_card' : value === vm ? ':v_id' : value === node && text.includes('document') ? ':t_node_id' : String(value));
      else if (Buffer.isBuffer(value)) literals.push(`decode('${value.toString('hex')}', 'hex')`);
      else if (value === null || value === undefined) literals.push('null');
      else {
        await corral.pool.query('insert into bench_value values ($1, $2)', [name, String(value)]);
        literals.push(`(select value from bench_value where name = '${name}')`);
      }
    }
    let line = text
      .replace('/* prepared */ ', '')
      .replaceAll(/\s+/g, ' ')
      .replaceAll(/\$(\d+)/g, (_, number: string) => literals[Number(number) - 1]!);
    if (vmColumns) line = line.replace('select v.id, (select json_object_agg', 'select v.id, (select i.id from i) as card, (select json_object_agg');
    const prefix = vmColumns ? 'v_' : line.startsWith('select h.id from hypervisor h') ? 'p_' : line.startsWith('select distinct node_id') ? 't_' : undefined;
    lines.push(prefix ? `${line} \\gset ${prefix}` : `${line};`);
  }
  return `${lines.join('\n')}\n`;
}

export async function creation(server: Server, corral: Corral, hosts: number, folder: string): Promise<{ lines: Line[]; perSecond: number }> {
  let pgbench: string | undefined;
  try {
    pgbench = execFileSync('sh', ['-c', 'command -v pgbench || ls /usr/lib/postgresql/*/bin/pgbench | tail -1'], { encoding: 'utf8' }).trim();
  } catch {
    console.log('(c) pgbench is not installed (Debian package postgresql-contrib): nothing to compare with');
  }
  const file = join(folder, 'create.sql');
  for (let i = 0; i < 20; i++) await server.call('POST', '/api/v1/vms', VM);
  writeFileSync(file, await script(corral, folder));
  const url = new URL(corral.url);
  const yardstick = (): number => {
    const run = spawnSync(
      pgbench!,
      [
        '-n',
        '-M',
        'prepared',
        '-c',
        String(CLIENTS),
        '-j',
        '1',
        '-T',
        String(SECONDS),
        '-f',
        file,
        '-h',
        url.searchParams.get('host')!,
        '-U',
        'corral',
        'corral',
      ],
      { encoding: 'utf8' },
    );
    const perSecond = Number(/tps = ([\d.]+)/.exec(run.stdout)?.[1]);
    if (run.status !== 0 || !Number.isFinite(perSecond)) throw new Error(`pgbench: ${run.stderr.slice(-2000)}`);
    return perSecond;
  };
  const mine: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    mine.push(await ours(server));
    if (pgbench) theirs.push(yardstick());
  }
  const perSecond = median(mine);
  const ratio = median(mine.map((value, i) => value / theirs[i]!));
  const line: Line = { part: 'c', what: `VMs created, ${CLIENTS} at once, ${hosts} hypervisors`, value: perSecond, unit: 'VMs/s' };
  return { perSecond, lines: [pgbench ? { ...line, against: median(theirs), ratio, target: '>= 0.4 of pgbench', met: ratio >= 0.4 } : line] };
}
