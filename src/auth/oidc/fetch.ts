import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import tls from 'node:tls';
import type { CustomFetch } from 'openid-client';
import type { OidcSettings } from '../../kernel/config.oidc.ts';

const LARGEST = 1_048_576;

/** Requests to the provider: with its own authorities, no redirects, and answers of a size that is sane. */
export function providerFetch(settings: OidcSettings): CustomFetch {
  return (url, { method, headers, body, signal }) =>
    new Promise((resolve, reject) => {
      const failed = (error: unknown): void => reject(signal?.aborted ? signal.reason : error);
      const secure = url.startsWith('https:');
      const request = (secure ? https : http).request(
        url,
        { method, headers, agent: false, ...(signal ? { signal } : {}), ...(secure ? { ca: authorities(settings.ca_file), rejectUnauthorized: true } : {}) },
        (response) => {
          const chunks: Buffer[] = [];
          let size = 0;
          response.on('data', (chunk: Buffer) => {
            size += chunk.length;
            if (size > LARGEST) request.destroy(new Error('the answer is too large'));
            chunks.push(chunk);
          });
          response.on('error', failed);
          response.on('end', () => {
            const status = response.statusCode ?? 500;
            const text = status === 204 || status === 304 ? null : Buffer.concat(chunks);
            resolve(new Response(text, { status, headers: plain(response.headers) }));
          });
        },
      );
      request.on('error', failed);
      if (body === undefined || body === null) request.end();
      else if (body instanceof URLSearchParams || typeof body === 'string') request.end(String(body));
      else reject(new Error('a body of this kind is not sent'));
    });
}

function authorities(file: string | undefined): string[] {
  return file === undefined ? [...tls.getCACertificates('default'), ...tls.getCACertificates('system')] : [readFileSync(file, 'utf8')];
}

function plain(headers: http.IncomingHttpHeaders): [string, string][] {
  return Object.entries(headers).flatMap(([name, value]) => [value ?? []].flat().map((one): [string, string] => [name, one]));
}
