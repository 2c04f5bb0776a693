import { describe, expect, test } from 'vitest';
import { convergenceOf } from '../../src/reports/convergence.load.ts';
import { testCorral } from '../support/corral.ts';
import { GIB } from '../modules/fleet.ts';
import { documentResource, domain, fleet, get, NODE, post, puppetReport, versionOf, type Resource } from './fleet.ts';

const corral = await testCorral();
const vm = await fleet(corral, 2);
const model = corral.catalog.byNoun('vm');
const report = (resources: readonly Resource[], more: Record<string, unknown> = {}) => post(corral, '/reports/puppet', puppetReport(resources, more));
const now = async (id = vm) => (await convergenceOf(corral.store, corral.db(), model, id))!;
const beat = async (states: Record<string, string>, observation?: unknown) =>
  post(corral, '/heartbeats', {
    node: NODE,
    domains: Object.fromEntries(Object.entries(states).map(([name, state]) => [name, { state }])),
    ...(observation === undefined ? {} : { observation }),
  });

test('says what a virtual machine waits for, step by step, until it is as asked', async () => {
  const first = await versionOf(corral);
  expect(await now()).toMatchObject({
    state: 'waiting',
    node: NODE,
    desired: 'running',
    observed: null,
    why_not: `${NODE} has never reported`,
    applied_at: null,
  });

  await report([], { status: 'failed', logs: [{ level: 'err', source: 'Puppet', message: 'Could not retrieve catalog' }] });
  expect(await now()).toMatchObject({ state: 'failed', why_not: `${NODE} could not compile its configuration: Could not retrieve catalog` });

  await report([domain(vm, 'failed'), documentResource(first, 'skipped')]);
  expect(await now()).toMatchObject({
    state: 'failed',
    served_at: expect.any(String),
    applied_at: null,
    why_not: `Corral_domain[vm-${vm}] failed: it did not work`,
  });

  await report([domain(vm, 'noop'), documentResource(first, 'noop')], { noop: true });
  expect(await now()).toMatchObject({ state: 'pending', why_not: expect.stringContaining('--noop') });

  await report([domain(vm, 'changed'), documentResource(first, 'changed')]);
  expect(await now()).toMatchObject({ state: 'converged', desired: 'running', observed: 'present', why_not: null, applied_at: expect.any(String) });
  expect(await get(corral, `/api/v1/vms/${vm}`)).toMatchObject({ observed_state: 'running' });

  await beat({ [`vm-${vm}`]: 'running' });
  expect(await now()).toMatchObject({ state: 'converged', observed: 'running', observed_at: expect.any(String) });

  await beat({ [`vm-${vm}`]: 'crashed' });
  expect(await now()).toMatchObject({ state: 'drifted', why_not: `vm-${vm} is crashed on ${NODE}, and is asked to be running` });
  await beat({ [`vm-${vm}`]: 'running' });

  await beat(
    { [`vm-${vm}`]: 'running' },
    { things: { domain: { [`vm-${vm}`]: { state: 'running', managed: true, pending: [{ property: 'vcpus_max', current: '4', wanted: '8' }] } } } },
  );
  expect(await now()).toMatchObject({ state: 'pending_restart', why_not: 'waits for a restart: vcpus_max 4 → 8', pending: [{ property: 'vcpus_max' }] });
  expect(await get(corral, `/api/v1/nodes/${NODE}`)).toMatchObject({ status: 'pending_restart', run: { restarts: 1 } });
  await beat({ [`vm-${vm}`]: 'running' }, { things: { domain: { [`vm-${vm}`]: { state: 'running', managed: true, pending: [] } } } });
  expect((await now()).state).toBe('converged');
});

test('a change of another thing in the same document does not make it wait', async () => {
  const other = Number((await corral.make('vm', { name: 'other', cores: 1, ram: GIB, method: 'KVM', hypervisor: NODE }))['id']);
  const [old, current] = [((await get(corral, `/api/v1/nodes/${NODE}`))['document'] as { applied: string }).applied, await versionOf(corral)];
  expect(current).not.toBe(old);
  expect((await now()).state).toBe('converged');
  expect(await now(other)).toMatchObject({ state: 'waiting', why_not: `${NODE} has applied ${old}, this was asked in ${current}` });

  /* One that fails does not hold the other one up. */
  await report([domain(vm), domain(other, 'failed'), documentResource(current, 'skipped')]);
  expect([(await now()).state, (await now(other)).state]).toEqual(['converged', 'failed']);

  /* Its own change does. */
  await corral.request(`/api/v1/vms/${vm}`, { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: '{"cores":2}' });
  const asked = await versionOf(corral);
  expect(await now()).toMatchObject({ state: 'waiting', why_not: expect.stringContaining(`this was asked in ${asked}`) });
  await corral.request(`/api/v1/vms/${other}`, { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: '{"cores":2}' });
  expect(await now(other)).toMatchObject({
    state: 'waiting',
    why_not: expect.stringContaining(`Corral_domain[vm-${other}] failed in the run before: it did not work`),
  });

  await report([domain(vm, 'changed'), domain(other, 'changed'), documentResource(await versionOf(corral), 'changed')]);
  expect([(await now()).state, (await now(other)).state]).toEqual(['converged', 'converged']);
});

