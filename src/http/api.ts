import { Hono, type Context } from 'hono';
import { allow } from '../auth/identity.ts';
import { CONVERGENCE, reverseNames, parseListQuery, parseRowQuery, type ListQuery } from '../db/query.ts';
import type { Model } from '../db/catalog.ts';
import { getRow, idOf, keyOf, listRows, type Row } from '../db/read.ts';
import { toProblem } from '../db/errors.ts';
import { changeThing, createThing, deleteThing, putThing } from '../db/write.ts';
import type { Values } from '../db/transaction.ts';
import type { Convergence } from '../reports/convergence.ts';
import { decodeBody, isRecord, readBody } from '../kernel/codec.ts';
import { guardOf, type Guard } from '../kernel/etag.ts';
import { splitSuffix, type Format } from '../kernel/negotiate.ts';
import { Problem } from '../kernel/problem.ts';
import { keyHref } from '../pages/link.ts';
import type { Option, Related } from '../pages/types.ts';
import { parseWait, untilConverged, waitParameters } from '../events/wait.ts';
import { answer, formatOf, offered, pageContext, type Env, type Services } from './answer.ts';
import { convergenceOfKey, withConvergence } from './convergence.ts';
import { fromForm } from './form.ts';

/** Rows of a relation on the page of a thing. */
const RELATED = 25;
/** References with no more than this many keys are offered as a choice in forms. */
const CHOICES = 200;

type Ctx = Context<Env>;

interface Target {
  readonly model: Model;
  /** Undefined: the list. */
  readonly key: string | undefined;
  readonly suffix: Format | undefined;
  /** `/convergence` below the thing is meant. */
  readonly convergence?: boolean;
}

/**
 * `/api/v1/<nouns>` and `/api/v1/<nouns>/<id or natural key>`, for every noun of the catalog, and
 * `/forms/<nouns>[/<key>]` for people.
 */
export function apiRoutes(services: Services): Hono<Env> {
  const app = new Hono<Env>();
  app.get('/api/v1', (context) => index(services, context));
  app.all('/api/v1/*', (context) => dispatch(services, context, targetOf(services, context.req.url, '/api/v1/')));
  app.get('/forms/*', (context) => showForm(services, context, targetOf(services, context.req.url, '/forms/')));
  return app;
}

function targetOf(services: Services, url: string, prefix: string): Target {
  const path = new URL(url).pathname.slice(prefix.length);
  const [first = '', ...rest] = path.split('/');
  let key: string | undefined;
  try {
    key = rest.length === 0 || (rest.length === 1 && rest[0] === '') ? undefined : rest.map(decodeURIComponent).join('/');
  } catch {
    throw new Problem('bad-request', 'The path holds a broken percent sign');
  }
  if (key?.includes('\0')) throw new Problem('bad-request', 'The path holds a NUL character');
  const name = key === undefined ? splitSuffix(first, offered) : { name: first };
  const model = services.catalog.byRoute(name.name);
  if (!model) throw new Problem('not-found', `There is no noun '${name.name.slice(0, 100)}'; /api/v1 lists them`);
  if (key === undefined) return { model, key, suffix: 'format' in name ? name.format : undefined };
  const split = splitSuffix(key, offered);
  const below = model.resource.observed ? /^(.+)\/convergence$/.exec(split.name)?.[1] : undefined;
  return { model, key: below ?? split.name, suffix: split.format, convergence: below !== undefined };
}

async function dispatch(services: Services, context: Ctx, target: Target): Promise<Response> {
  formatOf(context, offered, target.suffix);
  const method = context.req.method;
  try {
    if (method === 'GET' || method === 'HEAD') {
      allow(context.get('identity')!, 'read');
      if (target.convergence) return await showConvergence(services, context, target.model, target.key!);
      return await (target.key === undefined ? list(services, context, target.model) : show(services, context, target.model, target.key));
    }
    const possible = methodsOf(target);
    if (!possible.includes(method) && !(method === 'POST' && target.key !== undefined && !target.convergence)) {
      throw new Problem('method-not-allowed', `${method} is not possible here; possible: ${possible.join(', ')}`, { extra: { allow: possible.join(', ') } });
    }
    allow(context.get('identity')!, 'write');
    return await write(services, context, target, possible);
  } catch (error) {
    throw toProblem(error, services.catalog, target.model);
  }
}

