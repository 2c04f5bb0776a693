/** What the table of rights is run on: of every noun one row of the own place, and one of another's. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { createApp } from '../../src/app.ts';
import type { Row } from '../../src/db/read.ts';
import { enrolStatement } from '../../src/modules/control/enrolment.verbs.ts';
import { pages } from '../../src/pages/index.tsx';
import { ADMIN, type TestCorral } from '../support/corral.ts';
import { GIB } from '../http/samples.ts';
import { Browser, makePerson } from './people-support.ts';

export const OWN_NODE = 'hv0.example.com';
export const OTHER_NODE = 'hv9.example.com';
export const SIDES = ['own', 'other'] as const;
export type Side = (typeof SIDES)[number];
const places = { own: { site: 'fra1', node: OWN_NODE, customer: 'mine', n: 1 }, other: { site: 'ham1', node: OTHER_NODE, customer: 'other', n: 2 } } as const;

export interface Fleet {
  /** Of each noun the row of the own place and that of the other; none where nobody can make one. */
  readonly things: ReadonlyMap<string, Partial<Record<Side, Row>>>;
  readonly identities: readonly Who[];
  /** Makes the enrolments what they were: hosts that wait. */
  readonly waiting: () => Promise<unknown>;
}

/** Who asks: a column of the table. */
export interface Who {
  readonly name: string;
  /** What the reader of the table is told. */
  readonly what: string;
  headers(): Promise<Record<string, string>>;
}

/** The routes of the app, as it declares them. */
export function routesOf(corral: TestCorral): string[] {
  const { store, catalog, db, pool, hub, documents } = corral;
  const services = { store, catalog, db, pool, hub, pages, bodyLimit: 1, version: 'test' };
  const app = createApp({ services, documents, log: pino({ level: 'silent' }) });
  return [...new Set(app.routes.map(({ method, path }) => `${method} ${path}`))];
}

const report = (file: string, pattern: RegExp, name: string): string =>
  readFileSync(new URL(`../../fixtures/reports/${file}`, import.meta.url), 'utf8').replaceAll(pattern, name);
export const puppetReport = (node: string): string => report('puppet-unchanged.yaml', /hv1\.example\.com/g, node);
export const saltReport = (node: string): string => JSON.stringify({ ...(JSON.parse(report('salt-unchanged.json', /^$/g, '')) as object), id: node });

