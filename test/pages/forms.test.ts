import { beforeAll, describe, expect, test } from 'vitest';
import { testCorral, type TestCorral } from '../support/corral.ts';
import { get, makeFleet, post } from './fleet.ts';
import { all, formOf, submission, text, type Element } from './html.ts';

let corral: TestCorral;
beforeAll(async () => {
  corral = await testCorral();
  await makeFleet(corral);
});

const byId = (page: Element, id: string): Element | undefined => all(page, (element) => element.attributes['id'] === id)[0];
const json = async (path: string): Promise<Record<string, unknown>> => (await (await corral.request(path)).json()) as Record<string, unknown>;

test('an edit form that is sent as it came changes nothing, for every row of every noun', async () => {
  let forms = 0;
  const version = async (): Promise<string | null> => (await corral.request('/enc/hv1.example.com')).headers.get('corral-document');
  const changes = async (): Promise<unknown> => (await corral.pool.query('select count(*) from change')).rows[0];
  const before = [await version(), await changes()];
  for (const model of corral.catalog.models) {
    if (model.resource.readOnly || model.resource.without?.includes('update')) continue;
    const listed = await json(`/api/v1/${model.route}`);
    const rows = (listed[model.resource.plural] as Record<string, unknown>[]).slice(0, 3);
    expect([model.route, rows.length > 0]).toEqual([model.route, true]);
    for (const row of rows) {
      const path = `/api/v1/${model.route}/${String(row['id'])}`;
      const { page, status } = await get(corral, `/forms/${model.route}/${String(row['id'])}`);
      expect([path, status]).toEqual([path, 200]);
      const sent = await post(corral, path, submission(formOf(page, path)));
      expect([path, sent.status]).toEqual([path, 303]);
      expect(await json(path)).toEqual(row);
      forms++;
    }
  }
  expect(forms).toBeGreaterThan(20);
  expect([await version(), await changes()]).toEqual(before);
});

test('a node, then a virtual machine, are made, changed and deleted with forms alone', async () => {
  const node = submission(formOf((await get(corral, '/forms/nodes')).page, '/api/v1/nodes'));
  node.set('fqdn', 'hv2.example.com');
  expect(node.get('site')).toBe('fra1');
  node.set('roles.hypervisor._on', 'true');
  node.append('roles.hypervisor.methods', 'QEMU');
  node.append('roles.hypervisor.methods', 'Parallels Server Bare Metal');
  node.set('roles.hypervisor.cores', '8');
  node.set('roles.hypervisor.ram', '1.5 TiB');
  const made = await post(corral, '/api/v1/nodes', node);
  expect(made.status).toBe(303);
  const row = await json('/api/v1/nodes/hv2.example.com');
  expect(row['roles']).toMatchObject({ hypervisor: { methods: ['Parallels Server Bare Metal', 'QEMU'], ram: 1.5 * 2 ** 40, cpu_overcommit: 4 } });

  const attachment = submission(formOf((await get(corral, '/forms/pool-attachments?hypervisor=hv2.example.com')).page, '/api/v1/pool-attachments'));
  expect(attachment.get('hypervisor')).toBe('hv2.example.com');
  expect((await post(corral, '/api/v1/pool-attachments', attachment)).status).toBe(303);

  const vm = submission(formOf((await get(corral, '/forms/vms')).page, '/api/v1/vms'));
  vm.set('cores', '1');
  vm.set('ram', '512 MiB');
  vm.set('method', 'QEMU');
  vm.set('hypervisor', 'hv2.example.com');
  vm.set('volumes', '[{"size": 1073741824}, {"size": 512}]');
  const created = await post(corral, '/api/v1/vms', vm);
  expect(created.status).toBe(303);
  const thing = await get(corral, created.location!);
  expect(thing.html).toContain('203.0.113.');
  const id = created.location!.split('/').at(-1)!;
  expect((await json(`/api/v1/volumes?vm=${id}`))['volumes']).toHaveLength(2);

  const change = submission(formOf((await get(corral, `/forms/vms/${id}`)).page, '/api/v1/vms'));
  change.set('name', 'renamed');
  change.set('state', 'stopped');
  expect((await post(corral, created.location!, change)).status).toBe(303);
  expect(await json(created.location!)).toMatchObject({ name: 'renamed', state: 'stopped' });

  const removal = formOf((await get(corral, created.location!)).page, '/api/v1/vms');
  const gone = await post(corral, removal.attributes['action']!, submission(removal));
  expect([gone.status, gone.location]).toEqual([303, '/api/v1/vms']);
  expect((await get(corral, created.location!)).status).toBe(404);
});

