import { p } from '@mikro-orm/core';

/** What every table but the reference lists has: identity, optimistic lock, times. */
export const base = {
  id: p.bigint('number').primary().generated('by default as identity'),
  version: p.integer().version(),
  created_at: p.datetime(3).defaultRaw('now()'),
  updated_at: p
    .datetime(3)
    .defaultRaw('now()')
    .onUpdate(() => new Date()),
} as const;

/** `x in ('a', 'b')` for a CHECK constraint. */
export function oneOf(column: string, values: readonly string[]): string {
  return `${column} in (${values.map((value) => `'${value.replaceAll("'", "''")}'`).join(', ')})`;
}
