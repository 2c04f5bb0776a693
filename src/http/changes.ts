import { Hono, type Context } from 'hono';
import { allow } from '../auth/identity.ts';
import { difference } from '../changes/diff.ts';
import { listChanges, loadChange, parseChangeQuery, thingHistory } from '../changes/history.ts';
import { revertChange, type Reverted } from '../changes/revert.ts';
import { parsePoint, type Point } from '../db/changes.ts';
import { Planned } from '../db/transaction.ts';
import type { DocumentService } from '../documents/service.load.ts';
import { decodeBody, isRecord, readBody } from '../kernel/codec.ts';
import { splitSuffix, type Format } from '../kernel/negotiate.ts';
import { Problem } from '../kernel/problem.ts';
import { answer, formatOf, offered, pageContext, type Env, type Services } from './answer.ts';
import { idempotent } from './idempotency.ts';
import { originOf } from './origin.ts';
import { pastNode } from './past.ts';
import { answerPlan, planAgain, planningOf, planOrigin } from './plan.ts';
import { targetOf } from './target.ts';

type Ctx = Context<Env>;

/** Documents whose difference a page shows at once. */
const SHOWN = 10;
const LONGEST_MESSAGE = 500;

/** Changes, the history of things, and the difference of documents. Before the routes of nouns. */
export function changeRoutes(services: Services, documents: DocumentService): Hono<Env> {
  const app = new Hono<Env>();
  for (const base of ['/changes', '/api/v1/changes']) {
    app.on(['GET', 'HEAD'], [`${base}`, ...['json', 'msgpack', 'html'].map((format) => `${base}.${format}`)], (context) => list(services, context));
    app.on(['GET', 'HEAD'], `${base}/:number`, (context) => show(services, documents, context));
    app.post(`${base}/:number/revert`, (context) => revert(services, context));
    app.all(base, ({ req }) => refuse(req.method, 'GET'));
    app.all(`${base}/:number`, ({ req }) => refuse(req.method, 'GET'));
    app.all(`${base}/:number/revert`, ({ req }) => refuse(req.method, 'POST'));
  }
  app.get('/documents/:name/diff', (context) => diff(services, documents, context));
  app.on(['GET', 'HEAD'], '/api/v1/*', async (context, next) => {
    const path = /^(.+)\/history(\.(?:json|msgpack|html))?$/.exec(new URL(context.req.url).pathname);
    return path ? history(services, context, path[1]!, path[2]?.slice(1) as Format | undefined) : next();
  });
  return app;
}

function refuse(method: string, possible: string): never {
  throw new Problem('method-not-allowed', `${method} is not possible here; possible: ${possible}`, { extra: { allow: possible } });
}

/** Without the empty inputs that a form without script sends. */
function paramsOf(context: Ctx, format: Format): URL {
  const url = new URL(context.req.url);
  if (format === 'html') for (const name of new Set(url.searchParams.keys())) url.searchParams.delete(name, '');
  return url;
}

function linked(url: URL, next: number | undefined): { next?: string; headers: Record<string, string> } {
  if (next === undefined) return { headers: {} };
  url.searchParams.set('after', String(next));
  const href = url.pathname + url.search;
  return { next: href, headers: { Link: `<${href}>; rel="next"` } };
}

async function list(services: Services, context: Ctx): Promise<Response> {
  const format = formatOf(context, offered, splitSuffix(context.req.path, offered).format);
  allow(context.get('identity')!, 'change:read');
  const url = paramsOf(context, format);
  const page = await listChanges(services.db(), services.catalog, parseChangeQuery(services.catalog, url.searchParams));
  const { next, headers } = linked(url, page.next);
  const data = { changes: page.changes, ...(next === undefined ? {} : { next }) };
  return answer(context, format, data, () => services.pages.changes(pageContext(services, context), { changes: page.changes, next }), { headers });
}

function numberOf(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new Problem('not-found', `'${text.slice(0, 80)}' is not the number of a change`);
  return Number(text);
}

