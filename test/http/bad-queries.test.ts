import { beforeAll, describe, expect, test } from 'vitest';
import { resources } from '../../src/modules/index.ts';
import { routeOf } from '../../src/db/catalog.ts';
import { testCorral } from '../support/corral.ts';
import { refused } from './refused.ts';
import { counts, smallFleet } from './samples.ts';

const corral = await testCorral();
await smallFleet(corral);
let before: Record<string, number>;
beforeAll(async () => {
  before = await counts(corral);
});
const unchanged = async (): Promise<void> => expect(await counts(corral)).toEqual(before);

describe.each(resources.filter((one) => !one.readOnly).map((resource) => [resource.noun, resource] as const))('%s', (noun, resource) => {
  const root = `/api/v1/${routeOf(resource.plural)}`;
  const model = corral.catalog.byNoun(noun);
  const plain = model.fields.filter((one) => !one.writeOnly && !one.list && one.type !== 'object' && one.type !== 'array');

  test('answers strange keys, ids and filters without failing', async () => {
    const keys = [
      '0',
      '-1',
      '1.5',
      '1e9',
      '999999999999999',
      '99999999999999999999',
      'NaN',
      "' or 1=1 --",
      '%27%3B',
      'a:b:c:d:e',
      ':',
      '::',
      '%20',
      '..%2f..',
      'x'.repeat(5000),
      '%F0%9F%90%8E',
      '0x10',
      '+1',
      '%5C',
      'null',
    ];
    for (const key of keys)
      for (const method of ['GET', 'DELETE']) expect([key, (await refused(corral, `${root}/${key}`, { method })).status]).toEqual([key, 404]);
    for (const key of ['%00', '%', '%zz', '%C0%AF', 'a%']) expect([key, (await refused(corral, `${root}/${key}`)).status]).toEqual([key, 400]);
    const operators = ['', '__in', '__gt', '__ne', '__contains', '__lt', '__null', '__startswith'];
    const values = ['%00', '%27', '-1', '1e400', '99999999999999999999', '9007199254740991', '2024-13-45', 'x'.repeat(1000), '%F0%9F%90%8E%5C%25', ''];
    for (const [i, { name }] of plain.entries()) {
      for (const [j, value] of values.entries()) {
        const query = `${name}${operators[(i + j) % operators.length]!}=${value}`;
        const answers = await Promise.all([corral.request(`${root}?${query}`), corral.request(`${root}?${name}=${value}`)]);
        for (const answer of answers) {
          expect(answer.status, `${root}?${query}`).toBeLessThan(500);
          await answer.arrayBuffer();
        }
      }
    }
    await unchanged();
  });

  test('answers every broken cursor with 400', async () => {
    const cursor = (...values: unknown[]): string => Buffer.from(JSON.stringify(values)).toString('base64url');
    for (const field of [...plain.map((one) => one.name), 'created_at']) {
      for (const value of ['2024-13-45', '99999999-01-01', -1e300, '\u0000', "';--"]) {
        const answer = await corral.request(`${root}?sort=${field}&after=${cursor(`${field},id`, value, 1)}`);
        expect([field, value, answer.status === 200 || answer.status === 400]).toEqual([field, value, true]);
        await answer.arrayBuffer();
      }
      for (const after of ['x', cursor(), cursor('id', 1), cursor(`${field},id`, {}, 1), cursor(`${field},id`, 1, 1, 1)]) {
        expect((await refused(corral, `${root}?sort=${field}&after=${after}`)).status).toBe(400);
      }
      expect((await refused(corral, `${root}?sort=${field}&after=${cursor(`${field},id`, null, 'x')}`)).status).toBe(400);
    }
  });
});
