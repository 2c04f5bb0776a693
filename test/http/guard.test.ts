import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { ADMIN, testCorral } from '../support/corral.ts';
import { smallFleet } from './samples.ts';

const corral = await testCorral({}, { timeouts: { headersTimeout: 300, requestTimeout: 600, connectionsCheckingInterval: 50 } });
await smallFleet(corral);
const { port } = new URL(corral.base);

/** Sends pieces of text, with a wait before each, and gives all that comes back when the server closes. */
function raw(pieces: readonly string[], wait = 0): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(Number(port), '127.0.0.1');
    let back = '';
    let i = 0;
    const next = (): void => {
      if (i < pieces.length && !socket.destroyed) {
        socket.write(pieces[i++]!);
        setTimeout(next, wait);
      }
    };
    socket.on('connect', next);
    socket.on('data', (data) => (back += data.toString('latin1')));
    socket.on('error', () => resolve(back));
    socket.on('close', () => resolve(back));
  });
}

const problemIn = (answer: string): Record<string, unknown> => {
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  expect(head).toMatch(/^HTTP\/1\.1 \d{3} [A-Z]/);
  expect(head.toLowerCase()).toContain('content-type: application/problem+json');
  expect(head.toLowerCase()).toContain('connection: close');
  expect(head.toLowerCase()).toContain('x-content-type-options: nosniff');
  return { line: head.split('\r\n')[0], ...(JSON.parse(body) as Record<string, unknown>) };
};

describe('what Node cannot read is answered with a problem', () => {
  const host = `Host: 127.0.0.1\r\nAuthorization: Bearer ${ADMIN}\r\n`;
  test.each([
    ['a URL of 20 KB', [`GET /${'x'.repeat(20_000)} HTTP/1.1\r\n${host}\r\n`], 'HTTP/1.1 431 Request Header Fields Too Large', 'headers-too-large'],
    ['a header of 20 KB', [`GET / HTTP/1.1\r\n${host}X: ${'x'.repeat(20_000)}\r\n\r\n`], 'HTTP/1.1 431 Request Header Fields Too Large', 'headers-too-large'],
    ['5000 headers', [`GET / HTTP/1.1\r\n${host}${'a: 1\r\n'.repeat(5000)}\r\n`], 'HTTP/1.1 431 Request Header Fields Too Large', 'headers-too-large'],
    ['no HTTP', ['SSH-2.0-OpenSSH_9.2\r\n'], 'HTTP/1.1 400 Bad Request', 'bad-request'],
    ['the beginning of TLS', ['\u0016\u0003\u0001\u0000\u00a5\u0001\u0000\u0000'], 'HTTP/1.1 400 Bad Request', 'bad-request'],
    ['two lengths', [`POST /api/v1/sites HTTP/1.1\r\n${host}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`], 'HTTP/1.1 400 Bad Request', 'bad-request'],
    [
      'a length and chunks',
      [`POST /api/v1/sites HTTP/1.1\r\n${host}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
      'HTTP/1.1 400 Bad Request',
      'bad-request',
    ],
    ['a line feed within a header', [`GET / HTTP/1.1\r\n${host}X: a\rb\r\n\r\n`], 'HTTP/1.1 400 Bad Request', 'bad-request'],
  ] as [string, string[], string, string][])('%s', async (_name, pieces, line, code) => {
    expect(problemIn(await raw(pieces))).toMatchObject({ line, code, status: Number(line.split(' ')[1]) });
  });

  test('headers that come a byte at a time are answered with 408, and cut off', async () => {
    const slow = [...`GET / HTTP/1.1\r\nHost: x\r\n`, ...Array.from({ length: 200 }, () => 'X: y\r\n')];
    expect(problemIn(await raw(slow, 20))).toMatchObject({ code: 'request-timeout', status: 408 });
  });

  test('a body that comes a byte at a time is cut off', async () => {
    const head = `POST /api/v1/sites HTTP/1.1\r\n${host}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n`;
    const answer = await raw([head, ...Array.from({ length: 300 }, () => ' ')], 20);
    expect(answer === '' || answer.startsWith('HTTP/1.1 4')).toBe(true);
    expect((await corral.request('/healthz')).status).toBe(200);
  });

  test('many who say nothing keep nobody else out', async () => {
    const silent = Array.from({ length: 300 }, () => raw(['GET / HTTP/1.1\r\n']));
    expect((await corral.request('/api/v1/sites')).status).toBe(200);
    const answers = await Promise.all(silent);
    expect(answers.every((answer) => answer === '' || answer.startsWith('HTTP/1.1 408'))).toBe(true);
  });
});

describe('headers', () => {
  const html = { accept: 'text/html' };
  const always = { 'x-content-type-options': 'nosniff' };
  const usual = { ...always, 'referrer-policy': 'same-origin', 'cross-origin-resource-policy': 'same-origin' };
  test.each([
    ['a page', '/api/v1/vms', html, 200],
    ['the first page', '/', html, 200],
    ['the login page', '/login', html, 200],
    ['a page that says what is wrong', '/api/v1/vms/999', html, 404],
    ['data', '/api/v1/vms', {}, 200],
    ['a problem', '/api/v1/vms/999', {}, 404],
    ['what is nowhere', '/nowhere', {}, 404],
    ['the style sheet', '/style.css', {}, 200],
    ['/healthz', '/healthz', {}, 200],
    ['/openapi.json', '/openapi.json', {}, 200],
    ['all documents', '/documents', {}, 200],
  ] as [string, string, Record<string, string>, number][])('of %s', async (_name, path, headers, status) => {
    const answer = await corral.request(path, { headers });
    await answer.body?.cancel();
    expect(answer.status).toBe(status);
    const seen = Object.fromEntries(answer.headers);
    expect(seen).toMatchObject(usual);
    expect(seen['cache-control']).toBeDefined();
    expect(seen['server'] ?? seen['x-powered-by']).toBeUndefined();
    const csp = seen['content-security-policy']!;
    expect(csp).toContain("default-src 'none'");
    expect(csp).toContain("frame-ancestors 'none'");
    expect(csp).not.toMatch(/unsafe|script-src|\*/);
    if (seen['content-type']?.includes('html')) {
      expect(seen['cross-origin-opener-policy']).toBe('same-origin');
      expect(seen['permissions-policy']).toContain('camera=()');
    }
  });

  test.each([
    ['a document', '/enc/mon0.example.com', 200],
    ['no document', '/enc/nobody.example.com', 404],
    ['a key of a document', '/hiera/mon0.example.com/corral::nothing', 404],
    ['news', '/documents/mon0.example.com/events', 200],
    ['the watch', '/watch', 200],
  ])('of %s on the bare path', async (_name, path, status) => {
    const answer = await corral.request(path, { headers: { accept: '*/*' } });
    await answer.body?.cancel();
    expect([answer.status, answer.headers.get('x-content-type-options')]).toEqual([status, 'nosniff']);
    expect(answer.headers.get('cache-control')).toMatch(/no-cache|no-store/);
  });

  test('pages hold no script, no style of their own and nothing that a policy would have to allow', async () => {
    for (const path of ['/', '/login', '/docs', '/changes', '/api/v1/vms', '/api/v1/nodes', '/api/v1/vms/new', '/enc/mon0.example.com', '/api/v1/vms/999']) {
      const text = await (await corral.request(path, { headers: html })).text();
      expect(text).not.toMatch(/<script|<style|\sstyle=|\son[a-z]+=|javascript:|<iframe|<object|<embed/i);
      expect(text).not.toMatch(/(?:src|href)="(?:https?:)?\/\//i);
    }
  });
});
