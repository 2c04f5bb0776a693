import { describe, expect, test } from 'vitest';
import { testCorral } from '../support/corral.ts';
import { GIB } from '../modules/fleet.ts';
import { documentResource, domain, fleet, get, NODE, post, puppetReport, versionOf, type Resource } from './fleet.ts';

const corral = await testCorral({ CORRAL_STALE_AFTER: '60', CORRAL_REPORTS_KEPT: '3' });
const vm = await fleet(corral, 12);

const report = (resources: readonly Resource[], more: Record<string, unknown> = {}) => post(corral, '/reports/puppet', puppetReport(resources, more));
const statusOf = async (node: string): Promise<unknown> => (await get(corral, `/api/v1/nodes/${node}`))['status'];

/* Each state on a host of its own, made by what really makes it. */
const made: Record<string, (node: string) => Promise<unknown>> = {
  never_reported: async (node) => post(corral, '/heartbeats', { node }),
  converged: async (node) => report([documentResource(await versionOf(corral, node))], { node }),
  changed: async (node) => report([{ type: 'File', title: '/a', result: 'changed' }, documentResource(await versionOf(corral, node))], { node }),
  drift_corrected: async (node) => {
    const version = await versionOf(corral, node);
    await report([documentResource(version)], { node, at: -10 });
    return report([domain(99, 'changed'), documentResource(version)], { node });
  },
  pending: async (node) => report([domain(99, 'noop'), documentResource(await versionOf(corral, node), 'noop')], { node, noop: true }),
  pending_restart: async (node) =>
    report([domain(99), documentResource(await versionOf(corral, node))], {
      node,
      logs: [{ level: 'warning', source: '/Stage[main]/Corral/Corral_domain[vm-99]', message: 'vm-99 waits for a restart: vcpus_max 4 → 8' }],
    }),
  failed: async (node) => report([domain(99, 'failed'), documentResource(await versionOf(corral, node), 'skipped')], { node }),
  compile_failed: async (node) => report([], { node, status: 'failed', logs: [{ level: 'err', source: 'Puppet', message: 'Could not retrieve catalog' }] }),
  stale: async (node) => {
    await report([documentResource(await versionOf(corral, node))], { node });
    await corral.pool.query("update node_status set stale_at = now() - interval '1 second' where node_id = (select id from node where fqdn = $1)", [node]);
  },
};

describe('a node', () => {
  test.each(Object.keys(made).map((status, i) => [status, `hv${i + 2}.example.com`] as const))('is %s', async (status, node) => {
    expect(await statusOf(node)).toBe('never_reported');
    await made[status]!(node);
    expect(await statusOf(node)).toBe(status);
    const { nodes } = await get(corral, `/api/v1/nodes?status=${status}&fields=fqdn`);
    expect((nodes as { fqdn: string }[]).map((one) => one.fqdn)).toContain(node);
  });

  test('with a change that only records the new document is converged', async () => {
    await report([documentResource(await versionOf(corral, 'hv11.example.com'), 'changed')], { node: 'hv11.example.com' });
    expect(await statusOf('hv11.example.com')).toBe('converged');
  });

  test('shows the versions of its document with their times, its run and its heartbeat', async () => {
    const version = await versionOf(corral);
    await post(corral, '/heartbeats', {
      node: NODE,
      boot_id: 'b1',
      uptime: 77,
      load: [1, 0.5, 0.25],
      memory: { total: 8, free: 4 },
      disks: { '/': { total: 9, free: 3 } },
    });
    await report([domain(vm, 'changed'), documentResource(version)]);
    const node = await get(corral, `/api/v1/nodes/${NODE}`);
    expect(node).toMatchObject({
      status: 'changed',
      up_to_date: true,
      document: {
        current: version,
        served: version,
        applied: version,
        built_at: expect.any(String),
        served_at: expect.any(String),
        applied_at: expect.any(String),
      },
      run: { tool: 'puppet', outcome: 'changed', message: null, restarts: 0, running_since: null },
      heartbeat: { boot_id: 'b1', uptime: 77, load: [1, 0.5, 0.25], memory: { total: 8, free: 4 }, disks: { '/': { total: 9, free: 3 } } },
    });
    await corral.make('vm', { cores: 1, ram: GIB, method: 'KVM', hypervisor: NODE });
    expect(await get(corral, `/api/v1/nodes/${NODE}`)).toMatchObject({ up_to_date: false, document: { applied: version }, version: node['version'] });
    const listed = await get(corral, '/api/v1/nodes?up_to_date=true&sort=-reported_at&limit=2');
    const first = (listed['nodes'] as { fqdn: string }[]).map((one) => one.fqdn);
    const next = await get(corral, String(listed['next']));
    expect(new Set([...first, ...(next['nodes'] as { fqdn: string }[]).map((one) => one.fqdn)]).size).toBeGreaterThan(2);
  });
});

