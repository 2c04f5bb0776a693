import type { Context } from 'hono';
import { parseRowQuery } from '../db/query.ts';
import { toProblem } from '../db/errors.ts';
import { getRow, type Row } from '../db/read.ts';
import { Planned, withOrigin, type Origin, type Values } from '../db/transaction.ts';
import { changeThing, createThing, deleteThing, putThing } from '../db/write.ts';
import type { Model } from '../db/catalog.ts';
import { decodeBody, isRecord, readBody } from '../kernel/codec.ts';
import { guardOf, type Guard } from '../kernel/etag.ts';
import { Problem } from '../kernel/problem.ts';
import { answer, formatOf, type Env, type Services } from './answer.ts';
import { changedFields, fromForm } from './form.ts';
import { formAgain } from './forms.ts';
import { idempotent, type Kept } from './idempotency.ts';
import { originOf } from './origin.ts';
import { answerPlan, planAgain, plannedRow, planningOf, planOrigin, type Outcome } from './plan.ts';
import { actionsOf, type Target } from './target.ts';
import { showPage } from './thing.ts';

type Ctx = Context<Env>;

/** POST, PUT, PATCH and DELETE of a noun, with a body or a form. */
export async function write(services: Services, context: Ctx, target: Target, possible: readonly string[]): Promise<Response> {
  const { model, key } = target;
  const request = context.req.raw;
  const type = request.headers.get('content-type');
  const isForm = type?.startsWith('application/x-www-form-urlencoded') ?? false;
  let method = context.req.method;
  let body: unknown;
  let bytes = new Uint8Array() as Uint8Array;
  if (method !== 'DELETE' || isForm) {
    bytes = await readBody(request, services.bodyLimit);
    body = decodeBody(bytes, type);
  }
  const form = isForm && isRecord(body) ? body : undefined;
  if (form) method = typeof form['_method'] === 'string' ? form['_method'].toUpperCase() : method;
  const search = new URL(context.req.url).searchParams;
  const planning = planningOf(context, search, form);
  parseRowQuery(model, search);
  if (!possible.includes(method))
    throw new Problem('method-not-allowed', `${method} is not possible here; possible: ${possible.join(', ')}`, { extra: { allow: possible.join(', ') } });
  const guard = (typeof form?.['_etag'] === 'string' ? form['_etag'] : undefined) ?? context.req.header('if-match');
  if (form && (method === 'PATCH' || method === 'PUT') && guard === undefined)
    throw new Problem('precondition-required', 'A form that changes a thing must send _etag (or If-Match), so that nobody overwrites what he has not seen');
  const versions = guardOf(guard);
  /* A form says here what it means. */
  if (form) for (const action of actionsOf(method, key)) context.get('identity')!.rights.demand(`${model.resource.noun}:${action}`);
  try {
    const input = form ? await formInput(services, target, form, method, versions) : body;
    const origin = { ...originOf(context), ...planOrigin(planning) };
    const keep = (row: unknown): Kept => keptRow(model, row as Row);
    const work = (own: Origin): Promise<Response> => carryOut(services, context, model, key, method, input, versions, own);
    return await (method === 'POST' ? idempotent(context, bytes, origin, keep, work) : work(origin));
  } catch (error) {
    const again = form && { model, action: context.req.path, values: form };
    if (error instanceof Planned) return answerPlan(services, context, error, planning, outcomeOf(model, method, error.value), again);
    const problem = toProblem(error, services.catalog, model);
    if (again && problem instanceof Problem && problem.code === 'plan-changed' && formatOf(context) === 'html')
      return planAgain(services, context, problem, again);
    if (form && problem instanceof Problem && formatOf(context) === 'html' && method !== 'DELETE')
      return formAgain(services, context, target, form, problem, guard);
    throw problem;
  }
}

/** What a form asks for; of a change, what is other than in the row that the form was made of. */
async function formInput(services: Services, { model, key }: Target, form: Values, method: string, versions: Guard): Promise<Values> {
  const input = fromForm(model, form, method === 'POST');
  if (method !== 'PATCH' || key === undefined) return input;
  const row = await getRow(services.db(), services.catalog, model, key);
  /* A form that is older than the row is refused, with all that it holds. */
  return versions === 'any' || versions?.includes(row['version'] as number) ? changedFields(model, row, input) : input;
}

/** What a write of this method answers; `value` is what its verb returns. */
function outcomeOf(model: Model, method: string, value: unknown): Outcome {
  if (method === 'DELETE') return { status: 204, answer: null };
  if (method === 'POST') return { status: 201, answer: plannedRow(model, value as Row) };
  const { row, created } = method === 'PUT' ? (value as { row: Row; created: boolean }) : { row: value as Row, created: false };
  return { status: created ? 201 : 200, answer: plannedRow(model, row) };
}

const hrefOf = (model: Model, row: Row): string => `/api/v1/${model.route}/${String(row['id'])}`;

/** What a creation shows now and never again. */
function onceOf(model: Model, row: Row): Row {
  const shown = model.fields.flatMap((field) => (field.writeOnly ? [] : field.name));
  const usual = new Set(['id', 'version', 'created_at', 'updated_at', ...shown, ...Object.keys(model.parts)]);
  return Object.fromEntries(Object.entries(row).filter(([name]) => !usual.has(name)));
}

/** The answer to a creation, to be given again. */
function keptRow(model: Model, row: Row): Kept {
  const secret = Object.keys(onceOf(model, row)).length > 0;
  return { status: 201, data: row, location: hrefOf(model, row), version: row['version'] as number, secret };
}

async function carryOut(
  services: Services,
  context: Ctx,
  model: Model,
  key: string | undefined,
  method: string,
  input: unknown,
  versions: Guard,
  origin: Origin,
): Promise<Response> {
  const store = withOrigin(services.store, origin);
  const format = formatOf(context);
  const href = (row: Row): string => hrefOf(model, row);
  if (method === 'POST') {
    const row = await createThing(store, model, input);
    const once = onceOf(model, row);
    if (format === 'html' && Object.keys(once).length > 0) return showPage(services, context, model, row, once);
    if (format === 'html') return context.redirect(href(row), 303);
    return answer(context, format, row, () => '', { status: 201, version: row['version'] as number, headers: { Location: href(row) } });
  }
  if (method === 'DELETE') {
    await deleteThing(store, model, key!, versions);
    return format === 'html' ? context.redirect(`/api/v1/${model.route}`, 303) : context.body(null, 204);
  }
  const { row, created } =
    method === 'PUT' ? await putThing(store, model, key!, input, versions) : { row: await changeThing(store, model, key!, input, versions), created: false };
  if (format === 'html') return context.redirect(href(row), 303);
  return answer(context, format, row, () => '', {
    status: created ? 201 : 200,
    version: row['version'] as number,
    headers: created ? { Location: href(row) } : {},
  });
}
