import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Change, ChangeRow } from '../../db/changes.ts';
import { note, write } from '../emit.ts';
import { CliError } from '../exit.ts';
import { clientOptions, createClient, type Client, type ClientOptions } from '../http.ts';
import { findNoun, loadNouns } from '../nouns.ts';

interface WatchOptions extends ClientOptions {
  readonly output: 'table' | 'json';
  readonly since?: number;
  readonly kinds?: string;
}

/** Milliseconds until an API that went away is asked again, at first and at most. */
const PAUSE = 1000;
const LONGEST_PAUSE = 10_000;
/** Rows of a change that a line names. */
const NAMED = 4;

/** `corral watch`. */
export function watchCommand(program: Command): void {
  clientOptions(
    program
      .command('watch')
      .summary('show changes as they are made')
      .description('Shows each change as it is committed, a line each, until it is interrupted. When the API goes away it comes back to where it was.')
      .option('--since <number>', 'begin after the change of this number; 0 is all (else: from now on)', (text) => {
        if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be the number of a change.');
        return Number(text);
      })
      .option('--kinds <nouns>', 'only changes of these nouns, with a comma between')
      .addOption(new Option('-o, --output <form>', 'table for people; json, a change a line, for programs').choices(['table', 'json']).default('table')),
  )
    .addHelpText('after', '\nExamples:\n  corral watch\n  corral watch --since 0 --kinds vm,volume\n  corral watch -o json | jq -r .actor')
    .action(watch);
}

async function watch({ output, since, kinds, ...options }: WatchOptions): Promise<void> {
  const client = createClient(options);
  const params = new URLSearchParams();
  if (kinds !== undefined) {
    const nouns = await loadNouns();
    params.set(
      'kinds',
      kinds
        .split(',')
        .map((name) => findNoun(nouns, name).noun)
        .join(','),
    );
  }
  const place: Place = { last: since };
  for (let failed = 0, known = false; ; failed++) {
    try {
      const stream = await open(client, params, place, output);
      if (failed > 1) note('The API is back');
      known = true;
      failed = 0;
      await read(stream, place, output);
    } catch (error) {
      /* It answered before: an API that is restarted comes back. */
      if (!known || !(error instanceof CliError && ['failed', 'unreachable'].includes(error.exit))) throw error;
      if (failed === 1) note(`${error.message}; it is tried again`);
    }
    await sleep(Math.min(PAUSE * 2 ** failed, LONGEST_PAUSE));
  }
}

interface Place {
  /** The last change that was seen or passed over. */
  last: number | undefined;
}

function open(client: Client, params: URLSearchParams, { last }: Place, output: WatchOptions['output']): Promise<IncomingMessage> {
  return client.open(`/watch${params.size === 0 ? '' : `?${params}`}`, {
    accept: 'text/event-stream',
    json: output === 'json',
    headers: last === undefined ? {} : { 'last-event-id': String(last) },
  });
}

/** Shows what comes until the stream ends. */
async function read(stream: IncomingMessage, place: Place, output: WatchOptions['output']): Promise<void> {
  let rest = '';
  stream.setEncoding('utf8');
  try {
    for await (const chunk of stream) {
      const blocks = (rest + String(chunk)).split('\n\n');
      rest = blocks.pop()!;
      for (const block of blocks) {
        const field = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1];
        const [event, id, data] = [field('event'), field('id'), field('data')];
        if (event === 'fallen-behind') throw new CliError('refused', (JSON.parse(data!) as { detail: string }).detail);
        if (event === 'change') await write(output === 'json' ? `${data}\n` : `${lineOf(JSON.parse(data!) as Change)}\n`);
        if (id !== undefined) place.last = Number(id);
      }
    }
  } catch (error) {
    /* Cut off: the caller comes back. */
    if (error instanceof CliError || (error as NodeJS.ErrnoException).code === 'EPIPE') throw error;
  }
}

/** A change in a line: number, time, who, what, why. */
export function lineOf({ number, at, actor, message, rows, rows_left_out: more }: Change & { readonly rows_left_out?: number }): string {
  const what = rows.slice(0, NAMED).map(({ op, noun, key, label }: ChangeRow) => `${op} ${noun.replaceAll('_', ' ')} ${label ?? key}`);
  const others = rows.length - what.length + (more ?? 0);
  if (others > 0) what.push(`${what.length > 0 ? 'and ' : ''}${others} more`);
  const said = message === null ? '' : `  "${message.replaceAll(/\s+/g, ' ')}"`;
  return `${number}  ${at.replace('T', ' ').replace(/(\.\d+)?Z$/, '')}  ${actor}  ${what.join(', ')}${said}`;
}
