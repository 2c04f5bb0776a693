import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { keepPruning, Lookup, type Found } from '../../src/documents/lookup.load.ts';
import { Problem } from '../../src/kernel/problem.ts';
import { HV, smallFleet } from '../http/samples.ts';
import { testCorral } from '../support/corral.ts';

const corral = await testCorral();
const { pool } = corral;
await smallFleet(corral);
const sql = (text: string, ...values: unknown[]): Promise<pg.QueryResult> => pool.query(text, values);

/** What is found, in a form to compare. */
async function found(lookup: Lookup, token: string, fqdn = HV): Promise<unknown> {
  try {
    const { identity, node }: Found = await lookup.find({ token, fqdn, address: '127.0.0.1' });
    const may = ['document:read', 'vm:create', 'site:read'].filter((one) => identity.rights.may(one));
    return { name: identity.name, kind: identity.kind, of: identity.node, may, node };
  } catch (error) {
    if (error instanceof Problem) return error.code;
    throw error;
  }
}

let tokens = 0;
/** A token of a new name. */
async function made(more: Record<string, unknown>): Promise<{ token: string; name: string }> {
  const name = `t${++tokens}`;
  return { name, token: String((await corral.make('token', { name, kind: 'program', ...more }))['token']) };
}

describe('what is kept is dropped when it is not so any more', () => {
  let people = 0;
  let lookup: Lookup;
  let person: string;
  beforeEach(async () => {
    lookup = new Lookup(pool, (wave) => wave);
    person = `p${++people}`;
    await sql(`insert into person (name, source, external) values ($1, 'ldap', $1)`, person);
    await sql(`insert into role (name, permissions) values ($1, '{site:read}'), ($2, '{document:read}')`, `role-${person}`, `docs-${person}`);
  });
  const bind = (what: string, value: string, role: string): Promise<pg.QueryResult> =>
    sql(
      `insert into binding (name, ${what}, role) values (gen_random_uuid(), ${what === 'directory_group' ? '$1' : `(select id from ${what.slice(0, -3)} where name = $1)`}, $2)`,
      value,
      role,
    );

  const cases: Record<string, (one: { token: string; name: string }) => Promise<unknown>> = {
    'a new version of the document': async () => {
      const answer = await corral.request(`/api/v1/nodes/${HV}`, {
        method: 'PATCH',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ environment: `test${Date.now()}` }),
      });
      expect(answer.status).toBe(200);
    },
    'a version written by hand': () => sql('update document set number = number + 1'),
    'a larger wave': () => sql('update document set wave = wave + 7'),
    'another state of the node': () => sql(`update node set state = case state when 'running' then 'maintenance' else 'running' end where fqdn = $1`, HV),
    'another manager': () => sql(`update node set manager = case manager when 'salt' then 'puppet' else 'salt' end where fqdn = $1`, HV),
    'the name is another node’s': async () => {
      await sql(`update node set fqdn = 'was-' || id || '-' || fqdn where fqdn = $1`, HV);
      await corral.make('node', { fqdn: HV, site: 'fra1', roles: { ceph_mon: { ceph_cluster: 'ceph' } } });
    },
    'the node is gone': async () => {
      await sql(`update node set fqdn = 'gone-' || id || '-' || fqdn where fqdn = $1`, HV);
      await corral.make('node', { fqdn: HV, site: 'fra1', roles: { ceph_mon: { ceph_cluster: 'ceph' } } });
      await found(lookup, (await made({})).token);
      await sql('delete from node where fqdn = $1', HV);
    },
    'the token is gone': ({ name }) => sql('delete from token where name = $1', name),
    'the token ends': ({ name }) => sql(`update token set expires_at = now() where name = $1`, name),
    'the token may less': ({ name }) => sql(`update token set scopes = '{vm:create}' where name = $1`, name),
    'the token is from elsewhere': ({ name }) => sql(`update token set sources = '{10.0.0.0/8}' where name = $1`, name),
    'the token is another one now': ({ name }) => sql(`update token set hash = sha256('x'::bytea || random()::text::bytea) where name = $1`, name),
    'the token has another name': ({ name }) => sql(`update token set name = name || '-new' where name = $1`, name),
    'a binding of the token': ({ name }) => bind('token_id', name, 'operator'),
    'a binding is gone': () => sql(`delete from binding where role like 'docs-%'`),
    'a role may more': () => sql(`update role set permissions = '{vm:create}' where name = $1`, `role-${person}`),
    'the person is an administrator': () => sql('update person set admin = true where name = $1', person),
    'the person is disabled': () => sql(`update person set state = 'disabled' where name = $1`, person),
    'the person is gone': () => sql('delete from person where name = $1', person),
    'all tokens are gone': () => sql('truncate token cascade'),
    'all bindings are gone': () => sql('truncate binding'),
    'the person is in a group': () => sql(`insert into person_group (person_id, name) select id, 'staff' from person where name = $1`, person),
  };
  test.each(Object.keys(cases))('%s', async (name) => {
    if ((await sql('select from node where fqdn = $1', HV)).rowCount === 0)
      await corral.make('node', { fqdn: HV, site: 'fra1', roles: { ceph_mon: { ceph_cluster: 'ceph' } } });
    await sql('delete from binding');
    const one = await made({ person });
    await bind('token_id', one.name, `docs-${person}`);
    await bind('person_id', person, `role-${person}`);
    await bind('directory_group', 'staff', 'operator');
    const before = await found(lookup, one.token);
    expect(before).toMatchObject({ name: one.name, node: { fqdn: HV } });
    expect(await found(lookup, one.token)).toEqual(before);
    await cases[name]!(one);
    const after = await found(lookup, one.token);
    expect(after).toEqual(await found(new Lookup(pool, (wave) => wave), one.token));
    expect(after).not.toEqual(before);
  });

  test('the node of a token has another name', async () => {
    await corral.make('node', { fqdn: 'own.example.com', site: 'fra1', roles: { ceph_mon: { ceph_cluster: 'ceph' } } });
    const { token } = await made({ kind: 'node', node: 'own.example.com' });
    expect(await found(lookup, token)).toMatchObject({ of: 'own.example.com' });
    await sql(`update node set fqdn = 'new.example.com' where fqdn = 'own.example.com'`);
    expect(await found(lookup, token)).toMatchObject({ of: 'new.example.com' });
    await sql(`delete from node where fqdn = 'new.example.com'`);
    expect(await found(lookup, token)).toBe('bad-token');
  });
});