async function show(services: Services, documents: DocumentService, context: Ctx): Promise<Response> {
  const { name, format: suffix } = splitSuffix(context.req.param('number')!, offered);
  const format = formatOf(context, offered, suffix);
  allow(context.get('identity')!, 'change:read');
  const number = numberOf(name);
  const change = await loadChange(services.db(), services.catalog, number);
  if (format !== 'html') return answer(context, format, change, () => '');
  const may = context.get('identity')!.rights.mayEverywhere('document:read');
  const found = may ? await documents.history.ofChange(number, SHOWN) : [];
  const differences = found.map(({ node, fqdn, before, after }) => ({
    node,
    fqdn,
    version: after.version,
    text: difference(before?.body ?? null, after.body, { before: before?.version ?? 'none', after: after.version }).text,
  }));
  return answer(context, format, change, () => services.pages.change(pageContext(services, context), { change, differences }));
}

async function history(services: Services, context: Ctx, path: string, suffix: Format | undefined): Promise<Response> {
  const format = formatOf(context, offered, suffix);
  allow(context.get('identity')!, 'change:read');
  const url = paramsOf(context, format);
  const { model, key } = targetOf(services, new URL(path, url).href, '/api/v1/');
  context.get('identity')!.rights.demand(`${model.resource.noun}:read`, { everywhere: true });
  if (key === undefined || model.pk !== 'id') throw new Problem('not-found', 'Only a thing has a history: /api/v1/<nouns>/<id or key>/history');
  for (const name of url.searchParams.keys())
    if (!['field', 'limit', 'after'].includes(name))
      throw new Problem('unknown-parameter', `'${name.slice(0, 80)}' is not a parameter of a history; there are: field, limit, after`, {
        extra: { parameter: name.slice(0, 200) },
      });
  const asked = url.searchParams.get('field');
  const field = asked === null ? undefined : model.field.get(asked);
  if (asked !== null && (!field || (field.column === undefined && !field.list)))
    throw new Problem(
      'bad-request',
      `'${asked.slice(0, 80)}' is not a field of ${model.route} that is kept; there are: ${model.fields
        .filter((one) => one.column !== undefined || one.list)
        .map((one) => one.name)
        .join(', ')}`,
      {
        extra: { parameter: 'field' },
      },
    );
  const pages = new URLSearchParams([...url.searchParams].filter(([name]) => name !== 'field'));
  const { limit, after } = parseChangeQuery(services.catalog, pages);
  const found = await thingHistory(services.db(), services.catalog, model, key, { field, after, limit });
  const { next, headers } = linked(url, found.next);
  const data = { history: found.history, ...(next === undefined ? {} : { next }) };
  const view = { model, key, title: found.title, field, entries: found.history, next };
  return answer(context, format, data, () => services.pages.history(pageContext(services, context), view), { headers });
}

async function diff(services: Services, documents: DocumentService, context: Ctx): Promise<Response> {
  const format = formatOf(context);
  const { req } = context;
  const name = req.param('name')!;
  const url = paramsOf(context, format);
  for (const one of url.searchParams.keys())
    if (one !== 'from' && one !== 'to')
      throw new Problem('unknown-parameter', `'${one.slice(0, 80)}' is not a parameter of a difference; there are: from, to`, {
        extra: { parameter: one.slice(0, 200) },
      });
  const found = await documents.findFor(context.get('identity')!, name);
  const node = await pastNode(documents, found, name);
  const now: Point = { time: new Date('9999-01-01T00:00:00Z') };
  const after = await documents.history.at(node.id, pointOf(url, 'to') ?? now);
  const from = pointOf(url, 'from');
  const before = from ? await documents.history.at(node.id, from) : after && (await documents.history.before(node.id, after.number));
  const side = (one: typeof after): object | null => (one ? { version: one.version, change: one.change, built_at: one.builtAt.toISOString() } : null);
  const made = difference(before?.body ?? null, after?.body ?? null, { before: before?.version ?? 'none', after: after?.version ?? 'none' });
  const data = { node: node.fqdn, from: side(before), to: side(after), ...made };
  return answer(context, format, data, () => services.pages.difference(pageContext(services, context), { node: node.fqdn, before, after, text: made.text }));
}

