import { decode, encode } from '@msgpack/msgpack';
import { beforeAll, describe, expect, test } from 'vitest';
import { resources } from '../../src/modules/index.ts';
import { routeOf } from '../../src/db/catalog.ts';
import { testCorral } from '../support/corral.ts';
import { json, samples, send, smallFleet, type Input, type WireProblem } from './samples.ts';

const corral = await testCorral();
const table = samples(corral, await smallFleet(corral));
const writable = resources.filter((resource) => !resource.readOnly && !resource.without?.includes('create'));

test('every noun that can be written has a sample', () => {
  expect(Object.keys(table).sort()).toEqual(writable.map((resource) => resource.noun).sort());
});

describe.each(writable.map((resource) => [resource.noun, resource] as const))('%s', (noun, resource) => {
  const root = `/api/v1/${routeOf(resource.plural)}`;
  const sample = table[noun]!;
  /* Tokens, secrets and links are shown at creation only. */
  const shownLater = new Set([
    'id',
    'version',
    'created_at',
    'updated_at',
    ...corral.catalog.byNoun(noun).fields.flatMap((field) => (field.writeOnly ? [] : field.name)),
    ...Object.keys(corral.catalog.byNoun(noun).parts),
  ]);
  const lasting = (created: Input): Input => Object.fromEntries(Object.entries(created).filter(([name]) => shownLater.has(name)));
  /* What Corral names itself cannot be made under a name. */
  const canPut = resource.key.every((name) => name in resource.fields);
  let input: Input;
  let row: Record<string, unknown>;
  let created: Response;
  beforeAll(async () => {
    input = await sample.input(0);
    created = await corral.request(root, send('POST', input));
    row = await json(created);
  });
  const path = (): string => `${root}/${String(row['id'])}`;
  const keyPath = (): string =>
    `${root}/${resource.key
      .map((name) => String(row[name]))
      .map(encodeURIComponent)
      .join(':')}`;

  test('is made with 201, a Location and an ETag, and shows what was given', () => {
    expect([created.status, row]).toEqual([201, expect.objectContaining({ version: expect.any(Number) })]);
    expect(created.headers.get('location')).toBe(path());
    expect(created.headers.get('etag')).toMatch(/^"\d+\.[\w-]+"$/);
    const { roles: _roles, vm: _vm, project: _project, ...plain } = input;
    expect(row).toMatchObject(plain);
  });

  test('is read by its id and by its natural key, the same', async () => {
    const byId = await corral.request(path());
    const byKey = await corral.request(keyPath());
    expect([byId.status, byKey.status]).toEqual([200, 200]);
    expect(byKey.headers.get('etag')).toBe(byId.headers.get('etag'));
    const shown = await json(byId);
    expect(await json(byKey)).toEqual(shown);
    expect(shown).toEqual(lasting(row));
  });

  test('answers 304 while it is the same', async () => {
    const etag = (await corral.request(path())).headers.get('etag')!;
    const again = await corral.request(path(), { headers: { 'if-none-match': `"other", ${etag}` } });
    expect([again.status, await again.text(), again.headers.get('etag')]).toEqual([304, '', etag]);
    expect((await corral.request(path(), { headers: { 'if-none-match': '"other"' } })).status).toBe(200);
  });

  test('is the same in MessagePack as in JSON, by Accept and by ending', async () => {
    const plain = await json(corral.request(path()));
    for (const answer of [await corral.request(path(), { headers: { accept: 'application/x-msgpack' } }), await corral.request(`${path()}.msgpack`)]) {
      expect(answer.headers.get('content-type')).toBe('application/msgpack');
      expect(decode(await answer.arrayBuffer())).toEqual(plain);
    }
    expect((await corral.request(path(), { headers: { accept: 'application/msgpack' } })).headers.get('etag')).not.toBe(
      (await corral.request(path())).headers.get('etag'),
    );
  });

  test('has a page, a page in the list, and forms', async () => {
    for (const page of [
      await corral.request(path(), { headers: { accept: 'text/html' } }),
      await corral.request(`${root}.html?total=true`),
      await corral.request(`/forms${root.slice(7)}`),
      await corral.request(`/forms${path().slice(7)}`),
    ]) {
      expect([page.status, page.url, page.headers.get('content-type')]).toEqual([200, page.url, 'text/html; charset=utf-8']);
      expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    }
  });

  test('is refused in a form that nobody serves, with 406', async () => {
    const answer = await corral.request(path(), { headers: { accept: 'image/png' } });
    expect([answer.status, answer.headers.get('content-type')]).toEqual([406, 'application/problem+json']);
    expect(await json<WireProblem>(answer)).toMatchObject({ code: 'not-acceptable', status: 406 });
  });

  test('is changed by a merge patch, in JSON and MessagePack', async () => {
    const before = await json(corral.request(path()));
    const patched = await corral.request(path(), { method: 'PATCH', headers: { 'content-type': 'application/msgpack' }, body: encode(sample.patch) });
    const after = await json(patched);
    expect([patched.status, after]).toEqual([200, expect.objectContaining(sample.patch)]);
    expect(await json(corral.request(path()))).toEqual(after);
    expect(Number(after['version']) - Number(before['version'])).toBeLessThanOrEqual(1);
    const again = await json(corral.request(path(), send('PATCH', sample.patch)));
    expect(again).toEqual(after);
  });

  test('is not changed by who has not seen its newest version: 412', async () => {
    const shown = await corral.request(path());
    const { version } = await json(shown);
    const stale = await corral.request(path(), send('PATCH', sample.patch, { 'if-match': `"${Number(version) - 1}.x"` }));
    expect([stale.status, await json<WireProblem>(stale)]).toEqual([412, expect.objectContaining({ code: 'stale-version', version })]);
    expect((await corral.request(path(), { method: 'DELETE', headers: { 'if-match': '"0.x"' } })).status).toBe(412);
    expect((await corral.request(path(), send('PATCH', sample.patch, { 'if-match': shown.headers.get('etag')! }))).status).toBe(200);
  });

  test('refuses a field that it does not have, with its place', async () => {
    const bad = { ...sample.patch, 'no/such~field': 1 };
    for (const answer of [await corral.request(path(), send('PATCH', bad)), await corral.request(root, send('POST', { ...input, ...bad }))]) {
      expect([answer.status, await json<WireProblem>(answer)]).toEqual([
        422,
        expect.objectContaining({
          code: 'invalid',
          errors: expect.arrayContaining([{ pointer: '/no~1such~0field', message: expect.any(String) as string }]) as unknown,
        }),
      ]);
    }
  });

  test('refuses a creation without its needed fields, all at once', async () => {
    const answer = await corral.request(root, send('POST', {}));
    const needed = [...corral.catalog.byNoun(noun).fields].filter((field) => field.required).map((field) => `/${field.name}`);
    const problem = await json<WireProblem>(answer);
    expect([answer.status, problem.code]).toEqual([422, 'invalid']);
    expect(problem.errors!.map((one) => one.pointer)).toEqual(expect.arrayContaining(needed));
  });

  test('refuses methods that make no sense, and says which do', async () => {
    for (const [method, where] of [
      ['PUT', root],
      ['PATCH', root],
      ['DELETE', root],
      ['POST', path()],
      ['OPTIONS', path()],
    ] as const) {
      const answer = await corral.request(where, send(method, {}));
      expect([method, answer.status, answer.headers.get('allow')]).toEqual([
        method,
        405,
        where === root ? 'GET, POST' : canPut ? 'GET, PATCH, PUT, DELETE' : 'GET, PATCH, DELETE',
      ]);
    }
  });

  test.each(canPut ? [[noun]] : [])('%s is made once by PUT, and not changed by the same PUT again', async () => {
    const other = await sample.input(2);
    if (noun === 'vm') other['uuid'] = '6f1c24a5-2b0f-4b0c-8a38-2f9df0c8f5a1';
    if (noun === 'ceph_osd') other['uuid'] = '6f1c24a5-2b0f-4b0c-8a38-2f9df0c8f5a2';
    if (noun === 'volume') other['name'] = 'put-volume';
    const key = resource.key
      .map((name) => String(other[name]))
      .map(encodeURIComponent)
      .join(':');
    const first = await corral.request(`${root}/${key}`, send('PUT', other));
    const made = await json(first);
    expect([first.status, made]).toEqual([201, expect.objectContaining({ id: expect.any(Number) as number })]);
    const second = await corral.request(`${root}/${key}`, send('PUT', other));
    expect([second.status, await json(second)]).toEqual([200, lasting(made)]);
    expect(second.headers.get('location')).toBeNull();
  });

  test('is deleted with 204, and then is not there', async () => {
    const gone = await corral.request(path(), { method: 'DELETE' });
    expect([gone.status, await gone.text()]).toEqual([204, '']);
    for (const answer of [
      await corral.request(path()),
      await corral.request(path(), { method: 'DELETE' }),
      await corral.request(path(), send('PATCH', sample.patch)),
    ]) {
      expect([answer.status, await json<WireProblem>(answer)]).toEqual([404, expect.objectContaining({ code: 'not-found' })]);
    }
  });
});