describe('a report', () => {
  const NODE12 = 'hv12.example.com';

  test('that comes again is answered the same and stored once, also when both come at the same time', async () => {
    const body = puppetReport([domain(1, 'changed'), documentResource(await versionOf(corral, NODE12))], { node: NODE12 });
    const answers = await Promise.all(Array.from({ length: 6 }, () => post(corral, '/reports/puppet', body)));
    for (const answer of answers) expect(answer).toEqual({ status: 200, body: { node: NODE12, run: body['transaction_uuid'], outcome: 'changed' } });
    expect(await post(corral, '/reports/puppet', body)).toEqual(answers[0]);
    expect(await get(corral, `/api/v1/reports?node=${NODE12}&total=true`)).toMatchObject({ total: 1 });
    /* The same again later is no second run: nothing was drift. */
    expect(await statusOf(NODE12)).toBe('changed');
  });

  test('of an older run is stored, and does not take the status back', async () => {
    await report([domain(1, 'failed')], { node: NODE12, at: -3600 });
    expect(await statusOf(NODE12)).toBe('changed');
    expect(await get(corral, `/api/v1/reports?node=${NODE12}&outcome=failed&total=true`)).toMatchObject({ total: 1 });
    const seen = await get(corral, `/api/v1/observations/${NODE12}:domain:vm-1`);
    expect(seen['result']).toBe('ok');
  });

  test('from a clock that is ahead does not hold the status for ever', async () => {
    await report([documentResource(await versionOf(corral, NODE12))], { node: NODE12, at: 86_400 });
    await report([domain(1, 'failed')], { node: NODE12, at: 1 });
    expect(await statusOf(NODE12)).toBe('failed');
  });

  test('is kept as long as it is one of the newest', async () => {
    for (let i = 0; i < 5; i++) await report([{ type: 'File', title: `/${i}`, result: 'changed' }], { node: NODE12, uuid: `kept-${i}` });
    const { reports } = await get(corral, `/api/v1/reports?node=${NODE12}&sort=id`);
    expect((reports as { run: string }[]).map((one) => one.run)).toEqual(['kept-2', 'kept-3', 'kept-4']);
    expect(await get(corral, `/api/v1/reports/${NODE12}:kept-4`)).toMatchObject({
      counts: { changed: 1 },
      resources: [{ type: 'File', title: '/4', result: 'changed', changes: [{ property: 'state', before: 'stopped', after: 'running' }] }],
    });
  });

  test('changes neither the version of a thing nor a document', async () => {
    const before = await get(corral, `/api/v1/vms/${vm}`);
    const version = await versionOf(corral);
    const answer = await corral.request(`/api/v1/vms/${vm}`);
    const etag = answer.headers.get('etag')!;
    await report([domain(vm), documentResource(version)]);
    await post(corral, '/heartbeats', { node: NODE, domains: { [`vm-${vm}`]: { uuid: before['uuid'], state: 'paused' } } });
    const after = await get(corral, `/api/v1/vms/${vm}`);
    expect(after).toMatchObject({ observed_state: 'paused', version: before['version'], updated_at: before['updated_at'] });
    expect(await versionOf(corral)).toBe(version);
    const patch = await corral.request(`/api/v1/vms/${vm}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json', 'if-match': etag },
      body: '{"name":"renamed"}',
    });
    expect(patch.status).toBe(200);
  });
});

test('the states of all nodes are counted on the first page, and explained', async () => {
  const { node_status } = (await get(corral, '/')) as { node_status: Record<string, number> };
  expect(Object.values(node_status).reduce((sum, n) => sum + n, 0)).toBe(12);
  const page = await (await corral.request('/', { headers: { accept: 'text/html' } })).text();
  for (const [status, n] of Object.entries(node_status)) {
    expect(page).toContain(`/api/v1/nodes?status=${status}`);
    expect((await get(corral, `/api/v1/nodes?status=${status}&total=true`))['total']).toBe(n);
  }
  expect(await (await corral.request('/docs')).text()).toContain('id="node-states"');
});

test('pages show the status, reports and errors without overflowing words', async () => {
  const node = await (await corral.request('/api/v1/nodes/hv8.example.com.html')).text();
  expect(node).toMatch(/Status .*badge bad.*failed/s);
  expect(node).toContain('Corral_domain[vm-99]: it did not work');
  const { reports } = (await get(corral, '/api/v1/reports?outcome=failed&limit=1')) as { reports: { id: number }[] };
  const page = await (await corral.request(`/api/v1/reports/${reports[0]!.id}.html`)).text();
  expect(page).toContain('it did not work');
  expect(page).toContain('Resources');
});
