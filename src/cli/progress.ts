/** How often a terminal is told, and a file or pipe, in milliseconds. */
const TERMINAL = 100;
const LINES = 5000;
const BAR = 30;

interface Options {
  readonly stream?: NodeJS.WriteStream;
  readonly now?: () => number;
}

/** Says how far something is: a bar with rate and time to go on a terminal, else a line now and then. */
export class Progress {
  readonly #what: string;
  readonly #stream: NodeJS.WriteStream;
  readonly #now: () => number;
  readonly #begun: number;
  #last = Number.NEGATIVE_INFINITY;
  #shown = false;

  constructor(what: string, { stream = process.stderr, now = Date.now }: Options = {}) {
    this.#what = what;
    this.#stream = stream;
    this.#now = now;
    this.#begun = now();
  }

  /** To be called as often as one likes. */
  readonly update = (done: number, total: number): void => {
    const at = this.#now();
    const terminal = this.#stream.isTTY;
    if (at - this.#last < (terminal ? TERMINAL : LINES) && done < total) return;
    if (!terminal && this.#last === Number.NEGATIVE_INFINITY && done < total) {
      this.#last = at;
      return;
    }
    this.#last = at;
    this.#shown = true;
    const text = progressText(this.#what, done, total, (at - this.#begun) / 1000, terminal);
    this.#stream.write(terminal ? `\r${text.slice(0, (this.#stream.columns || 80) - 1)}\u001b[K` : `${text}\n`);
  };

  /** Ends the line of the bar. */
  end(): void {
    if (this.#shown && this.#stream.isTTY) this.#stream.write('\n');
  }

  /** Seconds since it began. */
  get seconds(): number {
    return (this.#now() - this.#begun) / 1000;
  }
}

/** One report: `importing [####----] 45% 9000/20000 3000/s 4 s to go`. */
export function progressText(what: string, done: number, total: number, seconds: number, bar: boolean): string {
  const part = total > 0 ? Math.min(1, done / total) : 1;
  const rate = seconds > 0 ? done / seconds : 0;
  const filled = Math.round(part * BAR);
  const left = done >= total ? `${duration(seconds)}` : rate > 0 ? `${duration((total - done) / rate)} to go` : '';
  return [
    what,
    bar ? `[${'#'.repeat(filled)}${'-'.repeat(BAR - filled)}]` : '',
    `${Math.floor(part * 100)}%`,
    `${done}/${total}`,
    `${Math.round(rate)}/s`,
    left,
  ]
    .filter((one) => one !== '')
    .join(' ');
}

/** Seconds for people: 4 s, 2 min 5 s. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
