import { Problem } from './problem.ts';

/*
 * What a body is before it is decoded: how deep it is nested and how many values it holds. Decoders make room for what
 * a body says that it has, so that a few bytes could ask for gigabytes.
 */

/** Bodies nested deeper than this are refused. */
export const MAX_DEPTH = 32;
/** Bodies with more values than this, counting keys, lists and objects, are refused. */
export const MAX_VALUES = 2_000_000;

const tooMany = (): Problem => new Problem('bad-body', `The body holds more than ${MAX_VALUES} values; send less at a time`);

/** Counts the values of JSON by its commas, brackets and braces, those in texts left out. @throws Problem bad-body */
export function measureJson(bytes: Uint8Array): void {
  /* Each value takes two bytes at least: itself, and what parts it from the next. */
  if (bytes.length < 2 * MAX_VALUES) return;
  let values = 1;
  for (let i = 0; i < bytes.length; i++) {
    switch (bytes[i]) {
      case 0x22:
        for (i++; i < bytes.length && bytes[i] !== 0x22; i++) if (bytes[i] === 0x5c) i++;
        break;
      case 0x2c:
      case 0x3a:
      case 0x5b:
      case 0x7b:
        if (++values > MAX_VALUES) throw tooMany();
    }
  }
}

const broken = (at: number, what: string): Problem => new Problem('bad-body', `The MessagePack body cannot be decoded: ${what} at byte ${at}`);

/** Bytes of the length that stands behind each of 0xc4 to 0xdf, and of what stands behind that besides. */
const SIZES: Readonly<Record<number, readonly [length: number, more: number]>> = {
  0xc4: [1, 0],
  0xc5: [2, 0],
  0xc6: [4, 0],
  0xc7: [1, 1],
  0xc8: [2, 1],
  0xc9: [4, 1],
  0xd9: [1, 0],
  0xda: [2, 0],
  0xdb: [4, 0],
};
/** Those of a fixed size: floats, integers, extensions. */
const FIXED: Readonly<Record<number, number>> = {
  0xc0: 0,
  0xc2: 0,
  0xc3: 0,
  0xca: 4,
  0xcb: 8,
  0xcc: 1,
  0xcd: 2,
  0xce: 4,
  0xcf: 8,
  0xd0: 1,
  0xd1: 2,
  0xd2: 4,
  0xd3: 8,
  0xd4: 2,
  0xd5: 3,
  0xd6: 5,
  0xd7: 9,
  0xd8: 17,
};

/** Walks through MessagePack without making anything: each length must be there. @throws Problem bad-body */
export function measureMsgpack(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length;
  /** How many values are missing in each list and object around this place. */
  const open: number[] = [];
  let at = 0;
  let values = 0;
  const length = (size: number): number => {
    if (at + size > end) throw broken(at, 'it ends within a length');
    const value = size === 1 ? view.getUint8(at) : size === 2 ? view.getUint16(at) : view.getUint32(at);
    at += size;
    return value;
  };
  do {
    if (at >= end) throw broken(at, 'it ends too early');
    if (++values > MAX_VALUES) throw tooMany();
    const head = bytes[at++]!;
    let inside = 0;
    let list = false;
    if (head >= 0x80 && head <= 0x9f) [list, inside] = [true, head <= 0x8f ? 2 * (head & 15) : head & 15];
    else if (head >= 0xdc) {
      if (head <= 0xdf) [list, inside] = [true, length(head & 1 ? 4 : 2) * (head >= 0xde ? 2 : 1)];
    } else if (head >= 0xa0 && head <= 0xbf) at += head & 31;
    else if (head > 0x7f) {
      const [size, more] = SIZES[head] ?? [0, FIXED[head]];
      if (more === undefined) throw broken(at - 1, 'there is no such type');
      /* First the length, which moves on by itself. */
      const said = size > 0 ? length(size) : 0;
      at += said + more;
    }
    if (at > end || inside > end - at) throw broken(at, 'it says that it is longer than it is');
    if (list && inside > 0) {
      if (open.push(inside) > MAX_DEPTH) throw new Problem('bad-body', `The body is nested deeper than ${MAX_DEPTH} levels`);
      continue;
    }
    /* This value is done, and with it those whose last one it is. */
    while (open.length > 0 && --open[open.length - 1]! === 0) open.pop();
  } while (open.length > 0);
}
