import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadChanges } from '../../src/changes/present.ts';
import { testCorral } from '../support/corral.ts';
import { call, expectConsistent, GIB, hypervisors } from '../modules/fleet.ts';
import { actual, expectInOrder, newest, replayed } from './revert.ts';

const corral = await testCorral();
const clients: pg.Client[] = [];

beforeAll(async () => {
  await hypervisors(corral, 3);
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.end()));
});

/** Somebody at psql. */
async function psql(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: corral.databaseUrl });
  clients.push(client);
  await client.connect();
  return client;
}

test('of writers at the same time each commit is one change, in the order in which others can see them', async () => {
  const start = await newest(corral);
  const acknowledged = new Map<number, string>();
  const seen: number[] = [];
  let busy = true;
  const reader = async (): Promise<void> => {
    const client = await psql();
    for (let last = start; busy || last < (await newest(corral));) {
      const { rows } = await client.query<{ number: string }>('select number from change where number > $1 order by number', [last]);
      seen.push(...rows.map((row) => Number(row.number)));
      last = seen.at(-1) ?? last;
    }
  };
  const watching = reader();
  const send = async (method: string, path: string, body: unknown, id: string): Promise<Record<string, unknown> | undefined> => {
    const answer = await corral.request(path, {
      method,
      headers: { 'content-type': 'application/json', 'x-request-id': id },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) return undefined;
    const number = Number(answer.headers.get('corral-change'));
    expect(acknowledged.has(number)).toBe(false);
    acknowledged.set(number, id);
    return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  };
  const worker = async (_: unknown, w: number): Promise<void> => {
    for (let i = 0; i < 8; i++) {
      const made = await send('POST', '/api/v1/vms', { method: 'KVM', cores: 1, ram: GIB }, `w${w}-${i}-post`);
      const path = `/api/v1/vms/${String(made?.['id'])}`;
      await send('PATCH', path, { cores: 2 }, `w${w}-${i}-patch`);
      await send('PATCH', '/api/v1/sites/fra1', { description: `${w} ${i}` }, `w${w}-${i}-site`);
      if (i % 2 === 1) await send('DELETE', path, undefined, `w${w}-${i}-delete`);
    }
  };
  const byHand = async (): Promise<number> => {
    const client = await psql();
    for (let i = 0; i < 20; i++) {
      await client.query('begin');
      await client.query(`insert into customer (name) values ('by-hand-${i}')`);
      await client.query(`update customer set title = 'x' where name = 'by-hand-${i}'`);
      await client.query(i % 4 === 0 ? 'rollback' : 'commit');
    }
    return 15;
  };
  const [hand] = await Promise.all([byHand(), ...Array.from({ length: 6 }, worker)]);
  busy = false;
  await watching;
  await expectInOrder(corral);
  /* Whoever reads on from the last number that he has seen misses none. */
  const end = await newest(corral);
  expect(seen).toEqual(Array.from({ length: end - start }, (_, i) => start + 1 + i));
  expect(acknowledged.size + hand).toBe(end - start);
  for (const change of await loadChanges(corral.db(), corral.catalog, { after: start, limit: 1000 })) {
    if (change.actor.startsWith('postgresql:')) {
      expect(change.rows.map((row) => [row.noun, row.op])).toEqual([
        ['customer', 'create'],
        ['customer', 'update'],
      ]);
      continue;
    }
    expect([change.actor, change.request_id]).toEqual(['admin', acknowledged.get(change.number)]);
    const nouns = [...new Set(change.rows.map((row) => row.noun))].sort();
    const kind = change.request_id!.split('-')[2];
    expect(nouns).toEqual(
      {
        post: ['address', 'network_membership', 'vm', 'vm_interface', 'volume'],
        patch: ['vm'],
        site: ['site'],
        delete: ['address', 'network_membership', 'tombstone', 'vm', 'vm_interface', 'volume'],
      }[kind!],
    );
  }
  expect(await replayed(corral)).toEqual(await actual(corral));
  await expectConsistent(corral);
});

test('what is written with SQL is a change of its database user; what is rolled back is none', async () => {
  const client = await psql();
  const { rows } = await client.query<{ user: string }>('select session_user as user');
  const before = await newest(corral);
  await client.query('begin');
  await client.query(`insert into site (name) values ('rolled-back')`);
  await client.query('rollback');
  await client.query(`insert into site (name) values ('ams1'), ('ams2')`);
  const { body } = await call(corral, 'GET', `/changes/${before + 1}`);
  expect(body).toMatchObject({
    actor: `postgresql:${rows[0]!.user}`,
    request_id: null,
    message: null,
    rows: [
      { noun: 'site', key: 'ams1', op: 'create' },
      { noun: 'site', key: 'ams2', op: 'create' },
    ],
  });
  await client.query('begin');
  await client.query(`select set_config('corral.message', 'All of them', true)`);
  await client.query(`update site set description = 'x' where name like 'ams%'`);
  await client.query(`delete from site where name = 'ams2'`);
  await client.query('commit');
  const second = await call(corral, 'GET', `/changes/${before + 2}`);
  expect(second.body).toMatchObject({ actor: `postgresql:${rows[0]!.user}`, message: 'All of them' });
  expect((second.body['rows'] as { op: string }[]).map((row) => row.op)).toEqual(['update', 'update', 'delete']);
  expect(await newest(corral)).toBe(before + 2);
  await expectInOrder(corral);
});

test('writers at the same time as reverts: a change is undone once', async () => {
  const answer = await corral.request('/api/v1/sites/fra1', {
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ description: 'before the race' }),
  });
  const number = Number(answer.headers.get('corral-change'));
  const all = await Promise.all(Array.from({ length: 6 }, () => call(corral, 'POST', `/changes/${number}/revert`)));
  expect(all.map((one) => one.status).sort()).toEqual([201, 409, 409, 409, 409, 409]);
  expect((await call(corral, 'GET', `/changes/${number}`)).body['reverted_by']).toHaveLength(1);
  await expectInOrder(corral);
});

