/** The refusal of one of many inputs. */
export interface Refusal {
  /** Which of them, from 0. */
  readonly index: number;
  readonly cause: unknown;
}

/** Refusals that are told at once. */
const ENOUGH = 50;

/** Of many inputs that are written together, those that are refused; there may be more. */
export class RefusedAt extends Error {
  readonly refusals: readonly Refusal[];

  /** @param refusals at least one, in order */
  constructor(refusals: readonly Refusal[]) {
    super(`${refusals.length} of many are refused`, { cause: refusals[0]!.cause });
    this.refusals = refusals.slice(0, ENOUGH);
  }

  /** The first. */
  get index(): number {
    return this.refusals[0]!.index;
  }
}

/** Does something for each, and says which of them were refused. @throws RefusedAt */
export function mapEach<T, R>(list: readonly T[], work: (one: T, index: number) => R): R[] {
  const out: R[] = [];
  const refusals: Refusal[] = [];
  for (const [index, one] of list.entries()) {
    if (refusals.length >= ENOUGH) break;
    try {
      out.push(work(one, index));
    } catch (cause) {
      refusals.push({ index, cause });
    }
  }
  if (refusals.length > 0) throw new RefusedAt(refusals);
  return out;
}
