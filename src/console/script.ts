import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { evaluate, Incomplete } from './evaluate.ts';
import { errorText } from './print.ts';
import type { Session } from './session.ts';

/** Runs the lines of a stream, each when the one before is done; the first that fails ends it. */
export async function runScript(session: Session, input: Readable): Promise<void> {
  let code = '';
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    const command = code === '' ? /^\.(\w+)\s*(.*)$/.exec(line) : null;
    if (command) {
      if (command[1] === 'exit') return;
      const known = session.commands[command[1]!];
      if (!known) return fail(session, `there is no command .${command[1]}`);
      process.stdout.write(`${known.run(command[2]!)}\n`);
      continue;
    }
    code += `${line}\n`;
    try {
      const value = await evaluate(code);
      if (value !== undefined) process.stdout.write(`${session.text(value)}\n`);
    } catch (error) {
      if (error instanceof Incomplete) continue;
      return fail(session, errorText(error));
    }
    code = '';
  }
  if (code.trim() !== '') fail(session, 'the input ends in the middle of a statement');
}

function fail(session: Session, message: string): void {
  session.failed();
  process.stderr.write(`${message}\n`);
}
