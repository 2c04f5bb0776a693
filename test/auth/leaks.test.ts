/**
 * Whatever names a thing of another customer is answered as what names nothing: the same status, headers, bytes and
 * number of statements, but for the name itself; and nothing of the other's is in any answer.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { keyOf, type Row } from '../../src/db/read.ts';
import { testCorral, type TestCorral } from '../support/corral.ts';
import { GIB } from '../http/samples.ts';
import { MARK, NOBODY, NOUNS, Statements, tell, twoCustomers, type Asked, type Told, type Two } from './leaks.fleet.ts';

let corral: TestCorral;
let two: Two;
const statements = new Statements();

beforeAll(async () => {
  /* Connections keep the function that they are made with. */
  statements.start();
  corral = await testCorral();
  two = await twoCustomers(corral);
});
afterAll(() => statements.stop());

const who = ['admin', 'user', 'project'] as const;
const ask = (as: (typeof who)[number] | 'other', asked: Asked): Promise<Told> => tell(corral, two.tokens[as], asked, statements);
const routeOf = (noun: string): string => corral.catalog.byNoun(noun).route;
const first = (rows: ReadonlyMap<string, readonly Row[]>, noun: string): Row =>
  rows.get(noun)!.find((row) => noun !== 'address' || /^10\.(66|77)\./.test(String(row['address'])))!;

function clean(told: Told, what: unknown): void {
  for (const mark of two.other.marks)
    if (mark.test(told.text)) expect({ what, mark: String(mark), text: told.text.slice(0, 3000) }).toBe('nothing of the other');
}

/** Ways to name the other's thing, each with one of the same form that names nothing. */
function names(noun: string): { theirs: string | number; nobodys: string | number }[] {
  const row = first(two.other.rows, noun);
  const key = keyOf(corral.catalog.byNoun(noun), row);
  const nobody: Readonly<Record<string, string>> = { vm: '11111111-2222-4333-8444-555555555555', address: '10.77.99.99', subnet: '10.78.0.0/24' };
  return [
    { theirs: Number(row['id']), nobodys: NOBODY },
    { theirs: key, nobodys: nobody[noun] ?? key.replaceAll(MARK, 'nobodys').replaceAll(/88000\d{4}/g, String(NOBODY)) },
  ];
}

/** Asks the same about the other's and about nothing. */
async function same(as: (typeof who)[number], theirs: string | number, nobodys: string | number, make: (name: string | number) => Asked): Promise<void> {
  const a = await ask(as, make(theirs));
  const b = await ask(as, make(nobodys));
  const parts = (name: string | number): string[] => [String(name), encodeURIComponent(name), ...String(name).split(':')].filter((one) => one.length > 3);
  const plain = (told: Told, name: string | number): string => parts(name).reduce((text, part) => text.replaceAll(part, '<name>'), told.text);
  expect({ asked: make('<name>'), as, ...a, text: plain(a, theirs) }).toEqual({ asked: make('<name>'), as, ...b, text: plain(b, nobodys) });
  clean({ ...a, text: plain(a, theirs) }, make('<name>'));
}

