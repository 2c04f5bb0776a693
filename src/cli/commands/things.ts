import { InvalidArgumentError, type Command } from 'commander';
import { emit, emitPages, note, outputOption, write, type Form } from '../emit.ts';
import type { ProblemBody } from '../errors.ts';
import { CliError } from '../exit.ts';
import { readBodyFile } from '../file.ts';
import { clientOptions, createClient, type Client, type ClientOptions } from '../http.ts';
import { findNoun, keyOf, loadNouns, type Noun } from '../nouns.ts';
import { overtaken, patchOf, type Patch } from '../merge.ts';
import { noteOnce } from '../once.ts';
import { changedPlan, planHeaders, planOptions, planPath, showPlan, type PlanAnswer, type PlanOptions } from '../plan.ts';
import { columnsOf, rowsTable, thingText } from '../show.ts';
import { clean, table, terminalWidth } from '../text.ts';
import { hintsOf, isAssignment, parseAssignments, parseFilters, withSizes } from '../values.ts';

interface Common extends ClientOptions {
  readonly output: Form;
  readonly quiet?: boolean;
}

interface GetOptions extends Common {
  readonly sort?: string;
  readonly limit?: number;
  readonly all?: boolean;
  readonly fields?: string;
  readonly include?: string;
  readonly search?: string;
}

interface WriteOptions extends Common, PlanOptions {
  readonly file?: string;
  readonly ifVersion?: number;
  readonly upsert?: boolean;
}

type Row = Readonly<Record<string, unknown>>;

const PAGE = 100;
const MAX_PAGE = 1000;

const VALUES = `
Values:
  cores=4  ram=2GiB  discard=true  customer=null  methods=KVM,QEMU
  roles.hypervisor.cores=16         a field of a part
  volumes.0.size=10GiB              a field of the first thing of a list
  metadata='{"a": 1}'               JSON, the whole of it
  metadata.a=1  metadata.a=null     one key of it; the others stay, and null removes the key
  'metadata."kernel.org/x"=1'       a key that holds dots or the like, in quotes that the shell leaves
  -f web.yaml, -f -                 a whole body from a file or stdin; field=value arguments go on top`;

/** `corral get`, `create`, `set` and `delete`. */
export function thingCommands(program: Command): void {
  const whole = (text: string): number => {
    if (!/^\d{1,9}$/.test(text) || Number(text) < 1) throw new InvalidArgumentError('It must be a whole number from 1.');
    return Number(text);
  };
  const common = (command: Command): Command => clientOptions(command.addOption(outputOption()).option('-q, --quiet', 'print keys only, a line each'));
  common(
    program
      .command('get [noun] [key-or-filter...]')
      .summary('list things, or show one')
      .description('Lists the things of a noun, or shows the one of this key (id or natural key). Without a noun: lists the nouns.'),
  )
    .option('--sort <fields>', 'order, e.g. cores,-ram (- turns it)')
    .option('--limit <n>', `at most so many (default ${PAGE})`, whole)
    .option('--all', 'all of them')
    .option('--fields <fields>', 'only these fields, with a comma between')
    .option('--include <relations>', 'relations to put in, with a comma between')
    .option('--search <text>', 'part of the key or name')
    .addHelpText(
      'after',
      `
Filters:
  field=value  field__ne=  field__in=a,b  field__gt=  field__gte=  field__lt=  field__lte=
  field__contains=  field__startswith=  field__null=true    by the type of the field

Examples:
  corral get nodes
  corral get node hv1.example.com --include hypervisors
  corral get vms cores__gte=4 ram__gte=2GiB state=running --sort -ram
  corral get vms hypervisor=hv1.example.com --all -o json`,
    )
    .action(get);
  planOptions(common(program.command('create <noun> [field=value...]').summary('make a thing').description('Makes a thing and shows it.')))
    .option('-f, --file <file>', 'a body in YAML or JSON; - is stdin')
    .addHelpText(
      'after',
      `${VALUES}\n\nExamples:\n  corral create site name=fra1\n  corral create vm name=web cores=4 ram=2GiB method=KVM volumes.0.size=20GiB\n  corral create vm -f web.yaml name=web2 --plan`,
    )
    .action(create);
  planOptions(
    common(
      program
        .command('set <noun> <key> [field=value...]')
        .summary('change fields of a thing')
        .description('Changes fields of a thing and shows it; what is not named stays.'),
    ),
  )
    .option('-f, --file <file>', 'a body in YAML or JSON; - is stdin')
    .option('--if-version <n>', 'only if it still has this version', whole)
    .option('--upsert', 'make it when it is not there')
    .addHelpText(
      'after',
      `${VALUES}\n\nExamples:\n  corral set vm 7 cores=8 ram=4GiB\n  corral set node hv1.example.com state=maintenance roles.ceph_mon=null\n  corral set layer base data.motd=Hello data.banner=null -m "OPS-421"\n  corral set site fra1 --upsert title=Frankfurt`,
    )
    .action(set);
  planOptions(common(program.command('delete <noun> <key>').summary('delete a thing').description('Deletes a thing; refused while others refer to it.')))
    .option('--if-version <n>', 'only if it still has this version', whole)
    .addHelpText('after', '\nExamples:\n  corral delete vm 7\n  corral delete node hv9.example.com --if-version 3 -m scrapped')
    .action(remove);
}

