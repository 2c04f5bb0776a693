/** A node that layers of most scopes reach, and some that do not. */
import type { TestCorral } from '../support/corral.ts';
import { call, hypervisors } from '../modules/fleet.ts';

export const NODE = 'hv1.example.com';
export const PASSWORD = 'hunter2-%{x}';

const GIB = 2 ** 30;
export const HYPERVISOR = { hypervisor: { methods: ['KVM'], cores: 8, ram: 2 ** 34 } };

/** Writes as somebody would, with a message. */
export async function write(
  corral: Pick<TestCorral, 'request'>,
  method: string,
  path: string,
  body?: unknown,
  message?: string,
): Promise<Record<string, unknown>> {
  const { status, body: answer } = await call(corral, method, `/api/v1${path}`, body, message === undefined ? {} : { 'x-change-message': message });
  if (status >= 300) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(answer)}`);
  return answer;
}

export async function layeredFleet(corral: TestCorral): Promise<void> {
  await hypervisors(corral, 2);
  await corral.make('site', { name: 'ams1' });
  await corral.make('customer', { name: 'acme' });
  await corral.make('node', { fqdn: 'hv3.example.com', site: 'ams1', manager: 'salt', roles: HYPERVISOR });
  await corral.make('vm', { name: 'web', cores: 1, ram: GIB, method: 'KVM', hypervisor: NODE, customer: 'acme' });
  const layer = (body: Record<string, unknown>, message?: string) => write(corral, 'POST', '/layers', body, message);
  await layer(
    {
      name: 'base',
      scope: 'everything',
      classes: { ntp: { servers: ['ntp.example.com'], tinker: true } },
      parameters: { tier: 'silver' },
      data: {
        'ntp::servers': ['unused.example.com'],
        motd: 'Welcome to %{facts.networking.fqdn}',
        packages: ['vim', 'htop'],
        'sysctl::values': { 'vm.swappiness': 10, 'net.core.somaxconn': 128 },
        firewall: { rules: { ssh: { port: 22, from: ['10.0.0.0/8'] } }, policy: 'drop' },
      },
      merge: { packages: 'unique', 'sysctl::values': 'hash', firewall: 'deep' },
    },
    'What every host has',
  );
  await layer({ name: 'fra1', scope: 'site', site: 'fra1', weight: 10, parameters: { tier: 'gold' }, data: { packages: ['htop', 'tcpdump'] } }, 'Frankfurt');
  await layer({ name: 'ams1', scope: 'site', site: 'ams1', data: { packages: ['nano'], 'only::there': 1 }, secrets: { 'db::password': 'not yours' } });
  await layer({
    name: 'kvm',
    scope: 'role',
    role: 'hypervisor',
    classes: { ntp: { servers: ['ntp.fra1.example.com'] }, 'profile::kvm': {} },
    data: { 'sysctl::values': { 'vm.swappiness': 1 }, firewall: { rules: { ssh: { from: ['192.0.2.0/24'] }, vnc: { port: 5900 } } } },
  });
  await layer({ name: 'acme', scope: 'customer', customer: 'acme', data: { 'acme::note': 'hello' } });
  await write(corral, 'POST', '/node-groups', { name: 'first', selector: 'fqdn=hv1.example.com' });
  await layer({
    name: 'first',
    scope: 'group',
    node_group: 'first',
    secrets: { 'db::password': PASSWORD, 'api::tokens': { a: 'tok-a' } },
    data: { motd: 'First' },
  });
  await layer({ name: 'own', scope: 'node', node: NODE, data: { motd: 'Mine' } });
  await write(corral, 'PATCH', '/layers/own', { data: { motd: 'Mine alone', other: null } }, 'The owner asked for it');
  await write(corral, 'PATCH', '/layers/base', { description: 'Touches no value' }, 'Nothing here');
}
