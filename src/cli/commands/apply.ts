import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { emit, note, outputOption, write, type Form } from '../emit.ts';
import { CliError } from '../exit.ts';
import { readBodyFile } from '../file.ts';
import type { ProblemBody } from '../errors.ts';
import { fleetOperations, inFile } from '../fleet-operations.ts';
import { clientOptions, createClient, refused, type Client, type ClientOptions } from '../http.ts';
import { loadNouns, type Noun } from '../nouns.ts';
import { changedPlan, diffOption, planHeaders, planText, type PlanAnswer } from '../plan.ts';
import { Progress } from '../progress.ts';
import { colourful } from '../text.ts';
import { fleetSizes } from '../values.ts';

interface ApplyOptions extends ClientOptions {
  readonly output: Form;
  readonly set?: string;
  readonly prune?: boolean;
  readonly plan?: boolean;
  readonly diff?: boolean;
  readonly yes?: boolean;
  readonly message?: string;
}

interface Result {
  readonly noun: string;
  readonly key: string | null;
  readonly status: 'created' | 'updated' | 'unchanged' | 'deleted';
}

interface Applied {
  readonly results: readonly Result[];
  readonly pruned?: readonly Result[];
}

/** The last line of an answer that tells progress. */
interface Last {
  readonly status: number;
  readonly change?: number;
  readonly body: unknown;
}

/** Plans with more rows are told in short, unless they are all that is asked for. */
const LONG = 100;

/** `corral apply`. */
export function applyCommand(program: Command): void {
  clientOptions(
    program
      .command('apply <file>')
      .summary('make the fleet what a fleet file says, after showing the plan')
      .description(
        `Makes and changes things as a fleet file (YAML or JSON; - is stdin) says, through the API, all or nothing. First it shows what would be done, and asks; what it did show is what is done, or nothing. Fields that the file does not name stay. Applying it twice changes nothing.

With --set the things of the file are members of a set of that name, and --prune deletes those members that the file no longer names, virtual machines with the disks that they were made with. Nothing else is ever deleted.

Things are known by their natural keys, virtual machines by their uuid or their name: within a set by the name in the set, else by one that no other has.`,
      )
      .addOption(outputOption()),
  )
    .option('--set <name>', 'the set that these things belong to')
    .option('--prune', 'delete what the set had and the file no longer names')
    .option('--plan', 'show what it would do, with the documents, and do nothing')
    .addOption(diffOption())
    .option('-y, --yes', 'do it without asking')
    .option('-m, --message <text>', 'why; kept with the change')
    .addHelpText(
      'after',
      '\nExamples:\n  corral apply fleet.yaml --plan\n  corral apply fleet.yaml -m "two more web servers"\n  corral apply shop.yaml --set shop --prune --yes',
    )
    .action(apply);
}

async function apply(file: string, options: ApplyOptions): Promise<void> {
  if (options.prune && options.set === undefined) throw new CliError('usage', '--prune is possible within a set only: give --set name');
  const nouns = await loadNouns();
  const { operations, places } = fleetOperations(nouns, fleetSizes(nouns, await readBodyFile(file)));
  const { set, prune } = options;
  const body = { operations, ...(set === undefined ? {} : { set }), ...(prune ? { prune } : {}) };
  const client = createClient(options);
  const planned = await send(client, '/bulk?dry_run=true', body, { nouns, places, ...options }, {}, 'planning');
  const answer = planned.body as PlanAnswer;
  const { plan } = answer;
  if (options.output === 'table') await write(shown(answer, nouns, options));
  else if (options.plan) await emit(options.output, answer);
  if (options.plan) return;
  const idle = plan.rows.length === 0;
  if (idle && set === undefined) return options.output === 'table' ? undefined : emit(options.output, answer.answer);
  if (!idle && !options.yes) await ask(file);
  const done = await send(client, '/bulk', body, { nouns, places, ...options }, planHeaders({ ifPlan: plan.digest, ...options, plan: false }), 'applying');
  const applied = done.body as Applied;
  if (options.output !== 'table') await emit(options.output, { ...applied, ...(done.change === undefined ? {} : { change: done.change }) });
  else if (!idle) await write(`Applied${done.change === undefined ? '' : ` as change ${done.change}`}: ${counted(applied)}\n`);
}

/** What is planned: with the documents' differences where all of it is asked for, and of a long one only how much. */
function shown({ plan, answer }: PlanAnswer, nouns: readonly Noun[], { plan: only = false, diff = false }: ApplyOptions): string {
  const colour = colourful(process.stdout);
  if (plan.rows.length === 0) return 'Nothing to do: the fleet is as the file says.\n';
  const lines = [`Planned: ${counted(answer as Applied)}`];
  if (only) return `${planText(plan, nouns, colour, diff)}${lines.join('')}\n`;
  if (plan.rows.length <= LONG) return `${planText({ ...plan, documents: [] }, nouns, colour, true)}${lines.join('')}; --plan shows the documents too\n`;
  const acting = plan.hosts.filter((host) => host.acts).length;
  const rows = new Map<string, number>();
  for (const { op, noun } of plan.rows) rows.set(`${op} ${noun}`, (rows.get(`${op} ${noun}`) ?? 0) + 1);
  for (const [what, n] of rows) lines.push(`  ${what.replaceAll('_', ' ')}: ${n}`);
  lines.push(`${acting} of ${plan.hosts.length} hosts act, ${plan.documents.length} documents change. Plan ${plan.digest}; --diff shows all of it`);
  return `${lines.join('\n')}\n`;
}

function counted({ results, pruned = [] }: Applied): string {
  const count = (status: Result['status']): number => [...results, ...pruned].filter((one) => one.status === status).length;
  return `${count('created')} made, ${count('updated')} changed, ${count('deleted')} deleted, ${count('unchanged')} as they were`;
}

/** @throws CliError where nobody says yes */
async function ask(file: string): Promise<void> {
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new CliError(
      'usage',
      `there is no terminal to ask on${file === '-' ? ', for the file comes from stdin' : ''}: give --yes to do this, or --plan to see it only`,
    );
  const line = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await line.question('Do this? [y/N] ').finally(() => line.close());
  if (!/^y(es)?$/i.test(answer.trim())) throw new CliError('refused', 'nothing was done');
}

/** Sends the operations, and says how far they are. */
async function send(
  client: Client,
  path: string,
  body: unknown,
  { nouns, places, output }: Pick<ApplyOptions, 'output'> & { readonly nouns: readonly Noun[]; readonly places: readonly string[] },
  headers: Readonly<Record<string, string>>,
  what: string,
): Promise<Last> {
  const how = {
    json: output === 'json',
    rewrite: (problem: ProblemBody) => inFile(problem, places),
    hints: (problem: ProblemBody) => changedPlan(problem, nouns),
  };
  const stream = await client.open(path, { method: 'POST', accept: 'application/x-ndjson', body, headers, ...how });
  const progress = new Progress(what);
  let last: Last | undefined;
  let rest = '';
  stream.setEncoding('utf8');
  try {
    for await (const chunk of stream) {
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        const told = JSON.parse(line) as Last | { readonly done: number; readonly total: number };
        if ('status' in told) last = told;
        else if (told.done < told.total) progress.update(told.done, told.total);
      }
    }
  } catch (error) {
    throw new CliError('unreachable', `the answer was cut off: ${error instanceof Error ? error.message : String(error)}`, [], error);
  } finally {
    progress.end();
  }
  if (!last) {
    note('corral changes shows whether it was done');
    throw new CliError('unreachable', 'the answer was cut off');
  }
  if (last.status >= 300) throw refused(last.body as ProblemBody, how);
  return last;
}
