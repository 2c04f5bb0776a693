// (k) POST /bulk of 10,000 VMs, against PostgreSQL's own COPY of the rows that it made, into the same tables.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseBulk } from '../src/bulk/operations.ts';
import { bulk } from '../src/bulk/run.ts';
import type { Corral } from '../src/corral.ts';
import { median, type Line, type Server } from './support.ts';

const VMS = 10_000;
const ROUNDS = 3;
const request = { operations: Array.from({ length: VMS }, () => ({ op: 'create', noun: 'vm', body: { cores: 1, ram: 1_073_741_824, method: 'QEMU' } })) };

/** The rows that a creation makes, parents first. The addresses of IPv4 are in the pool before: COPY makes them anew. */
const tables = [
  ['vm', 'id > $1'],
  ['volume', 'vm_id > $1'],
  ['vm_interface', 'vm_id > $1'],
  ['network_membership', 'vm_interface_id in (select id from vm_interface where vm_id > $1)'],
  ['address', 'vm_interface_id in (select id from vm_interface where vm_id > $1)'],
] as const;

async function lastVm({ pool }: Corral): Promise<number> {
  return Number((await pool.query<{ id: string }>('select coalesce(max(id), 0) as id from vm')).rows[0]!.id);
}

/** Columns that COPY can write: not those that PostgreSQL computes. */
async function columnsOf({ pool }: Corral, table: string): Promise<string> {
  const { rows } = await pool.query<{ list: string }>(
    `select string_agg(quote_ident(attname), ', ' order by attnum) as list from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = ''`,
    [table],
  );
  return rows[0]!.list;
}

/** Takes what was made since away, so that the next round finds the same fleet. */
async function undo({ pool }: Corral, last: number): Promise<void> {
  await pool.query(
    'delete from address a using subnet s where s.id = a.subnet_id and family(s.cidr) = 6 and a.vm_interface_id in (select id from vm_interface where vm_id > $1)',
    [last],
  );
  await pool.query('delete from volume where vm_id > $1', [last]);
  await pool.query('delete from vm where id > $1', [last]);
  await pool.query('vacuum analyze');
}

/** Seconds that COPY takes for the rows made since, with every trigger and constraint, in one transaction. */
async function copy(corral: Corral, last: number, folder: string): Promise<number> {
  const { pool } = corral;
  const file = (table: string): string => join(folder, table);
  for (const [table, made] of tables)
    await pool.query(`copy (select ${await columnsOf(corral, table)} from ${table} where ${made.replace('$1', String(last))} order by id) to '${file(table)}'`);
  await undo(corral, last);
  const columns = new Map<string, string>();
  for (const [table] of tables) columns.set(table, await columnsOf(corral, table));
  await pool.query(`create table bench_address (like address)`);
  await pool.query(`copy bench_address (${columns.get('address')!}) from '${file('address')}'`);
  await pool.query(`delete from address where address in (select address from bench_address)`);
  const client = await pool.connect();
  const begun = performance.now();
  await client.query('begin');
  for (const [table] of tables) await client.query(`copy ${table} (${columns.get(table)!}) from '${file(table)}'`);
  await client.query('commit');
  const seconds = (performance.now() - begun) / 1000;
  client.release();
  const { rows } = await pool.query<{ n: string }>('select count(*) as n from vm where id > $1', [last]);
  if (Number(rows[0]!.n) !== VMS) throw new Error('COPY did not bring all rows');
  await undo(corral, last);
  await pool.query(
    `insert into address (address, subnet_id) select address, subnet_id from bench_address b join subnet s on s.id = b.subnet_id where family(s.cidr) = 4 on conflict do nothing`,
  );
  await pool.query('drop table bench_address');
  await pool.query('vacuum analyze');
  return seconds;
}

/** @param server over HTTP, when it is measured as a whole */
export async function manyAtOnce(server: Server, corral: Corral): Promise<Line[]> {
  const folder = mkdtempSync(join(tmpdir(), 'corral-copy-'));
  chmodSync(folder, 0o777);
  const ours: number[] = [];
  const theirs: number[] = [];
  const documents: number[] = [];
  try {
    const last = await lastVm(corral);
    for (let round = 0; round < ROUNDS; round++) {
      const begun = performance.now();
      await server.call('POST', '/bulk', request);
      ours.push((performance.now() - begun) / 1000);
      theirs.push(await copy(corral, last, folder));
    }
    /* The same in this process, to say how much of it is building documents. */
    let building = 0;
    const rebuild: typeof corral.store.rebuild = async (tx, nodes) => {
      const begun = performance.now();
      await corral.store.rebuild(tx, nodes);
      building += (performance.now() - begun) / 1000;
    };
    const begun = performance.now();
    await bulk({ ...corral.store, rebuild }, parseBulk(corral.catalog, request));
    documents.push(building / ((performance.now() - begun) / 1000));
    await undo(corral, last);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const ratio = median(ours.map((value, i) => value / theirs[i]!));
  return [
    {
      part: 'k',
      what: `POST /bulk of ${VMS} VMs, documents too (against COPY of their rows)`,
      value: median(ours),
      unit: 's',
      against: median(theirs),
      ratio,
      target: '<= 8 of COPY',
      met: ratio <= 8,
    },
    { part: 'k', what: 'of that, building the documents of their hosts', value: documents[0]! * 100, unit: '%' },
  ];
}
