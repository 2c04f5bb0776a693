import { generateKeyPairSync, sign } from 'node:crypto';
import { expect, test } from 'vitest';
import { enrolStatement } from '../../src/modules/control/enrolment.verbs.ts';
import { json, send, smallFleet, HV } from '../http/samples.ts';
import { testCorral } from '../support/corral.ts';
import { against, corral, type Ran } from './support.ts';

const server = await testCorral();
await smallFleet(server);
const run = (...args: string[]): Promise<Ran> => corral(args, { env: against(server) });

async function enrol(token: string, fqdn: string): Promise<{ id: string; fingerprint: string }> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const time = new Date().toISOString();
  const proof = sign(null, Buffer.from(enrolStatement(fqdn, token, time)), privateKey).toString('base64');
  const public_key = publicKey.export({ format: 'pem', type: 'spki' });
  return json(server.request('/enrolments', { ...send('POST', { token, fqdn, public_key, time, proof }), token: null }));
}

test('corral enrol makes a token, lists hosts that wait, approves and rejects them', async () => {
  expect((await run('enrol', 'list')).err).toBe('No host waits to be let in.\n');
  const made = await run('enrol', 'token', 'rack7', '--pattern', '*.example.com', '--uses', '3', '--hours', '2', '--site', 'fra1');
  expect([made.code, made.out]).toEqual([0, expect.stringMatching(/^corral_enrolment_[\w-]{43}\n$/)]);
  const row = await json<{ uses: number; expires_at: string; auto_approve: boolean }>(server.request('/api/v1/enrolment-tokens/rack7'));
  expect([row.uses, row.auto_approve, Math.round((Date.parse(row.expires_at) - Date.now()) / 3_600_000)]).toEqual([3, false, 2]);
  const first = await enrol(made.out.trim(), HV);
  expect((await run('enrol', 'list')).out).toMatch(new RegExp(`${first.id} +${HV} +pending +${first.fingerprint.replaceAll(/[+/]/g, '\\$&')}`));
  expect((await run('enrol', 'approve', HV.toUpperCase())).out).toContain('approved');
  expect((await run('enrol', 'approve', HV)).code).toBe(3);
  expect((await run('enrol', 'approve', first.id)).code).toBe(4);
  const second = await enrol(made.out.trim(), HV);
  const two = await run('enrol', 'reject', HV);
  expect([two.code, two.err]).toEqual([2, expect.stringContaining('has enrolled 2 times')]);
  expect((JSON.parse((await run('enrol', 'reject', second.id, '-o', 'json')).out) as { state: string }).state).toBe('rejected');
  expect((await run('enrol', 'reject', HV)).out).toContain('rejected');
  expect((await run('enrol', 'list', '--all')).out.match(/rejected/g)).toHaveLength(2);
  expect((await run('enrol', 'token', 'x', '--hours', 'many')).code).toBe(2);
}, 120_000);
