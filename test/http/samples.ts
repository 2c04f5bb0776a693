/** A small fleet, and minimal valid input for every noun: what the table-driven tests of the API run on. */
import type { Row } from '../../src/db/read.ts';
import type { TestCorral } from '../support/corral.ts';

export type Input = Record<string, unknown>;
export const GIB = 2 ** 30;
export const HV = 'hv0.example.com';

/** Everything that the samples refer to: a site, a cluster, a hypervisor with a pool and a network, a VM. */
export async function smallFleet({ make }: Pick<TestCorral, 'make'>): Promise<{ vm: Row; volume: string; card: string }> {
  await make('site', { name: 'fra1' });
  await make('customer', { name: 'acme' });
  await make('project', { customer: 'acme', name: 'web' });
  await make('ceph_cluster', { name: 'ceph', public_network: '192.0.2.0/24' });
  await make('ceph_pool', { ceph_cluster: 'ceph', name: 'vms' });
  await make('node', { fqdn: 'mon0.example.com', site: 'fra1', roles: { ceph_mon: { ceph_cluster: 'ceph' } } });
  await make('node', {
    fqdn: HV,
    site: 'fra1',
    roles: { hypervisor: { methods: ['KVM', 'QEMU'], cores: 64, ram: 256 * GIB }, ceph_osd: { ceph_cluster: 'ceph' } },
  });
  await make('node_interface', { node: HV, name: 'eno1', mac: '02:00:00:00:00:01' });
  await make('network', { name: 'lan', is_default: true });
  await make('subnet', { network: 'lan', cidr: '10.0.0.0/28', gateway: '10.0.0.1' });
  await make('subnet', { network: 'lan', cidr: '2001:db8:1::/64', gateway: '2001:db8:1::1' });
  await make('storage_pool', { name: 'local', kind: 'dir', is_default: true });
  await make('pool_attachment', { hypervisor: HV, storage_pool: 'local' });
  const vm = await make('vm', { method: 'KVM', cores: 1, ram: GIB, name: 'first' });
  const volume = String((await make('volume', { storage_pool: 'local', hypervisor: HV, size: GIB, type: 'qcow2', name: 'spare' }))['name']);
  return { vm, volume, card: `${String(vm['id'])}-0` };
}

interface Sample {
  /** Minimal input that makes the i-th of its kind; may make what it needs first. */
  readonly input: (i: number) => Input | Promise<Input>;
  /** A change that any of them takes. */
  readonly patch: Input;
}

