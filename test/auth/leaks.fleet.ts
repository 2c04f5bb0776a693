/** Two customers in one fleet; what is the other's can be told from anything else in the bytes of an answer. */
import pg from 'pg';
import type { Row } from '../../src/db/read.ts';
import { GIB } from '../http/samples.ts';
import type { TestCorral } from '../support/corral.ts';

/** In every name of the other customer's and of the hosts'. */
export const MARK = 'zqhidden';
/** Ids of the other's begin here, so that they are no part of any other number. */
const FROM = 880_000_000;
/** An id, and parts of names, that nothing has. */
export const NOBODY = 990_000_000;

/** What gives the other away: names, ids, uuids, hardware addresses and addresses. */
export interface Other {
  readonly marks: readonly RegExp[];
  /** Of each noun the rows of the other customer's. */
  readonly rows: ReadonlyMap<string, readonly Row[]>;
}

export interface Two {
  readonly other: Other;
  readonly own: ReadonlyMap<string, readonly Row[]>;
  readonly tokens: Readonly<Record<'admin' | 'user' | 'project' | 'other', string>>;
}

export const NOUNS = ['customer', 'project', 'network', 'subnet', 'vm', 'vm_interface', 'network_membership', 'address', 'volume', 'snapshot'] as const;

async function jump(corral: TestCorral, to: (last: number) => number): Promise<void> {
  const { rows } = await corral.pool.query<{ name: string; last: string | null }>(`select format('%I', sequencename) as name, last_value as last
    from pg_sequences where schemaname = 'public' and sequencename not like 'change%'`);
  for (const { name, last } of rows) await corral.pool.query('select setval($1::regclass, $2)', [name, to(Number(last ?? 1))]);
}

async function makeCustomer(corral: TestCorral, name: string, network: string, subnet: string, vms: number): Promise<void> {
  await corral.make('customer', { name, title: `${name} Ltd`, email: `it@${name}.example.com` });
  await corral.make('project', { customer: name, name: `${name}-web`, description: name });
  await corral.make('network', { name: network, customer: name });
  await corral.make('subnet', { network, cidr: subnet });
  for (let i = 0; i < vms; i++) {
    const vm = await corral.make('vm', {
      name: `${name}-vm${i}`,
      method: 'KVM',
      cores: 1 + i,
      ram: GIB,
      ...(i % 2 === 0 ? { customer: name } : { project: `${name}:${name}-web` }),
      metadata: { of: name },
      affinity_group: `${name}-group`,
      volumes: [{ name: `${name}-volume${i}`, size: GIB * (1 + i) }],
      interfaces: [{ networks: [{ network }] }, {}],
    });
    await corral.make('snapshot', { volume: `${name}-volume${i}`, name: `${name}-snap`, description: name });
    if (i === 0) await corral.make('volume', { name: `${name}-free`, customer: name, hypervisor: vm['hypervisor'], size: GIB, type: 'raw' });
  }
}

