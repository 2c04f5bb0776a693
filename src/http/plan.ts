import type { Context } from 'hono';
import type { Model } from '../db/catalog.ts';
import { planChanged } from '../db/plan.ts';
import type { Row } from '../db/read.ts';
import type { Origin, Planned } from '../db/transaction.ts';
import { Problem } from '../kernel/problem.ts';
import type { PlanView } from '../pages/types.ts';
import { answer, formatOf, pageContext, type Env, type Services } from './answer.ts';

/** How a request that writes is meant. */
export interface Planning {
  /** Answer what it would do, and do nothing. */
  readonly dryRun: boolean;
  /** Do it only if its effect is that of this plan. */
  readonly digest: string | undefined;
  /** Why, where a form says so. */
  readonly message: string | undefined;
}

/** As X-Change-Message has it. */
const LONGEST_MESSAGE = 500;
const DIGEST = /^"?(sha256:[0-9a-f]{64})"?$/;

/**
 * Reads `dry_run` and If-Plan, or `_plan` of a form; takes the parameter out of the search, so that what is left in it is unknown.
 * @throws Problem bad-request
 */
export function planningOf(context: Context<Env>, search: URLSearchParams, form?: Readonly<Record<string, unknown>>): Planning {
  const asked = search.getAll('dry_run');
  search.delete('dry_run');
  if (asked.length > 1 || (asked[0] !== undefined && asked[0] !== 'true' && asked[0] !== 'false'))
    throw new Problem('bad-request', "dry_run is 'true' or 'false', once", { extra: { parameter: 'dry_run' } });
  const given = (typeof form?.['_plan'] === 'string' ? form['_plan'] : undefined) ?? context.req.header('if-plan');
  const digest = given === undefined ? undefined : DIGEST.exec(given.trim())?.[1];
  if (given !== undefined && digest === undefined)
    throw new Problem('bad-request', 'If-Plan must be the digest of a plan, as ?dry_run=true answers it: sha256: and 64 hexadecimal digits');
  const message = typeof form?.['_message'] === 'string' ? form['_message'].trim().slice(0, LONGEST_MESSAGE) : '';
  return { dryRun: asked[0] === 'true', digest, message: message === '' ? undefined : message };
}

/** What the store's origin is told of it. */
export function planOrigin({ dryRun, digest, message }: Planning): Pick<Origin, 'plan' | 'message'> {
  return { ...(message === undefined ? {} : { message }), ...(dryRun ? { plan: 'only' } : digest === undefined ? {} : { plan: { digest } }) };
}

/** What the write would have been answered with. */
export interface Outcome {
  readonly status: number;
  readonly answer: unknown;
}

/**
 * The answer to a dry run: the plan, and what the write would answer.
 * @param again of a form: what makes it, when the person agrees
 * @throws Problem plan-changed, as the write would
 */
export function answerPlan(
  services: Services,
  context: Context<Env>,
  { plan }: Planned,
  planning: Planning,
  outcome: Outcome,
  again?: PlanView['again'],
): Response {
  if (planning.digest !== undefined && planning.digest !== plan.digest) throw planChanged(plan);
  const view = { plan, ...(again ? { again } : {}) };
  return answer(context, formatOf(context), { plan, ...outcome }, () => services.pages.plan(pageContext(services, context), view));
}

/** The page of a plan that is another than the person agreed to. */
export function planAgain(services: Services, context: Context<Env>, problem: Problem, again: PlanView['again']): Response {
  const plan = problem.extra['plan'] as PlanView['plan'];
  const page = services.pages.plan(pageContext(services, context), { plan, problem: problem.toDocument(), ...(again ? { again } : {}) });
  return context.body(page, 409, { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store' });
}

/** A row as it would be answered; what is made to be shown once would be another the next time. */
export function plannedRow(model: Model, row: Row): Row {
  const shown = model.fields.flatMap((field) => (field.writeOnly ? [] : field.name));
  const usual = new Set(['id', 'version', 'created_at', 'updated_at', ...shown, ...Object.keys(model.parts)]);
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, usual.has(name) ? value : '(secret)']));
}
