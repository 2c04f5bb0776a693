import { Script } from 'node:vm';

/** A line that is not complete yet. */
export class Incomplete extends Error {}

function compiles(code: string): Script | undefined {
  try {
    return new Script(code, { filename: 'console' });
  } catch {
    return undefined;
  }
}

/**
 * Makes a script of a line in which `await` may stand anywhere. What is declared stays for the lines to
 * come, but for declarations among several statements that wait: those are assigned without const.
 * @throws Incomplete, SyntaxError
 */
export function prepare(code: string): Script {
  const text = code.trim().replace(/;+$/, '');
  const expression = compiles(`(async () => (${text}\n))()`);
  if (expression) return expression;
  const plain = compiles(code);
  if (plain) return plain;
  const declared = /^(?:const|let|var)\s+(.*)$/s.exec(text)?.[1];
  const script = (declared === undefined ? undefined : compiles(`(async () => { (${declared}\n); })()`)) ?? compiles(`(async () => {${code}\n})()`);
  if (script) return script;
  /* Only an async function may hold await, and would hide how the line ends: say it without. */
  try {
    return new Script(code.replaceAll(/\bfor\s+await\b/g, 'for').replaceAll(/\bawait\b/g, 'void '), { filename: 'console' });
  } catch (error) {
    if (error instanceof SyntaxError && /Unexpected end of input|Unterminated template|missing \) after argument list/.test(error.message))
      throw new Incomplete();
    throw error;
  }
}

/** Runs a line and waits for what it promises. @throws whatever it throws, Incomplete */
export async function evaluate(code: string): Promise<unknown> {
  if (code.trim() === '') return undefined;
  return (await prepare(code).runInThisContext({ displayErrors: false })) as unknown;
}
