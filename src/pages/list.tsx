import type { Field, Model } from '../db/catalog.ts';
import type { Page } from '../db/read.ts';
import { Layout, render } from './layout.tsx';
import { canCreate, newHref, withParams } from './link.ts';
import { activeFilters, Filters } from './list.filters.tsx';
import { columnsOf, Table } from './table.tsx';
import type { PageContext } from './types.ts';
import { count, labelOf, nounOf, pluralOf } from './words.ts';

/** What a list may be sorted by, as the API allows it. */
function sortable(model: Model, name: string): boolean {
  const field: Field | undefined = model.field.get(name);
  if (!field) return model.pk === 'id' && ['id', 'created_at', 'updated_at'].includes(name);
  return !field.list && !field.writeOnly && field.type !== 'object' && field.type !== 'array';
}

function headingsOf(url: URL, model: Model, columns: readonly string[]) {
  const [first = ''] = (url.searchParams.get('sort') ?? '').split(',');
  const now = first.replace(/^-/, '');
  return Object.fromEntries(
    columns
      .filter((name) => sortable(model, name))
      .map((name) => {
        const sort = name !== now ? 'none' : first.startsWith('-') ? 'descending' : 'ascending';
        const href = withParams(url, { sort: sort === 'ascending' ? `-${name}` : name, after: undefined });
        return [name, { sort, href }] as const;
      }),
  );
}

/** Sorting on a phone, where the table has no headings. */
const Sorting = ({ url, model, columns }: { url: URL; model: Model; columns: readonly string[] }) => {
  const headings = Object.entries(headingsOf(url, model, columns));
  const now = headings.find(([, one]) => one.sort !== 'none');
  return (
    <details class="sorting">
      <summary>{now ? `Sorted by ${labelOf(now[0])}, ${now[1].sort}` : 'Sort'}</summary>
      <ul>
        {headings.map(([name, { href, sort }]) => (
          <li>
            <a href={href}>
              {labelOf(name)}
              {sort === 'ascending' ? ', descending' : ''}
            </a>
          </li>
        ))}
      </ul>
    </details>
  );
};

const Empty = ({ context, model }: { context: PageContext; model: Model }) => {
  const { url, identity } = context;
  const noun = nounOf(model);
  if (url.searchParams.has('after')) return <p class="empty">There is nothing more on this page.</p>;
  if (activeFilters(url).length > 0) {
    return (
      <p class="empty">
        No {noun} matches. <a href={url.pathname}>Show all</a>, or change the filters above.
      </p>
    );
  }
  return (
    <div class="empty">
      <p>There is no {noun} yet.</p>
      {canCreate(model) && identity?.rights.may(`${model.resource.noun}:create`) ? (
        <p>
          <a class="button" href={newHref(model)}>
            Make the first {noun}
          </a>
        </p>
      ) : canCreate(model) ? (
        <p>Someone with an admin token can make one.</p>
      ) : null}
    </div>
  );
};

/** The list of a noun. */
export function listPage(context: PageContext, { model, page }: { model: Model; page: Page }): string {
  const { url, identity } = context;
  const columns = columnsOf(model);
  const plural = pluralOf(model);
  const total = page.total ?? page.rows.length;
  const paged = url.searchParams.has('after') || page.next !== undefined;
  const as = (format: string): string => withParams(url, {}, `/api/v1/${model.route}.${format}`);
  return render(
    <Layout context={context} title={plural} model={model}>
      <div class="head">
        <div>
          <h1>
            {plural} <span class="total">{count(total)}</span>
          </h1>
          <p class="summary">{model.resource.summary}</p>
        </div>
        {canCreate(model) && identity?.rights.may(`${model.resource.noun}:create`) ? (
          <a class="button primary" href={newHref(model)}>
            New {nounOf(model)}
          </a>
        ) : null}
      </div>
      {total > 0 || activeFilters(url).length > 0 ? <Filters context={context} model={model} /> : null}
      {page.rows.length === 0 ? (
        <Empty context={context} model={model} />
      ) : (
        <>
          <Sorting url={url} model={model} columns={columns} />
          <Table catalog={context.catalog} model={model} rows={page.rows} caption={plural} columns={columns} headings={headingsOf(url, model, columns)} />
        </>
      )}
      <div class="foot">
        <p class="muted">{paged ? `${count(page.rows.length)} of ${count(total)}` : `${count(total)} in all`}</p>
        {paged ? (
          <nav class="pages" aria-label="Pages">
            {url.searchParams.has('after') ? (
              <a class="button" href={withParams(url, { after: undefined })}>
                First page
              </a>
            ) : null}
            {page.next !== undefined ? (
              <a class="button" rel="next" href={withParams(url, { after: page.next })}>
                Next page
              </a>
            ) : null}
          </nav>
        ) : null}
        <p class="muted formats">
          This list as <a href={as('json')}>JSON</a> or <a href={as('msgpack')}>MessagePack</a>
        </p>
      </div>
    </Layout>,
  );
}