describe('an edit form sends what was changed, and nothing else', () => {
  const fields = (change: Record<string, unknown>, noun: string): string[] => {
    const rows = (change['rows'] as { noun: string; after: Record<string, unknown> }[]).filter((row) => row.noun === noun);
    return rows.flatMap((row) => Object.keys(row.after)).sort();
  };
  const last = async (): Promise<Record<string, unknown>> => {
    const { changes } = (await json('/api/v1/changes?limit=1')) as { changes: { number: number }[] };
    return json(`/api/v1/changes/${changes[0]!.number}`);
  };

  test('so that a virtual machine grows, with its headroom', async () => {
    const { id } = (await corral.make('vm', { name: 'grows', cores: 2, ram: 2 ** 30, method: 'QEMU' })) as { id: number };
    const path = `/api/v1/vms/${id}`;
    const edit = async (): Promise<URLSearchParams> => submission(formOf((await get(corral, `/forms/vms/${id}`)).page, path));
    const larger = await edit();
    expect([larger.get('cores'), larger.get('cores_max')]).toEqual(['2', '2']);
    larger.set('cores', '4');
    larger.set('ram', '2 GiB');
    expect((await post(corral, path, larger)).status).toBe(303);
    expect(await json(path)).toMatchObject({ cores: 4, cores_max: 4, ram: 2 ** 31, ram_max: 2 ** 31, name: 'grows' });
    expect(fields(await last(), 'vm')).toEqual(['cores', 'cores_max', 'ram', 'ram_max']);
    /* The plan, and what is done when the person agrees to it. */
    const again = await edit();
    again.set('cores', '8');
    const plan = await post(corral, `${path}?dry_run=true`, again);
    expect(plan.status).toBe(200);
    expect((await post(corral, path, submission(formOf(plan.page, path)))).status).toBe(303);
    expect(await json(path)).toMatchObject({ cores: 8, cores_max: 8, ram: 2 ** 31 });
    /* Who says it wrong himself is told so. */
    const wrong = await edit();
    wrong.set('cores', '16');
    wrong.set('cores_max', '12');
    const refused = await post(corral, path, wrong);
    expect([refused.status, text(byId(refused.page, 'f-cores_max-error')!)]).toEqual([422, expect.stringContaining('at least cores')]);
    expect(submission(formOf(refused.page, path)).get('cores')).toBe('16');
  });

  test('of a role, only its changed fields', async () => {
    const row = await json('/api/v1/nodes/hv1.example.com');
    const path = `/api/v1/nodes/${String(row['id'])}`;
    const sent = submission(formOf((await get(corral, '/forms/nodes/hv1.example.com')).page, path));
    sent.set('roles.hypervisor.cores', '20');
    expect((await post(corral, path, sent)).status).toBe(303);
    const change = await last();
    expect([fields(change, 'hypervisor'), fields(change, 'ceph_mon'), fields(change, 'ceph_osd_node')]).toEqual([['cores'], [], []]);
    expect(((await json(path))['roles'] as { hypervisor: object }).hypervisor).toMatchObject({ cores: 20, cpu_overcommit: 1.25, ram: 2 ** 36 + 4096 });
  });

  test('and an emptied field is a change', async () => {
    const row = await json('/api/v1/customers/acme');
    const path = `/api/v1/customers/${String(row['id'])}`;
    const sent = submission(formOf((await get(corral, '/forms/customers/acme')).page, path));
    sent.set('email', '');
    expect((await post(corral, path, sent)).status).toBe(303);
    expect(fields(await last(), 'customer')).toEqual(['email']);
    expect(await json(path)).toMatchObject({ email: null, title: row['title'] });
    await corral.request(path, { method: 'PATCH', body: JSON.stringify({ email: row['email'] }), headers: { 'content-type': 'application/json' } });
  });
});

