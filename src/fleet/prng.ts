/** Numbers that look random and are the same for the same seed, on every machine: mulberry32. */
export interface Prng {
  /** 0 up to and without `n`. */
  int(n: number): number;
  chance(probability: number): boolean;
  pick<T>(list: readonly T[]): T;
  /** A version 4 UUID. */
  uuid(): string;
  bytes(count: number): Buffer;
}

export function prng(seed: number): Prng {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  const bytes = (count: number): Buffer => {
    const out = Buffer.alloc(Math.ceil(count / 4) * 4);
    for (let i = 0; i < out.length; i += 4) out.writeUInt32LE(next(), i);
    return out.subarray(0, count);
  };
  const int = (n: number): number => Math.floor((next() / 4_294_967_296) * n);
  return {
    int,
    chance: (probability) => next() / 4_294_967_296 < probability,
    pick: (list) => list[int(list.length)]!,
    uuid: () => {
      const raw = bytes(16);
      raw[6] = (raw[6]! & 0x0f) | 0x40;
      raw[8] = (raw[8]! & 0x3f) | 0x80;
      return raw.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
    },
    bytes,
  };
}
