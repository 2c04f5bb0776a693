import { InvalidArgumentError, type Command } from 'commander';
import type { Change, ChangeRow } from '../../db/changes.ts';
import { emit, emitPages, note, outputOption, write, type Form } from '../emit.ts';
import { CliError } from '../exit.ts';
import type { ProblemBody } from '../errors.ts';
import { clientOptions, createClient, type Client, type ClientOptions } from '../http.ts';
import { withCorral } from '../local.ts';
import { findNoun, loadNouns, type Noun } from '../nouns.ts';
import { changedPlan, differenceLines, planHeaders, planOptions, planPath, showPlan, type PlanAnswer, type PlanOptions } from '../plan.ts';
import { wireValue } from '../show.ts';
import { bold, clean, colourful, dim, green, red, table, terminalWidth } from '../text.ts';

interface Options extends ClientOptions {
  readonly output: Form;
}

interface Head extends Omit<Change, 'rows' | 'documents'> {
  readonly reverted_by: readonly number[];
  readonly counts: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly things: readonly ChangeRow[];
}

interface Entry {
  readonly change: number;
  readonly at: string;
  readonly actor: string;
  readonly message: string | null;
  readonly noun: string;
  readonly op: ChangeRow['op'];
  readonly before: unknown;
  readonly after: unknown;
}

const PAGE = 50;
const MAX_PAGE = 1000;

const whole = (text: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
};

/** `corral changes`, `change`, `history`, `diff` and `revert`. */
export function changeCommands(program: Command): void {
  const common = (command: Command): Command => clientOptions(command.addOption(outputOption()));
  common(program.command('changes [filter...]').summary('list changes, newest first').description('Lists what was changed: who, when, why, and what.'))
    .option('--limit <n>', `at most so many (default ${PAGE})`, whole)
    .option('--all', 'all that are kept')
    .addHelpText(
      'after',
      `
Filters:
  actor=NAME  message__contains=TEXT  request_id=ID  noun=vm  key=KEY (with noun)  node=FQDN
  since= and until=, each a number or a time such as 2026-05-01T12:00:00Z  reverts=NUMBER

Examples:
  corral changes
  corral changes actor=anna since=2026-05-01T00:00:00Z
  corral changes noun=vm key=7 --all
  corral changes node=hv1.example.com -o json`,
    )
    .action(changes);
  common(
    program.command('change <number>').summary('show a change').description('Shows a change with its rows before and after, and the documents that it gave.'),
  )
    .addHelpText('after', '\nExamples:\n  corral change 41\n  corral change 41 -o json')
    .action(change);
  const history = common(
    program
      .command('history')
      .argument('[noun]')
      .argument('[key]')
      .argument('[field]')
      .summary('show what changes did to a thing')
      .description('Shows what changes did to a thing, or to one field of it, newest first; also to one that is deleted, by its id or the key that it had.'),
  )
    .option('--limit <n>', `at most so many (default ${PAGE})`, whole)
    .addHelpText('after', '\nExamples:\n  corral history vm 7\n  corral history vm 7 cores\n  corral history node hv1.example.com -o json')
    .action(thing);
  history
    .command('prune')
    .summary('drop old changes')
    .description('Drops changes and documents that are too old, on the database itself; serving processes do so every hour by themselves.')
    .option('--days <n>', 'older than so many days (else CORRAL_HISTORY_DAYS)', whole)
    .option('--plan', 'only say how many')
    .addHelpText('after', '\nExamples:\n  corral history prune --plan\n  corral history prune --days 90')
    .action(prune);
  common(
    program
      .command('diff <node>')
      .summary('show what changed in a document')
      .description("Shows the difference of a node's document between two changes or times."),
  )
    .option('--from <point>', 'number of a change, or a time (else the version before)')
    .option('--to <point>', 'number of a change, or a time (else now)')
    .addHelpText(
      'after',
      '\nExamples:\n  corral diff hv1.example.com\n  corral diff hv1.example.com --from 40 --to 41\n  corral diff hv1.example.com --from 2026-05-01T12:00:00Z -o json',
    )
    .action(diff);
  planOptions(
    common(
      program.command('revert <number>').summary('undo a change').description('Undoes a change by a new one; refused while later changes stand in its way.'),
    ),
  )
    .addHelpText('after', '\nExamples:\n  corral revert 41 --plan\n  corral revert 41 -m "Not after all"')
    .action(revert);
}

const ops = { create: 'made', update: 'changed', delete: 'deleted' } as const;
const when = (at: string): string => at.replace('T', ' ').replace(/\.\d+Z$/, 'Z');
const named = (row: Pick<ChangeRow, 'noun' | 'key' | 'label'>): string => clean(`${row.noun.replaceAll('_', ' ')} ${row.label ?? row.key}`);

