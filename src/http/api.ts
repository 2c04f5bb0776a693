import { Hono, type Context } from 'hono';
import { allow } from '../auth/identity.ts';
import { parseListQuery, parseRowQuery, type ListQuery } from '../db/query.ts';
import type { Model } from '../db/catalog.ts';
import { getRow, idOf, listRows, type Row } from '../db/read.ts';
import { toProblem } from '../db/errors.ts';
import type { Action } from '../db/rights.ts';
import { Problem } from '../kernel/problem.ts';
import { keyHref } from '../pages/link.ts';
import { parseWait, untilConverged, waitParameters } from '../events/wait.ts';
import { answer, formatOf, offered, pageContext, type Env, type Services } from './answer.ts';
import { convergenceOfKey, withConvergence } from './convergence.ts';
import { showForm } from './forms.ts';
import { ownServices } from './own.ts';
import { actionsOf, methodsOf, targetOf, type Target } from './target.ts';
import { labelled, showPage } from './thing.ts';
import { write } from './write.ts';

type Ctx = Context<Env>;

/**
 * `/api/v1/<nouns>` and `/api/v1/<nouns>/<id or natural key>`, for every noun of the catalog, and
 * `/forms/<nouns>[/<key>]` for people.
 */
export function apiRoutes(services: Services): Hono<Env> {
  const app = new Hono<Env>();
  app.get('/api/v1', (context) => index(services, context));
  /* The next one would take it for a noun. */
  app.all('/api/v1', ({ req }) => {
    throw new Problem('method-not-allowed', `${req.method} is not possible here; possible: GET`, { extra: { allow: 'GET' } });
  });
  app.all('/api/v1/*', (context) => dispatch(services, context, targetOf(services, context.req.url, '/api/v1/')));
  app.get('/forms/*', (context) => {
    const target = targetOf(services, context.req.url, '/forms/');
    formatOf(context, ['html']);
    const own = ownTarget(services, context, target, target.key === undefined ? 'create' : 'update');
    return showForm(own.services, context, own.target);
  });
  return app;
}

/** The target as its asker sees it. @throws Problem forbidden that names the permission which is missing */
function ownTarget(whole: Services, context: Ctx, { model, ...target }: Target, ...actions: readonly Action[]): { services: Services; target: Target } {
  const identity = context.get('identity')!;
  const { noun } = model.resource;
  if (identity.kind === 'node' || actions.length === 0) allow(identity, actions[0] === 'read' ? 'read' : 'write');
  for (const action of actions) identity.rights.demand(`${noun}:${action}`);
  const services = ownServices(whole, identity);
  const own = services.catalog.byRoute(model.route);
  /* Who may write it and not read it, or may nowhere see any. */
  if (!own)
    throw new Problem('forbidden', `${identity.rights.who} may not see any ${model.resource.title.toLowerCase()}`, { extra: { permission: `${noun}:read` } });
  /* How far a thing's hosts are names them. */
  if (target.convergence && !own.resource.observed) identity.rights.demand('node:read', { everywhere: true });
  return { services, target: { ...target, model: own } };
}

async function dispatch(whole: Services, context: Ctx, wanted: Target): Promise<Response> {
  formatOf(context, offered, wanted.suffix);
  const method = context.req.method;
  const reading = method === 'GET' || method === 'HEAD';
  const { services, target } = ownTarget(whole, context, wanted, ...(reading ? (['read'] as const) : actionsOf(method, wanted.key)));
  try {
    if (reading) {
      if (target.convergence) return await showConvergence(services, context, target.model, target.key!);
      return await (target.key === undefined ? list(services, context, target.model) : show(services, context, target.model, target.key));
    }
    const possible = methodsOf(target);
    if (!possible.includes(method) && !(method === 'POST' && target.key !== undefined && !target.convergence)) {
      throw new Problem('method-not-allowed', `${method} is not possible here; possible: ${possible.join(', ')}`, { extra: { allow: possible.join(', ') } });
    }
    return await write(services, context, target, possible);
  } catch (error) {
    throw toProblem(error, services.catalog, target.model);
  }
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
  const convergence = await convergenceOfKey(services, context.get('identity')!.rights, model, key);
  if (formatOf(context) === 'html') return context.redirect(`${keyHref(model, key)}#convergence`, 303);
  return answer(context, formatOf(context), convergence, () => '');
}
