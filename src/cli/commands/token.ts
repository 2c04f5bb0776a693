import { Option, type Command } from 'commander';
import { emit, note, outputOption, write, type Form } from '../emit.ts';
import { CliError } from '../exit.ts';
import { clientOptions, createClient, type ClientOptions } from '../http.ts';
import { withCorral } from '../local.ts';
import { findNoun, loadNouns } from '../nouns.ts';
import { rowsTable } from '../show.ts';

interface Options extends ClientOptions {
  readonly local?: boolean;
  readonly output: Form;
}

type Row = Readonly<Record<string, unknown>>;

/** `corral token create|list|delete`. */
export function tokenCommand(program: Command): void {
  const token = program
    .command('token')
    .summary('make, list and delete tokens')
    .description('Makes, lists and deletes the tokens that let people and programs in.');
  const add = (command: Command): Command =>
    clientOptions(command).option('--local', 'work on the database itself, with no token: for whoever lost the admin token');
  add(
    token
      .command('create <name>')
      .summary('make a token and print it')
      .description('Makes a token and prints it on stdout, this once; Corral keeps only its hash.')
      .addOption(
        new Option(
          '--kind <kind>',
          'admin may do all, reader may read all, node reads the documents of its node and reports for it, server (a puppetserver or salt-master) does so for all nodes, program may what bindings, or its --person, may',
        )
          .choices(['admin', 'reader', 'node', 'server', 'program'])
          .makeOptionMandatory(),
      )
      .option('--node <fqdn>', 'of a node token: the node')
      .option('--person <name>', 'of a program token: the person whom it acts for')
      .option('--scope <permission...>', 'only these permissions, e.g. vm:read')
      .option('--source <range...>', 'only from these addresses, e.g. 192.0.2.0/24')
      .option('--expires <time>', 'when it ends: RFC 3339, or days from now, e.g. 90d')
      .addOption(outputOption()),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  corral token create grafana --kind reader\n  corral token create hv1 --kind node --node hv1.example.com > token\n  corral token create puppetserver --kind server > token\n  corral token create rescue --kind admin --local\n  corral token create ci --kind program --person anna --scope vm:read vm:update --source 192.0.2.0/24 --expires 90d',
    )
    .action(create);
  add(token.command('list').summary('list the tokens').description('Lists the tokens; what they are is not kept.').addOption(outputOption()))
    .addHelpText('after', '\nExamples:\n  corral token list')
    .action(list);
  clientOptions(
    token
      .command('rotate <name>')
      .summary('make a token anew, and let the old one be good for a while')
      .description('Makes a token anew under its name and prints it on stdout, this once; the old one stays good for the overlap.')
      .option('--overlap <time>', 'how long: seconds, or with m, h, d behind the number', '1d')
      .addOption(outputOption()),
  )
    .addHelpText('after', '\nExamples:\n  corral token rotate grafana\n  corral token rotate grafana --overlap 0')
    .action(rotate);
  add(token.command('delete <name>').summary('delete a token').description('Deletes a token: whoever shows it is refused from now on.'))
    .addHelpText('after', '\nExamples:\n  corral token delete grafana')
    .action(remove);
}

interface CreateOptions extends Options {
  readonly kind: string;
  readonly node?: string;
  readonly person?: string;
  readonly scope?: string[];
  readonly source?: string[];
  readonly expires?: string;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 };

/** Seconds of `90`, `30m`, `12h`, `90d`. */
function secondsOf(text: string, option: string): number {
  const match = /^(\d{1,9})([smhd]?)$/.exec(text);
  if (!match) throw new CliError('usage', `${option} must be a number of seconds, or with s, m, h or d behind it, e.g. 90d`);
  return Number(match[1]) * UNITS[match[2]!]!;
}

async function rotate(name: string, options: Options & { overlap: string }): Promise<void> {
  const body = { overlap: secondsOf(options.overlap, '--overlap') };
  const { body: answer } = await createClient(options).ask('POST', `/api/v1/tokens/${encodeURIComponent(name)}/rotate`, {
    body,
    json: options.output === 'json',
  });
  const row = JSON.parse(answer.toString()) as Row;
  if (options.output !== 'table') return emit(options.output, row);
  note(`Token '${name}' was made anew; the old one is good until ${String(row['old_until'])}. It is not shown again:`);
  await write(`${String(row['token'])}\n`);
}

async function create(name: string, options: CreateOptions): Promise<void> {
  if ((options.kind === 'node') !== (options.node !== undefined))
    throw new CliError('usage', options.kind === 'node' ? 'a node token needs --node' : '--node is for node tokens');
  const { kind, node, person, scope: scopes, source: sources, expires } = options;
  const expires_at =
    expires === undefined ? undefined : /^\d+[smhd]?$/.test(expires) ? new Date(Date.now() + 1000 * secondsOf(expires, '--expires')).toISOString() : expires;
  const body = Object.fromEntries(Object.entries({ name, kind, node, person, scopes, sources, expires_at }).filter(([, value]) => value !== undefined));
  const row = options.local
    ? await createLocally(body)
    : (JSON.parse((await createClient(options).ask('POST', '/api/v1/tokens', { body, json: options.output === 'json' })).body.toString()) as Row);
  if (options.output !== 'table') return emit(options.output, row);
  note(`Token '${name}' (${options.kind}${options.node === undefined ? '' : ` of ${options.node}`}); it is not shown again:`);
  await write(`${String(row['token'])}\n`);
}

async function createLocally(body: Row): Promise<Row> {
  const { createThing } = await import('../../db/write.ts');
  return withCorral(({ store, catalog }) => createThing(store, catalog.byNoun('token'), body));
}

async function list(options: Options): Promise<void> {
  const rows = options.local
    ? await listLocally()
    : (JSON.parse((await createClient(options).ask('GET', '/api/v1/tokens?limit=1000&sort=name')).body.toString()) as { tokens: Row[] }).tokens;
  if (options.output !== 'table') return emit(options.output, rows);
  const nouns = await loadNouns();
  const noun = findNoun(nouns, 'token');
  await write(`${rowsTable(noun, nouns, rows, noun.columns)}\n`);
}

async function listLocally(): Promise<readonly Row[]> {
  const { parseListQuery } = await import('../../db/query.ts');
  const { listRows } = await import('../../db/read.ts');
  return withCorral(async ({ catalog, db }) => {
    const model = catalog.byNoun('token');
    return (await listRows(db(), catalog, model, parseListQuery(catalog, model, new URLSearchParams({ limit: '1000', sort: 'name' })))).rows;
  });
}

async function remove(name: string, options: Options): Promise<void> {
  if (!options.local) {
    await createClient(options).ask('DELETE', `/api/v1/tokens/${encodeURIComponent(name)}`);
    return;
  }
  const { deleteThing } = await import('../../db/write.ts');
  await withCorral(({ store, catalog }) => deleteThing(store, catalog.byNoun('token'), name));
}
