import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidArgumentError, type Command } from 'commander';
import { emit, note, outputOption, type Form } from '../emit.ts';
import { CliError } from '../exit.ts';
import { clientOptions, createClient, type Answer, type ClientOptions } from '../http.ts';
import { findNoun, keyOf, loadNouns } from '../nouns.ts';
import { pathOf } from './things.ts';

interface WaitOptions extends ClientOptions {
  readonly output: Form;
  readonly quiet?: boolean;
  readonly timeout: number;
}

interface Waited {
  readonly convergence: { readonly state: string; readonly why_not: string | null };
}

/** Seconds of one request: shorter than proxies wait, and what changes meanwhile is shown. */
const TURN = 10;
/** Milliseconds until an API that went away is asked again. */
const PAUSE = 1000;

/** `corral wait`. */
export function waitCommand(program: Command): void {
  clientOptions(
    program
      .command('wait <noun> <key>')
      .summary('wait until the hosts are converged with a thing')
      .description('Waits until the hosts that build a thing have applied it. Says on stderr what it waits for. Ends with 1 when the time is over.')
      .option(
        '--timeout <seconds>',
        'how long at most',
        (text) => {
          if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('It must be a whole number of seconds.');
          return Number(text);
        },
        60,
      )
      .addOption(outputOption())
      .option('-q, --quiet', 'say nothing'),
  )
    .addHelpText('after', '\nExamples:\n  corral wait vm 7\n  corral create vm -q cores=1 ram=1GiB method=KVM | xargs corral wait vm --timeout 300')
    .action(wait);
}

async function wait(name: string, key: string, { output, quiet, timeout, ...options }: WaitOptions): Promise<void> {
  const noun = findNoun(await loadNouns(), name);
  const client = createClient(options);
  const end = Date.now() + 1000 * timeout;
  let said = '';
  /* The first answer comes at once: people see what is waited for. */
  for (let turn = 0; ; turn = Math.min(TURN, Math.ceil((end - Date.now()) / 1000))) {
    let answer: Answer;
    try {
      answer = await client.ask('GET', `${pathOf(noun, key)}?wait=converged&timeout=${Math.max(0, turn)}`, { json: output === 'json' });
    } catch (error) {
      /* It answered before: an API that is restarted comes back. */
      if (said === '' || Date.now() >= end || !(error instanceof CliError && ['failed', 'unreachable'].includes(error.exit))) throw error;
      await sleep(PAUSE);
      continue;
    }
    const { body, headers } = answer;
    const row = JSON.parse(body.toString()) as Readonly<Record<string, unknown>> & Waited;
    const { state, why_not } = row.convergence;
    const converged = headers['corral-converged'] === 'true';
    const says = `${noun.title} ${keyOf(noun, row)}: ${state}${why_not === null ? '' : `: ${why_not}`}`;
    if (!quiet && says !== said) note(says);
    said = says;
    if (!converged && Date.now() < end) continue;
    if (output !== 'table') await emit(output, row);
    if (!converged) throw new CliError('refused', `it is not converged after ${timeout} s`);
    return;
  }
}