test('a token that ends, and one whose overlap ends, are refused when it is time, though nobody writes anything', async () => {
  const lookup = new Lookup(pool, () => 0);
  const [ends, turns] = [await made({}), await made({})];
  await sql(`update token set expires_at = now() + interval '400 milliseconds' where name = $1`, ends.name);
  await sql(`update token set old_hash = hash, old_until = now() + interval '400 milliseconds', hash = sha256('other') where name = $1`, turns.name);
  const both = async (): Promise<unknown[]> => [await found(lookup, ends.token), await found(lookup, turns.token)];
  expect(await both()).toMatchObject([{ name: ends.name }, { name: turns.name }]);
  while (!(await sql(`select now() > max(coalesce(old_until, expires_at)) as over from token where name = any($1)`, [ends.name, turns.name])).rows[0].over)
    await sleep(50);
  expect(await both()).toEqual(['bad-token', 'bad-token']);
});

test('a transaction that began before what was kept, and ends after it, is heard', async () => {
  const lookup = new Lookup(pool, () => 0);
  const { token, name } = await made({});
  const slow = await pool.connect();
  try {
    await slow.query('begin');
    await slow.query(`update token set name = name || '-late' where name = $1`, [name]);
    for (let i = 0; i < 3; i++) {
      await sql(`insert into invalidation (node_id) values (-1)`);
      expect(await found(lookup, token)).toMatchObject({ name });
    }
    await slow.query('commit');
    expect(await found(lookup, token)).toMatchObject({ name: `${name}-late` });
  } finally {
    slow.release();
  }
});