function pointOf(url: URL, name: string): Point | undefined {
  const text = url.searchParams.get(name);
  if (text === null) return undefined;
  const point = parsePoint(text);
  if (!point)
    throw new Problem('bad-request', `The value of '${name}' must be the number of a change, or a time such as 2026-05-01T12:00:00Z`, {
      extra: { parameter: name },
    });
  return point;
}

/** Undoes a change: X-Change-Message, or `message` of the body, says why; it is planned like any write. */
async function revert(services: Services, context: Ctx): Promise<Response> {
  const format = formatOf(context);
  allow(context.get('identity')!, 'change:revert');
  const number = numberOf(context.req.param('number')!);
  const { search, body, bytes } = await revertInput(services, context);
  const planning = planningOf(context, search, body);
  for (const name of search.keys())
    throw new Problem('unknown-parameter', `'${name.slice(0, 80)}' is not a parameter of a revert; there is: dry_run`, {
      extra: { parameter: name.slice(0, 200) },
    });
  const again = { model: undefined, action: context.req.path, back: `/changes/${number}`, values: body };
  const answered = (warnings: readonly string[], made: number | undefined): Promise<Response> => reverted(services, context, format, number, made, warnings);
  try {
    /* The number of its change is known at the commit, and so with what is kept, but not in it. */
    return await idempotent(
      context,
      bytes,
      { ...originOf(context), ...planOrigin(planning) },
      (done) => ({ status: 201, data: (done as Reverted).warnings }),
      async (origin) => {
        let made: number | undefined;
        const committed = (change: number | undefined): void => {
          made = change;
          origin.committed?.(change);
        };
        const { warnings } = await revertChange(services.store, number, { ...origin, message: body['message'] ?? origin.message, committed });
        return answered(warnings, made);
      },
      (kept, made) => answered(kept.data as string[], made),
    );
  } catch (error) {
    if (error instanceof Planned) return answerPlan(services, context, error, planning, { status: 201, answer: error.value }, again);
    if (format === 'html' && error instanceof Problem && error.code === 'plan-changed') return planAgain(services, context, error, again);
    throw error;
  }
}

/** The query, and the body of a revert: `{"message": "why"}`, a form, or nothing. @throws Problem invalid */
async function revertInput(services: Services, context: Ctx): Promise<{ search: URLSearchParams; body: Readonly<Record<string, string>>; bytes: Uint8Array }> {
  const bytes = await readBody(context.req.raw, services.bodyLimit);
  const body = bytes.length === 0 ? {} : decodeBody(bytes, context.req.header('content-type') ?? null);
  const known = isRecord(body) && Object.entries(body).every(([name, value]) => ['message', '_message', '_plan'].includes(name) && typeof value === 'string');
  if (!known || String(body['message'] ?? '').length > LONGEST_MESSAGE)
    throw new Problem('invalid', `The body of a revert is {"message": "why"} with at most ${LONGEST_MESSAGE} characters, or nothing`);
  return { search: new URL(context.req.url).searchParams, body: body as Record<string, string>, bytes };
}

async function reverted(
  services: Services,
  context: Ctx,
  format: Format,
  number: number,
  made: number | undefined,
  warnings: readonly string[],
): Promise<Response> {
  if (made === undefined) throw new Problem('conflict', `Change ${number} is undone already: nothing is other than before it`);
  if (format === 'html' && warnings.length === 0) return context.redirect(`/changes/${made}`, 303);
  const data = { ...(await loadChange(services.db(), services.catalog, made)), warnings };
  return answer(context, format, data, () => services.pages.change(pageContext(services, context), { change: data, differences: [], warnings }), {
    status: 201,
    headers: { Location: `/api/v1/changes/${made}` },
  });
}
