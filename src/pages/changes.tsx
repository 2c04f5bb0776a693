import type { ChangeHead } from '../changes/history.ts';
import { modelOf, opWords, ThingName } from './change.rows.tsx';
import { Layout, render } from './layout.tsx';
import { changeHref, withParams } from './link.ts';
import type { PageContext } from './types.ts';
import { Time } from './value.tsx';
import { count, labelOf, nounOf } from './words.ts';

const filters = [
  ['actor', 'By', 'a token or user'],
  ['message__contains', 'Message contains', ''],
  ['noun', 'Noun', 'vm'],
  ['key', 'Thing', 'id or key'],
  ['node', 'Node', 'hv1.example.com'],
  ['since', 'Since', 'number or time'],
  ['until', 'Until', 'number or time'],
] as const;

const spoken: Readonly<Record<string, string>> = {
  ...Object.fromEntries(filters.map(([name, label]) => [name, label])),
  request_id: 'Request',
  reverts: 'Undid',
};

const Filters = ({ context }: { context: PageContext }) => {
  const { url } = context;
  const active = [...url.searchParams].filter(([name, value]) => name in spoken && value !== '');
  const nouns = context.catalog.models.filter((model) => model.pk === 'id').map((model) => model.resource.noun);
  const [first, ...rest] = filters;
  const control = ([name, label, example]: (typeof filters)[number]) => (
    <div class="filter">
      <label for={`filter-${name}`}>{label}</label>
      {name === 'noun' ? (
        <select id="filter-noun" name="noun">
          <option value="">any</option>
          {nouns.map((noun) => (
            <option value={noun} selected={noun === url.searchParams.get('noun')}>
              {labelOf(noun)}
            </option>
          ))}
        </select>
      ) : (
        <input id={`filter-${name}`} name={name} type="search" value={url.searchParams.get(name) ?? ''} placeholder={example} autocomplete="off" />
      )}
    </div>
  );
  return (
    <search class="filters">
      <form method="get" action={url.pathname}>
        {control(first)}
        <button type="submit">Search</button>
        <details class="more" open={rest.some(([name]) => (url.searchParams.get(name) ?? '') !== '')}>
          <summary>Filters</summary>
          <div class="more-fields">
            {rest.map(control)}
            <button type="submit">Apply</button>
          </div>
        </details>
      </form>
      {active.length === 0 ? null : (
        <ul class="chips" aria-label="Active filters">
          {active.map(([name, value]) => (
            <li>
              <a href={withParams(url, { [name]: undefined, after: undefined, ...(name === 'noun' ? { key: undefined } : {}) })} title="Remove this filter">
                <span class="unseen">Remove the filter </span>
                {spoken[name]}: {value} <span aria-hidden="true">×</span>
              </a>
            </li>
          ))}
        </ul>
      )}
    </search>
  );
};

/** What a change is about: its first things, and how many there are. */
const About = ({ context, change }: { context: PageContext; change: ChangeHead }) => {
  const rows = Object.values(change.counts).reduce((sum, ops) => sum + Object.values(ops).reduce((all, n) => all + n, 0), 0);
  return (
    <ul class="names">
      {change.things.map((thing) => {
        const model = modelOf(context.catalog, thing.noun);
        return (
          <li>
            <span class="muted">{model ? nounOf(model) : thing.noun.replaceAll('_', ' ')}</span> <ThingName catalog={context.catalog} thing={thing} />{' '}
            {opWords[thing.op]}
          </li>
        );
      })}
      {rows > change.things.length ? <li class="muted">and {count(rows - change.things.length)} more</li> : null}
      {rows === 0 ? <li class="muted">only documents</li> : null}
    </ul>
  );
};

/** The list of changes, newest first. */
export function changesPage(context: PageContext, { changes, next }: { changes: readonly ChangeHead[]; next: string | undefined }): string {
  const { url } = context;
  const as = (format: string): string => withParams(url, {}, `/api/v1/changes.${format}`);
  const columns = ['Number', 'When', 'By', 'Message', 'What', 'Documents'];
  return render(
    <Layout context={context} title="Changes">
      <h1>Changes</h1>
      <p class="summary">Every transaction that altered what is asked for, newest first: who, when, why, and the rows before and after.</p>
      <Filters context={context} />
      {changes.length === 0 ? (
        <p class="empty">
          No change matches. <a href={url.pathname}>Show all</a>
        </p>
      ) : (
        <div class="table">
          <table role="table">
            <caption class="unseen">Changes</caption>
            <thead role="rowgroup">
              <tr role="row">
                {columns.map((name) => (
                  <th role="columnheader" scope="col" class={name === 'Documents' ? 'number' : undefined}>
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody role="rowgroup">
              {changes.map((change) => (
                <tr role="row">
                  <td role="cell" data-label="Number" class="first">
                    <a href={changeHref(change.number)}>Change {change.number}</a>
                  </td>
                  <td role="cell" data-label="When">
                    <Time at={change.at} />
                  </td>
                  <td role="cell" data-label="By">
                    <span class="actor">{change.actor}</span>
                  </td>
                  <td role="cell" data-label="Message">
                    <span class="long">{change.message ?? ''}</span>
                    {change.reverted_by.length === 0 ? null : <span class="muted"> (undone by change {change.reverted_by.join(', ')})</span>}
                  </td>
                  <td role="cell" data-label="What" class="about">
                    <About context={context} change={change} />
                  </td>
                  <td role="cell" data-label="Documents" class="number">
                    {count(change.document_count)}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <div class="foot">
        <nav class="pages" aria-label="Pages">
          {url.searchParams.has('after') ? (
            <a class="button" href={withParams(url, { after: undefined })}>
              Newest
            </a>
          ) : null}
          {next === undefined ? null : (
            <a class="button" rel="next" href={next}>
              Older
            </a>
          )}
        </nav>
        <p class="muted formats">
          This list as <a href={as('json')}>JSON</a> or <a href={as('msgpack')}>MessagePack</a>
        </p>
      </div>
    </Layout>,
  );
}
