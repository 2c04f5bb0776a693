import { request, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { ADMIN, testCorral } from '../support/corral.ts';
import { counts, json, send, type WireProblem } from './samples.ts';

const corral = await testCorral({ CORRAL_BODY_LIMIT: '100000' });
const { port } = new URL(corral.base);

/** Sends a body piece by piece until the server answers or hangs up. */
function pour(
  headers: Record<string, string | number>,
  chunk: Buffer,
  chunks: number,
): Promise<{ status: number; body: string; sent: number; connection: string | undefined }> {
  return new Promise((resolve, reject) => {
    let sent = 0;
    let answered = false;
    const out = request({
      host: '127.0.0.1',
      port,
      path: '/api/v1/sites',
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN}`, 'content-type': 'application/json', ...headers },
    });
    out.on('response', (response: IncomingMessage) => {
      answered = true;
      let body = '';
      response.on('data', (data: Buffer) => (body += data.toString()));
      response.on('end', () => {
        out.destroy();
        resolve({ status: response.statusCode!, body, sent, connection: response.headers.connection });
      });
    });
    out.on('error', (error) => (answered ? undefined : reject(error)));
    const more = (): void => {
      while (!answered && sent < chunks * chunk.length) {
        sent += chunk.length;
        if (!out.write(chunk)) return void out.once('drain', more);
      }
      if (!answered) out.end();
    };
    more();
  });
}

/** Sends bytes as they are, and gives all that comes back; with `breakOff` nothing more is sent, and nobody waits. */
function raw(text: string, breakOff = false): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(Number(port), '127.0.0.1', () => (breakOff ? socket.end(text) : socket.write(text)));
    let back = '';
    socket.on('data', (data) => (back += data.toString('latin1')));
    socket.on('error', () => resolve(back));
    socket.on('close', () => resolve(back));
  });
}

test('a body of 100 MB with its length is refused with 413 before it is sent', async () => {
  const answer = await pour({ 'content-length': 100_000_000 }, Buffer.alloc(65_536, 0x20), 1600);
  expect([answer.status, JSON.parse(answer.body)]).toEqual([413, expect.objectContaining({ code: 'too-large', limit: 100_000 })]);
  expect(answer.sent).toBeLessThan(50_000_000);
  expect(answer.connection).toBe('close');
});

test('a body of 100 MB without a length is refused with 413 at the limit', async () => {
  const answer = await pour({ 'transfer-encoding': 'chunked' }, Buffer.alloc(65_536, 0x20), 1600);
  expect([answer.status, JSON.parse(answer.body)]).toEqual([413, expect.objectContaining({ code: 'too-large' })]);
  expect(answer.sent).toBeLessThan(50_000_000);
});

test('a body of exactly the limit is read, one byte more is not', async () => {
  const body = (size: number): string => JSON.stringify({ name: 'x', description: '' }).padEnd(size, ' ');
  const post = (size: number) => corral.request('/api/v1/sites', { method: 'POST', headers: { 'content-type': 'application/json' }, body: body(size) });
  expect((await post(100_000)).status).toBe(201);
  expect((await post(100_001)).status).toBe(413);
});

test('a body that breaks off changes nothing, and the server goes on', async () => {
  const before = await counts(corral);
  await raw(
    `POST /api/v1/sites HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN}\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"name": "half"`,
    true,
  );
  await raw(`POST /api/v1/sites HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN}\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n{"name": "half"`, true);
  expect(await counts(corral)).toEqual(before);
  expect((await corral.request('/api/v1/sites')).status).toBe(200);
});

test('types that are not read are refused with 415', async () => {
  for (const type of ['text/plain', 'multipart/form-data; boundary=x', 'application/yaml', 'application/octet-stream', 'x']) {
    const answer = await corral.request('/api/v1/sites', { method: 'POST', headers: { 'content-type': type }, body: '{"name":"y"}' });
    expect([type, answer.status, (await json<WireProblem>(answer)).code]).toEqual([type, 415, 'unsupported-media-type']);
  }
});

test('a compressed body is refused, not stored', async () => {
  const answer = await corral.request('/api/v1/sites', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
    body: '{"name":"zipped"}',
  });
  expect(answer.status).toBe(415);
});

test('requests that are no HTTP, or with a strange host or target, never fail inside', async () => {
  const auth = `Authorization: Bearer ${ADMIN}\r\nConnection: close\r\n`;
  const requests = [
    'nonsense\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    `GET /api/v1/sites HTTP/1.1\r\n${auth}\r\n`,
    `GET /api/v1/sites HTTP/1.1\r\nHost: a b\r\n${auth}\r\n`,
    `GET /api/v1/sites HTTP/1.1\r\nHost: [\r\n${auth}\r\n`,
    `GET /api/v1/sites HTTP/1.1\r\nHost: \r\n${auth}\r\n`,
    `GET //evil.example/api HTTP/1.1\r\nHost: x\r\n${auth}\r\n`,
    `GET http://[/ HTTP/1.1\r\nHost: x\r\n${auth}\r\n`,
    `GET * HTTP/1.1\r\nHost: x\r\n${auth}\r\n`,
    `OPTIONS * HTTP/1.1\r\nHost: x\r\n${auth}\r\n`,
    `BREW /api/v1/sites HTTP/1.1\r\nHost: x\r\n${auth}\r\n`,
    `TRACE /api/v1/sites HTTP/1.1\r\nHost: x\r\n${auth}\r\n`,
    `PURGE /enc/x HTTP/1.1\r\nHost: x\r\n${auth}\r\n`,
    `GET /enc/%00 HTTP/1.1\r\nHost: x\r\n${auth}\r\n`,
    `GET /enc/% HTTP/1.1\r\nHost: x\r\n${auth}\r\n`,
    `GET /api/v1/sites HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(40_000)}\r\n${auth}\r\n`,
    `GET /${'a'.repeat(40_000)} HTTP/1.1\r\nHost: x\r\n${auth}\r\n`,
    `GET /api/v1/sites/../../secret HTTP/1.1\r\nHost: x\r\n${auth}\r\n`,
    `GET /api/v1/sites?%ff=%fe HTTP/1.1\r\nHost: x\r\n${auth}\r\n`,
    `POST /api/v1/sites HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n${auth}\r\n`,
    `POST /api/v1/sites HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n${auth}\r\n{}`,
  ];
  for (const text of requests) {
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(await raw(text))?.[1]);
    expect([text.slice(0, 60), status, status >= 200 && status < 500]).toEqual([text.slice(0, 60), status, true]);
  }
  expect((await corral.request('/healthz')).status).toBe(200);
});

test('paths and queries that are too long get a problem, too', async () => {
  for (const path of [
    `/api/v1/sites/${'x'.repeat(12_000)}`,
    `/enc/${'x'.repeat(12_000)}`,
    `/${'x/'.repeat(5000)}`,
    `/api/v1/sites?name=${'x'.repeat(12_000)}`,
    `/api/v1/sites?name__in=${'a,'.repeat(6000)}a`,
    `/api/v1/sites?${'q=a&'.repeat(3000)}`,
  ]) {
    const answer = await corral.request(path);
    expect([path.slice(0, 40), answer.status < 500]).toEqual([path.slice(0, 40), true]);
    if (answer.status >= 400) expect((await json<WireProblem>(answer)).detail.length).toBeLessThan(2000);
    else await answer.arrayBuffer();
  }
});

test('fields whose name is the size of the body do not come back as an even larger answer', async () => {
  const answer = await corral.request('/api/v1/sites', send('POST', { name: 'z', ['k'.repeat(90_000)]: 1 }));
  expect(answer.status).toBe(422);
  expect((await answer.text()).length).toBeLessThan(100_000);
});
