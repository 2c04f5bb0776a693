/** The document that Puppet's end-to-end tests serve, and what must happen when that goes wrong. */
import type { FaultDocument, FaultMode, Mapping } from './faults.ts';
import type { Host } from './host.ts';

/**
 * What each fault must lead to, for the ENC client, for the Hiera function and for a whole run of the
 * agent, by the state of the copy in the cache. "fresh": the run has all of the document that the
 * server has. "stale": it has all of the document that the copy has. "fails": it fails and changes
 * nothing. There is no fourth outcome. The exit status is the ENC client's.
 *
 * What stands in for a copy that is missing or too old is nothing: those runs fail. What the server
 * says plainly (a 4xx) and what it says wrongly (the wrong, half or no document) is never overruled
 * by a copy, however young.
 */
const TABLE = `
  fault               | no copy | young copy | old copy | exit | because
  good                | fresh   | fresh      | fresh    |      |
  refused             | fails   | stale      | fails    | 4    | cannot reach
  hang                | fails   | stale      | fails    | 4    | did not answer in full within
  drip                | fails   | stale      | fails    | 4    | did not answer in full within
  drip-head           | fails   | stale      | fails    | 4    | did not answer in full within
  tls-error           | fails   | stale      | fails    | 4    | certificate verify failed
  500                 | fails   | stale      | fails    | 4    | answered 500
  401                 | fails   | fails      | fails    | 5    | answered 401
  403                 | fails   | fails      | fails    | 5    | answered 403
  404                 | fails   | fails      | fails    | 6    | answered 404
  410                 | fails   | fails      | fails    | 6    | answered 410
  truncated           | fails   | fails      | fails    | 7    | the document broke off
  cut                 | fails   | fails      | fails    | 7    | is not whole JSON
  not-a-mapping       | fails   | fails      | fails    | 7    | is not a mapping
  other-node          | fails   | fails      | fails    | 7    | is for the node
`;

export type Copy = 'no copy' | 'young copy' | 'old copy';
export type Outcome = 'fresh' | 'stale' | 'fails';

export interface Cell {
  fault: FaultMode;
  copy: Copy;
  outcome: Outcome;
  exit: number;
  because: string;
}

export const CELLS: Cell[] = TABLE.trim()
  .split('\n')
  .slice(1)
  .flatMap((line) => {
    const [fault, none, young, old, exit, because] = line.split('|').map((text) => text.trim());
    const row = { fault: fault as FaultMode, exit: Number(exit), because: because! };
    return [
      { ...row, copy: 'no copy' as const, outcome: none as Outcome },
      { ...row, copy: 'young copy' as const, outcome: young as Outcome },
      { ...row, copy: 'old copy' as const, outcome: old as Outcome },
    ];
  });

export const CERTNAME = 'hv1.example.net';
export const MAX_AGE = 3600;
export const SECRET = 'AQBHkXZgAAAAABAAZXhhbXBsZW9ubHkxMjM0NQ==';

/** A hypervisor that is a Ceph client too; the version goes into every place that names it. */
export function exampleDocument(version: string, domains: Mapping = exampleDomains(version)): FaultDocument {
  const peers = { mon1: { ensure: 'present', host: 'mon1.example.net', address: '10.0.0.21', port: 6789 } };
  return {
    node: CERTNAME,
    version,
    manager: 'puppet',
    enc: {
      classes: { corral: {}, 'corral::hypervisor': {}, 'corral::ceph::client': {} },
      parameters: {
        corral_document: version,
        corral_node: CERTNAME,
        corral_roles: ['hypervisor'],
        corral_site: 'fra1',
        // What a careless YAML writer turns into a date, a boolean, a symbol, a number or an error.
        corral_traps: ['2024-01-01', 'no', ':symbol', '1e3', '0x1f', '%{x}', 'a: b #c', 'ü\u{1F402}\n', '', '~'],
      },
      environment: 'production',
    },
    hiera: {
      'corral::document': version,
      'corral::node': CERTNAME,
      'corral::roles': ['hypervisor'],
      'corral::site': 'fra1',
      'corral::hypervisor::domains': domains,
      'corral::hypervisor::bridges': {
        'br-17-0': { ensure: 'present', kind: 'vm', mtu: mtu(version), addresses: [], routes: [], ports: [], routed: false, vlan_filtering: false },
      },
      'corral::ceph::client::clusters': {
        ceph: { name: 'ceph', fsid: '11111111-2222-3333-4444-555555555555', public_network: '10.0.0.0/24', peers },
      },
      'corral::ceph::client::keys': { ceph: { 'client.libvirt': { ensure: 'present', secret: SECRET } } },
      lookup_options: {
        'corral::hypervisor::domains': { merge: { strategy: 'deep' } },
        '^corral::.*(key|keys|secret|secrets)$': { convert_to: 'Sensitive' },
      },
    },
  };
}

