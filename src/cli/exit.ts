/** What the exit codes mean; named once, shown by `corral --help`. */
export const exits = {
  ok: [0, 'done'],
  refused: [1, 'the API refused it, or the command failed'],
  usage: [2, 'the command line or the configuration is wrong'],
  missing: [3, 'there is no such thing'],
  conflict: [4, 'it conflicts with what is there, or was changed since'],
  unreachable: [5, 'the API or the database cannot be reached'],
  failed: [6, 'the server failed'],
} as const satisfies Record<string, readonly [number, string]>;

export type Exit = keyof typeof exits;

/** Ends the command with a message on stderr and an exit code. */
export class CliError extends Error {
  readonly exit: Exit;
  /** More lines, below the message. */
  readonly lines: readonly string[];

  constructor(exit: Exit, message: string, lines: readonly string[] = [], cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'CliError';
    this.exit = exit;
    this.lines = lines;
  }

  get code(): number {
    return exits[this.exit][0];
  }
}

/** The exit code that an HTTP status stands for. */
export function exitOf(status: number): Exit {
  if (status < 400) return 'ok';
  if (status === 404 || status === 410) return 'missing';
  if (status === 409 || status === 412 || status === 428) return 'conflict';
  return status >= 500 ? 'failed' : 'refused';
}

/** The closest of the known words, when it is close enough to be meant. */
export function closest(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const one of known) {
    const d = distance(word.toLowerCase(), one.toLowerCase());
    if (d < least) [best, least] = [one, d];
  }
  return best;
}

/** How many letters are to be changed, added, left out or swapped. */
function distance(a: string, b: string): number {
  const rows: number[][] = Array.from({ length: a.length + 1 }, (_, i) => [i]);
  for (let j = 1; j <= b.length; j++) rows[0]![j] = j;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(rows[i - 1]![j]! + 1, rows[i]![j - 1]! + 1, rows[i - 1]![j - 1]! + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, rows[i - 2]![j - 2]! + 1);
      rows[i]![j] = least;
    }
  }
  return rows[a.length]![b.length]!;
}