export async function twoCustomers(corral: TestCorral): Promise<Two> {
  await corral.make('site', { name: `${MARK}-site` });
  await corral.make('network', { name: 'lan', is_default: true });
  await corral.make('subnet', { network: 'lan', cidr: '10.0.0.0/24' });
  await corral.make('subnet', { network: 'lan', cidr: '2001:db8:1::/64' });
  await corral.make('image', { name: 'debian', url: 'https://example.com/debian' });
  await corral.make('storage_pool', { name: `${MARK}-pool`, kind: 'dir', is_default: true });
  for (const i of [1, 2]) {
    const fqdn = `${MARK}-hv${i}.example.com`;
    await corral.make('node', { fqdn, site: `${MARK}-site`, roles: { hypervisor: { methods: ['KVM'], cores: 64, ram: 256 * GIB } } });
    await corral.make('pool_attachment', { hypervisor: fqdn, storage_pool: `${MARK}-pool`, capacity: 2 ** 42 });
  }
  const lasts = new Map<string, number>();
  const before = await corral.pool.query<{ name: string; last: string | null }>(
    `select sequencename as name, last_value as last from pg_sequences where schemaname = 'public'`,
  );
  for (const { name, last } of before.rows) lasts.set(name, Number(last ?? 1));
  await jump(corral, (last) => FROM + last);
  await makeCustomer(corral, MARK, `${MARK}-net`, '10.77.0.0/24', 3);
  for (const [name, last] of lasts) if (!name.startsWith('change')) await corral.pool.query('select setval($1::regclass, $2)', [name, last + 100]);
  await makeCustomer(corral, 'mine', 'mine-net', '10.66.0.0/24', 3);
  /* What is hidden and yet named by what is not: a card in a network of the other's, a disk that was the other's. */
  const [card] = (
    await corral.pool.query<{ name: string }>(`select i.name from vm_interface i join vm v on v.id = i.vm_id where v.name = 'mine-vm0' order by 1`)
  ).rows;
  await corral.make('network_membership', { vm_interface: card!.name, network: `${MARK}-net`, tagged: true });
  await corral.pool.query(`update volume set customer_id = (select id from customer where name = '${MARK}') where name = 'mine-volume1'`);

  const rowsOf = async (customer: string): Promise<Map<string, readonly Row[]>> => {
    const out = new Map<string, readonly Row[]>();
    for (const noun of NOUNS) {
      const model = corral.catalog.byNoun(noun);
      const all = (await (await corral.request(`/api/v1/${model.route}?limit=1000`)).json()) as Record<string, Row[]>;
      const theirs = (row: Row): boolean => Number(row['id']) > FROM || String(row['vm_interface']).startsWith('88000');
      const has = (row: Row): boolean => (customer === MARK ? theirs(row) : !theirs(row) && !String(row['network']).startsWith('lan'));
      out.set(
        noun,
        all[model.resource.plural]!.filter((row) => (noun === 'address' ? row['vm_interface'] !== null && has(row) : has(row))),
      );
    }
    return out;
  };
  const rows = await rowsOf(MARK);
  const texts = ['vm', 'vm_interface', 'address'].flatMap((noun) => rows.get(noun)!.flatMap((row) => [row['uuid'], row['mac'], row['address']]));
  const own = [...new Set(texts.filter((one) => typeof one === 'string'))];
  const marks = [new RegExp(MARK), /(?<!\d)88000\d{4}(?!\d)/, ...own.map((text) => new RegExp(`(?<![\\w.:])${text.replace(/[.]/g, '\\.')}(?![\\w.:])`))];
  const token = async (name: string, role: string, place: Record<string, unknown>): Promise<string> => {
    const made = String((await corral.make('token', { name, kind: 'program' }))['token']);
    await corral.make('binding', { name, token: name, role, ...place });
    return made;
  };
  return {
    other: { marks, rows },
    own: await rowsOf('mine'),
    tokens: {
      admin: await token('mine-admin', 'customer-admin', { customer: 'mine' }),
      user: await token('mine-user', 'customer-user', { customer: 'mine' }),
      project: await token('mine-project', 'customer-user', { project: 'mine:mine-web' }),
      other: await token('other-admin', 'customer-admin', { customer: MARK }),
    },
  };
}

/** What one request did. */
export interface Told {
  readonly status: number;
  /** Headers and body, with what is always another replaced. */
  readonly text: string;
  readonly statements: number;
}

/** Counts the statements that this process sends. */
export class Statements {
  count = 0;
  readonly #query = Object.getOwnPropertyDescriptor(pg.Client.prototype, 'query')!.value as (...args: unknown[]) => unknown;

  start(): void {
    const query = this.#query;
    const add = (): void => void this.count++;
    pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
      const [first] = args as [{ text?: string } | string];
      const text = typeof first === 'string' ? first : (first.text ?? '');
      /* Of the process, not of the request. */
      if (!/^update token set last_used|^listen|^set plan_cache_mode|audit_append/i.test(text)) add();
      return query.apply(this, args);
    } as never;
  }

  stop(): void {
    pg.Client.prototype.query = this.#query as never;
  }
}

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Headers that say nothing of what is there. */
const PLAIN = new Set(['date', 'connection', 'keep-alive', 'x-request-id', 'content-length', 'transfer-encoding', 'etag']);

/** Asks, and gives all that came back as one text: times, digests and lengths are always another. */
export async function tell(corral: TestCorral, token: string, { method, path, body, headers = {} }: Asked, statements?: Statements): Promise<Told> {
  const before = statements?.count ?? 0;
  const answer = await corral.request(path, {
    method,
    token,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const bytes = await answer.text();
  const heads = [...answer.headers].filter(([name]) => !PLAIN.has(name) && !name.startsWith('ratelimit')).map(([name, value]) => `${name}: ${value}`);
  const text = `${answer.status}\n${heads.join('\n')}\n\n${bytes}`
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(?:Z|[+-]\d\d:\d\d)/g, '<time>')
    .replaceAll(/sha256:[0-9a-f]{64}/g, '<digest>');
  return { status: answer.status, text, statements: (statements?.count ?? 0) - before };
}
