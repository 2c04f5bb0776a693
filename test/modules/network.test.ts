import { beforeAll, describe, expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { call, expectConsistent, GIB, hypervisors, refuses, type Answer } from './fleet.ts';

const corral = await testCorral();
const api = (method: string, path: string, body?: unknown): Promise<Answer> => call(corral, method, `/api/v1/${path}`, body);
const vm = (extra: Record<string, unknown> = {}): Promise<Answer> => api('POST', 'vms', { method: 'KVM', cores: 1, ram: GIB, ...extra });
const addressesOf = async (id: unknown): Promise<string[]> =>
  (
    await corral.pool.query<{ address: string }>(
      'select host(a.address) as address from address a join vm_interface i on i.id = a.vm_interface_id where i.vm_id = $1 order by a.address',
      [id],
    )
  ).rows.map((row) => row.address);
const free = async (cidr: string): Promise<string[]> =>
  (
    await corral.pool.query<{ address: string }>(
      'select host(a.address) as address from address a join subnet s on s.id = a.subnet_id where s.cidr = $1 and a.vm_interface_id is null order by a.address',
      [cidr],
    )
  ).rows.map((row) => row.address);

beforeAll(async () => {
  await hypervisors(corral, 2, {}, { subnet: '10.0.0.0/24' });
});

describe('a network', () => {
  test.each([
    ['a VLAN without a tag', { kind: 'vlan' }, '/vlan_tag'],
    ['a tag without a VLAN', { vlan_tag: 7 }, '/vlan_tag'],
    ['a VXLAN without an id', { kind: 'vxlan' }, '/vxlan_id'],
    ['an id without a VXLAN', { vxlan_id: 7 }, '/vxlan_id'],
    ['a VXLAN id of 2^24', { kind: 'vxlan', vxlan_id: 2 ** 24 }, '/vxlan_id'],
    ['a group that is no multicast address', { kind: 'vxlan', vxlan_id: 7, vxlan_group: '192.0.2.1' }, '/vxlan_group'],
    ['a group without a VXLAN', { vxlan_group: '239.0.0.1' }, '/vxlan_group'],
    ['tag 4095', { kind: 'vlan', vlan_tag: 4095 }, '/vlan_tag'],
    ['an MTU beyond 65535', { mtu: 65_536 }, '/mtu'],
  ])('%s is refused', async (_name, input, pointer) => {
    await refuses(api('POST', 'networks', { name: 'odd', ...input }), 422, 'invalid', pointer);
  });

  test('has its tag alone, and only one is the default', async () => {
    expect((await api('POST', 'networks', { name: 'v7', kind: 'vlan', vlan_tag: 7 })).status).toBe(201);
    await refuses(api('POST', 'networks', { name: 'v7b', kind: 'vlan', vlan_tag: 7 }), 409, 'already-exists', '/vlan_tag');
    await refuses(api('PATCH', 'networks/v7', { is_default: true }), 409, 'conflict', '/is_default');
    await refuses(api('PATCH', 'networks/v7', { kind: 'flat' }), 422, 'invalid', '/vlan_tag');
    expect((await api('PATCH', 'networks/v7', { kind: 'flat', vlan_tag: null })).status).toBe(200);
  });

  test('is not deleted while a subnet lies in it', async () => {
    await refuses(api('DELETE', 'networks/lan'), 409, 'in-use');
  });
});

describe('a subnet', () => {
  test('overlaps no other, larger, smaller or equal', async () => {
    for (const cidr of ['10.0.0.0/24', '10.0.0.128/25', '10.0.0.0/8', '0.0.0.0/0'])
      await refuses(
        api('POST', 'subnets', { network: 'lan', cidr }),
        409,
        cidr === '10.0.0.0/24' ? (expect.stringMatching(/conflict|already-exists/) as string) : 'conflict',
        '/cidr',
      );
  });

  test('overlaps no other, also when all are made at once', async () => {
    const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => api('POST', 'subnets', { network: 'lan', cidr: `10.8.0.0/${16 + i}` })));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array.from({ length: 11 }, () => 409)]);
    for (const { body } of answers.filter(({ status }) => status === 201)) expect((await api('DELETE', `subnets/${String(body['id'])}`)).status).toBe(204);
  });

  test('has a gateway inside, and keeps its range', async () => {
    await refuses(api('POST', 'subnets', { network: 'lan', cidr: '10.3.0.0/24', gateway: '10.4.0.1' }), 422, 'invalid', '/gateway');
    await refuses(api('POST', 'subnets', { network: 'lan', cidr: '10.3.0.0/24', gateway: '2001:db8::1' }), 422, 'invalid', '/gateway');
    await refuses(api('POST', 'subnets', { network: 'lan', cidr: '10.3.0.1/24' }), 422, 'invalid', '/cidr');
    await refuses(api('PATCH', 'subnets/10.0.0.0%2F24', { cidr: '10.3.0.0/24' }), 422, 'invalid', '/cidr');
  });

  test.each([
    ['10.20.0.0/30', ['10.20.0.1', '10.20.0.2']],
    ['10.20.1.0/31', ['10.20.1.0', '10.20.1.1']],
    ['10.20.2.1/32', ['10.20.2.1']],
    ['2001:db8:20::/126', ['2001:db8:20::1', '2001:db8:20::2']],
    ['2001:db8:21::5/128', ['2001:db8:21::5']],
    ['2001:db8:22::/64', []],
  ])('%s fills its pool with its hosts', async (cidr, hosts) => {
    expect((await api('POST', 'subnets', { network: 'v7', cidr })).status).toBe(201);
    expect(await free(cidr)).toEqual(hosts);
  });

  test('keeps its gateway out of the pool, also when it changes', async () => {
    expect((await api('POST', 'subnets', { network: 'v7', cidr: '10.30.0.0/29', gateway: '10.30.0.3' })).status).toBe(201);
    expect(await free('10.30.0.0/29')).toEqual(['10.30.0.1', '10.30.0.2', '10.30.0.4', '10.30.0.5', '10.30.0.6']);
    expect((await api('PATCH', 'subnets/10.30.0.0%2F29', { gateway: '10.30.0.1' })).status).toBe(200);
    expect(await free('10.30.0.0/29')).not.toContain('10.30.0.1');
    expect((await api('PATCH', 'subnets/10.30.0.0%2F29', { gateway: null })).status).toBe(200);
    const made = await vm({ interfaces: [{ networks: [{ network: 'v7' }], addresses: ['10.30.0.2'] }] });
    expect(made.status).toBe(201);
    const taken = await api('PATCH', 'subnets/10.30.0.0%2F29', { gateway: '10.30.0.2' });
    expect([taken.status, taken.body.errors?.[0]?.pointer]).toEqual([409, '/gateway']);
  });

  test('is not deleted while an interface has an address of it', async () => {
    await refuses(api('DELETE', 'subnets/10.30.0.0%2F29'), 409, 'in-use');
  });
});

