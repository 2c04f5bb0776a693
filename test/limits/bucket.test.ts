import { expect, test } from 'vitest';
import { MemoryBuckets, take, WINDOW } from '../../src/limits/bucket.ts';

test('a bucket holds what a minute gives, and is filled evenly', () => {
  let now = 1000;
  const buckets = new MemoryBuckets(10, () => now);
  const seen = Array.from({ length: 61 }, () => buckets.take('a', 60, 1));
  expect(seen.filter(({ allowed }) => allowed)).toHaveLength(60);
  expect(seen.slice(0, 2)).toEqual([
    { allowed: true, limit: 60, remaining: 59, reset: 1 },
    { allowed: true, limit: 60, remaining: 58, reset: 2 },
  ]);
  expect(seen[59]).toMatchObject({ remaining: 0, reset: 1 });
  expect(seen[60]).toEqual({ allowed: false, limit: 60, remaining: 0, reset: 1 });
  now += 1;
  expect([buckets.take('a', 60, 1).allowed, buckets.take('a', 60, 1).allowed]).toEqual([true, false]);
  expect(buckets.take('a', 60, 10)).toMatchObject({ allowed: false, reset: 10 });
  now += 10;
  expect(buckets.take('a', 60, 10)).toMatchObject({ allowed: true, remaining: 0 });
  now += 3600;
  expect(buckets.take('a', 60, 1)).toMatchObject({ remaining: 59 });
});

test('whatever the limit and the times, no window of a minute sees more than twice the limit, and none is refused that may come', () => {
  let random = 7;
  const next = (): number => (random = (random * 48_271) % 2_147_483_647) / 2_147_483_647;
  for (const limit of [1, 3, 7, 60, 12_000, 1_000_000]) {
    let now = 1.7e9;
    let full = 0;
    let allowed = 0;
    const begun = now;
    for (let i = 0; i < 5000; i++) {
      now += (next() * WINDOW) / limit / 2;
      const one = take(full, now, limit, 1);
      if (one.taken.allowed) allowed++;
      else expect(take(full, now + one.taken.reset, limit, 1).taken.allowed).toBe(true);
      full = one.full;
      expect(allowed).toBeLessThanOrEqual(limit + ((now - begun) * limit) / WINDOW + 1);
    }
  }
});

test('the memory that buckets take has an end, and full ones go first', () => {
  let now = 0;
  const buckets = new MemoryBuckets(100, () => now);
  buckets.take('attacker', 10, 10);
  now = 1;
  for (let i = 0; i < 60; i++) buckets.take(`gone-${i}`, 60_000, 1);
  now = 2;
  for (let i = 0; i < 60; i++) buckets.take(`new-${i}`, 10, 1);
  expect(buckets.take('attacker', 10, 10).allowed).toBe(false);
});