function methodsOf({ model, key, convergence }: Target): string[] {
  if (convergence) return ['GET'];
  const without = new Set(model.resource.readOnly ? ['create', 'update', 'delete'] : model.resource.without);
  if (key === undefined) return ['GET', ...(without.has('create') ? [] : ['POST'])];
  return [
    'GET',
    ...(without.has('update') ? [] : ['PATCH', ...(without.has('create') || hasComputedKey(model) ? [] : ['PUT'])]),
    ...(without.has('delete') ? [] : ['DELETE']),
  ];
}

/** A thing whose key the database makes cannot be put under a key of the client's. */
function hasComputedKey(model: Model): boolean {
  return model.resource.key.some((name) => model.field.get(name)!.readOnly);
}

function index(services: Services, context: Ctx): Response {
  allow(context.get('identity')!, 'read');
  const nouns = services.catalog.models.map((model) => ({ noun: model.resource.noun, href: `/api/v1/${model.route}`, summary: model.resource.summary }));
  return context.json({ version: services.version, openapi: '/openapi.json', docs: '/docs', nouns });
}

async function list(services: Services, context: Ctx, model: Model): Promise<Response> {
  const format = formatOf(context);
  const url = new URL(context.req.url);
  /* A form without script sends its empty inputs too. */
  if (format === 'html') for (const name of new Set(url.searchParams.keys())) url.searchParams.delete(name, '');
  const query = parseListQuery(services.catalog, model, url.searchParams);
  const page = await listRows(
    services.db(),
    services.catalog,
    model,
    format === 'html' ? { ...query, total: true, include: [...query.include, ...labelled(services, model, query)] } : query,
  );
  const headers: Record<string, string> = {};
  if (page.next !== undefined) {
    url.searchParams.set('after', page.next);
    headers['Link'] = `<${url.pathname}${url.search}>; rel="next"`;
  }
  const data = {
    [model.resource.plural]: await withConvergence(services, model, page.rows, query.include),
    ...(page.next === undefined ? {} : { next: `${url.pathname}${url.search}` }),
    ...(page.total === undefined ? {} : { total: page.total }),
  };
  return answer(context, format, data, () => services.pages.list(pageContext(services, context), { model, page }), { headers });
}

/** References that people know by a label: included, so that a list shows it. */
function labelled(services: Services, model: Model, query: ListQuery): string[] {
  const names = model.fields
    .filter((field) => field.ref !== undefined && services.catalog.byNoun(field.ref).resource.label !== undefined)
    .map((field) => field.name);
  return names.filter((name) => !query.include.includes(name));
}

/** What comes with the rows that live and die with a thing: the addresses of a VM's interfaces. */
function belongings({ model, field }: Pick<Related, 'model' | 'field'>): string[] {
  const { deleteRule } = (model.meta.properties as Record<string, { deleteRule?: string }>)[field.name] ?? {};
  return deleteRule === 'cascade' ? [...reverseNames(model)].filter(([, one]) => one.model !== model).map(([name]) => name) : [];
}

async function show(services: Services, context: Ctx, model: Model, key: string): Promise<Response> {
  const format = formatOf(context);
  const { searchParams } = new URL(context.req.url);
  const patience = parseWait(model, searchParams);
  const query = parseRowQuery(model, searchParams, model.resource.observed ? waitParameters : []);
  if (patience !== undefined) return showConverged(services, context, model, key, query, patience);
  const [row] = (await withConvergence(services, model, [await getRow(services.db(), services.catalog, model, key, query)], query.include)) as [Row];
  const version = row['version'] as number | undefined;
  return format === 'html' ? showPage(services, context, model, row) : answer(context, format, row, () => '', { version });
}