test('a heartbeat may say that all was applied before the report comes', async () => {
  await corral.request(`/api/v1/vms/${vm}`, { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: '{"cores":3}' });
  const current = await versionOf(corral);
  const running = await post(corral, '/heartbeats', { node: NODE, run: { running: true, started_at: new Date().toISOString() } });
  expect(running).toMatchObject({ status: 200, body: { interval: 10, document: current, spread: 0 } });
  expect((await now()).why_not).toContain('a run is under way since');
  await post(corral, '/heartbeats', { node: NODE, document: current, run: { running: false } });
  expect((await now()).state).toBe('converged');
  /* The report of that run is no drift: no report had confirmed the version. */
  await report([domain(vm, 'changed'), documentResource(current, 'changed')]);
  expect(await get(corral, `/api/v1/nodes/${NODE}`)).toMatchObject({ status: 'changed' });
});

test('a host that has not reported for long, is off on purpose or deactivated is named', async () => {
  await corral.pool.query("update node_status set stale_at = now() - interval '1 second' where reported_at is not null");
  expect(await now()).toMatchObject({ state: 'stale', why_not: expect.stringMatching(/^hv1\.example\.com has not reported since \d{4}-/) });
  await corral.request(`/api/v1/vms/${vm}`, { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: '{"cores":4}' });
  expect(await now()).toMatchObject({ state: 'waiting', why_not: expect.stringContaining('has not reported since') });
  for (const state of ['stopped', 'deactivated'] as const) {
    await corral.request(`/api/v1/nodes/${NODE}`, { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ state }) });
    expect((await now()).state).toBe('held');
  }
  await corral.request(`/api/v1/nodes/${NODE}`, { method: 'PATCH', headers: { 'content-type': 'application/json' }, body: '{"state":"running"}' });
});

describe('what a host sees', () => {
  test('unknown domains are kept as unmanaged, and forgotten when they are gone', async () => {
    const things = { domain: { 'somebody-elses': { state: 'running', managed: false, uuid: 'x', detail: { title: 'theirs' } } }, bridge: {} };
    await beat({ 'somebody-elses': 'running' }, { things });
    expect(await get(corral, `/api/v1/observations?node=${NODE}&kind=domain&managed=false`)).toMatchObject({
      observations: [{ name: 'somebody-elses', state: 'running', result: null, detail: { title: 'theirs', uuid: 'x' } }],
    });
    await beat({ 'somebody-elses': 'paused' });
    expect(await get(corral, `/api/v1/observations?node=${NODE}&managed=false`)).toMatchObject({
      observations: [{ state: 'paused', detail: { title: 'theirs' } }],
    });
    await beat({});
    expect(await get(corral, `/api/v1/observations?node=${NODE}&managed=false`)).toMatchObject({ observations: [] });
    expect(await get(corral, `/api/v1/vms/${vm}`)).toMatchObject({ observed_state: 'nostate' });
    expect(await get(corral, `/api/v1/observations/${NODE}:domain:vm-${vm}`)).toMatchObject({ state: 'absent', result: 'ok' });
  });

  test('is written only when it changes', async () => {
    const observation = { facts: { cores: 4 }, things: { domain: { [`vm-${vm}`]: { state: 'running', managed: true } }, osd: { u1: { state: 'running' } } } };
    const rows = async () => (await corral.pool.query('select xmin, kind, name, state from observation order by id')).rows;
    await beat({ [`vm-${vm}`]: 'running' }, observation);
    const before = await rows();
    expect(before.map((one: { kind: string }) => one.kind)).toContain('ceph_osd');
    const facts = await get(corral, `/api/v1/node-facts/${NODE}`);
    expect(facts).toMatchObject({ facts: { cores: 4 }, version: 1 });
    await beat({ [`vm-${vm}`]: 'running' }, observation);
    await beat({ [`vm-${vm}`]: 'running' });
    expect(await rows()).toEqual(before);
    expect(await get(corral, `/api/v1/node-facts/${NODE}`)).toEqual(facts);
  });

  test('of a virtual machine of another uuid, or of another host, is not taken for it', async () => {
    await beat({ [`vm-${vm}`]: 'running' });
    await post(corral, '/heartbeats', { node: NODE, domains: { [`vm-${vm}`]: { uuid: '00000000-0000-4000-8000-000000000000', state: 'crashed' } } });
    await post(corral, '/heartbeats', { node: 'hv2.example.com', domains: { [`vm-${vm}`]: { state: 'crashed' } } });
    expect(await get(corral, `/api/v1/vms/${vm}`)).toMatchObject({ observed_state: 'running' });
  });

  test('things of a report that names all are forgotten when it no longer does', async () => {
    await report([domain(vm), { type: 'Corral_volume', title: 'gone-soon' }, documentResource(await versionOf(corral))]);
    expect(await get(corral, `/api/v1/observations?node=${NODE}&name=gone-soon`)).toMatchObject({ observations: [{ result: 'ok' }] });
    await report([domain(vm), documentResource(await versionOf(corral))]);
    expect(await get(corral, `/api/v1/observations?node=${NODE}&name=gone-soon`)).toMatchObject({ observations: [] });
  });
});