describe.each(who)('%s', (as) => {
  test.each(NOUNS)('a path that names a %s of the other is one that names nothing', async (noun) => {
    const base = `/api/v1/${routeOf(noun)}`;
    for (const { theirs, nobodys } of names(noun)) {
      const path = (name: string | number, below = ''): string => `${base}/${encodeURIComponent(name)}${below}`;
      for (const below of ['', '/history', '/convergence', '?include=vm', '?fields=id', '.json', '.html', '?wait=converged&timeout=0'])
        await same(as, theirs, nobodys, (name) => ({ method: 'GET', path: path(name, below) }));
      await same(as, theirs, nobodys, (name) => ({
        method: 'GET',
        path: `/forms/${routeOf(noun)}/${encodeURIComponent(name)}`,
        headers: { accept: 'text/html' },
      }));
      for (const query of ['', '?dry_run=true'])
        for (const method of ['PUT', 'PATCH', 'DELETE', 'POST'])
          await same(as, theirs, nobodys, (name) => ({ method, path: path(name, query), ...(method === 'DELETE' ? {} : { body: {} }) }));
      await same(as, theirs, nobodys, (name) => ({ method: 'PATCH', path: path(name), body: {}, headers: { 'if-match': '"1.x"' } }));
      await same(as, theirs, nobodys, (name) => ({ method: 'DELETE', path: path(name), headers: { 'if-match': '"99.x"' } }));
      for (const op of ['update', 'delete', 'put'])
        await same(as, theirs, nobodys, (name) => ({
          method: 'POST',
          path: '/bulk',
          body: { operations: [{ op, noun, key: String(name), ...(op === 'delete' ? {} : { body: {} }) }] },
        }));
    }
  });

  test('a body that refers to what is the other’s is one that refers to nothing', async () => {
    const own = (noun: string): number => Number((two.own.get(noun)!.find((row) => as !== 'project' || row['project'] !== null) ?? first(two.own, noun))['id']);
    const vm = { method: 'KVM', cores: 1, ram: GIB / 4 };
    const list = (noun: string): string => `/api/v1/${routeOf(noun)}`;
    const bodies: Readonly<Record<string, readonly ((name: string | number) => Asked)[]>> = {
      customer: [
        (customer) => ({ method: 'POST', path: list('vm'), body: { ...vm, customer } }),
        (customer) => ({ method: 'PATCH', path: `${list('vm')}/${own('vm')}`, body: { customer } }),
        (customer) => ({ method: 'POST', path: list('project'), body: { customer, name: 'x' } }),
        (customer) => ({ method: 'POST', path: list('volume'), body: { customer, size: GIB } }),
        (customer) => ({ method: 'PATCH', path: `${list('volume')}/${own('volume')}`, body: { customer } }),
      ],
      project: [
        (project) => ({ method: 'POST', path: list('vm'), body: { ...vm, project } }),
        (project) => ({ method: 'PATCH', path: `${list('vm')}/${own('vm')}`, body: { project } }),
      ],
      network: [
        (network) => ({ method: 'POST', path: list('vm'), body: { ...vm, interfaces: [{ networks: [{ network }] }] } }),
        (network) => ({ method: 'POST', path: list('network_membership'), body: { vm_interface: own('vm_interface'), network, tagged: true } }),
      ],
      vm: [
        (name) => ({ method: 'POST', path: list('vm_interface'), body: { vm: name } }),
        (name) => ({ method: 'POST', path: list('volume'), body: { vm: name, size: GIB } }),
        (name) => ({ method: 'PATCH', path: `${list('volume')}/${own('volume')}`, body: { vm: name } }),
        (uuid) => ({ method: 'POST', path: list('vm'), body: { ...vm, uuid } }),
        (uuid) => ({ method: 'PATCH', path: `${list('vm')}/${own('vm')}`, body: { uuid } }),
      ],
      vm_interface: [(name) => ({ method: 'POST', path: list('network_membership'), body: { vm_interface: name, network: 'lan', tagged: true } })],
      volume: [
        (volume) => ({ method: 'POST', path: list('snapshot'), body: { volume, name: 'x' } }),
        (name) => ({ method: 'POST', path: list('vm'), body: { ...vm, volumes: [{ name, size: GIB }] } }),
        (name) => ({ method: 'POST', path: list('volume'), body: { vm: own('vm'), name, size: GIB } }),
        (name) => ({ method: 'PATCH', path: `${list('volume')}/${own('volume')}`, body: { name } }),
      ],
      address: [
        (address) => ({ method: 'POST', path: list('vm'), body: { ...vm, interfaces: [{ networks: [{ network: 'mine-net' }], addresses: [address] }] } }),
      ],
    };
    for (const [noun, makes] of Object.entries(bodies))
      for (const { theirs, nobodys } of names(noun))
        for (const make of makes) {
          await same(as, theirs, nobodys, make);
          await same(as, theirs, nobodys, (name) => ({ ...make(name), path: `${make(name).path}?dry_run=true` }));
          const [, , , route, key] = make('').path.split('/');
          const op = (name: string | number): object => ({
            op: key === undefined ? 'create' : 'update',
            noun: route,
            ...(key === undefined ? {} : { key }),
            body: make(name).body,
          });
          await same(as, theirs, nobodys, (name) => ({ method: 'POST', path: '/bulk', body: { operations: [op(name)] } }));
          await same(as, theirs, nobodys, (name) => ({ method: 'POST', path: '/bulk', body: { operations: [op(name), op(name)] } }));
        }
  });

  test('what is unique over all customers cannot be asked for', async () => {
    const vm = { method: 'KVM', cores: 1, ram: GIB / 4 };
    const { mac } = first(two.other.rows, 'vm_interface') as { mac: string };
    const shared = two.other.rows.get('address')!.find((row) => String(row['address']).startsWith('10.0.0.'))!;
    const card = first(two.own, 'vm_interface');
    for (const [theirs, nobodys, make] of [
      [mac, '02:aa:bb:cc:dd:ee', (one) => ({ method: 'POST', path: '/api/v1/vms', body: { ...vm, interfaces: [{ mac: one }] } })],
      [mac, '02:aa:bb:cc:dd:ee', (one) => ({ method: 'POST', path: '/api/v1/vm-interfaces', body: { vm: card['vm'], mac: one } })],
      [mac, '02:aa:bb:cc:dd:ee', (one) => ({ method: 'PATCH', path: `/api/v1/vm-interfaces/${String(card['id'])}`, body: { mac: one } })],
      [String(shared['address']), '10.0.0.200', (one) => ({ method: 'POST', path: '/api/v1/vms', body: { ...vm, interfaces: [{ addresses: [one] }] } })],
    ] satisfies [string, string, (one: string | number) => Asked][]) {
      await same(as, theirs, nobodys, make);
      await same(as, theirs, nobodys, (one) => ({ ...make(one), path: `${make(one).path}?dry_run=true` }));
      const op = (one: string | number): object => ({ op: 'put', noun: 'vm', body: { name: 'mine-vm1', ...(make(one).body as object) } });
      if (make('').path.endsWith('vms')) await same(as, theirs, nobodys, (one) => ({ method: 'POST', path: '/bulk', body: { operations: [op(one)] } }));
    }
  });

  test('names of hosts, pools and sites are names of nothing', async () => {
    /* Who asks for a document the first time is looked up himself. */
    await ask(as, { method: 'GET', path: '/enc/anything' });
    const vm = { method: 'KVM', cores: 1, ram: GIB / 4 };
    for (const [theirs, nobodys, make] of [
      [`${MARK}-hv1.example.com`, 'nobodys-hv1.example.com', (one) => ({ method: 'POST', path: '/api/v1/vms', body: { ...vm, hypervisor: one } })],
      [`${MARK}-pool`, 'nobodys-pool', (one) => ({ method: 'POST', path: '/api/v1/vms', body: { ...vm, volumes: [{ storage_pool: one }] } })],
      [`${MARK}-pool`, 'nobodys-pool', (one) => ({ method: 'POST', path: '/api/v1/volumes', body: { size: GIB, storage_pool: one } })],
      [`${MARK}-hv1.example.com`, 'nobodys-hv1.example.com', (one) => ({ method: 'GET', path: `/api/v1/vms?hypervisor=${one}` })],
      ...['/api/v1/nodes/', '/enc/', '/hiera/', '/pillar/', '/tops/', '/documents/', '/nodes/'].map(
        (path): [string, string, (one: string | number) => Asked] => [
          `${MARK}-hv1.example.com`,
          'nobodys-hv1.example.com',
          (one) => ({ method: 'GET', path: `${path}${one}${path === '/nodes/' ? '/explain' : ''}` }),
        ],
      ),
      ...['/enc/$?at=1', '/enc/$.html', '/documents/$/diff', '/documents/$/events', '/hiera/$/x'].map(
        (path): [string, string, (one: string | number) => Asked] => [
          `${MARK}-hv1.example.com`,
          'nobodys-hv1.example.com',
          (one) => ({ method: 'GET', path: path.replace('$', String(one)), ...(path.endsWith('events') ? { headers: { accept: 'text/event-stream' } } : {}) }),
        ],
      ),
    ] satisfies [string, string, (one: string | number) => Asked][])
      await same(as, theirs, nobodys, make);
  });

  test('no page, list or answer to a write has anything of the other', async () => {
    const html = { accept: 'text/html' };
    for (const path of ['/', '/api/v1', '/docs', '/openapi.json'])
      for (const headers of [{}, html]) clean(await ask(as, { method: 'GET', path, headers }), path);
    for (const noun of NOUNS) {
      const base = `/api/v1/${routeOf(noun)}`;
      clean(await ask(as, { method: 'GET', path: `${base}?limit=1000&total=true` }), base);
      clean(await ask(as, { method: 'GET', path: base, headers: html }), base);
      clean(await ask(as, { method: 'GET', path: `/forms/${routeOf(noun)}`, headers: html }), noun);
      for (const row of two.own.get(noun)!)
        for (const path of [`${base}/${String(row['id'])}`, `/forms/${routeOf(noun)}/${String(row['id'])}`])
          clean(await ask(as, { method: 'GET', path, headers: html }), path);
      for (const row of two.own.get(noun)!)
        for (const method of ['DELETE', 'PATCH'])
          clean(await ask(as, { method, path: `${base}/${String(row['id'])}?dry_run=true`, ...(method === 'PATCH' ? { body: {} } : {}) }), [method, noun]);
    }
    for (const path of ['/api/v1/vms', '/api/v1/vms?dry_run=true']) {
      const made = await ask(as, { method: 'POST', path, body: { method: 'KVM', cores: 1, ram: GIB / 4 } });
      expect([200, 201]).toContain(made.status);
      expect(made.text).not.toMatch(/corral-change/i);
      expect(made.statements).toBeGreaterThan(5);
      clean(made, path);
    }
  });

  test('too much is refused without a word of the hosts', async () => {
    const big = { method: 'KVM', cores: 1000, ram: GIB };
    for (const [path, body] of [
      ['/api/v1/vms', big],
      ['/api/v1/vms', { ...big, method: 'LXC', cores: 1 }],
      ['/bulk', { operations: [1, 2].map(() => ({ op: 'create', noun: 'vm', body: big })) }],
      ['/api/v1/vms', { ...big, cores: 1, volumes: [{ size: 2 ** 50 }] }],
    ] as const) {
      const told = await ask(as, { method: 'POST', path, body });
      clean(told, path);
      expect(told.text.replace(/"title":"[^"]*"/, '')).not.toMatch(/hypervisor|host/i);
    }
  });
});

test('what is hidden and named by the own is as if it were not there', async () => {
  const ids = async (path: string): Promise<unknown[]> => {
    const told = await ask('admin', { method: 'GET', path: `/api/v1/${path}` });
    clean(told, path);
    const data = JSON.parse(told.text.slice(told.text.indexOf('\n\n') + 2)) as Record<string, unknown>;
    return Object.values(data).find(Array.isArray) as unknown[];
  };
  expect(await ids('volumes?customer__null=false&name=mine-volume1')).toEqual([]);
  expect(await ids('volumes?customer__ne=mine&name=mine-volume1')).toHaveLength(1);
  expect(await ids('volumes?customer__null=true&name=mine-volume1')).toHaveLength(1);
  expect(await ids(`volumes?customer=${MARK}`)).toEqual([]);
  expect(await ids(`network-memberships?network=${MARK}-net`)).toEqual([]);
  expect(await ids(`network-memberships?network__contains=${MARK}`)).toEqual([]);
  /* A cursor holds what is sorted by. */
  for (const path of [
    'volumes?sort=customer&limit=1',
    'network-memberships?sort=-network&limit=1',
    'volumes?sort=vm&limit=1',
    'vms?sort=customer,project&limit=1',
  ])
    for (let next: string | undefined = `/api/v1/${path}`, pages = 0; next !== undefined && pages < 20; pages++) {
      const told: Told = await ask('admin', { method: 'GET', path: next });
      clean(told, next);
      next = (JSON.parse(told.text.slice(told.text.indexOf('\n\n') + 2)) as { next?: string }).next;
      const cursor: string = next === undefined ? '' : Buffer.from(new URL(next, corral.base).searchParams.get('after')!, 'base64url').toString();
      clean({ status: 200, text: cursor, statements: 0 }, next);
    }
});

test('keys of requests are each one’s own, and a person is not a token of the same name', async () => {
  const body = { method: 'KVM', cores: 1, ram: GIB / 4, name: `${MARK}-once` };
  const headers = { 'idempotency-key': 'the-same' };
  expect((await ask('other', { method: 'POST', path: '/api/v1/vms', body, headers })).status).toBe(201);
  const mine = await ask('admin', { method: 'POST', path: '/api/v1/vms', body: { ...body, name: 'mine-once' }, headers });
  expect(mine.status).toBe(201);
  clean(mine, 'idempotency');
  const { rows } = await corral.pool.query<{ identity: string }>('select distinct identity from idempotency_key');
  for (const { identity } of rows) expect(identity).toMatch(/^(token|person|node):/);
});

test('a new virtual machine is never put into a network of another', async () => {
  await corral.pool.query('update network set is_default = false');
  await corral.pool.query(`update network set is_default = true where name = '${MARK}-net'`);
  const vm = { method: 'KVM', cores: 1, ram: GIB / 4 };
  for (const as of who) {
    const told = await ask(as, { method: 'POST', path: '/api/v1/vms', body: vm });
    expect([as, told.status === 422 || told.status === 201]).toEqual([as, true]);
    clean(told, as);
  }
  const { rows } = await corral.pool
    .query(`select v.name from network_membership m join network n on n.id = m.network_id join vm_interface i on i.id = m.vm_interface_id
    join vm v on v.id = i.vm_id join customer c on c.id = v.customer_id where n.name = '${MARK}-net' and c.name = 'mine' and not m.tagged`);
  expect(rows).toEqual([]);
});

test('nobody raises the limits of the place that he works in', async () => {
  const token = String((await corral.make('token', { name: 'web-admin', kind: 'program' }))['token']);
  await corral.make('binding', { name: 'web-admin', token: 'web-admin', role: 'customer-admin', project: 'mine:mine-web' });
  const path = `/api/v1/projects/${String(first(two.own, 'project')['id'])}`;
  const patch = (quota: unknown): Asked => ({ method: 'PATCH', path, body: quota });
  expect((await ask('admin', patch({ quota_vms: 50 }))).status).toBe(200);
  expect((await tell(corral, token, patch({ description: 'ours', quota_vms: 50, quota_ram: null }))).status).toBe(200);
  for (const quota of [{ quota_vms: 99 }, { quota_vms: null }, { quota_ram: GIB }]) expect((await tell(corral, token, patch(quota))).status).toBe(403);
});
