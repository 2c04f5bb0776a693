import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { decode, encode } from '@msgpack/msgpack';
import { MAX_DEPTH, measureJson, measureMsgpack } from './measure.ts';
import { Problem } from './problem.ts';

/** Bodies larger than this many bytes are refused with 413 before they are read to the end. */
export const MAX_BODY = 1_048_576;
/** Forms of more fields than this are refused. */
export const MAX_FIELDS = 10_000;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Reads a request body to its end, counting bytes, so that a body without a length cannot fill memory.
 * With `gzip` a packed body is unpacked; the limit holds for both forms.
 * @throws Problem too-large
 */
export async function readBody(request: Request, limit: number = MAX_BODY, { gzip = false } = {}): Promise<Uint8Array> {
  const tooLarge = (): Problem => new Problem('too-large', `The body may have at most ${limit} bytes; send less at a time`, { extra: { limit } });
  const encoding = request.headers.get('content-encoding');
  const packed = gzip && /^(?:x-)?gzip$/i.test(encoding ?? '');
  if (encoding !== null && encoding.toLowerCase() !== 'identity' && !packed)
    throw new Problem('unsupported-media-type', `Bodies with Content-Encoding ${encoding.slice(0, 50)} are not read; send it plain`);
  const length = Number(request.headers.get('content-length') ?? '0');
  if (length > limit) throw tooLarge();
  if (!request.body) return new Uint8Array();
  const parts: Uint8Array[] = [];
  let size = 0;
  const reader = request.body.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch((cause: unknown) => {
      throw new Problem('bad-body', 'The body ended before it was complete', { cause });
    });
    if (done) break;
    size += value.byteLength;
    if (size > limit) {
      void reader.cancel().catch(() => undefined);
      throw tooLarge();
    }
    parts.push(value);
  }
  return packed ? unpack(Buffer.concat(parts), limit, tooLarge) : Buffer.concat(parts);
}

/** Unpacks no more than `limit` bytes: a small body may hold gigabytes. */
async function unpack(bytes: Buffer, limit: number, tooLarge: () => Problem): Promise<Uint8Array> {
  try {
    return await promisify(gunzip)(bytes, { maxOutputLength: limit });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge();
    throw new Problem('bad-body', `The gzip body cannot be unpacked: ${messageOf(cause)}`, { cause });
  }
}

/**
 * Decodes a body by its media type into plain data.
 * @throws Problem bad-body with the place, unsupported-media-type
 */
export function decodeBody(bytes: Uint8Array, contentType: string | null): unknown {
  const type = (contentType ?? 'application/json').split(';', 1)[0]!.trim().toLowerCase();
  const value = decodeAs(bytes, type);
  checkData(value, '', 0);
  return value;
}

function decodeAs(bytes: Uint8Array, type: string): unknown {
  switch (type) {
    case 'application/json':
    case 'application/merge-patch+json':
      measureJson(bytes);
      return decodeJson(decodeText(bytes));
    case 'application/msgpack':
    case 'application/x-msgpack':
    case 'application/vnd.msgpack':
      measureMsgpack(bytes);
      try {
        return decode(bytes, { maxStrLength: MAX_BODY, maxArrayLength: 100_000, maxMapLength: 100_000 });
      } catch (cause) {
        throw new Problem('bad-body', `The MessagePack body cannot be decoded: ${messageOf(cause)}`, { cause });
      }
    case 'application/x-www-form-urlencoded':
      return decodeForm(decodeText(bytes));
    default:
      throw new Problem('unsupported-media-type', `'${type}' is not read; send application/json, application/msgpack or application/x-www-form-urlencoded`);
  }
}

function decodeText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new Problem('bad-body', 'The body is not valid UTF-8', { cause });
  }
}

function decodeJson(text: string): unknown {
  if (text.trim() === '') throw new Problem('bad-body', 'The body is empty; a JSON object is needed');
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Problem('bad-body', `The JSON body cannot be parsed: ${messageOf(cause)}`, { cause });
  }
}

/** `a.b=1` becomes `{a: {b: '1'}}`; a name given more than once becomes a list. */
function decodeForm(text: string): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  let fields = 1;
  /* Before it is parsed: names without values take URLSearchParams seconds. */
  for (let at = text.indexOf('&'); at !== -1; at = text.indexOf('&', at + 1))
    if (++fields > MAX_FIELDS) throw new Problem('bad-body', `The form has more than ${MAX_FIELDS} fields`);
  for (const [name, value] of new URLSearchParams(text)) {
    const path = name.split('.');
    if (path.length > 8) throw new Problem('bad-body', `The form field ${name.slice(0, 80)} is nested too deep`);
    let at = out;
    for (const part of path.slice(0, -1)) {
      const next = Object.hasOwn(at, part) ? at[part] : undefined;
      at = isRecord(next) ? next : ((define(at, part, {}) as Record<string, unknown>) ?? {});
    }
    const last = path.at(-1)!;
    const before = Object.hasOwn(at, last) ? at[last] : undefined;
    if (Array.isArray(before)) before.push(value);
    else define(at, last, before === undefined ? value : [before, value]);
  }
  return out;
}

/** Sets an own property, also for names such as `__proto__`. */
function define(target: Record<string, unknown>, name: string, value: unknown): unknown {
  Object.defineProperty(target, name, { value, enumerable: true, writable: true, configurable: true });
  return value;
}

/** Only plain JSON data passes: no binary, no dates, no cycles, no NUL, not too deep. */
function checkData(value: unknown, pointer: string, depth: number): void {
  if (depth > MAX_DEPTH) throw at(pointer.slice(0, 200), `is nested deeper than ${MAX_DEPTH} levels`);
  if (typeof value === 'string') {
    if (value.includes('\0')) throw at(pointer, 'holds a NUL character');
    if (!value.isWellFormed()) throw at(pointer, 'is not well-formed Unicode');
  } else if (typeof value === 'bigint') {
    throw at(pointer, 'is an integer beyond 2^53');
  } else if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) checkData(value[i], `${pointer}/${i}`, depth + 1);
  } else if (isRecord(value)) {
    for (const [key, item] of Object.entries(value)) {
      if (key.includes('\0')) throw at(pointer, 'has a name with a NUL character');
      checkData(item, `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`, depth + 1);
    }
  } else if (value !== null && typeof value === 'object') {
    throw at(pointer, 'is of a kind that JSON does not have');
  }
}

function at(pointer: string, message: string): Problem {
  return new Problem('bad-body', `${pointer || '/'} ${message}`, { faults: [{ pointer, message }] });
}

/** A plain object: what JSON calls an object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const proto: unknown = Object.getPrototypeOf(value);
  return proto === Object.prototype || proto === null;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message.slice(0, 200) : 'unknown reason';
}

/** MessagePack bytes of plain data. */
export function toMsgpack(value: unknown): Uint8Array<ArrayBuffer> {
  return new Uint8Array(encode(value, { ignoreUndefined: true }));
}
