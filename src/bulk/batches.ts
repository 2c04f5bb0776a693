import type { Model } from '../db/catalog.ts';
import type { Operation } from './operations.ts';

/**
 * Operations that can be done together: of one verb and noun, one after the other, and none of them needs another.
 * @param many whether things of a noun can be made together
 */
export function batchesOf(operations: readonly Operation[], many: (model: Model) => boolean, most: number): Operation[][] {
  const out: Operation[][] = [];
  let names = new Set<string>();
  for (const one of operations) {
    const last = out.at(-1);
    const together = one.op === 'put' || (one.op === 'create' && many(one.model));
    const alike = last && together && last[0]!.op === one.op && last[0]!.model === one.model && last.length < most;
    if (alike && ![...one.needs].some((name) => names.has(name))) last.push(one);
    else {
      out.push([one]);
      names = new Set();
    }
    if (one.ref !== undefined) names.add(one.ref);
  }
  return out;
}
