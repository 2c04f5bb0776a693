import { createHmac } from 'node:crypto';
import { request as plain, type IncomingMessage } from 'node:http';
import { request as secure } from 'node:https';
import { checkedLookup, checkLiteral, type Allowed } from './address.ts';

/** Milliseconds that a receiver has, from the name's resolution to its answer's head. */
export const TIMEOUT = 10_000;
/** Bytes of an answer that are read, and thrown away, before the connection is closed. */
const ANSWER = 65_536;

/** One request to a receiver. */
export interface Message {
  readonly url: string;
  /** The same in each attempt. */
  readonly id: string;
  readonly body: string;
  readonly secret: string;
}

/** What came of an attempt. */
export interface Outcome {
  readonly ok: boolean;
  /** Null: there was no answer. */
  readonly status: number | null;
  readonly error: string | null;
  readonly ms: number;
  /** Seconds that the receiver asked to be left alone. */
  readonly retryAfter?: number;
}

/** The headers of a message by Standard Webhooks: HMAC-SHA256 of id, time and body with the secret's bytes. */
export function signed({ id, body, secret }: Omit<Message, 'url'>, seconds: number): Record<string, string> {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': String(seconds), 'webhook-signature': `v1,${signature}` };
}

/** Sends one message. Never throws; certificates are checked, redirects are not followed, no proxy is used. */
export async function send(message: Message, allowed: Allowed, timeout = TIMEOUT): Promise<Outcome> {
  const begun = performance.now();
  const outcome = (ok: boolean, status: number | null, error: string | null, retryAfter?: number): Outcome => ({
    ok,
    status,
    error,
    ms: Math.round(performance.now() - begun),
    ...(retryAfter === undefined ? {} : { retryAfter }),
  });
  try {
    const url = new URL(message.url);
    checkLiteral(url, allowed);
    const { statusCode = 0, headers } = await post(url, message, allowed, timeout);
    if (statusCode >= 200 && statusCode < 300) return outcome(true, statusCode, null);
    const after = /^\d{1,6}$/.exec(headers['retry-after'] ?? '')?.[0];
    const why = statusCode >= 300 && statusCode < 400 ? `it answered ${statusCode}, and redirects are not followed` : `it answered ${statusCode}`;
    return outcome(false, statusCode, why, after === undefined ? undefined : Number(after));
  } catch (error) {
    return outcome(false, null, reason(error, timeout));
  }
}

function post(url: URL, message: Message, allowed: Allowed, timeout: number): Promise<IncomingMessage> {
  const bytes = Buffer.from(message.body);
  return new Promise<IncomingMessage>((resolve, reject) => {
    const request = (url.protocol === 'https:' ? secure : plain)(
      url,
      {
        method: 'POST',
        agent: false,
        lookup: checkedLookup(allowed),
        signal: AbortSignal.timeout(timeout),
        headers: {
          ...signed(message, Math.floor(Date.now() / 1000)),
          'content-type': 'application/json',
          'content-length': bytes.length,
          'user-agent': 'Corral',
          connection: 'close',
        },
      },
      (response) => {
        let read = 0;
        response.on('error', () => undefined);
        response.on('data', (chunk: Buffer) => {
          read += chunk.length;
          if (read > ANSWER) response.destroy();
        });
        resolve(response);
      },
    );
    /* Stays: an error after the answer is no news. */
    request.on('error', reject);
    request.end(bytes);
  });
}

function reason(error: unknown, timeout: number): string {
  if (!(error instanceof Error)) return 'unknown';
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return `no answer within ${timeout / 1000} s`;
  const first = error instanceof AggregateError ? (error.errors[0] as Error | undefined) : undefined;
  const { message } = first ?? error;
  return (message || String((error as NodeJS.ErrnoException).code ?? 'no answer')).slice(0, 500);
}