/** Different for each version, so that what a host has tells which one was applied. */
function mtu(version: string): number {
  return 1300 + Number(version.split('-')[0]);
}

export function exampleDomains(version: string): Mapping {
  return { 'vm-17': exampleDomain(17, version), 'vm-18': exampleDomain(18, version) };
}

function exampleDomain(id: number, version: string): Mapping {
  const uuid = `6f1c5a52-8f3a-4a51-9d5e-0000000000${id}`;
  return {
    ensure: 'present',
    state: 'stopped',
    uuid,
    autostart: false,
    // As Corral escapes a percent sign and brace that a user wrote.
    xml: `<domain type='qemu'>
  <name>vm-${id}</name>
  <uuid>${uuid}</uuid>
  <title>${version} 100%{literal('%')}{x} ü</title>
  <metadata>
    <corral:vm xmlns:corral='urn:corral:vm:1' id='${id}'>
      <corral:name>vm ${id}</corral:name>
    </corral:vm>
  </metadata>
  <memory unit='KiB'>65536</memory>
  <currentMemory unit='KiB'>65536</currentMemory>
  <vcpu placement='static'>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
  </os>
  <features>
    <acpi/>
  </features>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>restart</on_crash>
  <devices>
    <controller type='usb' model='none'/>
  </devices>
</domain>
`,
  };
}

/** What a host has of what Corral makes: the same before and after means that nothing was changed. */
export interface Seen {
  /** Titles of the domains by name, and whether they run. */
  domains: Record<string, string>;
  /** MTU by name. */
  bridges: Record<string, number>;
  /** Contents by path. */
  files: Record<string, string>;
  /** The version that was applied last. */
  applied: string | null;
}

/** Looks at a host with virsh, ip and cat. */
export function seen(host: Host): Seen {
  const names = host.virsh('list', '--all', '--name').split('\n').filter(Boolean).sort();
  const title = (name: string): string => `${host.virsh('desc', '--title', name).trim()}, ${host.virsh('domstate', name).trim()}`;
  const links = JSON.parse(host.run('ip', '-json', 'link', 'show', 'type', 'bridge') || '[]') as { ifname: string; mtu: number }[];
  const paths = host.sh('find /etc/ceph /etc/corral /var/lib/corral -type f | sort').split('\n').filter(Boolean);
  const files = Object.fromEntries(paths.map((path) => [path, host.run('cat', path)]));
  const applied = files['/var/lib/corral/applied.json'];
  return {
    domains: Object.fromEntries(names.map((name) => [name, title(name)])),
    bridges: Object.fromEntries(links.map(({ ifname, mtu: size }) => [ifname, size])),
    files,
    applied: applied === undefined ? null : ((JSON.parse(applied) as { document: string }).document ?? null),
  };
}

/** What a host has when it is as the example says. */
export function expectedOf(version: string, domains = ['vm-17', 'vm-18']): Partial<Seen> {
  return {
    domains: Object.fromEntries(domains.map((name) => [name, `${version} 100%{x} ü, shut off`])),
    bridges: { 'br-17-0': mtu(version) },
    applied: version,
  };
}

/** Takes away by hand what a run would make again; the rest of what Corral made stays. */
export function damage(host: Host): void {
  host.sh('virsh -q undefine vm-17 2>/dev/null; ip link del br-17-0 2>/dev/null; rm -f /etc/ceph/ceph.conf; true');
}

/** The same on a host that may apply an older document than it did. */
export function turnBack(host: Host): void {
  damage(host);
  host.sh('rm -f /var/lib/corral/applied.json');
}