/** A thing when its hosts are converged with it, or as it is when the time is over: `convergence` and the header say which. */
async function showConverged(
  services: Services,
  context: Ctx,
  model: Model,
  key: string,
  query: Pick<ListQuery, 'fields' | 'include'>,
  patience: number,
): Promise<Response> {
  const format = formatOf(context);
  const id = await idOf(services.db(), services.catalog, model, key);
  const convergence = await untilConverged(services, model, id, patience, context.req.raw.signal);
  const row = await getRow(services.db(), services.catalog, model, String(id), query);
  context.header('Corral-Converged', String(convergence?.state === 'converged'));
  if (format === 'html') return showPage(services, context, model, row);
  return answer(context, format, { ...row, convergence }, () => '', { version: row['version'] as number | undefined });
}

/** `/convergence`: asked at, served at, applied at, and why not. */
async function showConvergence(services: Services, context: Ctx, model: Model, key: string): Promise<Response> {
  parseRowQuery(model, new URL(context.req.url).searchParams);
  const convergence = await convergenceOfKey(services, model, key);
  if (formatOf(context) === 'html') return context.redirect(`${keyHref(model, key)}#convergence`, 303);
  return answer(context, formatOf(context), convergence, () => '');
}

async function showPage(services: Services, context: Ctx, model: Model, row: Row, once?: Values): Promise<Response> {
  const related: Related[] = [];
  const parts = new Set(Object.values(model.parts).flatMap((inner) => Object.values(inner)));
  for (const relation of reverseNames(model).values()) {
    if (parts.has(relation.model)) continue;
    const query = parseListQuery(
      services.catalog,
      relation.model,
      new URLSearchParams({ [relation.field.name]: String(row[model.pk]), limit: String(RELATED), total: 'true' }),
    );
    related.push({
      ...relation,
      page: await listRows(services.db(), services.catalog, relation.model, {
        ...query,
        include: [...labelled(services, relation.model, query), ...belongings(relation)],
      }),
    });
  }
  const labels = await labelsOf(services, model, row);
  const version = row['version'] as number | undefined;
  const convergence = model.resource.observed ? (await withConvergence(services, model, [row], [CONVERGENCE]))[0]![CONVERGENCE] : undefined;
  const view = {
    model,
    row,
    related,
    labels,
    etag: `"${version ?? 0}.page"`,
    ...(once ? { once } : {}),
    ...(convergence ? { convergence: convergence as Convergence } : {}),
  };
  return answer(context, 'html', row, () => services.pages.thing(pageContext(services, context), view), { version, status: once ? 201 : 200 });
}

/** What people call the things that a row names, where that is not their key. */
async function labelsOf(services: Services, model: Model, row: Row): Promise<Record<string, string>> {
  const out: Record<string, string> = {};
  for (const field of model.fields) {
    const target = field.ref === undefined ? undefined : services.catalog.byNoun(field.ref);
    if (!target?.resource.label || row[field.name] == null) continue;
    const referred = await getRow(services.db(), services.catalog, target, String(row[field.name]));
    out[field.name] = String(referred[target.resource.label]);
  }
  return out;
}

