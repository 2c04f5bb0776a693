/** Names that somebody who wrote another one may have meant. */

const MOST = 5;

/** Edits that turn one text into the other: characters put in, taken out, replaced, or two swapped. */
export function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min(row[j - 1]! + 1, last[j]! + 1, last[j - 1]! + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1);
      row.push(best);
    }
    [before, last] = [last, row];
  }
  return last[b.length]!;
}

const tail = (name: string): string => name.split(/::|:|\./).at(-1)!;

/** Of these names the nearest to the one that was asked for, the nearest first. */
export function near(asked: string, names: Iterable<string>): string[] {
  const wanted = asked.slice(0, 200).toLowerCase();
  const scored: [number, string][] = [];
  for (const name of new Set(names)) {
    const plain = name.toLowerCase();
    const most = Math.max(1, Math.floor(Math.max(wanted.length, plain.length) / 4));
    /* So many characters more or less are so many edits. */
    const edits = Math.abs(wanted.length - plain.length) > most ? most + 1 : distance(wanted, plain);
    if (edits <= most) scored.push([edits, name]);
    else if (wanted.length > 2 && (plain.includes(wanted) || tail(plain) === tail(wanted))) scored.push([1000 + plain.length, name]);
  }
  return scored
    .sort(([a, x], [b, y]) => a - b || (x < y ? -1 : 1))
    .slice(0, MOST)
    .map(([, name]) => name);
}
