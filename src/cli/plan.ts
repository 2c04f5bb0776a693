import type { Command } from 'commander';
import type { Plan, PlannedHost } from '../db/plan.ts';
import type { ProblemBody } from './errors.ts';
import { emit, write, type Form } from './emit.ts';
import { loadNouns, type Noun } from './nouns.ts';
import { wireValue } from './show.ts';
import { bold, clean, colourful, dim, green, red } from './text.ts';

/** Options of every command that writes. */
export interface PlanOptions {
  readonly plan?: boolean;
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
    .option('--if-plan <digest>', 'only if its effect is that of this plan')
    .option('-m, --message <text>', 'why; kept with the change');
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
export async function showPlan(answer: PlanAnswer, { output, quiet }: { readonly output: Form; readonly quiet?: boolean }): Promise<void> {
  if (output !== 'table') return emit(output, answer);
  await write(quiet ? `${answer.plan.digest}\n` : planText(answer.plan, await loadNouns(), colourful(process.stdout)));
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

/** A plan for people. */
export function planText({ rows, hosts, documents, digest }: Plan, nouns: readonly Noun[], colour: boolean): string {
  const out: string[] = [];
  if (rows.length === 0) out.push('No row of desired state changes.');
  for (const row of rows) {
    const paint = row.op === 'create' ? green : row.op === 'delete' ? red : bold;
    const name = row.label === undefined ? row.key : `${row.label} (${row.key})`;
    out.push(paint(`${signs[row.op]} ${row.noun.replaceAll('_', ' ')} ${clean(name)}`, colour));
    const noun = nouns.find((one) => one.noun === row.noun);
    const text = (field: string, value: unknown): string => (value === null || value === undefined ? 'nothing' : wireValue(noun, field, value));
    const fields = [...new Set([...Object.keys(row.before ?? {}), ...Object.keys(row.after ?? {})])];
    for (const field of fields) {
      const [before, after] = [row.before?.[field], row.after?.[field]];
      if (row.op === 'update') out.push(`    ${field}: ${text(field, before)} -> ${text(field, after)}`);
      else if ((before ?? after ?? null) !== null) out.push(`    ${field}: ${text(field, before ?? after)}`);
    }
  }
  for (const host of hosts) out.push('', ...hostLines(host, colour));
  for (const document of documents) out.push('', ...differenceLines(document.text, colour));
  out.push('', `${hosts.filter((host) => host.acts).length} of ${hosts.length} hosts act. Plan ${digest}`);
  return `${out.join('\n')}\n`;
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
