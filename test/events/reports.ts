/** What hosts send, for tests. */
import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import type { TestCorral } from '../support/corral.ts';
import { call } from '../modules/fleet.ts';

/** The version of a node's document. */
export async function versionOf(corral: TestCorral, node: string): Promise<string> {
  return (await corral.request(`/enc/${node}`)).headers.get('corral-document')!;
}

interface Told {
  /** The version that it was given; the newest when left out. */
  readonly version?: string;
  /** What became of each resource, by title; all others were in order. */
  readonly failed?: Readonly<Record<string, string>>;
}

/** Reports a run of Puppet that applied the node's document, as puppetserver would. */
export async function report(corral: TestCorral, node: string, { version, failed = {} }: Told = {}): Promise<void> {
  const served = version ?? (await versionOf(corral, node));
  const status = (resource: string, ok: boolean, message?: string) => ({
    title: /\[(.*)\]/s.exec(resource)![1],
    resource_type: resource.split('[', 1)[0],
    resource,
    failed: message !== undefined,
    skipped: !ok && message === undefined,
    changed: false,
    out_of_sync: message !== undefined,
    events: message === undefined ? [] : [{ status: 'failure', property: 'state', message }],
    time: new Date().toISOString(),
  });
  const bad = Object.keys(failed).length > 0;
  const pillar = (await (await corral.request(`/pillar/${node}.json`)).json()) as { corral: { hypervisor: Record<string, Record<string, unknown>> } };
  const named = (['domain', 'volume', 'bridge', 'pool'] as const).flatMap((kind) =>
    Object.keys(pillar.corral.hypervisor[`${kind}s`] ?? {}).map((name) => `Corral_${kind}[${name}]`),
  );
  const body = {
    host: node,
    time: new Date().toISOString(),
    configuration_version: 1,
    transaction_uuid: randomUUID(),
    report_format: 12,
    puppet_version: '7.23.0',
    status: bad ? 'failed' : 'unchanged',
    noop: false,
    noop_pending: false,
    environment: 'production',
    cached_catalog_status: 'not_used',
    corrective_change: false,
    logs: [],
    metrics: {},
    resource_statuses: Object.fromEntries(
      [...named.map((resource) => status(resource, true, failed[resource])), status(`Corral_document[${served}]`, !bad)].map((one) => [one.resource, one]),
    ),
  };
  const answer = await call(corral, 'POST', '/reports/puppet', body);
  expect([answer.status, answer.body.detail]).toEqual([200, undefined]);
}

/** Sends a heartbeat that says what domains do. */
export async function beat(
  corral: TestCorral,
  node: string,
  domains: Readonly<Record<string, { uuid: string; state: string }>>,
  document: string | null = null,
) {
  const { body, status } = await call(corral, 'POST', '/heartbeats', {
    node,
    boot_id: '6b1f0d3a-5d0e-4a5c-9a55-0f0f0f0f0f0f',
    uptime: 1000,
    load: [0.1, 0.2, 0.3],
    memory: { total: 1e9, free: 5e8 },
    disks: {},
    document,
    run: { running: false },
    domains,
  });
  expect([status, body.detail]).toEqual([200, undefined]);
}
