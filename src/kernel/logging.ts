import { pino, symbols, type Logger } from 'pino';

/** Lines are handed on when so many characters have come together, and four times a second. */
const PIECE = 15_000;
const EVERY = 250;

/**
 * The log of a process: JSON lines, as pino writes them.
 *
 * They are gathered before pino's destination gets them, which does several times the work of making a line for each
 * piece that it is given. What is gathered is written when the process ends, be it by an error, which may lose the piece
 * that is being written at that moment; a kill -9 loses what came in its last quarter of a second.
 * @param fd the file to write to: 2 is standard error
 */
export function createLog(level: string, fd = 2): Logger {
  let lines: string[] = [];
  let length = 0;
  let timer: NodeJS.Timeout | undefined;
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (lines.length === 0) return;
    const piece = lines.join('');
    lines = [];
    length = 0;
    destination.write(piece);
  };
  /* Before pino's own, which writes what its destination has then. */
  for (const event of ['beforeExit', 'exit']) process.on(event, flush);
  const destination = pino.destination({ dest: fd, sync: false });
  const write = (line: string): void => {
    lines.push(line);
    length += line.length;
    if (length > PIECE) flush();
    else timer ??= setTimeout(flush, EVERY).unref();
  };
  return pino({ level, base: undefined, timestamp: isoTime }, { write });
}

/** What the log says of a request. */
export interface Logged {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  /** When it came, by `performance.now()`. */
  readonly begun: number;
  /** Who asked. */
  readonly kind?: string | undefined;
  readonly token?: string | undefined;
  /** The version that was served. */
  readonly document?: string | undefined;
}

/** Logs a request: the line that `log.info(…, 'request')` writes, put together as text, since every host at every run makes one. */
export function logRequest(log: Logger, { id, method, path, status, begun, kind, token, document }: Logged): void {
  if (!log.isLevelEnabled('info')) return;
  const ms = Math.round((performance.now() - begun) * 10) / 10;
  const rest = `${text('kind', kind)}${text('token', token)}${text('document', document)}`;
  const line = `{"level":30${isoTime()}${text('id', id)}${text('method', method)}${text('path', path)},"status":${status},"ms":${ms}${rest},"msg":"request"}\n`;
  (log as unknown as Record<symbol, { write(line: string): void }>)[symbols.streamSym]!.write(line);
}

const text = (key: string, value: string | undefined): string => (value === undefined ? '' : `,"${key}":${JSON.stringify(value)}`);

let last = 0;
let lastText = '';
/** The time of a log line, RFC 3339 in UTC, written once for each millisecond: many lines share one. */
function isoTime(): string {
  const now = Date.now();
  if (now !== last) {
    last = now;
    lastText = `,"time":"${new Date(now).toISOString()}"`;
  }
  return lastText;
}
