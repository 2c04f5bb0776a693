/** Of many inputs that are written together, the one that is refused. */
export class RefusedAt extends Error {
  readonly index: number;
  constructor(index: number, cause: unknown) {
    super(`number ${index} of many is refused`, { cause });
    this.index = index;
  }
}

/** Does something for each, and says of which it was that it was refused. @throws RefusedAt */
export function mapEach<T, R>(list: readonly T[], work: (one: T, index: number) => R): R[] {
  return list.map((one, i) => {
    try {
      return work(one, i);
    } catch (error) {
      throw new RefusedAt(i, error);
    }
  });
}
