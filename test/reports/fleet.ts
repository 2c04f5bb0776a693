/** What the tests of reports stand on. */
import type { TestCorral } from '../support/corral.ts';
import { GIB, hypervisors } from '../modules/fleet.ts';

export const NODE = 'hv1.example.com';

export interface Sent {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** Posts JSON. */
export async function post(corral: TestCorral, path: string, body: unknown, token?: string | null): Promise<Sent> {
  const answer = await corral.request(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...(token === undefined ? {} : { token }),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

/** Reads JSON. */
export async function get(corral: TestCorral, path: string): Promise<Record<string, unknown>> {
  const answer = await corral.request(path);
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as Record<string, unknown>;
}

export interface Resource {
  readonly type: string;
  readonly title: string;
  readonly result?: 'changed' | 'failed' | 'skipped' | 'noop';
}

let runs = 0;

/** A report of Puppet in its own form; `at` is in seconds from now. */
export function puppetReport(
  resources: readonly Resource[],
  { node = NODE, uuid = `run-${++runs}`, at = 0, ...more }: { node?: string; uuid?: string; at?: number } & Record<string, unknown> = {},
): Record<string, unknown> {
  const failed = resources.some((one) => one.result === 'failed');
  const changed = resources.some((one) => one.result === 'changed');
  return {
    host: node,
    time: new Date(Date.now() + at * 1000).toISOString(),
    transaction_uuid: uuid,
    status: failed ? 'failed' : changed ? 'changed' : 'unchanged',
    noop: false,
    noop_pending: resources.some((one) => one.result === 'noop'),
    logs: [],
    resource_statuses: Object.fromEntries(
      resources.map(({ type, title, result }) => [
        `${type}[${title}]`,
        {
          resource_type: type,
          title,
          failed: result === 'failed',
          skipped: result === 'skipped',
          changed: result === 'changed',
          events:
            result === undefined || result === 'skipped'
              ? []
              : [
                  {
                    status: { changed: 'success', failed: 'failure', noop: 'noop' }[result],
                    property: 'state',
                    previous_value: 'stopped',
                    desired_value: 'running',
                    message: result === 'failed' ? 'it did not work' : 'stopped → running',
                  },
                ],
        },
      ]),
    ),
    ...more,
  };
}

/** What the document of a node is called now. */
export async function versionOf(corral: TestCorral, node = NODE): Promise<string> {
  const { rows } = await corral.pool.query<{ version: string }>(
    `select d.number || '-' || d.hash as version from document d join node n on n.id = d.node_id where n.fqdn = $1`,
    [node],
  );
  return rows[0]!.version;
}

/** The last resource of a run. */
export const documentResource = (version: string, result?: Resource['result']): Resource => ({
  type: 'Corral_document',
  title: version,
  ...(result ? { result } : {}),
});

export const domain = (id: unknown, result?: Resource['result']): Resource => ({
  type: 'Corral_domain',
  title: `vm-${String(id)}`,
  ...(result ? { result } : {}),
});

/** Hypervisors with one virtual machine on the first. @returns its id */
export async function fleet(corral: TestCorral, count = 1): Promise<number> {
  await hypervisors(corral, count);
  return Number((await corral.make('vm', { name: 'web', cores: 1, ram: GIB, method: 'KVM', hypervisor: NODE }))['id']);
}