/** The path of a thing. A key that ends like a form of output would be taken for it, so the form is said. */
export function pathOf(noun: Noun, key: string): string {
  return `/api/v1/${noun.route}/${encodeURIComponent(key)}${/\.(json|msgpack|html|yaml)$/.test(key) ? '.json' : ''}`;
}

async function get(name: string | undefined, args: readonly string[], options: GetOptions): Promise<void> {
  const nouns = await loadNouns();
  if (name === undefined) return listNouns(nouns, options);
  const noun = findNoun(nouns, name);
  const keys = args.filter((arg) => !isAssignment(arg));
  const filters = parseFilters(noun, args.filter(isAssignment));
  if (keys.length > 1 || (keys.length === 1 && filters.length > 0))
    throw new CliError('usage', 'give one key, or filters of the form field=value', [`e.g. corral get ${noun.noun} ${keys[0]}`]);
  const client = createClient(options);
  const params = new URLSearchParams();
  if (options.fields) params.set('fields', options.fields);
  if (options.include) params.set('include', options.include);
  if (keys[0] !== undefined) {
    if (options.sort || options.limit || options.all || options.search) throw new CliError('usage', '--sort, --limit, --all and --search are for lists');
    const { body } = await client.ask('GET', `${pathOf(noun, keys[0])}${params.size > 0 ? `?${params}` : ''}`, {
      json: options.output === 'json',
      hints: (problem) => byName(noun, keys[0]!, problem),
    });
    return showThing(noun, nouns, JSON.parse(body.toString()) as Row, options);
  }
  for (const [field, value] of filters) params.append(field, value);
  if (options.sort) params.set('sort', options.sort);
  if (options.search) params.set('q', options.search);
  const limit = options.all ? Number.POSITIVE_INFINITY : (options.limit ?? PAGE);
  const state = { more: false };
  const found = pages(client, noun, params, limit, state, options.output === 'json');
  if (options.output !== 'table') await emitPages(options.output, found);
  else if (options.quiet) for await (const rows of found) await write(rows.map((row) => `${keyOf(noun, row)}\n`).join(''));
  else await showTable(noun, nouns, found, options);
  if (state.more) note(`There are more; --all shows them, or --limit ${limit * 10}`);
}

async function showTable(noun: Noun, nouns: readonly Noun[], found: AsyncIterable<readonly Row[]>, options: GetOptions): Promise<void> {
  const names = columnsOf(noun, options.fields?.split(','), options.include?.split(',') ?? []);
  const all: Row[] = [];
  for await (const rows of found) all.push(...rows);
  if (all.length === 0) note(`There is no ${noun.title.toLowerCase()}${options.search ? ' of this search' : ''}`);
  else await write(`${rowsTable(noun, nouns, all, names)}\n`);
}

/** The pages of a list, until `limit`; says in `state` whether there was more. */
async function* pages(
  client: Client,
  noun: Noun,
  params: URLSearchParams,
  limit: number,
  state: { more: boolean },
  json: boolean,
): AsyncGenerator<readonly Row[]> {
  let path: string | undefined;
  for (let left = limit; left > 0;) {
    const size = Math.min(left, MAX_PAGE);
    params.set('limit', String(size));
    const { body } = await client.ask('GET', path ?? `/api/v1/${noun.route}?${params}`, { json });
    const page = JSON.parse(body.toString()) as Record<string, unknown> & { next?: string };
    const rows = (page[noun.plural] as readonly Row[]).slice(0, left);
    yield rows;
    left -= rows.length;
    path = page.next;
    state.more = path !== undefined;
    if (path === undefined) return;
  }
}

