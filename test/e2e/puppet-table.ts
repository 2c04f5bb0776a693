/** The document that Puppet's end-to-end tests serve, and what must happen when that goes wrong. */
import type { FaultDocument, FaultMode, Mapping } from './faults.ts';

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
export const SECRET = 'AQBHkXZgAAAAABAAexampleonlyexample==';

/** A hypervisor that is a Ceph client too; the version goes into every place that names it. */
export function exampleDocument(version: string, domains: Mapping = exampleDomains(version)): FaultDocument {
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
      'corral::ceph::client::clusters': { ceph: { fsid: '11111111-2222-3333-4444-555555555555' } },
      'corral::ceph::client::keys': { ceph: { 'client.libvirt': { ensure: 'present', secret: SECRET } } },
      lookup_options: {
        'corral::hypervisor::domains': { merge: { strategy: 'deep' } },
        '^corral::.*(key|keys|secret|secrets)$': { convert_to: 'Sensitive' },
      },
    },
  };
}

export function exampleDomains(version: string): Mapping {
  const domain = (name: string): Mapping => ({
    ensure: 'present',
    state: 'running',
    uuid: '6f1c5a52-8f3a-4a51-9d5e-0d0f2f3b4c17',
    // As Corral escapes a percent sign and brace that a user wrote.
    xml: `<domain type="kvm"><name>${name}</name><title>${version} 100%{literal('%')}{x} ü</title></domain>\n`,
  });
  return { 'vm-17': domain('vm-17'), 'vm-18': domain('vm-18') };
}

/** What Puppet's interpolation makes of a string from Corral. */
export function interpolated(text: string): string {
  return text.replaceAll("%{literal('%')}", '%');
}
