import { describe, expect, test } from 'vitest';
import { check } from '../../src/db/check.ts';
import { RefusedAt } from '../../src/db/many.ts';
import { transaction } from '../../src/db/transaction.ts';
import { Problem } from '../../src/kernel/problem.ts';
import { prng, type Prng } from '../../src/fleet/prng.ts';
import { createMany } from '../../src/modules/vms/create-many.ts';
import { testCorral, type TestCorral } from '../support/corral.ts';
import { expectConsistent, GIB } from '../modules/fleet.ts';

type Input = Record<string, unknown>;

/** Hosts of different sizes, methods and pools, some out of service; networks with small and large subnets. */
async function fleet(corral: TestCorral): Promise<void> {
  const random = prng(11);
  await corral.make('site', { name: 'fra1' });
  await corral.make('storage_pool', { name: 'local', kind: 'dir', is_default: true });
  await corral.make('storage_pool', { name: 'fast', kind: 'lvm' });
  await corral.make('storage_pool', { name: 'nfs', kind: 'nfs', source: 'nas:/vms', target: '/srv/nfs', capacity: 900 * GIB });
  await corral.make('network', { name: 'lan', is_default: true });
  await corral.make('network', { name: 'dmz' });
  for (const cidr of ['10.0.0.0/28', '10.1.0.0/22', 'fd00:1::/64']) await corral.make('subnet', { network: 'lan', cidr });
  for (const cidr of ['10.2.0.0/22', 'fd00:2::/120', 'fd00:3::/64']) await corral.make('subnet', { network: 'dmz', cidr });
  await corral.make('customer', { name: 'acme' });
  for (const name of ['web', 'mail', 'db']) await corral.make('project', { customer: 'acme', name });
  for (let i = 1; i <= 9; i++) {
    const fqdn = `hv${i}.example.com`;
    const methods = [['KVM'], ['KVM', 'LXC'], ['LXC'], ['KVM', 'LXC', 'QEMU']][i % 4]!;
    await corral.make('node', {
      fqdn,
      site: 'fra1',
      state: i === 4 ? 'maintenance' : 'running',
      roles: { hypervisor: { methods, cores: 16 + random.int(32), ram: (64 + random.int(128)) * GIB, volume_group: 'vg0' } },
    });
    await corral.make('pool_attachment', { hypervisor: fqdn, storage_pool: 'local', capacity: i % 3 === 0 ? null : (100 + random.int(300)) * GIB });
    if (i % 2 === 0) await corral.make('pool_attachment', { hypervisor: fqdn, storage_pool: 'fast', capacity: 200 * GIB });
    if (i % 3 !== 1) await corral.make('pool_attachment', { hypervisor: fqdn, storage_pool: 'nfs' });
  }
}

function wish(random: Prng, i: number): Input {
  const some = <T>(probability: number, value: () => T): T | undefined => (random.chance(probability) ? value() : undefined);
  const input: Input = {
    uuid: random.uuid(),
    method: random.pick(['KVM', 'KVM', 'LXC', 'QEMU']),
    cores: 1 + random.int(8),
    ram: (1 + random.int(16)) * GIB,
    name: some(0.5, () => `name-${i}`),
    placement: some(0.7, () => random.pick(['least_loaded', 'round_robin', 'sticky'])),
    project: some(0.5, () => random.pick(['acme:web', 'acme:mail', 'acme:db'])),
    hypervisor: some(0.1, () => `hv${1 + random.int(9)}.example.com`),
    cloud_init: some(0.1, () => (random.chance(0.5) ? null : { user_data: 'x' })),
    boot_order: some(0.1, () => ['network', 'disk']),
    volumes: some(0.4, () =>
      Array.from({ length: 1 + random.int(3) }, () => ({
        size: (1 + random.int(30)) * GIB,
        storage_pool: some(0.4, () => random.pick(['fast', 'nfs', 'local'])),
      })),
    ),
    interfaces: some(0.3, () => [
      { networks: [{ network: 'dmz' }, ...(random.chance(0.3) ? [{ network: 'lan', tagged: true }] : [])] },
      ...(random.chance(0.3) ? [{ addresses: [`10.1.3.${1 + random.int(250)}`] }] : []),
      ...(random.chance(0.2) ? [{ networks: [{ network: 'lan', tagged: true }] }] : []),
    ]),
  };
  return JSON.parse(JSON.stringify(input)) as Input;
}

