import type { TestCorral } from '../support/corral.ts';
import { parse, type Element } from './html.ts';

const GiB = 2 ** 30;

/** A page, parsed, with its status. */
export interface Got {
  readonly status: number;
  readonly location: string | null;
  readonly headers: Headers;
  readonly html: string;
  readonly page: Element;
}

async function got(response: Response): Promise<Got> {
  const html = await response.text();
  return {
    status: response.status,
    location: response.headers.get('location'),
    headers: response.headers,
    html,
    page: html.startsWith('<!doctype') ? parse(html) : parse(''),
  };
}

/** Asks for a page as a browser does. */
export async function get(corral: TestCorral, path: string, token?: string | null): Promise<Got> {
  return got(await corral.request(path, { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }, ...(token === undefined ? {} : { token }) }));
}

/** Submits a form as a browser does. */
export async function post(corral: TestCorral, path: string, body: URLSearchParams): Promise<Got> {
  return got(await corral.request(path, { method: 'POST', body, headers: { accept: 'text/html,*/*;q=0.8' } }));
}

/** One of every noun that can be made, with values that are hard to carry through a form. */
export async function makeFleet(corral: TestCorral): Promise<void> {
  const { make } = corral;
  await make('site', { name: 'fra1', description: 'two\nlines, "quotes" & <b>tags</b>' });
  await make('customer', { name: 'acme', title: "O'Brien & Söhne <GmbH>", email: 'a@example.com' });
  await make('project', { customer: 'acme', name: 'web' });
  await make('ceph_cluster', { name: 'ceph', public_network: '192.0.2.0/24' });
  await make('ceph_pool', { ceph_cluster: 'ceph', name: 'vms' });
  await make('ceph_key', { ceph_cluster: 'ceph', entity: 'client.libvirt', caps: { mon: 'profile rbd', osd: 'profile rbd pool=vms' } });
  await make('node', {
    fqdn: 'hv1.example.com',
    site: 'fra1',
    location: '\n leading newline',
    roles: {
      hypervisor: { methods: ['QEMU', 'KVM', 'Parallels Cloud Server'], cores: 16, ram: 64 * GiB + 4096, cpu_overcommit: 1.25 },
      ceph_mon: { ceph_cluster: 'ceph' },
      ceph_osd: { ceph_cluster: 'ceph' },
    },
  });
  await make('node_interface', { node: 'hv1.example.com', name: 'eno1' });
  await make('node_interface', { node: 'hv1.example.com', name: 'eno1.7', kind: 'vlan', parent: 'hv1.example.com:eno1', vlan_tag: 7 });
  await make('node_address', { node_interface: 'hv1.example.com:eno1', address: '192.0.2.1/24' });
  await make('ceph_osd', { ceph_osd_node: 'hv1.example.com', data_device: '/dev/sdb' });
  await make('network', { name: 'public', is_default: true });
  await make('subnet', { cidr: '203.0.113.0/24', network: 'public', gateway: '203.0.113.1', dns: ['192.0.2.53', '2001:db8::53'] });
  await make('storage_pool', { name: 'local', is_default: true });
  await make('pool_attachment', { hypervisor: 'hv1.example.com', storage_pool: 'local', capacity: 100 * GiB });
  await make('image', { name: 'debian', url: 'https://example.com/debian.qcow2', type: 'qcow2', size: 2 * GiB });
  await make('vm', {
    name: 'web-1',
    cores: 2,
    ram: 2 * GiB + 1024,
    method: 'QEMU',
    customer: 'acme',
    project: 'acme:web',
    metadata: { note: 'a "b"\nc', n: [1, { x: null }] },
  });
  await make('volume', { name: 'spare', size: 1536, type: 'qcow2', storage_pool: 'local', hypervisor: 'hv1.example.com', discard: false, read_bps: 1_000_000 });
  await make('snapshot', { volume: 'spare', name: 'before' });
  await make('token', { name: 'look', kind: 'reader' });
  await make('enrolment_token', { name: 'rack7', site: 'fra1', node: { location: 'Rack 7' } });
  await make('node_group', { name: 'all', selector: 'site=fra1' });
  await make('class_list', { environment: 'production', classes: ['ntp'] });
  await make('layer', { name: 'base', scope: 'site', site: 'fra1', data: { users: ['ops'] }, merge: { users: 'unique' } });
  await make('webhook', { name: 'hook', url: 'https://example.com/hook', enabled: false });
  await make('person', { name: 'jane', full_name: 'Jane Doe' });
  await make('role', { name: 'lister', permissions: ['vm:read'] });
  await make('binding', { name: 'jane', person: 'jane', role: 'lister' });
}