test('a role that is unticked goes; the last one is refused at the roles', async () => {
  const edit = async (): Promise<URLSearchParams> => submission(formOf((await get(corral, '/forms/nodes/hv1.example.com')).page, '/api/v1/nodes'));
  const path = `/api/v1/nodes/${String((await json('/api/v1/nodes/hv1.example.com'))['id'])}`;
  const one = await edit();
  one.delete('roles.ceph_mon._on');
  expect((await post(corral, path, one)).status).toBe(303);
  expect(Object.keys((await json(path))['roles'] as object)).toEqual(['hypervisor', 'ceph_osd']);
  await corral.request(`${path}`, {
    method: 'PATCH',
    body: JSON.stringify({ roles: { ceph_mon: { ceph_cluster: 'ceph' } } }),
    headers: { 'content-type': 'application/json' },
  });

  const none = submission(formOf((await get(corral, '/forms/nodes')).page, '/api/v1/nodes'));
  none.set('fqdn', 'none.example.com');
  const refused = await post(corral, '/api/v1/nodes', none);
  expect(refused.status).toBe(409);
  expect(text(byId(refused.page, 'f-roles-error')!)).toContain('at least one role');
});

describe('a refusal', () => {
  test('stands at its fields, in the summary, and keeps what was entered', async () => {
    const sent = submission(formOf((await get(corral, '/forms/nodes')).page, '/api/v1/nodes'));
    sent.set('fqdn', '"Bad" <Name>');
    sent.set('manager', 'salt');
    sent.set('roles.hypervisor._on', 'true');
    sent.append('roles.hypervisor.methods', 'LXC');
    sent.set('roles.hypervisor.ram', '-5 GiB');
    sent.set('roles.hypervisor.cores', '4');
    const { status, page } = await post(corral, '/api/v1/nodes', sent);
    expect(status).toBe(422);
    for (const id of ['f-fqdn', 'f-roles-hypervisor-ram']) {
      const input = byId(page, id)!;
      expect(input.attributes['aria-invalid']).toBe('true');
      expect(input.attributes['aria-describedby']!.split(' ')).toContain(`${id}-error`);
      expect(text(byId(page, `${id}-error`)!)).not.toBe('');
      expect(all(page, (element) => element.tag === 'a' && element.attributes['href'] === `#${id}`)).toHaveLength(1);
    }
    const again = submission(formOf(page, '/api/v1/nodes'));
    expect([...again].sort()).toEqual([...sent].sort());
    expect(all(page, (element) => element.attributes['role'] === 'alert')).toHaveLength(1);
    expect(text(all(page, 'title')[0]!)).toMatch(/^Refused/);
  });

  test('of an object says so at its field and keeps its text', async () => {
    const sent = submission(formOf((await get(corral, '/forms/vms')).page, '/api/v1/vms'));
    sent.set('cores', '1');
    sent.set('ram', '1 GiB');
    sent.set('method', 'QEMU');
    sent.set('metadata', '{broken');
    const { page } = await post(corral, '/api/v1/vms', sent);
    expect(text(byId(page, 'f-metadata-error')!)).toContain('must be JSON');
    expect(text(byId(page, 'f-metadata')!)).toBe('{broken');
    /* A field that is folded away is shown when it is wrong. */
    const fold = all(page, (element) => element.attributes['class'] === 'fold').find((element) => byId(element, 'f-metadata'))!;
    expect('open' in fold.attributes).toBe(true);
  });

  test('without a field stands in the summary: no host has room', async () => {
    const sent = submission(formOf((await get(corral, '/forms/vms')).page, '/api/v1/vms'));
    sent.set('cores', '1000');
    sent.set('ram', '1 GiB');
    sent.set('method', 'LXC');
    const { status, page } = await post(corral, '/api/v1/vms', sent);
    expect(status).toBe(409);
    expect(text(all(page, (element) => element.attributes['role'] === 'alert')[0]!)).toContain('does not support LXC');
  });

  test('of a stale form names what was saved meanwhile, and the next attempt holds', async () => {
    const row = await json('/api/v1/customers/acme');
    const path = `/api/v1/customers/${String(row['id'])}`;
    const sent = submission(formOf((await get(corral, '/forms/customers/acme')).page, path));
    await corral.request(path, { method: 'PATCH', body: JSON.stringify({ email: 'new@example.com' }), headers: { 'content-type': 'application/json' } });
    sent.set('title', 'Mine');
    const { status, page } = await post(corral, path, sent);
    expect(status).toBe(412);
    expect(text(all(page, (element) => element.attributes['role'] === 'alert')[0]!)).toContain('Somebody else changed it');
    expect(all(page, (element) => element.attributes['class'] === 'now').map(text)).toEqual([
      "Saved now: O'Brien & Söhne <GmbH>",
      'Saved now: new@example.com',
    ]);
    expect((await json(path))['title']).toBe(row['title']);
    expect((await post(corral, path, submission(formOf(page, path)))).status).toBe(303);
    expect(await json(path)).toMatchObject({ title: 'Mine', email: 'a@example.com' });
  });

  test('of a stale deletion is a page that says what to do', async () => {
    const removal = formOf((await get(corral, '/api/v1/snapshots/spare:before')).page, '/api/v1/snapshots');
    await corral.request('/api/v1/snapshots/spare:before', {
      method: 'PATCH',
      body: JSON.stringify({ description: 'x' }),
      headers: { 'content-type': 'application/json' },
    });
    const { status, page } = await post(corral, removal.attributes['action']!, submission(removal));
    expect(status).toBe(412);
    expect(text(page)).toContain('Open it again');
  });
});

