/** Layers on a node, as the tests with the real Puppet and the real Salt have them. */
import type { RunningCorral } from './corral.ts';

export type Values = Readonly<Record<string, unknown>>;

/** What is shown nowhere. The interpolation in it is none. */
export const PASSWORD = 'correct horse %{facts.os.family} battery';
export const NEXT_PASSWORD = 'Tr0ub4dor&3 %{lookup("layers::first")}';

/** Keys with each strategy, from the most important level to the least. */
export const levels: readonly { readonly name: string; readonly attached: Values; readonly data: Values }[] = [
  {
    name: 'own',
    attached: { scope: 'node' },
    data: {
      'layers::first': 'own',
      'layers::unique': ['c', ['d', 'a']],
      'layers::hash': { x: 'own' },
      'layers::deep': { list: [3], sub: { own: 1, both: 'own' } },
    },
  },
  {
    name: 'kvm',
    attached: { scope: 'role', role: 'hypervisor' },
    data: { 'layers::unique': 'b', 'layers::hash': { x: 'kvm', y: ['kvm'] }, 'layers::deep': { list: [1, 3], sub: { kvm: true, both: 'kvm' } } },
  },
  { name: 'fra1', attached: { scope: 'site', site: 'fra1' }, data: { 'layers::first': 'fra1', 'layers::deep': { list: [2], sub: { list: ['fra1'] } } } },
  {
    name: 'base',
    attached: { scope: 'everything' },
    data: {
      'layers::first': 'base',
      'layers::unique': ['a', 'b'],
      'layers::hash': { z: { base: 1 }, y: ['base'] },
      'layers::deep': { list: [1], sub: { list: ['base'], both: 'base' }, flag: false },
    },
  },
];

export const strategies = { 'layers::unique': 'unique', 'layers::hash': 'hash', 'layers::deep': 'deep' } as const;
export const keys = ['layers::first', 'layers::unique', 'layers::hash', 'layers::deep'] as const;

/** A hypervisor, one virtual machine of a customer on it, and the layers; `more` goes into the least important one. */
export async function makeLayers(corral: RunningCorral, node: string, manager: 'puppet' | 'salt', more: Values): Promise<void> {
  const make = (plural: string, body: object) => corral.call('POST', `/api/v1/${plural}`, body);
  await make('sites', { name: 'fra1' });
  await make('customers', { name: 'acme' });
  await make('nodes', { fqdn: node, site: 'fra1', manager, roles: { hypervisor: { methods: ['QEMU'], cores: 16, ram: 2 ** 36 } } });
  await make('nodes', { fqdn: 'another.example.net', site: 'fra1', manager, roles: { hypervisor: { methods: ['QEMU'], cores: 1, ram: 2 ** 30 } } });
  await make('storage-pools', { name: 'local', kind: 'dir', is_default: true });
  await make('pool-attachments', { hypervisor: node, storage_pool: 'local' });
  await make('networks', { name: 'public', kind: 'routed', is_default: true });
  await make('subnets', { network: 'public', cidr: '203.0.113.0/24', gateway: '203.0.113.1' });
  await make('vms', { name: 'one', customer: 'acme', cores: 1, ram: 2 ** 27, method: 'QEMU', state: 'stopped', hypervisor: node });
  for (const { name, attached, data } of levels) {
    const target = attached['scope'] === 'node' ? { node } : {};
    const rest = name === 'base' ? { merge: strategies, ...more, data: { ...data, ...(more['data'] as object) } } : { data };
    await make('layers', { name, ...attached, ...target, ...rest });
  }
  /* What is escaped reaches the node as the customer wrote it. */
  await make('layers', { name: 'acme', scope: 'customer', customer: 'acme', data: { 'acme::note': "%{literal('%')}{facts.kernel}" } });
  await make('layers', { name: 'secret', scope: 'node', node, weight: 5, secrets: { 'profile::layered::password': PASSWORD } });
}

/** What Corral says of a key. */
export async function explained(corral: RunningCorral, node: string, key: string): Promise<{ value: unknown; strategy: string; won: string[]; kind: string }> {
  const { values } = JSON.parse(corral.command('explain', node, key, '-o', 'json')) as {
    values: { value: unknown; strategy: string; won: string[]; kind: string }[];
  };
  return values[0]!;
}
