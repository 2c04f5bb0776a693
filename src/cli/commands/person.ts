import type { Command } from 'commander';
import { emit, note, outputOption, write, type Form } from '../emit.ts';
import { clientOptions, createClient, type Client, type ClientOptions } from '../http.ts';
import { withCorral } from '../local.ts';

interface Options extends ClientOptions {
  readonly local?: boolean;
  readonly output: Form;
}

type Row = Readonly<Record<string, unknown>>;

interface Create extends Options {
  readonly admin?: boolean;
  readonly fullName?: string;
  readonly email?: string;
}

/** `corral person create|reset`. */
export function personCommand(program: Command): void {
  const person = program
    .command('person')
    .summary('make people who log in, and help those who cannot')
    .description('Makes people who log in to the pages, and links with which they set a password. Corral never shows, and nobody else ever knows, a password.');
  const add = (command: Command): Command =>
    clientOptions(command).option('--local', 'work on the database itself, with no token: for whoever cannot log in at all').addOption(outputOption());
  add(
    person
      .command('create <name>')
      .summary('make a person and print the link to log in')
      .description('Makes a person and prints a link on stdout. It sets the password, once, within an hour.')
      .option('--admin', 'the person may do everything')
      .option('--full-name <name>', 'the name as the person writes it')
      .option('--email <address>', 'where to reach them'),
  )
    .addHelpText('after', '\nExamples:\n  corral person create jane --admin --full-name "Jane Doe"\n  corral person create joe@example.com --local')
    .action(create);
  add(
    person
      .command('reset <name>')
      .summary('make a new link for a person who cannot log in')
      .description(
        'Prints a new link on stdout: it sets a new password, once, within an hour; then every session of the person ends. Links made before are good no more.',
      )
      .option('--second-factor', 'also remove the second factor, for who has lost the phone and the recovery codes'),
  )
    .addHelpText('after', '\nExamples:\n  corral person reset jane\n  corral person reset jane --second-factor --local')
    .action(reset);
}

async function create(name: string, { admin, fullName, email, ...options }: Create): Promise<void> {
  const body = { name, ...(admin ? { admin } : {}), ...(fullName === undefined ? {} : { full_name: fullName }), ...(email === undefined ? {} : { email }) };
  if (options.local) {
    const { createThing } = await import('../../db/write.ts');
    const row = await withCorral(async ({ store, catalog }) => createThing({ ...store, publicUrl: await localUrl() }, catalog.byNoun('person'), body));
    return show(row, options);
  }
  const client = createClient(options);
  await show(absolute(await ask(client, 'POST', '/api/v1/people', { body, json: options.output === 'json' }), options), options);
}

async function reset(name: string, { secondFactor, ...options }: Options & { secondFactor?: boolean }): Promise<void> {
  if (options.local) return show(await resetLocally(name, secondFactor ?? false), options);
  const client = createClient(options);
  const path = `/api/v1/people/${encodeURIComponent(name)}`;
  const row = await ask(client, 'POST', `${path}/reset`, {});
  if (secondFactor) await ask(client, 'DELETE', `${path}/second-factor`, {});
  await show(absolute(row, options), options);
}

async function ask(client: Client, method: string, path: string, what: Parameters<Client['ask']>[2]): Promise<Row> {
  return JSON.parse((await client.ask(method, path, what)).body.toString()) as Row;
}

async function resetLocally(name: string, secondFactor: boolean): Promise<Row> {
  const [{ resetPerson }, { tell }] = await Promise.all([import('../../auth/people/reset.ts'), import('../../auth/people/settings.ts')]);
  return withCorral(async ({ store, pool }) => ({
    ...(await resetPerson({ ...store, publicUrl: await localUrl() }, pool, name, { secondFactor, audit: tell, actor: store.origin!.actor })),
  }));
}

/** Where the server is that works on this database, as far as the settings say. */
async function localUrl(): Promise<string> {
  const { loadConfig } = await import('../../kernel/config.ts');
  const { public_url: published, host, port } = loadConfig(process.env).config;
  return published ?? `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** A server that does not know its own address gives a path; we know how we reached it. */
function absolute(row: Row, options: ClientOptions): Row {
  const base = options.url ?? (process.env['CORRAL_URL'] || 'http://127.0.0.1:8080');
  return { ...row, login_link: new URL(String(row['login_link']), base).href };
}

async function show(row: Row, { output }: Options): Promise<void> {
  if (output !== 'table') return emit(output, row);
  note(`The link of '${String(row['name'])}' sets the password, once, within an hour; it is not shown again:`);
  await write(`${String(row['login_link'])}\n`);
}