/** Minimal valid input and a change for every noun that can be made. */
export function samples({ make }: Pick<TestCorral, 'make'>, fleet: { vm: Row; volume: string }): Readonly<Record<string, Sample>> {
  /* Some with, some without: sorting must bring nulls and duplicates in order. */
  const sometimes = (i: number, fields: Input): Input => (i % 2 === 0 ? fields : {});
  const osdNode = async (i: number, kind: string): Promise<string> =>
    String((await make('node', { fqdn: `${kind}${i}.example.com`, site: 'fra1', roles: { ceph_osd: { ceph_cluster: 'ceph' } } }))['fqdn']);
  return {
    site: { input: (i) => ({ name: `site-${i}`, ...sometimes(i, { description: 'Hall 3' }) }), patch: { description: 'Moved' } },
    customer: { input: (i) => ({ name: `customer-${i}`, ...sometimes(i, { title: 'ACME Ltd.' }) }), patch: { email: 'ops@example.com' } },
    project: { input: (i) => ({ customer: 'acme', name: `project-${i}`, ...sometimes(i, { description: 'x' }) }), patch: { description: 'Changed' } },
    person: { input: (i) => ({ name: `person-${i}`, ...sometimes(i, { full_name: 'Jane Doe' }) }), patch: { email: 'jane@example.com' } },
    ceph_cluster: {
      input: (i) => ({ name: `ceph-${i}`, public_network: '198.51.100.0/24', ...sometimes(i, { cluster_network: '203.0.113.0/24' }) }),
      patch: { cluster_network: '203.0.113.128/25' },
    },
    ceph_pool: { input: (i) => ({ ceph_cluster: 'ceph', name: `pool-${i}` }), patch: { pg_num: 64 } },
    ceph_key: {
      input: (i) => ({ ceph_cluster: 'ceph', entity: `client.user${i}`, caps: { mon: 'profile rbd', osd: 'profile rbd pool=vms' } }),
      patch: { caps: { mon: 'allow r' } },
    },
    node: {
      input: (i) => ({ fqdn: `n${i}.example.com`, site: 'fra1', roles: { ceph_osd: { ceph_cluster: 'ceph' } }, ...sometimes(i, { location: 'Rack 1' }) }),
      patch: { location: 'Rack 2' },
    },
    node_interface: { input: (i) => ({ node: HV, name: `eth${i}`, ...sometimes(i, { mac: `02:00:00:00:01:0${i}` }) }), patch: { mtu: 9000 } },
    node_address: {
      input: (i) => ({ node_interface: `${HV}:eno1`, address: `192.0.2.${10 + i}/24`, ...sometimes(i, { gateway: '192.0.2.1' }) }),
      patch: { gateway: '192.0.2.254' },
    },
    hypervisor: {
      input: async (i) => ({ node: await osdNode(i, 'h'), methods: ['KVM'], cores: 8, ram: 64 * GIB, ...sometimes(i, { volume_group: 'vg0' }) }),
      patch: { reserve_cores: 2 },
    },
    ceph_mon_node: { input: async (i) => ({ node: await osdNode(i, 'm'), ceph_cluster: 'ceph' }), patch: { port: 3300 } },
    ceph_osd_node: {
      input: async (i) => {
        const fqdn = `o${i}.example.com`;
        await make('node', { fqdn, site: 'fra1', roles: { hypervisor: { methods: ['LXC'], cores: 1, ram: GIB } } });
        return { node: fqdn, ceph_cluster: 'ceph' };
      },
      patch: { ceph_cluster: 'ceph' },
    },
    ceph_osd: {
      input: (i) => ({ ceph_osd_node: HV, data_device: `/dev/sd${'abcdefghij'[i]}`, ...sometimes(i, { db_device: '/dev/nvme0n1' }) }),
      patch: { weight: 2.5 },
    },
    network: { input: (i) => ({ name: `net-${i}`, kind: 'vlan', vlan_tag: 100 + i }), patch: { mtu: 1400 } },
    subnet: {
      input: (i) => ({ network: 'lan', cidr: `10.50.${i}.0/29`, ...sometimes(i, { gateway: `10.50.${i}.1` }) }),
      patch: { dns: ['10.50.0.53', '2001:db8::53'] },
    },
    storage_pool: { input: (i) => ({ name: `store-${i}`, kind: 'dir', ...sometimes(i, { target: '/srv' }) }), patch: { target: '/srv/vms' } },
    pool_attachment: {
      input: async (i) => {
        await make('storage_pool', { name: `attached-${i}`, kind: 'dir' });
        return { hypervisor: HV, storage_pool: `attached-${i}`, ...sometimes(i, { capacity: GIB }) };
      },
      patch: { capacity: 2 * GIB },
    },
    image: {
      input: (i) => ({ name: `image-${i}`, url: `https://example.com/${i}.qcow2`, ...sometimes(i, { size: GIB }) }),
      patch: { checksum: `sha256:${'ab'.repeat(32)}` },
    },
    vm: {
      input: (i) => ({ method: 'KVM', cores: 1, ram: GIB, ...sometimes(i, { customer: 'acme', project: 'acme:web', cputime_limit: 50 }) }),
      patch: { metadata: { owner: 'x' }, boot_order: ['disk'] },
    },
    vm_interface: { input: () => ({ vm: fleet.vm['uuid'] }), patch: { mac: '02:00:00:00:09:99' } },
    network_membership: {
      input: async (i) => {
        await make('network', { name: `member-${i}` });
        return { vm_interface: `${String(fleet.vm['id'])}-0`, network: `member-${i}`, tagged: true };
      },
      patch: { tagged: true },
    },
    address: {
      input: (i) => ({ subnet: '2001:db8:1::/64', address: `2001:db8:1::${10 + i}`, ...sometimes(i, { vm_interface: `${String(fleet.vm['id'])}-0` }) }),
      patch: { vm_interface: null },
    },
    volume: {
      input: (i) => ({ storage_pool: 'local', hypervisor: HV, size: GIB, type: 'raw', ...sometimes(i, { read_iops: 100 }) }),
      patch: { cache_option: 'none', write_bps: 1_000_000 },
    },
    snapshot: {
      input: (i) => ({ volume: fleet.volume, name: `snap-${i}`, ...sometimes(i, { description: 'Before the upgrade' }) }),
      patch: { description: 'After' },
    },
    node_group: {
      input: (i) => ({ name: `group-${i}`, selector: `site=fra1&facts.cores__gte=${i}`, ...sometimes(i, { description: 'x' }) }),
      patch: { selector: 'role=hypervisor' },
    },
    class_list: { input: (i) => ({ environment: `env_${i}`, classes: ['ntp', 'profile::web'] }), patch: { classes: ['ntp'] } },
    layer: {
      input: (i) => ({
        name: `layer-${i}`,
        scope: 'site',
        site: 'fra1',
        data: { [`key_${i}`]: i },
        ...sometimes(i, { classes: { ntp: {} }, parameters: { tier: 'gold' } }),
      }),
      patch: { weight: 5 },
    },
    token: { input: (i) => ({ name: `token-${i}`, kind: 'reader' }), patch: { name: 'renamed' } },
    role: {
      input: (i) => ({ name: `role-${i}`, permissions: ['vm:read', '!token:*'], ...sometimes(i, { summary: 'x' }) }),
      patch: { permissions: ['*:read'] },
    },
    binding: {
      input: async (i) => {
        await make('token', { name: `bound-${i}`, kind: 'program' });
        return { name: `binding-${i}`, token: `bound-${i}`, role: 'viewer', ...sometimes(i, { site: 'fra1' }) };
      },
      patch: { role: 'operator', site: null, customer: 'acme' },
    },
    enrolment_token: { input: (i) => ({ name: `enrol-${i}`, ...sometimes(i, { site: 'fra1', pattern: `hv${i}.example.com` }) }), patch: { uses: 5 } },
    webhook: {
      input: (i) => ({ name: `hook-${i}`, url: `https://example.com/${i}`, kinds: ['vm'], ...sometimes(i, { description: 'x' }) }),
      patch: { kinds: [], enabled: false },
    },
  };
}

/** A problem as it comes over the wire. */
export interface WireProblem {
  readonly code: string;
  readonly status: number;
  readonly detail: string;
  readonly errors?: readonly { readonly pointer: string; readonly message: string }[];
  readonly [extra: string]: unknown;
}

export const json = async <T = Record<string, unknown>>(response: Response | Promise<Response>): Promise<T> => (await (await response).json()) as T;

/** The request of a JSON body. */
export const send = (method: string, body: unknown, headers: Record<string, string> = {}): RequestInit => ({
  method,
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(body),
});

/** Rows of every table, so that a test can show that nothing was half-written. */
export async function counts(corral: Pick<TestCorral, 'pool'>): Promise<Record<string, number>> {
  const { rows } = await corral.pool.query<{ name: string; n: string }>(`select c.relname as name,
    (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from %I', c.relname), false, true, '')))[1]::text as n
    from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' order by 1`);
  return Object.fromEntries(rows.map((row) => [row.name, Number(row.n)]));
}