async function makePlace(corral: TestCorral, side: Side, keep: (noun: string, input: Record<string, unknown>) => Promise<Row>): Promise<void> {
  const { site, node, customer, n } = places[side];
  await keep('site', { name: site });
  await keep('customer', { name: customer });
  await keep('project', { customer, name: 'web' });
  await keep('person', { name: `person-${side}` });
  await keep('role', { name: `role-${side}`, permissions: ['vm:read'] });
  await keep('ceph_cluster', { name: `ceph-${side}`, public_network: `192.0.${n}.0/24` });
  await keep('ceph_pool', { ceph_cluster: `ceph-${side}`, name: 'vms' });
  await keep('ceph_key', { ceph_cluster: `ceph-${side}`, entity: 'client.vms', caps: { mon: 'profile rbd' } });
  await keep('node', {
    fqdn: node,
    site,
    roles: {
      hypervisor: { methods: ['KVM'], cores: 64, ram: 256 * GIB },
      ceph_mon: { ceph_cluster: `ceph-${side}` },
      ceph_osd: { ceph_cluster: `ceph-${side}` },
    },
  });
  await keep('node_interface', { node, name: 'eno1', mac: `02:00:00:00:00:0${n}` });
  await keep('node_address', { node_interface: `${node}:eno1`, address: `192.0.${n}.10/24` });
  await keep('ceph_osd', { ceph_osd_node: node, data_device: '/dev/sdb' });
  await keep('network', { name: `net-${side}`, customer });
  await keep('subnet', { network: `net-${side}`, cidr: `10.${n}.0.0/28` });
  await keep('storage_pool', { name: `pool-${side}`, kind: 'dir', is_default: side === 'own' });
  await keep('pool_attachment', { hypervisor: node, storage_pool: `pool-${side}` });
  await keep('image', { name: `image-${side}`, url: `https://example.com/${side}` });
  const vm = await keep('vm', {
    name: `vm-${side}`,
    project: `${customer}:web`,
    method: 'KVM',
    cores: 1,
    ram: GIB,
    hypervisor: node,
    volumes: [{ name: `volume-${side}`, size: GIB, storage_pool: `pool-${side}` }],
    interfaces: [{ networks: [{ network: `net-${side}` }] }],
  });
  const card = `${String(vm['id'])}-0`;
  await keep('vm_interface', { key: card });
  await keep('network_membership', { key: `${card}:net-${side}` });
  await keep('volume', { key: `volume-${side}` });
  await keep('address', { key: `10.${n}.0.1` });
  await keep('snapshot', { volume: `volume-${side}`, name: 'before' });
  await keep('node_group', { name: `group-${side}`, selector: `site=${site}` });
  await keep('class_list', { environment: `env_${side}`, classes: ['ntp'] });
  await keep('layer', { name: `layer-${side}`, scope: 'site', site, data: { key: side } });
  await keep('token', { name: `token-${side}`, kind: 'program' });
  await keep('binding', { name: `binding-${side}`, token: `token-${side}`, role: `role-${side}`, customer });
  await keep('webhook', { name: `hook-${side}`, url: 'https://example.com/', kinds: ['site'], enabled: false });
  await corral.pool.query(
    `insert into webhook_delivery (webhook_id, change, status, attempts, done_at) select w.id, 1, 'failed', 3, now() from webhook w where w.name = $1`,
    [`hook-${side}`],
  );
  await keep('webhook_delivery', { key: `hook-${side}:1` });
  await corral.make('volume', { name: `gone-${side}`, hypervisor: node, storage_pool: `pool-${side}`, size: 512, type: 'raw' });
  await corral.request(`/api/v1/volumes/gone-${side}`, { method: 'DELETE' });
  await keep('tombstone', { key: `${node}:volume:gone-${side}` });
  const { token } = await keep('enrolment_token', { name: `enrol-${side}`, uses: 2 });
  await keep('enrolment', { key: await enrolled(corral, node, String(token)) });
  const headers = { 'content-type': 'application/json' };
  const beat = { node, domains: {}, observation: { facts: { cores: 4 }, things: { volume: { x: { state: 'present' } } } } };
  for (const [path, body, type] of [
    ['/heartbeats', JSON.stringify(beat), headers],
    ['/reports/salt', saltReport(node), headers],
  ] as const) {
    const answer = await corral.request(path, { method: 'POST', body, headers: type });
    if (answer.status !== 200) throw new Error(`${path} ${answer.status} ${await answer.text()}`);
    await answer.arrayBuffer();
  }
}

/** A host that asks to be let in. @returns what its enrolment is called */
async function enrolled(corral: TestCorral, fqdn: string, token: string): Promise<string> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const time = new Date().toISOString();
  const public_key = publicKey.export({ format: 'pem', type: 'spki' }).toString();
  const proof = sign(null, Buffer.from(enrolStatement(fqdn, token, time)), privateKey).toString('base64');
  const body = JSON.stringify({ token, fqdn, public_key, time, proof });
  const answer = await corral.request('/enrolments', { method: 'POST', body, headers: { 'content-type': 'application/json' }, token: null });
  if (answer.status !== 201) throw new Error(`/enrolments ${answer.status} ${await answer.text()}`);
  return String(((await answer.json()) as Row)['id']);
}

