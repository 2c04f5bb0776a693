import { beforeAll, expect, test } from 'vitest';
import type { Corral } from '../../src/corral.ts';
import { loadDemo } from '../../src/fleet/demo.ts';
import { exportFleet } from '../../src/fleet/export.ts';
import { importFleet } from '../../src/fleet/import.ts';
import { testCorral } from '../support/corral.ts';

const corral = await testCorral();

async function exported(from: Corral, secrets = true): Promise<string> {
  let text = '';
  for await (const chunk of exportFleet(from, { secrets })) text += chunk;
  return text;
}

async function hashes(of: Corral): Promise<unknown[]> {
  return (await of.pool.query('select n.fqdn, d.hash from document d join node n on n.id = d.node_id order by n.fqdn')).rows;
}

async function totals(of: Corral): Promise<unknown> {
  return (
    await of.pool
      .query(`select (select json_agg(x order by fqdn) from (select n.fqdn, h.allocated_cores, h.allocated_ram from hypervisor h join node n on n.id = h.node_id) x) as hosts,
      (select json_agg(x) from (select a.allocated from pool_attachment a order by a.id) x) as attachments, (select json_agg(x) from (select name, allocated, capacity from storage_pool order by name) x) as pools,
      (select json_agg(x) from (select subnet_id, count(*), count(vm_interface_id) from address group by 1 order by 1) x) as addresses`)
  ).rows[0];
}

beforeAll(async () => {
  await loadDemo(corral.store);
});

test('an export into an empty database gives the same fleet, the same documents and the same export', async () => {
  const text = await exported(corral);
  const other = await testCorral();
  const result = await importFleet(other, text);
  expect(result.updated).toEqual({});
  expect(result.created).toMatchObject({ nodes: 9, vms: 9, ceph_keys: 4, addresses: 22 });
  expect(await exported(other)).toBe(text);
  expect(await hashes(other)).toEqual(await hashes(corral));
  expect(await totals(other)).toEqual(await totals(corral));
});

test('importing an export where it came from changes nothing', async () => {
  expect(await importFleet(corral, await exported(corral))).toEqual({ created: {}, updated: {} });
});

test('without secrets new ones are made, and all else is the same', async () => {
  const text = await exported(corral, false);
  expect(text).not.toMatch(/AQ[A-Za-z0-9+/]{36}==/);
  expect(await exported(corral)).toMatch(/AQ[A-Za-z0-9+/]{36}==/);
  const other = await testCorral();
  await importFleet(other, text);
  expect(await exported(other, false)).toBe(text);
});

test('what was changed in the source since is brought over by importing again, row by row', async () => {
  const other = await testCorral();
  await importFleet(other, await exported(corral));
  await corral.request('/api/v1/nodes/mon1.fra1.example.com', {
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: '{"location":"moved","roles":{"ceph_mon":{"port":6790}}}',
  });
  await corral.request('/api/v1/vms/2', { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: '{"cores":1,"metadata":{"tier":"new"}}' });
  expect(await importFleet(other, await exported(corral))).toEqual({ created: {}, updated: { nodes: 1, ceph_mon_nodes: 1, vms: 1 } });
  expect(await hashes(other)).toEqual(await hashes(corral));
});

test('new things in the copy do not meet the ids and addresses that came with the export', async () => {
  const other = await testCorral();
  await importFleet(other, await exported(corral));
  for (let i = 0; i < 5; i++) await other.make('vm', { cores: 1, ram: 1_073_741_824, method: 'KVM' });
  const { rows } = await other.pool.query('select id from vm order by id');
  expect(rows).toHaveLength(14);
});

test('a gap in a pool of free addresses, odd strings, and free addresses of large subnets come through', async () => {
  const source = await testCorral();
  await importFleet(
    source,
    `sites: [{name: x1, description: "%{::danger} 'quoted' \\"twice\\" : # \\\\ \\u2028 no: yes"}]
networks: [{name: n}]
subnets: [{cidr: 10.9.0.0/29, network: n, gateway: 10.9.0.1}, {cidr: 10.9.0.8/32, network: n}, {cidr: 10.9.0.10/31, network: n}, {cidr: "2001:db8:9::/48", network: n}, {cidr: "2001:db8:8::/120", network: n, gateway: "2001:db8:8::1"}]
addresses: [{address: "2001:db8:9::7", subnet: "2001:db8:9::/48"}]
customers: [{name: c, title: "line\\nbreak\\ttab"}, {name: "1e3"}, {name: "null"}]`,
  );
  await source.request('/api/v1/addresses/10.9.0.3', { method: 'DELETE' });
  const text = await exported(source);
  expect(text.match(/fill: false/g)).toHaveLength(1);
  const other = await testCorral();
  await importFleet(other, text);
  expect(await exported(other)).toBe(text);
  const addresses = 'select address::text, subnet_id from address order by address';
  expect((await other.pool.query(addresses)).rows).toEqual((await source.pool.query(addresses)).rows);
});
