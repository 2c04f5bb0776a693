import { expect, test } from 'vitest';
import { Proxies } from '../../src/kernel/proxy.ts';
import { HV, smallFleet } from '../http/samples.ts';
import { testCorral } from '../support/corral.ts';

const corral = await testCorral();
await smallFleet(corral);
const made = async (name: string, more: Record<string, unknown> = {}): Promise<string> =>
  String((await corral.make('token', { name, kind: 'reader', ...more }))['token']);
const status = async (token: string, path = '/api/v1/sites'): Promise<number> => (await corral.request(path, { token })).status;
const DOCUMENT = `/pillar/${HV}`;

test('a token ends when its time is over, on every path', async () => {
  const token = await made('short', { expires_at: new Date(Date.now() + 3_600_000).toISOString() });
  expect([await status(token), await status(token, DOCUMENT)]).toEqual([200, 200]);
  await corral.pool.query(`update token set expires_at = now() - interval '1 second' where name = 'short'`);
  expect([await status(token), await status(token, DOCUMENT)]).toEqual([401, 401]);
});

test('a token is good from its addresses only', async () => {
  const near = await made('near', { sources: ['127.0.0.0/8'] });
  const far = await made('far', { sources: ['10.0.0.0/8', '2001:db8::/32'] });
  expect([await status(near), await status(near, DOCUMENT)]).toEqual([200, 200]);
  expect([await status(far), await status(far, DOCUMENT), await status(far, '/watch')]).toEqual([401, 401, 401]);
  const watched = await corral.request('/watch', { token: near });
  expect(watched.status).toBe(200);
  await watched.body!.cancel();
  /* Nobody believes who says by himself that he comes from elsewhere. */
  const lied = await corral.request('/api/v1/sites', { token: far, headers: { 'x-forwarded-for': '10.1.2.3' } });
  expect(lied.status).toBe(401);
  expect(
    (
      await corral.request('/api/v1/tokens', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"name":"x","kind":"reader","sources":["10.0.0.1/8"]}',
      })
    ).status,
  ).toBe(422);
});

test('a token may no more than its scopes', async () => {
  const token = await made('narrow', { kind: 'admin', scopes: ['vm:read', 'site:update'] });
  expect([await status(token, '/api/v1/vms'), await status(token), await status(token, DOCUMENT)]).toEqual([200, 403, 403]);
});

test('a token that is made anew is good beside the old one for a while', async () => {
  const first = await made('turning');
  const rotate = async (overlap: number): Promise<string> => {
    const answer = await corral.request('/api/v1/tokens/turning/rotate', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ overlap }),
    });
    expect(answer.status).toBe(200);
    return String(((await answer.json()) as Record<string, unknown>)['token']);
  };
  const second = await rotate(3600);
  expect(second).not.toBe(first);
  expect([await status(first), await status(second), await status(first, DOCUMENT)]).toEqual([200, 200, 200]);
  const third = await rotate(0);
  expect([await status(first), await status(second), await status(third)]).toEqual([401, 401, 200]);
  expect((await corral.request('/api/v1/tokens/turning')).status).toBe(200);
  expect(await (await corral.request('/api/v1/tokens/turning')).text()).not.toContain(third);
});

test('a token of a person may what they may, and ends with them', async () => {
  await corral.make('person', { name: 'anna' });
  await corral.make('binding', { name: 'anna', person: 'anna', role: 'viewer' });
  const token = await made('of-anna', { kind: 'program', person: 'anna' });
  /* Documents hold secrets: a viewer does not read them. */
  expect([await status(token), await status(token, DOCUMENT)]).toEqual([200, 403]);
  await corral.pool.query(`update person set state = 'disabled' where name = 'anna'`);
  expect([await status(token), await status(token, DOCUMENT)]).toEqual([401, 401]);
});

test('the last use is noted', async () => {
  const token = await made('used');
  await status(token);
  await expect
    .poll(
      async () => (await corral.pool.query<{ last_used_from: string | null }>(`select last_used_from from token where name = 'used'`)).rows[0]!.last_used_from,
    )
    .toBe('127.0.0.1');
});

test('the address of a request is what trusted proxies say, and the last one that is none of them', () => {
  const from = (remoteAddress: string, forwarded?: string) =>
    ({ socket: { remoteAddress }, headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded } }) as never;
  const proxies = new Proxies(['10.0.0.0/8', '::1']);
  for (const [remote, forwarded, expected] of [
    ['192.0.2.1', '203.0.113.9', '192.0.2.1'],
    ['10.0.0.1', '203.0.113.9', '203.0.113.9'],
    ['::ffff:10.0.0.1', '203.0.113.9', '203.0.113.9'],
    ['10.0.0.1', '1.2.3.4, 203.0.113.9, 10.0.0.7', '203.0.113.9'],
    ['10.0.0.1', undefined, '10.0.0.1'],
    ['10.0.0.1', 'nonsense', '10.0.0.1'],
    ['::1', '2001:db8::1', '2001:db8::1'],
  ] as const)
    expect([remote, forwarded, proxies.addressOf(from(remote, forwarded))]).toEqual([remote, forwarded, expected]);
  expect(() => new Proxies(['10.0.0.0/40'])).toThrow();
});
