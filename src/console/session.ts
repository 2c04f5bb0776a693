import { Readable } from 'node:stream';
import { inspect } from 'node:util';
import { findNoun, type Noun } from '../cli/nouns.ts';
import { bold, clean, colourful, dim } from '../cli/text.ts';
import type { Corral } from '../corral.ts';
import { HELP, nounHelp } from './help.ts';
import { nounsOf, verbsOf, type Seen } from './nouns.ts';
import { resultText } from './print.ts';
import { runTerminal } from './repl.ts';
import { runScript } from './script.ts';
import { sqlTag, type SqlWatch } from './sql.ts';

export interface SessionOptions {
  readonly sandbox: boolean;
  /** Run this instead of reading lines. */
  readonly expression: string | undefined;
  readonly watch: SqlWatch;
}

/** What a console works with, whether a person or a program feeds it. */
export interface Session {
  readonly sandbox: boolean;
  readonly nouns: readonly Noun[];
  /** `.name text`. */
  readonly commands: Readonly<Record<string, { readonly help: string; run(text: string): string }>>;
  text(value: unknown): string;
  failed(): void;
}

/**
 * Runs a console on an open Corral until its input ends. At a terminal it goes on after an error; a
 * program or an expression stops at the first one.
 * @returns whether a program or an expression did all that it should
 */
export async function runSession(corral: Corral, { sandbox, expression, watch }: SessionOptions): Promise<boolean> {
  const nouns = nounsOf(corral);
  const seen = new WeakMap<object, Seen>();
  const state = { failed: false, sql: false };
  Object.assign(globalThis, verbsOf(corral, seen), { sql: sqlTag(corral) });
  watch.listener = (text, values) => {
    if (!state.sql) return;
    const given = values.length > 0 ? ` -- ${inspect(values, { breakLength: Number.POSITIVE_INFINITY, maxStringLength: 200 })}` : '';
    process.stderr.write(`${dim(clean(text + given), colourful(process.stderr))}\n`);
  };
  const session: Session = {
    sandbox,
    nouns,
    commands: commandsOf(nouns, state),
    text: (value) => resultText(nouns, seen, value),
    failed: () => (state.failed = true),
  };
  if (expression === undefined && process.stdin.isTTY) {
    process.stdout.write(`${bold('Corral console', colourful(process.stdout))}: .help shows examples, Ctrl-D leaves.\n`);
    if (sandbox) process.stdout.write('Sandbox: all is rolled back when you leave; until then, the rows that you change are locked for others.\n');
    await runTerminal(session);
    return true;
  }
  await runScript(session, expression === undefined ? process.stdin : Readable.from([`${expression}\n`]));
  return !state.failed;
}

function commandsOf(nouns: readonly Noun[], state: { sql: boolean }): Session['commands'] {
  return {
    help: { help: 'Show examples', run: () => HELP },
    sql: {
      help: 'Show the SQL that runs: .sql on, .sql off',
      run: (text) => {
        state.sql = text.trim() === '' ? !state.sql : text.trim() === 'on';
        return `SQL is ${state.sql ? 'shown' : 'not shown'}`;
      },
    },
    noun: {
      help: 'Show the nouns, or the fields of one: .noun vms',
      run: (text) => {
        if (text.trim() === '') return nouns.map((one) => `${one.plural.padEnd(22)}${one.summary}`).join('\n');
        try {
          return nounHelp(findNoun(nouns, text.trim()));
        } catch (error) {
          return error instanceof Error ? error.message : String(error);
        }
      },
    },
  };
}