async function listNouns(nouns: readonly Noun[], { output, quiet }: GetOptions): Promise<void> {
  const short = nouns.map(({ noun, plural, summary, key, area }) => ({ noun, plural, key: key.join(':'), area, summary }));
  if (output !== 'table') return emit(output, short);
  if (quiet) return write(short.map((one) => `${one.plural}\n`).join(''));
  await write(
    `${table(
      ['noun', 'key', 'what it is'].map((title) => ({ title })),
      short.map((one) => [one.plural.replaceAll('_', '-'), one.key, one.summary]),
      { width: terminalWidth() },
    )}\n`,
  );
}

async function showThing(noun: Noun, nouns: readonly Noun[], row: Row, { output, quiet }: Common): Promise<void> {
  if (output !== 'table') return emit(output, row);
  await write(quiet ? `${keyOf(noun, row)}\n` : `${thingText(noun, nouns, row)}\n`);
}

async function startOf(noun: Noun, file: string | undefined): Promise<Record<string, unknown>> {
  return file === undefined ? {} : withSizes(noun, await readBodyFile(file));
}

function may(noun: Noun, verb: 'create' | 'set' | 'delete'): void {
  if (!noun.verbs.includes(verb))
    throw new CliError('usage', `a ${noun.title.toLowerCase()} has no ${verb}${noun.verbs.length > 0 ? `; it has ${noun.verbs.join(', ')}` : ''}`);
}

async function create(name: string, args: readonly string[], options: WriteOptions): Promise<void> {
  const nouns = await loadNouns();
  const noun = findNoun(nouns, name);
  may(noun, 'create');
  const body = parseAssignments(noun, args, await startOf(noun, options.file));
  await submit(noun, nouns, 'POST', `/api/v1/${noun.route}`, options, { body });
}

async function set(name: string, key: string, args: readonly string[], options: WriteOptions): Promise<void> {
  const nouns = await loadNouns();
  const noun = findNoun(nouns, name);
  may(noun, 'set');
  const start = await startOf(noun, options.file);
  if (Object.keys(start).length + args.length === 0 && !options.upsert)
    throw new CliError('usage', 'nothing to set: give field=value, or -f file', [`fields of a ${noun.noun}: ${Object.keys(noun.write).join(', ')}`]);
  const [client, path] = [createClient(options), pathOf(noun, key)];
  const hints = (problem: ProblemBody): string[] => byName(noun, key, problem);
  const patch = await patchOf(noun, args, start, { client, path, upsert: options.upsert ?? false, expected: options.ifVersion, hints });
  await submit(noun, nouns, options.upsert ? 'PUT' : 'PATCH', path, options, { patch, body: patch.body, key });
}

async function remove(name: string, key: string, options: WriteOptions): Promise<void> {
  const nouns = await loadNouns();
  const noun = findNoun(nouns, name);
  may(noun, 'delete');
  await submit(noun, nouns, 'DELETE', pathOf(noun, key), options, { key });
}

/** Sends a write, or its dry run, and shows what is answered. */
async function submit(
  noun: Noun,
  nouns: readonly Noun[],
  method: string,
  path: string,
  options: WriteOptions,
  { key, patch, ...sent }: { body?: unknown; key?: string; patch?: Patch },
): Promise<void> {
  const { body } = await createClient(options).ask(method, planPath(path, options), {
    ...sent,
    headers: { ...guard(options.ifVersion ?? patch?.version), ...planHeaders(options) },
    json: options.output === 'json',
    hints: (problem) => [
      ...hintsOf(noun, problem.errors ?? []),
      ...(key === undefined ? [] : byName(noun, key, problem)),
      ...(patch ? overtaken(patch, problem) : []),
      ...changedPlan(problem, nouns),
    ],
  });
  if (options.plan) return showPlan(JSON.parse(body.toString()) as PlanAnswer, options);
  if (method === 'DELETE') return;
  const row = JSON.parse(body.toString()) as Row;
  await showThing(noun, nouns, row, options);
  if (options.output === 'table') noteOnce(noun, row, options.quiet ?? false);
}

/** Where a key is no name, and a name was given: how things of that name are found. */
function byName(noun: Noun, key: string, problem: ProblemBody): string[] {
  const named = !noun.key.includes('name') && noun.fields.some((one) => one.name === 'name' && one.operators.length > 0);
  return problem.code === 'not-found' && named && !/^\d+$/.test(key) ? [`  by name: corral get ${noun.route} name=${clean(key)}`] : [];
}

/** The header that lets a write pass only on this version of the row, whatever its representation. */
function guard(version: number | undefined): Record<string, string> {
  return version === undefined ? {} : { 'if-match': `"${version}.cli"` };
}
