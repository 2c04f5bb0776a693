import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dump } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { testCorral, type TestCorral } from '../support/corral.ts';
import { expectConsistent, GIB } from '../modules/fleet.ts';
import { against, corral, scratch, type Ran } from './support.ts';

const folder = scratch();
const fleet = (): Record<string, Record<string, unknown>[]> => ({
  vms: [
    { name: 'web', cores: 2, ram: GIB, method: 'KVM', customer: 'acme' },
    { name: 'db', cores: 1, ram: GIB, method: 'KVM', volumes: [{ size: GIB }, { size: 2 * GIB }], interfaces: [{ networks: [{ network: 'lan' }] }] },
  ],
  customers: [{ name: 'acme', title: 'ACME' }],
  sites: [{ name: 'fra1' }],
  nodes: [{ fqdn: 'hv1.example.com', site: 'fra1', roles: { hypervisor: { methods: ['KVM'], cores: 16, ram: 64 * GIB } } }],
  node_interfaces: [
    { node: 'hv1.example.com', name: 'vlan7', kind: 'vlan', vlan_tag: 7, parent: 'hv1.example.com:bond0' },
    { node: 'hv1.example.com', name: 'eno1', bond: 'hv1.example.com:bond0' },
    { node: 'hv1.example.com', name: 'bond0', kind: 'bond' },
  ],
  storage_pools: [{ name: 'local', kind: 'dir', is_default: true }],
  pool_attachments: [{ hypervisor: 'hv1.example.com', storage_pool: 'local' }],
  networks: [{ name: 'lan', is_default: true }],
  subnets: [{ network: 'lan', cidr: '10.0.0.0/24', fill: true }],
});

function apply(at: TestCorral, data: unknown, ...args: string[]): Promise<Ran> {
  const file = join(folder, 'fleet.yaml');
  writeFileSync(file, dump(data));
  return corral(['apply', file, ...args], { env: against(at) });
}
const changes = async ({ pool }: TestCorral): Promise<number> =>
  Number((await pool.query<{ n: string }>('select coalesce(max(number), 0) as n from change')).rows[0]!.n);
const names = async ({ pool }: TestCorral, table: string, column = 'name'): Promise<string[]> =>
  (await pool.query<{ name: string }>(`select ${column} as name from ${table} order by 1`)).rows.map((row) => row.name);

