import type { Context } from 'hono';
import { CONVERGENCE, parseListQuery, reverseNames, type ListQuery } from '../db/query.ts';
import type { Model } from '../db/catalog.ts';
import { getRow, listRows, type Row } from '../db/read.ts';
import type { Values } from '../db/transaction.ts';
import type { Related } from '../pages/types.ts';
import type { Convergence } from '../reports/convergence.ts';
import { answer, pageContext, type Env, type Services } from './answer.ts';
import { withConvergence } from './convergence.ts';

/** Rows of a relation on the page of a thing. */
const RELATED = 25;

/** References that people know by a label: included, so that a list shows it. */
export function labelled(services: Services, model: Model, query: ListQuery): string[] {
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

/** The page of a thing; with what is shown once after its creation. */
export async function showPage(services: Services, context: Context<Env>, model: Model, row: Row, once?: Values): Promise<Response> {
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
