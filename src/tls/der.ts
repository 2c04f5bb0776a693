/** One value of DER, with its place in the bytes. */
export interface Der {
  readonly tag: number;
  /** All of it: tag, length and contents. */
  readonly whole: Buffer;
  readonly contents: Buffer;
}

export const tags = { boolean: 1, integer: 2, bits: 3, octets: 4, oid: 6, utcTime: 0x17, time: 0x18, sequence: 0x30, context0: 0xa0 } as const;

const broken = (): Error => new Error('is not DER');

/** Reads one value at an offset. @throws Error */
export function readDer(bytes: Buffer, offset = 0): Der {
  const tag = bytes[offset];
  let length = bytes[offset + 1];
  if (tag === undefined || length === undefined || (tag & 0x1f) === 0x1f) throw broken();
  let start = offset + 2;
  if (length >= 0x80) {
    const more = length & 0x7f;
    if (more === 0 || more > 4 || start + more > bytes.length) throw broken();
    length = bytes.readUIntBE(start, more);
    start += more;
  }
  if (start + length > bytes.length) throw broken();
  return { tag, whole: bytes.subarray(offset, start + length), contents: bytes.subarray(start, start + length) };
}

/** The values that a constructed one holds. @throws Error */
export function children({ contents }: Der): Der[] {
  const out: Der[] = [];
  for (let at = 0; at < contents.length;) {
    const one = readDer(contents, at);
    out.push(one);
    at += one.whole.length;
  }
  return out;
}

/** The values of one that must have this tag. @throws Error */
export function childrenOf(value: Der | undefined, tag: number = tags.sequence): Der[] {
  if (value?.tag !== tag) throw broken();
  return children(value);
}

/** An object identifier with dots. */
export function oidOf(value: Der | undefined): string {
  if (value?.tag !== tags.oid || value.contents.length === 0) throw broken();
  const parts: number[] = [];
  let part = 0;
  for (const byte of value.contents) {
    part = part * 128 + (byte & 0x7f);
    if (byte < 0x80) {
      parts.push(part);
      part = 0;
    }
  }
  const first = parts[0]!;
  const top = Math.min(2, Math.floor(first / 40));
  return [top, first - top * 40, ...parts.slice(1)].join('.');
}

/** A time in milliseconds. @throws Error */
export function timeOf({ tag, contents }: Der): number {
  const text = contents.toString('latin1');
  const match = /^(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text);
  if (!match || (tag === tags.utcTime) !== (match[1]!.length === 2) || (tag !== tags.utcTime && tag !== tags.time)) throw broken();
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [number, number, number, number, number, number];
  return Date.UTC(tag === tags.utcTime ? year + (year < 50 ? 2000 : 1900) : year, month - 1, day, hour, minute, second);
}

/** The blocks of one kind in PEM, as DER. */
export function pemBlocks(pem: string, label: string): Buffer[] {
  return [...pem.matchAll(new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----`, 'g'))].map((match) =>
    Buffer.from(match[1]!, 'base64'),
  );
}