async function write(services: Services, context: Ctx, target: Target, possible: readonly string[]): Promise<Response> {
  const { model, key } = target;
  const request = context.req.raw;
  const type = request.headers.get('content-type');
  const isForm = type?.startsWith('application/x-www-form-urlencoded') ?? false;
  let method = context.req.method;
  let body: unknown;
  if (method !== 'DELETE' || isForm) body = decodeBody(await readBody(request, services.bodyLimit), type);
  const form = isForm && isRecord(body) ? body : undefined;
  if (form) method = typeof form['_method'] === 'string' ? form['_method'].toUpperCase() : method;
  const search = new URL(context.req.url).searchParams;
  parseRowQuery(model, search);
  if (!possible.includes(method))
    throw new Problem('method-not-allowed', `${method} is not possible here; possible: ${possible.join(', ')}`, { extra: { allow: possible.join(', ') } });
  const guard = (typeof form?.['_etag'] === 'string' ? form['_etag'] : undefined) ?? context.req.header('if-match');
  if (form && (method === 'PATCH' || method === 'PUT') && guard === undefined)
    throw new Problem('precondition-required', 'A form that changes a thing must send _etag (or If-Match), so that nobody overwrites what he has not seen');
  const versions = guardOf(guard);
  try {
    const input = form ? fromForm(model, form, method === 'POST') : body;
    return await carryOut(services, context, model, key, method, input, versions);
  } catch (error) {
    const problem = toProblem(error, services.catalog, model);
    if (form && problem instanceof Problem && formatOf(context) === 'html' && method !== 'DELETE')
      return formAgain(services, context, target, form, problem, guard);
    throw problem;
  }
}

async function carryOut(
  services: Services,
  context: Ctx,
  model: Model,
  key: string | undefined,
  method: string,
  input: unknown,
  versions: Guard,
): Promise<Response> {
  const { store } = services;
  const format = formatOf(context);
  const href = (row: Row): string => `/api/v1/${model.route}/${String(row['id'])}`;
  if (method === 'POST') {
    const row = await createThing(store, model, input);
    const once = Object.fromEntries(
      Object.entries(row).filter(([name]) => !model.field.has(name) && !(name in model.parts) && !['id', 'version', 'created_at', 'updated_at'].includes(name)),
    );
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

async function optionsOf(services: Services, model: Model): Promise<Record<string, Option[]>> {
  const nouns = new Set(
    [model, ...Object.values(model.parts).flatMap((parts) => Object.values(parts))].flatMap((one) => one.fields.flatMap((field) => field.ref ?? [])),
  );
  const out: Record<string, Option[]> = {};
  for (const noun of nouns) {
    const target = services.catalog.byNoun(noun);
    const query = parseListQuery(services.catalog, target, new URLSearchParams({ limit: String(CHOICES + 1) }));
    const { rows } = await listRows(services.db(), services.catalog, target, query);
    const label = (row: Row): string =>
      target.resource.label === undefined ? keyOf(target, row) : `${String(row[target.resource.label])} (${keyOf(target, row)})`;
    if (rows.length <= CHOICES) out[noun] = rows.map((row) => ({ key: keyOf(target, row), label: label(row) })).sort((a, b) => (a.label < b.label ? -1 : 1));
  }
  return out;
}

async function showForm(services: Services, context: Ctx, { model, key }: Target): Promise<Response> {
  formatOf(context, ['html']);
  allow(context.get('identity')!, 'write');
  if (!methodsOf({ model, key, suffix: undefined }).some((method) => method === (key === undefined ? 'POST' : 'PATCH')))
    throw new Problem('not-found', `${model.route} cannot be ${key === undefined ? 'made' : 'changed'} here`);
  const row = key === undefined ? undefined : await getRow(services.db(), services.catalog, model, key);
  const options = await optionsOf(services, model);
  const values = Object.fromEntries(new URL(context.req.url).searchParams);
  const etag = row && `"${String(row['version'])}.form"`;
  const view = { model, row, values: row || Object.keys(values).length === 0 ? undefined : values, problem: undefined, etag, options };
  return answer(context, 'html', row, () => services.pages.form(pageContext(services, context), view));
}

async function formAgain(
  services: Services,
  context: Ctx,
  { model, key }: Target,
  values: Values,
  problem: Problem,
  etag: string | undefined,
): Promise<Response> {
  const row = key === undefined ? undefined : await getRow(services.db(), services.catalog, model, key);
  const options = await optionsOf(services, model);
  const page = services.pages.form(pageContext(services, context), { model, row, values, problem: problem.toDocument(), etag, options });
  return context.body(page, problem.status as 400, { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store' });
}
