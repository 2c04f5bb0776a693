import { readFileSync } from 'node:fs';
import { request as plain, type IncomingMessage } from 'node:http';
import { request as secure } from 'node:https';
import { setTimeout } from 'node:timers/promises';
import type { Command } from 'commander';
import { problemError, type ProblemBody } from './errors.ts';
import { CliError } from './exit.ts';

/** Milliseconds until an API that says nothing is given up. */
const TIMEOUT = 60_000;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export interface Ask {
  readonly accept?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Problems go to stderr as JSON. */
  readonly json?: boolean | undefined;
  /** More lines for the problem of this answer. */
  readonly hints?: ((problem: ProblemBody) => readonly string[]) | undefined;
  /** The problem with places in what the person wrote, not in the request that was made of it. */
  readonly rewrite?: ((problem: ProblemBody) => ProblemBody) | undefined;
  /** Of an answer that goes on, where it is not GET. */
  readonly method?: string;
}

/** The API, as a command reaches it. */
export interface Client {
  /** @throws CliError for what the API refuses, and when it cannot be reached */
  ask(method: string, path: string, ask?: Ask): Promise<Answer>;
  /** An answer that goes on: it is read as it comes. @throws CliError as `ask` */
  open(path: string, ask?: Ask): Promise<IncomingMessage>;
}

export interface ClientOptions {
  readonly url?: string;
  readonly tokenFile?: string;
}

/** Adds the options of every command that talks to the API. */
export function clientOptions(command: Command): Command {
  return command
    .option('--url <url>', 'the API (else CORRAL_URL, else http://127.0.0.1:8080)')
    .option('--token-file <file>', 'a file with the token (else CORRAL_TOKEN, else CORRAL_TOKEN_FILE)');
}

/** The client that options and environment name. */
export function createClient(options: ClientOptions, env: NodeJS.ProcessEnv = process.env): Client {
  const text = options.url ?? (env['CORRAL_URL'] || 'http://127.0.0.1:8080');
  const base = URL.parse(text);
  if (!base || !/^https?:$/.test(base.protocol)) throw new CliError('usage', `'${text}' is not the URL of an API, e.g. http://127.0.0.1:8080`);
  const token = readToken(options, env);
  return {
    ask: async (method, path, ask = {}) => {
      for (let tries = 1; ; tries++) {
        const answer = await read(await send(base, token, method, path, ask), base);
        if (answer.status >= 200 && answer.status < 300) return answer;
        const wait = tries < TRIES ? waitOf(answer) : undefined;
        if (wait === undefined) throw refusal(answer, base, token, ask);
        await setTimeout(wait * 1000);
      }
    },
    open: async (path, ask = {}) => {
      const response = await send(base, token, ask.method ?? 'GET', path, ask);
      if (response.statusCode === 200) return response;
      throw refusal(await read(response, base), base, token, ask);
    },
  };
}

function readToken({ tokenFile }: ClientOptions, env: NodeJS.ProcessEnv): string | undefined {
  const file = tokenFile ?? (env['CORRAL_TOKEN'] ? undefined : env['CORRAL_TOKEN_FILE'] || undefined);
  if (file === undefined) return env['CORRAL_TOKEN'] || undefined;
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new CliError('usage', `the token cannot be read: ${error instanceof Error ? error.message : String(error)}`, [], error);
  }
}

/** Codes of OpenSSL for a certificate whose authority is not known. */
const UNTRUSTED = /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_(GET_ISSUER_CERT(_LOCALLY)?|VERIFY_LEAF_SIGNATURE))$/;

function unreachable(base: URL, error: Error): CliError {
  if (UNTRUSTED.test(String((error as NodeJS.ErrnoException).code)))
    return new CliError(
      'unreachable',
      `the certificate of ${base.origin} is from an authority that is not known here`,
      ["  NODE_EXTRA_CA_CERTS=ca.pem, in the environment, names the authority's certificate"],
      error,
    );
  return new CliError(
    'unreachable',
    `the API at ${base.origin} cannot be reached: ${reason(error)}`,
    ['  CORRAL_URL or --url says where it is; corral serve starts one'],
    error,
  );
}

/** Times that a request is sent which comes too soon after many others. */
const TRIES = 30;

/** Seconds after which a request may be sent again that was one too many of ours: it was not looked at. */
function waitOf({ status, headers }: Answer): number | undefined {
  const wait = Number(headers['retry-after']);
  return status === 429 && String(headers['ratelimit']).startsWith('"identity";') && wait > 0 && wait <= 60 ? wait : undefined;
}

/** Sends a request. @returns the answer when its head is there */
function send(
  base: URL,
  token: string | undefined,
  method: string,
  path: string,
  { accept = 'application/json', body, headers }: Ask,
): Promise<IncomingMessage> {
  const url = new URL(base.pathname.replace(/\/$/, '') + path, base);
  const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
    throw new CliError('usage', 'the token holds characters that no token has; copy the whole of it, from corral_ on');
  return new Promise<IncomingMessage>((resolve, reject) => {
    const request = (url.protocol === 'https:' ? secure : plain)(
      url,
      {
        method,
        timeout: TIMEOUT,
        headers: {
          accept,
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(bytes === undefined ? {} : { 'content-type': 'application/json', 'content-length': bytes.length }),
          ...headers,
        },
      },
      resolve,
    );
    request.once('timeout', () => request.destroy(new Error(`no answer within ${TIMEOUT / 1000} s`)));
    request.on('error', (error) => reject(unreachable(base, error)));
    request.end(bytes);
  });
}

/** Reads an answer to its end. */
async function read(response: IncomingMessage, base: URL): Promise<Answer> {
  const parts: Buffer[] = [];
  try {
    for await (const chunk of response) parts.push(chunk as Buffer);
  } catch (error) {
    throw unreachable(base, error instanceof Error ? error : new Error('its answer was cut off'));
  }
  if (!response.complete) throw unreachable(base, new Error('its answer was cut off'));
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) };
}

function reason(error: Error): string {
  const first = error instanceof AggregateError ? (error.errors[0] as Error | undefined) : undefined;
  return first?.message ?? (error.message || String((error as NodeJS.ErrnoException).code ?? 'no answer'));
}

/** A problem as the command tells it. */
export function refused(problem: ProblemBody, { json, hints, rewrite }: Pick<Ask, 'json' | 'hints' | 'rewrite'>, more: readonly string[] = []): CliError {
  const told = rewrite?.(problem) ?? problem;
  return problemError(told, { ...(json ? { json } : {}), hints: [...more, ...(hints?.(told) ?? [])] });
}

function refusal({ status, headers, body }: Answer, base: URL, token: string | undefined, { json, hints, rewrite }: Ask): CliError {
  if (status >= 300 && status < 400)
    return new CliError('refused', `the API at ${base.origin} sends on to ${headers.location ?? 'another place'}; set CORRAL_URL to that`);
  let problem: ProblemBody | undefined;
  if (/json/.test(headers['content-type'] ?? '')) {
    try {
      problem = JSON.parse(body.toString()) as ProblemBody;
    } catch {
      /* Not ours. */
    }
  }
  if (problem?.code === undefined) return problemError({ status, title: `${base.origin} answered ${status}, and not as Corral does; is CORRAL_URL right?` });
  const missing = status === 401 && token === undefined ? ['  set CORRAL_TOKEN, or name a file with --token-file'] : [];
  return refused(problem, { json, hints, rewrite }, missing);
}
