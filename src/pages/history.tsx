import type { ChangeRow } from '../db/changes.ts';
import { RowFields, Was } from './change.rows.tsx';
import { Crumbs, Layout, render } from './layout.tsx';
import { changeHref, keyHref, listHref, withParams } from './link.ts';
import type { HistoryView, PageContext } from './types.ts';
import { Badge, Time } from './value.tsx';
import { labelOf, nounOf, pluralOf } from './words.ts';
import { opWords } from './change.rows.tsx';

/** What changes did to one thing, or to one of its fields, newest first. */
export function historyPage(context: PageContext, { model, key, title, field, entries, next }: HistoryView): string {
  const { url, catalog } = context;
  const fields = model.fields.filter((one) => !one.readOnly && !one.writeOnly && (one.column !== undefined || one.list));
  const single = field !== undefined && !field.list;
  return render(
    <Layout context={context} title={`History of ${title}`} model={model}>
      <Crumbs
        steps={[
          [listHref(model), pluralOf(model)],
          [keyHref(model, key), title],
        ]}
      />
      <h1>
        History{' '}
        <span class="muted">
          of {field ? `${labelOf(field.name)} of ` : ''}
          {nounOf(model)} {title}
        </span>
      </h1>
      <search class="filters">
        <form method="get" action={url.pathname}>
          <div class="filter">
            <label for="field">Only the field</label>
            <select id="field" name="field">
              <option value="">any</option>
              {fields.map((one) => (
                <option value={one.name} selected={one === field}>
                  {labelOf(one.name)}
                </option>
              ))}
            </select>
          </div>
          <button type="submit">Show</button>
        </form>
      </search>
      {entries.length === 0 ? <p class="empty">No change is kept that altered it.</p> : null}
      {entries.map((entry) => {
        const row: ChangeRow = {
          noun: entry.noun,
          id: entry.id,
          key,
          op: entry.op,
          ...(entry.before !== null && !single ? { before: entry.before as ChangeRow['before'] & object } : {}),
          ...(entry.after !== null && !single ? { after: entry.after as ChangeRow['after'] & object } : {}),
        };
        return (
          <article class="row-change">
            <h3>
              <Badge state={opWords[entry.op]} />
              {entry.noun === model.resource.noun ? null : <span class="muted">{labelOf(entry.noun)}</span>}
              <Time at={entry.at} />
              <span class="muted">by {entry.actor}</span>
              <a href={changeHref(entry.change)}>Change {entry.change}</a>
            </h3>
            {entry.message === null ? null : <p>{entry.message}</p>}
            {single ? (
              <p>
                <span class="was">
                  <Was catalog={catalog} model={model} name={field.name} value={entry.before} />
                </span>{' '}
                →{' '}
                <span class="is">
                  <Was catalog={catalog} model={model} name={field.name} value={entry.after} />
                </span>
              </p>
            ) : (
              <RowFields catalog={catalog} row={row} />
            )}
          </article>
        );
      })}
      <div class="foot">
        <nav class="pages" aria-label="Pages">
          {next === undefined ? null : (
            <a class="button" rel="next" href={next}>
              Older
            </a>
          )}
        </nav>
        <p class="muted formats">
          This history as <a href={withParams(url, {}, `${url.pathname.replace(/\.html$/, '')}.json`)}>JSON</a>
        </p>
      </div>
    </Layout>,
  );
}