describe('a fleet file', () => {
  test('is applied after its plan was shown; a second time changes nothing', async () => {
    const at = await testCorral();
    const refused = await apply(at, fleet());
    expect([refused.code, refused.err]).toEqual([2, expect.stringContaining('--yes')]);
    expect(refused.out).toMatch(/\+ vm web/);
    expect(refused.out).not.toContain('<domain');
    expect(await names(at, 'site')).toEqual([]);
    const planned = await apply(at, fleet(), '--plan');
    expect([planned.code, planned.out]).toEqual([0, expect.stringMatching(/… and \d+ more lines\n[^]*Planned: 12 made/)]);
    const whole = await apply(at, fleet(), '--diff');
    expect([whole.code, whole.out]).toEqual([0, expect.stringMatching(/<domain[^]*Planned: 12 made/)]);
    expect(await names(at, 'site')).toEqual([]);
    const done = await apply(at, fleet(), '--yes', '-m', 'für den Anfang');
    expect([done.code, done.err]).toEqual([0, '']);
    expect(done.out).toMatch(/Applied as change 1: 12 made, 0 changed, 0 deleted, 0 as they were/);
    expect((await at.pool.query('select message from change')).rows).toEqual([{ message: 'für den Anfang' }]);
    const again = await apply(at, fleet(), '--yes');
    expect([again.code, again.out]).toEqual([0, 'Nothing to do: the fleet is as the file says.\n']);
    expect(await changes(at)).toBe(1);
    await expectConsistent(at);
  });

  test('changes what differs, and leaves what it does not name', async () => {
    const at = await testCorral();
    await apply(at, fleet(), '--yes');
    await at.pool.query(`update customer set email = 'ops@example.com'`);
    const before = await changes(at);
    const other = fleet();
    other['vms']![0]!['cores'] = 4;
    other['vms']![1]!['volumes'] = [{ size: GIB }, { size: 3 * GIB }];
    other['customers'] = [{ name: 'acme', title: 'ACME Ltd.' }];
    delete other['subnets'];
    const done = await apply(at, other, '--yes');
    expect([done.code, done.err]).toEqual([0, '']);
    expect(done.out).toMatch(/cores: 2 -> 4/);
    expect(done.out).toMatch(/Applied as change \d+: 0 made, 3 changed, 0 deleted, 8 as they were/);
    expect(await changes(at)).toBe(before + 1);
    expect((await at.pool.query('select title, email from customer')).rows).toEqual([{ title: 'ACME Ltd.', email: 'ops@example.com' }]);
    expect((await at.pool.query('select min(size)::float8 as least, max(size)::float8 as most from volume where number = 1')).rows).toEqual([
      { least: 3 * GIB, most: 3 * GIB },
    ]);
    expect(await names(at, 'subnet', 'cidr::text')).toEqual(['10.0.0.0/24']);
    await expectConsistent(at);
  });

  test('is refused with places in the file, and with nothing done', async () => {
    const at = await testCorral();
    const wrong = fleet();
    wrong['vms']![0]!['cores'] = 99;
    wrong['vms']![1]!['ram'] = 'much';
    const ran = await apply(at, wrong, '--yes');
    expect(ran.code).not.toBe(0);
    expect(ran.err).toMatch(/vms\.0/);
    expect(ran.err).toMatch(/vms\.1\.ram/);
    expect(await names(at, 'site')).toEqual([]);
    const form = await apply(at, { unicorns: [], sites: 'x', tokens: [] }, '--yes');
    expect([form.code, form.err]).toEqual([2, expect.stringMatching(/unicorns.*\n.*sites.*\n.*tokens/)]);
    expect((await apply(at, fleet(), '--prune', '--yes')).err).toContain('--set');
    expect((await corral(['apply', join(folder, 'missing.yaml')], { env: against(at) })).code).toBe(2);
    expect((await corral(['apply', '-', '--yes'], { env: { ...against(at), CORRAL_TOKEN: 'wrong' }, input: 'sites: []' })).code).toBe(1);
  });

  test('tells programs what it did, and people in short what is long', async () => {
    const at = await testCorral();
    await apply(at, fleet(), '--yes');
    const many = { customers: Array.from({ length: 150 }, (_, i) => ({ name: `c${i}` })) };
    const file = join(folder, 'many.yaml');
    writeFileSync(file, dump(many));
    const planned = await corral(['apply', file, '-o', 'json', '--plan'], { env: against(at) });
    expect((JSON.parse(planned.out) as { plan: { rows: unknown[] } }).plan.rows).toHaveLength(150);
    const short = await corral(['apply', file, '--yes'], { env: against(at) });
    expect(short.out).toMatch(/create customer: 150/);
    expect(short.out).not.toContain('+ customer');
    const again = await corral(['apply', file, '--yes', '-o', 'json'], { env: against(at) });
    expect((JSON.parse(again.out) as { results: { status: string }[] }).results.every((one) => one.status === 'unchanged')).toBe(true);
  });
});