export async function makeFleet(corral: TestCorral): Promise<Fleet> {
  const things = new Map<string, Partial<Record<Side, Row>>>();
  const get = async (path: string): Promise<Row> => (await (await corral.request(`/api/v1/${path}`)).json()) as Row;
  await corral.make('network', { name: 'lan', is_default: true });
  for (const side of SIDES)
    await makePlace(corral, side, async (noun, input) => {
      const route = corral.catalog.byNoun(noun).route;
      const row = 'key' in input ? await get(`${route}/${String(input['key'])}`) : await corral.make(noun, input);
      things.set(noun, { ...things.get(noun), [side]: row });
      return row;
    });
  const identities = await makeIdentities(corral);
  /* What is there beside what was made: parts of a node, and what the hosts told. */
  for (const model of corral.catalog.models) {
    if (things.has(model.resource.noun)) continue;
    const byNode = model.field.has('node') && model.pk === 'id';
    const pair: Partial<Record<Side, Row>> = {};
    for (const side of SIDES) {
      const filter = byNode ? `?node=${places[side].node}` : '';
      const rows = (await get(`${model.route}${filter}`))[model.resource.plural] as Row[] | undefined;
      const row = rows?.[byNode || side === 'own' ? 0 : 1];
      if (row) pair[side] = row;
    }
    things.set(model.resource.noun, pair);
  }
  const waiting = (): Promise<unknown> => corral.pool.query(`update enrolment set state = 'pending', node_id = null`);
  return { things, identities, waiting };
}

async function makeIdentities(corral: TestCorral): Promise<Who[]> {
  const bearer = (name: string, what: string, token: string): Who => ({ name, what, headers: async () => ({ authorization: `Bearer ${token}` }) });
  const token = async (name: string, what: string, input: Record<string, unknown>): Promise<Who> =>
    bearer(name, what, String((await corral.make('token', { name, ...input }))['token']));
  const bound = async (name: string, what: string, role: string, place: Record<string, unknown> = {}): Promise<Who> => {
    const who = await token(name, what, { kind: 'program' });
    await corral.make('binding', { name: `${name}-binding`, token: name, role, ...place });
    return who;
  };
  const expired = await token('expired', 'a token whose time is over', { kind: 'admin', expires_at: '2099-01-01T00:00:00Z' });
  await corral.pool.query("update token set expires_at = now() - interval '1 minute' where name = 'expired'");
  await makePerson(corral, 'jane');
  await corral.make('binding', { name: 'jane-binding', person: 'jane', role: 'customer-admin', customer: 'mine' });
  let browser = new Browser(corral.base);
  await browser.login('jane');
  const jane: Who = {
    name: 'person',
    what: 'a person who logged in, bound as customer-admin to the customer "mine"',
    headers: async () => {
      if (!(await browser.isIn())) {
        browser = new Browser(corral.base);
        await browser.login('jane');
      }
      return { cookie: [...browser.cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
    },
  };
  return [
    { name: 'nobody', what: 'without any token or cookie', headers: async () => ({}) },
    bearer('bad', 'a token that is not known', `corral_admin_${'x'.repeat(43)}`),
    expired,
    await token('node', `the token of the node ${OWN_NODE}`, { kind: 'node', node: OWN_NODE }),
    await token('server', 'the token of a puppetserver or salt-master', { kind: 'server' }),
    await token('reader', 'a token that reads everything', { kind: 'reader' }),
    await token('unbound', 'a program token without a binding', { kind: 'program' }),
    await bound('site-viewer', 'bound as viewer to the site fra1', 'viewer', { site: 'fra1' }),
    await bound('site-operator', 'bound as operator to the site fra1', 'operator', { site: 'fra1' }),
    await bound('customer-user', 'bound as customer-user to the customer "mine"', 'customer-user', { customer: 'mine' }),
    await bound('project-user', 'bound as customer-user to the project "mine:web"', 'customer-user', { project: 'mine:web' }),
    await bound('customer-admin', 'bound as customer-admin to the customer "mine"', 'customer-admin', { customer: 'mine' }),
    jane,
    await bound('viewer', 'bound as viewer to everything', 'viewer'),
    await bound('operator', 'bound as operator to everything', 'operator'),
    bearer('admin', 'an admin token', ADMIN),
  ];
}
