import { isDeepStrictEqual } from 'node:util';
import { Option, type Command } from 'commander';
import type { ChangeRow } from '../db/changes.ts';
import type { Plan, PlannedHost } from '../db/plan.ts';
import type { ProblemBody } from './errors.ts';
import { emit, write, type Form } from './emit.ts';
import { loadNouns, type Noun } from './nouns.ts';
import { wireValue } from './show.ts';
import { bold, clean, colourful, dim, green, red } from './text.ts';

/** Options of every command that writes. */
export interface PlanOptions {
  readonly plan?: boolean;
  /** The plan in full. */
  readonly diff?: boolean;
  readonly ifPlan?: string;
  readonly message?: string;
}

/** The answer to a dry run. */
export interface PlanAnswer {
  readonly plan: Plan;
  readonly status: number;
  readonly answer: unknown;
}

export function planOptions(command: Command): Command {
  return command
    .option('--plan', 'show what it would do, on every host too, and do nothing')
    .addOption(diffOption())
    .option('--if-plan <digest>', 'only if its effect is that of this plan')
    .option('-m, --message <text>', 'why; kept with the change');
}

/** Of every command that plans. */
export function diffOption(): Option {
  return new Option('--diff', 'as --plan, with all rows, hosts and differences of documents in full').implies({ plan: true });
}

/** The path of a write, or of its dry run. */
export function planPath(path: string, { plan }: PlanOptions): string {
  return plan ? `${path}${path.includes('?') ? '&' : '?'}dry_run=true` : path;
}

export function planHeaders({ ifPlan, message }: PlanOptions): Record<string, string> {
  return {
    ...(ifPlan === undefined ? {} : { 'if-plan': ifPlan }),
    /* Headers hold bytes: UTF-8, and nothing that would end them. */
    ...(message === undefined ? {} : { 'x-change-message': Buffer.from(message.replaceAll(/\s+/g, ' ').trim()).toString('latin1') }),
  };
}

/** Prints the answer to a dry run: for people, whole for programs, or with `quiet` the digest alone. */
export async function showPlan(
  answer: PlanAnswer,
  { output, quiet, diff = false }: { readonly output: Form; readonly quiet?: boolean; readonly diff?: boolean },
): Promise<void> {
  if (output !== 'table') return emit(output, answer);
  await write(quiet ? `${answer.plan.digest}\n` : planText(answer.plan, await loadNouns(), colourful(process.stdout), diff));
}

/** What is said below a refusal because the effect is another: the plan as it is now. */
export function changedPlan(problem: ProblemBody, nouns: readonly Noun[]): string[] {
  const plan = problem['plan'];
  return problem.code === 'plan-changed' && plan
    ? [
        '',
        ...planText(plan as Plan, nouns, colourful(process.stderr))
          .trimEnd()
          .split('\n'),
      ]
    : [];
}

const signs = { create: '+', update: '~', delete: '-' } as const;

/** What is shown of a long plan, where not all of it is asked for. */
const MOST = { rows: 20, hosts: 20, hostsInFull: 5, hostLines: 20, documents: 2, documentsInFull: 3, lines: 60, linesOfMany: 20 } as const;

/** A plan for people; a long one in short, unless `full`. */
export function planText({ rows, hosts, documents, digest }: Plan, nouns: readonly Noun[], colour: boolean, full = false): string {
  const out: string[] = [];
  const cut = new Set<string>();
  /** The first of a list, and what stands for the others. */
  const first = <T>(all: readonly T[], most: number, more: (n: number) => string, indent = ''): { shown: readonly T[]; rest: string[] } => {
    if (full || all.length <= most) return { shown: all, rest: [] };
    const text = more(all.length - most);
    cut.add(text);
    return { shown: all.slice(0, most), rest: [dim(`${indent}… and ${text}`, colour)] };
  };
  if (rows.length === 0) out.push('No row of desired state changes.');
  const someRows = first(rows, MOST.rows, (n) => counted(n, 'more row'));
  for (const row of someRows.shown) out.push(...rowLines(row, nouns, colour));
  out.push(...someRows.rest);
  const inFull = full || hosts.length <= MOST.hostsInFull;
  const someHosts = first(hosts, MOST.hosts, (n) => counted(n, 'more host'));
  if (!inFull) out.push('');
  for (const host of someHosts.shown) {
    const [head, ...lines] = inFull ? hostLines(host, colour) : [hostLine(host, colour)];
    const some = first(lines, MOST.hostLines, (n) => `${n} more of this host`, '    ');
    out.push(...(inFull ? [''] : []), head!, ...some.shown, ...some.rest);
  }
  out.push(...someHosts.rest);
  const most = documents.length <= MOST.documentsInFull ? MOST.documentsInFull : MOST.documents;
  const someDocuments = first(documents, most, (n) => (n === 1 ? '1 more document that changes' : `${n} more documents that change`));
  for (const document of someDocuments.shown) {
    const some = first(differenceLines(document.text, colour), someDocuments.rest.length > 0 ? MOST.linesOfMany : MOST.lines, (n) => counted(n, 'more line'));
    out.push('', ...some.shown, ...some.rest);
  }
  if (someDocuments.rest.length > 0) out.push('', ...someDocuments.rest);
  if (cut.size > 0) out.push('', 'This is the plan in short; --diff shows all of it.');
  const acting = hosts.filter((host) => host.acts).length;
  out.push('', `${hosts.length === 0 ? 'No host acts' : `${acting} of ${hosts.length} hosts act`}. Plan ${digest}`);
  return `${out.join('\n')}\n`;
}

