import { CliError } from './exit.ts';

/** Reads a password: from the terminal without showing it, else the first line of standard input. */
export async function readPassword(prompt: string): Promise<string> {
  const { stdin, stderr } = process;
  if (!stdin.isTTY) {
    let text = '';
    for await (const chunk of stdin.setEncoding('utf8')) text += chunk as string;
    return text.split(/\r?\n/)[0]!;
  }
  stderr.write(prompt);
  stdin.setRawMode(true).setEncoding('utf8').resume();
  try {
    return await new Promise<string>((done, failed) => {
      let typed = '';
      stdin.on('data', (keys: string) => {
        for (const key of keys) {
          if (key === '\r' || key === '\n' || key === '\u0004') return done(typed);
          if (key === '\u0003') return failed(new CliError('usage', 'stopped'));
          typed = key === '\u007f' || key === '\b' ? typed.slice(0, -1) : typed + key;
        }
      });
    });
  } finally {
    stdin.setRawMode(false).pause().removeAllListeners('data');
    stderr.write('\n');
  }
}