test('every noun that hosts build says how far they are', async () => {
  const nouns = corral.catalog.models.filter((one) => one.resource.observed).map((one) => one.resource.noun);
  expect(nouns.sort()).toEqual(['ceph_key', 'ceph_mon_node', 'ceph_osd', 'ceph_pool', 'node', 'pool_attachment', 'vm', 'vm_interface', 'volume']);
  await corral.make('ceph_cluster', { name: 'ceph', public_network: '192.0.2.0/24' });
  await corral.make('ceph_pool', { ceph_cluster: 'ceph', name: 'vms' });
  for (const i of [1, 2]) await corral.make('node', { fqdn: `mon${i}.example.com`, site: 'fra1', roles: { ceph_mon: { ceph_cluster: 'ceph' } } });
  await corral.make('node', { fqdn: 'osd1.example.com', site: 'fra1', roles: { ceph_osd: { ceph_cluster: 'ceph' } } });
  await corral.make('ceph_osd', { ceph_osd_node: 'osd1.example.com', data_device: '/dev/sdb' });
  for (const noun of nouns) {
    const one = corral.catalog.byNoun(noun);
    const { rows } = await corral.pool.query<{ id: string }>(`select id from "${one.table}" order by id limit 1`);
    const judged = await convergenceOf(corral.store, corral.db(), one, Number(rows[0]!.id));
    expect([noun, judged]).toEqual([noun, expect.objectContaining({ state: expect.any(String), asked_at: expect.any(String), desired: expect.any(String) })]);
  }
  const { rows } = await corral.pool.query<{ id: string }>("select id from ceph_key where entity = 'client.admin'");
  const key = corral.catalog.byNoun('ceph_key');
  for (const node of ['mon1.example.com', 'mon2.example.com'])
    await report(
      [
        { type: 'Corral_ceph_key', title: 'ceph/client.admin', ...(node === 'mon2.example.com' ? { result: 'failed' as const } : {}) },
        documentResource(await versionOf(corral, node), node === 'mon2.example.com' ? 'skipped' : undefined),
      ],
      { node },
    );
  expect(await convergenceOf(corral.store, corral.db(), key, Number(rows[0]!.id))).toMatchObject({
    state: 'failed',
    node: 'mon2.example.com',
    hosts: [{ state: 'failed' }, { node: 'mon1.example.com', state: 'converged' }],
  });
});

test('is read below a thing, in it and in lists of it, and on its page', async () => {
  const below = await get(corral, `/api/v1/vms/${vm}/convergence`);
  expect(below).toMatchObject({ state: expect.any(String), node: NODE, desired: 'running' });
  expect(await get(corral, `/api/v1/vms/${vm}/convergence.json`)).toEqual(below);
  expect(await get(corral, `/api/v1/vms/${vm}?include=convergence,hypervisor`)).toMatchObject({ convergence: below, hypervisor: { node: NODE } });
  expect(((await get(corral, '/api/v1/vms?include=convergence&fields=name'))['vms'] as unknown[])[0]).toMatchObject({ convergence: below });
  expect(await get(corral, `/api/v1/nodes/${NODE}/convergence`)).toMatchObject({ node: NODE, desired: 'converged' });
  const page = await corral.request(`/api/v1/vms/${vm}/convergence`, { headers: { accept: 'text/html' } });
  expect([page.status, page.headers.get('location')]).toEqual([303, `/api/v1/vms/${vm}#convergence`]);
  expect(await (await corral.request(`/api/v1/vms/${vm}.html`)).text()).toContain('id="convergence"');
  for (const [method, path, status] of [
    ['GET', '/api/v1/vms/999/convergence', 404],
    ['GET', '/api/v1/sites/fra1/convergence', 404],
    ['GET', '/api/v1/sites?include=convergence', 400],
    ['GET', `/api/v1/vms/${vm}/convergence?x=1`, 400],
    ['DELETE', `/api/v1/vms/${vm}/convergence`, 405],
    ['POST', `/api/v1/vms/${vm}/convergence`, 405],
  ] as const)
    expect([method, path, (await corral.request(path, { method })).status]).toEqual([method, path, status]);
});
