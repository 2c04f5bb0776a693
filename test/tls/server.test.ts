import { once } from 'node:events';
import { connect } from 'node:net';
import { Agent } from 'node:https';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/kernel/config.ts';
import { serve } from '../../src/serve.ts';
import { smallFleet, HV } from '../http/samples.ts';
import { corral as command, scratch } from '../cli/support.ts';
import { ADMIN, testCorral } from '../support/corral.ts';
import { TestCa } from './ca.ts';
import { KEY, put, tlsRig, until } from './rig.ts';

const ca = new TestCa();
const corral = await testCorral({ CORRAL_ENCRYPTION_KEY: KEY });
await smallFleet(corral);
const rig = await tlsRig(corral, ca);

/** The certificate that a new connection gets. */
async function serverName(): Promise<string | undefined> {
  const socket = connectTls({ port: rig.port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const subject = socket.getPeerX509Certificate()?.subject;
  socket.destroy();
  return subject?.replace('CN=', '');
}

describe('a server with TLS', () => {
  test('serves what it serves without', async () => {
    expect(rig.url).toMatch(/^https:/);
    const plain = await corral.request(`/documents/${HV}`);
    const answer = await rig.ask(`/documents/${HV}`, { token: ADMIN });
    expect([answer.status, answer.body]).toEqual([200, await plain.text()]);
    expect((await rig.ask('/api/v1/sites', { token: ADMIN })).status).toBe(200);
    expect((await rig.ask('/healthz')).headers['strict-transport-security']).toBe('max-age=31536000');
    expect((await corral.request('/healthz')).headers.get('strict-transport-security')).toBeNull();
    const made = await rig.ask('/api/v1/sites', { token: ADMIN, method: 'POST', body: { name: 'over-tls' } });
    expect([made.status, JSON.parse(made.body).name]).toEqual([201, 'over-tls']);
  });

  test('takes TLS 1.2 and 1.3, nothing older, and no plain HTTP', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
      expect((await rig.ask('/healthz', { tls: { minVersion: version, maxVersion: version } })).status).toBe(200);
    await expect(rig.ask('/healthz', { tls: { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } })).rejects.toThrow(
      /protocol|alert/i,
    );
    await expect(fetch(rig.url.replace('https', 'http'))).rejects.toThrow();
  });

  test('is trusted by the command line when its authority is named', async () => {
    const how = { CORRAL_URL: rig.url, CORRAL_TOKEN: ADMIN };
    const unknown = await command(['get', 'sites', '-q'], { env: how });
    expect([unknown.code, unknown.err]).toEqual([5, expect.stringMatching(/authority that is not known here\n.*NODE_EXTRA_CA_CERTS/)]);
    const file = join(scratch(), 'ca.pem');
    writeFileSync(file, ca.bundle);
    expect(await command(['get', 'sites', '-q'], { env: { ...how, NODE_EXTRA_CA_CERTS: file } })).toMatchObject({ code: 0, err: '' });
  });

  test('gives cookies to TLS only', async () => {
    const answer = await rig.ask('/login', {
      method: 'POST',
      body: `token=${ADMIN}`,
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin: rig.url },
    });
    expect(String(answer.headers['set-cookie'])).toMatch(/HttpOnly.*Secure|Secure.*HttpOnly/);
  });

  test('streams events', async () => {
    const stream = await rig.open(`/documents/${HV}/events`, { token: ADMIN });
    let text = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    await until(() => text.includes('event: document'));
    const before = text.length;
    await corral.make('node_interface', { node: HV, name: 'eno9' });
    await until(() => text.slice(before).includes('event: document'));
    stream.destroy();
    await until(() => rig.running.active() === 0);
  });
});

describe('new files', () => {
  test('are used without a restart, and bad ones never', async () => {
    expect(await serverName()).toBe('corral.example.net');
    const agent = new Agent({ keepAlive: true, maxSockets: 1, maxCachedSessions: 0 });
    await rig.ask('/healthz', { agent });
    const next = ca.leaf('next.example.net', { names: ['DNS:next.example.net', 'IP:127.0.0.1'] });
    /* As if the certificate was written, and its key not yet. */
    put(rig.paths.cert, next.cert + ca.signing);
    process.emit('SIGHUP');
    expect(await serverName()).toBe('corral.example.net');
    put(rig.paths.key, next.key.slice(0, 40));
    process.emit('SIGHUP');
    expect(await serverName()).toBe('corral.example.net');
    put(rig.paths.key, next.key);
    process.emit('SIGHUP');
    expect(await serverName()).toBe('next.example.net');
    /* Connections that are there go on. */
    expect((await rig.ask('/healthz', { agent })).status).toBe(200);
    agent.destroy();
  });

  test('are seen by themselves', async () => {
    const third = ca.leaf('third.example.net', { names: ['DNS:third.example.net', 'IP:127.0.0.1'] });
    put(rig.paths.key, third.key);
    put(rig.paths.cert, third.cert + ca.signing);
    await until(async () => (await serverName()) === 'third.example.net');
  });
});

describe('settings that do not fit', () => {
  test.each([
    ['a key that is missing', { CORRAL_TLS_KEY: '' }, 'CORRAL_TLS_CERT and CORRAL_TLS_KEY are set together'],
    ['a file that is missing', { CORRAL_TLS_CERT: '/nowhere' }, 'CORRAL_TLS_CERT: /nowhere: ENOENT'],
    ['a key of another certificate', { CORRAL_TLS_KEY: `${ca.folder}/other.key` }, 'CORRAL_TLS_CERT and CORRAL_TLS_KEY: '],
    ['lists without a CA', { CORRAL_TLS_CLIENT_CA: '' }, 'CORRAL_TLS_CRL needs CORRAL_TLS_CLIENT_CA'],
    ['a CA that is none', { CORRAL_TLS_CLIENT_CA: `${ca.folder}/other.key` }, 'CORRAL_TLS_CLIENT_CA and CORRAL_TLS_CRL: the CA bundle holds no certificate'],
  ])('are told at the start: %s', async (_what, env, message) => {
    writeFileSync(`${ca.folder}/other.key`, ca.leaf('other').key);
    const { config } = loadConfig({
      CORRAL_DATA: ca.folder,
      DATABASE_URL: corral.databaseUrl,
      CORRAL_LOG_LEVEL: 'silent',
      PORT: '0',
      CORRAL_TLS_CERT: rig.paths.cert,
      CORRAL_TLS_KEY: rig.paths.key,
      CORRAL_TLS_CLIENT_CA: rig.paths.ca,
      CORRAL_TLS_CRL: rig.paths.crl,
      ...env,
    });
    await expect(serve(config)).rejects.toThrow(message);
  });
});

test('a stop lets answers end, and waits neither for idle connections nor for handshakes', async () => {
  const idle = new Agent({ keepAlive: true });
  await rig.ask('/healthz', { agent: idle });
  const silent = connect(rig.port, '127.0.0.1');
  await once(silent, 'connect');
  const quiet: TLSSocket = connectTls({ port: rig.port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(quiet, 'secureConnect');
  const stream = await rig.open(`/documents/${HV}/events`, { token: ADMIN });
  const lines = await rig.open('/documents', { token: ADMIN });
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const gone = [once(silent, 'close'), once(quiet, 'close'), once(stream, 'end'), once(lines.resume(), 'end')];
  await rig.running.stop();
  await Promise.all(gone);
  expect(text).toMatch(/retry: \d+\n\n$/);
  idle.destroy();
});
