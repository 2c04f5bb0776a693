import { expect, test } from 'vitest';
import { exportFleet } from '../../src/fleet/export.ts';
import { generateFleet } from '../../src/fleet/generate.ts';
import { importFleet } from '../../src/fleet/import.ts';
import { testCorral, type TestCorral } from '../support/corral.ts';

const size = { nodes: 24, vms: 150, seed: 7 };
const corral = await testCorral();

async function exported(from: TestCorral): Promise<string> {
  let text = '';
  for await (const chunk of exportFleet(from, { secrets: true })) text += chunk;
  return text;
}

const one = async (sql: string): Promise<Record<string, unknown>> => (await corral.pool.query<Record<string, unknown>>(sql)).rows[0]!;

test('a generated fleet has what was asked for, and tells of its progress', async () => {
  const progress: [number, number][] = [];
  await generateFleet(corral, size, (done, total) => progress.push([done, total]));
  expect(progress.at(-1)).toEqual([174, 174]);
  expect(progress.map(([done]) => done)).toEqual(progress.map(([done]) => done).sort((a, b) => a - b));
  expect(
    await one(`select (select count(*)::int from node) as nodes, (select count(*)::int from vm) as vms, (select count(*)::int from document where hash <> '') as documents,
    (select count(*)::int from ceph_mon_node) as mons, (select count(*)::int from hypervisor) as hypervisors`),
  ).toEqual({ nodes: 24, vms: 150, documents: 24, mons: 3, hypervisors: 19 });
});

test('the counters are the sums of what is there', async () => {
  expect(
    await one(`select count(*)::int as wrong from hypervisor h,
    lateral (select coalesce(sum(v.cores), 0) as cores, coalesce(sum(v.ram), 0) as ram from vm v where v.hypervisor_id = h.id) x where (allocated_cores, allocated_ram) <> (x.cores, x.ram)`),
  ).toEqual({ wrong: 0 });
  expect(
    await one(`select count(*)::int as wrong from pool_attachment a join storage_pool s on s.id = a.storage_pool_id where a.allocated <>
    case when s.shared then 0 else (select coalesce(sum(size), 0) from volume o where o.storage_pool_id = a.storage_pool_id and o.hypervisor_id = a.hypervisor_id) end`),
  ).toEqual({ wrong: 0 });
  expect(
    await one(
      `select count(*)::int as wrong from storage_pool s where shared and (capacity is null or allocated <> (select coalesce(sum(size), 0) from volume o where o.storage_pool_id = s.id))`,
    ),
  ).toEqual({ wrong: 0 });
});

test('every virtual machine has disks, cards and addresses, and no address is given twice', async () => {
  expect(
    await one(`select count(*)::int as wrong from vm v where not exists (select from volume o where o.vm_id = v.id) or not exists (
    select from vm_interface i join address a on a.vm_interface_id = i.id where i.vm_id = v.id and i.number = 0 and family(a.address) = 4)`),
  ).toEqual({ wrong: 0 });
  expect(await one('select count(*)::int as n, count(distinct address)::int as different from address')).toSatisfy(
    (row: { n: number; different: number }) => row.n > 400 && row.n === row.different,
  );
  expect(
    await one(`select count(*)::int as wrong from address a join vm_interface i on i.id = a.vm_interface_id join subnet s on s.id = a.subnet_id
    where not exists (select from network_membership m where m.vm_interface_id = i.id and m.network_id = s.network_id)`),
  ).toEqual({ wrong: 0 });
});

test('its hosts can build everything', async () => {
  let text = '';
  for await (const chunk of corral.documents.lines()) text += chunk;
  expect(text).toContain('<domain');
  expect(text).not.toContain('unsupported');
});

test('new things can be made in it', async () => {
  const made = [];
  for (let i = 0; i < 3; i++) made.push(await corral.make('vm', { cores: 1, ram: 1_073_741_824, method: 'KVM' }));
  expect(made.map((vm) => vm['id'])).toEqual([151, 152, 153]);
});

test('the same seed gives the same fleet, another seed another; and it goes through a file unchanged', async () => {
  const [first, second, other, copy] = [await testCorral(), await testCorral(), await testCorral(), await testCorral()];
  await generateFleet(first, size);
  await generateFleet(second, size);
  await generateFleet(other, { ...size, seed: 8 });
  const text = await exported(first);
  expect(await exported(second)).toBe(text);
  expect(await exported(other)).not.toBe(text);
  await importFleet(copy, text);
  expect(await exported(copy)).toBe(text);
  const hashes = 'select n.fqdn, d.hash from document d join node n on n.id = d.node_id order by 1';
  const expected = (await first.pool.query(hashes)).rows;
  expect((await copy.pool.query(hashes)).rows).toEqual(expected);
  expect((await second.pool.query(hashes)).rows).toEqual(expected);
});

test('the smallest and odd sizes work', async () => {
  for (const odd of [
    { nodes: 1, vms: 0, seed: 0 },
    { nodes: 1, vms: 40, seed: 3 },
    { nodes: 8, vms: 1, seed: 4 },
    { nodes: 260, vms: 300, seed: 5 },
  ]) {
    const small = await testCorral();
    await generateFleet(small, odd);
    expect((await small.pool.query('select count(*)::int as nodes, (select count(*)::int from vm) as vms from node')).rows[0]).toEqual({
      nodes: odd.nodes,
      vms: odd.vms,
    });
  }
});

test('it is refused where there is something, and for sizes that make no sense', async () => {
  await expect(generateFleet(corral, size)).rejects.toMatchObject({ code: 'conflict' });
  const empty = await testCorral();
  await expect(generateFleet(empty, { nodes: 0, vms: 1, seed: 1 })).rejects.toMatchObject({ code: 'invalid', faults: [{ pointer: '/nodes' }] });
  await expect(generateFleet(empty, { nodes: 1, vms: 5000, seed: 1 })).rejects.toMatchObject({ code: 'invalid', faults: [{ pointer: '/vms' }] });
  expect((await empty.pool.query('select count(*)::int as n from site')).rows[0]).toEqual({ n: 0 });
});