describe('addresses', () => {
  test('are given lowest first, returned by a deletion, and given again', async () => {
    const first = await vm();
    const [address] = await addressesOf(first.body['id']);
    expect(await free('10.0.0.0/24')).not.toContain(address);
    expect((await api('DELETE', `vms/${String(first.body['id'])}`)).status).toBe(204);
    expect(await free('10.0.0.0/24')).toContain(address);
    expect(await addressesOf((await vm()).body['id'])).toEqual([address]);
  });

  test.each([
    ['the network address', '10.0.0.0', 422],
    ['the broadcast address', '10.0.0.255', 422],
    ['one of another subnet', '10.30.0.5', 422],
    ['one of no subnet', '192.0.2.1', 422],
    ['one that is taken', '10.0.0.1', 409],
  ])('%s is not given to an interface that asks for it', async (_name, address, status) => {
    const answer = await vm({ interfaces: [{ addresses: [address] }] });
    expect([answer.status, answer.body.errors?.[0]?.pointer]).toEqual([status, '/interfaces/0/addresses/0']);
  });

  test.each([['10.0.0.0'], ['10.0.0.255'], ['10.1.0.1'], ['2001:db8::1']])('%s is not added to the pool of 10.0.0.0/24', async (address) => {
    await refuses(api('POST', 'addresses', { subnet: '10.0.0.0/24', address }), 422, 'invalid', '/address');
  });

  test('of IPv6 are made as they are needed, and never the gateway', async () => {
    await api('POST', 'subnets', { network: 'lan', cidr: '2001:db8:1::/64', gateway: '2001:db8:1::1' });
    const made = await Promise.all(Array.from({ length: 10 }, () => vm()));
    const all = await Promise.all(made.map(({ body }) => addressesOf(body['id'])));
    expect(new Set(all.flat()).size).toBe(20);
    for (const pair of all) expect(pair).toEqual([expect.stringMatching(/^10\.0\.0\./), expect.stringMatching(/^2001:db8:1::/)]);
    expect(all.flat()).not.toContain('2001:db8:1::1');
  });

  test('belong to one interface only', async () => {
    const [one, two] = [await vm(), await vm()];
    const [address] = await addressesOf(one.body['id']);
    expect((await api('PATCH', `addresses/${address!}`, { vm_interface: `${String(two.body['id'])}-0` })).status).toBe(200);
    expect(await addressesOf(one.body['id'])).not.toContain(address);
    await refuses(api('PATCH', `addresses/${address!}`, { address: '10.0.0.99' }), 422, 'invalid', '/address');
    await refuses(api('PATCH', `addresses/${address!}`, { vm_interface: 'none' }), 422, 'invalid', '/vm_interface');
    await expectConsistent(corral);
  });
});