/** Everything that a creation makes, but times. */
async function all(corral: TestCorral): Promise<unknown> {
  const tables = ['vm', 'volume', 'vm_interface', 'network_membership', 'hypervisor', 'pool_attachment', 'storage_pool'];
  const out: Record<string, unknown> = {};
  for (const table of tables) {
    const { rows } = await corral.pool.query<{ row: unknown }>(
      `select to_jsonb(t) - '{created_at,updated_at,version,placed_at,secret,id}'::text[] as row from "${table}" t order by ${table === 'network_membership' ? 'vm_interface_id, network_id' : 'id'}`,
    );
    out[table] = rows.map(({ row }) => row);
  }
  const address = await corral.pool.query('select address, subnet_id, vm_interface_id from address where vm_interface_id is not null order by address');
  const document = await corral.pool.query('select node_id, hash from document order by node_id');
  const turns = await corral.pool.query(`select id from hypervisor where placed_at > 'epoch' order by placed_at, id`);
  return { ...out, address: address.rows, document: document.rows, turns: turns.rows };
}

/** The ids of what a wish names, as the verb resolves them. */
async function plain(corral: TestCorral, input: Input): Promise<Input> {
  const parsed = check(corral.catalog.byNoun('vm').createSchema, input);
  const ids = async (sql: string, value: unknown): Promise<unknown> =>
    value == null ? value : Number((await corral.pool.query<{ id: string }>(sql, [value])).rows[0]!.id);
  return {
    ...parsed,
    ...(parsed['project'] === undefined
      ? {}
      : { project: await ids(`select p.id from project p join customer c on c.id = p.customer_id where c.name || ':' || p.name = $1`, parsed['project']) }),
    ...(parsed['hypervisor'] === undefined
      ? {}
      : { hypervisor: await ids('select h.id from hypervisor h join node n on n.id = h.node_id where n.fqdn = $1', parsed['hypervisor']) }),
  };
}

const many = (corral: TestCorral, inputs: readonly Input[]): Promise<number[]> => transaction(corral.store, (tx) => createMany(tx, inputs));

describe.each(['least_loaded', 'round_robin', 'sticky'])('many virtual machines at once, %s', (placement) => {
  test('are what they are when they are made one after the other', async () => {
    const [one, other] = [await testCorral({ CORRAL_PLACEMENT: placement }), await testCorral({ CORRAL_PLACEMENT: placement })];
    await fleet(one);
    await fleet(other);
    const random = prng(placement.length);
    let waiting: Input[] = [];
    let refused = 0;
    for (let i = 0; i < 120; i++) {
      const input = wish(random, i);
      const error = await one.make('vm', input).then(
        () => undefined,
        (found: unknown) => found,
      );
      const resolved = await plain(other, input);
      if (error === undefined) {
        waiting.push(resolved);
        continue;
      }
      /* What is refused alone is refused in company, with the same words. */
      const seen: unknown = await many(other, [...waiting.map((one) => ({ ...one })), resolved]).catch((found: unknown) => found);
      expect([error, seen]).toEqual([expect.any(Problem), expect.any(RefusedAt)]);
      expect((seen as RefusedAt).index).toBe(waiting.length);
      expect(told((seen as RefusedAt).cause as Problem)).toEqual(told(error as Problem));
      if (waiting.length > 0) await many(other, waiting);
      waiting = [];
      refused++;
    }
    if (waiting.length > 0) await many(other, waiting);
    expect(refused).toBeGreaterThan(3);
    expect(await all(other)).toEqual(await all(one));
    await expectConsistent(other);
  });
});

/** What a refusal says; reasons that refuse as many hosts come in any order. */
const told = ({ code, message, faults, extra }: Problem): object => ({ code, message: message.split(/: |; /).sort(), faults, extra });
