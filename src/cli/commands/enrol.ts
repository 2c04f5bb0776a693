import { Option, type Command } from 'commander';
import { emit, note, outputOption, write, type Form } from '../emit.ts';
import { CliError } from '../exit.ts';
import { clientOptions, createClient, type ClientOptions } from '../http.ts';
import { findNoun, loadNouns } from '../nouns.ts';
import { rowsTable } from '../show.ts';

interface Options extends ClientOptions {
  readonly output: Form;
}

type Row = Readonly<Record<string, unknown>>;

/** `corral enrol list|approve|reject|token`. */
export function enrolCommand(program: Command): void {
  const enrol = program
    .command('enrol')
    .summary('let hosts in as nodes')
    .description(
      'Lets hosts in as nodes: a host makes a key and enrols with a token (corral-host enrol), an operator approves it, and it exchanges its key for node tokens that end within a day.',
    );
  const add = (command: Command): Command => clientOptions(command).addOption(outputOption());
  add(
    enrol
      .command('list')
      .summary('list hosts that wait')
      .description('Lists the hosts that wait to be let in; with --all those that are in or out, too.')
      .option('--all', 'those that are in or out, too'),
  )
    .addHelpText('after', '\nExamples:\n  corral enrol list\n  corral enrol list --all')
    .action(list);
  for (const [verb, summary, description] of [
    ['approve', 'let a host in', 'Lets a host in as the node of its name. Compare the fingerprint with what corral-host enrol shows on the host.'],
    ['reject', 'do not let a host in, or put it out', 'Does not let a host in, or puts one out that was let in: its token ends at once.'],
  ] as const)
    add(enrol.command(`${verb} <enrolment>`).summary(summary).description(`${description} An enrolment is named by its uuid, or by the name of the host.`))
      .addHelpText('after', `\nExamples:\n  corral enrol ${verb} hv1.example.com\n  corral enrol ${verb} 6f1c1f0e-8a6b-4b7e-9d57-0b8d1c1f2a3b`)
      .action((key: string, options: Options) => decide(verb, key, options));
  add(
    enrol
      .command('token <name>')
      .summary('make a token that hosts enrol with')
      .description('Makes an enrolment token and prints it on stdout, this once.')
      .option('--pattern <pattern>', 'only for hosts of this name, * for any part, e.g. hv*.fra1.example.com')
      .option('--site <site>', 'only for nodes of this site')
      .addOption(new Option('--uses <number>', 'how many hosts may enrol with it').argParser(Number).default(1))
      .option('--hours <number>', 'how long it is good', Number, 24)
      .option('--auto-approve', 'let hosts in without an operator'),
  )
    .addHelpText(
      'after',
      "\nExamples:\n  corral enrol token hv1 --pattern hv1.example.com\n  corral enrol token rack7 --pattern 'hv7*.example.com' --uses 20 --hours 8 --auto-approve",
    )
    .action(make);
}

async function ask(options: Options, method: string, path: string, body?: unknown): Promise<Row> {
  return JSON.parse(
    (await createClient(options).ask(method, path, body === undefined ? {} : { body, json: options.output === 'json' })).body.toString(),
  ) as Row;
}

async function show(rows: readonly Row[]): Promise<void> {
  const nouns = await loadNouns();
  const noun = findNoun(nouns, 'enrolment');
  await write(`${rowsTable(noun, nouns, rows, ['uuid', 'fqdn', 'state', 'fingerprint', 'address', 'created_at', 'decided_by'])}\n`);
}

const query = (filters: Readonly<Record<string, string>>): string => `/api/v1/enrolments?${String(new URLSearchParams({ limit: '1000', ...filters }))}`;

async function list(options: Options & { all?: boolean }): Promise<void> {
  const { enrolments } = (await ask(options, 'GET', query(options.all ? {} : { state: 'pending' }))) as { enrolments: readonly Row[] };
  if (options.output !== 'table') return emit(options.output, enrolments);
  if (enrolments.length === 0) return note(options.all ? 'No host has enrolled.' : 'No host waits to be let in.');
  await show(enrolments);
}

async function decide(verb: 'approve' | 'reject', key: string, options: Options): Promise<void> {
  const row = await ask(options, 'POST', `/api/v1/enrolments/${encodeURIComponent(await uuidOf(verb, key, options))}/${verb}`, {});
  if (options.output !== 'table') return emit(options.output, row);
  await show([row]);
}

/** Where a name is given: the one enrolment of that host that can be decided. */
async function uuidOf(verb: 'approve' | 'reject', key: string, options: Options): Promise<string> {
  if (/^\d+$|^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(key)) return key;
  const states = verb === 'approve' ? 'pending' : 'pending,approved';
  const { enrolments } = (await ask(options, 'GET', query({ fqdn: key.toLowerCase(), state__in: states }))) as { enrolments: readonly Row[] };
  if (enrolments.length === 1) return String(enrolments[0]!['uuid']);
  if (enrolments.length === 0) throw new CliError('missing', `no enrolment of ${key} is ${states.replace(',', ' or ')}; see corral enrol list --all`);
  throw new CliError('usage', `${key} has enrolled ${enrolments.length} times; name one by its uuid: see corral enrol list --all`);
}

async function make(
  name: string,
  { pattern, site, uses, hours, autoApprove, ...options }: Options & { pattern?: string; site?: string; uses: number; hours: number; autoApprove?: boolean },
): Promise<void> {
  if (!(hours > 0)) throw new CliError('usage', '--hours must be a number of hours');
  const body = {
    name,
    uses,
    expires_at: new Date(Date.now() + hours * 3_600_000).toISOString(),
    ...(pattern === undefined ? {} : { pattern }),
    ...(site === undefined ? {} : { site }),
    ...(autoApprove ? { auto_approve: true } : {}),
  };
  const row = await ask(options, 'POST', '/api/v1/enrolment-tokens', body);
  if (options.output !== 'table') return emit(options.output, row);
  note(`Enrolment token '${name}', good until ${String(row['expires_at'])}; it is not shown again:`);
  await write(`${String(row['token'])}\n`);
}
