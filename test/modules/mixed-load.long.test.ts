import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { call, documentNumbers, expectConsistent, GIB, hypervisors, type Answer } from './fleet.ts';

const env = { CORRAL_ENCRYPTION_KEY: randomBytes(32).toString('base64'), CORRAL_POOL_SIZE: '8' };
const one = await testCorral(env);
const two = await testCorral({ ...env, DATABASE_URL: one.databaseUrl });
const three = await testCorral({ ...env, DATABASE_URL: one.databaseUrl });
const instances = [one, two, three];
const HOSTS = 4;

test('changes of all kinds at once, through three processes on one database, leave every document as a fresh build', async () => {
  await hypervisors(one, HOSTS, { cores: 16, ram: 64 * GIB });
  await one.make('network', { name: 'back', kind: 'vlan', vlan_tag: 12 });
  await one.make('subnet', { network: 'back', cidr: '10.9.0.0/24' });
  await one.make('ceph_cluster', { name: 'ceph', public_network: '192.0.2.0/24' });
  await one.make('ceph_pool', { ceph_cluster: 'ceph', name: 'vms' });
  await one.make('ceph_key', { ceph_cluster: 'ceph', entity: 'client.libvirt', caps: { mon: 'profile rbd' } });
  await one.make('storage_pool', { name: 'rbd', kind: 'rbd', ceph_pool: 'ceph:vms', ceph_key: 'ceph:client.libvirt', capacity: 60 * GIB });
  for (let i = 1; i <= HOSTS; i++) await one.make('pool_attachment', { hypervisor: `hv${i}.example.com`, storage_pool: 'rbd' });
  for (let i = 1; i <= 2; i++) await one.make('node', { fqdn: `mon${i}.example.com`, site: 'fra1', roles: { ceph_mon: { ceph_cluster: 'ceph' } } });
  await one.make('node_interface', { node: 'mon1.example.com', name: 'eno1' });

  const alive: number[] = [];
  const seen: Answer[] = [];
  /* A generator of its own, so that each run does the same. */
  let seed = 42;
  const random = (below: number): number => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % below;
  const create = async (i: number): Promise<Answer> => {
    const answer = await call(instances[i % 3]!, 'POST', '/api/v1/vms', {
      method: 'KVM',
      cores: 1 + random(2),
      cores_max: 4,
      ram: GIB,
      ram_max: 4 * GIB,
      placement: (['least_loaded', 'round_robin', 'sticky'] as const)[i % 3],
      /* Some can be moved: stopped, and on shared storage alone. */
      ...(i % 4 === 3 ? { state: 'stopped' } : {}),
      volumes: [...(i % 4 === 3 ? [] : [{ size: GIB }]), ...(i % 2 ? [{ storage_pool: 'rbd', size: GIB }] : [])],
      interfaces: [{}, ...(i % 3 ? [] : [{ networks: [{ network: 'back' }] }])],
    });
    if (answer.status === 201) alive.push(Number(answer.body['id']));
    return answer;
  };
  const some = (): number => alive[random(alive.length)] ?? 0;
  const acts: readonly ((i: number) => Promise<Answer>)[] = [
    create,
    create,
    (i) => call(instances[i % 3]!, 'DELETE', `/api/v1/vms/${alive.length > 3 ? alive.splice(random(alive.length), 1)[0]! : 0}`),
    (i) => call(instances[i % 3]!, 'PATCH', `/api/v1/vms/${some()}`, { cores: 1 + random(4), state: random(2) ? 'stopped' : 'running' }),
    (i) => call(instances[i % 3]!, 'PATCH', `/api/v1/vms/${some()}`, { hypervisor: `hv${1 + random(HOSTS)}.example.com` }),
    (i) => call(instances[i % 3]!, 'PATCH', `/api/v1/networks/${random(2) ? 'lan' : 'back'}`, { mtu: 1400 + random(100) }),
    (i) => call(instances[i % 3]!, 'PATCH', '/api/v1/sites/1', { name: `site-${random(5)}` }),
    (i) => call(instances[i % 3]!, 'PATCH', '/api/v1/ceph-mon-nodes/mon2.example.com', { port: 3300 + random(100) }),
    (i) => call(instances[i % 3]!, 'POST', '/api/v1/vm-interfaces', { vm: some() }),
    (i) => call(instances[i % 3]!, 'POST', '/api/v1/node-addresses', { node_interface: 'mon1.example.com:eno1', address: `192.0.2.${1 + random(250)}/24` }),
    (i) => call(instances[i % 3]!, 'PATCH', `/api/v1/storage-pools/rbd`, { capacity: random(2) ? null : 200 * GIB }),
    (i) => call(instances[i % 3]!, 'PATCH', `/api/v1/ceph-keys/ceph:client.libvirt`, { caps: { mon: `profile rbd${random(9)}` } }),
    (i) => call(instances[i % 3]!, 'PUT', `/api/v1/customers/customer-${random(3)}`, { title: `T ${i}` }),
  ];
  for (let i = 0; i < 8; i++) await create(i);
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < 220) {
      const i = next++;
      seen.push(await acts[i % acts.length]!(i));
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));

  expect(seen.filter(({ status }) => status >= 500)).toEqual([]);
  expect(seen.filter(({ status }) => status < 300).length).toBeGreaterThan(120);
  const { rows } = await one.pool.query<{ id: string }>('select id from vm order by id');
  expect(rows.map((row) => Number(row.id))).toEqual([...alive].sort((a, b) => a - b));
  for (const instance of instances) await expectConsistent(instance);
});

test('a change touches the documents that it alters, and no other', async () => {
  const numbers = (): Promise<Record<string, number>> => documentNumbers(one);
  const changed = async (method: string, path: string, body?: unknown): Promise<string[]> => {
    const before = await numbers();
    const answer = await call(two, method, path, body);
    expect([method, path, answer.status < 300]).toEqual([method, path, true]);
    const after = await numbers();
    return Object.keys(after)
      .filter((name) => after[name] !== before[name])
      .sort();
  };
  const made = await call(one, 'POST', '/api/v1/vms', { method: 'KVM', cores: 1, ram: GIB });
  const id = String(made.body['id']);
  const host = String(made.body['hypervisor']);
  expect(await changed('PATCH', `/api/v1/vms/${id}`, { cores_max: 8 })).toEqual([host]);
  expect(await changed('PATCH', `/api/v1/vms/${id}`, { cores_max: 8 })).toEqual([]);
  expect(await changed('PATCH', `/api/v1/vms/${id}`, { affinity_group: 'g', ha_policy: 'restart' })).toEqual([]);
  expect(await changed('PATCH', '/api/v1/nodes/hv1.example.com', { location: 'Rack 9' })).toEqual(['hv1.example.com']);
  expect(await changed('PATCH', '/api/v1/hypervisors/hv1.example.com', { cpu_overcommit: 5 })).toEqual([]);
  expect(await changed('PATCH', '/api/v1/sites/1', { description: 'nothing that a host sees' })).toEqual([]);
  expect(await changed('PUT', '/api/v1/customers/somebody', { email: 'a@example.com' })).toEqual([]);
  expect(await changed('DELETE', `/api/v1/vms/${id}`)).toEqual([host]);
  expect(await changed('PATCH', '/api/v1/sites/1', { name: 'renamed' })).toEqual(Object.keys(await numbers()).sort());
});
