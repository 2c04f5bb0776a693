import { decode } from '@msgpack/msgpack';
import { beforeAll, describe, expect, test } from 'vitest';
import { routeOf, type Field } from '../../src/db/catalog.ts';
import { operatorsOf, reverseNames, type Operator } from '../../src/db/query.ts';
import { resources } from '../../src/modules/index.ts';
import { testCorral } from '../support/corral.ts';
import { puppetReport } from '../reports/fleet.ts';
import { json, samples, smallFleet, type WireProblem } from './samples.ts';

type Row = Record<string, unknown>;

const corral = await testCorral();
const table = samples(corral, await smallFleet(corral));
const ROWS = 5;

/** Rows that no client makes: what hosts send, and what deletions leave behind. */
async function comesBack(): Promise<void> {
  const { nodes } = await json<{ nodes: { fqdn: string }[] }>(corral.request('/api/v1/nodes?limit=5'));
  for (const [i, { fqdn }] of nodes.entries()) {
    const things = { domain: { [`vm-9${i}`]: { state: 'running', managed: i % 2 === 0 } } };
    const post = (path: string, body: unknown) =>
      corral.request(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    await post(
      '/reports/puppet',
      puppetReport([{ type: 'Corral_volume', title: `v${i}`, ...(i % 2 === 0 ? { result: 'failed' as const } : {}) }], { node: fqdn, at: -i }),
    );
    await post('/heartbeats', { node: fqdn, observation: { things, facts: { cores: i } } });
    await corral.pool.query("insert into tombstone (node_id, kind, name) select id, 'bridge', $2 from node where fqdn = $1", [fqdn, `br-9-${i}`]);
    await corral.pool.query(
      `with w as (insert into webhook (name, url, secret, enabled) values ('back-' || $1::int, 'https://example.com/', 'x', false) returning id)
        insert into webhook_delivery (webhook_id, change, next_at, last_status, error) select id, $1, now(), nullif($1, 1) + 500, 'it answered ' || nullif($1, 1) + 500 from w`,
      [i],
    );
  }
}

/** Sessions of people who logged in. */
async function loggedIn(): Promise<void> {
  await corral.pool.query(`insert into session (hash, person_id, idle, ends_at, address)
    select sha256(convert_to(id::text, 'UTF8')), id, 60, now(), nullif(id, 1)::text from person`);
}

/** Hosts that asked to be let in. */
async function asked(): Promise<void> {
  await corral.pool.query(`insert into enrolment (fqdn, enrolment_token_id, public_key, address, state)
    select 'asked' || id || '.example.com', id, hash, nullif(id, 1)::text, case when id = 1 then 'rejected' else 'pending' end from enrolment_token`);
}

/** Whether a row passes a filter, worked out here, for what text and numbers can say. */
function passes(row: Row, field: Field, operator: Operator, value: string): boolean {
  const own = row[field.name];
  if (operator === '__null') return (own === null) === (value === 'true');
  if (operator === '__ne') return String(own) !== value;
  if (own === null) return false;
  if (operator === '__in') return value.split(',').includes(String(own));
  if (operator === '__contains') return String(own).toLowerCase().includes(value.toLowerCase());
  if (operator === '__startswith') return String(own).startsWith(value);
  const [a, b] = [Number(own), Number(value)];
  if (operator === '__gt') return a > b;
  if (operator === '__gte') return a >= b;
  if (operator === '__lt') return a < b;
  if (operator === '__lte') return a <= b;
  return String(own) === value;
}

describe.each(resources.map((resource) => [resource.noun, resource] as const))('%s', (noun, resource) => {
  const root = `/api/v1/${routeOf(resource.plural)}`;
  const model = corral.catalog.byNoun(noun);
  let rows: Row[] = [];
  const list = async (query: string): Promise<{ rows: Row[]; next?: string; total?: number }> => {
    const answer = await corral.request(`${root}?${query}`);
    const body = await json<{ next?: string; total?: number } & Record<string, Row[]>>(answer);
    if (answer.status !== 200) throw new Error(`${root}?${query}: ${JSON.stringify(body)}`);
    return { ...body, rows: body[resource.plural]! };
  };
  beforeAll(async () => {
    for (let i = 0; i < (table[noun] ? ROWS : 0); i++) await corral.make(noun, await table[noun]!.input(i));
    if (noun === 'session') await loggedIn();
    if (noun === 'enrolment') await asked();
    if (noun === 'report') await comesBack();
    ({ rows } = await list('limit=1000'));
  });

  test('is listed, with a total when asked for', async () => {
    expect(rows.length).toBeGreaterThanOrEqual(table[noun] ? ROWS : 3);
    const some = await list('limit=2&total=true');
    expect([some.rows, some.total]).toEqual([rows.slice(0, 2), rows.length]);
    expect((await list('limit=1000')).total).toBeUndefined();
    const packed = await corral.request(`${root}.msgpack?limit=1000`);
    expect(decode(await packed.arrayBuffer())).toEqual({ [resource.plural]: rows });
  });

  test('is filtered by every field with every operator, and holds what passes', async () => {
    for (const field of model.fields) {
      for (const operator of operatorsOf(field)) {
        const some = rows.map((row) => row[field.name]).find((value) => value !== null && value !== undefined);
        if (some === undefined && operator !== '__null') continue;
        const whole = Array.isArray(some) ? String(some[0] ?? 'KVM') : String(some);
        const value =
          operator === '__null'
            ? 'true'
            : operator === '__in'
              ? `${whole},${whole}`
              : operator === '__contains'
                ? whole.slice(1, 4)
                : operator === '__startswith'
                  ? whole.slice(0, 2)
                  : whole;
        const found = await list(`${field.name}${operator}=${encodeURIComponent(value)}&limit=1000`);
        if (field.list) continue;
        const expected = rows.filter((row) => passes(row, field, operator, value)).map((row) => row[model.pk]);
        expect([field.name, operator, value, found.rows.map((row) => row[model.pk])]).toEqual([field.name, operator, value, expected]);
      }
    }
  });

  test('is searched by q', async () => {
    const label = String(rows.at(-1)![resource.label ?? resource.key.at(-1)!]);
    const found = await list(`q=${encodeURIComponent(label)}&limit=1000`);
    expect(found.rows.map((row) => row[model.pk])).toContain(rows.at(-1)![model.pk]);
    expect((await list('q=%25%5C_no-such-thing')).rows).toEqual([]);
  });

  test('is paged one by one in every order, each row exactly once, nulls last', async () => {
    const sortable = model.fields
      .filter((field) => !field.list && !field.writeOnly && field.type !== 'object' && field.type !== 'array')
      .map((field) => field.name);
    const plain = model.pk === 'id' ? ['id', 'created_at', 'updated_at'] : [];
    for (const name of [...sortable, ...plain]) {
      for (const sort of [name, `-${name}`]) {
        const whole = (await list(`sort=${sort}&limit=1000`)).rows;
        expect([sort, new Set(whole.map((row) => row[model.pk])).size]).toEqual([sort, rows.length]);
        const firstNull = whole.findIndex((row) => row[name] === null);
        if (firstNull >= 0) expect([sort, whole.slice(firstNull).every((row) => row[name] === null)]).toEqual([sort, true]);
        const numbers = whole.map((row) => row[name]).filter((value) => typeof value === 'number');
        expect(numbers).toEqual([...numbers].sort((a, b) => (sort.startsWith('-') ? b - a : a - b)));
        const paged: Row[] = [];
        let next: string | undefined = `${root}?sort=${sort}&limit=${rows.length > 8 ? 3 : 1}`;
        for (let pages = 0; next !== undefined && pages <= rows.length; pages++) {
          const answer: Response = await corral.request(next);
          const body = await json<{ next?: string } & Record<string, Row[]>>(answer);
          expect([next, answer.status]).toEqual([next, 200]);
          expect(answer.headers.get('link')).toBe(body.next === undefined ? null : `<${body.next}>; rel="next"`);
          paged.push(...body[resource.plural]!);
          next = body.next;
        }
        expect([sort, paged]).toEqual([sort, whole]);
      }
    }
  });

  test('shows only the fields that were asked for', async () => {
    for (const name of [...model.fields.filter((field) => !field.writeOnly).map((field) => field.name), ...Object.keys(model.parts)]) {
      const [row] = (await list(`fields=${name}&limit=1`)).rows;
      const expected = model.pk === 'id' ? ['id', 'version', name] : ['name', name];
      expect(Object.keys(row!).sort()).toEqual([...new Set(expected)].sort());
    }
    const one = await json(corral.request(`${root}/${encodeURIComponent(String(rows[0]![model.pk]))}?fields=${model.fields[0]!.name}`));
    expect(one[model.fields[0]!.name]).toEqual(rows[0]![model.fields[0]!.name]);
  });

  test('includes every relation', async () => {
    const relations = [...model.fields.filter((field) => field.ref !== undefined).map((field) => field.name), ...reverseNames(model).keys()];
    for (const name of relations) {
      const found = (await list(`include=${name}&limit=1000`)).rows;
      expect(found.length).toBe(rows.length);
      for (const [i, row] of found.entries()) {
        const value = row[name];
        if (!model.field.has(name)) expect(Array.isArray(value)).toBe(true);
        else if (rows[i]![name] === null) expect(value).toBeNull();
        else expect(value).toEqual(expect.objectContaining({ id: expect.any(Number) as number }));
      }
      const single = await json(corral.request(`${root}/${String(rows[0]!['id'])}?include=${name}`));
      expect(single).toEqual(found.find((row) => row['id'] === rows[0]!['id']));
    }
  });

  test('keeps every row when the relation that it is sorted by is included', async () => {
    for (const field of model.fields.filter((one) => one.ref !== undefined)) {
      const seen: unknown[] = [];
      let next: string | undefined = `${root}?sort=${field.name}&include=${field.name}&limit=2`;
      for (let pages = 0; next !== undefined && pages <= rows.length; pages++) {
        const body: { next?: string } & Record<string, Row[]> = await json(corral.request(next));
        seen.push(...(body[resource.plural] ?? [body]).map((row) => row['id']));
        next = body.next;
      }
      expect([field.name, seen.length, new Set(seen).size]).toEqual([field.name, rows.length, rows.length]);
    }
  });

  test('refuses parameters and values that make no sense, and names them', async () => {
    const number = model.fields.find((field) => field.type === 'integer');
    const bad: [string, string, string | undefined][] = [
      ['colour=red', 'unknown-parameter', 'colour'],
      ['sort=colour', 'bad-request', 'sort'],
      ['sort=-', 'bad-request', 'sort'],
      ['fields=colour', 'bad-request', 'fields'],
      ['include=colour', 'bad-request', 'include'],
      ['limit=0', 'bad-request', 'limit'],
      ['limit=1001', 'bad-request', 'limit'],
      ['limit=1.5', 'bad-request', 'limit'],
      ['total=perhaps', 'bad-request', 'total'],
      ['limit=1&limit=2', 'bad-request', undefined],
      ['after=%00', 'bad-request', undefined],
      ['after=e30', 'bad-cursor', undefined],
      ...(number
        ? ([
            [`${number.name}=x`, 'bad-request', number.name],
            [`${number.name}__gt=`, 'bad-request', `${number.name}__gt`],
            [`${number.name}__contains=1`, 'unknown-parameter', `${number.name}__contains`],
          ] as [string, string, string][])
        : []),
    ];
    for (const [query, code, parameter] of bad) {
      const answer = await corral.request(`${root}?${query}`);
      const problem = await json<WireProblem>(answer);
      expect([query, answer.status, problem.code]).toEqual([query, 400, code]);
      if (parameter !== undefined) expect(problem['parameter']).toBe(parameter);
    }
    const one = await corral.request(`${root}/${encodeURIComponent(String(rows[0]![model.pk]))}?limit=1`);
    expect([one.status, (await json<WireProblem>(one)).code]).toEqual([400, 'unknown-parameter']);
  });
});

test('reference lists are read, and never written', async () => {
  for (const resource of resources.filter((one) => one.area === 'Lists')) {
    const root = `/api/v1/${routeOf(resource.plural)}`;
    const first = (await json<Record<string, Row[]>>(corral.request(root)))[resource.plural]![0]!;
    const one = await corral.request(`${root}/${encodeURIComponent(String(first['name']))}`);
    expect([one.status, await json(one)]).toEqual([200, first]);
    expect((await corral.request(`${root}/${encodeURIComponent(String(first['name']))}.html`)).status).toBe(200);
    for (const [method, path] of [
      ['POST', root],
      ['PUT', `${root}/x`],
      ['PATCH', `${root}/x`],
      ['DELETE', `${root}/x`],
    ] as const) {
      const answer = await corral.request(path, { method, body: '{}' });
      expect([method, answer.status, answer.headers.get('allow')]).toEqual([method, 405, 'GET']);
    }
  }
});