test('a secret that is typed is not sent back, and a new token is shown once', async () => {
  const sent = submission(formOf((await get(corral, '/forms/ceph-keys')).page, '/api/v1/ceph-keys'));
  sent.set('entity', 'client.x');
  sent.set('secret', 'hush-hush');
  const { status, html } = await post(corral, '/api/v1/ceph-keys', sent);
  expect(status).toBe(422);
  expect(html).not.toContain('hush-hush');

  const token = submission(formOf((await get(corral, '/forms/tokens')).page, '/api/v1/tokens'));
  token.set('name', 'once');
  token.set('kind', 'reader');
  const made = await post(corral, '/api/v1/tokens', token);
  const shown = text(all(made.page, (element) => element.attributes['class'] === 'secret')[0]!);
  expect(shown).toMatch(/^corral_reader_/);
  expect(text(made.page)).toContain('shown once');
  expect((await get(corral, '/api/v1/tokens/once')).html).not.toContain(shown);

  const webhook = submission(formOf((await get(corral, '/forms/webhooks')).page, '/api/v1/webhooks'));
  webhook.set('name', 'told');
  webhook.set('url', 'https://example.com/told');
  const told = await post(corral, '/api/v1/webhooks', webhook);
  expect(text(all(told.page, (element) => element.attributes['class'] === 'secret')[0]!)).toMatch(/^whsec_/);
  expect(text(told.page)).toContain('Give it to the receiver');
  expect(text(told.page)).toContain('shown once');
});
