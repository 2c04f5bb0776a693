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
          'admin may do all, reader may read all, node reads the documents of its node and reports for it, server (a puppetserver or salt-master) does so for all nodes',
        )
          .choices(['admin', 'reader', 'node', 'server'])
          .makeOptionMandatory(),
      )
      .option('--node <fqdn>', 'of a node token: the node')
      .addOption(outputOption()),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  corral token create grafana --kind reader\n  corral token create hv1 --kind node --node hv1.example.com > token\n  corral token create puppetserver --kind server > token\n  corral token create rescue --kind admin --local',
    )
    .action(create);
  add(token.command('list').summary('list the tokens').description('Lists the tokens; what they are is not kept.').addOption(outputOption()))
    .addHelpText('after', '\nExamples:\n  corral token list')
    .action(list);
  add(token.command('delete <name>').summary('delete a token').description('Deletes a token: whoever shows it is refused from now on.'))
    .addHelpText('after', '\nExamples:\n  corral token delete grafana')
    .action(remove);
}

async function create(name: string, options: Options & { kind: string; node?: string }): Promise<void> {
  if ((options.kind === 'node') !== (options.node !== undefined))
    throw new CliError('usage', options.kind === 'node' ? 'a node token needs --node' : '--node is for node tokens');
  const body = { name, kind: options.kind, ...(options.node === undefined ? {} : { node: options.node }) };
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