async function changes(filters: readonly string[], { limit, all, output, ...options }: Options & { limit?: number; all?: boolean }): Promise<void> {
  const params = new URLSearchParams();
  for (const filter of filters) {
    const at = filter.indexOf('=');
    if (at < 1) throw new CliError('usage', `'${filter}' is not a filter of the form name=value`, ['e.g. corral changes actor=anna']);
    params.append(filter.slice(0, at), filter.slice(at + 1));
  }
  const state = { more: false };
  const found = pages<Head>(
    createClient(options),
    `/api/v1/changes?${params}`,
    'changes',
    all ? Number.POSITIVE_INFINITY : (limit ?? PAGE),
    state,
    output === 'json',
  );
  if (output !== 'table') await emitPages(output, found);
  else {
    const heads: Head[] = [];
    for await (const page of found) heads.push(...page);
    if (heads.length === 0) note(filters.length === 0 ? 'There is no change yet' : 'There is no such change');
    else await write(`${headTable(heads)}\n`);
  }
  if (state.more) note('There are more; --all shows them');
}

function headTable(heads: readonly Head[]): string {
  const what = ({ counts, things }: Head): string => {
    const rows = Object.values(counts).reduce((sum, one) => sum + Object.values(one).reduce((all, n) => all + n, 0), 0);
    const first = things[0];
    return first ? `${named(first)} ${ops[first.op]}${rows > 1 ? ` and ${rows - 1} more` : ''}` : 'documents';
  };
  const rows = heads.map((one) => [
    String(one.number),
    when(one.at),
    clean(one.actor),
    what(one),
    clean(one.message ?? '-') + (one.reverted_by.length > 0 ? ` (undone by ${one.reverted_by.join(', ')})` : ''),
  ]);
  return table([{ title: 'change', right: true }, { title: 'at' }, { title: 'by' }, { title: 'what' }, { title: 'message' }], rows, {
    width: terminalWidth(),
    colour: colourful(process.stdout),
  });
}

async function* pages<T>(client: Client, first: string, name: string, limit: number, state: { more: boolean }, json: boolean): AsyncGenerator<readonly T[]> {
  let path: string | undefined = `${first}&limit=${Math.min(limit, MAX_PAGE)}`;
  for (let left = limit; left > 0 && path !== undefined;) {
    const page = JSON.parse((await client.ask('GET', path, { json })).body.toString()) as Record<string, unknown> & { next?: string };
    const rows = (page[name] as readonly T[]).slice(0, left);
    yield rows;
    left -= rows.length;
    path = page.next;
    state.more = path !== undefined;
  }
}

async function change(number: string, { output, ...options }: Options): Promise<void> {
  const { body } = await createClient(options).ask('GET', `/api/v1/changes/${encodeURIComponent(number)}`, { json: output === 'json' });
  await showChange(JSON.parse(body.toString()) as Change & { reverted_by?: readonly number[] }, output);
}

async function showChange(found: Change & { readonly reverted_by?: readonly number[] }, output: Form): Promise<void> {
  if (output !== 'table') return emit(output, found);
  const nouns = await loadNouns();
  const colour = colourful(process.stdout);
  const out = [bold(`Change ${found.number}`, colour), `${dim('by', colour)}       ${clean(found.actor)}`, `${dim('at', colour)}       ${found.at}`];
  if (found.message !== null) out.push(`${dim('message', colour)}  ${clean(found.message)}`);
  if (found.request_id !== null) out.push(`${dim('request', colour)}  ${clean(found.request_id)}`);
  if (found.reverts !== null) out.push(`${dim('undid', colour)}    change ${found.reverts}`);
  if (found.reverted_by?.length) out.push(`${dim('undone', colour)}   by change ${found.reverted_by.join(', ')}`);
  for (const row of found.rows) out.push('', `${bold(named(row), colour)} ${ops[row.op]}`, ...rowLines(row, nounOf(nouns, row), colour));
  if (found.documents.length > 0) out.push('', `Documents: ${found.documents.map(({ node, version }) => `${clean(node)} ${version}`).join(', ')}`);
  await write(`${out.join('\n')}\n`);
}

const nounOf = (nouns: readonly Noun[], row: Pick<ChangeRow, 'noun'>): Noun | undefined => nouns.find((one) => one.noun === row.noun);
const text = (noun: Noun | undefined, name: string, value: unknown): string => (value === null || value === undefined ? '-' : wireValue(noun, name, value));

/** Field by field: before and after. */
function rowLines(row: Pick<ChangeRow, 'op' | 'before' | 'after'>, noun: Noun | undefined, colour: boolean): string[] {
  const { before = {}, after = {}, op } = row;
  const names = Object.keys(op === 'delete' ? before : after).filter((name) => op === 'update' || (before[name] ?? after[name]) != null);
  const width = Math.max(0, ...names.map((name) => name.length));
  return names.map((name) => {
    const values =
      op === 'update'
        ? `${red(text(noun, name, before[name]), colour)} -> ${green(text(noun, name, after[name]), colour)}`
        : text(noun, name, op === 'delete' ? before[name] : after[name]);
    return `  ${name.padEnd(width)}  ${values}`;
  });
}

