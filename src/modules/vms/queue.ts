interface Entry<T> {
  readonly one: T;
  readonly rank: number;
}

/**
 * Things by rank, then id: a binary heap. Ranks only grow, so an entry whose thing has another rank by now is put
 * back with that when it comes up.
 */
export class Queue<T extends { readonly id: number }, D> {
  readonly #rankOf: (one: T) => number;
  readonly #fits: (host: T, demand: D) => boolean;
  readonly #heap: Entry<T>[];
  readonly #least: D;

  constructor(hosts: readonly T[], rankOf: (one: T) => number, fits: (host: T, demand: D) => boolean, least: D) {
    this.#least = least;
    this.#rankOf = rankOf;
    this.#fits = fits;
    this.#heap = hosts.map((one) => ({ one, rank: rankOf(one) })).sort((a, b) => compare(a, b));
  }

  /** The first that fits; it stays in the queue. */
  next(demand: D): T | undefined {
    const passed: Entry<T>[] = [];
    let found: T | undefined;
    while (!found && this.#heap.length > 0) {
      const top = this.#heap[0]!;
      const rank = this.#rankOf(top.one);
      if (rank !== top.rank) {
        this.#heap[0] = { one: top.one, rank };
        this.#sink();
      } else if (this.#fits(top.one, demand)) found = top.one;
      else passed.push(this.#pop());
    }
    /* What only grows fuller has no room for any later one either. */
    for (const entry of passed) if (this.#fits(entry.one, this.#least)) this.#push(entry);
    return found;
  }

  #pop(): Entry<T> {
    const top = this.#heap[0]!;
    const last = this.#heap.pop()!;
    if (this.#heap.length > 0) {
      this.#heap[0] = last;
      this.#sink();
    }
    return top;
  }

  #push(entry: Entry<T>): void {
    const heap = this.#heap;
    let i = heap.push(entry) - 1;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (compare(heap[up]!, heap[i]!) <= 0) return;
      [heap[up], heap[i]] = [heap[i]!, heap[up]!];
      i = up;
    }
  }

  #sink(): void {
    const heap = this.#heap;
    for (let i = 0; ;) {
      const left = 2 * i + 1;
      const right = left + 1;
      let least = i;
      if (left < heap.length && compare(heap[left]!, heap[least]!) < 0) least = left;
      if (right < heap.length && compare(heap[right]!, heap[least]!) < 0) least = right;
      if (least === i) return;
      [heap[least], heap[i]] = [heap[i]!, heap[least]!];
      i = least;
    }
  }
}

const compare = (a: Entry<{ readonly id: number }>, b: Entry<{ readonly id: number }>): number => a.rank - b.rank || a.one.id - b.one.id;