test('nobody is answered with less than was committed before he asked, whoever writes at the same time', async () => {
  const names = Array.from({ length: 5 }, (_, i) => `many${i}.example.com`);
  for (const fqdn of names) await corral.make('node', { fqdn, site: 'fra1', roles: { ceph_mon: { ceph_cluster: 'ceph' } } });
  await sql(`update document d set number = 0 from node n where n.id = d.node_id and n.fqdn = any($1)`, [names]);
  const { token } = await made({ kind: 'server' });
  const lookups = [new Lookup(pool, () => 0), new Lookup(pool, () => 0)];
  const committed = new Map<string, number>(names.map((name) => [name, 0]));
  let writing = true;
  let asked = 0;
  const write = async (fqdn: string): Promise<void> => {
    const client = await pool.connect();
    try {
      for (let number = 1; number <= 60; number++) {
        await client.query('begin');
        await client.query(`update document d set number = $2 from node n where n.id = d.node_id and n.fqdn = $1`, [fqdn, number]);
        if (Math.random() < 0.5) await sleep(Math.random() * 8);
        await client.query('commit');
        committed.set(fqdn, number);
      }
    } finally {
      client.release();
    }
  };
  const read = async (lookup: Lookup): Promise<void> => {
    while (writing) {
      const fqdn = names[Math.floor(Math.random() * names.length)]!;
      const least = committed.get(fqdn)!;
      const { node } = await lookup.find({ token, fqdn, address: null });
      expect(Number.parseInt(node!.version, 10)).toBeGreaterThanOrEqual(least);
      asked++;
    }
  };
  const readers = [...lookups, ...lookups, ...lookups].map((lookup) => read(lookup));
  await Promise.all(names.map((name) => write(name)));
  writing = false;
  await Promise.all(readers);
  expect(asked).toBeGreaterThan(100);
});

test('nothing is kept over to another database that says the same of its transactions', async () => {
  const other = await testCorral();
  await smallFleet(other);
  const { token, name } = await made({});
  await sql(`update document set number = 77`);
  await other.pool.query(`insert into token (name, kind, hash) select name, kind, hash from json_populate_record(null::token, $1)`, [
    (await sql('select to_json(t) as t from token t where name = $1', name)).rows[0].t,
  ]);
  let now = pool;
  const lookup = new Lookup({ query: (...given: Parameters<pg.Pool['query']>) => now.query(...given) } as unknown as pg.Pool, () => 0);
  if ((await sql('select from node where fqdn = $1', HV)).rowCount === 0)
    await corral.make('node', { fqdn: HV, site: 'fra1', roles: { ceph_mon: { ceph_cluster: 'ceph' } } });
  await sql(`update document set number = 77`);
  expect(await found(lookup, token)).toMatchObject({ node: { version: expect.stringMatching(/^77-/) } });
  now = other.pool;
  expect(await found(lookup, token)).toMatchObject({ node: { version: expect.not.stringMatching(/^77-/) } });
});

test('a database that does not answer is an error, and what was kept is asked for anew', async () => {
  const { token, name } = await made({});
  let down = false;
  const query = (...given: Parameters<pg.Pool['query']>): unknown => (down ? pool.query('select 1 / 0') : pool.query(...given));
  const lookup = new Lookup({ query } as unknown as pg.Pool, () => 0);
  expect(await found(lookup, token)).toMatchObject({ name });
  down = true;
  await expect(found(lookup, token)).rejects.toThrow('division by zero');
  down = false;
  expect(await found(lookup, token)).toMatchObject({ name });
});

describe('rows of invalidation', () => {
  const stops: (() => Promise<void>)[] = [];
  afterAll(() => Promise.all(stops.map((stop) => stop())));

  test('go when their transaction was over long enough, and not sooner', async () => {
    const slow = await pool.connect();
    const left = async (): Promise<number[]> =>
      (await sql('select node_id::int as id from invalidation where node_id < -9 order by 1 desc')).rows.map(({ id }) => id);
    try {
      await sql('insert into invalidation (node_id) values (-10)');
      await slow.query('begin');
      await slow.query('insert into invalidation (node_id) values (-11)');
      await sql('insert into invalidation (node_id) values (-12)');
      stops.push(keepPruning(pool, () => undefined, { every: 20, stay: 0.05 }));
      while ((await left()).includes(-10)) await sleep(20);
      /* The transaction is still under way, and what began after it stays, too. */
      await sleep(200);
      expect(await left()).toEqual([-12]);
      await slow.query('commit');
      while ((await left()).length > 0) await sleep(20);
    } finally {
      slow.release();
    }
  });
});
