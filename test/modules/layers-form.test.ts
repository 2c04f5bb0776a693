import { expect, test } from 'vitest';
import { get, post } from '../pages/fleet.ts';
import { formOf, submission, text } from '../pages/html.ts';
import { testCorral } from '../support/corral.ts';
import { call, hypervisors } from './fleet.ts';

const corral = await testCorral();

test('a layer is changed with a form, which shows no secret, keeps those that are not given, and says what is wrong', async () => {
  await hypervisors(corral, 1);
  await corral.make('layer', { name: 'base', scope: 'everything', data: { users: ['ops'] }, secrets: { pw: 'hush hush' } });
  const path = '/api/v1/layers/1';
  const filled = async (values: Record<string, string>): Promise<URLSearchParams> => {
    const page = await get(corral, '/forms/layers/base');
    const fields = submission(formOf(page.page, path));
    expect(fields.toString()).not.toContain('hush');
    for (const [name, value] of Object.entries(values)) fields.set(name, value);
    return fields;
  };
  const layer = async () => (await call(corral, 'GET', path)).body;
  expect((await post(corral, path, await filled({ scope: 'site', site: 'fra1', weight: '3' }))).status).toBe(303);
  expect(await layer()).toMatchObject({ scope: 'site', site: 'fra1', target: 'fra1', weight: 3, data: { users: ['ops'] }, secret_keys: ['pw'] });
  expect((await post(corral, path, await filled({ secrets: '{"other": [1]}', data: '{"a": 1}' }))).status).toBe(303);
  expect(await layer()).toMatchObject({ data: { a: 1 }, secret_keys: ['other', 'pw'] });
  const refused = await post(corral, path, await filled({ parameters: '{"facts": 1}', secrets: '{"pw": "hush again"}' }));
  expect(refused.status).toBe(422);
  expect(text(refused.page)).toContain('is a variable that Puppet itself sets');
  expect(refused.html).not.toContain('hush again');
  expect((await layer())['secret_keys']).toEqual(['other', 'pw']);
});
