import { once } from 'node:events';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Recoverable, start, type REPLServer } from 'node:repl';
import { completeLine } from './complete.ts';
import { evaluate, Incomplete } from './evaluate.ts';
import { errorText } from './print.ts';
import type { Session } from './session.ts';

type Completer = (line: string, done: (error: Error | null, result?: [string[], string]) => void) => void;
type Next = (error: Error | null, value?: unknown) => void;

/** Asks at the terminal until Ctrl-D or .exit. */
export async function runTerminal(session: Session): Promise<void> {
  /* One line after the other, also when more are typed, or pasted, while one is waited for. */
  let queue: Promise<void> = Promise.resolve();
  const server = start({
    prompt: session.sandbox ? 'corral (sandbox)> ' : 'corral> ',
    useGlobal: true,
    ignoreUndefined: true,
    writer: session.text,
    eval: (code: string, _context: unknown, _file: string, next: Next) => {
      queue = queue.then(() => runLine(session, code, next));
    },
  });
  for (const [name, { help, run }] of Object.entries(session.commands)) {
    server.defineCommand(name, {
      help,
      action(text: string): void {
        process.stdout.write(`${run(text)}\n`);
        this.displayPrompt();
      },
    });
  }
  completeWith(server, session);
  const file = process.env['CORRAL_HISTORY'] || join(homedir(), '.corral_history');
  server.setupHistory(file, (error) => error && process.stderr.write(`The history cannot be kept: ${error.message}\n`));
  await once(server, 'exit');
  await queue;
}

async function runLine(session: Session, code: string, next: Next): Promise<void> {
  try {
    next(null, await evaluate(code));
  } catch (error) {
    if (error instanceof Incomplete) return next(new Recoverable(error));
    session.failed();
    process.stderr.write(`${errorText(error)}\n`);
    next(null, undefined);
  }
}

function completeWith(server: REPLServer, { nouns }: Session): void {
  const target = server as unknown as { completer: Completer };
  const own = target.completer.bind(server);
  target.completer = (line, done) => {
    const found = completeLine(nouns, line);
    if (found && found[0].length > 0) done(null, [[...found[0]], found[1]]);
    else own(line, done);
  };
}
