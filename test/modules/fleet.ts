/** What the tests of the rules stand on. */
import { expect } from 'vitest';
import { buildDocument } from '../../src/documents/index.ts';
import { loadNodes } from '../../src/documents/node.load.ts';
import { openBody } from '../../src/documents/rebuild.load.ts';
import type { DocumentBody } from '../../src/documents/document.ts';
import type { TestCorral } from '../support/corral.ts';
import { GIB, type Input, type WireProblem } from '../http/samples.ts';

export { GIB } from '../http/samples.ts';

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown> & Partial<WireProblem>;
}

/** Sends JSON and reads JSON. */
export async function call(
  corral: Pick<TestCorral, 'request'>,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const answer = await corral.request(path, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, body: text === '' ? {} : (JSON.parse(text) as Answer['body']) };
}

/** Expects a refusal with this status, code and place. */
export async function refuses(answer: Answer | Promise<Answer>, status: number, code: string, pointer?: string): Promise<void> {
  const { status: was, body } = await answer;
  expect([was, body.code, body.detail]).toEqual([status, code, expect.any(String)]);
  if (pointer !== undefined) expect(body.errors?.map((one) => one.pointer)).toContain(pointer);
}

/** A site with hypervisors of one size, one local pool attached to each, and the default network. */
export async function hypervisors(
  corral: Pick<TestCorral, 'make'>,
  count: number,
  host: Input = {},
  { subnet = '10.0.0.0/22', capacity = null as number | null } = {},
): Promise<string[]> {
  await corral.make('site', { name: 'fra1' });
  await corral.make('storage_pool', { name: 'local', kind: 'dir', is_default: true });
  await corral.make('network', { name: 'lan', is_default: true });
  await corral.make('subnet', { network: 'lan', cidr: subnet });
  const names: string[] = [];
  for (let i = 1; i <= count; i++) {
    const fqdn = `hv${i}.example.com`;
    await corral.make('node', { fqdn, site: 'fra1', roles: { hypervisor: { methods: ['KVM'], cores: 64, ram: 256 * GIB, ...host } } });
    await corral.make('pool_attachment', { hypervisor: fqdn, storage_pool: 'local', capacity });
    names.push(fqdn);
  }
  return names;
}

/** Every stored document is what a fresh build gives; every counter is the sum that it stands for. */
export async function expectConsistent(corral: Pick<TestCorral, 'pool' | 'store' | 'db'>): Promise<void> {
  const { rows } = await corral.pool.query<{ node_id: string; hash: string; body: DocumentBody }>(
    'select node_id, d.hash, v.body from document d join document_version v using (node_id, number) order by node_id',
  );
  const fresh = new Map(
    (
      await loadNodes(
        corral.db(),
        rows.map((row) => Number(row.node_id)),
        corral.store.secrets,
        corral.store.catalog,
      )
    ).map((one) => [one.node.id, buildDocument(one)]),
  );
  expect(fresh.size).toBe(rows.length);
  for (const row of rows) {
    const document = fresh.get(Number(row.node_id))!;
    expect(openBody(corral.store.secrets, Number(row.node_id), row.body)).toEqual(document.body);
    expect(row.hash).toBe(document.hash);
  }
  const wrong = await corral.pool.query(`
    select 'hypervisor' as what, h.id, h.allocated_cores::text as counter, h.cores_limit::text as bound, coalesce(sum(v.cores), 0)::text as sum
      from hypervisor h left join vm v on v.hypervisor_id = h.id group by h.id
      having h.allocated_cores <> coalesce(sum(v.cores), 0) or h.allocated_ram <> coalesce(sum(v.ram), 0) or h.allocated_cores > h.cores_limit or h.allocated_ram > h.ram_limit
    union all select 'attachment', a.id, a.allocated::text, a.capacity::text, coalesce(sum(o.size), 0)::text
      from pool_attachment a left join volume o on o.storage_pool_id = a.storage_pool_id and o.hypervisor_id = a.hypervisor_id group by a.id
      having a.allocated <> coalesce(sum(o.size), 0) or a.allocated > a.capacity
    union all select 'pool', s.id, s.allocated::text, s.capacity::text, coalesce(sum(o.size), 0)::text
      from storage_pool s left join volume o on o.storage_pool_id = s.id where s.shared and s.capacity is not null group by s.id
      having s.allocated <> coalesce(sum(o.size), 0) or s.allocated > s.capacity
    union all select 'vm without a volume or a card', v.id, '', '', '' from vm v
      where not exists (select from volume o where o.vm_id = v.id) or not exists (select from vm_interface i where i.vm_id = v.id)
    union all select 'node without a document', n.id, '', '', '' from node n where not exists (select from document d where d.node_id = n.id)
    union all select 'gateway in the pool', a.id, '', '', '' from address a join subnet s on a.address = s.gateway`);
  expect(wrong.rows).toEqual([]);
}

/** The number of each node's document, by name. */
export async function documentNumbers(corral: Pick<TestCorral, 'pool'>): Promise<Record<string, number>> {
  const { rows } = await corral.pool.query<{ fqdn: string; number: number }>('select n.fqdn, d.number from document d join node n on n.id = d.node_id');
  return Object.fromEntries(rows.map((row) => [row.fqdn, row.number]));
}
