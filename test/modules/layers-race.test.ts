/** Layers beside writers that change whom they reach; and layers in fleet files. */
import { beforeAll, expect, test } from 'vitest';
import { exportFleet } from '../../src/fleet/export.ts';
import { importFleet } from '../../src/fleet/import.ts';
import { testCorral } from '../support/corral.ts';
import { call, expectConsistent, GIB, hypervisors } from './fleet.ts';

const corral = await testCorral();
const empty = await testCorral();
let hosts: string[];

const post = (path: string, body: object) => call(corral, 'POST', `/api/v1/${path}`, body);
const customers = ['acme', 'globex', 'initech'];

beforeAll(async () => {
  hosts = await hypervisors(corral, 4);
  await corral.make('site', { name: 'ams1' });
  for (const name of customers) {
    await corral.make('customer', { name });
    await corral.make('layer', { name, scope: 'customer', customer: name, data: { [`of_${name}`]: 1 }, secrets: { [`key_${name}`]: `hush ${name}` } });
  }
  await corral.make('node_group', { name: 'ams', selector: 'site=ams1&facts.cores__gte=4' });
  await corral.make('layer', { name: 'ams', scope: 'group', node_group: 'ams', data: { ams: true } });
});

test('documents have the layers of their machines and groups while machines, nodes, facts and layers change at once', async () => {
  let seed = 1;
  const pick = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const statuses = new Map<number, number>();
  const say = (status: number): unknown => statuses.set(status, (statuses.get(status) ?? 0) + 1);
  const machines = async (): Promise<void> => {
    for (let i = 0; i < 8; i++) {
      const made = await post('vms', { cores: 1, ram: GIB, method: 'KVM', state: 'stopped', customer: customers[pick(3)], hypervisor: hosts[pick(4)] });
      say(made.status);
      const path = `/api/v1/vms/${String(made.body['id'])}`;
      say((await call(corral, 'PATCH', path, { customer: customers[pick(3)] })).status);
      if (pick(2) === 0) say((await call(corral, 'DELETE', path)).status);
    }
  };
  const nodes = async (): Promise<void> => {
    for (let i = 0; i < 10; i++) say((await call(corral, 'PATCH', `/api/v1/nodes/${hosts[pick(4)]!}`, { site: ['fra1', 'ams1'][pick(2)] })).status);
  };
  const facts = async (): Promise<void> => {
    for (let i = 0; i < 15; i++) say((await call(corral, 'POST', '/heartbeats', { node: hosts[pick(4)], observation: { facts: { cores: pick(8) } } })).status);
  };
  const layers = async (): Promise<void> => {
    for (let i = 0; i < 8; i++)
      say(
        (await call(corral, 'PATCH', `/api/v1/layers/${customers[pick(3)]!}`, { data: { of_any: i }, weight: i * 3 + pick(3), secrets: { turn: i } })).status,
      );
  };
  await Promise.all([machines(), machines(), machines(), nodes(), facts(), facts(), layers()]);
  expect([...statuses.keys()].sort().filter((status) => ![200, 201, 204, 409].includes(status))).toEqual([]);
  await expectConsistent(corral);
  const { rows } = await corral.pool.query<{ fqdn: string; customers: string[]; ams: boolean }>(`select n.fqdn,
    coalesce((select array_agg(distinct c.name order by c.name) from vm v join hypervisor h on h.id = v.hypervisor_id join customer c on c.id = v.customer_id where h.node_id = n.id), '{}') as customers,
    exists (select from site s join node_facts f on f.node_id = n.id where s.id = n.site_id and s.name = 'ams1' and (f.facts ->> 'cores')::int >= 4) as ams from node n`);
  for (const row of rows) {
    const pillar = (await (await corral.request(`/pillar/${row.fqdn}`)).json()) as Record<string, unknown>;
    const has = customers.filter((name) => `key_${name}` in pillar);
    expect([row.fqdn, has, pillar['ams'] ?? false]).toEqual([row.fqdn, row.customers, row.ams]);
  }
});

test('a fleet file has layers, and their secrets only when it is asked for them', async () => {
  const read = async (secrets: boolean): Promise<string> => {
    let text = '';
    for await (const chunk of exportFleet(corral, { secrets })) text += chunk;
    return text;
  };
  const [plain, full] = [await read(false), await read(true)];
  expect([plain.includes('hush acme'), full.includes('hush acme'), plain.includes('site=ams1&facts.cores__gte=4')]).toEqual([false, true, true]);
  expect((await importFleet(empty, full)).created).toMatchObject({ layers: 4, node_groups: 1 });
  expect(await importFleet(empty, full)).toEqual({ created: {}, updated: {} });
  const turned = full.replace('"hush acme"', '"loud acme"');
  expect((await importFleet(empty, turned)).updated).toEqual({ layers: 1 });
  expect((await importFleet(corral, plain)).updated).toEqual({});
  await expectConsistent(empty);
});