const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

function rowLines(row: ChangeRow, nouns: readonly Noun[], colour: boolean): string[] {
  const paint = row.op === 'create' ? green : row.op === 'delete' ? red : bold;
  const name = row.label === undefined ? row.key : `${row.label} (${row.key})`;
  const out = [paint(`${signs[row.op]} ${row.noun.replaceAll('_', ' ')} ${clean(name)}`, colour)];
  const noun = nouns.find((one) => one.noun === row.noun);
  const text = (field: string, value: unknown): string => (value === null || value === undefined ? 'nothing' : wireValue(noun, field, value));
  for (const field of new Set([...Object.keys(row.before ?? {}), ...Object.keys(row.after ?? {})])) {
    const [before, after] = [row.before?.[field], row.after?.[field]];
    if (row.op === 'update')
      for (const [place, was, is] of differing(field, before, after)) out.push(`    ${place}: ${text(field, was)} -> ${text(field, is)}`);
    else if ((before ?? after ?? null) !== null) out.push(`    ${field}: ${text(field, before ?? after)}`);
  }
  return out;
}

/** What differs in a field: of mappings, the keys that do, as they are written in a command. */
function differing(place: string, before: unknown, after: unknown): [string, unknown, unknown][] {
  if (!isMapping(before) || !isMapping(after)) return [[clean(place), before, after]];
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((key) =>
    isDeepStrictEqual(before[key], after[key]) ? [] : differing(`${place}.${/^[\w:-]+$/.test(key) ? key : JSON.stringify(key)}`, before[key], after[key]),
  );
}

const isMapping = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** A host of many, on one line. */
function hostLine({ node, manager, acts, why, live, restart }: PlannedHost, colour: boolean): string {
  const told = (lines: readonly string[], when: string): string[] => {
    if (lines.length > 1) return [`${lines.length} things ${when}`];
    return lines.map((line) => `${when}: ${clean(line)}`);
  };
  const what = [...told(live, 'at once'), ...told(restart, 'at the next start')];
  const says = acts ? what.join('; ') || 'runs, and has nothing to change' : `does not act: ${clean(why ?? '')}`;
  return `${bold(`${clean(node)} (${manager})`, colour)}  ${says}`;
}

function hostLines({ node, manager, acts, why, live, restart }: PlannedHost, colour: boolean): string[] {
  const head = bold(`${clean(node)} (${manager})`, colour);
  const idle = live.length + restart.length === 0;
  return [
    acts ? head : `${head} does not act: ${clean(why ?? '')}`,
    ...(acts && idle ? ['    runs, and has nothing to change'] : []),
    ...live.map((line) => `    at once            ${clean(line)}`),
    ...restart.map((line) => `    at the next start  ${clean(line)}`),
  ];
}

/** A unified difference, coloured on a terminal. */
export function differenceLines(difference: string, colour: boolean): string[] {
  return difference
    .trimEnd()
    .split('\n')
    .map((line) => {
      const shown = clean(line);
      if (/^(---|\+\+\+|@@) /.test(line)) return dim(shown, colour);
      return line.startsWith('+') ? green(shown, colour) : line.startsWith('-') ? red(shown, colour) : shown;
    });
}
