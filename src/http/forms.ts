import type { Context } from 'hono';
import { parseListQuery } from '../db/query.ts';
import type { Model } from '../db/catalog.ts';
import { getRow, keyOf, listRows, type Row } from '../db/read.ts';
import type { Values } from '../db/transaction.ts';
import { Problem } from '../kernel/problem.ts';
import type { Option } from '../pages/types.ts';
import { answer, formatOf, pageContext, type Env, type Services } from './answer.ts';
import { methodsOf, type Target } from './target.ts';

/** References with no more than this many keys are offered as a choice in forms. */
const CHOICES = 200;

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

/** `/forms/<nouns>[/<key>]`: an empty form, or one with the fields of a thing. */
export async function showForm(services: Services, context: Context<Env>, { model, key }: Target): Promise<Response> {
  formatOf(context, ['html']);
  if (!methodsOf({ model, key, suffix: undefined }).some((method) => method === (key === undefined ? 'POST' : 'PATCH')))
    throw new Problem('not-found', `${model.route} cannot be ${key === undefined ? 'made' : 'changed'} here`);
  const row = key === undefined ? undefined : await getRow(services.db(), services.catalog, model, key);
  const options = await optionsOf(services, model);
  const values = Object.fromEntries(new URL(context.req.url).searchParams);
  const etag = row && `"${String(row['version'])}.form"`;
  const view = { model, row, values: row || Object.keys(values).length === 0 ? undefined : values, problem: undefined, etag, options };
  return answer(context, 'html', row, () => services.pages.form(pageContext(services, context), view));
}

/** The form as it was sent, with what was wrong in it. */
export async function formAgain(
  services: Services,
  context: Context<Env>,
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