test('a clock that was ahead and goes back: numbers and times go on, and times answer right', async () => {
  const patch = async (cores: number): Promise<{ number: number; at: string }> => {
    const { rows } = await corral.pool.query<{ id: string }>('select id from vm order by id limit 1');
    const answer = await corral.request(`/api/v1/vms/${rows[0]!.id}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ cores }),
    });
    const number = Number(answer.headers.get('corral-change'));
    return { number, at: String((await call(corral, 'GET', `/changes/${number}`)).body['at']) };
  };
  const first = await patch(3);
  /* As if the clock had been a day ahead when it was committed. */
  await corral.pool.query(`update change set at = clock_timestamp() + interval '1 day' where number = $1`, [first.number]);
  const ahead = String((await call(corral, 'GET', `/changes/${first.number}`)).body['at']);
  const second = await patch(4);
  const third = await patch(5);
  expect([second.number, third.number]).toEqual([first.number + 1, first.number + 2]);
  expect(second.at >= ahead && third.at >= second.at).toBe(true);
  await expectInOrder(corral);
  const { rows } = await corral.pool.query<{ fqdn: string }>(
    'select n.fqdn from vm v join hypervisor h on h.id = v.hypervisor_id join node n on n.id = h.node_id order by v.id limit 1',
  );
  const changeAt = async (point: string): Promise<number> =>
    Number((await corral.request(`/documents/${rows[0]!.fqdn}?at=${encodeURIComponent(point)}`)).headers.get('corral-change'));
  expect(await changeAt(new Date().toISOString())).toBeLessThan(first.number);
  expect(await changeAt(String(first.number))).toBe(first.number);
  expect(await changeAt(String(second.number))).toBe(second.number);
  expect(await changeAt(third.at)).toBe(third.number);
  expect(
    ((await call(corral, 'GET', `/changes?until=${encodeURIComponent(new Date().toISOString())}&limit=1`)).body['changes'] as { number: number }[])[0]!.number,
  ).toBe(first.number - 1);
});