describe('an interface of a virtual machine', () => {
  test('is untagged in one network, and tagged in any number', async () => {
    const made = await vm();
    const card = `${String(made.body['id'])}-0`;
    await api('POST', 'networks', { name: 'v8', kind: 'vlan', vlan_tag: 8 });
    await refuses(api('POST', 'network-memberships', { vm_interface: card, network: 'v8' }), 409, 'conflict', '/tagged');
    expect((await api('POST', 'network-memberships', { vm_interface: card, network: 'v8', tagged: true })).status).toBe(201);
    await refuses(api('POST', 'network-memberships', { vm_interface: card, network: 'v8', tagged: true }), 409, 'already-exists');
    await refuses(api('PATCH', `network-memberships/${card}:v8`, { tagged: false }), 409, 'conflict', '/tagged');
    await refuses(vm({ interfaces: [{ networks: [{ network: 'lan' }, { network: 'v8' }] }] }), 409, 'conflict');
  });

  test('is numbered from 0, named by it, and the last one stays', async () => {
    const made = await vm({ interfaces: [{}, { mac: '02:aa:00:00:00:01' }] });
    const id = String(made.body['id']);
    const third = await api('POST', 'vm-interfaces', { vm: made.body['uuid'] });
    expect([third.status, third.body['name'], third.body['number']]).toEqual([201, `${id}-2`, 2]);
    await refuses(api('POST', 'vm-interfaces', { vm: id, number: 2 }), 409, 'already-exists');
    await refuses(api('POST', 'vm-interfaces', { vm: id, mac: '02:aa:00:00:00:01' }), 409, 'already-exists', '/mac');
    for (const n of [0, 2]) expect((await api('DELETE', `vm-interfaces/${id}-${n}`)).status).toBe(204);
    await refuses(api('DELETE', `vm-interfaces/${id}-1`), 409, 'conflict');
  });

  test('of two is not taken away twice at the same time', async () => {
    const id = String((await vm({ interfaces: [{}, {}] })).body['id']);
    const answers = await Promise.all([0, 1].map((n) => api('DELETE', `vm-interfaces/${id}-${n}`)));
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 409]);
  });

  test('is named by Corral: PUT cannot make one', async () => {
    const id = String((await vm()).body['id']);
    const answer = await api('PUT', `vm-interfaces/${id}-5`, { vm: Number(id) });
    expect(answer.status).toBe(405);
    await refuses(api('GET', `vm-interfaces/${id}-5`), 404, 'not-found');
  });
});