describe('a set', () => {
  test('is pruned of what its file no longer names, and of nothing else', async () => {
    const at = await testCorral();
    await apply(at, fleet(), '--yes');
    const shop = {
      customers: [{ name: 'shop' }, { name: 'shop2' }],
      projects: [{ customer: 'shop', name: 'front' }],
      vms: [
        { name: 'front', cores: 1, ram: GIB, method: 'KVM', project: 'shop:front' },
        { name: 'back', cores: 1, ram: GIB, method: 'KVM', volumes: [{ size: GIB, name: 'back-root' }, { size: GIB }] },
      ],
    };
    const first = await apply(at, shop, '--set', 'shop', '--yes');
    expect([first.code, first.err, first.out]).toEqual([0, '', expect.stringContaining('5 made')]);
    await at.make('vm', { name: 'bystander', cores: 1, ram: GIB, method: 'KVM' });
    const before = await changes(at);
    expect((await apply(at, shop, '--set', 'shop', '--prune', '--yes')).out).toContain('Nothing to do');
    expect(await changes(at)).toBe(before);
    const less = { customers: [{ name: 'shop' }], vms: [shop.vms[0]!], projects: shop.projects };
    const kept = await apply(at, less, '--set', 'shop', '--yes');
    expect(kept.out).toContain('Nothing to do');
    const pruned = await apply(at, less, '--set', 'shop', '--prune', '--yes');
    expect([pruned.code, pruned.err, pruned.out]).toEqual([0, '', expect.stringMatching(/- vm back[^]*0 made, 0 changed, 4 deleted, 3 as they were/)]);
    expect(await names(at, 'vm')).toEqual(['bystander', 'db', 'front', 'web']);
    expect(await names(at, 'volume')).not.toContain('back-root');
    expect((await at.pool.query('select count(*)::int as n from volume')).rows).toEqual([{ n: 5 }]);
    const nothing = await apply(at, {}, '--set', 'shop', '--prune', '--yes');
    expect([nothing.code, nothing.err]).toEqual([0, '']);
    expect([await names(at, 'vm'), await names(at, 'customer')]).toEqual([['bystander', 'db', 'web'], ['acme']]);
    await expectConsistent(at);
  });

  test('has its own virtual machines of a name; a disk that was moved away, or freed, stays', async () => {
    const at = await testCorral();
    await apply(at, fleet(), '--yes');
    const file = (cores: number): unknown => ({
      vms: [{ name: 'app', cores, ram: GIB, method: 'KVM', volumes: [{ size: GIB }, { size: GIB, name: 'data' }] }],
    });
    for (const set of ['one', 'two']) {
      const renamed = JSON.parse(JSON.stringify(file(1)).replace('"data"', `"data-${set}"`)) as unknown;
      expect((await apply(at, renamed, '--set', set, '--yes')).out).toContain('1 made');
    }
    expect(await names(at, 'vm')).toEqual(['app', 'app', 'db', 'web']);
    const changed = JSON.parse(JSON.stringify(file(3)).replace('"data"', '"data-two"')) as unknown;
    expect((await apply(at, changed, '--set', 'two', '--yes')).out).toContain('1 changed');
    expect((await at.pool.query(`select cores from vm where name = 'app' order by id`)).rows).toEqual([{ cores: 1 }, { cores: 3 }]);
    /* Without a set the name tells two. */
    expect((await apply(at, file(1), '--yes')).err).toMatch(/vms\.0\.name +is that of 2 virtual machines/);
    await at.request('/api/v1/volumes/data-one', { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: '{"vm":null}' });
    expect((await apply(at, {}, '--set', 'one', '--prune', '--yes')).out).toContain('- vm app');
    expect(await names(at, 'volume')).toContain('data-one');
    /* What there was before by its name, and in no set, is adopted. */
    expect((await apply(at, { vms: [{ name: 'web', cores: 2 }] }, '--set', 'old', '--yes')).out).toContain('Nothing to do');
    expect((await apply(at, {}, '--set', 'old', '--prune', '--yes')).out).toContain('- vm web');
    await expectConsistent(at);
  });

  test('is not pruned where something else still refers to a member, or another set has it', async () => {
    const at = await testCorral();
    await apply(at, { customers: [{ name: 'a' }, { name: 'b' }] }, '--set', 'one', '--yes');
    await apply(at, { customers: [{ name: 'b' }] }, '--set', 'two', '--yes');
    await at.make('project', { customer: 'a', name: 'web' });
    const refused = await apply(at, {}, '--set', 'one', '--prune', '--yes');
    expect([refused.code, refused.err]).toEqual([4, expect.stringMatching(/cannot delete the customer 'a'.*project/)]);
    await at.pool.query('delete from project');
    const done = await apply(at, {}, '--set', 'one', '--prune', '--yes');
    expect([done.code, await names(at, 'customer')]).toEqual([0, ['b']]);
    await apply(at, {}, '--set', 'two', '--prune', '--yes');
    expect(await names(at, 'customer')).toEqual([]);
    expect((await at.pool.query('select from apply_set_member')).rowCount).toBe(0);
  });
});
