import { expect, test } from 'vitest';
import { fleetFile, loadDemo } from '../../src/fleet/demo.ts';
import { importFleet } from '../../src/fleet/import.ts';
import { testCorral } from '../support/corral.ts';

const corral = await testCorral();

async function bodies(): Promise<Record<string, unknown>[]> {
  const out: Record<string, unknown>[] = [];
  for await (const chunk of corral.documents.lines()) for (const line of chunk.trim().split('\n')) out.push(JSON.parse(line) as Record<string, unknown>);
  return out;
}

test('the demonstration fleet loads into a new database, and quickly', async () => {
  const start = performance.now();
  await loadDemo(corral.store);
  expect(performance.now() - start).toBeLessThan(5000);
  const { rows } = await corral.pool.query<Record<string, string>>(`select (select count(*) from node) as nodes, (select count(*) from vm) as vms,
    (select count(*) from document where hash <> '') as documents, (select count(*) from ceph_key) as keys, (select count(distinct kind) from network) as kinds`);
  expect(rows[0]).toEqual({ nodes: '9', vms: '9', documents: '9', keys: '4', kinds: '4' });
});

test('everything in it can be built by its hosts', async () => {
  const served = await bodies();
  expect(served).toHaveLength(8);
  expect(JSON.stringify(served)).not.toContain('unsupported');
});

test('loading it again changes nothing', async () => {
  expect(await importFleet(corral, fleetFile('demo'))).toEqual({ created: {}, updated: {} });
});

test('the small fleet loads, and every virtual machine is whole', async () => {
  const other = await testCorral();
  expect(await importFleet(other, fleetFile('small'))).toEqual({
    created: { sites: 1, nodes: 1, hypervisors: 1, node_interfaces: 1, networks: 1, subnets: 1, storage_pools: 1, pool_attachments: 1, vms: 1 },
    updated: {},
  });
  const { rows } = await other.pool.query<Record<string, string>>(
    `select (select count(*) from volume) as volumes, (select min(address)::text from address where vm_interface_id is not null) as address`,
  );
  expect(rows[0]).toEqual({ volumes: '1', address: '192.0.2.2/32' });
  expect(await importFleet(other, fleetFile('small'))).toEqual({ created: {}, updated: {} });
});