async function thing(
  name: string | undefined,
  key: string | undefined,
  field: string | undefined,
  { limit = PAGE, output, ...options }: Options & { limit?: number },
): Promise<void> {
  if (name === undefined || key === undefined) throw new CliError('usage', 'give a noun and a key', ['e.g. corral history vm 7']);
  const nouns = await loadNouns();
  const noun = findNoun(nouns, name);
  const state = { more: false };
  const path = `/api/v1/${noun.route}/${encodeURIComponent(key)}/history?${new URLSearchParams(field === undefined ? {} : { field })}`;
  const found = pages<Entry>(createClient(options), path, 'history', limit, state, output === 'json');
  if (output !== 'table') await emitPages(output, found);
  else {
    const entries: Entry[] = [];
    for await (const page of found) entries.push(...page);
    if (entries.length === 0) note('No change of it is kept');
    else await write(field === undefined ? historyText(entries, nouns) : `${fieldTable(entries, noun, field)}\n`);
  }
  if (state.more) note(`There are more; --limit ${limit * 10} shows them`);
}

function fieldTable(entries: readonly Entry[], noun: Noun, field: string): string {
  const value = (one: unknown): string => text(noun, field, one);
  const rows = entries.map((one) => [String(one.change), when(one.at), clean(one.actor), value(one.before), value(one.after), clean(one.message ?? '-')]);
  return table([{ title: 'change', right: true }, { title: 'at' }, { title: 'by' }, { title: 'before' }, { title: 'after' }, { title: 'message' }], rows, {
    width: terminalWidth(),
    colour: colourful(process.stdout),
  });
}

function historyText(entries: readonly Entry[], nouns: readonly Noun[]): string {
  const colour = colourful(process.stdout);
  return entries
    .map((one) => {
      const head = `${bold(`Change ${one.change}`, colour)}  ${when(one.at)}  ${clean(one.actor)}  ${one.noun.replaceAll('_', ' ')} ${ops[one.op]}`;
      const side = (value: unknown): ChangeRow['before'] & object => (value ?? {}) as ChangeRow['before'] & object;
      const lines = rowLines({ op: one.op, before: side(one.before), after: side(one.after) }, nounOf(nouns, one), colour);
      return `${[head, ...(one.message === null ? [] : [`  ${dim(clean(one.message), colour)}`]), ...lines].join('\n')}\n`;
    })
    .join('\n');
}

async function prune(options: { days?: number; plan?: boolean }): Promise<void> {
  const { loadConfig } = await import('../../kernel/config.ts');
  const { clearHistory, countClearable } = await import('../../changes/retention.ts');
  const days = options.days ?? loadConfig(process.env).config.history_days;
  if (days === 0)
    return note(
      options.days === 0 ? '0 days keep history for ever: nothing is dropped' : 'History is kept for ever (CORRAL_HISTORY_DAYS is 0); --days says otherwise',
    );
  const { changes, versions } = await withCorral(({ pool }) => (options.plan ? countClearable(pool, days) : clearHistory(pool, days)));
  const done = options.plan ? 'would be dropped' : 'dropped';
  await write(
    `${changes} ${changes === 1 ? 'change' : 'changes'} and ${versions} ${versions === 1 ? 'document' : 'documents'} of more than ${days} days ago ${done}\n`,
  );
}

async function diff(node: string, { from, to, output, ...options }: Options & { from?: string; to?: string }): Promise<void> {
  const params = new URLSearchParams({ ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) });
  const { body } = await createClient(options).ask('GET', `/documents/${encodeURIComponent(node)}/diff?${params}`, { json: output === 'json' });
  const found = JSON.parse(body.toString()) as { text: string };
  if (output !== 'table') return emit(output, found);
  if (found.text === '') note('No difference');
  else await write(`${differenceLines(found.text, colourful(process.stdout)).join('\n')}\n`);
}

async function revert(number: string, { output, ...options }: Options & PlanOptions): Promise<void> {
  const nouns = await loadNouns();
  const { body } = await createClient(options).ask('POST', planPath(`/api/v1/changes/${encodeURIComponent(number)}/revert`, options), {
    headers: planHeaders(options),
    json: output === 'json',
    hints: (problem) => [...standing(problem), ...changedPlan(problem, nouns)],
  });
  const answer = JSON.parse(body.toString()) as (Change & { readonly warnings: readonly string[] }) | PlanAnswer;
  const warnings = 'plan' in answer ? ((answer.answer as { warnings?: readonly string[] } | null)?.warnings ?? []) : answer.warnings;
  if ('plan' in answer) await showPlan(answer, { output, ...options });
  else await showChange(answer, output);
  if (output === 'table') for (const warning of warnings) note(`Warning: ${clean(warning)}`);
}

/** The later changes that stand in the way, a line each. */
function standing(problem: ProblemBody): string[] {
  const list =
    problem.code === 'stands-in-the-way' && Array.isArray(problem['changes'])
      ? (problem['changes'] as { number: number; at: string; actor: string; what: readonly string[] }[])
      : [];
  return list.map((one) => `  change ${one.number}  ${when(one.at)}  ${clean(one.actor)}  ${one.what.map(clean).join('; ')}`);
}
