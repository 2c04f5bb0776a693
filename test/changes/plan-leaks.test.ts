import { describe, expect, test } from 'vitest';
import { routeOf } from '../../src/db/catalog.ts';
import { resources } from '../../src/modules/index.ts';
import { call } from '../modules/fleet.ts';
import { samples, smallFleet } from '../http/samples.ts';
import { testCorral } from '../support/corral.ts';
import { dryRun, everything, listen } from './plan-support.ts';

const corral = await testCorral();
const table = samples(corral, await smallFleet(corral));
const { heard, flush } = await listen(corral);
/* test/http/crud.test.ts sees to it that every noun has a sample. */
const writable = resources.filter((resource) => table[resource.noun] !== undefined);

/** Runs it, and expects that nothing of it can be seen anywhere. */
async function leavesNothing<T>(work: () => Promise<T>): Promise<T> {
  await flush();
  const before = await everything(corral);
  const said = heard.length;
  const value = await work();
  expect(await everything(corral)).toEqual(before);
  await flush();
  expect(heard.slice(said).filter((one) => !one.includes('"probe"'))).toEqual([]);
  return value;
}

/** An answer without what is made anew each time. */
function made(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const fresh = (name: string): boolean => name.endsWith('_at') || ['uuid', 'secret_uuid', 'fsid', 'token', 'secret', 'login_link'].includes(name);
  return Object.fromEntries(Object.entries(value).flatMap(([name, inner]) => (fresh(name) ? [] : [[name, made(inner)]])));
}

describe.each(writable.map((resource) => [resource.noun, resource] as const))('%s', (noun, resource) => {
  const root = `/api/v1/${routeOf(resource.plural)}`;
  const sample = table[noun]!;

  test('a dry run leaves nothing behind, and says what comes of the write', async () => {
    const input = await sample.input(0);
    const create = await leavesNothing(() => dryRun(corral, 'POST', root, input));
    expect(create.status).toBe(201);
    const post = await call(corral, 'POST', root, input);
    expect(post.status).toBe(201);
    expect(made(create.answer)).toEqual(made(post.body));
    const path = `${root}/${String(post.body['id'])}`;

    if (!resource.without?.includes('update')) {
      const change = await leavesNothing(() => dryRun(corral, 'PATCH', path, sample.patch));
      expect(change.status).toBe(200);
      const patch = await call(corral, 'PATCH', path, sample.patch);
      expect(made(change.answer)).toEqual(made(patch.body));
      const none = await leavesNothing(() => dryRun(corral, 'PATCH', path, sample.patch));
      expect([none.plan.rows, none.plan.documents, none.plan.hosts]).toEqual([[], [], []]);
    }
    if (!resource.without?.includes('delete')) {
      const remove = await leavesNothing(() => call(corral, 'DELETE', `${path}?dry_run=true`));
      const real = await call(corral, 'DELETE', path);
      /* What is refused is refused the same, whether it is done or planned. */
      expect(remove.status).toBe(real.status === 204 ? 200 : real.status);
      if (real.status !== 204) expect(remove.body).toEqual(real.body);
      else expect([remove.body['status'], remove.body['answer']]).toEqual([204, null]);
    }
  });
});

test('a dry run of a PUT leaves nothing behind, whether it makes or changes', async () => {
  const put = await leavesNothing(() => dryRun(corral, 'PUT', '/api/v1/sites/new', { description: 'x' }));
  expect([put.status, put.plan.rows]).toMatchObject([201, [{ noun: 'site', key: 'new', op: 'create' }]]);
  const again = await leavesNothing(() => dryRun(corral, 'PUT', '/api/v1/sites/fra1', { description: 'x' }));
  expect([again.status, again.plan.rows]).toMatchObject([
    200,
    [{ noun: 'site', key: 'fra1', op: 'update', before: { description: null }, after: { description: 'x' } }],
  ]);
});

test('ids are those that come next, however many things are made', async () => {
  const input = { method: 'KVM', cores: 1, ram: 2 ** 30, volumes: [{}, {}], interfaces: [{}, {}] };
  const { plan } = await leavesNothing(() => dryRun(corral, 'POST', '/api/v1/vms', input));
  const { body } = await call(corral, 'POST', '/api/v1/vms', input);
  const { rows } = await corral.pool.query<{ noun: string; id: string }>(`select noun, row_id as id from change_row
    where change_id = (select id from change order by number desc limit 1) and op = 'insert' order by 1, 2`);
  const planned = plan.rows.filter((row) => row.op === 'create').map((row) => `${row.noun} ${row.id}`);
  expect(planned.sort()).toEqual(rows.map((row) => `${row.noun} ${row.id}`).sort());
  expect(planned).toContain(`vm ${String(body['id'])}`);
});

test('what would be refused is refused with the same problem', async () => {
  const cases: [string, string, unknown?, Record<string, string>?][] = [
    ['POST', '/api/v1/sites', { name: 'fra1' }],
    ['POST', '/api/v1/sites', { name: 'Not A Name', nonsense: 1 }],
    ['POST', '/api/v1/vms', { method: 'KVM', cores: 5000, ram: 1 }],
    ['POST', '/api/v1/vms', { method: 'KVM', cores: 60, ram: 2 ** 40 }],
    ['PATCH', '/api/v1/sites/nowhere', { description: 'x' }],
    ['PATCH', '/api/v1/sites/fra1', { description: 'x' }, { 'if-match': '"99.x"' }],
    ['PATCH', '/api/v1/nodes/hv0.example.com', { roles: { hypervisor: null, ceph_osd: null } }],
    ['PUT', '/api/v1/sites/fra1', { name: 'other' }],
    ['DELETE', '/api/v1/sites/fra1'],
    ['DELETE', '/api/v1/nodes/nobody.example.com'],
    /* Checked at the commit only. */
    ['POST', '/api/v1/nodes', { fqdn: 'none.example.com', site: 'fra1', roles: {} }],
  ];
  for (const [method, path, body, headers] of cases) {
    const dry = await leavesNothing(() => call(corral, method, `${path}?dry_run=true`, body, headers));
    const real = await call(corral, method, path, body, headers);
    expect(real.status).toBeGreaterThanOrEqual(400);
    expect(dry).toEqual(real);
  }
});

test('only true and false are understood, and false is a write', async () => {
  for (const value of ['1', 'yes', '', 'TRUE']) {
    const { status, body } = await leavesNothing(() => call(corral, 'POST', `/api/v1/sites?dry_run=${value}`, { name: 'odd' }));
    expect([status, body.code]).toEqual([400, 'bad-request']);
  }
  expect((await call(corral, 'POST', '/api/v1/sites?dry_run=true&dry_run=true', { name: 'odd' })).status).toBe(400);
  expect((await call(corral, 'POST', '/api/v1/sites?dry_run=false', { name: 'real' })).status).toBe(201);
  expect((await call(corral, 'GET', '/api/v1/sites/real?dry_run=true')).status).toBe(400);
});

test('a reader may not plan either', async () => {
  const reader = String((await corral.make('token', { name: 'reader', kind: 'reader' }))['token']);
  const answer = await corral.request('/api/v1/sites?dry_run=true', {
    method: 'POST',
    token: reader,
    headers: { 'content-type': 'application/json' },
    body: '{"name":"x"}',
  });
  expect(answer.status).toBe(403);
});
